//! The documents: what they show works, and what they name exists.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use transship::config::RegistriesConf;

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The first block of code in that language.
fn block(document: &str, language: &str) -> String {
    let (_, rest) = document.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_mirrors_of_the_configuration_page_are_tried_as_it_says() {
    let toml = block(&document("docs/configuration.md"), "toml");
    let conf = RegistriesConf::parse(toml.as_bytes(), Path::new("configuration.md")).unwrap();
    let sources = |image: &str| -> Vec<String> {
        let sources = conf.pull_sources(&image.parse().unwrap()).unwrap();
        sources.iter().map(|source| source.physical.to_string()).collect()
    };
    assert_eq!(sources("quay.io/org/app:1"), ["mirror.example:5000/quay/org/app:1", "quay.io/org/app:1"]);
    let digest = transship::Digest::sha256(b"");
    assert_eq!(sources(&format!("quay.io/org/app@{digest}")).len(), 3);
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    files.extend(fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let target = target.split('#').next().unwrap();
            assert!(file.parent().unwrap().join(target).exists(), "{} names {target}", file.display());
        }
    }
}

#[cfg(feature = "cli")]
const FLAGS_OF_CARGO: [&str; 4] = ["--example", "--nocapture", "--path", "--release"];

#[cfg(feature = "cli")]
#[test]
fn every_flag_that_a_document_names_exists() {
    let help = |words: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_transship")).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let commands = ["copy", "inspect", "list-tags", "manifest-digest", "explain"];
    let known: std::collections::BTreeSet<String> =
        commands.iter().flat_map(|command| flags(&help(&[command, "--help"]))).collect();
    for name in ["README.md", "docs/transship.md", "docs/configuration.md", "docs/differences.md"] {
        let text = document(name);
        for flag in flags(&text).iter().filter(|flag| !FLAGS_OF_CARGO.contains(&flag.as_str())) {
            assert!(known.contains(flag), "{name} names {flag}");
        }
    }
}

#[cfg(feature = "cli")]
fn flags(text: &str) -> Vec<String> {
    let is_flag = |c: char| c.is_ascii_lowercase() || matches!(c, '-' | '.');
    let words = text.split(|c: char| !is_flag(c)).filter(|word| word.starts_with("--") && word.len() > 3);
    words.map(|word| word.trim_end_matches('.').to_owned()).collect()
}
