//! What is implied when people type: `docker.io` and `library/`.

use super::{Name, ParseError, Reference, parse};

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";

/// Reads a reference as people type it and spells it out.
pub(super) fn parse_normalized(text: &str) -> Result<Reference, ParseError> {
    if is_image_id(text) {
        return Err(ParseError::ImageId(text.to_owned()));
    }
    if text.is_empty() {
        return Err(ParseError::Empty);
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(ParseError::Scheme(format!("{scheme}://")));
    }
    let (domain, path) = split_domain(text);
    let implied = if domain == DEFAULT_DOMAIN && !path.contains('/') { OFFICIAL_PREFIX } else { "" };
    let repository = path.split([':', '@']).next().unwrap_or_default();
    if repository.chars().any(char::is_uppercase) {
        return Err(ParseError::Uppercase(repository.to_owned()));
    }
    let spelled_out = format!("{domain}/{implied}{path}");
    parse::parse(&spelled_out).map_err(|error| in_terms_of(text, &spelled_out, error))
}

/// Moves a position in what was spelled out to where it is in what was typed: both end alike.
fn in_terms_of(text: &str, spelled_out: &str, error: ParseError) -> ParseError {
    match error {
        ParseError::Component { component, position } => {
            let position = (position + text.chars().count()).saturating_sub(spelled_out.chars().count());
            ParseError::Component { component, position }
        }
        other => other,
    }
}

/// Exactly 64 lower-case hexadecimal digits.
fn is_image_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A first component is a domain only if it could not be a path on `docker.io`: it has a dot, a port, or is
/// `localhost`.
fn split_domain(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((LEGACY_DEFAULT_DOMAIN, path)) => (DEFAULT_DOMAIN, path),
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
        _ => (DEFAULT_DOMAIN, text),
    }
}

/// The name without what is implied.
pub(super) fn short_name(name: &Name) -> String {
    if name.domain != DEFAULT_DOMAIN {
        return name.to_string();
    }
    match name.path.strip_prefix(OFFICIAL_PREFIX) {
        Some(rest) if !rest.contains('/') => rest.to_owned(),
        _ => name.path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_counted_in_what_was_typed() {
        for (text, bad, at) in [
            ("fo$", "fo$", 1),
            ("docker.io/é/b$r", "é", 11),
            ("index.docker.io/foo/b$r", "b$r", 21),
            ("org/", "", 5),
            ("-bad.example/foo", "-bad.example", 1),
        ] {
            let expected = ParseError::Component { component: bad.to_owned(), position: at };
            assert_eq!(parse_normalized(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_url_is_told_from_a_bad_name() {
        for (text, scheme) in [("docker://busybox", "docker://"), ("https://quay.io/org/app", "https://")] {
            assert_eq!(parse_normalized(text), Err(ParseError::Scheme(scheme.to_owned())));
        }
    }

    #[test]
    fn upper_case_in_a_digest_is_not_blamed_on_the_name() {
        let text = format!("busybox@SHA256:{}", "0".repeat(64));
        assert!(matches!(parse_normalized(&text), Err(ParseError::Digest(_))));
        assert_eq!(parse_normalized("Busybox:1"), Err(ParseError::Uppercase("Busybox".to_owned())));
    }
}
