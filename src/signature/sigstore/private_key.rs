//! Private keys in cosign's file format, and signing with them.
//!
//! The format: PKCS #8 in a secretbox of NaCl's, whose key scrypt derives from a passphrase, in JSON, in PEM.

use std::collections::BTreeMap;
use std::fmt;

use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use x509_cert::der::asn1::{Any, BitString};
use x509_cert::der::oid::db::rfc5912;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use super::pem_blocks::{self, PemError};
use super::public_key::PublicKey;
use super::{SIGNATURE_ANNOTATION, SigstoreSignature};
use crate::media_type::MediaType;
use crate::secret::Secret;
use crate::signature::payload::{Payload, PayloadKind};
use crate::strict_json::{self, Base64, object, to_base64};

const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";

/// What cosign wrote before version 2, and skopeo before 1.11 reads.
const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// scrypt takes `128 * N * r` bytes: 64 MiB with what cosign writes.
const MAX_SCRYPT_MEMORY: u64 = 256 * 1024 * 1024;
const MAX_SCRYPT_PARALLELISM: u32 = 4;

const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";
const NONCE_SIZE: usize = 24;

/// What cosign writes.
const WRITTEN: ScryptParams = ScryptParams { n: 65536, r: 8, p: 1 };

/// An ECDSA key on P-256 that signs images.
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    key_pair: EcdsaKeyPair,
    public_key: PublicKey,
}

/// Why a file is not a [`PrivateKey`], or a key cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateKeyError {
    /// Not one block of PEM.
    #[error("invalid private key")]
    Pem(#[source] PemError),
    /// A block of something else; a key that is not encrypted, say.
    #[error("a PEM block {0:?}, expected {LABEL} or {OLD_LABEL}")]
    Label(String),
    /// Not the JSON of an encrypted key.
    #[error("invalid private key")]
    Json(#[source] serde_json::Error),
    /// Encrypted in a way that nobody here decrypts.
    #[error("the private key is encrypted with {kdf} and {cipher}, expected {KDF} and {CIPHER}")]
    Encryption {
        /// What derives the key.
        kdf: String,
        /// What encrypts.
        cipher: String,
    },
    /// Parameters that would take all memory, or that scrypt does not have.
    #[error(
        "scrypt with N={n}, r={r}, p={p} is not supported (N a power of two, 128·N·r up to {MAX_SCRYPT_MEMORY} \
         bytes, p up to {MAX_SCRYPT_PARALLELISM})"
    )]
    Scrypt {
        /// The cost.
        n: u64,
        /// The block size.
        r: u32,
        /// The parallelism.
        p: u32,
    },
    /// The nonce has another size.
    #[error("the nonce of the private key has {0} bytes, expected {NONCE_SIZE}")]
    Nonce(usize),
    /// The passphrase is wrong, or the file was changed; the format cannot tell one from the other.
    #[error("wrong passphrase of the private key")]
    WrongPassphrase,
    /// Decrypted, and not a key of the kind that signs here.
    #[error("the private key is not supported (ECDSA on P-256 in PKCS #8 is): {0}")]
    Unsupported(String),
    /// The machine gives no random numbers.
    #[error("no random numbers")]
    Random,
}

/// The machine gives no random numbers, and ECDSA needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign: no random numbers")]
pub struct SignError;

impl PrivateKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, PrivateKeyError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let document = document.map_err(|_| PrivateKeyError::Random)?;
        Self::from_pkcs8(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// Reads a file of cosign's, podman's or skopeo's. Takes the memory and the time that scrypt is meant to take.
    pub fn from_pem(pem: &[u8], passphrase: &Secret<String>) -> Result<Self, PrivateKeyError> {
        let block = pem_blocks::only_block(pem, LABEL).map_err(PrivateKeyError::Pem)?;
        if ![LABEL, OLD_LABEL].contains(&block.tag()) {
            return Err(PrivateKeyError::Label(block.tag().to_owned()));
        }
        let encrypted: Encrypted = strict_json::from_slice(block.contents()).map_err(PrivateKeyError::Json)?;
        Self::from_pkcs8(encrypted.open(passphrase)?)
    }

    /// The text that [`from_pem`](Self::from_pem) reads, for a file.
    pub fn to_encrypted_pem(&self, passphrase: &Secret<String>) -> Result<String, PrivateKeyError> {
        let salt = random::<32>()?;
        let nonce = random::<NONCE_SIZE>()?;
        let cipher = cipher(WRITTEN, &salt, passphrase)?;
        let ciphertext = cipher.encrypt(Nonce::from_slice(&nonce), self.pkcs8.as_slice());
        let ciphertext = ciphertext.map_err(|_| PrivateKeyError::Unsupported("it is too large".to_owned()))?;
        let document = ToWrite {
            kdf: KdfToWrite { name: KDF, params: WRITTEN, salt: to_base64(&salt) },
            cipher: CipherToWrite { name: CIPHER, nonce: to_base64(&nonce) },
            ciphertext: to_base64(&ciphertext),
        };
        // Texts and numbers always have a JSON form.
        Ok(pem_blocks::encode(LABEL, serde_json::to_vec(&document).unwrap_or_default()))
    }

    /// The key that verifies what this one signs.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs a payload; its kind is taken for [`PayloadKind::Sigstore`].
    pub fn sign(&self, payload: &Payload) -> Result<SigstoreSignature, SignError> {
        let payload = Payload { kind: PayloadKind::Sigstore, ..payload.clone() }.to_json();
        let signature = self.key_pair.sign(&SystemRandom::new(), &payload).map_err(|_| SignError)?;
        let annotations = BTreeMap::from([(SIGNATURE_ANNOTATION.to_owned(), to_base64(signature.as_ref()))]);
        Ok(SigstoreSignature { media_type: MediaType::COSIGN_PAYLOAD, payload, annotations })
    }

    fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, PrivateKeyError> {
        let unsupported = |reason: &dyn fmt::Display| PrivateKeyError::Unsupported(reason.to_string());
        let key_pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8, &SystemRandom::new());
        let key_pair = key_pair.map_err(|error| unsupported(&error))?;
        let spki = spki(key_pair.public_key().as_ref()).map_err(|error| unsupported(&error))?;
        let public_key = PublicKey::new(&spki).map_err(|error| unsupported(&error))?;
        Ok(Self { pkcs8, key_pair, public_key })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public_key", &self.public_key).finish_non_exhaustive()
    }
}

