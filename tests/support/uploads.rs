//! A registry that takes blobs and manifests, and fails as it is told:
//!
//! ```ignore
//! let registry = Uploads::new().fault("PATCH", 2, Fault::Keep(100)).serve();
//! let reference = registry.reference("org/app:1");
//! ```

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use serde_json::json;
use transship::digest::Digest;

use super::reply::Reply;
use super::request::ReceivedRequest;
use super::server::Server;
use super::server_tls::ServerTls;
use super::token::{TOKEN_PATH, TokenService, is_basic};

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// So many bytes of the body arrive, then the connection is closed without an answer.
    Keep(usize),
    /// So many bytes of the body are taken, and the answer says so.
    Short(usize),
    /// Everything is done, and the connection closed without an answer.
    Mute,
    /// Every upload is forgotten before the request is looked at.
    Forget,
    /// Nothing is done, and this is answered.
    Answer(Reply),
    /// Everything is done, and the answer gets another header.
    Header(&'static str, String),
}

/// The script.
#[derive(Default)]
pub struct Uploads {
    faults: Vec<(&'static str, usize, Fault)>,
    account: Option<(String, String)>,
    /// Where uploads go instead of the registry itself.
    elsewhere: Option<String>,
    knows_referrers: bool,
    mounts: bool,
    tokens: Option<TokenService>,
    /// Scopes that no token is given for.
    denied: Vec<&'static str>,
    signatures: Option<KeptSignatures>,
    /// Manifests of these types are answered with this status and code.
    refused: Vec<(&'static str, u16, &'static str)>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    seen: HashMap<String, usize>,
    sessions: BTreeMap<usize, Vec<u8>>,
    begun: usize,
    /// By repository and digest.
    blobs: BTreeMap<(String, String), Vec<u8>>,
    /// By repository and tag or digest.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
}

impl Uploads {
    /// Empty, and open to everybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// What goes wrong with the nth request of that method, counted from 1. Requests that are turned away for want of an
    /// account do not count.
    #[must_use]
    pub fn fault(mut self, method: &'static str, nth: usize, fault: Fault) -> Self {
        self.faults.push((method, nth, fault));
        self
    }

