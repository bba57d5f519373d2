//! What the program says about itself.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::program::{Outcome, Program};

/// Every command, whatever is added; the program itself has the empty name.
fn commands() -> Vec<String> {
    let mut program = transship::cli::definition();
    program.build();
    let named = program.get_subcommands().filter(|command| !command.is_hide_set());
    [""].into_iter().chain(named.map(clap::Command::get_name)).map(str::to_owned).collect()
}

/// The examples of a help, without the program's name.
fn examples(help: &str) -> Vec<&str> {
    let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("no examples:\n{help}"));
    examples.lines().map_while(|line| line.strip_prefix("  transship ")).collect()
}

#[test]
fn every_help_fits_a_hundred_columns_and_has_two_examples() {
    let program = Program::new();
    assert!(commands().len() > 14);
    for command in commands().iter().filter(|command| *command != "help") {
        for flag in ["--help", "-h"] {
            let words: Vec<_> = [command, flag].into_iter().filter(|word| !word.is_empty()).collect();
            let outcome = Outcome::of(program.command().env("COLUMNS", "200").args(&words));
            assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{words:?}");
            // The line of the usage is not folded.
            for line in outcome.stdout.lines().filter(|line| !line.starts_with("Usage: ")) {
                assert!(line.chars().count() <= 100, "{words:?}: {line}");
            }
            let examples = examples(&outcome.stdout);
            assert!(examples.len() >= 2, "{words:?}: {examples:?}");
            assert!(examples.iter().any(|example| example.starts_with(&**command)), "{words:?}: {examples:?}");
        }
    }
}

#[test]
fn the_examples_in_the_help_are_words_that_the_program_takes() {
    let mut program = transship::cli::definition();
    program.build();
    let of_program = program.render_long_help().to_string();
    let of_commands = program.get_subcommands_mut().filter(|command| command.get_name() != "help");
    let helps: Vec<_> = of_commands.map(|command| command.render_long_help().to_string()).collect();
    for help in helps.iter().chain([&of_program]) {
        // What a shell makes of the rest is not ours; another call of the program would be.
        let calls = examples(help).into_iter().flat_map(|example| example.split(" | transship "));
        for call in calls {
            let call = call.split(['|', '>']).next().unwrap().trim_end();
            let words = call.split(' ').map(|word| word.trim_matches('\''));
            if let Err(error) =
                transship::cli::definition().try_get_matches_from(["transship"].into_iter().chain(words))
            {
                panic!("{call}: {error}");
            }
        }
    }
}

#[test]
fn every_command_has_a_section_in_the_page() {
    let page = include_str!("../../docs/transship.md");
    let sections: BTreeSet<_> =
        page.lines().filter_map(|line| line.strip_prefix("### ")).filter_map(|line| line.split(' ').next()).collect();
    let commands = commands();
    let commands = commands.iter().map(String::as_str).filter(|command| !["", "help"].contains(command));
    assert_eq!(sections, commands.collect());
}

#[test]
fn without_a_command_the_help_goes_to_standard_error_and_the_usage_is_wrong() {
    let outcome = Program::new().run(&[]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(outcome.stderr.contains("Usage: transship") && outcome.stderr.contains("Examples:"), "{}", outcome.stderr);
}

#[test]
fn the_version_is_the_packages() {
    for flag in ["--version", "-v", "-V"] {
        let outcome = Program::new().run(&[flag]);
        assert_eq!(outcome.stdout, concat!("transship ", env!("CARGO_PKG_VERSION"), "\n"));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    }
}

#[test]
fn wrong_words_are_told_on_standard_error() {
    let program = Program::new();
    for words in [
        &["copy"][..],
        &["copy", "dir:a"],
        &["copy", "dir:a", "dir:b", "--no-such-flag"],
        &["no-such-command"],
        &["inspect", "--raw", "--format={{.Name}}", "dir:a"],
        &["inspect", "--creds=a:b", "--no-creds", "docker://a"],
        &["copy", "--quiet", "--progress=json", "dir:a", "dir:b"],
        &["copy", "--all", "--multi-arch=system", "dir:a", "dir:b"],
        &["copy", "--policy=p", "--insecure-policy", "dir:a", "dir:b"],
        &["copy", "--image-parallel-copies=0", "dir:a", "dir:b"],
        &["inspect", "--idle-timeout=0", "dir:a"],
        &["inspect", "--tls-verify=maybe", "dir:a"],
        &["explain"],
        &["sync", "--src=dir", "a", "localhost:5000"],
        &["sync", "--src=oci", "--dest=dir", "a", "b"],
        &["sync", "--src=docker", "--dest=dir", "--quiet", "--progress=json", "a", "b"],
    ] {
        let outcome = program.run(words);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{words:?}");
        assert!(!outcome.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn words_that_are_not_utf8_are_wrong_usage_and_no_panic() {
    let word = OsStr::from_bytes(b"docker://\xff");
    for command in [&["copy", "dir:a"][..], &["inspect"], &["list-tags"], &["manifest-digest"], &["explain"]] {
        let outcome = Outcome::of(Program::new().command().args(command).arg(word));
        if command == ["manifest-digest"] {
            outcome.assert_fails(1, &["No such file"]);
            continue;
        }
        outcome.assert_fails(2, &["UTF-8"]);
    }
}

#[test]
fn the_program_and_its_page_name_the_same_flags_and_exit_codes() {
    let page = include_str!("../../docs/transship.md");
    let help = Program::new().output(&["--help"]);
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        let row = page.lines().find(|row| row.starts_with(&format!("| {code} |"))).expect("a row for each code");
        let first_word = meaning.split(' ').next().unwrap();
        assert!(row.contains(first_word), "{row}: {meaning}");
    }
}
