//! Where a story is played twice: live, on loopback servers that stand for public names, and again from its recording.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;
use transship::config::{Config, Paths};
use transship::http::{
    Error, HeaderValue, Proxies, Recorder, Replay, Request, Response, TestClock, Timeouts, UreqWire, Wire,
};
use transship::safe_url::SafeUrl;
use transship::source::{Network, Options};

use crate::pull::Pull;

/// The servers and the configuration of one story, and the name of its recording.
pub(crate) struct Stage {
    name: String,
    hosts: Vec<Host>,
    registries_conf: String,
    auth_json: Value,
}

/// A public name, and who plays it.
#[derive(Clone)]
struct Host {
    public: String,
    private: String,
}

impl Stage {
    /// Nobody plays anything yet: a host that nobody plays is not found.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), hosts: Vec::new(), registries_conf: String::new(), auth_json: json!({}) }
    }

    /// Has the server at `private` play `public`, each the beginning of a URL. What is more specific comes first.
    pub(crate) fn host(mut self, public: &str, private: &str) -> Self {
        self.hosts.push(Host { public: public.to_owned(), private: private.to_owned() });
        self
    }

    /// What the administrator wrote.
    pub(crate) fn registries_conf(mut self, text: &str) -> Self {
        text.clone_into(&mut self.registries_conf);
        self
    }

    /// Logs in.
    pub(crate) fn account(self, key: &str, user: &str, password: &str) -> Self {
        self.auth(key, json!({"auth": BASE64.encode(format!("{user}:{password}"))}))
    }

    /// Puts an entry into the auth file.
    pub(crate) fn auth(mut self, key: &str, entry: Value) -> Self {
        self.auth_json["auths"][key] = entry;
        self
    }

    /// Plays the story live and from its recording; both times its assertions must hold.
    ///
    /// The live performance must make the very requests, and get the very answers, that are in the recording. So one request
    /// more, fewer, or another, fails; and no recording can go stale. `TRANSSHIP_RECORD=1` replaces it instead.
    pub(crate) fn play(&self, story: impl Fn(&Pull)) {
        let fresh = tempfile::tempdir().unwrap();
        let fresh = fresh.path().join("fresh.har");
        self.perform_live(&fresh, &story);
        let fixture = self.fixture();
        if is_recording() {
            fs::write(&fixture, fs::read(&fresh).unwrap()).unwrap();
        } else {
            self.assert_recorded(&fixture, &fresh);
        }
        let replay = Arc::new(Strict { replay: Replay::from_file(&fixture).unwrap(), strays: Mutex::default() });
        story(&self.pull(Arc::clone(&replay) as Arc<dyn Wire>));
        assert_eq!(*replay.strays.lock().unwrap(), [""; 0], "{}: was asked what is not recorded", self.name);
        replay.replay.finish().unwrap();
    }

    /// Plays the story live only, where a recording would be too large.
    pub(crate) fn play_unrecorded(&self, story: impl Fn(&Pull)) {
        story(&self.pull(Arc::new(Rehost::new(self.hosts.clone()))));
    }

    fn perform_live(&self, file: &Path, story: impl Fn(&Pull)) {
        let clock = Arc::new(TestClock::default());
        let recorder = Arc::new(Recorder::new(Rehost::new(self.hosts.clone()), file).with_clock(clock));
        story(&self.pull(Arc::clone(&recorder) as Arc<dyn Wire>));
        recorder.finish().unwrap();
    }

    fn assert_recorded(&self, fixture: &Path, fresh: &Path) {
        let advice = "with TRANSSHIP_RECORD=1 the recording is made anew; look at what changed in it";
        assert!(fixture.exists(), "{} is missing; {advice}", fixture.display());
        let (recorded, now) = (entries(fixture), entries(fresh));
        let [recorded_requests, requests] = [&recorded, &now].map(|entries| requests(entries));
        assert_eq!(requests, recorded_requests, "{}: other requests than are recorded; {advice}", self.name);
        assert_eq!(now, recorded, "{}: other traffic than is recorded; {advice}", self.name);
    }

    /// A configuration of its own, a clock of its own, and `wire`.
    fn pull(&self, wire: Arc<dyn Wire>) -> Pull {
        let home = tempfile::tempdir().unwrap();
        let mut paths = Paths::isolated(home.path());
        paths.registries_conf = Some(write(&home, "registries.conf", &self.registries_conf));
        paths.auth_file = Some(write(&home, "auth.json", &self.auth_json.to_string()));
        let clock = Arc::new(TestClock::default());
        let network = Network::new(wire, Arc::clone(&clock) as _);
        let options = Options { network: Some(network), ..Options::default() };
        Pull { config: Config::load_from(paths).unwrap(), options, clock, home }
    }

    fn fixture(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/har").join(format!("{}.har", self.name))
    }
}

fn write(home: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = home.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn is_recording() -> bool {
    #[allow(clippy::disallowed_methods, reason = "not a setting of the product")]
    std::env::var_os("TRANSSHIP_RECORD").is_some_and(|value| value == "1")
}

/// The traffic in a file; who wrote it, and what the system calls an error, may differ.
fn entries(file: &Path) -> Vec<Value> {
    let mut har: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let mut entries = har["log"]["entries"].as_array_mut().map(std::mem::take).unwrap();
    for error in entries.iter_mut().filter_map(|entry| entry.pointer_mut("/response/_error/text")) {
        *error = Value::Null;
    }
    entries
}

fn requests(entries: &[Value]) -> Vec<String> {
    let request = |entry: &Value| {
        let headers = entry["request"]["headers"].as_array().unwrap();
        let authorized = headers.iter().find(|header| header["name"] == "authorization");
        format!("{} {} {}", entry["request"]["method"], entry["request"]["url"], authorized.unwrap_or(&Value::Null))
    };
    entries.iter().map(request).collect()
}

/// A replay that notes what it cannot answer: a caller with another source to turn to would never mention it.
struct Strict {
    replay: Replay,
    strays: Mutex<Vec<String>>,
}

impl Wire for Strict {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        self.replay.send(request).inspect_err(|error| {
            if let Error::Har { source, .. } = error {
                self.strays.lock().unwrap().push(source.to_string());
            }
        })
    }
}

/// Sends to the loopback what is meant for public names, and has the answers name them again.
struct Rehost {
    wire: UreqWire,
    hosts: Vec<Host>,
}

impl Rehost {
    fn new(hosts: Vec<Host>) -> Self {
        Self { wire: UreqWire::new(Timeouts::default(), Proxies::default(), "transship tests"), hosts }
    }

    fn private(&self, url: &SafeUrl) -> Option<SafeUrl> {
        let own = |host: &Host| Some(format!("{}{}", host.private, url.expose().strip_prefix(&host.public)?));
        Some(self.hosts.iter().find_map(own)?.parse().unwrap())
    }

    fn public(&self, value: &HeaderValue) -> HeaderValue {
        let text = value.to_str().unwrap().to_owned();
        self.hosts.iter().fold(text, |text, host| text.replace(&host.private, &host.public)).parse().unwrap()
    }
}

impl Wire for Rehost {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let url = request.url.clone();
        let Some(private) = self.private(&url) else { return Err(Error::HostNotFound { url }) };
        match self.wire.send(&Request { url: private, ..request.clone() }) {
            Ok(mut response) => {
                response.headers.values_mut().for_each(|value| *value = self.public(value));
                Ok(Response { url, ..response })
            }
            Err(Error::Connect { source, .. }) => Err(Error::Connect { url, source }),
            Err(other) => panic!("{url}: {other}; say here how it names the public host"),
        }
    }
}
