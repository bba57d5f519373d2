//! A registry that says one thing.

use std::io::Cursor;
use std::sync::Arc;

use transship::Reference;
use transship::http::{
    Error, HeaderMap, HeaderValue, Request, Response, RetryPolicy, StatusCode, SystemClock, Wire, header,
};
use transship::registry::{Endpoint, Identity, RegistryClient};

struct Always {
    body: Vec<u8>,
    media_type: String,
}

impl Wire for Always {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        headers.extend(HeaderValue::from_str(&self.media_type).map(|value| (header::CONTENT_TYPE, value)));
        let body = Box::new(Cursor::new(self.body.clone()));
        Ok(Response { status: StatusCode::OK, headers, body, url: request.url.clone() })
    }
}

/// A client of a registry whose every answer is `body`.
pub fn always(body: &[u8], media_type: &str) -> RegistryClient {
    let reference: Reference = "r.example/app".parse().expect("a name");
    let wire = Always { body: body.to_vec(), media_type: media_type.to_owned() };
    let endpoint = Endpoint {
        wire: Arc::new(wire),
        clock: Arc::new(SystemClock),
        tls: Arc::default(),
        insecure: false,
        identity: Identity::default(),
        retry: RetryPolicy::BRISK,
        address: None,
    };
    RegistryClient::new(reference.name().clone(), endpoint)
}
