//! `completion`

use std::process::ExitCode;

use clap_complete::Shell;

use super::args::CompletedShell;
use super::{Failure, definition, output};

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
