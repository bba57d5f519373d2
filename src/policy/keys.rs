//! The key files that a policy names.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::policy_json::{CaCertificates, Keys};
use crate::config::{MAX_FILE_SIZE, read_bounded};
use crate::signature::sigstore;

/// Why a key of the policy cannot be used: the policy could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A file cannot be read.
    #[error("cannot read the key file {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file, or what stands in the policy itself, is no public key.
    #[error("{name} cannot be used as a public key")]
    PublicKey {
        /// The file, or the member of the policy.
        name: String,
        /// What is wrong with it.
        source: sigstore::KeyError,
    },
    /// A file, or what stands in the policy itself, is no list of certificate authorities.
    #[error("{name} cannot be used for certificate authorities")]
    Certificates {
        /// The file, or the member of the policy.
        name: String,
        /// What is wrong with it.
        source: sigstore::CertificateError,
    },
    /// The names that a certificate of an own PKI must have are none.
    #[error("the pki of the policy cannot be used")]
    Pki(#[from] sigstore::PkiError),
}

/// A [`KeyError`] that a judgement and an error have in common. Prints as it.
#[derive(Debug, Clone)]
pub struct SharedKeyError(Arc<KeyError>);

impl SharedKeyError {
    /// The error.
    pub fn get(&self) -> &KeyError {
        &self.0
    }
}

impl From<KeyError> for SharedKeyError {
    fn from(error: KeyError) -> Self {
        Self(Arc::new(error))
    }
}

impl std::fmt::Display for SharedKeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// So that the chain of an error leads to the [`KeyError`] itself.
impl std::error::Error for SharedKeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// The bytes of one file, or of one member of the policy.
pub(super) struct KeyFile {
    /// For messages.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn read(keys: &Keys) -> Result<Vec<KeyFile>, KeyError> {
    match keys {
        Keys::Paths(paths) => paths.iter().map(|path| file(path)).collect(),
        Keys::Datas(datas) => Ok(datas.iter().map(|data| in_policy("keyData", data)).collect()),
    }
}

pub(super) fn read_certificates(certificates: &CaCertificates) -> Result<KeyFile, KeyError> {
    match certificates {
        CaCertificates::Path(path) => file(path),
        CaCertificates::Data(data) => Ok(in_policy("caData", data)),
    }
}

fn file(path: &Path) -> Result<KeyFile, KeyError> {
    let bytes = read_bounded(path, MAX_FILE_SIZE).map_err(|source| KeyError::Read { path: path.to_owned(), source })?;
    Ok(KeyFile { name: path.display().to_string(), bytes })
}

fn in_policy(member: &str, data: &[u8]) -> KeyFile {
    KeyFile { name: format!("{member} of the policy"), bytes: data.to_vec() }
}
