//! No bytes make the reader of registries_d panic.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use transship::config::RegistriesD;

fuzz_target!(|bytes: &[u8]| {
    let Ok(registries_d) = RegistriesD::parse(bytes, Path::new("fuzz.yaml")) else { return };
    let physical = "quay.io/org/app:1".parse().expect("a good reference");
    if let Ok(url) = registries_d.lookaside(&physical) {
        let _ = url.location();
    }
});
