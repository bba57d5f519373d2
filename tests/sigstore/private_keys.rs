//! Private keys in cosign's file format, written and read, by us and by skopeo.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use serde_json::{Value, json};
use transship::signature::sigstore::{PrivateKey, PublicKey, Trust};
use transship::signature::{Payload, PayloadKind, UntrustedSignature};
use transship::{Digest, Secret};

use crate::support::local::docker_image;
use crate::support::peers::peer;
use crate::support::sigstore::{Key, to_base64};
use crate::{reason, verify};

const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

fn passphrase(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// The JSON of a file.
fn document(pem: &str) -> Value {
    serde_json::from_slice(pem::parse(pem).unwrap().contents()).unwrap()
}

fn pem(label: &str, document: &Value) -> String {
    pem::encode(&pem::Pem::new(label, document.to_string()))
}

/// A file as cosign before version 2 wrote it: scrypt with half the cost, and another label.
fn old_file(pkcs8: &[u8], passphrase: &str) -> String {
    let (salt, nonce) = ([7; 32], [8; 24]);
    let mut key = [0; 32];
    let params = scrypt::Params::new(15, 8, 1, 32).unwrap();
    scrypt::scrypt(passphrase.as_bytes(), &salt, &params, &mut key).unwrap();
    let ciphertext = XSalsa20Poly1305::new(&key.into()).encrypt(Nonce::from_slice(&nonce), pkcs8).unwrap();
    let document = json!({
        "kdf": {"name": "scrypt", "params": {"N": 32768, "r": 8, "p": 1}, "salt": to_base64(&salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": to_base64(&nonce)},
        "ciphertext": to_base64(&ciphertext),
    });
    pem(OLD_LABEL, &document)
}

#[test]
fn what_is_written_can_be_read_with_the_passphrase_and_signs() {
    let key = PrivateKey::generate().unwrap();
    let pem = key.to_encrypted_pem(&passphrase("geheim é")).unwrap();
    let kdf = &document(&pem)["kdf"];
    assert_eq!((&kdf["name"], &kdf["params"]), (&json!("scrypt"), &json!({"N": 65536, "r": 8, "p": 1})));
    assert_ne!(pem, key.to_encrypted_pem(&passphrase("geheim é")).unwrap(), "salt and nonce are new each time");

    let read = PrivateKey::from_pem(pem.as_bytes(), &passphrase("geheim é")).unwrap();
    assert_eq!(read.public_key(), key.public_key());
    let payload = Payload::new(PayloadKind::SimpleSigning, Digest::sha256(b"manifest"), "quay.io/org/app:1");
    let trust = Trust::Keys { keys: vec![key.public_key().clone()], rekor: vec![] };
    let verified = verify(&read.sign(&payload).unwrap(), &trust).unwrap();
    assert_eq!(verified.manifest_digest, payload.manifest_digest);
    assert_eq!(verified.docker_reference.as_ref(), Some(&payload.docker_reference));
}

#[test]
fn a_key_is_not_printed() {
    let key = PrivateKey::generate().unwrap();
    assert_eq!(format!("{key:?}"), format!("PrivateKey {{ public_key: {}, .. }}", key.public_key()));
}

#[test]
fn a_wrong_passphrase_is_told_from_a_broken_file() {
    let key = PrivateKey::generate().unwrap();
    let written = key.to_encrypted_pem(&passphrase("right")).unwrap();
    let good = document(&written);
    let refused = |pem: &str| reason(&PrivateKey::from_pem(pem.as_bytes(), &passphrase("wrong")).unwrap_err());
    assert_eq!(refused(&written), "wrong passphrase of the private key");

    assert_eq!(refused(""), "invalid private key: no PEM block, expected ENCRYPTED SIGSTORE PRIVATE KEY");
    assert!(refused(&written.repeat(2)).contains("2 PEM blocks, expected one ENCRYPTED SIGSTORE PRIVATE KEY"));
    let plain = refused(&Key::new().0.serialize_pem());
    assert!(plain.starts_with("a PEM block \"PRIVATE KEY\", expected ENCRYPTED SIGSTORE PRIVATE KEY or"), "{plain}");
    assert!(refused(&pem(LABEL, &json!("x"))).starts_with("invalid private key: "));

    for (pointer, value, words) in [
        ("/kdf/name", json!("argon2"), "encrypted with argon2 and nacl/secretbox, expected scrypt and nacl/secretbox"),
        ("/cipher/name", json!("rot13"), "encrypted with scrypt and rot13"),
        ("/cipher/nonce", json!("AAAA"), "the nonce of the private key has 3 bytes, expected 24"),
        ("/ciphertext", json!(""), "wrong passphrase of the private key"),
        ("/ciphertext", json!("&"), "invalid base64"),
        ("/kdf/params/N", json!(-1), "invalid private key"),
        ("/kdf/params/N", json!(65535), "scrypt with N=65535, r=8, p=1 is not supported"),
        ("/kdf/params/N", json!(0), "not supported"),
        ("/kdf/params/N", json!(1), "not supported"),
        ("/kdf/params/N", json!(1_u64 << 19), "128·N·r up to 268435456 bytes"),
        ("/kdf/params/N", json!(u64::MAX), "not supported"),
        ("/kdf/params/N", json!(1_u64 << 63), "not supported"),
        ("/kdf/params/r", json!(0), "not supported"),
        ("/kdf/params/r", json!(u32::MAX), "not supported"),
        ("/kdf/params/p", json!(0), "not supported"),
        ("/kdf/params/p", json!(5), "p up to 4"),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value.clone();
        let refused = refused(&pem(LABEL, &changed));
        assert!(refused.contains(words), "{pointer} {value}: {refused}");
    }
}

#[test]
fn a_changed_file_does_not_decrypt() {
    let key = PrivateKey::generate().unwrap();
    let mut changed = document(&key.to_encrypted_pem(&passphrase("right")).unwrap());
    let mut ciphertext = BASE64_STANDARD.decode(changed["ciphertext"].as_str().unwrap()).unwrap();
    *ciphertext.last_mut().unwrap() ^= 1;
    changed["ciphertext"] = json!(to_base64(&ciphertext));
    let error = PrivateKey::from_pem(pem(LABEL, &changed).as_bytes(), &passphrase("right")).unwrap_err();
    assert_eq!(reason(&error), "wrong passphrase of the private key");
}

#[test]
fn files_of_older_versions_can_be_read_and_must_hold_a_key_on_p_256() {
    let key = Key::new();
    let old = old_file(key.0.serialized_der(), "old");
    let read = PrivateKey::from_pem(old.as_bytes(), &passphrase("old")).unwrap();
    assert_eq!(read.public_key(), &key.public());

    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let old = old_file(other.serialized_der(), "old");
    let error = PrivateKey::from_pem(old.as_bytes(), &passphrase("old")).unwrap_err();
    assert!(reason(&error).starts_with("the private key is not supported (ECDSA on P-256 in PKCS #8 is): "));
}

/// A policy that wants images of `dir:` to be signed with this key, for skopeo.
fn policy(directory: &Path, key: &PublicKey) -> String {
    let (policy, public) = (directory.join("policy.json"), directory.join("key.pub"));
    fs::write(&public, key.to_pem()).unwrap();
    let requirement = json!({
        "type": "sigstoreSigned",
        "keyPath": public,
        "signedIdentity": {"type": "exactReference", "dockerReference": "quay.io/org/app:1"},
    });
    fs::write(&policy, json!({"default": [requirement]}).to_string()).unwrap();
    policy.to_str().unwrap().to_owned()
}

#[test]
fn skopeo_accepts_what_we_sign_with_our_key() {
    let Some(skopeo) = peer("skopeo-sigstore") else { return };
    let temporary = tempfile::tempdir().unwrap();
    let (image, key) = (temporary.path().join("image"), PrivateKey::generate().unwrap());
    docker_image(&image, "seed", &["a"]);
    let manifest = Digest::sha256(&fs::read(image.join("manifest.json")).unwrap());
    let [source, target] = ["image", "copy"].map(|name| format!("dir:{}", temporary.path().join(name).display()));
    let policy = policy(temporary.path(), key.public_key());
    let copy = || Command::new(&skopeo).args(["copy", "--policy", &policy, &source, &target]).output().unwrap();

    assert!(!copy().status.success(), "the image is not signed yet");
    for (digest, expected) in [(manifest, true), (Digest::sha256(b"another manifest"), false)] {
        let payload = Payload::new(PayloadKind::Sigstore, digest, "quay.io/org/app:1");
        let signature = UntrustedSignature::Sigstore(key.sign(&payload).unwrap());
        fs::write(image.join("signature-1"), signature.to_stored()).unwrap();
        let output = copy();
        assert_eq!(output.status.success(), expected, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn we_accept_what_skopeo_signs_with_our_key() {
    let Some(skopeo) = peer("skopeo-sigstore") else { return };
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    docker_image(&temporary.path().join("image"), "seed", &["a"]);
    fs::write(path("passphrase"), "geheim\n").unwrap();
    let key = PrivateKey::generate().unwrap();
    fs::write(path("private.key"), key.to_encrypted_pem(&passphrase("geheim")).unwrap()).unwrap();

    let [source, target] = ["image", "copy"].map(|name| format!("dir:{}", path(name)));
    let (private, passphrase) = (path("private.key"), path("passphrase"));
    let sign = ["copy", "--insecure-policy", "--sign-by-sigstore-private-key", &private, "--sign-passphrase-file"];
    let arguments = [&sign[..], &[&passphrase, "--sign-identity", "quay.io/org/app:1", &source, &target]].concat();
    let output = Command::new(&skopeo).args(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let copy = temporary.path().join("copy");
    let stored = UntrustedSignature::from_stored(&fs::read(copy.join("signature-1")).unwrap()).unwrap();
    let UntrustedSignature::Sigstore(signature) = stored else { panic!("skopeo wrote {}", stored.format()) };
    let trust = Trust::Keys { keys: vec![key.public_key().clone()], rekor: vec![] };
    let verified = verify(&signature, &trust).unwrap();
    assert_eq!(verified.manifest_digest, Digest::sha256(&fs::read(copy.join("manifest.json")).unwrap()));
    assert_eq!(verified.docker_reference.as_deref(), Some("quay.io/org/app:1"));
}
