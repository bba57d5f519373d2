//! Signatures in a lookaside store: files with numbers, on this machine or on a web server
//! ([containers-registries.d(5)](https://github.com/containers/image/blob/main/docs/containers-registries.d.5.md)).

use std::path::PathBuf;
use std::sync::Arc;

use super::settings::Settings;
use super::signatures::{self, FoundSignature, SignaturePlace};
use super::{Error, local};
use crate::config::{LookasideUrl, PullSource, StorageLocation};
use crate::digest::Digest;
use crate::http::{Redirecting, Request, Retrying, StatusCode, Tls, Wire, header};
use crate::media_type::MediaType;
use crate::registry::ErrorResponse;
use crate::safe_url::SafeUrl;
use crate::signature::MAX_SIGNATURE_SIZE;

/// The store of one repository.
pub(super) struct Lookaside {
    store: LookasideUrl,
    /// How a web server is asked. No credential and no header of the registry's is ever sent there.
    web: Redirecting<Retrying<Arc<dyn Wire>>>,
    tls: Arc<Tls>,
}

impl Lookaside {
    /// The store of a repository that is read from `pull_source`; nothing is asked yet.
    pub(super) fn new(store: LookasideUrl, pull_source: &PullSource, settings: &Settings) -> Result<Self, Error> {
        let tls = match store.location().map_err(Error::Lookaside)? {
            StorageLocation::Http(url) => settings.lookaside_tls(pull_source, &url)?,
            StorageLocation::File(_) => Arc::default(),
        };
        // Nobody stands behind it, whoever stands behind the registry.
        let retrying = Retrying::new(Arc::clone(&settings.wire), Arc::clone(&settings.clock), settings.last_patience());
        Ok(Self { store, web: Redirecting::new(retrying), tls })
    }

    /// The signatures of a manifest, to the first that is missing.
    pub(super) fn signatures(&self, digest: &Digest) -> Result<Vec<FoundSignature>, Error> {
        signatures::numbered(&self.store, |index| {
            match self.store.signature(digest, index).location().map_err(Error::Lookaside)? {
                StorageLocation::File(path) => read_file(path),
                StorageLocation::Http(url) => self.read_url(url),
            }
        })
    }

    fn read_url(&self, url: SafeUrl) -> Result<Option<(SignaturePlace, Vec<u8>)>, Error> {
        let response = self
            .web
            .send(&Request::get(url.clone(), Arc::clone(&self.tls)))
            .map_err(|source| Error::LookasideHttp { url: url.clone(), source })?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                response.drain();
                return Ok(None);
            }
            _ => return Err(Error::LookasideResponse { url, source: ErrorResponse::read(response) }),
        }
        let media_type = response.single_header(header::CONTENT_TYPE).map(MediaType::from_content_type);
        if media_type.is_some_and(|media_type| media_type.as_str() == "text/html") {
            log::warn!("{url} is said to be text/html: a page for people, rather than a signature?");
        }
        match response.into_bytes(MAX_SIGNATURE_SIZE) {
            Ok(bytes) => Ok(Some((SignaturePlace::Lookaside(url), bytes))),
            Err(source) => Err(Error::LookasideHttp { url, source }),
        }
    }
}

fn read_file(path: PathBuf) -> Result<Option<(SignaturePlace, Vec<u8>)>, Error> {
    let bytes = local::read_if_there(&path, MAX_SIGNATURE_SIZE)?;
    Ok(bytes.map(|bytes| (SignaturePlace::File(path), bytes)))
}
