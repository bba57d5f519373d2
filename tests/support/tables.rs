//! The cases of a table or an oracle beside the checkout.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::fs;

use serde_json::{Value, json};

use super::shared::shared;

/// The cases of one table of `tables/containers-image/<file>.json`; of a map, its `[key, value]` pairs. None when there
/// is no `../shared`.
pub(crate) fn table(file: &str, name: &str) -> Vec<Value> {
    let tables = tables(file);
    let Some(table) = tables.iter().find(|table| table["name"] == name) else {
        assert!(tables.is_empty(), "{file} has no table {name}");
        return Vec::new();
    };
    let cases = match &table["cases"] {
        Value::Array(cases) => cases.clone(),
        Value::Object(cases) => cases.iter().map(|(key, value)| json!([key, value])).collect(),
        other => panic!("{file}/{name}: cases are {other}"),
    };
    assert!(!cases.is_empty(), "{file}/{name} is empty");
    cases
}

/// The names of all tables of a file.
pub(crate) fn names(file: &str) -> Vec<String> {
    tables(file).iter().map(|table| text(&table["name"])).collect()
}

/// The cases of `tables/containerd/<name>.json`, which is one table. None when there is no `../shared`.
pub(crate) fn containerd_table(name: &str) -> Vec<Value> {
    let Some(path) = shared(&format!("tables/containerd/{name}.json")) else { return Vec::new() };
    let document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(!cases.is_empty(), "{name} is empty");
    cases.clone()
}

/// The names of all tables of containerd.
pub(crate) fn containerd_names() -> Vec<String> {
    let Some(directory) = shared("tables/containerd") else { return Vec::new() };
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let tables = files.filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    let mut names: Vec<_> = tables.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The lines of `oracle/<file>.jsonl`: what was put in, and what skopeo's library made of it.
pub(crate) fn oracle(file: &str, count: usize) -> Vec<(String, Value)> {
    let Some(path) = shared(&format!("oracle/{file}.jsonl")) else { return Vec::new() };
    let lines: Vec<(String, Value)> = fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| (text(&line["input"]), line["expect"].clone()))
        .collect();
    assert_eq!(lines.len(), count, "{file}");
    lines
}

/// A JSON string; empty when the key is not there.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn tables(file: &str) -> Vec<Value> {
    let Some(path) = shared(&format!("tables/containers-image/{file}.json")) else { return Vec::new() };
    let document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    document["tables"].as_array().unwrap().clone()
}