    /// Lets in only who shows this account.
    #[must_use]
    pub fn requiring_basic(mut self, user: &str, password: &str) -> Self {
        self.account = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Sends uploads to another server (its [`url("")`](Server::url)), which shares what is stored.
    #[must_use]
    pub fn with_uploads_at(mut self, other: &RunningUploads) -> Self {
        self.elsewhere = Some(other.url(""));
        self.state = Arc::clone(&other.state);
        self
    }

    /// Lists referrers itself, and says so.
    #[must_use]
    pub fn knowing_referrers(mut self) -> Self {
        self.knows_referrers = true;
        self
    }

    /// Takes blobs over from one repository into another. Without it, such a request begins an upload, as the
    /// specification has it.
    #[must_use]
    pub fn mounting(mut self) -> Self {
        self.mounts = true;
        self
    }

    /// Lets in only who has a token of its own token service, which gives one to everybody.
    #[must_use]
    pub fn requiring_token(mut self) -> Self {
        self.tokens = Some(TokenService::new("uploads"));
        self
    }

    /// The token service answers 403 to who asks for this scope, among others.
    #[must_use]
    pub fn denying(mut self, scope: &'static str) -> Self {
        self.denied.push(scope);
        self
    }

    /// Has the signature extension, for manifests that it has.
    #[must_use]
    pub fn keeping_signatures(mut self) -> Self {
        self.signatures = Some(KeptSignatures::default());
        self
    }

    /// Refuses manifests of this type, as registries do that do not know it.
    #[must_use]
    pub fn refusing(mut self, media_type: &'static str, status: u16, code: &'static str) -> Self {
        self.refused.push((media_type, status, code));
        self
    }

    /// Opens it, over plain HTTP.
    pub fn serve(self) -> RunningUploads {
        let state = Arc::clone(&self.state);
        RunningUploads { server: Server::http(move |request| self.answer(request)), state }
    }

    /// Opens it, over HTTPS.
    pub fn serve_tls(self, tls: &ServerTls) -> RunningUploads {
        let state = Arc::clone(&self.state);
        RunningUploads { server: Server::https(move |request| self.answer(request), tls), state }
    }

    fn answer(&self, request: &ReceivedRequest) -> Reply {
        if let Some((user, password)) = &self.account
            && !is_basic(request, user, password)
        {
            return error(401, "UNAUTHORIZED").header("WWW-Authenticate", "Basic realm=\"uploads\"");
        }
        if let Some(service) = &self.tokens
            && let Some(reply) = self.token(service, request)
        {
            return reply;
        }
        let mut state = self.state.lock().unwrap();
        let seen = state.seen.entry(request.method.clone()).or_default();
        *seen += 1;
        let nth = *seen;
        let fault = self.faults.iter().find(|(method, n, _)| *method == request.method && *n == nth);
        match fault.map(|(_, _, fault)| fault.clone()) {
            None => self.act(&mut state, request, request.body.len()),
            Some(Fault::Keep(bytes)) => {
                self.act(&mut state, &ReceivedRequest { method: "PATCH".to_owned(), ..request.clone() }, bytes);
                Reply::close_without_answer()
            }
            Some(Fault::Short(bytes)) => self.act(&mut state, request, bytes),
            Some(Fault::Mute) => {
                self.act(&mut state, request, request.body.len());
                Reply::close_without_answer()
            }
            Some(Fault::Forget) => {
                state.sessions.clear();
                self.act(&mut state, request, request.body.len())
            }
            Some(Fault::Answer(reply)) => reply,
            Some(Fault::Header(name, value)) => {
                self.act(&mut state, request, request.body.len()).with_header(name, &value)
            }
        }
    }

    /// A token, or what is said to who has none that fits.
    fn token(&self, service: &TokenService, request: &ReceivedRequest) -> Option<Reply> {
        if request.path() == TOKEN_PATH {
            let scopes = request.query("scope");
            let is_denied = scopes.iter().any(|scope| self.denied.contains(&scope.as_str()));
            return Some(if is_denied { error(403, "DENIED") } else { service.answer(request) });
        }
        let repository = request.path().strip_prefix("/v2/")?;
        let cut = ["/blobs/", "/manifests/"].iter().find_map(|part| repository.find(part)).unwrap_or(0);
        let to = format!("repository:{}:push", &repository[..cut]);
        let from = request.query("from").into_iter().map(|from| format!("repository:{from}:pull"));
        let realm = format!("http://{}{TOKEN_PATH}", request.header("host").unwrap_or_default());
        std::iter::once(to).chain(from).find_map(|scope| service.check(request, Some(&scope), &realm).err())
    }

    fn act(&self, state: &mut State, request: &ReceivedRequest, bytes: usize) -> Reply {
        if let Some(kept) = &self.signatures
            && let Some(reply) = kept.answer(request, |key| state.manifests.contains_key(key))
        {
            return reply;
        }
        let Some(rest) = request.path().strip_prefix("/v2/") else { return error(404, "NOT_FOUND") };
        if let Some((repository, selector)) = rest.rsplit_once("/manifests/") {
            return self.manifest(state, request, repository, selector);
        }
        let Some((repository, item)) = rest.split_once("/blobs/") else { return error(404, "NOT_FOUND") };
        match (request.method.as_str(), item.strip_prefix("uploads/")) {
            ("POST", Some("")) if self.mounts && state.mount(request, repository) => Reply::new(201),
            ("GET" | "HEAD", None) => match state.blobs.get(&(repository.to_owned(), item.to_owned())) {
                Some(blob) => Reply::ok(blob.clone()),
                None => error(404, "BLOB_UNKNOWN"),
            },
            ("POST", Some("")) => {
                state.begun += 1;
                let number = state.begun;
                state.sessions.insert(number, Vec::new());
                self.session(202, rest, number, 0)
            }
            (_, Some(number)) => self.upload(state, request, number, bytes),
            _ => error(405, "UNSUPPORTED"),
        }
    }

    fn upload(&self, state: &mut State, request: &ReceivedRequest, number: &str, bytes: usize) -> Reply {
        let number: usize = number.parse().unwrap_or_default();
        let rest = request.path().strip_prefix("/v2/").unwrap();
        let Some(session) = state.sessions.get_mut(&number) else { return error(404, "BLOB_UPLOAD_UNKNOWN") };
        if let Some((first, _)) = request.header("content-range").and_then(|range| range.split_once('-'))
            && first != session.len().to_string()
        {
            return error(416, "RANGE_INVALID");
        }
        session.extend(&request.body[..bytes.min(request.body.len())]);
        let length = session.len();
        match request.method.as_str() {
            "PATCH" => self.session(202, rest, number, length),
            "GET" => self.session(204, rest, number, length),
            "DELETE" => {
                state.sessions.remove(&number);
                Reply::new(204)
            }
            "PUT" => {
                let digest = request.query("digest").pop().unwrap_or_default();
                if Digest::sha256(session).as_str() != digest {
                    return error(400, "DIGEST_INVALID");
                }
                let blob = state.sessions.remove(&number).unwrap_or_default();
                let repository = rest.split_once("/blobs/").map_or(rest, |(repository, _)| repository);
                state.blobs.insert((repository.to_owned(), digest.clone()), blob);
                Reply::new(201).header("Docker-Content-Digest", &digest)
            }
            _ => error(405, "UNSUPPORTED"),
        }
    }

    /// Where the upload goes on; `state` in it changes, as in real registries.
    fn session(&self, status: u16, rest: &str, number: usize, length: usize) -> Reply {
        let base = self.elsewhere.clone().unwrap_or_default();
        let path = rest.split_once("/uploads/").map_or(rest, |(path, _)| path);
        let location = format!("{base}/v2/{path}/uploads/{number}?_state={length}");
        // No byte is the same as one here, which is how the registry of the distribution project has it.
        let range = format!("0-{}", length.saturating_sub(1));
        Reply::new(status).header("Location", &location).header("Range", &range)
    }

    fn manifest(&self, state: &mut State, request: &ReceivedRequest, repository: &str, selector: &str) -> Reply {
        let key = format!("{repository}@{selector}");
        if request.method != "PUT" {
            return match state.manifests.get(&key) {
                Some((media_type, bytes)) => Reply::ok(bytes.clone()).header("Content-Type", media_type),
                None => error(404, "MANIFEST_UNKNOWN"),
            };
        }
        let media_type = request.header("content-type").unwrap_or_default().to_owned();
        if let Some((_, status, code)) = self.refused.iter().find(|(refused, ..)| *refused == media_type) {
            return error(*status, code);
        }
        let by_digest = format!("{repository}@{}", Digest::sha256(&request.body));
        for key in [key, by_digest] {
            state.manifests.insert(key, (media_type.clone(), request.body.clone()));
        }
        let reply = Reply::new(201).header("Docker-Content-Digest", Digest::sha256(&request.body).as_str());
        let subject = serde_json::from_slice::<serde_json::Value>(&request.body).ok();
        match subject.as_ref().and_then(|manifest| manifest["subject"]["digest"].as_str()) {
            Some(subject) if self.knows_referrers => reply.header("OCI-Subject", subject),
            _ => reply,
        }
    }
}

/// A registry that answers until it is dropped; what it received is asked of its [`Server`].
pub struct RunningUploads {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl RunningUploads {
    /// `127.0.0.1:port/org/app:1`
    pub fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.authority())
    }

