//! No bytes make the reader of lists of images panic, and neither do a constraint of versions and a tag.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use transship::sync::{ImageList, VersionConstraint};

fuzz_target!(|bytes: &[u8]| {
    let _ = ImageList::parse(bytes, Path::new("fuzz.yaml"));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((constraint, tag)) = text.split_once('\n') else { return };
    if let Ok(constraint) = constraint.parse::<VersionConstraint>() {
        constraint.allows(tag);
    }
});
