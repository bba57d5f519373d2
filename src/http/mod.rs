//! One request, one response.
//!
//! [`Wire`] is the seam between what this crate decides and how bytes travel. Below it is [`UreqWire`], or a
//! [`Replay`] of recorded traffic; above it everything that has a decision in it: retries, redirects, authorisation,
//! mirrors. Each concern is a decorator that is a `Wire` itself.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::safe_url::{ParseError, SafeUrl};

mod cancel;
mod clock;
mod decoding;
mod har;
mod proxy;
mod redirect;
mod retry;
mod timeouts;
mod tls;
mod ureq;
mod watch;

pub use cancel::Cancellable;
pub use clock::{Clock, SystemClock, TestClock};
pub use decoding::EncodingError;
pub(crate) use decoding::{decoded, decoded_json, is_content_itself, is_encoded};
pub use har::{EntryError, HarError, Recorder, Replay};
pub use proxy::Proxies;
pub use redirect::{Redirecting, may_carry_credentials};
pub(crate) use retry::retry_after;
pub use retry::{RetryPolicy, Retrying};
pub use timeouts::{Pace, Timeouts};
pub(crate) use tls::speaks_tls;
pub use tls::{ClientIdentity, Tls, TlsError};
pub use ureq::UreqWire;
pub use watch::{ProgressWatch, Watched};

/// Sends one request and returns its response as the server gave it.
///
/// The contract: no redirect is followed, no credential is added, nothing is retried; a status is never an error;
/// headers and body are untouched (`Content-Encoding` included). The body is read from the network as the caller reads
/// it.
pub trait Wire: Send + Sync {
    /// Sends `request` and waits for the head of the response.
    fn send(&self, request: &Request) -> Result<Response, Error>;
}

/// So that what holds a wire can be printed.
impl fmt::Debug for dyn Wire + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl<W: Wire + ?Sized> Wire for Arc<W> {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        (**self).send(request)
    }
}

/// What is asked. `Debug` leaves the body out: a refresh token travels in one.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `HEAD`, `POST`…
    pub method: Method,
    /// Where to.
    pub url: SafeUrl,
    /// Header fields; a secret among them is marked [sensitive](HeaderValue::set_sensitive), so `Debug` hides it.
    pub headers: HeaderMap,
    /// The body, empty for most.
    pub body: Vec<u8>,
    /// How to judge the server, and what to show it.
    pub tls: Arc<Tls>,
    /// Whether sending it twice does the same as once; `None` for what the method says. A `POST` that only begins
    /// something is harmless, a `PUT` that adds bytes to others is not.
    pub idempotent: Option<bool>,
    /// The limit for the connection; `None` for the wire's own.
    pub connect_timeout: Option<Duration>,
    /// The body of a successful answer may be large, and take any time in which it makes progress
    /// ([`Timeouts::slowest`]). Any other must be whole soon ([`Timeouts::answer`]).
    pub is_large: bool,
}

impl Request {
    /// A `GET` without further headers.
    pub fn get(url: SafeUrl, tls: Arc<Tls>) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            tls,
            idempotent: None,
            connect_timeout: None,
            is_large: false,
        }
    }

    /// True when sending it twice does the same as once.
    pub fn is_idempotent(&self) -> bool {
        self.idempotent.unwrap_or_else(|| self.method.is_idempotent())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &self.headers)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// The bytes of a response, as they arrive.
pub type Body = Box<dyn Read + Send>;

/// What came back.
pub struct Response {
    /// The status, whatever it is.
    pub status: StatusCode,
    /// All header fields, in their multiplicity.
    pub headers: HeaderMap,
    /// The body; unread, it costs the connection.
    pub body: Body,
    /// Which URL answered: the last of the redirects.
    pub url: SafeUrl,
}

impl Response {
    /// The only value of a header that is valid text; `None` when it is missing, repeated or not text.
    pub fn single_header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// Reads the whole body, at most `limit` bytes of it.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`] when there is more, [`Error::Body`] when reading fails.
    pub fn into_bytes(self, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        match self.body.take(limit.saturating_add(1)).read_to_end(&mut bytes) {
            Err(source) => Err(Error::Body { url: self.url, source }),
            Ok(_) if bytes.len() as u64 > limit => Err(Error::BodyTooLarge { url: self.url, limit }),
            Ok(_) => Ok(bytes),
        }
    }

