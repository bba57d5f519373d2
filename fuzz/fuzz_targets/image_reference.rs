//! An image reference reads back, and no namespace of it is the root directory or empty.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transship::ImageReference;

fuzz_target!(|text: &str| {
    let Ok(image) = text.parse::<ImageReference>() else { return };
    assert_eq!(image.to_string().parse().as_ref(), Ok(&image));
    assert!(image.to_string().starts_with(image.transport()));
    assert_ne!(image.policy_identity().as_deref(), Some(""));
    for namespace in image.policy_namespaces() {
        assert!(!["", "/"].contains(&namespace.as_str()));
    }
});
