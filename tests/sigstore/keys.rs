//! Which keys are accepted, and what they verify.

use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::{KeyPair, PublicKeyData as _};
use transship::Digest;
use transship::signature::sigstore::{PublicKey, RekorKey, Trust};

use crate::support::peers::peer;
use crate::support::shared::shared;
use crate::support::sigstore::{BundleSigner, Key, attached, statement, unlogged_bundle};
use crate::{reason, verify};

fn refused(pem: &[u8]) -> String {
    reason(&PublicKey::from_pem(pem).unwrap_err())
}

#[test]
fn a_key_is_read_from_one_block_and_written_the_same() {
    let key = Key::new();
    let public = PublicKey::from_pem(format!("# made today\n{}\n", key.pem()).as_bytes()).unwrap();
    assert_eq!(PublicKey::from_pem(public.to_pem().as_bytes()).unwrap(), public);
    assert_eq!(public.spki(), key.0.subject_public_key_info());
    assert_eq!(public.fingerprint(), Digest::sha256(public.spki()));
    assert_eq!(public.to_string(), format!("ECDSA P-256 key {}", public.fingerprint()));
}

#[test]
fn what_is_no_key_is_refused_with_what_is_expected() {
    assert_eq!(refused(b""), "invalid public key: no PEM block, expected PUBLIC KEY");
    assert_eq!(refused(b"\xff\x00"), "invalid public key: no PEM block, expected PUBLIC KEY");
    let twice = Key::new().pem().repeat(2);
    assert_eq!(refused(twice.as_bytes()), "invalid public key: 2 PEM blocks, expected one PUBLIC KEY");
    let private = Key::new().0.serialize_pem();
    assert_eq!(refused(private.as_bytes()), "invalid public key: a PEM block \"PRIVATE KEY\", expected PUBLIC KEY");
    let empty = "-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----\n";
    assert!(refused(empty.as_bytes()).starts_with("invalid public key: "));
    let padding = format!("{}{}", "\n".repeat(1024 * 1024), Key::new().pem());
    assert_eq!(refused(padding.as_bytes()), "invalid public key: more than 64 PEM blocks, or 1048576 bytes");
}

#[test]
fn logs_sign_with_ecdsa() {
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().public_key_pem();
    PublicKey::from_pem(ed25519.as_bytes()).unwrap();
    let error = RekorKey::from_pem(ed25519.as_bytes()).unwrap_err();
    let words = "the key of a transparency log is Ed25519, expected ECDSA on P-256 or P-384";
    assert_eq!(error.to_string(), words);
    let Some(path) = shared("fixtures/containers-image/signature/fixtures/some-rsa-key.pub") else { return };
    let rsa = fs::read(path).unwrap();
    assert!(PublicKey::from_pem(&rsa).unwrap().to_string().starts_with("RSA key sha256:"));
    assert!(RekorKey::from_pem(&rsa).is_err());
}

#[test]
fn a_signature_verifies_with_its_key_and_its_bytes_only() {
    let (key, other) = (Key::new(), Key::new());
    let signature = key.sign(b"message");
    key.public().verify(b"message", &signature).unwrap();
    key.public().verify(b"massage", &signature).unwrap_err();
    key.public().verify(b"message", &signature[..signature.len() - 1]).unwrap_err();
    key.public().verify(b"message", b"").unwrap_err();
    other.public().verify(b"message", &signature).unwrap_err();
}

#[test]
fn envelopes_are_hashed_as_the_curve_asks_for() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = Key(KeyPair::generate_for(algorithm).unwrap());
        let trust = Trust::Keys { keys: vec![key.public()], rekor: vec![] };
        let statement = statement(b"manifest").to_string();
        let bundle = unlogged_bundle(statement.as_bytes(), BundleSigner::Key(&key));
        verify(&attached(&bundle), &trust).unwrap();
    }
}

fn run(openssl: &Path, directory: &Path, arguments: &[&str]) {
    let output = Command::new(openssl).current_dir(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn openssl_signs_with_each_kind_of_key() {
    let Some(openssl) = peer("openssl") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("message"), "message").unwrap();
    let kinds: [(&[&str], Result<&str, &str>); 8] = [
        (&["EC", "ec_paramgen_curve:P-256"], Ok("ECDSA P-256")),
        (&["EC", "ec_paramgen_curve:P-384"], Ok("ECDSA P-384")),
        (&["EC", "ec_paramgen_curve:P-521"], Err("ECDSA on P-521 is not supported (ECDSA on P-256 or P-384, RSA")),
        (&["EC", "ec_paramgen_curve:secp256k1"], Err("ECDSA on the curve 1.3.132.0.10 is not supported")),
        (&["RSA", "rsa_keygen_bits:2048"], Ok("RSA")),
        (&["RSA", "rsa_keygen_bits:1024"], Err("RSA with 1024 bits is not supported")),
        (&["ED25519"], Ok("Ed25519")),
        (&["ED448"], Err("a key of the algorithm 1.3.101.113 is not supported")),
    ];
    for (kind, expected) in kinds {
        let options: Vec<_> = kind[1..].iter().flat_map(|option| ["-pkeyopt", option]).collect();
        run(&openssl, path, &[&["genpkey", "-out", "private", "-algorithm", kind[0]], &options[..]].concat());
        run(&openssl, path, &["pkey", "-in", "private", "-pubout", "-out", "public"]);
        let public = fs::read(path.join("public")).unwrap();
        let name = match expected {
            Ok(name) => name,
            Err(words) => {
                assert!(refused(&public).starts_with(words), "{kind:?}: {}", refused(&public));
                continue;
            }
        };
        let key = PublicKey::from_pem(&public).unwrap();
        assert_eq!(key.to_string(), format!("{name} key {}", key.fingerprint()));
        if name == "Ed25519" {
            let sign = ["pkeyutl", "-sign", "-rawin", "-inkey", "private", "-in", "message", "-out", "signature"];
            run(&openssl, path, &sign);
        } else {
            run(&openssl, path, &["dgst", "-sha256", "-sign", "private", "-out", "signature", "message"]);
        }
        let signature = fs::read(path.join("signature")).unwrap();
        key.verify(b"message", &signature).unwrap();
        key.verify(b"massage", &signature).unwrap_err();
    }
}

#[test]
fn a_compressed_point_is_refused() {
    let Some(openssl) = peer("openssl") else { return };
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("private"), Key::new().0.serialize_pem()).unwrap();
    let compress = ["ec", "-in", "private", "-pubout", "-conv_form", "compressed", "-out", "public"];
    run(&openssl, directory.path(), &compress);
    let public = fs::read(directory.path().join("public")).unwrap();
    assert!(refused(&public).starts_with("the form of this ECDSA P-256 key is not supported"));
}
