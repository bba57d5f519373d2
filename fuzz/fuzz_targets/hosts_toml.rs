//! No bytes make the reader of hosts.toml panic, and what it reads makes sources or an error with a place.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use transship::config::containerd::Registries;

fuzz_target!(|bytes: &[u8]| {
    let Ok(registries) = Registries::parse_hosts_toml(bytes, Path::new("/nowhere/hosts.toml")) else { return };
    for reference in ["docker.io/library/busybox:1", "a.sub.example.com/x", "localhost:5000/a/b/c:tag"] {
        let logical = reference.parse().expect("a good reference");
        if let Ok(sources) = registries.pull_sources(&logical) {
            assert!(sources.last().is_some_and(|primary| !primary.mirror));
            assert!(sources.iter().all(|source| source.physical.tag() == logical.tag()));
        }
    }
});
