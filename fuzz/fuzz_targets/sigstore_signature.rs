//! A signature as it is stored, in whatever state: verifying it ends, does not panic, and accepts nothing, for nobody
//! has the private halves of these keys. Nor do its annotations change what a good signature says.
#![no_main]

mod trusts;

use std::sync::LazyLock;
use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use transship::Digest;
use transship::signature::sigstore::{PrivateKey, SIGNATURE_ANNOTATION, SigstoreSignature, Trust, verify};
use transship::signature::{Payload, PayloadKind, UntrustedSignature};

/// A good signature, and who made it.
static GOOD: LazyLock<(SigstoreSignature, PrivateKey)> = LazyLock::new(|| {
    let key = PrivateKey::generate().expect("random numbers");
    let payload = Payload::new(PayloadKind::Sigstore, Digest::sha256(b""), "quay.io/org/app:1");
    (key.sign(&payload).expect("random numbers"), key)
});

fuzz_target!(|data: &[u8]| {
    let stored = [b"\0sigstore-json\n", data].concat();
    let Ok(UntrustedSignature::Sigstore(signature)) = UntrustedSignature::from_stored(&stored) else { return };
    for trust in &*trusts::TRUSTS {
        let _ = verify(&signature, trust, SystemTime::UNIX_EPOCH).expect_err("nobody signed this");
    }
    let (good, key) = &*GOOD;
    let mut annotated = good.clone();
    let others = signature.annotations.into_iter().filter(|(name, _)| name != SIGNATURE_ANNOTATION);
    annotated.annotations.extend(others);
    let keys = vec![key.public_key().clone()];
    let by_key = Trust::Keys { keys: keys.clone(), rekor: Vec::new() };
    let verified = verify(&annotated, &by_key, SystemTime::UNIX_EPOCH).expect("a good signature");
    assert_eq!(verified.manifest_digest, Digest::sha256(b""));
    let with_log = Trust::Keys { keys, rekor: trusts::rekor() };
    let _ = verify(&annotated, &with_log, SystemTime::UNIX_EPOCH).expect_err("no log took this");
});
