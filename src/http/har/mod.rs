//! Recorded traffic: tests that need a registry, without the registry.
//!
//! A [`Recorder`] around any [`Wire`](super::Wire) writes what passes through it as
//! [HAR 1.2](http://www.softwareishard.com/blog/har-12-spec/), the format that browsers and mitmproxy save. A
//! [`Replay`] is a `Wire` that answers from such a file, whoever made it.
//!
//! # Fields beyond the standard
//!
//! HAR allows fields that begin with `_`. Of an answer: `_error` says why no answer came (its status is 0) or why its
//! body broke off, `_url` who answered, if not the URL that was asked. Of its content: `_encoded` means the bytes as they
//! travelled, with their `Content-Encoding`; `_partial` that the reader did not want the rest. Of a sent body: `_encoding`.

use std::io;
use std::path::PathBuf;

use crate::safe_url;

mod entry;
mod failure;
mod format;
mod matching;
mod recorder;
mod redact;
mod replay;

pub use recorder::Recorder;
pub use replay::Replay;

/// What stands for the file where there is none.
const IN_MEMORY: &str = "(memory)";

/// Why traffic cannot be recorded or replayed. `file` is `(memory)` where a writer or bytes were given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HarError {
    /// The file cannot be read.
    #[error("{}: cannot read recorded traffic", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is longer than anything sensible.
    #[error("{}: longer than {limit} bytes", file.display())]
    TooLarge {
        /// Which file.
        file: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// Not JSON, or not the JSON of a HAR. The source names line and column.
    #[error("{}: not a HAR 1.2 file (expected \"log\" with \"entries\")", file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// One exchange in the file does not make sense.
    #[error("{}:{line}: entry {entry}", file.display())]
    Entry {
        /// Which file.
        file: PathBuf,
        /// The line where the entry begins, counted from 1.
        line: usize,
        /// Its number in the file, counted from 1.
        entry: usize,
        /// What is wrong with it.
        source: EntryError,
    },
    /// The recording has no answer, or no further one, to this request.
    #[error("{}: no recorded answer to {asked}{}", file.display(), nearest_or_none(.nearest))]
    Unmatched {
        /// Which file.
        file: PathBuf,
        /// The request.
        asked: String,
        /// The unused entries that are most like it, each with its number; at most three.
        nearest: Vec<String>,
    },
    /// Recorded exchanges that nobody asked for.
    #[error("{}: {} recorded but not asked for: {}", file.display(), entries.len(), entries.join("; "))]
    Unused {
        /// Which file.
        file: PathBuf,
        /// The entries, each with its number.
        entries: Vec<String>,
    },
    /// A response body is still being read, so its exchange is not complete.
    #[error("{}: not finished: {}; read the bodies to their end or drop them first", file.display(), requests.join("; "))]
    Unfinished {
        /// Which file.
        file: PathBuf,
        /// The requests whose answers are being read.
        requests: Vec<String>,
    },
    /// The recording cannot be written.
    #[error("{}: cannot write recorded traffic", file.display())]
    Write {
        /// Which file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What is wrong with one entry of a HAR.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// `request.method` is not a method.
    #[error("invalid request.method {0:?}")]
    Method(String),
    /// `request.url` or `response._url` is not a URL to send a request to.
    #[error("invalid URL")]
    Url(#[source] safe_url::ParseError),
    /// `response.status` is neither 0 nor a status.
    #[error("invalid response.status {0}, expected 0 or 100 to 999")]
    Status(i64),
    /// A header with a name that no header can have.
    #[error("invalid header name {0:?}")]
    HeaderName(String),
    /// A header with a value that no header can have; the value is not repeated, it may be a secret.
    #[error("invalid value of header {0:?}")]
    HeaderValue(String),
    /// `response.content.text` is not what `response.content.encoding` says.
    #[error("response.content.text is not base64")]
    Base64(#[source] base64::DecodeError),
    /// `response.content.encoding` is something else than `base64`.
    #[error("unknown response.content.encoding {0:?}, expected \"base64\" or none")]
    Encoding(String),
}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/testing.md")]
struct TestingPage;

fn nearest_or_none(nearest: &[String]) -> String {
    match nearest {
        [] => "; every recorded exchange is used".to_owned(),
        nearest => format!("; the nearest unused: {}", nearest.join("; ")),
    }
}
