//! Deleting from a repository
//! ([OCI distribution specification, content management](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#content-management)).

use std::sync::Arc;

use super::push::expect_success;
use super::{Error, Operation, RegistryClient};
use crate::digest::Digest;
use crate::http::{Method, Request};

impl RegistryClient {
    /// Deletes a manifest or an index, and with it every tag that names it. What it consists of is the registry's to
    /// clear away.
    ///
    /// # Errors
    /// Beside what any request can fail with: [`Error::is_deletion_disabled`] tells that the registry deletes nothing.
    pub fn delete_manifest(&self, digest: &Digest) -> Result<(), Error> {
        let operation = Operation::DeletingManifest { digest: digest.clone(), name: self.name.clone() };
        let url = self.url(&operation, &format!("manifests/{digest}"))?;
        let mut request = Request { method: Method::DELETE, ..Request::get(url, Arc::clone(&self.tls)) };
        expect_success(&operation, self.send(&operation, &mut request)?).map(super::Response::drain)
    }
}
