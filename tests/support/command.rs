//! Child processes that a test waits for.

use std::process::{Command, Output};

/// Runs it to its end and gives its stdout; panics with the command and its stderr when it fails.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = finish(command);
    assert!(output.status.success(), "{command:?}\n{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs it to its end, whatever that is.
pub fn finish(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}
