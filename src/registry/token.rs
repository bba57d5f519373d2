//! Bearer tokens
//! ([distribution token specification](https://distribution.github.io/distribution/spec/auth/token/)).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::challenge::Challenge;
use super::error_body::ErrorResponse;
use crate::config::credentials::Credentials;
use crate::http::{self, HeaderValue, Method, Request, StatusCode, Tls, Wire, header};
use crate::safe_url::{self, SafeUrl};
use crate::secret::Secret;

/// A token answer is small.
const MAX_TOKEN_BODY: u64 = 1024 * 1024;
/// No token is held for shorter, whatever its answer says.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
/// A token this close to its end is not used any more.
const MARGIN: Duration = Duration::from_secs(5);

/// What a token must allow: `repository:library/busybox:pull`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TokenScope(String);

impl TokenScope {
    /// Reading a repository.
    pub(super) fn pull(path: &str) -> Self {
        Self(format!("repository:{path}:pull"))
    }

    /// Writing a repository, which needs to read what is there.
    pub(super) fn push(path: &str) -> Self {
        Self(format!("repository:{path}:pull,push"))
    }

    /// Whatever there is to do in a repository. Servers of tokens do not agree on a word for deleting.
    pub(super) fn everything(path: &str) -> Self {
        Self(format!("repository:{path}:*"))
    }

    /// A scope that a challenge asks for; `None` unless it has three parts.
    pub(super) fn from_challenge(text: &str) -> Option<Self> {
        (text.split(':').count() == 3).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token and its end.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// For `Authorization: Bearer`.
    pub secret: Secret<String>,
    expires: Option<SystemTime>,
}

impl Token {
    /// A token given by the caller: used as it is, for ever.
    pub(super) fn given(secret: Secret<String>) -> Self {
        Self { secret, expires: None }
    }

    /// True while it can be used.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|end| end.checked_sub(MARGIN).is_some_and(|end| now < end))
    }
}

