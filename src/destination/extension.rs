//! Signatures that the registry itself keeps.

use super::Error;
use super::error::failed;
use crate::digest::Digest;
use crate::registry::{self as api, RegistryClient};
use crate::signature::UntrustedSignature;

/// Adds simple signatures to those of a manifest that is there. One that is there already is not added again.
pub(super) fn add(client: &RegistryClient, digest: &Digest, signatures: &[&UntrustedSignature]) -> Result<(), Error> {
    let mut there = listed(client, digest).map_err(failed)?;
    for signature in signatures {
        let UntrustedSignature::SimpleSigning(message) = signature else { continue };
        if there.contains(message) {
            continue;
        }
        if let Err(error) = client.put_extension_signature(digest, message) {
            // An answer that was lost is followed by one that says that there is such a signature.
            if !listed(client, digest).is_ok_and(|now| now.contains(message)) {
                return Err(failed(error));
            }
        }
        there.push(message.clone());
    }
    Ok(())
}

/// A registry that lists none may say so with a 404.
fn listed(client: &RegistryClient, digest: &Digest) -> Result<Vec<Vec<u8>>, api::Error> {
    match client.extension_signatures(digest) {
        Ok(listed) => Ok(listed.into_iter().map(|signature| signature.content).collect()),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