fn spki(point: &[u8]) -> x509_cert::der::Result<SubjectPublicKeyInfoOwned> {
    let parameters = Any::encode_from(&rfc5912::SECP_256_R_1)?;
    let algorithm = AlgorithmIdentifierOwned { oid: rfc5912::ID_EC_PUBLIC_KEY, parameters: Some(parameters) };
    Ok(SubjectPublicKeyInfoOwned { algorithm, subject_public_key: BitString::from_bytes(point)? })
}

fn cipher(params: ScryptParams, salt: &[u8], passphrase: &Secret<String>) -> Result<XSalsa20Poly1305, PrivateKeyError> {
    let mut key = Zeroizing::new([0; 32]);
    let unsupported = || params.unsupported();
    // The only error is a length of the key that it has not.
    scrypt::scrypt(passphrase.expose().as_bytes(), salt, &params.check()?, &mut *key).map_err(|_| unsupported())?;
    Ok(XSalsa20Poly1305::new((&*key).into()))
}

fn random<const SIZE: usize>() -> Result<[u8; SIZE], PrivateKeyError> {
    let mut bytes = [0; SIZE];
    SystemRandom::new().fill(&mut bytes).map_err(|_| PrivateKeyError::Random)?;
    Ok(bytes)
}

#[derive(Deserialize)]
struct Encrypted {
    #[serde(deserialize_with = "object")]
    kdf: Kdf,
    #[serde(deserialize_with = "object")]
    cipher: Cipher,
    ciphertext: Base64,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    #[serde(deserialize_with = "object")]
    params: ScryptParams,
    salt: Base64,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
struct ScryptParams {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: Base64,
}

#[derive(Serialize)]
struct ToWrite {
    kdf: KdfToWrite,
    cipher: CipherToWrite,
    ciphertext: String,
}

#[derive(Serialize)]
struct KdfToWrite {
    name: &'static str,
    params: ScryptParams,
    salt: String,
}

#[derive(Serialize)]
struct CipherToWrite {
    name: &'static str,
    nonce: String,
}

impl Encrypted {
    fn open(&self, passphrase: &Secret<String>) -> Result<Zeroizing<Vec<u8>>, PrivateKeyError> {
        if self.kdf.name != KDF || self.cipher.name != CIPHER {
            let (kdf, cipher) = (self.kdf.name.clone(), self.cipher.name.clone());
            return Err(PrivateKeyError::Encryption { kdf, cipher });
        }
        let nonce = self.cipher.nonce.0.as_slice();
        if nonce.len() != NONCE_SIZE {
            return Err(PrivateKeyError::Nonce(nonce.len()));
        }
        let cipher = cipher(self.kdf.params, &self.kdf.salt.0, passphrase)?;
        let opened = cipher.decrypt(Nonce::from_slice(nonce), self.ciphertext.0.as_slice());
        opened.map(Zeroizing::new).map_err(|_| PrivateKeyError::WrongPassphrase)
    }
}

impl ScryptParams {
    /// A file must not take all memory, or a day.
    fn check(self) -> Result<scrypt::Params, PrivateKeyError> {
        let memory = self.n.checked_mul(128).and_then(|bytes| bytes.checked_mul(self.r.into()));
        let fits = memory.is_some_and(|memory| memory <= MAX_SCRYPT_MEMORY) && self.p <= MAX_SCRYPT_PARALLELISM;
        if !fits || self.n < 2 || !self.n.is_power_of_two() {
            return Err(self.unsupported());
        }
        let log_n = self.n.trailing_zeros().try_into().map_err(|_| self.unsupported())?;
        scrypt::Params::new(log_n, self.r, self.p, scrypt::Params::RECOMMENDED_LEN).map_err(|_| self.unsupported())
    }

    fn unsupported(self) -> PrivateKeyError {
        let Self { n, r, p } = self;
        PrivateKeyError::Scrypt { n, r, p }
    }
}