/// Why no token was had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// A bearer challenge without an address to ask.
    #[error("the registry asks for a token, but does not say where from (no realm in its challenge)")]
    NoRealm,
    /// The address is not one.
    #[error("the realm of the registry's challenge is not usable")]
    Realm(#[source] safe_url::ParseError),
    /// Credentials would travel in the clear.
    #[error("{0} is not https: credentials are not sent there (an insecure registry may use http)")]
    InsecureRealm(SafeUrl),
    /// No answer.
    #[error("asking for a token")]
    Http(#[source] http::Error),
    /// The token server said no.
    #[error("asking for a token")]
    Refused(#[source] ErrorResponse),
    /// The credentials are wrong.
    #[error("the token server does not accept these credentials")]
    BadCredentials(#[source] ErrorResponse),
    /// The answer is not what the specification says.
    #[error("{url}: the answer is not a token")]
    Body {
        /// Who answered.
        url: SafeUrl,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The answer has neither `token` nor `access_token`.
    #[error("{0}: the answer holds no token")]
    Empty(SafeUrl),
}

/// One question to a token server.
pub(super) struct TokenRequest<'a> {
    pub(super) challenge: &'a Challenge,
    pub(super) scopes: &'a [TokenScope],
    pub(super) credentials: Option<&'a Credentials>,
    /// The registry the challenge came from.
    pub(super) endpoint: &'a SafeUrl,
    pub(super) tls: &'a Arc<Tls>,
    /// Whether the endpoint is configured as insecure, and http realms are accepted with it.
    pub(super) insecure: bool,
}

impl TokenRequest<'_> {
    /// Asks; `now` is the time of the answer where it does not say.
    ///
    /// `add` has the last word about the request.
    pub(super) fn send(
        &self,
        wire: &dyn Wire,
        now: SystemTime,
        add: impl FnOnce(&mut Request),
    ) -> Result<Token, TokenError> {
        let mut request = self.request()?;
        add(&mut request);
        let response = wire.send(&request).map_err(TokenError::Http)?;
        if response.status != StatusCode::OK {
            let refused = ErrorResponse::read(response);
            return Err(if refused.status == StatusCode::UNAUTHORIZED && self.credentials.is_some() {
                TokenError::BadCredentials(refused)
            } else {
                TokenError::Refused(refused)
            });
        }
        let url = response.url.clone();
        let body = response.into_bytes(MAX_TOKEN_BODY).map_err(TokenError::Http)?;
        parse_answer(&url, &body, now)
    }

    fn request(&self) -> Result<Request, TokenError> {
        let realm = self.challenge.parameter("realm").filter(|realm| !realm.is_empty()).ok_or(TokenError::NoRealm)?;
        let realm: SafeUrl = realm.parse().map_err(TokenError::Realm)?;
        if self.credentials.is_some() && !realm.is_https() && !self.insecure {
            return Err(TokenError::InsecureRealm(realm));
        }
        let tls = if realm.same_origin(self.endpoint) { Arc::clone(self.tls) } else { self.tls.without_identity() };
        let mut parameters: Vec<(&str, String)> = Vec::new();
        parameters.extend(self.challenge.parameter("service").map(|service| ("service", service.to_owned())));
        parameters.extend(self.scopes.iter().map(|scope| ("scope", scope.to_string())));
        let Some(credentials) = self.credentials else {
            return Ok(Request::get(with_queries(realm, &parameters), tls));
        };
        if let Some(token) = credentials.identity_token() {
            parameters.push(("grant_type", "refresh_token".to_owned()));
            parameters.push(("refresh_token", token.expose().clone()));
            parameters.push(("client_id", "transship".to_owned()));
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
            let mut request = Request::get(realm, tls);
            request.method = Method::POST;
            request.body = form.into_bytes();
            let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers.insert(header::CONTENT_TYPE, form_type);
            return Ok(request);
        }
        if !credentials.username().is_empty() {
            parameters.insert(0, ("account", credentials.username().to_owned()));
        }
        let mut request = Request::get(with_queries(realm, &parameters), tls);
        if !credentials.username().is_empty() && !credentials.password().expose().is_empty() {
            request.headers.insert(header::AUTHORIZATION, basic(credentials));
        }
        Ok(request)
    }
}

fn with_queries(url: SafeUrl, parameters: &[(&str, String)]) -> SafeUrl {
    parameters.iter().fold(url, |url, (name, value)| url.with_query(name, value))
}

/// `Authorization: Basic …`, marked sensitive.
pub(super) fn basic(credentials: &Credentials) -> HeaderValue {
    use base64::Engine as _;
    let pair = format!("{}:{}", credentials.username(), credentials.password().expose());
    sensitive(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

/// A header value that `Debug` and the recorder hide. A token with control characters in it becomes an empty value,
/// which the server refuses.
pub(super) fn sensitive(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<i64>,
    #[serde(default)]
    issued_at: Option<jiff::Timestamp>,
}

fn parse_answer(url: &SafeUrl, body: &[u8], now: SystemTime) -> Result<Token, TokenError> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| TokenError::Body { url: url.clone(), source: harmless(error) })?;
    let secret = [answer.token, answer.access_token].into_iter().flatten().find(|token| !token.is_empty());
    let secret = secret.ok_or_else(|| TokenError::Empty(url.clone()))?;
    let life = answer.expires_in.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    // A date before 1970 is Go's zero value: not stated.
    let issued = answer.issued_at.filter(|date| date.as_second() > 0).map_or(now, SystemTime::from);
    let expires = issued.checked_add(life.unwrap_or_default().max(SHORTEST_LIFE));
    Ok(Token { secret: Secret::new(secret), expires })
}

/// An error about the type of a value quotes the value, which may be the token; one about syntax never does.
fn harmless(error: serde_json::Error) -> serde_json::Error {
    if !error.is_data() {
        return error;
    }
    let (line, column) = (error.line(), error.column());
    serde::de::Error::custom(format_args!("expected {{\"token\": \"…\"}} at line {line} column {column}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Token, TokenError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        parse_answer(&"https://t.example/".parse().unwrap(), body.as_bytes(), now)
    }

    fn end(body: &str) -> (String, u64) {
        let token = parse(body).unwrap();
        let end = token.expires.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        (token.secret.expose().clone(), end)
    }

    #[test]
    fn a_token_lives_from_its_issue_and_at_least_a_minute() {
        let dated = r#"{"token":"T","expires_in":100,"issued_at":"2018-01-01T10:00:02+00:00"}"#;
        assert_eq!(end(dated), ("T".to_owned(), 1_514_800_902));
        assert_eq!(end(r#"{"access_token":"A","expires_in":1}"#), ("A".to_owned(), 1_000_060));
        assert_eq!(end(r#"{"token":"","access_token":"A"}"#), ("A".to_owned(), 1_000_060));
    }

    #[test]
    fn an_answer_without_a_token_is_an_error() {
        assert!(matches!(parse("IAmNotJson"), Err(TokenError::Body { .. })));
        assert!(matches!(parse(r#"{"expires_in":5}"#), Err(TokenError::Empty(_))));
    }

    #[test]
    fn an_answer_of_another_form_is_not_repeated_in_the_error() {
        for body in [r#""canary""#, r#"{"token": {"raw": "x"}, "issued_at": "canary"}"#, r#"{"expires_in": "canary"}"#]
        {
            let error = parse(body).unwrap_err();
            let text = format!("{} {error:?}", crate::error::one_line(&error));
            assert!(text.contains("line 1") && !text.contains("canary"), "{text}");
        }
    }

    #[test]
    fn a_token_is_stale_shortly_before_its_end() {
        let token = parse(r#"{"token":"T","expires_in":300}"#).unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(token.is_fresh(at(1_000_294)));
        assert!(!token.is_fresh(at(1_000_295)));
    }
}
