//! The grammar: `[domain/]path[:tag][@digest]`, nothing implied.

use super::{Name, ParseError, Reference, Tag};

const MAX_NAME_LENGTH: usize = 255;
const MAX_TAG_LENGTH: usize = 128;

/// Reads a reference as it stands: `busybox` has no domain here.
pub(super) fn parse(text: &str) -> Result<Reference, ParseError> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse().map_err(ParseError::Digest)?)),
        None => (text, None),
    };
    let last_component = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest.get(last_component..).and_then(|last| last.find(':')) {
        Some(colon) => {
            let (name, tag) = rest.split_at(last_component + colon);
            (name, tag.get(1..))
        }
        None => (rest, None),
    };
    let name = parse_name(name)?;
    let tag = tag.map(str::parse::<Tag>).transpose()?;
    Ok(Reference { name, tag, digest })
}

fn parse_name(text: &str) -> Result<Name, ParseError> {
    if text.is_empty() {
        return Err(ParseError::Empty);
    }
    let (domain, path) = match text.split_once('/') {
        Some((first, rest)) if is_domain(first) => (first, rest),
        _ => ("", text),
    };
    check_path(text, path)?;
    Ok(Name { domain: domain.to_owned(), path: path.to_owned() })
}

/// The repository at a host whose name comes from a URL: one of a single label, or an address, which no reference begins
/// with.
pub(super) fn name_at(host: &str, path: &str) -> Result<Name, ParseError> {
    check_path(&format!("{host}/{path}"), path)?;
    Ok(Name { domain: host.to_owned(), path: path.to_owned() })
}

/// Checks the components of `path`, which ends `text`, and the length of the whole.
fn check_path(text: &str, path: &str) -> Result<(), ParseError> {
    let mut position = text.chars().count() - path.chars().count() + 1;
    for component in path.split('/') {
        if !is_path_component(component) {
            return Err(if is_path_component(&component.to_ascii_lowercase()) {
                ParseError::Uppercase(text.to_owned())
            } else {
                ParseError::Component { component: component.to_owned(), position }
            });
        }
        position += component.chars().count() + 1;
    }
    if text.len() > MAX_NAME_LENGTH {
        return Err(ParseError::TooLong(text.len()));
    }
    Ok(())
}

