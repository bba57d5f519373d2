//! What a tag or a digest names, as far as a descriptor tells it
//! ([OCI distribution specification, pull](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull)).

use std::sync::Arc;

use super::blob_reader::BlobServer as _;
use super::{Error, Operation, RegistryClient, Selector, accepting_manifests, expect_status, stated_media_type};
use crate::digest::{Digest, Mismatch};
use crate::http::{self, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use crate::manifest::{MAX_MANIFEST_SIZE, ManifestBytes};
use crate::media_type::MediaType;

/// What servers call any content when they do not know what it is.
const SAYS_NOTHING: [&str; 4] = ["", "text/plain", "application/json", "application/octet-stream"];

/// Digest, size and media type of some content, and its bytes where they had to be read to know them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolution {
    /// Its digest. The registry is believed where it was asked for a tag and [`bytes`](Self::bytes) is `None`.
    pub digest: Digest,
    /// What it is; `application/octet-stream` for a blob of which nothing is said.
    pub media_type: MediaType,
    /// How many bytes there are.
    pub size: u64,
    /// The bytes, which have this digest.
    pub bytes: Option<Vec<u8>>,
}

impl RegistryClient {
    /// What a tag or a digest names: one `HEAD`, of which the registry is believed. The manifest is read and hashed where
    /// that tells too little: no size or no digest, a media type that fits anything, 403, 405 or 501.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest); a manifest of more than 4 MiB is one, also where only its size was stated.
    pub fn resolve_manifest(&self, selector: &Selector) -> Result<Resolution, Error> {
        let operation = Operation::ReadingManifest { selector: selector.to_string(), name: self.name.clone() };
        let response = self.head(&operation, &format!("manifests/{selector}"), accepting_anything())?;
        let told = match response {
            None => None,
            Some(response) => told(selector, &response).zip(Some(response)),
        };
        let Some(((digest, media_type, size), response)) = told else {
            return self.any_manifest(selector).map(Resolution::from);
        };
        if size > MAX_MANIFEST_SIZE {
            let source = http::Error::BodyTooLarge { url: response.url, limit: MAX_MANIFEST_SIZE };
            return Err(Error::Http { operation, source });
        }
        Ok(Resolution { digest, media_type, size, bytes: None })
    }

    /// As [`manifest`](Self::manifest), and of any kind: what is none that we know is asked for too.
    pub fn any_manifest(&self, selector: &Selector) -> Result<ManifestBytes, Error> {
        self.manifest_accepting(selector, accepting_anything())
    }

    /// What the registry says of a blob: one `HEAD`. It is asked for with `GET` where that does not tell its size, and read
    /// to its end and hashed where nothing does, if it is of at most 4 MiB.
    pub fn resolve_blob(&self, digest: &Digest) -> Result<Resolution, Error> {
        let operation = self.operation(digest);
        let path = format!("blobs/{digest}");
        let head = self.head(&operation, &path, HeaderMap::new())?;
        if let Some((size, response)) = head.and_then(|response| Some((stated_size(&response)?, response))) {
            return Ok(resolved_blob(digest, &response, size, None));
        }
        let response = self.get(&operation, &path, HeaderMap::new())?;
        let mut response = expect_status(&operation, response, &[StatusCode::OK])?;
        let too_large = stated_length(&response).filter(|length| *length > MAX_MANIFEST_SIZE);
        if let Some(size) = content_length(&response).or(too_large) {
            return Ok(resolved_blob(digest, &response, size, None));
        }
        let body = std::mem::replace(&mut response.body, Box::new(std::io::empty()));
        let with_body = |body| {
            let (status, headers, url) = (response.status, response.headers.clone(), response.url.clone());
            Response { status, headers, body, url }
        };
        let failed = |source| Error::Http { operation: operation.clone(), source };
        let mut bytes = with_body(body).into_bytes(MAX_MANIFEST_SIZE).map_err(failed)?;
        // Some servers say of content that is compressed that they did it.
        if http::is_encoded(&response) && Digest::of(digest.algorithm(), &bytes) != *digest {
            let encoded = with_body(Box::new(std::io::Cursor::new(bytes)));
            let decoded = http::decoded(encoded, MAX_MANIFEST_SIZE);
            bytes = decoded.and_then(|decoded| decoded.into_bytes(MAX_MANIFEST_SIZE)).map_err(failed)?;
        }
        let found = Digest::of(digest.algorithm(), &bytes);
        if found != *digest {
            let source = Mismatch::Digest { expected: digest.clone(), found };
            return Err(Error::Mismatch { operation, source });
        }
        let size = bytes.len() as u64;
        Ok(resolved_blob(digest, &response, size, Some(bytes)))
    }

    /// The answer to a `HEAD`; `None` from a registry that answers `GET` only.
    fn head(&self, operation: &Operation, path: &str, headers: HeaderMap) -> Result<Option<Response>, Error> {
        let url = self.url(operation, path)?;
        let mut request = Request { method: Method::HEAD, ..Request::get(url, Arc::clone(&self.tls)) };
        request.headers = headers;
        let response = self.send(operation, &mut request)?;
        match response.status {
            // A refusal has no body here; the GET says why, or that it was only the method.
            StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(None),
            _ => expect_status(operation, response, &[StatusCode::OK]).map(Some),
        }
    }
}

/// Digest, media type and size, where the headers tell all of them, and nothing that cannot be.
fn told(selector: &Selector, response: &Response) -> Option<(Digest, MediaType, u64)> {
    let stated = response.single_header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
    let digest = match selector {
        Selector::Tag(_) => stated?,
        // Who states another one has something else.
        Selector::Digest(digest) => {
            let is_other = |stated: &Digest| stated.algorithm() == digest.algorithm() && stated != digest;
            if stated.as_ref().is_some_and(is_other) {
                return None;
            }
            digest.clone()
        }
    };
    let media_type = stated_media_type(response);
    let is_said = !SAYS_NOTHING.contains(&media_type.as_str());
    is_said.then_some((digest, media_type, stated_size(response)?))
}

/// What a `HEAD` says that a `GET` would send. Some servers state the length of what they send, which is nothing; and the
/// length of an encoded body is not that of its content.
fn stated_size(response: &Response) -> Option<u64> {
    content_length(response).filter(|size| *size > 0)
}

fn content_length(response: &Response) -> Option<u64> {
    stated_length(response).filter(|_| !http::is_encoded(response))
}

fn stated_length(response: &Response) -> Option<u64> {
    response.single_header(header::CONTENT_LENGTH)?.parse().ok()
}

fn resolved_blob(digest: &Digest, response: &Response, size: u64, bytes: Option<Vec<u8>>) -> Resolution {
    let stated = stated_media_type(response);
    let media_type = if stated.as_str().is_empty() { MediaType::from("application/octet-stream") } else { stated };
    Resolution { digest: digest.clone(), media_type, size, bytes }
}

/// Manifests of the kinds that we know before others, and whatever else the registry has under that name.
fn accepting_anything() -> HeaderMap {
    let mut headers = accepting_manifests();
    headers.append(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers
}

impl From<ManifestBytes> for Resolution {
    fn from(manifest: ManifestBytes) -> Self {
        let (digest, media_type) = (manifest.digest().clone(), manifest.media_type().clone());
        let bytes = manifest.bytes().to_vec();
        Self { digest, media_type, size: bytes.len() as u64, bytes: Some(bytes) }
    }
}