    /// Reads away a short body, so that its connection can serve the next request.
    pub fn drain(self) {
        const WORTH_READING: u64 = 64 * 1024;
        let _ = io::copy(&mut self.body.take(WORTH_READING), &mut io::sink());
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Why no response came, or its body did not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name has no address.
    #[error("{url}: host not found")]
    HostNotFound {
        /// What was asked.
        url: SafeUrl,
    },
    /// No connection: refused, unreachable, no route.
    #[error("{url}: cannot connect")]
    Connect {
        /// What was asked.
        url: SafeUrl,
        /// The system's reason.
        source: io::Error,
    },
    /// The server is there, but does not speak TLS or is not who it should be.
    #[error("{url}: TLS failed{}", tls::hint(source))]
    Tls {
        /// What was asked.
        url: SafeUrl,
        /// The TLS library's reason.
        source: io::Error,
    },
    /// The environment names a proxy that is none.
    #[error("{url}: the proxy for it (HTTP_PROXY, HTTPS_PROXY) is not a valid proxy URL")]
    BadProxy {
        /// What was asked.
        url: SafeUrl,
    },
    /// Nothing came for too long, or too little.
    #[error("{url}: timed out, {phase} took more than {}", seconds(*.after))]
    Timeout {
        /// What was asked.
        url: SafeUrl,
        /// What was waited for.
        phase: Phase,
        /// The limit that ran out.
        after: Duration,
    },
    /// The server closed or reset the connection before it answered.
    #[error("{url}: the server closed the connection without an answer")]
    Closed {
        /// What was asked.
        url: SafeUrl,
        /// The system's reason.
        source: io::Error,
    },
    /// What came is not HTTP, or the request could not be formed.
    #[error("{url}: not valid HTTP: {reason}")]
    Protocol {
        /// What was asked.
        url: SafeUrl,
        /// What is wrong with it.
        reason: String,
    },
    /// The body broke off.
    #[error("{url}: reading the body failed")]
    Body {
        /// What was asked.
        url: SafeUrl,
        /// The reason, with one of these errors inside where it has a type.
        source: io::Error,
    },
    /// The body is longer than anything sensible.
    #[error("{url}: the body exceeds the limit of {limit} bytes")]
    BodyTooLarge {
        /// What was asked.
        url: SafeUrl,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The body is encoded in a way that is not read here.
    #[error("{url}")]
    Encoding {
        /// What was asked.
        url: SafeUrl,
        /// Which way.
        source: EncodingError,
    },
    /// A redirect whose target is missing or refused.
    #[error("{url}: the server redirects to an unusable location")]
    BadRedirect {
        /// Which URL redirected.
        url: SafeUrl,
        /// What is wrong with the target; `None` when there is none.
        source: Option<ParseError>,
    },
    /// A chain of redirects that does not end.
    #[error("{url}: more than {limit} redirects")]
    TooManyRedirects {
        /// Where the chain began.
        url: SafeUrl,
        /// How many were followed.
        limit: u32,
    },
    /// Nothing was sent, because a flag says so: see [`Cancellable`].
    #[error("{url}: cancelled")]
    Cancelled {
        /// What would have been asked.
        url: SafeUrl,
    },
    /// Nothing came over any request for too long: see [`ProgressWatch`].
    #[error("{url}: given up, no byte has come from anywhere for {}", seconds(*.after))]
    NoProgress {
        /// What was asked, or would have been.
        url: SafeUrl,
        /// The limit that ran out.
        after: Duration,
    },
    /// Recorded traffic could not answer or be written.
    #[error("{url}: recorded traffic")]
    Har {
        /// What was asked.
        url: SafeUrl,
        /// Why not.
        source: HarError,
    },
}

/// What a [timeout](Error::Timeout) interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Resolving and connecting.
    Connecting,
    /// The TLS handshake, or the conversation with a proxy.
    Handshaking,
    /// Waiting for the next bytes of a response.
    Reading,
    /// Sending the request.
    Sending,
    /// All of a head, or of a body that is small by nature.
    Answering,
    /// A large body, of which too little came: see [`Timeouts::slowest`].
    Trickling,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Handshaking => "the handshake",
            Self::Reading => "waiting for data",
            Self::Sending => "sending",
            Self::Answering => "the whole answer",
            Self::Trickling => "too small a part of the body",
        })
    }
}

impl Error {
    /// True when the same request may succeed a little later, or from another place.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::HostNotFound { .. }
                | Self::Connect { .. }
                | Self::Timeout { .. }
                | Self::Closed { .. }
                | Self::Body { .. }
        )
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_does_not_print_its_body() {
        let mut request = Request::get("https://t.example/token".parse().unwrap(), Arc::default());
        request.body = b"refresh_token=canary".to_vec();
        let text = format!("{request:?}");
        assert!(text.contains("20 bytes") && text.contains("t.example"), "{text}");
        assert!(
            !text.contains("canary") && !text.contains(&format!("{:?}", b"canary").replace(['[', ']'], "")),
            "{text}"
        );
    }

    #[test]
    fn a_body_is_read_up_to_any_limit() {
        for (limit, is_read) in [(u64::MAX, true), (3, true), (2, false)] {
            let (url, body) = ("https://r.example/".parse().unwrap(), Box::new(&b"abc"[..]));
            let response = Response { status: StatusCode::OK, headers: HeaderMap::new(), body, url };
            assert_eq!(response.into_bytes(limit).ok(), is_read.then(|| b"abc".to_vec()), "{limit}");
        }
    }
}