/// `label(.label)*[:port]`, where a label has letters, digits and inner hyphens.
pub(super) fn is_domain(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(is_label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Lower-case letters and digits, separated by one `.`, one or two `_`, or any number of `-`.
fn is_path_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_separator = |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    let ends_in_words = text.bytes().next().is_some_and(is_word) && text.bytes().last().is_some_and(is_word);
    ends_in_words
        && text.split(|c: char| c.is_ascii() && is_word(c as u8)).filter(|run| !run.is_empty()).all(is_separator)
}

pub(super) fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= MAX_TAG_LENGTH
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
#[path = "../../tests/support"]
mod support {
    pub(super) mod shared;
    pub(super) mod tables;
}

/// The un-normalized grammar cannot be reached from outside, so its tables are run here.
#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::support::tables::{table, text};
    use super::*;
    use crate::digest::{self, Digest};

    /// The error text of Go's parser for the same.
    fn go_error(error: &ParseError) -> &'static str {
        match error {
            ParseError::Empty => "repository name must have at least one component",
            ParseError::Uppercase(_) => "repository name must be lowercase",
            ParseError::TooLong(_) => "repository name must not be more than 255 characters",
            ParseError::Digest(digest::ParseError::Length { .. }) => "invalid checksum digest length",
            ParseError::Digest(digest::ParseError::Algorithm(_)) => "unsupported digest algorithm",
            _ => "invalid reference format",
        }
    }

    fn tag(reference: &Reference) -> String {
        reference.tag().map(ToString::to_string).unwrap_or_default()
    }

    fn digest(reference: &Reference) -> String {
        reference.digest().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn a_reference_is_split_as_go_splits_it() {
        for case in table("reference", "parse") {
            match (parse(&text(&case["input"])), case["err"]["_error"].as_str()) {
                (Ok(reference), None) => {
                    assert_eq!(reference.name().to_string(), text(&case["repository"]), "{case}");
                    assert_eq!(reference.domain(), text(&case["domain"]), "{case}");
                    assert_eq!(tag(&reference), text(&case["tag"]), "{case}");
                    assert_eq!(digest(&reference), text(&case["digest"]), "{case}");
                    assert_eq!(reference.to_string(), text(&case["input"]), "{case}");
                }
                // More exact here: there is a tag or a digest, and no name before it.
                (Err(ParseError::Empty), Some("invalid reference format")) => {}
                (Err(error), Some(expected)) => assert_eq!(go_error(&error), expected, "{case}"),
                (result, _) => panic!("{case}: {result:?}"),
            }
        }
    }

    #[test]
    fn what_is_stored_in_text_reads_back() {
        for case in table("reference", "serialization") {
            let result = parse(&text(&case["input"]));
            assert_eq!(result.is_err(), case.get("err").is_some(), "{case}");
            if let Ok(reference) = result {
                assert_eq!(reference.name().to_string(), text(&case["name"]), "{case}");
                assert_eq!(
                    (tag(&reference), digest(&reference)),
                    (text(&case["tag"]), text(&case["digest"])),
                    "{case}"
                );
                assert_eq!(reference.to_string(), text(&case["input"]), "{case}");
            }
        }
    }

    #[test]
    fn a_name_with_anything_else_is_no_name() {
        for case in table("reference", "with_name_failure") {
            assert!(parse_name(&text(&case["input"])).is_err(), "{case}");
        }
    }

    #[test]
    fn a_first_component_is_a_domain_by_the_grammar_alone() {
        for case in table("reference", "split_hostname_unnormalized") {
            let name = parse_name(&text(&case["input"])).unwrap();
            assert_eq!((name.domain(), name.path()), (&*text(&case["domain"]), &*text(&case["name"])), "{case}");
        }
    }

    #[test]
    fn a_domain_follows_its_grammar() {
        for case in table("reference", "domain_regexp") {
            assert_eq!(Value::from(is_domain(&text(&case["input"]))), case["match"], "{case}");
        }
    }

    #[test]
    fn a_name_follows_its_grammar() {
        for case in table("reference", "name_regexp") {
            let name = parse_name(&text(&case["input"])).ok();
            assert_eq!(Value::from(name.is_some()), case["match"], "{case}");
            if let Some(name) = name {
                assert_eq!(case["subs"], serde_json::json!([name.domain(), name.path()]), "{case}");
            }
        }
    }

    #[test]
    fn a_reference_follows_its_grammar() {
        for case in table("reference", "reference_regexp") {
            let reference = parse(&text(&case["input"])).ok();
            assert_eq!(Value::from(reference.is_some()), case["match"], "{case}");
            if let Some(reference) = reference {
                let parts = serde_json::json!([reference.name().to_string(), tag(&reference), digest(&reference)]);
                assert_eq!(case["subs"], parts, "{case}");
            }
        }
    }

    /// Go adds a digest of 37 digits to a name, which its own parser then refuses to read back. A `Digest` of ours always
    /// has its algorithm's length: the table's digest is refused, and a whole one stands in for it.
    #[test]
    fn a_tag_or_a_digest_is_added_to_a_name() {
        let whole = Digest::sha256(b"");
        for case in table("reference", "with_tag").into_iter().chain(table("reference", "with_digest")) {
            let mut reference = parse(&text(&case["name"])).unwrap();
            let mut expected = text(&case["combined"]);
            if let Some(short) = case["digest"].as_str() {
                assert!(matches!(short.parse::<Digest>(), Err(digest::ParseError::Length { .. })), "{case}");
                expected = expected.replace(short, whole.as_str());
                reference = reference.with_digest(whole.clone());
            }
            if let Some(tag) = case["tag"].as_str() {
                reference = reference.with_tag(tag.parse().unwrap());
            }
            assert_eq!(reference.to_string(), expected, "{case}");
        }
    }
}
