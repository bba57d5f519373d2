//! No bytes make the reader of stored signatures panic, and what was read is stored as something that reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transship::signature::UntrustedSignature;

fuzz_target!(|bytes: &[u8]| {
    let Ok(signature) = UntrustedSignature::from_stored(bytes) else { return };
    let stored = signature.to_stored();
    let again = UntrustedSignature::from_stored(&stored).expect("what was written can be read");
    assert_eq!(again, signature);
    assert_eq!(again.to_stored(), stored);
});
