//! The documents: what they show works, and what they name exists.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use transship::config::RegistriesConf;

use page::{blocks, document};

#[cfg(feature = "cli")]
mod changing;
#[cfg(feature = "cli")]
mod console;
#[cfg(feature = "cli")]
mod containerd;
mod dependencies;
#[cfg(feature = "cli")]
#[allow(dead_code, unreachable_pub, reason = "other crates of tests use the rest")]
#[path = "../archives/made.rs"]
mod made;
mod page;
mod policy;
#[cfg(feature = "cli")]
mod signatures;

#[cfg(feature = "cli")]
#[allow(dead_code, unreachable_pub, reason = "other crates of tests use the rest")]
#[allow(clippy::expect_used, clippy::missing_panics_doc, reason = "these are helpers of tests")]
#[path = "../support"]
mod support {
    pub mod clients;
    pub mod command;
    pub mod image;
    pub mod listing;
    pub mod local;
    pub mod oci_layout;
    pub mod peers;
    pub mod registry;
    pub mod reply;
    pub mod request;
    pub mod server;
    pub mod server_tls;
    pub mod token;
    pub mod uploads;
}

/// Runs it to its end and gives its stdout.
fn run(command: &mut std::process::Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn the_mirrors_of_the_configuration_page_are_tried_as_it_says() {
    let page = document("docs/configuration.md");
    let toml = blocks(&page, "toml")[0];
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
    files.push(root.join("registries.d-examples/README.md"));
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

#[test]
fn every_example_is_named_in_the_readme() {
    let readme = document("README.md");
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(readme.contains(&format!("`{name}`")), "README.md does not name the example {name}");
        }
    }
}

#[test]
fn the_backends_of_openpgp_and_what_they_need_are_the_same_everywhere() {
    let manifest = document("Cargo.toml");
    let backend = |line: &str| Some(line.strip_prefix("openpgp-")?.split_once(' ')?.0.to_owned());
    let backends: Vec<_> = manifest.lines().filter_map(backend).collect();
    assert_eq!(backends, ["rust", "openssl", "nettle"]);
    let (page, library) = (document("docs/signatures.md"), document("src/lib.rs"));
    for backend in backends {
        let (before, _) = manifest.split_once(&format!("\nopenpgp-{backend} ")).unwrap();
        let comment = before.lines().last().unwrap();
        let needs = comment.strip_prefix("# ").and_then(|text| text.strip_suffix(" on Debian 12."));
        let needs = needs.map_or("nothing".to_owned(), |packages| format!("`{packages}`"));
        for document in [&page, &library] {
            let mut rows = document.lines().filter(|line| line.contains(&format!("| `openpgp-{backend}`")));
            assert!(rows.any(|row| row.contains(&needs)), "{backend} needs {needs}");
        }
    }
}

/// Those of docs/signatures.md, and of the README's section about verifying, are run as well.
#[cfg(feature = "cli")]
#[test]
fn the_commands_of_the_readme_are_words_that_the_program_takes() {
    let readme = document("README.md");
    let lines = blocks(&readme, "console").into_iter().flat_map(str::lines);
    let calls: Vec<_> = lines.filter_map(|line| line.strip_prefix("$ transship ")).collect();
    assert!(calls.len() > 4, "{calls:?}");
    for call in calls {
        let words = call.split(['|', '>', ';']).next().unwrap().split_whitespace();
        let words = ["transship"].into_iter().chain(words);
        assert!(transship::cli::definition().try_get_matches_from(words).is_ok(), "{call}");
    }
}

/// A word in running text that begins as a call of the program is one of its commands.
#[cfg(feature = "cli")]
#[test]
fn every_command_that_a_document_names_exists() {
    let program = transship::cli::definition();
    let is_known = |word: &str| word == "COMMAND" || word == "help" || program.find_subcommand(word).is_some();
    let pages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let pages = pages.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    for name in pages.chain(["README.md", "CHANGELOG.md", "registries.d-examples/README.md"].map(str::to_owned)) {
        let text = document(&name);
        for rest in text.split("`transship ").skip(1).filter(|rest| !rest.starts_with('=')) {
            let word = rest.split(|c: char| c.is_whitespace() || c == '`').next().unwrap();
            assert!(is_known(word), "{name} names {word}");
        }
    }
}

#[cfg(feature = "cli")]
const FLAGS_OF_CARGO: [&str; 5] = ["--example", "--features", "--no-default-features", "--nocapture", "--path"];

#[cfg(feature = "cli")]
const FLAGS_OF_GPG: [&str; 7] =
    ["--armor", "--batch", "--export", "--output", "--passphrase-file", "--pinentry-mode", "--quick-generate-key"];

#[cfg(feature = "cli")]
#[test]
fn every_flag_that_a_document_names_exists() {
    let help = |words: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_transship")).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let all = help(&["--help"]);
    let (_, commands) = all.split_once("Commands:\n").unwrap();
    let commands = commands.lines().map_while(|line| line.split_whitespace().next());
    let known: std::collections::BTreeSet<String> =
        commands.flat_map(|command| flags(&help(&[command, "--help"]))).collect();
    let missing = flags_of_skopeo_alone();
    for name in [
        "README.md",
        "docs/transship.md",
        "docs/configuration.md",
        "docs/differences.md",
        "docs/policy.md",
        "docs/signatures.md",
    ] {
        let text = document(name);
        let is_others = |flag: &String| {
            let flag = flag.as_str();
            FLAGS_OF_CARGO.contains(&flag) || FLAGS_OF_GPG.contains(&flag) || missing.iter().any(|other| other == flag)
        };
        for flag in flags(&text).iter().filter(|flag| !is_others(flag)) {
            assert!(known.contains(flag), "{name} names {flag}");
        }
    }
    assert!(!missing.is_empty());
    for flag in missing {
        assert!(!known.contains(&flag), "docs/differences.md says that there is no {flag}");
    }
}

/// The page of differences lists them in a table, each with what to do instead.
#[cfg(feature = "cli")]
fn flags_of_skopeo_alone() -> Vec<String> {
    let text = document("docs/differences.md");
    let rows = page::rows(page::section(&text, "## The program"));
    rows.iter().flat_map(|row| flags(row[0])).collect()
}

#[cfg(feature = "cli")]
fn flags(text: &str) -> Vec<String> {
    let is_flag = |c: char| c.is_ascii_lowercase() || matches!(c, '-' | '.');
    let words = text.split(|c: char| !is_flag(c)).filter(|word| word.starts_with("--") && word.len() > 3);
    words.map(|word| word.trim_end_matches('.').to_owned()).collect()
}
