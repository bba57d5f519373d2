//! The configuration files against the tables and the oracle of containers/image.

#![allow(
    clippy::format_collect,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests are outside of test functions"
)]

use std::path::Path;

use serde_json::Value;

mod paths;
mod policy_json;
mod registries_conf;
mod registries_d;
#[path = "../support/shared.rs"]
mod shared;

/// The cases of one table of `tables/containers-image/<file>.json`; none where there is no `../shared`.
fn table(file: &str, name: &str) -> Vec<Value> {
    let Some(path) = shared::shared(&format!("tables/containers-image/{file}.json")) else { return Vec::new() };
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let tables = document["tables"].as_array().unwrap();
    let table = tables.iter().find(|table| table["name"] == name);
    let cases = table.unwrap_or_else(|| panic!("no table {name} in {file}"))["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    cases.clone()
}

/// The lines of `oracle/<file>.jsonl`, which must be `count`; none where there is no `../shared`.
fn oracle(file: &str, count: usize) -> Vec<Value> {
    let Some(path) = shared::shared(&format!("oracle/{file}.jsonl")) else { return Vec::new() };
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(cases.len(), count);
    cases
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The error and its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    transship::error::one_line(error)
}
