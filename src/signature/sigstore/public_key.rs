//! Public keys, and what they verify.

use std::fmt;

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_cert::der::asn1::{Any, UintRef};
use x509_cert::der::oid::db::{rfc5912, rfc8410};
use x509_cert::der::{Decode as _, Encode as _, Reader as _, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::pem_blocks::{self, PUBLIC_KEY, PemError};
use crate::digest::Digest;

/// A public key of a kind that is accepted: ECDSA on P-256 or P-384, RSA with at least 2048 bits, Ed25519.
///
/// A payload is hashed with SHA-256 whatever the curve is, as the field does.
///
/// ```
/// use transship::signature::sigstore::PublicKey;
///
/// let key = PublicKey::from_pem(b"-----BEGIN PUBLIC KEY-----
/// MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFNLqFhf4fiN6o/glAuYnq2jYUeL0
/// vRuLu/z39pmbVwS9ff5AYnlwaP9sxREajdLY9ynM6G1sy6AAmb7Z63TsLg==
/// -----END PUBLIC KEY-----")?;
/// assert!(key.to_string().starts_with("ECDSA P-256 key sha256:"));
/// # Ok::<(), transship::signature::sigstore::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Vec<u8>,
    /// What ring takes: the point, or the two numbers of RSA.
    raw: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    EcdsaP256,
    EcdsaP384,
    Rsa,
    Ed25519,
}

/// Why something is not a [`PublicKey`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not one block of PEM.
    #[error("invalid public key")]
    Pem(#[source] PemError),
    /// Not the structure of a public key.
    #[error("invalid public key")]
    Der(#[source] x509_cert::der::Error),
    /// A key that nobody here verifies with.
    #[error("{0} is not supported (ECDSA on P-256 or P-384, RSA with 2048 to 8192 bits and Ed25519 are)")]
    Unsupported(String),
    /// Logs sign with ECDSA.
    #[error("the key of a transparency log is {0}, expected ECDSA on P-256 or P-384")]
    NotEcdsa(&'static str),
}

/// The signature is not of this key and these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl PublicKey {
    /// Reads exactly one `PUBLIC KEY` block.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        Self::from_spki(&pem_blocks::block(pem, PUBLIC_KEY).map_err(KeyError::Pem)?)
    }

    /// Reads the DER of a `SubjectPublicKeyInfo`.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        Self::new(&SubjectPublicKeyInfoOwned::from_der(der).map_err(KeyError::Der)?)
    }

    pub(super) fn new(spki: &SubjectPublicKeyInfoOwned) -> Result<Self, KeyError> {
        let kind = kind(spki)?;
        let raw = spki.subject_public_key.as_bytes();
        let raw = raw.ok_or_else(|| KeyError::Unsupported("a key that is no whole number of bytes".to_owned()))?;
        if kind == KeyKind::Rsa {
            check_size(raw)?;
        }
        check_point(kind, raw)?;
        let raw = raw.to_vec();
        Ok(Self { kind, spki: spki.to_der().map_err(KeyError::Der)?, raw })
    }

    /// Checks a signature of `message` in the form that sigstore writes: ASN.1 for ECDSA, PKCS #1 v1.5 for RSA.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.verify_with(payload_algorithm(self.kind), message, signature)
    }

    /// The same for an envelope of a bundle, where each curve comes with the hash of its own size.
    pub(super) fn verify_envelope(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let algorithm = match self.kind {
            KeyKind::EcdsaP384 => &signature::ECDSA_P384_SHA384_ASN1,
            kind => payload_algorithm(kind),
        };
        self.verify_with(algorithm, message, signature)
    }

    fn verify_with(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(algorithm, &self.raw).verify(message, signature).map_err(|_| BadSignature)
    }

    /// The digest of the key's DER: what logs and reports call it by.
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(&self.spki)
    }

    /// The DER of its `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The text that [`from_pem`](Self::from_pem) reads.
    pub fn to_pem(&self) -> String {
        pem_blocks::encode(PUBLIC_KEY, self.spki.as_slice())
    }

    pub(super) fn kind(&self) -> KeyKind {
        self.kind
    }
}

impl KeyKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::Rsa => "RSA",
            Self::Ed25519 => "Ed25519",
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key {}", self.kind.as_str(), self.fingerprint())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn kind(spki: &SubjectPublicKeyInfoOwned) -> Result<KeyKind, KeyError> {
    let unsupported = |what: String| Err(KeyError::Unsupported(what));
    match spki.algorithm.oid {
        rfc5912::ID_EC_PUBLIC_KEY => match spki.algorithm.parameters.as_ref().map(Any::decode_as) {
            Some(Ok(rfc5912::SECP_256_R_1)) => Ok(KeyKind::EcdsaP256),
            Some(Ok(rfc5912::SECP_384_R_1)) => Ok(KeyKind::EcdsaP384),
            Some(Ok(rfc5912::SECP_521_R_1)) => unsupported("ECDSA on P-521".to_owned()),
            Some(Ok(curve)) => unsupported(format!("ECDSA on the curve {curve}")),
            _ => unsupported("ECDSA without a named curve".to_owned()),
        },
        rfc5912::RSA_ENCRYPTION => Ok(KeyKind::Rsa),
        rfc8410::ID_ED_25519 => Ok(KeyKind::Ed25519),
        other => unsupported(format!("a key of the algorithm {other}")),
    }
}

fn payload_algorithm(kind: KeyKind) -> &'static dyn VerificationAlgorithm {
    match kind {
        KeyKind::EcdsaP256 => &signature::ECDSA_P256_SHA256_ASN1,
        KeyKind::EcdsaP384 => &signature::ECDSA_P384_SHA256_ASN1,
        KeyKind::Rsa => &signature::RSA_PKCS1_2048_8192_SHA256,
        KeyKind::Ed25519 => &signature::ED25519,
    }
}

/// ring would refuse every signature of such a key, and nobody would know why.
fn check_size(raw: &[u8]) -> Result<(), KeyError> {
    let modulus = modulus(raw).map_err(KeyError::Der)?;
    let unused = modulus.first().map_or(0, |first| first.leading_zeros());
    let bits = (modulus.len() * 8).saturating_sub(unused.try_into().unwrap_or_default());
    if (2048..=8192).contains(&bits) { Ok(()) } else { Err(KeyError::Unsupported(format!("RSA with {bits} bits"))) }
}

fn modulus(raw: &[u8]) -> x509_cert::der::Result<&[u8]> {
    let mut reader = SliceReader::new(raw)?;
    let modulus = reader.sequence(|reader| {
        let modulus = UintRef::decode(reader)?;
        UintRef::decode(reader).map(|_exponent| modulus)
    })?;
    reader.finish(modulus.as_bytes())
}

/// The same for a point that is compressed, or a key of another length.
fn check_point(kind: KeyKind, raw: &[u8]) -> Result<(), KeyError> {
    let is_valid = match kind {
        KeyKind::EcdsaP256 => raw.len() == 65 && raw.first() == Some(&4),
        KeyKind::EcdsaP384 => raw.len() == 97 && raw.first() == Some(&4),
        KeyKind::Ed25519 => raw.len() == 32,
        KeyKind::Rsa => true,
    };
    if is_valid { Ok(()) } else { Err(KeyError::Unsupported(format!("the form of this {} key", kind.as_str()))) }
}
