//! A file with a private key, whatever is in its PEM, its JSON or its box: reading it ends and does not panic, and a
//! key that was read signs.
#![no_main]

use std::sync::LazyLock;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use transship::signature::sigstore::{PrivateKey, Trust, verify};
use transship::signature::{Payload, PayloadKind};
use transship::{Digest, Secret};

/// `N * r * p`. The limits of the library are for a file that its owner wants to wait for.
const MAX_COST: u64 = 1 << 12;
const SALT: &[u8] = b"salt";
const NONCE: [u8; 24] = [0; 24];

/// What scrypt makes of no passphrase with the least work.
static BOX: LazyLock<XSalsa20Poly1305> = LazyLock::new(|| {
    let (mut key, least) = ([0; 32], scrypt::Params::new(1, 1, 1, 32).expect("good parameters"));
    scrypt::scrypt(b"", SALT, &least, &mut key).expect("a key");
    XSalsa20Poly1305::new((&key).into())
});

fuzz_target!(|data: &[u8]| {
    read(&in_pem(data));
    read(data);
    read(&in_pem(in_box(data).to_string().as_bytes()));
});

fn read(file: &[u8]) {
    let blocks = pem::parse_many(file).unwrap_or_default();
    if blocks.iter().any(|block| cost(block.contents()) > MAX_COST) {
        return;
    }
    let Ok(key) = PrivateKey::from_pem(file, &Secret::new(String::new())) else { return };
    let payload = Payload::new(PayloadKind::Sigstore, Digest::sha256(b""), "quay.io/org/app:1");
    let signature = key.sign(&payload).expect("random numbers");
    let trust = Trust::Keys { keys: vec![key.public_key().clone()], rekor: Vec::new() };
    let verified = verify(&signature, &trust, SystemTime::UNIX_EPOCH).expect("a good signature");
    assert_eq!(verified.manifest_digest, payload.manifest_digest);
}

fn cost(json: &[u8]) -> u64 {
    let document: Value = serde_json::from_slice(json).unwrap_or_default();
    let factor = |name| document.pointer(&format!("/kdf/params/{name}")).and_then(Value::as_u64).unwrap_or(0);
    ["N", "r", "p"].map(factor).into_iter().fold(1, u64::saturating_mul)
}

fn in_pem(data: &[u8]) -> Vec<u8> {
    let (label, text) = ("ENCRYPTED SIGSTORE PRIVATE KEY", BASE64_STANDARD.encode(data));
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes()
}

fn in_box(pkcs8: &[u8]) -> Value {
    let ciphertext = BOX.encrypt(Nonce::from_slice(&NONCE), pkcs8).expect("a short text");
    let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    json!({
        "kdf": {"name": "scrypt", "params": {"N": 2, "r": 1, "p": 1}, "salt": base64(SALT)},
        "cipher": {"name": "nacl/secretbox", "nonce": base64(&NONCE)},
        "ciphertext": base64(&ciphertext),
    })
}
