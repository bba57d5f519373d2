//! Debian's `docker-registry`, on a port and a directory of its own, for as long as the value lives.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::token_server::{ISSUER, SERVICE, TokenServer};

/// The account of every registry that wants one.
pub const USER: &str = "alice";
pub const PASSWORD: &str = "open sesame";
/// `htpasswd -nbB -C 4 alice 'open sesame'`: bcrypt, the only hash that the registry takes.
const HTPASSWD: &str = "alice:$2y$04$9A3CYV8cZ6co3.4.OuOLS.CYc0VZJxfXZW/rVJL0AYWIOcC0wlEUy\n";

/// How long a start may take: tries, and the pause between two of them.
const TRIES: usize = 2000;
const PAUSE: Duration = Duration::from_millis(5);

pub struct DockerRegistry {
    child: Child,
    home: TempDir,
    host: String,
    token_server: Option<TokenServer>,
}

impl DockerRegistry {
    /// Everybody may do everything, over plain http.
    pub fn anonymous(program: &Path) -> Self {
        Self::start(program, new_home(), &json!({}), None)
    }

    /// As [`anonymous`](Self::anonymous), and nothing is ever deleted.
    pub fn without_deletion(program: &Path) -> Self {
        Self::start(program, new_home(), &json!({"deletion": false}), None)
    }

    /// Basic authentication for everything, over plain http.
    pub fn htpasswd(program: &Path) -> Self {
        let home = new_home();
        let users = home.path().join("htpasswd");
        fs::write(&users, HTPASSWD).unwrap();
        let settings = json!({"auth": {"htpasswd": {"realm": "users", "path": users}}});
        Self::start(program, home, &settings, None)
    }

    /// Tokens of a token server (see there who may do what), over plain http.
    pub fn token(program: &Path) -> Self {
        let (home, server) = (new_home(), TokenServer::start());
        let settings = json!({"auth": by_token(home.path(), &server)});
        Self::start(program, home, &settings, Some(server))
    }

    /// Everybody may do everything, over https; [`certs_dir`](Self::certs_dir) has the authority.
    pub fn tls(program: &Path) -> Self {
        let home = new_home();
        let settings = json!({"http": {"tls": self_signed(home.path())}});
        Self::start(program, home, &settings, None)
    }

    /// Tokens as of [`token`](Self::token), over https as of [`tls`](Self::tls).
    pub fn token_over_tls(program: &Path) -> Self {
        let (home, server) = (new_home(), TokenServer::start());
        let settings = json!({"auth": by_token(home.path(), &server), "http": {"tls": self_signed(home.path())}});
        Self::start(program, home, &settings, Some(server))
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// An image here, as the programs name it: `docker://127.0.0.1:port/` and the path.
    pub fn image(&self, path: &str) -> String {
        format!("docker://{}/{path}", self.host)
    }

    /// The directory with the authority of [`tls`](Self::tls), for `--src-cert-dir`.
    pub fn certs_dir(&self) -> PathBuf {
        self.home.path().join("certs")
    }

    /// The token server of [`token`](Self::token).
    pub fn token_server(&self) -> &TokenServer {
        self.token_server.as_ref().expect("a registry with a token server")
    }

    /// What it has written about itself and each of its requests until now.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap()
    }

    /// The bytes that it keeps under a sha256 digest, of a blob or a manifest.
    pub fn kept(&self, digest: &str) -> Vec<u8> {
        let encoded = digest.strip_prefix("sha256:").unwrap();
        let file = self.storage().join("blobs/sha256").join(&encoded[..2]).join(encoded).join("data");
        fs::read(&file).unwrap_or_else(|error| panic!("{digest}: {error}"))
    }

    /// The digest of the manifest that a tag of a repository names.
    pub fn tagged(&self, repository: &str, tag: &str) -> String {
        let link = format!("repositories/{repository}/_manifests/tags/{tag}/current/link");
        fs::read_to_string(self.storage().join(link)).unwrap_or_else(|error| panic!("{repository}:{tag}: {error}"))
    }

    /// Forgets every image. Nobody may be using it.
    pub fn clear(&self) {
        if self.storage().exists() {
            fs::remove_dir_all(self.storage()).unwrap();
        }
    }

    fn storage(&self) -> PathBuf {
        self.home.path().join("storage/docker/registry/v2")
    }

    /// Port 0 is a free one; the registry's own log tells which. Its YAML may as well be JSON.
    fn start(program: &Path, home: TempDir, settings: &Value, token_server: Option<TokenServer>) -> Self {
        let path = home.path();
        let config = json!({
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": true}},
            "storage": {
                "filesystem": {"rootdirectory": path.join("storage")},
                "delete": {"enabled": settings.get("deletion").unwrap_or(&json!(true))},
            },
            "http": {"addr": "127.0.0.1:0", "secret": "of no use", "tls": settings.pointer("/http/tls")},
            "auth": settings.get("auth"),
        });
        fs::write(path.join("config.yml"), config.to_string()).unwrap();
        let log = File::create(path.join("log")).unwrap();
        let child = Command::new(program)
            .arg("serve")
            .arg(path.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut registry = Self { child, home, host: String::new(), token_server };
        registry.wait_until_it_listens();
        registry
    }

    fn wait_until_it_listens(&mut self) {
        for _ in 0..TRIES {
            let log = self.log();
            if let Some((_, rest)) = log.split_once("listening on ")
                && let Some((host, _)) = rest.split_once([',', '"'])
            {
                host.clone_into(&mut self.host);
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "docker-registry ended:\n{log}");
            thread::sleep(PAUSE);
        }
        panic!("docker-registry does not listen:\n{}", self.log());
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn by_token(home: &Path, server: &TokenServer) -> Value {
    let bundle = home.join("issuer.pem");
    fs::write(&bundle, server.certificate()).unwrap();
    json!({"token": {"realm": server.realm(), "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}})
}

fn self_signed(home: &Path) -> Value {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let (certificate, key) = (home.join("certs/ca.crt"), home.join("key.pem"));
    fs::create_dir(home.join("certs")).unwrap();
    fs::write(&certificate, signed.cert.pem()).unwrap();
    fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    json!({"certificate": certificate, "key": key})
}

fn new_home() -> TempDir {
    tempfile::tempdir().unwrap()
}
