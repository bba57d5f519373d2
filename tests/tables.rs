//! No table about copies, manifests, platforms, local transports and containerd is forgotten: each is run by a test, or
//! has its reason here.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

mod support {
    pub(crate) mod shared;
    pub(crate) mod tables;
}

use support::tables::{containerd_names, names};

const FILES: [&str; 4] = ["copy", "manifest", "other_transports", "platform"];

const SCHEMA_1: &str = "Docker schema 1 is refused";
const ANY_TYPE: &str = "a blob of any type is copied as it is";
const NAMED: &str = "a list that the cases have themselves where they name it";
const ZSTD: &str = "of its rows zstd is that of the cases, and the others are not made here";
const REUSE: &str = "a blob that is known in another form is taken instead where the compression is the wanted one, and nothing else counts";
const MADE_UP: &str = "its media types are made up, and ours are all known";

/// Tables that no test runs, and why. A table that gets its test loses its line.
const EXCUSED: &[(&str, &str, &str)] = &[
    ("copy", "manifest_conversion_supportS1S2OCI", NAMED),
    ("copy", "manifest_conversion_supportS1OCI", NAMED),
    ("copy", "manifest_conversion_supportS1S2", NAMED),
    ("copy", "manifest_conversion_supportOnlyS1", NAMED),
    ("copy", "manifest_conversion_range#5", ZSTD),
    ("copy", "list_conversion_supportS1S2OCI", NAMED),
    ("copy", "list_conversion_supportS1S2", NAMED),
    ("copy", "list_conversion_supportOnlyS1", NAMED),
    ("copy", "list_conversion_supportOnlyOCI", NAMED),
    ("copy", "updated_info_from_reuse", REUSE),
    ("manifest", "reuse_conditions", REUSE),
    ("manifest", "compression_variant_sets", MADE_UP),
    ("manifest", "compression_variant", MADE_UP),
    ("manifest", "supported_schema2_types", ANY_TYPE),
    ("manifest", "supported_oci_types", ANY_TYPE),
    ("manifest", "schema1_update_layers", SCHEMA_1),
    ("manifest", "embedded_ref_conflicts_schema1", SCHEMA_1),
];

const NO_SETS: &str = "a host has each capability or not; nobody compares sets of them";
const NO_SNAPSHOTTER: &str = "a store keeps layers as they come; nothing here unpacks them for a runtime";
const SERVER: &str = "about a registry that makes images as they are asked for";
const BY_TEXT: &str = "it tells by the words of an error whether it passes; ours have types (is_transient)";

/// The same for the tables of containerd, which are files.
const EXCUSED_OF_CONTAINERD: &[(&str, &str)] = &[
    ("capability_has", NO_SETS),
    ("cri_snapshotter_choice", NO_SNAPSHOTTER),
    ("gitpod_accept", SERVER),
    ("gitpod_download_retry", SERVER),
    ("gitpod_env_modifiers", SERVER),
    ("gitpod_http", SERVER),
    ("gitpod_retryable", BY_TEXT),
    ("gitpod_skip_n", SERVER),
];

#[test]
fn every_table_of_containerd_is_run_or_has_a_reason_not_to() {
    let sources = sources();
    let there = containerd_names();
    for name in &there {
        let is_run = sources.iter().any(|source| source.contains(&format!("containerd_table(\"{name}\")")));
        let excuse = EXCUSED_OF_CONTAINERD.iter().find(|(excused, _)| excused == name);
        match (is_run, excuse) {
            (true, None) | (false, Some(_)) => {}
            (false, None) => panic!("no test runs {name}, and there is no reason"),
            (true, Some((_, reason))) => panic!("{name} is run; its line must go: {reason}"),
        }
    }
    for (name, _) in EXCUSED_OF_CONTAINERD {
        assert!(there.is_empty() || there.iter().any(|table| table == name), "there is no table {name}");
    }
}

#[test]
fn every_table_is_run_or_has_a_reason_not_to() {
    let sources = sources();
    for file in FILES {
        for name in names(file) {
            let is_run = sources.iter().any(|source| runs(source, file, &name));
            let excuse = EXCUSED.iter().find(|(of, excused, _)| *of == file && *excused == name);
            match (is_run, excuse) {
                (true, None) | (false, Some(_)) => {}
                (false, None) => panic!("{file}: no test runs {name}, and there is no reason"),
                (true, Some((.., reason))) => panic!("{file}: {name} is run; its line must go: {reason}"),
            }
        }
    }
    for (file, name, _) in EXCUSED {
        let there = names(file);
        assert!(there.is_empty() || there.iter().any(|table| table == name), "{file} has no table {name}");
    }
}

/// True when a test asks for the cases of the table.
fn runs(source: &str, file: &str, name: &str) -> bool {
    let asked = format!("\"{name}\")");
    source.match_indices(&asked).any(|(at, _)| {
        let (before, _) = source.split_at(at);
        let of_file = [format!("table(\"{file}\","), format!("table(\"{file}.json\",")];
        let before = before.trim_end();
        // tests/manifest.rs has one file.
        of_file.iter().any(|call| before.ends_with(call)) || (file == "manifest" && before.ends_with("table("))
    })
}

/// The text of every test.
fn sources() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut directories = vec![root.join("tests"), root.join("src")];
    let mut sources = Vec::new();
    while let Some(directory) = directories.pop() {
        let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let (below, files): (Vec<PathBuf>, Vec<PathBuf>) = paths.partition(|path| path.is_dir());
        directories.extend(below);
        let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
        sources.extend(files.map(|path| fs::read_to_string(path).unwrap()));
    }
    sources
}
