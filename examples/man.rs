//! Writes the manual pages into a directory: `cargo run --example man -- DIR`.
//!
//! They are made of the definitions of the flags, as the help is: whoever packages the program installs them in section 1.

#![allow(clippy::print_stderr, reason = "a program may print")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: man DIR");
        return ExitCode::from(2);
    };
    match write_pages(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

/// Writes a page for the program, and one for each of its commands.
pub(crate) fn write_pages(directory: &Path) -> io::Result<()> {
    let mut program = transship::cli::definition().disable_help_subcommand(true);
    // What every command knows is in the page of every command.
    program.build();
    fs::create_dir_all(directory)?;
    for command in program.get_subcommands().chain([&program]).filter(|command| !command.is_hide_set()) {
        let man = Man::new(command.clone()).source(concat!("transship ", env!("CARGO_PKG_VERSION")));
        fs::write(directory.join(man.get_filename()), page(&man, command)?)?;
    }
    Ok(())
}

fn page(man: &Man, command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut examples = Vec::new();
    man.render_extra_section(&mut examples)?;
    // The text behind the help begins with its examples, which the heading does not say by itself.
    let examples = String::from_utf8_lossy(&examples).replacen(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n", 1);
    page.extend(examples.into_bytes());
    Ok(page)
}
