//! Our program beside skopeo: the same works, run in turn, out of the same registry.
//!
//! `cargo bench --bench compare` prints the table of `docs/performance.md`, which says how it is measured. `-- --help` tells the options.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark panics")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark is read by people")]
#![allow(unreachable_pub, reason = "support is shared with the tests")]

mod delay_proxy;
mod images;
mod measure;
mod requests;
mod signed;
mod table;
#[path = "../../tests/support"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support {
    pub mod command;
    pub mod docker_registry;
    pub mod oci_layout;
    pub mod peers;
    pub mod reply;
    pub mod request;
    pub mod signature_store;
    pub mod signing_keys;
    pub mod token_server;
}

use std::io::{Write as _, stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use delay_proxy::{DelayProxy, Traffic};
use images::{Image, LARGE, MANY, SIGNED, SMALL};
use measure::Meter;
use signed::Signed;
use support::docker_registry::DockerRegistry;
use support::peers::peer;
use table::{HEAD, Measured, Row};

/// Runs of which the peak of memory is taken.
const MEMORY_RUNS: usize = 3;

/// Our program beside skopeo.
#[derive(Parser)]
struct Options {
    /// The program in our place: anything that has skopeo's words.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_transship"))]
    ours: PathBuf,
    /// The program that it is held against: another skopeo than Debian's.
    #[arg(long)]
    skopeo: Option<PathBuf>,
    /// Where copies go: `oci`, which is skopeo's faster one, or `dir`.
    #[arg(long, default_value = "oci")]
    to: String,
    /// Only the works with this in their name.
    #[arg(long, default_value = "")]
    only: String,
    /// Runs of each program at each work, instead of what suits the work.
    #[arg(long)]
    runs: Option<usize>,
    /// Print the requests too.
    #[arg(long)]
    requests: bool,
    /// Only be a proxy in front of this host:port, until stdin ends.
    #[arg(long, value_name = "HOST:PORT")]
    proxy: Option<String>,
    /// The round trip of the far works and of --proxy, in milliseconds.
    #[arg(long, default_value_t = 50)]
    round_trip: u64,
    /// Given by `cargo bench`, and not by `cargo test --all-targets`, which has no time for this.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Something to do for both.
struct Work {
    name: &'static str,
    words: Words,
    image: &'static Image,
    way: Way,
    runs: usize,
}

/// How the registry is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Near,
    Far,
    FarOverTls,
}

/// Theirs, and ours.
type Words = [&'static [&'static str]; 2];

const COPY: Words = [&["copy", "--insecure-policy"]; 2];
const COPY_SIGNED: Words = [&["copy"]; 2];
/// skopeo has no word for it, and copies.
const VERIFY: Words = [&["copy"], &["verify"]];
const INSPECT: Words = [&["inspect"]; 2];
const INSPECT_NO_TAGS: Words = [&["inspect", "--no-tags"]; 2];

#[rustfmt::skip]
const WORKS: &[Work] = &[
    Work { name: "copy 3 small layers", words: COPY, image: &SMALL, way: Way::Near, runs: 20 },
    Work { name: "copy 100 layers of 75 KB", words: COPY, image: &MANY, way: Way::Near, runs: 20 },
    Work { name: "copy 4 layers, 1 GiB", words: COPY, image: &LARGE, way: Way::Near, runs: 5 },
    Work { name: "copy 3 small layers, signed", words: COPY_SIGNED, image: &SIGNED, way: Way::Near, runs: 20 },
    Work { name: "verify 3 small layers, signed", words: VERIFY, image: &SIGNED, way: Way::Near, runs: 20 },
    Work { name: "inspect, far", words: INSPECT, image: &SMALL, way: Way::Far, runs: 10 },
    Work { name: "inspect without tags, far", words: INSPECT_NO_TAGS, image: &SMALL, way: Way::Far, runs: 10 },
    Work { name: "inspect without tags, far, over TLS", words: INSPECT_NO_TAGS, image: &SMALL, way: Way::FarOverTls, runs: 10 },
    Work { name: "copy 3 small layers, far", words: COPY, image: &SMALL, way: Way::Far, runs: 10 },
    Work { name: "copy 3 small layers, far, over TLS", words: COPY, image: &SMALL, way: Way::FarOverTls, runs: 10 },
    Work { name: "copy 100 layers of 75 KB, far", words: COPY, image: &MANY, way: Way::Far, runs: 5 },
];

fn main() {
    let options = Options::parse();
    if let Some(target) = &options.proxy {
        be_a_proxy(target, options.far());
    } else if options.bench {
        compare(&options);
    } else {
        eprintln!("for `cargo bench`");
    }
}

