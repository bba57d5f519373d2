//! What a registry says when it says no
//! ([OCI distribution specification, error codes](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes)).

use std::fmt::{self, Write as _};

use serde::Deserialize;

use super::challenge::Challenge;
use crate::http::{Response, StatusCode};
use crate::safe_url::SafeUrl;

/// More of an error body is not read.
const MAX_ERROR_BODY: u64 = 64 * 1024;
/// As much of an unintelligible body is shown.
const SHOWN_BODY: usize = 50;

/// A response that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The status.
    pub status: StatusCode,
    /// Who answered; after a redirect this is not the registry.
    pub url: SafeUrl,
    /// What the body or the challenge says, in order; empty when nothing intelligible is said.
    pub entries: Vec<ErrorEntry>,
    /// The beginning of a body that has no entries, for a person to read.
    pub body_start: String,
}

/// One error of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorEntry {
    /// The code as the specification spells it, `MANIFEST_UNKNOWN`; registries invent further ones.
    pub code: String,
    /// The registry's words.
    pub message: String,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<Entry>,
    /// The other form, of the token specification and some proxies.
    #[serde(default)]
    details: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl ErrorResponse {
    /// Reads a response that is not a success.
    pub fn read(response: Response) -> Self {
        let (status, url) = (response.status, response.url.clone());
        let mut entries = Vec::new();
        if status == StatusCode::UNAUTHORIZED {
            entries.extend(Challenge::all(&response.headers).iter().find_map(from_challenge));
        }
        // A body that breaks off or has no end still leaves the status.
        let body = response.into_bytes(MAX_ERROR_BODY).unwrap_or_default();
        entries.extend(from_body(status, &body));
        let body_start = if entries.is_empty() { printable_start(&body) } else { String::new() };
        Self { status, url, entries, body_start }
    }

    /// True when an entry has this code.
    pub fn has_code(&self, code: &str) -> bool {
        self.entries.iter().any(|entry| entry.code == code)
    }

    /// True when the manifest, the blob or the repository is not there. Registries say so in many ways.
    pub fn is_not_found(&self) -> bool {
        let unknown = ["MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NAME_UNKNOWN"].iter().any(|code| self.has_code(code));
        let says_so = |entry: &ErrorEntry| {
            entry.message.contains("not found") || (entry.code == "UNKNOWN" && entry.message == "Not Found")
        };
        unknown || self.status == StatusCode::NOT_FOUND || self.entries.iter().any(says_so)
    }

    /// True when credentials are missing, wrong or not enough.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    }

    /// True when the same request may succeed later or elsewhere.
    pub fn is_transient(&self) -> bool {
        self.status.is_server_error()
            || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&self.status)
    }
}

fn from_challenge(challenge: &Challenge) -> Option<ErrorEntry> {
    let (code, default) = match challenge.parameter("error")? {
        "invalid_token" => ("UNAUTHORIZED", "authentication required"),
        "insufficient_scope" => ("DENIED", "requested access to the resource is denied"),
        _ => return None,
    };
    let message = challenge.parameter("error_description").unwrap_or(default).to_owned();
    (challenge.scheme == "bearer").then(|| ErrorEntry { code: code.to_owned(), message })
}

fn from_body(status: StatusCode, body: &[u8]) -> Vec<ErrorEntry> {
    let Ok(body) = serde_json::from_slice::<Body>(body) else {
        return Vec::new();
    };
    if let Some(details) = body.details.as_ref().and_then(serde_json::Value::as_str).filter(|text| !text.is_empty()) {
        let code = match status {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
            _ => "UNKNOWN",
        };
        return vec![ErrorEntry { code: code.to_owned(), message: details.to_owned() }];
    }
    let entry = |entry: Entry| ErrorEntry {
        code: entry.code.unwrap_or_else(|| "UNKNOWN".to_owned()),
        message: entry.message.unwrap_or_default(),
    };
    body.errors.into_iter().map(entry).collect()
}

fn printable_start(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut start: String = text.chars().take(SHOWN_BODY).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_BODY).is_some() {
        start.push('…');
    }
    start
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entries.first() {
            Some(ErrorEntry { code, message }) => {
                write_harmless(f, &code.to_ascii_lowercase().replace('_', " "))?;
                if !message.is_empty() {
                    f.write_str(": ")?;
                    write_harmless(f, message)?;
                }
                write!(f, " (status {})", self.status.as_u16())
            }
            None if self.body_start.is_empty() => write!(f, "status {} from {}", self.status, self.url),
            None => write!(f, "status {} from {}, saying {:?}", self.status, self.url, self.body_start),
        }
    }
}

/// A registry's words are not to move the cursor, or to look like a line of ours.
fn write_harmless(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut write = |c: char| if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) };
    text.chars().try_for_each(&mut write)
}

impl std::error::Error for ErrorResponse {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderMap;

    #[test]
    fn a_registry_s_words_cannot_command_a_terminal() {
        for body in [
            r#"{"errors": [{"code": "A\u001b[2J", "message": "x\nhint: y\u001b]0;z\u0007\u009b1m"}]}"#,
            r#"{"details": "\u001b[31mno\r\n"}"#,
            "\u{1b}[31m not JSON\r\n",
        ] {
            let body = Box::new(std::io::Cursor::new(body.as_bytes()));
            let url = "https://r.example/v2/".parse().unwrap();
            let response = Response { status: StatusCode::NOT_FOUND, headers: HeaderMap::new(), body, url };
            let text = ErrorResponse::read(response).to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
            assert!(text.contains("404"), "{text}");
        }
    }
}
