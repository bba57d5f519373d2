//! Writing to a repository
//! ([OCI distribution specification, push](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push)).

use std::sync::Arc;

use super::{Error, ErrorResponse, Operation, RegistryClient, Selector, expect_status};
use crate::digest::{Digest, Mismatch};
use crate::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use crate::manifest::ManifestBytes;

/// What a registry that knows of referrers answers to a manifest with a subject.
const OCI_SUBJECT: &str = "oci-subject";

/// What became of a manifest that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// True when the registry itself lists the manifest among the referrers of its subject.
    pub lists_referrers: bool,
}

impl RegistryClient {
    /// Whether the repository has a blob. The registry is believed.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let response = self.blob_head(digest)?;
        Ok(response.status == StatusCode::OK)
    }

    /// The size of a blob that the repository has; `None` where it has none, or does not tell.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let response = self.blob_head(digest)?;
        let size = response.single_header(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
        // Some servers state the length of what they send, which is nothing.
        Ok(size.filter(|size| *size > 0 && response.status == StatusCode::OK))
    }

    fn blob_head(&self, digest: &Digest) -> Result<Response, Error> {
        let operation = Operation::CheckingBlob { digest: digest.clone(), name: self.name.clone() };
        let url = self.url(&operation, &format!("blobs/{digest}"))?;
        let mut request = Request { method: Method::HEAD, ..Request::get(url, Arc::clone(&self.tls)) };
        let response = self.send(&operation, &mut request)?;
        expect_status(&operation, response, &[StatusCode::OK, StatusCode::NOT_FOUND])
    }

    /// Puts a blob that is in memory, unless it is there.
    pub fn put_blob_bytes(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), Error> {
        if self.has_blob(digest)? {
            return Ok(());
        }
        let mut upload = self.upload(digest, bytes.len() as u64)?;
        upload.finish(bytes).inspect_err(|_| upload.cancel())
    }

    /// Puts a manifest or an index under a tag or a digest, as it is.
    ///
    /// # Errors
    /// Beside what any request can fail with: the registry states another digest than that of the bytes.
    pub fn put_manifest(&self, selector: &Selector, manifest: &ManifestBytes) -> Result<Stored, Error> {
        let operation = Operation::PuttingManifest { selector: selector.to_string(), name: self.name.clone() };
        let url = self.url(&operation, &format!("manifests/{selector}"))?;
        let mut request = Request { method: Method::PUT, ..Request::get(url, Arc::clone(&self.tls)) };
        let media_type = HeaderValue::from_str(manifest.media_type().as_str()).ok().filter(|value| !value.is_empty());
        request.headers.extend(media_type.map(|value| (header::CONTENT_TYPE, value)));
        request.body = manifest.bytes().to_vec();
        let response = expect_success(&operation, self.send(&operation, &mut request)?)?;
        check_digest(&operation, &response, |stated| Digest::of(stated.algorithm(), manifest.bytes()))?;
        let stored = Stored { lists_referrers: response.headers.contains_key(OCI_SUBJECT) };
        response.drain();
        Ok(stored)
    }
}

/// Registries do not agree on 200, 201, 202 and 204.
pub(super) fn expect_success(operation: &Operation, response: Response) -> Result<Response, Error> {
    if response.status.is_success() {
        return Ok(response);
    }
    Err(Error::Response { operation: operation.clone(), source: ErrorResponse::read(response) })
}

/// What the registry says that it has stored must be what it was sent; `sent` hashes as the registry did.
pub(super) fn check_digest(
    operation: &Operation,
    response: &Response,
    sent: impl FnOnce(&Digest) -> Digest,
) -> Result<(), Error> {
    let stated = response.single_header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
    let Some(found) = stated else { return Ok(()) };
    let expected = sent(&found);
    if found == expected {
        return Ok(());
    }
    Err(Error::Mismatch { operation: operation.clone(), source: Mismatch::Digest { expected, found } })
}
