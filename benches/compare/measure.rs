//! One run of a program, measured by the tools that everybody has: hyperfine for time, GNU time for memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::support::command::run;

/// The measuring programs, and a directory for what the measured ones write.
pub struct Meter {
    hyperfine: PathBuf,
    time: PathBuf,
    work: TempDir,
}

/// Time of one run.
#[derive(Clone, Copy)]
pub struct Times {
    pub wall: Duration,
    /// User and system.
    pub cpu: Duration,
}

impl Meter {
    pub fn new(hyperfine: PathBuf, time: PathBuf) -> Self {
        Self { hyperfine, time, work: tempfile::tempdir().expect("a directory") }
    }

    /// Where a copy goes: not there before any run.
    pub fn destination(&self, transport: &str) -> String {
        let tag = match transport {
            "dir" => "",
            "docker-archive" => ":bench:1",
            _ => ":1",
        };
        format!("{transport}:{}{tag}", self.destination_path().display())
    }

    /// Runs it and does not look.
    pub fn run(&self, program: &Path, words: &[String]) {
        run(self.prepared(program).args(words));
    }

    pub fn times(&self, program: &Path, words: &[String]) -> Times {
        let json = self.work.path().join("hyperfine.json");
        let line: Vec<_> = [program.display().to_string()].iter().chain(words).map(|word| quoted(word)).collect();
        run(self
            .prepared(&self.hyperfine)
            .args(["--shell=none", "--runs=1", "--style=none", "--export-json"])
            .arg(&json)
            .arg(line.join(" ")));
        let report: Value = serde_json::from_slice(&fs::read(json).expect("hyperfine's report")).expect("JSON");
        let seconds = |key: &str| {
            let figure = report.pointer(&format!("/results/0/{key}")).and_then(Value::as_f64);
            Duration::from_secs_f64(figure.expect("a figure of hyperfine's"))
        };
        Times { wall: seconds("mean"), cpu: seconds("user") + seconds("system") }
    }

    /// The peak of resident memory, in KiB.
    pub fn memory(&self, program: &Path, words: &[String]) -> u64 {
        let report = self.work.path().join("time");
        run(self.prepared(&self.time).args(["--format=%M", "--output"]).arg(&report).arg(program).args(words));
        fs::read_to_string(report).expect("the report of time").trim().parse().expect("a number")
    }

    /// An empty home, nothing of the user's, and no destination.
    fn prepared(&self, program: &Path) -> Command {
        drop(fs::remove_dir_all(self.destination_path()));
        drop(fs::remove_file(self.destination_path()));
        let mut command = Command::new(program);
        let home = self.work.path();
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home).env("XDG_CACHE_HOME", home.join("cache"));
        command
    }

    fn destination_path(&self) -> PathBuf {
        self.work.path().join("copy")
    }
}

/// For hyperfine, which splits words as a shell does.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
