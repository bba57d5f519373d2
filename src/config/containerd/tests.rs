//! The tables of containerd and k3s, as far as they are about files. Each case in which we do something else stands in a
//! list with its reason, and must differ.

use std::path::Path;

use serde_json::Value;

mod dirs;
mod hosts;
mod mirrors;

#[allow(clippy::duplicate_mod, reason = "the grammar of references has its tables, too")]
#[path = "../../../tests/support"]
mod support {
    pub(super) mod shared;
    pub(super) mod tables;
}

/// Asserts that `same` holds for each case but those that differ, by their names.
fn expect(name: &str, same: bool, differing: &[(&str, &str)], told: impl std::fmt::Debug) {
    match differing.iter().find(|(case, _)| *case == name) {
        None => assert!(same, "{name}: {told:?}"),
        Some((_, reason)) => assert!(!same, "{name} does not differ any more: {reason}"),
    }
}

/// A list of texts; null is empty.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
