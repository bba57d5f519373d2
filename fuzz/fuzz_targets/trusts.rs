//! Keys and authorities whose private halves nobody has.

use std::sync::LazyLock;

use transship::signature::sigstore::{CaCertificates, Fulcio, Pki, PrivateKey, RekorKey, Trust};

/// Some root; its private half was thrown away.
const ROOT: &[u8] = include_bytes!("root.pem");

/// One of each sort.
pub static TRUSTS: LazyLock<[Trust; 3]> = LazyLock::new(|| {
    let key = PrivateKey::generate().expect("random numbers").public_key().clone();
    let root = || CaCertificates::from_pem(ROOT).expect("a root");
    let fulcio = Fulcio::new(root(), "https://issuer.example", "a@example.com", rekor());
    let pki = Pki::new(root(), None, Some("a@example.com".to_owned()), None).expect("a subject");
    [Trust::Keys { keys: vec![key], rekor: rekor() }, Trust::Fulcio(fulcio), Trust::Pki(pki)]
});

/// The key of a log that took nothing.
pub fn rekor() -> Vec<RekorKey> {
    static REKOR: LazyLock<RekorKey> = LazyLock::new(|| {
        let key = PrivateKey::generate().expect("random numbers");
        RekorKey::from_pem(key.public_key().to_pem().as_bytes()).expect("a key on P-256")
    });
    vec![REKOR.clone()]
}
