//! A process that pulls again and again from a registry that fails one request in twenty.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use transship::config::{Config, Paths};
use transship::error::one_line;
use transship::http::{Clock, Pace, Timeouts};
use transship::policy::Policy;
use transship::source::{self, Clients, Network, Options};
use transship::{copy, destination};

use crate::combination::{LOGICAL, check_remains, configure};
use crate::fault::{FAULTS, Fault};
use crate::proxy;
use crate::support::docker_registry::DockerRegistry;
use crate::support::image::Image;
use crate::support::local::{names, tree};
use crate::support::peers::peer;
use crate::world::{Transport, noise, push};

/// How many pulls, where nobody says.
const PULLS: u64 = 300;
/// From here on nothing may grow.
const SETTLED: u64 = 200;
/// The least memory of so many pulls is what is compared: how much is in use at one moment is chance.
const WINDOW: usize = 50;
const ONE_IN: usize = 20;

/// What the heap may differ by.
const MEMORY_MARGIN_KIB: u64 = 1024;
/// The connections of six threads, be they open or not at the moment.
const FILES_MARGIN: u64 = 12;

/// Tells the process that pulls where.
const ROOT: &str = "TRANSSHIP_SOAK_ROOT";
const COUNT: &str = "TRANSSHIP_SOAK";

/// Those that a server can have now and then.
fn of_one_request() -> Vec<Fault> {
    let always = |fault: &Fault| matches!(fault, Fault::Refuse | Fault::Blackhole | Fault::TlsFailure);
    FAULTS.into_iter().filter(|fault| !always(fault)).collect()
}

fn setting(name: &str) -> Option<String> {
    #[allow(clippy::disallowed_methods, reason = "not a setting of the product")]
    std::env::var_os(name).map(|value| value.into_string().unwrap())
}

#[test]
fn memory_and_open_files_of_a_process_that_pulls_from_a_bad_registry_stay_flat() {
    let Some(program) = peer("docker-registry") else { return };
    let (registry, home) = (DockerRegistry::anonymous(&program), tempfile::tempdir().unwrap());
    push(&registry, &Image::with_layers([5_000, 60_000, 20_000].map(noise)));
    let servers = [proxy::flaky(registry.host(), of_one_request(), ONE_IN)];
    configure(home.path(), &servers, true);
    let pulls = setting(COUNT).map_or(PULLS, |count| count.parse().unwrap());
    assert!(pulls > SETTLED, "{COUNT}: more than {SETTLED}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "soak::the_process_that_pulls"])
        .env(ROOT, home.path())
        .env(COUNT, pulls.to_string())
        // With an arena for each thread, glibc grows for as long as one has not seen everything.
        .env("MALLOC_ARENA_MAX", "2")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once("figures: ")).unwrap().1;
    let figures: Value = serde_json::from_str(line).unwrap();
    println!("{figures:#}");
    let figure = |when: &str, what: &str| figures[when][what].as_u64().unwrap();
    assert_eq!(figures["ended"].as_u64().unwrap() + figures["failed"].as_u64().unwrap(), pulls);
    assert!(figures["ended"].as_u64().unwrap() > pulls / 2, "{line}");
    for when in ["most", "last"] {
        assert!(figure(when, "files") <= figure("settled", "files") + FILES_MARGIN, "{when}: {line}");
    }
    assert!(figure("least_kib", "last") <= figure("least_kib", "settled") + MEMORY_MARGIN_KIB, "{line}");
}

/// One process pulls, and does nothing else.
#[test]
#[ignore = "the test above runs it, in a process of its own"]
fn the_process_that_pulls() {
    let (Some(root), Some(count)) = (setting(ROOT), setting(COUNT)) else { return };
    let root = Path::new(&root);
    let mut paths = Paths::isolated(root);
    paths.registries_conf = Some(root.join("registries.conf"));
    paths.certs_dir = Some(root.join("certs.d"));
    let config = Config::load_from(paths).unwrap();
    let second = Duration::from_secs(1);
    let slowest = Pace { bytes: 1000, time: second };
    let timeouts = Timeouts { idle: second, answer: second, slowest, ..Timeouts::default() };
    let network = Network::new(Network::real(&config, timeouts).wire, Arc::new(HurriedClock::default()));
    let (network, clients) = (Some(network), Some(Clients::default()));
    let options = Options { network, clients, ..Options::default() };

    let (mut ended, mut failed, mut whole) = (0_u64, BTreeMap::<String, u64>::new(), None);
    let (mut settled, mut most, mut last) = (Usage::default(), Usage::default(), Usage::default());
    let count = count.parse::<u64>().unwrap();
    let mut memory = Vec::new();
    for number in 1..=count {
        let directory = root.join(format!("copy-{number}"));
        match pull(&config, &options, &directory) {
            Ok(()) => {
                ended += 1;
                let copy = tree(&directory);
                assert!(*whole.get_or_insert_with(|| copy.clone()) == copy, "another copy of the same image");
            }
            Err(error) => {
                check_remains(&directory).unwrap();
                *failed.entry(reason(&one_line(&error))).or_default() += 1;
            }
        }
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        last = Usage::now();
        memory.push(last.memory_kib);
        if number >= SETTLED {
            most = most.max(last);
            if number == SETTLED {
                settled = last;
            }
        }
    }
    assert_eq!(names(root).iter().filter(|name| name.starts_with("copy")).count(), 0);
    let floor = |until: usize| *memory[until - WINDOW..until].iter().min().unwrap();
    let floors = json!({"settled": floor(SETTLED.try_into().unwrap()), "last": floor(memory.len())});
    // Whether it grows is seen best along the way.
    let tenths: Vec<_> = (1..=10).map(|tenth| memory[memory.len() * tenth / 10 - 1]).collect();
    let of = |usage: Usage| json!({"memory_kib": usage.memory_kib, "files": usage.files, "threads": usage.threads});
    let figures = json!({
        "ended": ended, "failed": failed.values().sum::<u64>(), "reasons": failed,
        "settled": of(settled), "most": of(most), "last": of(last), "least_kib": floors, "memory_kib_by_tenths": tenths,
    });
    println!("figures: {figures}");
}

fn pull(config: &Config, options: &Options, directory: &Path) -> Result<(), copy::Error> {
    let source = source::open_with(config, &LOGICAL.parse().unwrap(), options)?;
    let destination = destination::open(&Transport::Oci.reference(directory)).unwrap();
    copy::image(&*source, &*destination, &Policy::insecure_accept_anything(), &copy::Options::default()).map(drop)
}

/// The last part of an error, without what differs from one to the next.
fn reason(error: &str) -> String {
    let reason = error.rsplit(": ").next().unwrap_or_default().split(" from ").next().unwrap_or_default();
    let words = reason.split_whitespace().filter(|word| !word.contains("sha256:") && !word.contains("127.0.0.1"));
    words.collect::<Vec<_>>().join(" ")
}

/// A wait takes no time, but the clock has moved.
#[derive(Default)]
struct HurriedClock(AtomicU64);

impl Clock for HurriedClock {
    fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) {
        self.0.fetch_add(duration.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    memory_kib: u64,
    files: u64,
    threads: u64,
}

impl Usage {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        // The directory that is read is one of them.
        let files = fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
        Self { memory_kib: field("VmRSS:"), files, threads: field("Threads:") }
    }

    fn max(self, other: Self) -> Self {
        Self {
            memory_kib: self.memory_kib.max(other.memory_kib),
            files: self.files.max(other.files),
            threads: self.threads.max(other.threads),
        }
    }
}
