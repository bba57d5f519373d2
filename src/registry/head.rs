//! What a registry says of a manifest without sending it
//! ([OCI distribution specification, existing manifests](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#checking-if-content-exists-in-the-registry)).

use std::sync::Arc;

use super::{Error, Operation, RegistryClient, Selector, expect_status};
use crate::digest::Digest;
use crate::http::{Method, Request, Response, StatusCode};
use crate::manifest::ManifestBytes;
use crate::media_type::MediaType;

/// What is known of a manifest that was not read. The registry is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManifestHead {
    /// Its digest.
    pub digest: Digest,
    /// What the registry calls it; empty where it does not say.
    pub media_type: MediaType,
}

impl RegistryClient {
    /// What the registry says of the manifest behind a tag or a digest: one `HEAD`. The manifest is read where the
    /// registry does not answer that, or does not say the digest.
    pub fn manifest_head(&self, selector: &Selector) -> Result<ManifestHead, Error> {
        let operation = Operation::ReadingManifest { selector: selector.to_string(), name: self.name.clone() };
        let url = self.url(&operation, &format!("manifests/{selector}"))?;
        let mut request = Request { method: Method::HEAD, ..Request::get(url, Arc::clone(&self.tls)) };
        request.headers = super::accepting_manifests();
        let response = self.send(&operation, &mut request)?;
        if [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED].contains(&response.status) {
            return self.manifest(selector).map(ManifestHead::from);
        }
        let response = expect_status(&operation, response, &[StatusCode::OK])?;
        match stated(selector, &response) {
            Some(digest) => Ok(ManifestHead { digest, media_type: super::stated_media_type(&response) }),
            None => self.manifest(selector).map(ManifestHead::from),
        }
    }
}

impl From<ManifestBytes> for ManifestHead {
    fn from(manifest: ManifestBytes) -> Self {
        Self { digest: manifest.digest().clone(), media_type: manifest.media_type().clone() }
    }
}

fn stated(selector: &Selector, response: &Response) -> Option<Digest> {
    match selector {
        Selector::Digest(digest) => Some(digest.clone()),
        Selector::Tag(_) => response.single_header("docker-content-digest")?.parse().ok(),
    }
}
