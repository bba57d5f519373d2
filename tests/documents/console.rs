//! Blocks of `console`: what is behind `$ ` is typed, `> ` goes on with it, and the rest is what is seen.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Between the outputs of two commands.
const MARK: char = '\u{1}';

struct Step<'a> {
    command: String,
    seen: Vec<&'a str>,
}

/// Types the block into a shell, and compares what is seen. In what the page shows, `…` stands for anything within a
/// line. What gpg says of its own accord is not shown.
pub(crate) fn run(block: &str, shell: &mut Command) {
    let steps = steps(block);
    // The status of a command is the next one's to ask for.
    let script = steps.iter().map(|step| format!("{}\n_s=$?; printf '\\001'; (exit $_s)\n", step.command));
    let output = typed(&script.collect::<String>(), shell);
    let outputs: Vec<_> = output.split(MARK).collect();
    assert_eq!(outputs.len(), steps.len() + 1, "the shell ended early:\n{output}");
    for (step, output) in steps.iter().zip(outputs) {
        let lines: Vec<_> = output.lines().filter(|line| !line.starts_with("gpg: ")).collect();
        let is_same =
            lines.len() == step.seen.len() && step.seen.iter().zip(&lines).all(|(seen, line)| fits(seen, line));
        assert!(is_same, "$ {}\n{output}\nis not what is shown:\n{}", step.command, step.seen.join("\n"));
    }
}

fn steps(block: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), seen: Vec::new() });
        } else if let Some(more) = line.strip_prefix("> ") {
            let command = &mut steps.last_mut().unwrap().command;
            *command = format!("{command}\n{more}");
        } else {
            steps.last_mut().unwrap().seen.push(line);
        }
    }
    steps
}

/// Both outputs of the shell, in their order.
fn typed(script: &str, shell: &mut Command) -> String {
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    write!(child.stdin.take().unwrap(), "exec 2>&1\n{{\n{script}}} < /dev/null\n").unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn fits(shown: &str, line: &str) -> bool {
    let Some((before, after)) = shown.split_once('…') else { return shown == line };
    let Some(rest) = line.strip_prefix(before) else { return false };
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.any(|end| fits(after, &rest[end..]))
}

#[test]
fn an_ellipsis_is_anything_within_a_line_and_nothing_else_is() {
    for (shown, line, expected) in [
        ("a", "a", true),
        ("a", "a b", false),
        ("a … c", "a b c", true),
        ("a … c", "a b", false),
        ("…c", "c", true),
        ("sha256:…", "sha256:0123", true),
        ("… x … y", "é x é y", true),
    ] {
        assert_eq!(fits(shown, line), expected, "{shown} {line}");
    }
}

#[test]
#[should_panic(expected = "is not what is shown")]
fn what_is_seen_and_not_shown_is_an_error() {
    run("$ echo one; echo two\none\n", &mut Command::new("sh"));
}

#[test]
fn the_status_of_a_command_can_be_asked_for() {
    run("$ (exit 5)\n$ echo $?\n5\n$ for i in 1 2; do\n> echo $i; done\n1\n2\n", &mut Command::new("sh"));
}
