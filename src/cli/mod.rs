//! The program: words in, exit code out. It uses the library as an embedder would.

use std::error::Error as StdError;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use crate::manifest::convert;
use crate::{config, copy, destination, error, policy, registry, source, store, sync};

mod args;
mod completion;
mod copy_command;
mod delete;
mod explain;
mod explain_fetch;
mod fetch;
mod fetch_args;
mod fetch_output;
mod format_args;
mod inspect;
mod interrupt;
mod log;
mod login;
mod login_args;
mod output;
mod passphrase;
mod password;
mod progress;
mod range_args;
mod registry_args;
mod remedy;
mod settings;
mod signature_args;
mod standalone;
mod store_args;
mod store_commands;
mod sync_args;
mod sync_command;
mod sync_progress;
mod template;
mod transfer_args;
mod verify;

use args::{Cli, Command};

/// Any error of a command, on its way to the terminal.
type Failure = Box<dyn StdError>;

/// The exit code for words that make no sense, as that of clap's.
const WRONG_USAGE: u8 = 2;
/// The exit code when the policy does not allow an image.
const NOT_ALLOWED: u8 = 5;
/// The exit code when nobody can tell whether it does.
const UNDECIDED: u8 = 6;

const WITHOUT_SIGNATURES: &str = "--remove-signatures copies the image without its signatures";
const BOTH_KINDS: &str = "--dest-compress-format gzip makes layers that both kinds of manifest have";

/// Words that clap lets pass and that make no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Ends the program where a flag is given that changes nothing: who gave it means something else.
fn refuse_unused(matches: &ArgMatches) {
    let Some((name, of_command)) = matches.subcommand() else { return };
    let is_given = |id: &str| of_command.value_source(id) == Some(ValueSource::CommandLine);
    let definition = Cli::command();
    let mut flags = definition.get_arguments().filter(|flag| flag.is_global_set() && flag.get_id() != "debug");
    if let Some(flag) = flags.find(|flag| is_given(flag.get_id().as_str())) {
        let text = format!("{name} asks nobody, and has no use for --{}", flag.get_long().unwrap_or_default());
        Cli::command().error(ErrorKind::ArgumentConflict, text).exit();
    }
}

/// The commands and flags of the program: what manual pages are made of.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the program with the words of its command line.
pub fn run() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if matches!(cli.command, Command::Images(_) | Command::Rmi(_) | Command::Prune(_)) {
        refuse_unused(&matches);
    }
    log::init(cli.global.debug);
    let outcome = match &cli.command {
        Command::Copy(args) => copy_command::run(&cli.global, args),
        Command::Sync(args) => sync_command::run(&cli.global, args),
        Command::Pull(args) => store_commands::pull(&cli.global, args),
        Command::Images(args) => store_commands::images(args),
        Command::Rmi(args) => store_commands::rmi(args),
        Command::Prune(args) => store_commands::prune(args),
        Command::Inspect(args) => inspect::run(&cli.global, args),
        Command::ListTags(args) => inspect::list_tags(&cli.global, args),
        Command::Delete(args) => delete::run(&cli.global, args),
        Command::Login(args) => login::login(&cli.global, args),
        Command::Logout(args) => login::logout(&cli.global, args),
        Command::ManifestDigest { file } => inspect::manifest_digest(file),
        Command::FetchObject(args) => fetch::object(&cli.global, args),
        Command::FetchBlob(args) => fetch::blob(&cli.global, args),
        Command::Explain(args) => explain::run(&cli.global, args),
        Command::Verify(args) => verify::run(&cli.global, args),
        Command::StandaloneSign(args) => standalone::sign(args),
        Command::StandaloneVerify(args) => standalone::verify(args),
        Command::UntrustedSignatureDump { file } => standalone::dump(file),
        Command::GenerateSigstoreKey(args) => standalone::generate_sigstore_key(args),
        Command::Completion { shell } => completion::run(*shell),
    };
    match outcome {
        Ok(code) => code,
        // Who closed the pipe has seen enough.
        Err(failure) if is_broken_pipe(&*failure) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(code) = interrupt::exit_code() {
                interrupt::say();
                return code;
            }
            say(&*failure);
            exit_code(&*failure)
        }
    }
}

