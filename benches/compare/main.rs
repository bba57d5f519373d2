//! Our program beside skopeo: the same works, run in turn, out of the same registry.
//!
//! `cargo bench --bench compare` prints the table of `docs/performance.md`, which says how it is measured. `-- --help` tells the options.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark panics")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark is read by people")]
#![allow(unreachable_pub, reason = "support is shared with the tests")]

mod containerd;
mod delay_proxy;
mod images;
mod measure;
mod requests;
mod resilience;
mod signed;
mod table;
mod text;
mod works;
#[path = "../../tests/support"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support {
    pub mod blackhole;
    pub mod command;
    pub mod containerd;
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
use measure::Meter;
use resilience::{Programs, Resilience};
use signed::Signed;
use support::docker_registry::DockerRegistry;
use support::peers::peer;
use table::{HEAD, Measured, Row};
use works::{Shape, WORKS, Way, Work};

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
    /// A dead mirror and parallel ranges instead, with ctr beside; needs root, for containerd.
    #[arg(long)]
    resilience: bool,
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

fn main() {
    let options = Options::parse();
    if let Some(target) = &options.proxy {
        be_a_proxy(target, options.far());
    } else if options.bench && options.resilience {
        compare_resilience(&options);
    } else if options.bench {
        compare(&options);
    } else {
        eprintln!("for `cargo bench`");
    }
}

fn compare_resilience(options: &Options) {
    let peers = ["skopeo", "docker-registry", "hyperfine", "time", "containerd", "ctr"].map(peer);
    let [Some(skopeo), Some(docker_registry), Some(hyperfine), Some(time), Some(containerd), Some(ctr)] = peers else {
        return;
    };
    let (registry, meter) = (DockerRegistry::anonymous(&docker_registry), Meter::new(hyperfine, time));
    let skopeo = options.skopeo.clone().unwrap_or(skopeo);
    let programs = Programs { ours: options.ours.clone(), skopeo, containerd, ctr };
    Resilience { programs, registry: &registry, meter: &meter, runs: options.runs.unwrap_or(3) }.print();
}

fn compare(options: &Options) {
    let peers = ["skopeo", "docker-registry", "hyperfine", "time"].map(peer);
    let [Some(skopeo), Some(docker_registry), Some(hyperfine), Some(time)] = peers else { return };
    let bench = Bench {
        plain: DockerRegistry::anonymous(&docker_registry),
        tls: DockerRegistry::tls(&docker_registry),
        mirror: DockerRegistry::anonymous(&docker_registry),
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
    /// Where syncs go.
    mirror: DockerRegistry,
    meter: Meter,
    signed: Signed,
    /// Pushes the images.
    skopeo: PathBuf,
    theirs: PathBuf,
    options: &'a Options,
}

impl Bench<'_> {
    fn row(&self, work: &Work) -> Row {
        let way = work.shape.way();
        let registry = if way == Way::FarOverTls { &self.tls } else { &self.plain };
        if matches!(work.shape, Shape::Pull(_) | Shape::Sync) {
            work.image.push(&self.skopeo, registry, &self.transport_options("--dest-", way));
        }
        if work.image.signed {
            self.signed.sign(&self.skopeo, work.image);
        }
        let round_trip = if way == Way::Near { Duration::ZERO } else { self.options.far() };
        let registries = [registry.host(), self.mirror.host()];
        let proxies = registries.map(|host| DelayProxy::start(host, round_trip));
        let counted = self.runs(work, &proxies.each_ref().map(DelayProxy::host));
        let timed = if way == Way::Near { self.runs(work, &registries) } else { counted.clone() };

        // A sync finds all unchanged only after the first of these.
        for run in &timed {
            self.before(work);
            self.meter.run(run.program, &run.words);
        }
        let mut pairs = [Vec::new(), Vec::new()];
        for run in 0..self.options.runs.unwrap_or(work.runs) {
            // Who goes first changes from pair to pair.
            for which in [run % 2, 1 - run % 2] {
                self.before(work);
                pairs[which].push(self.meter.times(timed[which].program, &timed[which].words));
            }
        }
        let [theirs, ours] = pairs;
        let measured = |which: usize, times| Measured {
            times,
            memory: self.memory(work, &timed[which]),
            traffic: self.traffic(work, &counted[which], &proxies),
        };
        Row { work: work.name, theirs: measured(0, theirs), ours: measured(1, ours) }
    }

    /// So that each run finds the same.
    fn before(&self, work: &Work) {
        if work.shape == Shape::Push {
            self.plain.clear();
        }
    }

    fn memory(&self, work: &Work, run: &Run) -> Vec<u64> {
        let memory = |_| {
            self.before(work);
            self.meter.memory(run.program, &run.words)
        };
        (0..MEMORY_RUNS).map(memory).collect()
    }

    fn traffic(&self, work: &Work, run: &Run, proxies: &[DelayProxy]) -> Traffic {
        let take = || proxies.iter().map(DelayProxy::take_traffic).sum::<Traffic>();
        self.before(work);
        take();
        self.meter.run(run.program, &run.words);
        let traffic = take();
        if self.options.requests {
            println!("\n{} {:?}\n{traffic:#?}\n", run.program.display(), run.words);
        }
        traffic
    }

    /// Theirs, and ours.
    fn runs(&self, work: &Work, hosts: &[impl AsRef<str>; 2]) -> [Run<'_>; 2] {
        let hosts = hosts.each_ref().map(AsRef::as_ref);
        let [theirs, ours] = work.words.map(|words| self.words(work, words, hosts));
        [Run { program: &self.theirs, words: theirs }, Run { program: &self.options.ours, words: ours }]
    }

    fn words(&self, work: &Work, words: &[&str], [host, mirror]: [&str; 2]) -> Vec<String> {
        let copies = words.first() == Some(&"copy");
        let mut words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let in_registry = format!("docker://{host}/{}:1", work.image.name);
        match work.shape {
            Shape::Pull(way) => {
                words.extend(self.transport_options(if copies { "--src-" } else { "--" }, way));
                // There is no place for signatures in a layout.
                let to = if work.image.signed { "dir" } else { &self.options.to };
                if work.image.signed {
                    words.extend(self.signed.options());
                }
                words.push(in_registry);
                words.extend(copies.then(|| self.meter.destination(to)));
            }
            Shape::Push => {
                words.extend(self.transport_options("--dest-", Way::Near));
                words.extend([work.image.layout(), in_registry]);
            }
            Shape::Local(transport) => words.extend([work.image.layout(), self.meter.destination(transport)]),
            Shape::Sync => {
                for prefix in ["--src-", "--dest-"] {
                    words.extend(self.transport_options(prefix, Way::Near));
                }
                words.extend([format!("{host}/{}", work.image.name), mirror.to_owned()]);
            }
        }
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
