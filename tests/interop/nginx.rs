//! nginx with files, over https.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

/// How often it is started where somebody else was faster with the port.
const STARTS: usize = 10;
/// How long a start may take: looks at it, and the pause between two of them.
const LOOKS: usize = 4000;
const PAUSE: Duration = Duration::from_millis(5);

/// Serves the files below [`root`](Self::root); whatever is below `/forbidden/` is 403.
pub(crate) struct Nginx {
    child: Child,
    home: TempDir,
    port: u16,
    ca: String,
}

impl Nginx {
    pub(crate) fn start(program: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("root")).unwrap();
        let ca = write_certificate(home.path());
        for _ in 0..STARTS {
            // nginx does not take port 0, so this one may be somebody else's by the time it is asked for.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(child) = try_port(program, home.path(), port) {
                return Self { child, home, port, ca };
            }
        }
        panic!("nginx does not start:\n{}", error_log(home.path()));
    }

    /// `https://127.0.0.1:port/` and the path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    /// Whom its clients must trust.
    pub(crate) fn ca(&self) -> &str {
        &self.ca
    }

    /// What it was asked for and has answered since the last look: `path status`.
    pub(crate) fn take_answered(&self) -> Vec<String> {
        // It does one thing after the other: when it has said that this is not https, everything before is in the log.
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        let path = self.home.path().join("access.log");
        let log = fs::read_to_string(&path).unwrap();
        // It appends wherever the end is.
        fs::write(&path, "").unwrap();
        log.lines().filter(|line| !line.ends_with(" 400")).map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One process that has the port; `None` where it has not got it.
fn try_port(program: &Path, home: &Path, port: u16) -> Option<Child> {
    let (config, pid) = (home.join("nginx.conf"), home.join("pid"));
    fs::write(&config, configuration(home, port)).unwrap();
    let mut command = Command::new(program);
    command.env_clear().arg("-p").arg(home).arg("-c").arg(&config).arg("-e").arg(home.join("error.log"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..LOOKS {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        // Written when the port is taken.
        if fs::metadata(&pid).is_ok_and(|metadata| metadata.len() > 0) {
            return Some(child);
        }
        thread::sleep(PAUSE);
    }
    panic!("nginx neither listens nor ends:\n{}", error_log(home));
}

fn error_log(home: &Path) -> String {
    fs::read_to_string(home.join("error.log")).unwrap_or_default()
}

/// One process, and no file elsewhere than in `home`.
fn configuration(home: &Path, port: u16) -> String {
    let home = home.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {home}/temporary;\n")).concat();
    format!(
        "daemon off;\nmaster_process off;\npid {home}/pid;\nevents {{}}\nhttp {{\n{temporary}\
         log_format short '$uri $status';\naccess_log {home}/access.log short;\nserver {{\n\
         listen 127.0.0.1:{port} ssl;\nssl_certificate {home}/server.pem;\nssl_certificate_key {home}/server.key;\n\
         root {home}/root;\nlocation /forbidden/ {{ return 403; }}\n}}\n}}\n"
    )
}

/// A certificate for `127.0.0.1`, and the authority that signed it, which is returned.
fn write_certificate(home: &Path) -> String {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority of the signature store");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(home.join("server.pem"), server.pem()).unwrap();
    fs::write(home.join("server.key"), key.serialize_pem()).unwrap();
    ca
}
