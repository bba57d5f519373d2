//! Whatever a registry lists as referrers, reading it does not panic, and shows each of them, or no more than was
//! wanted.
#![no_main]

mod answer;

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use transship::{Digest, MediaType};

fuzz_target!(|data: &[u8]| {
    let shown = shown(data, usize::MAX);
    let Ok(Value::Object(index)) = serde_json::from_slice(data) else { return };
    let listed = index.get("manifests").and_then(Value::as_array).map_or(0, Vec::len);
    if let Some(shown) = shown {
        assert_eq!(shown, listed);
    }
    if let Some(shown) = self::shown(data, 1) {
        assert_eq!(shown, listed.min(1));
    }
});

/// How many referrers there are, until so many are enough; `None` when the list is broken.
fn shown(data: &[u8], enough: usize) -> Option<usize> {
    let client = answer::always(data, MediaType::OCI_INDEX.as_str());
    let mut shown = 0;
    let listed = client.referrers(&Digest::sha256(b""), &MediaType::SIGSTORE_BUNDLE, |_| {
        shown += 1;
        if shown < enough { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    listed.ok().map(|()| shown)
}
