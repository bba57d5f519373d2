//! Taking secrets out of traffic, so that what remains still fits together.

use std::borrow::Cow;
use std::collections::HashMap;

use url::form_urlencoded;

use super::format::Pair;
use crate::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use crate::safe_url::is_public_parameter;

const PLACEHOLDER: &str = "redacted-";

/// Headers that hold a secret, whether marked as sensitive or not.
const SECRET_HEADERS: [&str; 10] = [
    "authorization",
    "cookie",
    "private-token",
    "proxy-authorization",
    "set-cookie",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-ms-copy-source-authorization",
    "x-registry-auth",
];

/// Members of a JSON document that hold a secret.
const SECRET_MEMBERS: [&str; 6] = ["access_token", "client_secret", "id_token", "password", "refresh_token", "token"];

/// Fields of a form that hold a secret.
const SECRET_FIELDS: [&str; 8] =
    ["access_token", "assertion", "client_secret", "code", "password", "refresh_token", "subject_token", "token"];

/// A shorter word is too likely to be something else where it appears in free text.
const MIN_IN_FREE_TEXT: usize = 6;

/// True for a word that this module put in the place of a secret.
pub(super) fn is_placeholder(text: &str) -> bool {
    text.strip_prefix(PLACEHOLDER).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// What decides which secrets a body may have.
pub(super) struct Answer<'a> {
    pub(super) url: &'a str,
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
}

/// Every secret seen so far, with its number.
#[derive(Default)]
pub(super) struct Redactor {
    numbers: HashMap<String, usize>,
    count: usize,
}

impl Redactor {
    /// The placeholder of a secret; nothing is no secret.
    fn replace(&mut self, secret: &str) -> String {
        if secret.is_empty() {
            return String::new();
        }
        let number = *self.numbers.entry(secret.to_owned()).or_insert_with(|| {
            self.count += 1;
            self.count
        });
        format!("{PLACEHOLDER}{number}")
    }

    /// Like [`replace`](Self::replace), for a secret that is percent-encoded where it was found.
    fn replace_encoded(&mut self, encoded: &str) -> String {
        let pair = form_urlencoded::parse(encoded.as_bytes()).next();
        let decoded = pair.map_or_else(|| encoded.to_owned(), |(name, _)| name.into_owned());
        let placeholder = self.replace(&decoded);
        if let Some(number) = self.numbers.get(&decoded).copied() {
            self.numbers.entry(encoded.to_owned()).or_insert(number);
        }
        placeholder
    }

    /// All headers as HAR has them.
    pub(super) fn headers(&mut self, headers: &HeaderMap) -> Vec<Pair> {
        let pair = |(name, value): (&HeaderName, &HeaderValue)| {
            let text = text_of(value);
            let value = match name.as_str() {
                secret if value.is_sensitive() || SECRET_HEADERS.contains(&secret) => self.credentials(&text),
                "location" | "content-location" | "referer" => self.url(&text),
                "link" => self.links(&text),
                _ => text,
            };
            Pair { name: name.as_str().to_owned(), value }
        };
        headers.iter().map(pair).collect()
    }

    /// `Bearer redacted-1`: the scheme stays, it is what a reader of the file wants to see.
    fn credentials(&mut self, text: &str) -> String {
        match text.split_once(' ') {
            Some((scheme, secret)) if ["basic", "bearer"].contains(&scheme.to_ascii_lowercase().as_str()) => {
                format!("{scheme} {}", self.replace(secret.trim()))
            }
            _ => self.replace(text),
        }
    }

    /// A URL, absolute or not. It stays a text: what cannot be parsed must not leak either.
    pub(super) fn url(&mut self, text: &str) -> String {
        let (rest, fragment) = text.split_once('#').map_or((text, None), |(rest, fragment)| (rest, Some(fragment)));
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        let mut safe = self.place(place);
        if let Some(query) = query {
            let pairs: Vec<String> = query.split('&').map(|pair| self.parameter(pair)).collect();
            safe = format!("{safe}?{}", pairs.join("&"));
        }
        match fragment {
            Some(fragment) => format!("{safe}#{}", self.replace_encoded(fragment)),
            None => safe,
        }
    }

    fn parameter(&mut self, pair: &str) -> String {
        match pair.split_once('=') {
            Some((name, _)) if is_public_parameter(name) => pair.to_owned(),
            Some((name, value)) => format!("{name}={}", self.replace_encoded(value)),
            None => self.replace_encoded(pair),
        }
    }

    fn place(&mut self, place: &str) -> String {
        let Some((scheme, rest)) = place.split_once("//") else { return place.to_owned() };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        match authority.rsplit_once('@') {
            Some((user, host)) => format!("{scheme}//{}@{host}{path}", self.replace_encoded(user)),
            None => place.to_owned(),
        }
    }

    /// `<url>; rel="next", <url>; …`
    fn links(&mut self, text: &str) -> String {
        let mut safe = String::new();
        let mut rest = text;
        while let Some((before, (target, after))) =
            rest.split_once('<').and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
        {
            safe.push_str(before);
            safe.push('<');
            safe.push_str(&self.url(target));
            safe.push('>');
            rest = after;
        }
        // An unclosed link is a URL up to the end.
        safe.push_str(&self.url(rest));
        safe
    }

