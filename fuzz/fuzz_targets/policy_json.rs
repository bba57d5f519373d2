//! No bytes make the reader of policy_json panic.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use transship::config::PolicyJson;

fuzz_target!(|bytes: &[u8]| {
    let Ok(policy) = PolicyJson::parse(bytes, Path::new("policy.json")) else { return };
    let (_, requirements) = policy.requirements_for("docker", Some("quay.io/org/app:1"), &["quay.io".to_owned()]);
    assert!(!requirements.is_empty());
});
