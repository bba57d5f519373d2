//! Auth files from bytes: no panic, and a lookup in whatever was read does not panic either.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transship::config::auth_file::{AuthFile, AuthKey};

fuzz_target!(|bytes: &[u8]| {
    for file in [AuthFile::parse(bytes), AuthFile::parse_legacy(bytes)].into_iter().flatten() {
        for key in ["docker.io/library/busybox", "quay.io/org/app", "localhost:5000"] {
            let Ok(key) = key.parse::<AuthKey>() else { continue };
            let _ = (file.helper(&key), file.store(), file.credentials(&key));
        }
    }
});
