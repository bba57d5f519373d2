//! What is made of the definitions of the flags: manual pages and completions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::man;
use crate::program::Program;
use crate::support::command::run;

/// Every command with its flags; the program itself has the empty name.
fn commands() -> Vec<(String, BTreeSet<String>)> {
    let mut program = transship::cli::definition().disable_help_subcommand(true);
    program.build();
    let flags = |command: &clap::Command| {
        command.get_arguments().filter_map(|flag| flag.get_long()).map(|flag| format!("--{flag}")).collect()
    };
    let commands = program.get_subcommands().map(|command| (command.get_name().to_owned(), flags(command)));
    commands.chain([(String::new(), flags(&program))]).collect()
}

#[test]
fn every_command_has_a_manual_page_with_every_flag_and_two_examples() {
    let directory = tempfile::tempdir().unwrap();
    man::write_pages(directory.path()).unwrap();
    let commands = commands();
    assert!(commands.len() > 14, "{commands:?}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), commands.len());
    for (name, flags) in commands {
        let hyphen = if name.is_empty() { "" } else { "-" };
        let page = fs::read_to_string(directory.path().join(format!("transship{hyphen}{name}.1"))).unwrap();
        let page = page.replace("\\-", "-");
        for flag in &flags {
            assert!(page.contains(&format!("\\fB{flag}\\fR")), "{name} {flag}");
        }
        let (_, examples) = page.split_once(".SH EXAMPLES\n").unwrap_or_else(|| panic!("{name}: no examples"));
        assert_eq!(examples.lines().take_while(|line| line.starts_with("  transship ")).count(), 2, "{name}");
    }
}

#[test]
fn every_shell_completes_every_command_and_flag() {
    let program = Program::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = program.output(&["completion", shell]);
        for (name, flags) in commands() {
            assert!(script.contains(&name), "{shell}: {name}");
            for flag in flags {
                // fish has the dashes of long flags in its own option.
                let written = if shell == "fish" { format!("-l {}", &flag[2..]) } else { flag };
                assert!(script.contains(&written), "{shell}: {name} {written}");
            }
        }
        let path = program.write("script", &script);
        // Where the shell is installed, it must understand the script.
        if Path::new("/usr/bin").join(shell).exists() {
            run(Command::new(shell).arg("-n").arg(&path));
        }
    }
    assert_eq!(program.run(&["completion", "tcsh"]).code, 2);
}

#[test]
fn bash_completes_a_word() {
    let program = Program::new();
    program.write("script", &program.output(&["completion", "bash"]));
    let complete = |words: &str, last: &str| {
        let count = words.split(' ').count();
        let line = format!(
            "source ./script; COMP_WORDS=({words} {last}); COMP_CWORD={count}; \
             _transship transship '{last}' x; echo \"${{COMPREPLY[*]}}\""
        );
        let output = run(Command::new("bash").arg("-c").arg(line).current_dir(program.path("")));
        String::from_utf8(output).unwrap().trim_end().to_owned()
    };
    assert_eq!(complete("transship", "log"), "login logout");
    assert_eq!(complete("transship login", "--pass"), "--password --password-stdin");
    assert_eq!(complete("transship completion", "z"), "zsh");
}
