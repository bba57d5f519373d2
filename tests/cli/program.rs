//! Our program in a home of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::clients::isolated;
use crate::support::command::finish;

pub const ACCEPT_ANYTHING: &str = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;

/// A home with a policy that accepts anything, an empty registries.conf, and no credentials.
pub struct Program {
    home: TempDir,
}

impl Program {
    pub const PATH: &'static str = env!("CARGO_BIN_EXE_transship");

    pub fn new() -> Self {
        let program = Self { home: tempfile::tempdir().unwrap() };
        fs::create_dir_all(program.path(".config/containers/registries.d")).unwrap();
        program.policy(ACCEPT_ANYTHING);
        program.registries_conf("");
        program
    }

    /// A path in the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn policy(&self, text: &str) {
        self.write(".config/containers/policy.json", text);
    }

    pub fn registries_conf(&self, text: &str) {
        self.write("registries.conf", text);
    }

    pub fn command(&self) -> Command {
        self.by(Self::PATH)
    }

    /// Another program, which may start ours.
    pub fn by(&self, path: &str) -> Command {
        isolated(Path::new(path), self.home.path())
    }

    pub fn run(&self, words: &[&str]) -> Outcome {
        Outcome::of(self.command().args(words))
    }

    /// Runs what must succeed, and gives its standard output.
    pub fn output(&self, words: &[&str]) -> String {
        let outcome = self.run(words);
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.stderr);
        outcome.stdout
    }
}

/// What a run of the program has left.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(command: &mut Command) -> Self {
        let output = finish(command);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Failed with this code and all these words in its message, and with nothing on standard output.
    pub fn assert_fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
    }

    /// The same behind warnings.
    pub fn assert_fails_after_warnings(&self, code: i32, words: &[&str]) {
        let errors = self.stderr.split_once("error: ").map_or("", |(_, error)| error);
        let outcome = Self { stderr: format!("error: {errors}"), stdout: self.stdout.clone(), ..*self };
        outcome.assert_fails(code, words);
    }

    /// The JSON objects, one from each line of standard output.
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The names of the files below a directory, sorted.
pub fn files(directory: &Path) -> Vec<String> {
    crate::support::local::names(directory).into_iter().collect()
}
