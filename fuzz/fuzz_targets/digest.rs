//! A digest is written as it was read, and is safe as one component of a path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transship::Digest;

fuzz_target!(|text: &str| {
    let Ok(digest) = text.parse::<Digest>() else { return };
    assert_eq!(digest.to_string(), text);
    assert_eq!(format!("{}:{}", digest.algorithm(), digest.encoded()), text);
    assert!(digest.encoded().bytes().all(|byte| byte.is_ascii_hexdigit()));
});