    /// A body that is sent.
    pub(super) fn request_body<'a>(&mut self, headers: &HeaderMap, body: &'a [u8]) -> Cow<'a, [u8]> {
        if !is_form(headers) {
            return self.json(body);
        }
        let mut safe = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(body) {
            let secret = SECRET_FIELDS.contains(&name.as_ref());
            let value = if secret { Cow::Owned(self.replace(&value)) } else { value };
            safe.append_pair(&name, &value);
        }
        Cow::Owned(safe.finish().into_bytes())
    }

    /// A body that came. What a digest names is left alone.
    pub(super) fn response_body<'a>(&mut self, answer: &Answer<'_>, body: &'a [u8]) -> Cow<'a, [u8]> {
        if answer.status.is_redirection() && answer.headers.contains_key(header::LOCATION) {
            return Cow::Borrowed(b"");
        }
        if !answer.status.is_success() {
            return self.free_text(body);
        }
        if is_named_by_digest(answer.url) {
            return Cow::Borrowed(body);
        }
        if is_json(answer.headers) && answer.headers.contains_key(header::CONTENT_ENCODING) {
            // It cannot be looked into, and a token answer looks like this.
            return Cow::Borrowed(b"");
        }
        self.json(body)
    }

    /// A text that may repeat what was sent: every secret known so far, wherever it stands.
    pub(super) fn free_text<'a>(&mut self, body: &'a [u8]) -> Cow<'a, [u8]> {
        let body = self.json(body);
        let Ok(text) = std::str::from_utf8(&body) else { return body };
        let mut text = text.to_owned();
        let mut known: Vec<_> = self.numbers.iter().filter(|(secret, _)| secret.len() >= MIN_IN_FREE_TEXT).collect();
        known.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.len()));
        for (secret, number) in known {
            text = text.replace(secret.as_str(), &format!("{PLACEHOLDER}{number}"));
        }
        Cow::Owned(text.into_bytes())
    }

    /// Replaces the secret members of JSON text. It works on the text: a document that breaks off must not leak, and every
    /// other byte stays.
    fn json<'a>(&mut self, body: &'a [u8]) -> Cow<'a, [u8]> {
        let Ok(text) = std::str::from_utf8(body) else { return Cow::Borrowed(body) };
        if !text.trim_start().starts_with(['{', '[']) {
            return Cow::Borrowed(body);
        }
        let mut safe = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = start_of_secret(rest) {
            let (before, tail) = rest.split_at(start);
            let (secret, after) = tail.split_at(end_of_string(tail));
            safe.push_str(before);
            safe.push_str(&self.replace(secret));
            rest = after;
        }
        if safe.is_empty() {
            return Cow::Borrowed(body);
        }
        safe.push_str(rest);
        Cow::Owned(safe.into_bytes())
    }
}

/// The header's value as text; bytes beyond ASCII as the characters of those numbers.
fn text_of(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|byte| char::from(*byte)).collect()
}

/// True for `/v2/<name>/manifests/<selector>` and `/v2/<name>/blobs/<digest>`. Only the path counts: the query of a realm
/// may say anything.
fn is_named_by_digest(url: &str) -> bool {
    let place = url.split(['?', '#']).next().unwrap_or_default();
    let path = place.split_once("//").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    path.starts_with("v2/") && path.rsplit('/').nth(1).is_some_and(|kind| ["manifests", "blobs"].contains(&kind))
}

fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers) == "application/x-www-form-urlencoded"
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).ends_with("json")
}

fn media_type(headers: &HeaderMap) -> String {
    let stated = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    stated.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Where the string behind the first `"token":"` (or another secret member) begins.
fn start_of_secret(text: &str) -> Option<usize> {
    let start_of = |member: &&str| {
        let name = format!("\"{member}\"");
        text.match_indices(&name).find_map(|(at, _)| {
            let value = text.get(at + name.len()..)?.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
            Some(text.len() - value.len())
        })
    };
    SECRET_MEMBERS.iter().filter_map(start_of).min()
}

/// Where the string that `text` begins with ends: at its quotation mark, or with the text.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at,
            b'\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_cannot_pass_its_token_off_as_a_blob() {
        let body = br#"{"token": "canary"}"#;
        for (url, is_kept) in [
            ("https://r.example/v2/app/blobs/sha256:0", true),
            ("https://r.example/v2/a/b/manifests/1", true),
            ("https://auth.example/token?x=/blobs/y", false),
            ("https://auth.example/token?x=/v2/app/manifests/1", false),
            ("https://auth.example/token#/v2/a/blobs/x", false),
            ("https://auth.example/blobs/token", false),
            ("https://auth.example/v2/blobs/x/token", false),
        ] {
            let answer = Answer { url, status: StatusCode::OK, headers: &HeaderMap::new() };
            let safe = Redactor::default().response_body(&answer, body).into_owned();
            assert_eq!(safe == body, is_kept, "{url}");
            assert_eq!(String::from_utf8_lossy(&safe).contains("canary"), is_kept, "{url}");
        }
    }
}
