//! No bytes make the reader of config.toml panic, and what it reads makes sources or an error with a place.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use transship::config::Paths;
use transship::config::containerd::{CriRegistry, Registries};

fn parse(bytes: &[u8]) -> Result<Registries, transship::config::Error> {
    let paths = Paths::isolated(Path::new("/nowhere"));
    CriRegistry::parse(bytes, Path::new("/nowhere/config.toml"), &paths).map(Registries::Cri)
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(registries) = parse(bytes) else { return };
    for reference in ["docker.io/library/busybox:1", "a.sub.example.com/x", "localhost:5000/a/b/c:tag"] {
        let logical = reference.parse().expect("a good reference");
        if let Ok(sources) = registries.pull_sources(&logical) {
            assert!(sources.last().is_some_and(|primary| !primary.mirror));
            assert!(sources.iter().all(|source| source.physical.tag() == logical.tag()));
        }
    }
});
