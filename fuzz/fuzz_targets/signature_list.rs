//! Whatever a registry lists as signatures, reading it does not panic, and takes no more than there is.
#![no_main]

mod answer;

use libfuzzer_sys::fuzz_target;
use transship::Digest;

fuzz_target!(|data: &[u8]| {
    let client = answer::always(data, "application/json");
    let Ok(signatures) = client.extension_signatures(&Digest::sha256(b"")) else { return };
    let size: usize = signatures.iter().map(|signature| signature.content.len()).sum();
    assert!(size <= data.len(), "base64 is longer than what it stands for");
});
