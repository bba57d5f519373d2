//! A small sigstore: keys, a transparency log and a Fulcio, for signatures as cosign makes them.

#![allow(dead_code, unreachable_pub, reason = "no test file needs all of it")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType, SigningKey as _,
};
use serde_json::{Value, json};
use transship::signature::sigstore::{
    BUNDLE_ANNOTATION, CERTIFICATE_ANNOTATION, CHAIN_ANNOTATION, CaCertificates, Fulcio, Pki, PublicKey, RekorKey,
    SIGNATURE_ANNOTATION, SigstoreSignature, Trust,
};
use transship::signature::{Payload, PayloadKind};
use transship::{Digest, MediaType};

/// When the signatures of the tests were made.
pub const SIGNED_AT: u64 = 1_700_000_000;

pub const EMAIL: &str = "test-user@example.com";
pub const ISSUER: &str = "https://issuer.example/oauth";
pub const HOSTNAME: &str = "myhost.example.com";

pub fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub fn to_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub fn from_base64(text: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap()
}

/// The payload of a signature for `manifest`.
pub fn payload(manifest: &[u8], reference: &str) -> Vec<u8> {
    Payload::new(PayloadKind::Sigstore, Digest::sha256(manifest), reference).to_json()
}

/// An ECDSA key on P-256.
pub struct Key(pub KeyPair);

impl Key {
    pub fn new() -> Self {
        Self(KeyPair::generate().unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.public_key_pem()
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::from_pem(self.pem().as_bytes()).unwrap()
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).unwrap()
    }

    /// A signature in the form of attachments, that no log has seen.
    pub fn legacy(&self, payload: &[u8]) -> SigstoreSignature {
        let annotations = BTreeMap::from([(SIGNATURE_ANNOTATION.to_owned(), to_base64(&self.sign(payload)))]);
        SigstoreSignature { media_type: MediaType::COSIGN_PAYLOAD, payload: payload.to_vec(), annotations }
    }
}

/// A transparency log of two entries: the one that it is asked for, and some other.
pub struct Log(pub Key);

impl Log {
    pub fn new() -> Self {
        Self(Key::new())
    }

    pub fn rekor(&self) -> Vec<RekorKey> {
        vec![RekorKey::from_pem(self.0.pem().as_bytes()).unwrap()]
    }

    fn id(&self) -> Vec<u8> {
        from_hex(Digest::sha256(&self.0.0.subject_public_key_info()).encoded())
    }

    /// The JSON of `dev.sigstore.cosign/bundle` for any entry.
    pub fn set(&self, body: &[u8], time: i64) -> Value {
        let payload = json!({
            "body": to_base64(body), "integratedTime": time, "logIndex": 7,
            "logID": to_hex(&self.id()),
        });
        self.signed(&payload)
    }

    /// The same for any payload.
    pub fn signed(&self, payload: &Value) -> Value {
        let canonical = serde_json_canonicalizer::to_vec(payload).unwrap();
        json!({"SignedEntryTimestamp": to_base64(&self.0.sign(&canonical)), "Payload": payload})
    }

    /// Adds the promise to show this signature; `verifier` is the PEM of a key or a certificate.
    pub fn log(&self, signature: &mut SigstoreSignature, verifier: &str, time: i64) {
        let signed = &signature.annotations[SIGNATURE_ANNOTATION];
        let set = self.set(hashedrekord(&signature.payload, signed, verifier).to_string().as_bytes(), time);
        signature.annotations.insert(BUNDLE_ANNOTATION.to_owned(), set.to_string());
    }

    /// The entry of a bundle for a body of this kind and version.
    pub fn entry(&self, kind: &str, version: &str, body: &Value, time: Option<i64>) -> Value {
        let body = serde_json_canonicalizer::to_vec(body).unwrap();
        let sibling = Digest::sha256(b"some other entry");
        let leaf = Digest::sha256(&[&[0][..], &body].concat());
        let node = [&[1][..], &from_hex(leaf.encoded()), &from_hex(sibling.encoded())].concat();
        let root = to_base64(&from_hex(Digest::sha256(&node).encoded()));
        let mut entry = json!({
            "logIndex": "0",
            "logId": {"keyId": to_base64(&self.id())},
            "kindVersion": {"kind": kind, "version": version},
            "inclusionProof": {
                "logIndex": "0", "treeSize": "2", "rootHash": root,
                "hashes": [to_base64(&from_hex(sibling.encoded()))],
                "checkpoint": {"envelope": self.checkpoint(&root)},
            },
            "canonicalizedBody": to_base64(&body),
            "integratedTime": time.unwrap_or_default().to_string(),
        });
        if let Some(time) = time {
            let promised = json!({
                "body": to_base64(&body), "integratedTime": time, "logIndex": 0, "logID": to_hex(&self.id()),
            });
            let set = &self.signed(&promised)["SignedEntryTimestamp"];
            entry["inclusionPromise"] = json!({"signedEntryTimestamp": set});
        }
        entry
    }

