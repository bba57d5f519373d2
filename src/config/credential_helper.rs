//! Programs that keep credentials: `docker-credential-<name>`.
//!
//! The protocol is that of
//! [docker-credential-helpers](https://github.com/docker/docker-credential-helpers#development): the program is started
//! with the word `get`, reads the server from its standard input and prints `{"Username": …, "Secret": …}`; with `store`
//! it reads what it printed, with `erase` the server, and with `list` it prints `{"<server>": "<user name>"}`.
//!
//! A helper is somebody else's program. Its output is bounded, it is stopped after a timeout, and what it prints
//! reaches an error only where it cannot be the secret.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::credentials::Credentials;
use crate::secret::Secret;

mod change;
mod supervise;

use supervise::{Output, Stop};

const PROGRAM_PREFIX: &str = "docker-credential-";
const NOT_FOUND_MESSAGE: &str = "credentials not found in native keychain";
const CREDENTIALS_FORM: &str = r#"{"Username": "…", "Secret": "…"}"#;
const TOKEN_USERNAME: &str = "<token>";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How many characters of a helper's own words an error repeats.
const MAX_MESSAGE_LENGTH: usize = 512;

/// Finds credential helpers and asks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperRunner {
    search_path: Option<OsString>,
    timeout: Duration,
}

/// Why a credential helper gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configured name cannot be the end of a program's name.
    #[error("invalid credential helper name {0:?}: expected what follows {PROGRAM_PREFIX:?} in the program's name")]
    Name(String),
    /// No such program in the search path.
    #[error("credential helper {program:?} is not in the search path; install it or remove it from the configuration")]
    NotFound {
        /// The program's file name.
        program: String,
    },
    /// The program could not be started or its pipes failed.
    #[error("cannot run credential helper {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program was still running after the timeout; it was stopped.
    #[error("credential helper {} did not answer for {server} within {timeout:?} and was stopped", program.display())]
    TimedOut {
        /// The program.
        program: PathBuf,
        /// What it was asked for.
        server: String,
        /// How long it had.
        timeout: Duration,
    },
    /// The program printed more than an answer can be; it was stopped.
    #[error("credential helper {} printed more than the {} bytes allowed", program.display(), supervise::MAX_OUTPUT)]
    TooLong {
        /// The program.
        program: PathBuf,
    },
    /// The program reported a failure.
    #[error("credential helper {} failed for {server} ({status}): {message}", program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// What it was asked for.
        server: String,
        /// How it ended.
        status: ExitStatus,
        /// Its own words, shortened, without control characters.
        message: String,
    },
    /// The program succeeded and printed something else than an answer. What it was is not repeated: it may hold the
    /// secret.
    #[error(
        "credential helper {} answered for {server} with something else than {expected} (line {line}, column {column})",
        program.display()
    )]
    Answer {
        /// The program.
        program: PathBuf,
        /// What it was asked for.
        server: String,
        /// The form of the answer.
        expected: &'static str,
        /// Where the answer goes wrong.
        line: usize,
        /// Where in that line.
        column: usize,
    },
}

/// What a helper prints. Go reads member names in any case, so helpers in lower case exist.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", alias = "username")]
    username: Option<String>,
    #[serde(rename = "Secret", alias = "secret")]
    secret: Option<String>,
}

impl HelperRunner {
    /// Looks for programs in the directories of `search_path`, which is what `PATH` holds; with `None` there are no
    /// programs. Relative and empty entries are passed over: a helper gets secrets, so it never comes from wherever
    /// the user happens to be.
    pub fn new(search_path: Option<OsString>) -> Self {
        Self { search_path, timeout: DEFAULT_TIMEOUT }
    }

