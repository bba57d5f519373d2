//! One requirement of a policy.

use std::path::PathBuf;

use super::identity::SignedIdentity;

/// What must hold for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// Anything is accepted.
    InsecureAcceptAnything,
    /// Nothing is accepted.
    Reject,
    /// A simple signature by a GPG key.
    SignedBy(SignedBy),
    /// Read, but never satisfied: nobody implements it.
    SignedBaseLayer {
        /// The identity of the base image.
        base_layer_identity: SignedIdentity,
    },
    /// A sigstore signature.
    SigstoreSigned(SigstoreSigned),
}

/// `signedBy`
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedBy {
    /// What `keys` are.
    pub key_type: KeyType,
    /// Who may sign.
    pub keys: Keys,
    /// What the signature must be for.
    pub signed_identity: SignedIdentity,
}

/// `keyType`: only [`GpgKeys`](Self::GpgKeys) can be satisfied, the others are read and nobody implements them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyType {
    /// `GPGKeys`
    GpgKeys,
    /// `signedByGPGKeys`
    SignedByGpgKeys,
    /// `X509Certificates`
    X509Certificates,
    /// `signedByX509CAs`
    SignedByX509Cas,
}

/// Public keys: any of them will do. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keys {
    /// In files (`keyPath`, `keyPaths`).
    Paths(Vec<PathBuf>),
    /// In the policy itself (`keyData`, `keyDatas`).
    Datas(Vec<Vec<u8>>),
}

/// `sigstoreSigned`
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SigstoreSigned {
    /// Who may sign.
    pub trust: SigstoreTrust,
    /// The keys of the transparency log that must have seen the signature; always there with Fulcio.
    pub rekor_public_keys: Option<Keys>,
    /// What the signature must be for.
    pub signed_identity: SignedIdentity,
}

/// Who may make a sigstore signature.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SigstoreTrust {
    /// The owner of a key.
    Keys(Keys),
    /// Whoever Fulcio gave a certificate to.
    Fulcio(Fulcio),
    /// The owner of a certificate.
    Pki(Pki),
}

/// `fulcio`
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fulcio {
    /// Fulcio's certificates (`caPath`, `caData`).
    pub ca: CaCertificates,
    /// Who has authenticated the user for Fulcio.
    pub oidc_issuer: String,
    /// The user.
    pub subject_email: String,
}

/// `pki`: at least one of e-mail and hostname; both must match if both are there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pki {
    /// `caRootsPath`, `caRootsData`
    pub ca_roots: CaCertificates,
    /// `caIntermediatesPath`, `caIntermediatesData`
    pub ca_intermediates: Option<CaCertificates>,
    /// An e-mail address of the certificate's owner.
    pub subject_email: Option<String>,
    /// A host name of the certificate's owner.
    pub subject_hostname: Option<String>,
}

/// Certificates in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaCertificates {
    /// In a file.
    Path(PathBuf),
    /// In the policy itself.
    Data(Vec<u8>),
}

impl Requirement {
    /// The `type` in the file.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::InsecureAcceptAnything => "insecureAcceptAnything",
            Self::Reject => "reject",
            Self::SignedBy(_) => "signedBy",
            Self::SignedBaseLayer { .. } => "signedBaseLayer",
            Self::SigstoreSigned(_) => "sigstoreSigned",
        }
    }
}
