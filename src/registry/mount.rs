//! Taking a blob over from another repository of the same registry
//! ([OCI distribution specification, mounting](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#mounting-a-blob-from-another-repository)).

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};

use super::authorize::Authorizer;
use super::push::check_digest;
use super::token::TokenScope;
use super::upload::{BegunUpload, BlobUpload, session_request};
use super::{Error, Operation, RegistryClient, expect_status, unanswered};
use crate::digest::Digest;
use crate::http::StatusCode;
use crate::reference::Name;

/// What became of a mount.
#[derive(Debug)]
#[non_exhaustive]
pub enum Mount {
    /// The repository has the blob.
    Mounted,
    /// The registry wants the bytes, and is ready to take them.
    Begun(BegunUpload),
}

impl RegistryClient {
    /// Asks the registry to take a blob over from `from`, another of its repositories.
    ///
    /// # Errors
    /// A registry that does not mount, or not from there, says so as it likes: the blob can be uploaded still.
    pub fn mount(&self, digest: &Digest, from: &Name) -> Result<Mount, Error> {
        let operation = Operation::MountingBlob { digest: digest.clone(), name: self.name.clone(), from: from.clone() };
        let url = self.url(&operation, "blobs/uploads/")?;
        let url = url.with_query("mount", digest.as_str()).with_query("from", from.path());
        let mut request = session_request(url, Arc::clone(&self.tls));
        let sent = self.also_reading(from).send(&mut request);
        let response = sent.map_err(|failure| unanswered(&operation, failure))?;
        let response = expect_status(&operation, response, &[StatusCode::CREATED, StatusCode::ACCEPTED])?;
        let mut upload = BlobUpload::new(self, Some(digest.clone()));
        if response.status == StatusCode::ACCEPTED {
            upload.take_in_session(response)?;
            return Ok(Mount::Begun(upload.into()));
        }
        check_digest(&operation, &response, |stated| upload.digest_like(stated))?;
        response.drain();
        Ok(Mount::Mounted)
    }

    /// Who we are, with tokens that are good for reading `from` too. Each such repository has tokens of its own: a server
    /// that gives none for it spoils no other request.
    fn also_reading(&self, from: &Name) -> Arc<Authorizer> {
        let mut mounting = self.mounting.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Ok::<_, Infallible>(Arc::new(self.authorizer.with_scope(TokenScope::pull(from.path()))));
        let Ok(authorizer) = mounting.get(from.path().to_owned(), new);
        authorizer
    }
}
