//! Whether an endpoint that may be one of http speaks https.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Error, ErrorResponse, Operation, RegistryClient};
use crate::http::{self, Method, Phase, Request, Response, StatusCode, header};
use crate::safe_url::SafeUrl;

/// Where the API is.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// With a slash at its end.
    pub(super) url: SafeUrl,
    /// Why it is http, as long as nobody has answered there either.
    https_failure: Option<Arc<http::Error>>,
}

/// What is known of that.
#[derive(Default)]
pub(super) struct KnownBase {
    known: Mutex<Known>,
    /// How often nothing answered.
    silences: AtomicUsize,
}

#[derive(Default)]
struct Known {
    base: Option<Base>,
    /// Who did not answer the last time, and in which time.
    silent: Option<(SafeUrl, Duration)>,
}

impl RegistryClient {
    /// The root of the API. An endpoint that may be one of http is asked over https first; when that is not answered, it is
    /// http from then on.
    pub(super) fn base(&self, operation: &Operation) -> Result<Base, Error> {
        let unanswered = |source| Error::Http { operation: operation.clone(), source };
        let silences = self.base.silences.load(Ordering::Relaxed);
        // The lock is held while asking: threads that want to know wait for the one question.
        let mut known = self.base.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(base) = &known.base {
            return Ok(base.clone());
        }
        if silences != self.base.silences.load(Ordering::Relaxed)
            && let Some((url, after)) = known.silent.clone()
        {
            // It was not answered while we waited, and would not be now.
            return Err(unanswered(http::Error::Timeout { url, phase: Phase::Connecting, after }));
        }
        let root = self.root().map_err(|source| {
            let (operation, host) = (operation.clone(), self.api_host.clone());
            Error::Host { operation, host, source }
        })?;
        match self.https_or_http(root) {
            Ok(base) => Ok(known.base.insert(base).clone()),
            Err(error) => {
                if let http::Error::Timeout { url, after, .. } = &error {
                    known.silent = Some((url.clone(), *after));
                    self.base.silences.fetch_add(1, Ordering::Relaxed);
                }
                Err(unanswered(error))
            }
        }
    }

    /// Where nothing answers at all, http would wait for the same port as long again: that is the error.
    fn https_or_http(&self, root: SafeUrl) -> Result<Base, http::Error> {
        let may_be_http = self.address.as_ref().map_or(self.insecure, |address| address.or_http);
        if !may_be_http || !root.is_https() {
            return Ok(Base { url: root, https_failure: None });
        }
        let mut request = Request::get(root.clone(), Arc::clone(&self.tls));
        request.connect_timeout = self.address.as_ref().and_then(|address| address.connect_timeout);
        match self.bare.send(&request) {
            Ok(response) => {
                response.drain();
                Ok(Base { url: root, https_failure: None })
            }
            Err(error @ http::Error::Timeout { phase: Phase::Connecting, .. })
                if root.over_http().port() == root.port() =>
            {
                Err(error)
            }
            // For podman, an insecure registry is one whose certificate does not matter. For containerd, one that speaks TLS
            // and is not who it should be is nobody to tell a password in the clear.
            Err(error) if self.address.is_some() && http::speaks_tls(&error) => Err(error),
            Err(error) => {
                log::debug!("{}, trying http", crate::error::one_line(&error));
                Ok(Base { url: root.over_http(), https_failure: Some(Arc::new(error)) })
            }
        }
    }

    /// Where http fails too, the error says why it was not https.
    pub(super) fn or_neither(
        &self,
        operation: &Operation,
        method: &Method,
        outcome: Result<Response, Error>,
    ) -> Result<Response, Error> {
        let mut known = self.base.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(base) = &mut known.base else { return outcome };
        let Some(https) = base.https_failure.clone() else { return outcome };
        let source = match outcome {
            Ok(response) if is_told_off(method, &response) => {
                // It is one of https after all, which could not be asked then. A client may live long, so it asks again.
                known.base = None;
                drop(known);
                Error::Response { operation: operation.clone(), source: ErrorResponse::read(response) }
            }
            Ok(response) => {
                base.https_failure = None;
                return Ok(response);
            }
            Err(error @ Error::Http { .. }) => error,
            Err(error) => return Err(error),
        };
        Err(Error::NeitherScheme { https, source: Box::new(source) })
    }
}

/// True for what servers of https say to who speaks http. What a registry says is JSON, and to a mere question it hardly
/// says that it is a bad one.
fn is_told_off(method: &Method, response: &Response) -> bool {
    let is_json =
        response.single_header(header::CONTENT_TYPE).is_some_and(|content_type| content_type.contains("json"));
    response.status == StatusCode::BAD_REQUEST && [Method::GET, Method::HEAD].contains(method) && !is_json
}
