//! `completion`

use std::process::ExitCode;

use clap::ValueEnum;
use clap_complete::Shell;

use super::{Failure, definition, output};

/// The shells whose words can be completed.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompletedShell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

pub(super) fn run(shell: CompletedShell) -> Result<ExitCode, Failure> {
    let shell = match shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "transship", &mut script);
    output::print_bytes(&script)
}
