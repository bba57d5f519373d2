//! Whether an endpoint that may be one of http speaks https.

use std::sync::{Arc, PoisonError};

use super::{Error, ErrorResponse, Operation, RegistryClient};
use crate::http::{self, Method, Request, Response, StatusCode, header};
use crate::safe_url::{ParseError, SafeUrl};

/// Where the API is.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// With a slash at its end.
    pub(super) url: SafeUrl,
    /// Why it is http, as long as nobody has answered there either.
    https_failure: Option<Arc<http::Error>>,
}

impl RegistryClient {
    /// The root of the API. An endpoint that may be one of http is asked over https first; when that is not answered, it is
    /// http from then on.
    pub(super) fn base(&self) -> Result<Base, ParseError> {
        // The lock is held while asking: threads that want to know wait for the one question.
        let mut known = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(base) = &*known {
            return Ok(base.clone());
        }
        Ok(known.insert(self.https_or_http(self.root()?)).clone())
    }

    fn https_or_http(&self, root: SafeUrl) -> Base {
        let may_be_http = self.address.as_ref().map_or(self.insecure, |address| address.or_http);
        if !may_be_http || !root.is_https() {
            return Base { url: root, https_failure: None };
        }
        let mut request = Request::get(root.clone(), Arc::clone(&self.tls));
        request.connect_timeout = self.address.as_ref().and_then(|address| address.connect_timeout);
        match self.bare.send(&request) {
            Ok(response) => {
                response.drain();
                Base { url: root, https_failure: None }
            }
            Err(error) => {
                log::debug!("{}, trying http", crate::error::one_line(&error));
                Base { url: root.over_http(), https_failure: Some(Arc::new(error)) }
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
        let mut known = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(base) = &mut *known else { return outcome };
        let Some(https) = base.https_failure.clone() else { return outcome };
        let source = match outcome {
            Ok(response) if is_told_off(method, &response) => {
                // It is one of https after all, which could not be asked then. A client may live long, so it asks again.
                *known = None;
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
