//! What README.md says of the library's dependencies.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::page::document;
use crate::run;

/// One platform's are counted, so that the number is the same wherever it is.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The program's own: a command line, a terminal, signals of the system.
const OF_THE_PROGRAM: [&str; 12] = [
    "clap",
    "clap_builder",
    "clap_complete",
    "clap_derive",
    "console",
    "crossterm",
    "ctrlc",
    "indicatif",
    "rpassword",
    "signal-hook",
    "terminal_size",
    "termcolor",
];

/// The crates that the library without default features is built with, so many steps away; names with versions.
fn dependencies(steps: &str) -> BTreeSet<String> {
    let tree = run(Command::new(env!("CARGO"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .args(["tree", "--locked", "--offline", "--target", TARGET, "--edges", "normal", "--prefix", "none"])
        .args(["--no-default-features", "--features", "openpgp-rust", "--depth", steps, "--format", "{p}"]));
    let tree = String::from_utf8(tree).unwrap();
    // A crate that was listed before has a mark behind it.
    let names = tree.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
    names.filter(|name| !name.starts_with("transship ") && !name.is_empty()).collect()
}

#[test]
fn the_readme_counts_the_dependencies_of_the_library() {
    let (direct, all) = (dependencies("1"), dependencies("99"));
    let said = format!("{} crates, {} of them directly", all.len(), direct.len());
    assert!(document("README.md").replace('\n', " ").contains(&said), "README.md does not say: {said}");
}

#[test]
fn nothing_of_the_program_is_in_the_library() {
    let all = dependencies("99");
    assert!(all.iter().any(|name| name.starts_with("ureq ")), "{all:?}");
    for name in all.iter().filter_map(|name| name.split(' ').next()) {
        assert!(!OF_THE_PROGRAM.contains(&name), "the library depends on {name}");
    }
}
