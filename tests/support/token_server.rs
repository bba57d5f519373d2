//! A token server for `docker-registry`: [`USER`] may do what it asks for, everybody else may pull below `public/`.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::docker_registry::{PASSWORD, USER};

/// Whose tokens the registry must trust.
pub const ISSUER: &str = "transship test";
/// Whom a token must be for.
pub const SERVICE: &str = "docker-registry of the tests";

pub struct TokenServer {
    address: SocketAddr,
    certificate: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    key: EcdsaKeyPair,
    /// The signer's certificate as a token's header carries it.
    x5c: String,
    stopped: AtomicBool,
    asked: Mutex<Vec<Asked>>,
    /// Who asks for anything else is refused.
    only: Mutex<Option<String>>,
}

/// One request for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whether the right user name and password came with it.
    pub authenticated: bool,
    pub service: Option<String>,
    pub scopes: Vec<String>,
}

impl TokenServer {
    pub fn start() -> Self {
        let signer = rcgen::generate_simple_self_signed(["issuer.example".to_owned()]).unwrap();
        let pkcs8 = signer.signing_key.serialize_der();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new()).expect("a key");
        let x5c = BASE64_STANDARD.encode(signer.cert.der());
        let (asked, only) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { key, x5c, stopped: AtomicBool::new(false), asked, only });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.serve(&listener)
        });
        Self { address, certificate: signer.cert.pem(), shared, thread: Some(thread) }
    }

    /// The URL that the registry's challenge names.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The PEM that the registry verifies tokens with.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Refuses each request from now on that asks for anything but this scope.
    pub fn refuse_all_but(&self, scope: &str) {
        *self.shared.only.lock().unwrap() = Some(scope.to_owned());
    }

    /// The requests since the last call, in order.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes `accept`.
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Shared {
    fn serve(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            // A client that goes away is the client's affair.
            drop(stream.and_then(|stream| self.answer(&stream)));
        }
    }

    fn answer(&self, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut lines = BufReader::new(stream).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        let mut authorization = None;
        for line in lines {
            let line = line?;
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    authorization = Some(value.to_owned());
                }
                Some(_) => {}
                None => break,
            }
        }
        let (status, body) = self.token(&request, authorization.as_deref());
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n")?;
        write!(stream, "Content-Length: {}\r\n\r\n{body}", body.len())
    }

    /// The token protocol of the distribution project: `GET realm?service=…&scope=repository:name:pull,push`.
    fn token(&self, request: &str, authorization: Option<&str>) -> (&'static str, String) {
        let Some(target) = request.strip_prefix("GET ").and_then(|rest| rest.strip_suffix(" HTTP/1.1")) else {
            return ("405 Method Not Allowed", json!({"details": "GET only"}).to_string());
        };
        let authenticated = authorization == Some(&basic(USER, PASSWORD));
        let url = url::Url::parse("http://token.example").and_then(|base| base.join(target)).expect("a target");
        let of = |wanted: &str| -> Vec<String> {
            url.query_pairs().filter(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).collect()
        };
        let asked = Asked { authenticated, service: of("service").pop(), scopes: of("scope") };
        self.asked.lock().unwrap().push(asked.clone());
        if authorization.is_some() && !authenticated {
            return ("401 Unauthorized", json!({"details": "incorrect username or password"}).to_string());
        }
        if self.only.lock().unwrap().as_ref().is_some_and(|only| asked.scopes != std::slice::from_ref(only)) {
            return ("403 Forbidden", json!({"details": "that is not for you"}).to_string());
        }
        let access: Vec<Value> = asked.scopes.iter().filter_map(|scope| grant(scope, authenticated)).collect();
        ("200 OK", json!({"token": self.sign(&access), "expires_in": 300}).to_string())
    }

    fn sign(&self, access: &[Value]) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.x5c]});
        let claims = json!({
            "iss": ISSUER, "sub": USER, "aud": SERVICE, "jti": "1",
            "iat": now, "nbf": now - 10, "exp": now + 300, "access": access,
        });
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

fn grant(scope: &str, authenticated: bool) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let public = name.starts_with("public/");
    let actions: Vec<_> = actions.split(',').filter(|action| authenticated || (public && *action == "pull")).collect();
    Some(json!({"type": kind, "name": name, "actions": actions}))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}
