//! Credential helpers made of a few lines of shell.
#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use transship::config::credential_helper::HelperRunner;

/// A search path of its own, with the helpers put there.
pub struct Helpers(tempfile::TempDir);

impl Helpers {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Adds `docker-credential-<name>`.
    ///
    /// Another process writes it: were the file open for writing here, a child that another test starts at this moment
    /// would inherit it, and the kernel refuses to run a file that somebody may write.
    pub fn with(self, name: &str, script: &str) -> Self {
        let path = self.path().join(format!("docker-credential-{name}"));
        let mut writer = Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(path)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut stdin = writer.stdin.take().expect("a pipe");
        write!(stdin, "#!/bin/sh\n{script}\n").expect("a script written");
        drop(stdin);
        assert!(writer.wait().expect("the writer's status").success());
        self
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn runner(&self) -> HelperRunner {
        HelperRunner::new(Some(self.path().into()))
    }
}
