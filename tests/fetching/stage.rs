//! Public names that one loopback server plays, by a script.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use transship::SafeUrl;
use transship::config::{Capabilities, Config, Host, Paths, PullSource};
use transship::http::{Error, Proxies, Request, Response, TestClock, Timeouts, UreqWire, Wire};
use transship::reference::Reference;
use transship::source::{Network, Options};

use crate::support::closed_port::ClosedPort;
use crate::support::reply::Reply;
use crate::support::request::ReceivedRequest;
use crate::support::server::Server;

/// Which requests are answered with what, in their order; the last answer is given again and again.
pub(crate) type Script = Vec<(&'static str, Vec<Reply>)>;

/// A server that plays every host, and a machine without any configuration.
pub(crate) struct Stage {
    server: Server,
    closed: ClosedPort,
    home: TempDir,
}

impl Stage {
    /// A request is for the first part of the script whose words are all in `METHOD http://host/path?query`; for none of
    /// them, it is 404.
    pub(crate) fn new(script: Script) -> Self {
        let asked: Mutex<HashMap<usize, usize>> = Mutex::default();
        let server = Server::http(move |request| {
            let line = public_line(request);
            let fits = |words: &str| words.split(' ').all(|word| line.contains(word));
            let Some(part) = script.iter().position(|(words, _)| fits(words)) else { return Reply::new(404) };
            let mut asked = asked.lock().unwrap();
            let count = asked.entry(part).or_default();
            let answers = &script[part].1;
            let answer = answers[(*count).min(answers.len() - 1)].clone();
            *count += 1;
            answer
        });
        Self { server, closed: ClosedPort::new(), home: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn config(&self) -> Config {
        Config::load_from(Paths::isolated(self.home.path())).unwrap()
    }

    /// A clock that waits for nothing, and a wire on which everybody is this server, or nobody.
    pub(crate) fn options(&self) -> Options {
        let wire = UreqWire::new(Timeouts::default(), Proxies::default(), "transship/test");
        let (server, closed) = (self.server.authority(), self.closed.address().to_string());
        let network = Network::new(Arc::new(Rehosted { wire, server, closed }), Arc::new(TestClock::default()));
        Options { network: Some(network), ..Options::default() }
    }

    /// What was received, as it would have been by the hosts themselves.
    pub(crate) fn requests(&self) -> Vec<(String, ReceivedRequest)> {
        self.server.requests().into_iter().map(|request| (public_line(&request), request)).collect()
    }
}

/// `METHOD http://host/path?query`
fn public_line(request: &ReceivedRequest) -> String {
    format!("{} http://{}", request.method, request.target.trim_start_matches('/'))
}

/// Sends everything to one server, with the host as the first part of the path; what is for `refused.test` to nobody.
struct Rehosted {
    wire: UreqWire,
    server: String,
    closed: String,
}

impl Wire for Rehosted {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let public = request.url.clone();
        let (scheme, rest) = public.expose().split_once("://").unwrap();
        assert_eq!(scheme, "http", "{public}");
        let server = if rest.starts_with("refused.test") { &self.closed } else { &self.server };
        let request = Request { url: format!("http://{server}/{rest}").parse().unwrap(), ..request.clone() };
        let response = self.wire.send(&request)?;
        Ok(Response { url: public, ..response })
    }
}

/// A pull source at `http://<host><path>`, or `/v2` there.
pub(crate) fn pull_source(reference: &Reference, host: &str, path: &str, capabilities: Capabilities) -> PullSource {
    let path = if path.is_empty() { "/v2" } else { path };
    let base: SafeUrl = format!("http://{host}{path}").parse().unwrap();
    let logical = reference.domain();
    let physical = reference.to_string().replacen(logical, host, 1).parse().unwrap();
    let namespace = (host != logical).then(|| logical.to_owned());
    let is_mirror = namespace.is_some();
    PullSource::at_host(physical, Host { capabilities, namespace, ..Host::at(base) }, is_mirror)
}
