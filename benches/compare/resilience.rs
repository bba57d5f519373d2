//! What a dead mirror costs, and what parallel ranges bring: ours, skopeo's and ctr's runs beside one another.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::containerd::{PATIENCE, fetch};
use super::delay_proxy::DelayProxy;
use super::images::{Image, MANY, ONE, SMALL};
use super::measure::Meter;
use super::support::blackhole::Blackhole;
use super::support::containerd::Containerd;
use super::support::docker_registry::DockerRegistry;

/// Of each connection, in bytes a second.
const NARROW: u64 = 32 * 1024 * 1024;

pub struct Programs {
    pub ours: PathBuf,
    pub skopeo: PathBuf,
    pub containerd: PathBuf,
    pub ctr: PathBuf,
}

/// The works of this page, against one registry.
pub struct Resilience<'a> {
    pub programs: Programs,
    pub registry: &'a DockerRegistry,
    pub meter: &'a Meter,
    pub runs: usize,
}

impl Resilience<'_> {
    pub fn print(&self) {
        let files = tempfile::tempdir().expect("a directory");
        println!("\n| one blackholed mirror | without it | with it |\n|---|---|---|");
        for (what, image) in [("100 layers", &MANY), ("3 layers", &SMALL)] {
            image.push(&self.programs.skopeo, self.registry, &["--dest-tls-verify=false".to_owned()]);
            let hole = Blackhole::new();
            let with = [hole.address().to_string(), self.registry.host().to_owned()];
            let without = [self.registry.host().to_owned()];
            for (name, program) in [("transship", &self.programs.ours), ("skopeo", &self.programs.skopeo)] {
                let run = |hosts: &[String], runs| self.copy(program, &files, hosts, image, &[], runs);
                println!("| {name}, {what} | {} | {} |", shown(run(&without, self.runs)), shown(run(&with, 1)));
            }
            println!("| ctr, {what} | {} | {} |", self.fetch(&without, image), self.fetch(&with, image));
        }
        self.print_ranges(&files);
    }

    fn print_ranges(&self, files: &TempDir) {
        ONE.push(&self.programs.skopeo, self.registry, &["--dest-tls-verify=false".to_owned()]);
        println!("\n| one layer of 1 GiB | a connection has 32 MiB/s | not limited |\n|---|---|---|");
        let proxy = DelayProxy::narrow(self.registry.host(), NARROW);
        let ways = [vec![proxy.host()], vec![self.registry.host().to_owned()]];
        let row = |name: &str, time: &dyn Fn(&[String]) -> String| {
            println!("| {name} | {} | {} |", time(&ways[0]), time(&ways[1]));
        };
        let copy = |program: &Path, words: &[&str], hosts: &[String]| {
            shown(self.copy(program, files, hosts, &ONE, words, self.runs))
        };
        row("transship", &|hosts| copy(&self.programs.ours, &[], hosts));
        for ranges in ["2", "4", "8"] {
            let flag = format!("--parallel-ranges={ranges}");
            row(&format!("transship `{flag}`"), &|hosts| copy(&self.programs.ours, &[&flag], hosts));
        }
        row("skopeo", &|hosts| copy(&self.programs.skopeo, &[], hosts));
        row("ctr", &|hosts| self.fetch(hosts, &ONE));
    }

    /// The shortest of the runs of `copy`, through registries.conf.
    fn copy(
        &self,
        program: &Path,
        files: &TempDir,
        hosts: &[String],
        image: &Image,
        words: &[&str],
        runs: usize,
    ) -> Duration {
        let conf = files.path().join("registries.conf");
        let (origin, mirrors) = hosts.split_last().expect("an origin");
        let mut text =
            format!("[[registry]]\nprefix = \"registry.example\"\nlocation = \"{origin}\"\ninsecure = true\n");
        // Over https, so that skopeo does not wait twice.
        text.extend(mirrors.iter().map(|mirror| format!("[[registry.mirror]]\nlocation = \"{mirror}\"\n")));
        fs::write(&conf, text).expect("a file");
        let mut line = vec!["--registries-conf".to_owned(), conf.display().to_string()];
        line.extend(["copy".to_owned(), "--insecure-policy".to_owned()]);
        line.extend(words.iter().map(ToString::to_string));
        line.extend([format!("docker://registry.example/{}:1", image.name), self.meter.destination("oci")]);
        let times = (0..runs).map(|_| self.meter.times(program, &line).wall);
        times.min().expect("a run")
    }

    fn fetch(&self, hosts: &[String], image: &Image) -> String {
        let containerd = Containerd::start(&self.programs.containerd);
        let time = fetch(&containerd, &self.programs.ctr, hosts, image.name);
        time.map_or_else(|| format!("> {} s", PATIENCE.as_secs()), shown)
    }
}

fn shown(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