    /// How long one answer may take; 30 seconds unless set.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Asks `docker-credential-<name>` for the credentials of `server`; `None` when it has none.
    ///
    /// The user name `<token>` marks the secret as an identity token. A helper that is stopped is also waited for;
    /// programs that it started itself are left alone, and are not waited for either.
    pub fn get(&self, name: &str, server: &str) -> Result<Option<Credentials>, Error> {
        let ran = self.run(name, "get", server, Secret::new(server.as_bytes().to_vec()))?;
        if ran.output.status.success() {
            return read_answer(ran.program, server, &ran.output.stdout);
        }
        if ran.has_nothing() { Ok(None) } else { Err(ran.failed(server)) }
    }

    /// Starts the program with the word of what it is to do, and waits for its end.
    fn run(&self, name: &str, action: &'static str, server: &str, input: Secret<Vec<u8>>) -> Result<Ran, Error> {
        let program = self.find(name)?;
        log::debug!("asking credential helper {} to {action} {server}", program.display());
        let started = start(&program, action, input).map_err(Stop::Io);
        match started.and_then(|child| child.finish(self.timeout)) {
            Ok(output) => Ok(Ran { program, output }),
            Err(Stop::Io(source)) => Err(Error::Run { program, source }),
            Err(Stop::TooLong) => Err(Error::TooLong { program }),
            Err(Stop::TimedOut) => Err(Error::TimedOut { program, server: server.to_owned(), timeout: self.timeout }),
        }
    }

    fn find(&self, name: &str) -> Result<PathBuf, Error> {
        if name.is_empty() || name.contains(['/', '\\', '\0']) {
            return Err(Error::Name(name.to_owned()));
        }
        let program = format!("{PROGRAM_PREFIX}{name}{}", env::consts::EXE_SUFFIX);
        self.search_path
            .iter()
            .flat_map(env::split_paths)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(&program))
            .find(|path| is_executable(path))
            .ok_or(Error::NotFound { program })
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

fn start(program: &Path, action: &str, input: Secret<Vec<u8>>) -> io::Result<supervise::Supervised> {
    let child = Command::new(program)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut child = supervise::Supervised::new(child)?;
    child.feed(input)?;
    Ok(child)
}

/// A helper that has ended.
struct Ran {
    program: PathBuf,
    output: Output,
}

impl Ran {
    /// The one failure that the protocol has a word for.
    fn has_nothing(&self) -> bool {
        self.output.stdout.trim_ascii() == NOT_FOUND_MESSAGE.as_bytes()
    }

    fn failed(self, server: &str) -> Error {
        let message = message(&self.output);
        Error::Failed { program: self.program, server: server.to_owned(), status: self.output.status, message }
    }
}

/// Only the first value counts, as in Go: some helpers print more after it.
fn read_answer(program: PathBuf, server: &str, stdout: &[u8]) -> Result<Option<Credentials>, Error> {
    let mut document = serde_json::Deserializer::from_slice(stdout);
    match Option::<Answer>::deserialize(&mut document) {
        Ok(answer) => Ok(answer.and_then(into_credentials)),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            Err(Error::Answer { program, server: server.to_owned(), expected: CREDENTIALS_FORM, line, column })
        }
    }
}

fn into_credentials(answer: Answer) -> Option<Credentials> {
    let (username, secret) = (answer.username.unwrap_or_default(), answer.secret.unwrap_or_default());
    let credentials = if username == TOKEN_USERNAME {
        Credentials::basic("", "").with_identity_token(secret)
    } else {
        Credentials::basic(username, secret)
    };
    (!credentials.is_empty()).then_some(credentials)
}

/// A failing helper explains itself on standard output; what looks like an answer there is left out all the same.
fn message(output: &Output) -> String {
    let stdout = if output.stdout.trim_ascii_start().starts_with(b"{") { &[][..] } else { &output.stdout };
    let said: Vec<String> =
        [stdout, &output.stderr].into_iter().map(printable).filter(|text| !text.is_empty()).collect();
    if said.is_empty() { "it gave no reason".to_owned() } else { said.join("; ") }
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.trim_ascii());
    let mut shown: String =
        text.chars().take(MAX_MESSAGE_LENGTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_MESSAGE_LENGTH).is_some() {
        shown.push('…');
    }
    shown
}