/// Says what is wrong, and what to do about it.
fn say(failure: &(dyn StdError + 'static)) {
    let mut stderr = io::stderr();
    let _ = writeln!(stderr, "error: {}", harmless(&error::one_line(failure)));
    if let Some(hint) = hint(failure) {
        let _ = writeln!(stderr, "hint: {hint}");
    }
}

/// A message for a terminal. It may repeat words of a registry or an image, and those do not command the terminal;
/// line ends and tabs are ours.
fn harmless(message: &str) -> String {
    let mut safe = String::with_capacity(message.len());
    for c in message.chars() {
        let is_ours = matches!(c, '\n' | '\t');
        if (c.is_control() && !is_ours) || error::is_bidi_control(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

fn is_broken_pipe(failure: &(dyn StdError + 'static)) -> bool {
    failure.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn exit_code(failure: &(dyn StdError + 'static)) -> ExitCode {
    if error::find::<Usage>(failure).is_some() {
        return ExitCode::from(WRONG_USAGE);
    }
    match error::find::<policy::Error>(failure) {
        Some(error) if error.is_refused() => return ExitCode::from(NOT_ALLOWED),
        // Why nobody can tell matters less than that.
        Some(_) => return ExitCode::from(UNDECIDED),
        None => {}
    }
    if let Some(error) = error::find::<destination::Error>(failure) {
        return if error.is_unauthorized() { ExitCode::from(4) } else { ExitCode::FAILURE };
    }
    if let Some(store::Error::NoSuchImage { .. }) = error::find(failure) {
        return ExitCode::from(3);
    }
    match error::find::<source::Error>(failure) {
        Some(error) if error.is_not_found() => ExitCode::from(3),
        Some(error) if error.is_unauthorized() => ExitCode::from(4),
        _ => ExitCode::FAILURE,
    }
}

/// What to do about it.
fn hint(failure: &(dyn StdError + 'static)) -> Option<&'static str> {
    use crate::config::auth_file::WriteError;
    use crate::http::Error as Http;
    if let Some(error) = error::find::<policy::Error>(failure) {
        return of_policy(error);
    }
    if let Some(hint) = error::find(failure).and_then(of_copy) {
        return Some(hint);
    }
    if let Some(hint) = error::find(failure).and_then(of_store) {
        return Some(hint);
    }
    if error::find::<store_commands::Damaged>(failure).is_some() {
        return Some("`transship pull --store DIR IMAGE` repairs an image, under one of its names");
    }
    if let Some(sync::Error::SamePlace { .. }) = error::find(failure) {
        return Some("--scoped keeps images apart whose names end alike");
    }
    if error::find::<fetch::ForTerminal>(failure).is_some() {
        return Some(
            "--output FILE writes it to a file, --output - to standard output all the same; --media-type says what it is",
        );
    }
    if error::find(failure).is_some_and(destination::Error::is_about_signatures) {
        return Some(WITHOUT_SIGNATURES);
    }
    if error::find::<registry::Error>(failure).is_some_and(registry::Error::is_refused_login) {
        return Some("the user name or the password is wrong; the login that there was stays as it is");
    }
    if let Some(remedy) = remedy::of(failure) {
        return Some(remedy);
    }
    if error::find::<source::Error>(failure).is_some_and(source::Error::is_unauthorized) {
        return Some(
            "`transship explain IMAGE` shows which credentials are used; log in with `transship login`, or use --authfile",
        );
    }
    if let Some(config::Error::NoPolicy { .. }) = error::find::<config::Error>(failure) {
        return Some("--policy names a policy.json; --insecure-policy allows every image without one");
    }
    if let Some(WriteError::Write { .. } | WriteError::NoDirectory(_)) = error::find::<WriteError>(failure) {
        return Some("--authfile names another auth file");
    }
    match error::find::<Http>(failure)? {
        Http::Connect { .. } | Http::HostNotFound { .. } => {
            Some("`transship explain IMAGE` shows which registries are contacted for an image")
        }
        Http::Tls { .. } => Some(
            "an insecure registry is one with --tls-verify=false (of copy and sync: --src-tls-verify, --dest-tls-verify), or with insecure = true in registries.conf",
        ),
        Http::Timeout { .. } => Some("--connect-timeout and --idle-timeout set how long to wait"),
        _ => None,
    }
}

fn of_copy(error: &copy::Error) -> Option<&'static str> {
    use crate::manifest::Error::NoInstance;
    use convert::Error::LayerType;
    use copy::{Error, Unchangeable};
    match error {
        Error::NoIdentity(_) => Some("give one, with its tag: --sign-identity quay.io/org/app:1"),
        Error::CannotChange { reason: Unchangeable::Signed, .. } => Some(WITHOUT_SIGNATURES),
        Error::CannotChange { reason: Unchangeable::DigestedDestination, .. } => {
            Some("a destination with a tag takes an image with any digest")
        }
        Error::CannotChange { reason: Unchangeable::PreserveDigests, .. } => {
            Some("without --preserve-digests the image may change")
        }
        Error::Manifest(NoInstance { .. }) => Some(
            "choose another platform with --override-os, --override-arch and --override-variant, or with --platform of pull",
        ),
        Error::NotAccepted(_) => Some(
            "leave out --format where it says which kind, and --all where the place holds one image and no index, as docker-archive: does",
        ),
        Error::NoZstd => Some(BOTH_KINDS),
        Error::Convert { source: LayerType { media_type, .. }, .. } if media_type.ends_with("zstd") => Some(BOTH_KINDS),
        _ => None,
    }
}

fn of_store(error: &store::Error) -> Option<&'static str> {
    match error {
        store::Error::NoStore { .. } => Some("`transship pull --store DIR IMAGE` makes one"),
        store::Error::NoSuchImage { .. } | store::Error::AmbiguousId { .. } => {
            Some("`transship images --store DIR` lists the images with their names and ids")
        }
        store::Error::NoProgress { .. } => Some(
            "pull again: what came of large layers is kept; --progress-timeout sets how long nothing may come, 0 is for ever",
        ),
        _ => None,
    }
}

fn of_policy(error: &policy::Error) -> Option<&'static str> {
    let judgement = error.judgement()?;
    if !error.is_refused() {
        return None;
    }
    if judgement.lacks_signatures() {
        return Some("`transship explain IMAGE` shows where signatures are looked for");
    }
    let lacks_name = |rejection: &policy::Rejection| matches!(rejection, policy::Rejection::NoIdentity(_));
    if judgement.rejections().any(lacks_name) {
        return Some("--accept-unnamed-bundles takes the digest in a bundle for enough; see docs/policy.md before");
    }
    Some("see containers-policy.json(5); `transship verify IMAGE` shows each requirement and each signature")
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