fn compare(options: &Options) {
    let peers = ["skopeo", "docker-registry", "hyperfine", "time"].map(peer);
    let [Some(skopeo), Some(docker_registry), Some(hyperfine), Some(time)] = peers else { return };
    let bench = Bench {
        plain: DockerRegistry::anonymous(&docker_registry),
        tls: DockerRegistry::tls(&docker_registry),
        meter: Meter::new(hyperfine, time),
        theirs: options.skopeo.clone().unwrap_or_else(|| skopeo.clone()),
        signed: Signed::new(),
        skopeo,
        options,
    };
    println!("{} → {} (**ratio**), copies into `{}:`\n", bench.theirs.display(), options.ours.display(), options.to);
    println!("{HEAD}");
    for work in WORKS.iter().filter(|work| work.name.contains(&options.only)) {
        println!("{}", bench.row(work));
        stdout().flush().unwrap();
    }
}

/// One program, and what it is told.
#[derive(Clone)]
struct Run<'a> {
    program: &'a Path,
    words: Vec<String>,
}

struct Bench<'a> {
    plain: DockerRegistry,
    tls: DockerRegistry,
    meter: Meter,
    signed: Signed,
    /// Pushes the images.
    skopeo: PathBuf,
    theirs: PathBuf,
    options: &'a Options,
}

impl Bench<'_> {
    fn row(&self, work: &Work) -> Row {
        let registry = if work.way == Way::FarOverTls { &self.tls } else { &self.plain };
        work.image.push(&self.skopeo, registry, &self.transport_options("--dest-", work.way));
        if work.image.signed {
            self.signed.sign(&self.skopeo, work.image);
        }
        let round_trip = if work.way == Way::Near { Duration::ZERO } else { self.options.far() };
        let proxy = DelayProxy::start(registry.host(), round_trip);
        let counted = self.runs(work, &proxy.host());
        let timed = if work.way == Way::Near { self.runs(work, registry.host()) } else { counted.clone() };

        for run in &timed {
            self.meter.run(run.program, &run.words);
        }
        let mut pairs = [Vec::new(), Vec::new()];
        for run in 0..self.options.runs.unwrap_or(work.runs) {
            // Who goes first changes from pair to pair.
            for which in [run % 2, 1 - run % 2] {
                pairs[which].push(self.meter.times(timed[which].program, &timed[which].words));
            }
        }
        let [theirs, ours] = pairs;
        let measured = |which: usize, times| Measured {
            times,
            memory: self.memory(&timed[which]),
            traffic: self.traffic(&counted[which], &proxy),
        };
        Row { work: work.name, theirs: measured(0, theirs), ours: measured(1, ours) }
    }

    fn memory(&self, run: &Run) -> Vec<u64> {
        (0..MEMORY_RUNS).map(|_| self.meter.memory(run.program, &run.words)).collect()
    }

    fn traffic(&self, run: &Run, proxy: &DelayProxy) -> Traffic {
        proxy.take_traffic();
        self.meter.run(run.program, &run.words);
        let traffic = proxy.take_traffic();
        if self.options.requests {
            println!("\n{} {:?}\n{traffic:#?}\n", run.program.display(), run.words);
        }
        traffic
    }

    /// Theirs, and ours.
    fn runs(&self, work: &Work, host: &str) -> [Run<'_>; 2] {
        let [theirs, ours] = work.words.map(|words| self.words(work, words, host));
        [Run { program: &self.theirs, words: theirs }, Run { program: &self.options.ours, words: ours }]
    }

    fn words(&self, work: &Work, words: &[&str], host: &str) -> Vec<String> {
        let copies = words.first() == Some(&"copy");
        let mut words: Vec<String> = words.iter().map(ToString::to_string).collect();
        words.extend(self.transport_options(if copies { "--src-" } else { "--" }, work.way));
        // There is no place for signatures in a layout.
        let to = if work.image.signed { "dir" } else { &self.options.to };
        if work.image.signed {
            words.extend(self.signed.options());
        }
        words.push(format!("docker://{host}/{}:1", work.image.name));
        words.extend(copies.then(|| self.meter.destination(to)));
        words
    }

    fn transport_options(&self, prefix: &str, way: Way) -> Vec<String> {
        match way {
            Way::Near | Way::Far => vec![format!("{prefix}tls-verify=false")],
            Way::FarOverTls => vec![format!("{prefix}cert-dir"), self.tls.certs_dir().display().to_string()],
        }
    }
}

impl Options {
    fn far(&self) -> Duration {
        Duration::from_millis(self.round_trip)
    }
}

fn be_a_proxy(target: &str, round_trip: Duration) {
    let proxy = DelayProxy::start(target, round_trip);
    println!("{}", proxy.host());
    std::io::copy(&mut stdin(), &mut std::io::sink()).unwrap();
    println!("{:#?}", proxy.take_traffic());
}
