//! Whatever a registry sends, and however it says that it is encoded: what is read of it is right, or an error; nothing panics,
//! and nothing goes on for ever. The first line is the header, the rest the body.
#![no_main]

use std::io::{Cursor, Read as _};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use transship::http::{
    Error, HeaderMap, HeaderValue, Request, Response, RetryPolicy, StatusCode, TestClock, Wire, header,
};
use transship::registry::{Endpoint, Identity, RegistryClient, Selector};
use transship::{Digest, Reference};

/// No content of the target is larger.
const SIZE: u64 = 4096;

struct Encoding {
    header: HeaderValue,
    body: Vec<u8>,
}

impl Wire for Encoding {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, self.header.clone());
        headers.insert(header::WARNING, self.header.clone());
        headers.insert(header::CONTENT_RANGE, self.header.clone());
        let body = Box::new(Cursor::new(self.body.clone()));
        Ok(Response { status: StatusCode::OK, headers, body, url: request.url.clone() })
    }
}

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, rest) = data.split_at(end);
    let Ok(header) = HeaderValue::from_bytes(line) else { return };
    let body = rest.get(1..).unwrap_or_default().to_vec();
    let endpoint = Endpoint {
        wire: Arc::new(Encoding { header, body }),
        clock: Arc::new(TestClock::default()),
        tls: Arc::default(),
        insecure: false,
        identity: Identity::default(),
        retry: RetryPolicy::BRISK,
        address: None,
    };
    let name = "r.example/app".parse::<Reference>().expect("a name").name().clone();
    let client = Arc::new(RegistryClient::new(name, endpoint));
    let digest = Digest::sha256(b"");
    for offset in [0, 7] {
        let Ok(stream) = client.blob(&digest, SIZE, offset) else { continue };
        let mut read = Vec::new();
        // Whoever reads a blob stops behind its size; so does this.
        if stream.take(SIZE + 1).read_to_end(&mut read).is_ok() {
            assert!(read.len() as u64 >= SIZE - offset);
        }
    }
    let _ = client.resolve_blob(&digest);
    if let Ok(found) = client.resolve_manifest(&Selector::Digest(digest.clone())) {
        assert_eq!(found.bytes, Some(Vec::new()));
    }
});
