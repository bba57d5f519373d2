//! A reference reads back from its long and from its short form, and its namespaces narrow down to it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transship::Reference;

fuzz_target!(|text: &str| {
    let Ok(reference) = text.parse::<Reference>() else { return };
    assert_eq!(reference.to_string().parse().as_ref(), Ok(&reference));
    assert_eq!(reference.familiar().parse().as_ref(), Ok(&reference));
    assert_eq!(Reference::parse_canonical(&reference.to_string()).as_ref(), Ok(&reference));
    assert_eq!(reference.namespaces().first(), Some(&reference.name().to_string()));
});