    fn checkpoint(&self, root: &str) -> String {
        let note = format!("log.example - 1\n2\n{root}\n");
        let signed = [&self.id()[..4], &self.0.sign(note.as_bytes())].concat();
        format!("{note}\n\u{2014} log.example {}\n", to_base64(&signed))
    }
}

/// The entry of a log for a signature in the form of attachments.
pub fn hashedrekord(payload: &[u8], signature: &str, verifier: &str) -> Value {
    json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": Digest::sha256(payload).encoded()}},
            "signature": {"content": signature, "publicKey": {"content": to_base64(verifier.as_bytes())}},
        },
    })
}

/// A root and an intermediate: a Fulcio, or the PKI of an administrator.
pub struct Authority {
    root: String,
    intermediate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A key with its certificate, in PEM and DER.
pub struct Certified {
    pub key: Key,
    pub pem: String,
    pub der: Vec<u8>,
}

impl Authority {
    pub fn new() -> Self {
        Self::of(ca("root"), &intermediate())
    }

    /// One whose root is valid then, and not before or after.
    pub fn valid(from: SystemTime, to: SystemTime) -> Self {
        let mut root = ca("root");
        root.not_before = from.into();
        root.not_after = to.into();
        Self::of(root, &intermediate())
    }

    /// One whose root says that no other authority stands between it and a leaf.
    pub fn without_place_for_an_intermediate() -> Self {
        let mut root = ca("root");
        root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        Self::of(root, &intermediate())
    }

    /// One whose intermediate is an authority for something else than certificates.
    pub fn not_for_certificates() -> Self {
        let mut intermediate = intermediate();
        intermediate.key_usages = vec![KeyUsagePurpose::CrlSign];
        Self::of(ca("root"), &intermediate)
    }

    fn of(root: CertificateParams, intermediate_params: &CertificateParams) -> Self {
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let root = Issuer::new(root, root_key);
        let intermediate_pem = intermediate_params.signed_by(&key, &root).unwrap().pem();
        // It signs certificates whether it may or not.
        Self { root: root_pem, intermediate: intermediate_pem, issuer: Issuer::new(intermediate(), key) }
    }

    pub fn root(&self) -> CaCertificates {
        CaCertificates::from_pem(self.root.as_bytes()).unwrap()
    }

    /// What a bundle of version 0.3 needs, which has no place for an intermediate.
    pub fn all(&self) -> CaCertificates {
        CaCertificates::from_pem(self.chain().as_bytes()).unwrap()
    }

    pub fn intermediate(&self) -> CaCertificates {
        CaCertificates::from_pem(self.intermediate.as_bytes()).unwrap()
    }

    /// What is in `dev.sigstore.cosign/chain`.
    pub fn chain(&self) -> String {
        format!("{}\n{}", self.intermediate, self.root)
    }

    pub fn certify(&self, params: &CertificateParams) -> Certified {
        let key = Key::new();
        let certificate = params.signed_by(&key.0, &self.issuer).unwrap();
        Certified { pem: certificate.pem(), der: certificate.der().to_vec(), key }
    }

    /// A certificate that a leaf of this authority issued, which it may not, and the PEM of that leaf.
    pub fn certify_as_issuer(&self, params: &CertificateParams) -> (Certified, String) {
        let mut leaf = params.clone();
        leaf.distinguished_name.push(DnType::CommonName, "transship test leaf");
        let (leaf_key, key) = (KeyPair::generate().unwrap(), Key::new());
        let leaf_pem = leaf.signed_by(&leaf_key, &self.issuer).unwrap().pem();
        let certificate = params.signed_by(&key.0, &Issuer::new(leaf, leaf_key)).unwrap();
        (Certified { pem: certificate.pem(), der: certificate.der().to_vec(), key }, leaf_pem)
    }

    pub fn fulcio(&self, log: &Log) -> Trust {
        Trust::Fulcio(Fulcio::new(self.all(), ISSUER, EMAIL, log.rekor()))
    }

