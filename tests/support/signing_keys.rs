//! OpenPGP keys of the tests' own, and messages that only an attacker would make.
#![allow(
    dead_code,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests; no test needs all of them"
)]

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use openpgp::cert::{Cert, CertBuilder, CipherSuite};
use openpgp::serialize::Serialize as _;
use openpgp::serialize::SerializeInto as _;
use openpgp::serialize::stream::{Compressor, LiteralWriter, Message, Signer};
use openpgp::types::{CompressionAlgorithm, HashAlgorithm, KeyFlags, ReasonForRevocation};
use sequoia_openpgp as openpgp;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate with a secret key that may sign, made `age` ago.
pub(crate) fn certificate(name: &str, age: Duration) -> Cert {
    builder(name, age).generate().unwrap().0
}

pub(crate) fn builder(name: &str, age: Duration) -> CertBuilder<'static> {
    CertBuilder::new()
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_creation_time(SystemTime::now() - age)
        .add_userid(format!("{name} <{name}@example.com>"))
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
}

/// The same, revoked.
pub(crate) fn revoked(certificate: &Cert) -> Cert {
    let mut key = certificate.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let revocation = certificate.revoke(&mut key, ReasonForRevocation::KeyCompromised, b"stolen").unwrap();
    certificate.clone().insert_packets(revocation).unwrap().0
}

/// What stands in a policy's key file.
pub(crate) fn public(certificate: &Cert) -> Vec<u8> {
    certificate.clone().strip_secret_key_material().to_vec().unwrap()
}

/// What `gpg --export-secret-keys` writes.
pub(crate) fn secret(certificate: &Cert) -> Vec<u8> {
    certificate.as_tsk().to_vec().unwrap()
}

/// Signs inline with the certificate's primary key.
pub(crate) fn sign(certificate: &Cert, content: &[u8]) -> Vec<u8> {
    Signing::new(certificate).sign(content)
}

/// How to sign what is not signed as usual.
pub(crate) struct Signing {
    pub(crate) keys: Vec<openpgp::crypto::KeyPair>,
    pub(crate) hash: HashAlgorithm,
    pub(crate) created: Option<SystemTime>,
    pub(crate) compress: bool,
}

impl Signing {
    pub(crate) fn new(certificate: &Cert) -> Self {
        Self { keys: vec![primary(certificate)], hash: HashAlgorithm::SHA256, created: None, compress: false }
    }

    pub(crate) fn sign(&self, content: &[u8]) -> Vec<u8> {
        let mut sink = Vec::new();
        let mut message = Message::new(&mut sink);
        if self.compress {
            message = Compressor::new(message).algo(CompressionAlgorithm::Zip).build().unwrap();
        }
        for key in &self.keys {
            let mut signer = Signer::new(message, key.clone()).unwrap().hash_algo(self.hash).unwrap();
            if let Some(created) = self.created {
                signer = signer.creation_time(created);
            }
            message = signer.build().unwrap();
        }
        let mut literal = LiteralWriter::new(message).build().unwrap();
        literal.write_all(content).unwrap();
        literal.finalize().unwrap();
        sink
    }

    pub(crate) fn detached(&self, content: &[u8]) -> Vec<u8> {
        let mut sink = Vec::new();
        let mut signer =
            Signer::new(Message::new(&mut sink), self.keys[0].clone()).unwrap().detached().build().unwrap();
        signer.write_all(content).unwrap();
        signer.finalize().unwrap();
        sink
    }

    pub(crate) fn cleartext(&self, content: &[u8]) -> Vec<u8> {
        let mut sink = Vec::new();
        let mut signer =
            Signer::new(Message::new(&mut sink), self.keys[0].clone()).unwrap().cleartext().build().unwrap();
        signer.write_all(content).unwrap();
        signer.finalize().unwrap();
        sink
    }
}

pub(crate) fn primary(certificate: &Cert) -> openpgp::crypto::KeyPair {
    certificate.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
}

/// The first subkey, whatever it is for.
pub(crate) fn subkey(certificate: &Cert) -> openpgp::crypto::KeyPair {
    let key = certificate.keys().subkeys().next().unwrap().key().clone();
    key.parts_into_secret().unwrap().into_keypair().unwrap().clone()
}

/// One packet around bytes that are compressed; they need not make sense.
pub(crate) fn compressed(content: &[u8]) -> Vec<u8> {
    let mut sink = Vec::new();
    let mut compressor = Compressor::new(Message::new(&mut sink)).algo(CompressionAlgorithm::Zip).build().unwrap();
    compressor.write_all(content).unwrap();
    compressor.finalize().unwrap();
    sink
}

/// A literal packet alone.
pub(crate) fn literal(content: &[u8]) -> Vec<u8> {
    let mut packet = openpgp::packet::Literal::new(openpgp::types::DataFormat::Binary);
    packet.set_body(content.to_vec());
    let mut bytes = Vec::new();
    openpgp::Packet::from(packet).serialize(&mut bytes).unwrap();
    bytes
}
