//! The program: words in, exit code out. It uses the library as an embedder would.

use std::error::Error as StdError;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::{config, copy, error, policy, source};

mod args;
mod copy_command;
mod explain;
mod inspect;
mod log;
mod output;
mod progress;
mod settings;
mod template;

use args::{Cli, Command};

/// Any error of a command, on its way to the terminal.
type Failure = Box<dyn StdError>;

/// Runs the program with the words of its command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    log::init(cli.global.debug);
    let outcome = match &cli.command {
        Command::Copy(args) => copy_command::run(&cli.global, args),
        Command::Inspect(args) => inspect::run(&cli.global, args),
        Command::ListTags(args) => inspect::list_tags(&cli.global, args),
        Command::ManifestDigest { file } => inspect::manifest_digest(file),
        Command::Explain(args) => explain::run(&cli.global, args),
    };
    match outcome {
        Ok(code) => code,
        // Who closed the pipe has seen enough.
        Err(failure) if is_broken_pipe(&*failure) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut stderr = io::stderr();
            let _ = writeln!(stderr, "error: {}", harmless(&error::one_line(&*failure)));
            if let Some(hint) = hint(&*failure) {
                let _ = writeln!(stderr, "hint: {hint}");
            }
            exit_code(&*failure)
        }
    }
}

/// A message for a terminal. It may repeat words of a registry or an image, and those do not command the terminal;
/// line ends and tabs are ours.
fn harmless(message: &str) -> String {
    let mut safe = String::with_capacity(message.len());
    for c in message.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t') { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

fn is_broken_pipe(failure: &(dyn StdError + 'static)) -> bool {
    failure.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn exit_code(failure: &(dyn StdError + 'static)) -> ExitCode {
    if let Some(policy::Error::Rejected { .. }) = error::find::<policy::Error>(failure) {
        return ExitCode::from(5);
    }
    match error::find::<source::Error>(failure) {
        Some(error) if error.is_not_found() => ExitCode::from(3),
        Some(error) if error.is_unauthorized() => ExitCode::from(4),
        _ => ExitCode::FAILURE,
    }
}

/// What to do about it.
fn hint(failure: &(dyn StdError + 'static)) -> Option<&'static str> {
    use crate::http::Error as Http;
    if let Some(policy::Error::Rejected { .. }) = error::find::<policy::Error>(failure) {
        return Some("see containers-policy.json(5); `transship explain IMAGE` shows which part of the policy decides");
    }
    if error::find::<source::Error>(failure).is_some_and(source::Error::is_unauthorized) {
        return Some(
            "`transship explain IMAGE` shows which credentials are used; log in with `podman login` or `docker login`, or use --authfile",
        );
    }
    if let Some(copy::Error::Manifest(crate::manifest::Error::NoInstance { .. })) = error::find::<copy::Error>(failure)
    {
        return Some("choose another platform with --override-os, --override-arch and --override-variant");
    }
    if let Some(config::Error::NoPolicy { .. }) = error::find::<config::Error>(failure) {
        return Some("--policy names a policy.json; --insecure-policy allows every image without one");
    }
    match error::find::<Http>(failure)? {
        Http::Connect { .. } | Http::HostNotFound { .. } => {
            Some("`transship explain IMAGE` shows which registries are contacted for an image")
        }
        Http::Timeout { .. } => Some("--connect-timeout and --idle-timeout set how long to wait"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_policy_has_a_hint() {
        let missing = Failure::from(config::Error::NoPolicy { searched: vec!["policy.json".into()] });
        assert!(hint(&*missing).is_some_and(|hint| hint.contains("--policy") && hint.contains("--insecure-policy")));
        assert_eq!(hint(&io::Error::other("something else")), None);
    }

    #[test]
    fn a_message_keeps_its_lines_and_loses_its_escapes() {
        assert_eq!(harmless("a\n\t* é \u{1b}[2J\u{9b}1m\r"), "a\n\t* é \\u{1b}[2J\\u{9b}1m\\r");
    }
}
