//! `WWW-Authenticate`: how a registry wants to be asked
//! ([RFC 9110, section 11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).

use crate::http::{HeaderMap, header};

/// One challenge: a scheme and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The scheme in lower case: `basic`, `bearer`.
    pub scheme: String,
    /// The parameters, names in lower case, in order.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// All challenges of a response: from several header fields, and several in one field.
    pub(super) fn all(headers: &HeaderMap) -> Vec<Self> {
        let values = headers.get_all(header::WWW_AUTHENTICATE);
        values.iter().filter_map(|value| value.to_str().ok()).flat_map(Self::parse).collect()
    }

    /// Reads one header value. What does not follow the grammar ends the list.
    pub(super) fn parse(value: &str) -> Vec<Self> {
        let mut challenges: Vec<Self> = Vec::new();
        let mut rest = value;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let Some((word, after_word)) = token(rest) else {
                return challenges;
            };
            if let (Some(current), Some((value, after_value))) = (challenges.last_mut(), parameter_value(after_word)) {
                current.parameters.push((word.to_ascii_lowercase(), value));
                rest = after_value;
            } else if after_word.is_empty() || after_word.starts_with([' ', '\t', ',']) {
                challenges.push(Self { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                rest = after_word;
            } else {
                return challenges;
            }
        }
    }

    /// The first parameter of that name.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }
}

/// A run of token characters at the beginning, and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `=value` or `="quoted \" value"`, and what follows it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches([' ', '\t']).strip_prefix('=')?.trim_start_matches([' ', '\t']);
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(value, rest)| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(index + 1..).unwrap_or_default())),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
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
    use serde_json::{Value, json};

    use super::support::tables::{containerd_table, text};
    use super::*;
    use crate::http::HeaderValue;

    /// Headers that we read otherwise, and how. containerd reads one challenge a header, takes the last of equal names and
    /// goes on in what it cannot read; the grammar has lists of challenges, and blanks around `=`.
    fn read_otherwise(headers: &[String]) -> Option<Value> {
        Some(match headers {
            [one] if one == "Basic realm=\"b\", Bearer realm=\"t\"" => {
                json!([["basic", {"realm": "b"}], ["bearer", {"realm": "t"}]])
            }
            [one] if one == "Bearer realm=\"https://x/t\" , service = \"svc\"" => {
                json!([["bearer", {"realm": "https://x/t", "service": "svc"}]])
            }
            [one] if one == "Bearer realm=\"unterminated" => json!([["bearer", {}]]),
            [one] if one == "Bearer realm=\"a\",realm=\"b\"" => json!([["bearer", {"realm": "a"}]]),
            [one] if one == "Bearer ,realm=\"a\"" => json!([["bearer", {"realm": "a"}]]),
            [_, _, _] => {
                json!([["digest", {"realm": "d"}], ["basic", {"realm": "b"}], ["bearer", {"realm": "t"}]])
            }
            _ => return None,
        })
    }

    #[test]
    fn challenges_are_read_as_by_containerd_but_for_what_it_leaves_out() {
        for case in containerd_table("www_authenticate") {
            let headers: Vec<_> = case["headers"].as_array().unwrap().iter().map(text).collect();
            let theirs = case["challenges"].as_array().into_iter().flatten();
            let theirs: Vec<_> = theirs.map(|one| json!([one["scheme"], one["params"]])).collect();
            // Of equal names the first counts.
            let ours = headers.iter().flat_map(|header| Challenge::parse(header)).map(|challenge| {
                let parameters: serde_json::Map<_, _> =
                    challenge.parameters.into_iter().rev().map(|(name, value)| (name, Value::from(value))).collect();
                json!([challenge.scheme, parameters])
            });
            let ours = Value::from(ours.collect::<Vec<_>>());
            assert_eq!(ours, read_otherwise(&headers).unwrap_or_else(|| Value::from(theirs)), "{case}");
        }
    }

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Challenge { scheme: scheme.to_owned(), parameters }
    }

    #[test]
    fn every_shape_of_the_grammar_is_read() {
        let bearer = [("realm", "https://a.example/token"), ("service", "a"), ("scope", "repository:x:pull,push")];
        for (value, expected) in [
            ("Basic realm=\"x\"", vec![challenge("basic", &[("realm", "x")])]),
            ("BASIC", vec![challenge("basic", &[])]),
            (
                "Bearer realm=\"https://a.example/token\",service=\"a\",scope=\"repository:x:pull,push\"",
                vec![challenge("bearer", &bearer)],
            ),
            (
                "Negotiate, Bearer Realm=\"https://a.example/token\" , service = a,scope=\"repository:x:pull,push\", \
                 Basic realm=\"y\"",
                vec![challenge("negotiate", &[]), challenge("bearer", &bearer), challenge("basic", &[("realm", "y")])],
            ),
            (
                r#"Basic realm="a \"quoted\", comma=\\""#,
                vec![challenge("basic", &[("realm", r#"a "quoted", comma=\"#)])],
            ),
            ("Basic realm=\"no end", vec![challenge("basic", &[])]),
            ("", vec![]),
            ("=x", vec![]),
        ] {
            assert_eq!(Challenge::parse(value), expected, "{value}");
        }
    }

    #[test]
    fn several_header_fields_are_joined() {
        let mut headers = HeaderMap::new();
        headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"x\""));
        headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"https://t.example/\""));
        let schemes: Vec<_> = Challenge::all(&headers).into_iter().map(|challenge| challenge.scheme).collect();
        assert_eq!(schemes, ["basic", "bearer"]);
    }
}