    pub fn pki(&self, email: Option<&str>, hostname: Option<&str>) -> Trust {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        Trust::Pki(Pki::new(self.root(), Some(self.intermediate()), owned(email), owned(hostname)).unwrap())
    }
}

impl Certified {
    /// A signature in the form of attachments, with its certificate.
    pub fn legacy(&self, payload: &[u8], authority: &Authority) -> SigstoreSignature {
        let mut signature = self.key.legacy(payload);
        signature.annotations.insert(CERTIFICATE_ANNOTATION.to_owned(), self.pem.clone());
        signature.annotations.insert(CHAIN_ANNOTATION.to_owned(), authority.chain());
        signature
    }
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("transship test {name}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn intermediate() -> CertificateParams {
    let mut params = ca("intermediate");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params
}

/// A certificate as Fulcio gives them: for ten minutes around [`SIGNED_AT`], an address and an issuer.
pub fn fulcio_params() -> CertificateParams {
    let mut params = leaf_params([rfc822(EMAIL)]);
    params.custom_extensions = vec![issuer_v1(ISSUER)];
    params.not_before = at(SIGNED_AT - 300).into();
    params.not_after = at(SIGNED_AT + 300).into();
    params
}

/// A certificate of an own PKI: an address and a host.
pub fn pki_params() -> CertificateParams {
    leaf_params([rfc822(EMAIL), dns(HOSTNAME)])
}

fn leaf_params(names: impl IntoIterator<Item = SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.subject_alt_names = names.into_iter().collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params
}

pub fn rfc822(email: &str) -> SanType {
    SanType::Rfc822Name(email.try_into().unwrap())
}

pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// The issuer as bare text.
pub fn issuer_v1(issuer: &str) -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 1], issuer.as_bytes().to_vec())
}

/// The issuer as an ASN.1 text, or as several behind each other, which is an error.
pub fn issuer_v2(issuers: &[&str]) -> CustomExtension {
    let texts = issuers.iter().flat_map(|text| [&[12, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat());
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 8], texts.collect())
}

/// A statement as `cosign sign` of version 3 writes it.
pub fn statement(manifest: &[u8]) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": Digest::sha256(manifest).encoded()}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
}

/// What signs a bundle.
#[derive(Clone, Copy)]
pub enum BundleSigner<'a> {
    Key(&'a Key),
    Certified(&'a Certified),
}

impl BundleSigner<'_> {
    fn key(&self) -> &Key {
        match self {
            Self::Key(key) => key,
            Self::Certified(certified) => &certified.key,
        }
    }

    fn verifier(&self) -> String {
        match self {
            Self::Key(key) => key.pem(),
            Self::Certified(certified) => certified.pem.clone(),
        }
    }

    fn material(&self) -> Value {
        match self {
            Self::Key(key) => json!({"publicKey": {"hint": key.public().fingerprint().encoded()}}),
            Self::Certified(certified) => json!({"certificate": {"rawBytes": to_base64(&certified.der)}}),
        }
    }
}

/// A bundle as cosign 3 makes it, without an entry of a log.
pub fn unlogged_bundle(statement: &[u8], signer: BundleSigner<'_>) -> Value {
    let payload_type = "application/vnd.in-toto+json";
    let pae = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), statement.len());
    let signature = signer.key().sign(&[pae.as_bytes(), statement].concat());
    json!({
        "mediaType": MediaType::SIGSTORE_BUNDLE.as_str(),
        "verificationMaterial": signer.material(),
        "dsseEnvelope": {
            "payload": to_base64(statement),
            "payloadType": payload_type,
            "signatures": [{"sig": to_base64(&signature)}],
        },
    })
}

/// The same, with the entry of a log.
pub fn bundle(statement: &[u8], signer: BundleSigner<'_>, log: &Log, time: i64) -> Value {
    let mut bundle = unlogged_bundle(statement, signer);
    let entry = log.entry("dsse", "0.0.1", &dsse(&bundle, &signer.verifier()), Some(time));
    bundle["verificationMaterial"]["tlogEntries"] = json!([entry]);
    bundle
}

fn dsse(bundle: &Value, verifier: &str) -> Value {
    let envelope = &bundle["dsseEnvelope"];
    let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": Digest::sha256(bytes).encoded()});
    let signature = &envelope["signatures"][0]["sig"];
    json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": hash(envelope.to_string().as_bytes()),
            "payloadHash": hash(&from_base64(&envelope["payload"])),
            "signatures": [{"signature": signature, "verifier": to_base64(verifier.as_bytes())}],
        },
    })
}

/// A bundle as it is attached.
pub fn attached(bundle: &Value) -> SigstoreSignature {
    let payload = bundle.to_string().into_bytes();
    SigstoreSignature { media_type: MediaType::SIGSTORE_BUNDLE, payload, annotations: BTreeMap::new() }
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
