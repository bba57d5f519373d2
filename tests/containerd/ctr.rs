//! `ctr` reads the same files and asks the same hosts in the same order.
//!
//! It asks with `HEAD` what a name means, and `GET`s the content then; we ask once. What is compared is who is asked what
//! the name means, in which order and with which `ns`.

use std::sync::{Arc, Mutex};

use crate::support::clients::isolated;
use crate::support::closed_port::ClosedPort;
use crate::support::command::finish;
use crate::support::image::Image;
use crate::support::peers::peer;
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::tree::Tree;

/// Servers that write what they are asked into one log, in order.
struct Hosts {
    log: Arc<Mutex<Vec<(String, String)>>>,
    servers: Vec<Server>,
    image: Image,
}

impl Hosts {
    fn new() -> Self {
        Self { log: Arc::default(), servers: Vec::new(), image: Image::with_layers(["one"]) }
    }

    /// A host that answers each question with this status; 200 has the image.
    fn add(&mut self, name: &'static str, status: u16) -> String {
        let (log, manifest, media_type) = (Arc::clone(&self.log), self.image.manifest(), self.image.media_type());
        let digest = self.image.digest().to_string();
        self.servers.push(Server::http(move |request| {
            log.lock().unwrap().push((request.method.clone(), format!("{name} {}", request.target)));
            match status {
                200 => Reply::ok(manifest.clone())
                    .header("Content-Type", media_type)
                    .header("Docker-Content-Digest", &digest),
                _ => Reply::new(status),
            }
        }));
        self.servers.last().unwrap().url("")
    }

    /// What was asked with `method` since the last call, each question once.
    fn take(&self, method: &str) -> Vec<String> {
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        let mut asked: Vec<_> = log.into_iter().filter(|(with, _)| with == method).map(|(_, asked)| asked).collect();
        asked.dedup();
        asked
    }
}

/// A hosts.toml with the URLs of hosts that answer with these statuses, and of one that is away behind them.
struct Case {
    name: &'static str,
    statuses: &'static [u16],
    file: &'static str,
    text: fn(&[String]) -> String,
    expected: &'static [&'static str],
}

const OWN: &str = "registry.example/hosts.toml";

const WITHOUT_RESOLVE: Case = Case {
    name: "a mirror without resolve",
    statuses: &[200, 200],
    file: OWN,
    text: |url| format!("server = '{}'\n[host.'{}']\ncapabilities = ['pull']", url[1], url[0]),
    expected: &["1"],
};

const SERVER_ALONE: Case = Case {
    name: "a server alone",
    statuses: &[200],
    file: OWN,
    // ctr 1.6 wants a table of hosts, be it empty.
    text: |url| format!("server = '{}/prefix'\n[host]", url[0]),
    expected: &["0"],
};

const CASES: &[Case] = &[
    WITHOUT_RESOLVE,
    SERVER_ALONE,
    Case {
        name: "a mirror that has not got it",
        statuses: &[404, 200],
        file: OWN,
        text: |url| format!("server = '{}'\n[host.'{}']\ncapabilities = ['pull', 'resolve']", url[1], url[0]),
        expected: &["0", "1"],
    },
    Case {
        name: "mirrors that fail",
        statuses: &[500, 403, 503, 200],
        file: OWN,
        text: |url| format!("server = '{}'\n[host.'{}']\n[host.'{}']\n[host.'{}']", url[3], url[0], url[1], url[2]),
        expected: &["0", "1", "2", "3"],
    },
    Case {
        name: "a mirror that is away",
        statuses: &[200],
        file: OWN,
        text: |url| format!("server = '{}'\n[host.'{}']", url[0], url[1]),
        expected: &["0"],
    },
    Case {
        name: "the order of the file is not that of the names",
        statuses: &[404, 404, 200],
        file: OWN,
        text: |url| format!("[host.'{}/z']\n[host.'{}/a']\n[host.'{}/m']\n", url[0], url[1], url[2]),
        expected: &["0", "1", "2"],
    },
    Case {
        name: "a path as it is",
        statuses: &[404, 200],
        file: OWN,
        text: |url| format!("server = '{}'\n[host.'{}/v2/cache']\noverride_path = true", url[1], url[0]),
        expected: &["0", "1"],
    },
    Case {
        name: "the directory of all others",
        statuses: &[404, 200],
        file: "_default/hosts.toml",
        text: |url| format!("server = '{}'\n[host.'{}']", url[1], url[0]),
        expected: &["0", "1"],
    },
];

#[test]
fn the_same_hosts_are_asked_in_the_same_order() {
    let Some(ctr) = peer("ctr") else { return };
    for case in CASES {
        let mut hosts = Hosts::new();
        let names = ["0", "1", "2", "3"];
        let mut urls: Vec<_> = names.iter().zip(case.statuses).map(|(name, status)| hosts.add(name, *status)).collect();
        let closed = ClosedPort::new();
        urls.push(format!("http://{}", closed.address()));
        let tree = Tree::new();
        tree.write(case.file, &(case.text)(&urls));
        assert_same(&ctr, &tree, &hosts, case, "registry.example/org/app:1");
    }
}

#[test]
fn by_digest_a_mirror_without_resolve_is_asked_by_both() {
    let Some(ctr) = peer("ctr") else { return };
    let mut hosts = Hosts::new();
    let urls = [hosts.add("0", 404), hosts.add("1", 200)];
    let tree = Tree::new();
    let case = &Case { name: "by digest", expected: &["0", "1"], ..WITHOUT_RESOLVE };
    tree.write(OWN, &(case.text)(&urls));
    assert_same(&ctr, &tree, &hosts, case, &format!("registry.example/org/app@{}", hosts.image.digest()));
}

#[test]
fn the_port_of_a_directory_is_written_either_way() {
    let Some(ctr) = peer("ctr") else { return };
    for file in ["registry.example_5000_/hosts.toml", "registry.example:5000/hosts.toml"] {
        let mut hosts = Hosts::new();
        let (url, other) = (hosts.add("0", 200), hosts.add("1", 200));
        let tree = Tree::new();
        tree.write(file, &format!("server = '{url}'\n[host]"));
        tree.write("_default/hosts.toml", &format!("server = '{other}'\n[host]"));
        tree.write("registry.example/hosts.toml", &format!("server = '{other}'\n[host]"));
        assert_same(&ctr, &tree, &hosts, &Case { name: file, ..SERVER_ALONE }, "registry.example:5000/org/app:1");
    }
}

/// Both are asked for the image, one after the other.
fn assert_same(ctr: &std::path::Path, tree: &Tree, hosts: &Hosts, case: &Case, reference: &str) {
    let mut its = isolated(ctr, tree.path());
    tree.write("registries.conf", "");
    // No daemon is asked for this.
    its.args(["--address", "/nowhere", "content", "fetch-object", "--hosts-dir"]).arg(tree.path()).arg(reference);
    let output = finish(&mut its);
    assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
    let its = hosts.take("HEAD");
    let mut ours = isolated(std::path::Path::new(env!("CARGO_BIN_EXE_transship")), tree.path());
    ours.args(["inspect", "--raw", "--hosts-dir"]).arg(tree.path()).arg(format!("docker://{reference}"));
    let output = finish(&mut ours);
    assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, hosts.image.manifest());
    let ours = hosts.take("GET");
    let who: Vec<_> = ours.iter().map(|asked| asked.split(' ').next().unwrap()).collect();
    assert_eq!(who, case.expected, "{}", case.name);
    assert_eq!(ours, its, "{}", case.name);
}
