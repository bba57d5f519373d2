//! What a registry wants people to know
//! ([OCI distribution specification, warnings](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#warnings)).

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::error::printable;
use crate::http::{Response, header};
use crate::reference::Name;

/// More than so many of one registry are noise.
const MOST_WARNINGS: usize = 8;

/// The warnings of one repository, each of which is told once.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<HashSet<String>>);

impl Warnings {
    /// Tells what is new in a response, through the log.
    pub(super) fn tell(&self, name: &Name, response: &Response) {
        for value in response.headers.get_all(header::WARNING) {
            let Some(text) = std::str::from_utf8(value.as_bytes()).ok().and_then(parse) else { continue };
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() < MOST_WARNINGS && told.insert(text.clone()) {
                log::warn!("{name}: the registry says: {}", printable(&text));
            }
        }
    }
}

/// The text of `299 - "text"`, the only form that the specification knows: without escapes, and with what is
/// percent-encoded in it. `None` for any other form, and for a text with control characters in it.
fn parse(value: &str) -> Option<String> {
    let quoted = value.strip_prefix("299 - \"")?;
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
    let text = decoded(&text)?;
    let is_whole = characters.next().is_none() && !text.is_empty();
    (is_whole && !text.contains(|c: char| c.is_control() && c != '\t')).then_some(text)
}

/// `%20` is a blank; what only looks so stays. `None` where that makes no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend(before.bytes());
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(b'%');
            rest = after;
        }
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::duplicate_mod, reason = "other files have tables, too")]
#[path = "../../tests/support"]
mod support {
    pub(super) mod shared;
    pub(super) mod tables;
}

#[cfg(test)]
mod tests {
    use super::support::tables::{containerd_table, text};
    use super::*;

    /// Some of these cannot be sent, so they are parsed here.
    #[test]
    fn a_warning_is_told_or_passed_over_as_by_containerd() {
        for case in containerd_table("warning_header") {
            assert_eq!(parse(&text(&case["header"])).unwrap_or_default(), text(&case["text"]), "{case}");
        }
    }

    #[test]
    fn what_is_no_text_is_no_warning() {
        for (value, expected) in [
            ("299 - \"%c3%a9 %\"", Some("é %")),
            ("299 - \"%ff\"", None),
            ("299 - \"%1b[2J\"", None),
            ("299 - \"%e2%80%ae\"", Some("\u{202e}")),
            ("299 - \"a\\", None),
            ("299 - \"é%é0\"", Some("é%é0")),
            ("299 -\"a\"", None),
            ("199 - \"a\"", None),
            ("299 registry.example \"a\"", None),
        ] {
            assert_eq!(parse(value).as_deref(), expected, "{value}");
        }
    }
}
