//! No bytes make the reader of registries_conf panic.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use transship::config::RegistriesConf;

fuzz_target!(|bytes: &[u8]| {
    let Ok(conf) = RegistriesConf::parse(bytes, Path::new("registries.conf")) else { return };
    for reference in ["docker.io/library/busybox:1", "a.sub.example.com/x", "localhost:5000/a/b/c:tag"] {
        let logical = reference.parse().expect("a good reference");
        if let Ok(sources) = conf.pull_sources(&logical) {
            assert!(sources.last().is_some_and(|primary| !primary.mirror));
        }
    }
});