    /// The bytes of a blob that is in some repository.
    pub fn blob(&self, digest: &Digest) -> Option<Vec<u8>> {
        let state = self.state.lock().unwrap();
        state.blobs.iter().find(|((_, key), _)| key == digest.as_str()).map(|(_, blob)| blob.clone())
    }

    /// Whether the repository has the blob.
    pub fn has(&self, repository: &str, digest: &Digest) -> bool {
        let key = (repository.to_owned(), digest.to_string());
        self.state.lock().unwrap().blobs.contains_key(&key)
    }

    /// The media type and the bytes of a manifest that is there.
    pub fn manifest(&self, repository: &str, selector: &str) -> Option<(String, Vec<u8>)> {
        self.state.lock().unwrap().manifests.get(&format!("{repository}@{selector}")).cloned()
    }

    /// How many uploads are neither finished nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.state.lock().unwrap().sessions.len()
    }

    /// The method of each request of a path with this in it, in order.
    pub fn methods(&self, part: &str) -> Vec<String> {
        let requests = self.requests();
        requests.into_iter().filter(|request| request.path().contains(part)).map(|request| request.method).collect()
    }
}

impl Deref for RunningUploads {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl State {
    /// False when there is nothing to take over.
    fn mount(&mut self, request: &ReceivedRequest, repository: &str) -> bool {
        let ([digest], [from]) = (&request.query("mount")[..], &request.query("from")[..]) else { return false };
        let Some(blob) = self.blobs.get(&(from.clone(), digest.clone())).cloned() else { return false };
        self.blobs.insert((repository.to_owned(), digest.clone()), blob);
        true
    }
}

/// What the signature extension keeps, by repository and digest.
#[derive(Default)]
struct KeptSignatures(Mutex<BTreeMap<String, Vec<serde_json::Value>>>);

impl KeptSignatures {
    /// `None` for a request about something else. `has` knows the manifests, by the same keys.
    fn answer(&self, request: &ReceivedRequest, has: impl Fn(&str) -> bool) -> Option<Reply> {
        if request.path() == "/v2/" {
            return Some(Reply::json(&json!({})).header("X-Registry-Supports-Signatures", "1"));
        }
        let (repository, digest) = request.path().strip_prefix("/extensions/v2/")?.split_once("/signatures/")?;
        let key = format!("{repository}@{digest}");
        if !has(&key) {
            return Some(error(404, "MANIFEST_UNKNOWN"));
        }
        let mut kept = self.0.lock().unwrap();
        let kept = kept.entry(key).or_default();
        if request.method != "PUT" {
            return Some(Reply::json(&json!({"signatures": kept})));
        }
        let signature: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        if kept.iter().any(|there| there["name"] == signature["name"]) {
            return Some(error(409, "SIGNATURE_EXISTS"));
        }
        kept.push(signature);
        Some(Reply::new(201))
    }
}

fn error(status: u16, code: &str) -> Reply {
    Reply::json(&json!({"errors": [{"code": code, "message": "scripted"}]})).status(status)
}
