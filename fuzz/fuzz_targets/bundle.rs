//! A bundle of cosign 3 in whatever state: verifying it ends, does not panic, and accepts nothing, for nobody has the
//! private halves of these keys. Around a good envelope, whatever vouches for it besides does not change what it says.
#![no_main]

mod trusts;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use libfuzzer_sys::fuzz_target;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use transship::signature::sigstore::{PublicKey, SigstoreSignature, Trust, Verified, verify};
use transship::{Digest, MediaType};

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// What is before the point in a public key on P-256.
const SPKI: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// A good envelope, and who made it.
static GOOD: LazyLock<(Value, PublicKey)> = LazyLock::new(|| {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("random numbers");
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).expect("a key");
    (envelope(&key), public_key(&key))
});

fuzz_target!(|data: &[u8]| {
    for trust in &*trusts::TRUSTS {
        let _ = verified(data, trust).expect_err("nobody signed this");
    }
    let Ok(Value::Object(mut bundle)) = serde_json::from_slice(data) else { return };
    let (envelope, key) = &*GOOD;
    bundle.remove("messageSignature");
    bundle.insert("dsseEnvelope".to_owned(), envelope.clone());
    let bundle = Value::Object(bundle).to_string();
    let keys = vec![key.clone()];
    let with_log = Trust::Keys { keys: keys.clone(), rekor: trusts::rekor() };
    let _ = verified(bundle.as_bytes(), &with_log).expect_err("no log took this");
    if let Ok(verified) = verified(bundle.as_bytes(), &Trust::Keys { keys, rekor: Vec::new() }) {
        assert_eq!(verified.manifest_digest, Digest::sha256(b""));
    }
});

fn verified(bundle: &[u8], trust: &Trust) -> Result<Verified, String> {
    let (media_type, payload) = (MediaType::SIGSTORE_BUNDLE, bundle.to_vec());
    let signature = SigstoreSignature { media_type, payload, annotations: BTreeMap::new() };
    verify(&signature, trust, SystemTime::UNIX_EPOCH).map_err(|error| error.to_string())
}

fn envelope(key: &EcdsaKeyPair) -> Value {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": Digest::sha256(b"").encoded()}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    });
    let statement = statement.to_string();
    let signed = format!("DSSEv1 {} {PAYLOAD_TYPE} {} {statement}", PAYLOAD_TYPE.len(), statement.len());
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).expect("random numbers");
    json!({
        "payload": BASE64_STANDARD.encode(statement),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": BASE64_STANDARD.encode(signature)}],
    })
}

fn public_key(key: &EcdsaKeyPair) -> PublicKey {
    let (_, coordinates) = key.public_key().as_ref().split_first().expect("an uncompressed point");
    let text = BASE64_STANDARD.encode(coordinates);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{SPKI}{text}\n-----END PUBLIC KEY-----\n");
    PublicKey::from_pem(pem.as_bytes()).expect("a key")
}
