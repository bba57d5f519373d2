//! The house of the design, executed: each room uses only the rooms below it.
//!
//! A room is the first component of a path under `src/`. What is written here is read from the sources' text, so that a
//! violation is named by file and line.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The values of the domain: they may use one another, and nothing else.
const VALUES: [&str; 9] =
    ["compression", "digest", "error", "media_type", "recent", "reference", "safe_url", "secret", "strict_json"];

/// The rooms above the values, each with the rooms that it may use beside itself and the values.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("manifest", &[]),
    ("signature", &[]),
    ("config", &["manifest", "signature"]),
    ("http", &["config", "manifest", "signature"]),
    ("registry", &["http", "config", "manifest", "signature"]),
    ("source", &["registry", "http", "config", "manifest", "signature"]),
    ("policy", &["source", "registry", "http", "config", "manifest", "signature"]),
    ("destination", &["source", "registry", "http", "config", "manifest", "signature"]),
    ("copy", &["policy", "destination", "source", "registry", "http", "config", "manifest", "signature"]),
    ("sync", &["copy", "policy", "destination", "source", "registry", "http", "config", "manifest", "signature"]),
    ("store", &["copy", "policy", "destination", "source", "registry", "http", "config", "manifest", "signature"]),
    (
        "cli",
        &[
            "store",
            "sync",
            "copy",
            "policy",
            "destination",
            "source",
            "registry",
            "http",
            "config",
            "manifest",
            "signature",
        ],
    ),
    ("main", &["cli"]),
];

/// Names that `lib.rs` re-exports, and where they live.
const RE_EXPORTS: [(&str, &str); 6] = [
    ("Digest", "digest"),
    ("ImageReference", "reference"),
    ("MediaType", "media_type"),
    ("Reference", "reference"),
    ("SafeUrl", "safe_url"),
    ("Secret", "secret"),
];

#[test]
fn each_room_uses_only_the_rooms_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 10, "the sources are in {}", root.display());
    let mut report = String::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        for violation in violations(&path, &source) {
            writeln!(report, "src/{violation}").unwrap();
        }
    }
    assert!(report.is_empty(), "these break the table of tests/layering.rs:\n{report}");
}

/// `file:line: what`, for each path that leaves the room for one that is not below it.
fn violations(path: &str, source: &str) -> Vec<String> {
    let room = path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    if room == "lib" {
        return Vec::new();
    }
    let may_use = allowed(room);
    let code = without_comments_and_strings(source);
    let mut found = Vec::new();
    for (offset, used) in used_rooms(&code, depth(path)) {
        let line = code[..offset].matches('\n').count() + 1;
        let home = RE_EXPORTS.iter().find(|(name, _)| *name == used).map_or(used.as_str(), |(_, home)| home);
        match &may_use {
            None => found.push(format!("{path}:{line}: the room {room} is not in the table")),
            Some(rooms) if home != room && !rooms.contains(&home) => {
                found.push(format!("{path}:{line}: {room} must not use {home}"));
            }
            Some(_) => {}
        }
    }
    found
}

fn allowed(room: &str) -> Option<Vec<&'static str>> {
    if VALUES.contains(&room) {
        return Some(VALUES.to_vec());
    }
    let (_, rooms) = MAY_USE.iter().find(|(name, _)| *name == room)?;
    Some(VALUES.iter().chain(*rooms).copied().collect())
}

/// How many `super::` lead from the file's own module to the root of the crate.
fn depth(path: &str) -> usize {
    let modules = path.trim_end_matches(".rs");
    modules.strip_suffix("/mod").unwrap_or(modules).split('/').count()
}

/// The first path component behind each `crate::`, and behind each chain of `super::` that reaches the root, with its offset.
fn used_rooms(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (offset, _) in code.match_indices("crate::").chain(code.match_indices("transship::")) {
        if !is_word_end(&code[..offset]) {
            let (_, rest) = code[offset..].split_once("::").unwrap_or_default();
            used.extend(names_after(rest).into_iter().map(|name| (offset, name)));
        }
    }
    for (offset, _) in code.match_indices("super::") {
        if code[..offset].ends_with("super::") || is_word_end(&code[..offset]) {
            continue;
        }
        let mut rest = &code[offset..];
        let mut steps = 0;
        while let Some(after) = rest.strip_prefix("super::") {
            (rest, steps) = (after, steps + 1);
        }
        // An inline module, such as `mod tests`, is one deeper than its file.
        if steps >= depth + inline_modules(&code[..offset]) {
            used.extend(names_after(rest).into_iter().map(|name| (offset, name)));
        }
    }
    used
}

/// True when the next character would continue a name.
fn is_word_end(code: &str) -> bool {
    code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// How many `mod name {` are open at the end of `code`.
fn inline_modules(code: &str) -> usize {
    let mut open = Vec::new();
    for (offset, brace) in code.match_indices(['{', '}']) {
        if brace == "{" {
            let mut words = code[..offset].split_whitespace().rev();
            open.push(words.nth(1) == Some("mod"));
        } else {
            open.pop();
        }
    }
    open.into_iter().filter(|is_module| *is_module).count()
}

/// The names that a path continues with: one, or all of a `{…}` group at their first component.
fn names_after(rest: &str) -> Vec<String> {
    let rest = rest.trim_start();
    let name =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut names, mut depth, mut start) = (Vec::new(), 1, 0);
    for (offset, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (character == ',' && depth == 1) || depth == 0 {
            names.push(name(&group[start..offset]));
            start = offset + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The same text with every comment, string and character blanked, line by line the same.
fn without_comments_and_strings(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = at + length_of_noise(&source[at..], is_word_end(&code));
        if end > at {
            code.extend(source[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            let character = source[at..].chars().next().unwrap_or_default();
            code.push(character);
            at += character.len_utf8();
        }
    }
    code
}

/// How many bytes of comment or literal the text begins with; 0 for code.
fn length_of_noise(text: &str, follows_a_word: bool) -> usize {
    let up_to = |end: Option<usize>| end.unwrap_or(text.len());
    if text.starts_with("//") {
        return up_to(text.find('\n'));
    }
    if text.starts_with("/*") {
        return up_to(text.find("*/").map(|end| end + 2));
    }
    if !follows_a_word && (text.starts_with("r\"") || text.starts_with("r#")) {
        let hashes = text[1..].chars().take_while(|c| *c == '#').count();
        if text[1 + hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            return up_to(text[2 + hashes..].find(&close).map(|end| 2 + hashes + end + close.len()));
        }
    }
    match text.chars().next() {
        Some('"') => length_of_quoted(text, '"'),
        // A lifetime has no closing quote behind its first character.
        Some('\'') if text[1..].starts_with('\\') || text[1..].chars().nth(1) == Some('\'') => {
            length_of_quoted(text, '\'')
        }
        _ => 0,
    }
}

fn length_of_quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The check itself can fail, and only where it should.
#[cfg(test)]
mod the_check {
    use super::*;

    #[test]
    fn sees_each_way_to_name_a_higher_room() {
        for (path, source, expected) in [
            ("http/mod.rs", "\nuse crate::registry::Client;", "http/mod.rs:2: http must not use registry"),
            ("http/mod.rs", "fn f() { let x = crate::copy::run(); }", "http/mod.rs:1: http must not use copy"),
            (
                "http/har/mod.rs",
                "use crate::{\n    digest::Digest,\n    source,\n};",
                "http/har/mod.rs:1: http must not use source",
            ),
            ("http/mod.rs", "use super::registry::X;", "http/mod.rs:1: http must not use registry"),
            ("http/tls.rs", "use super::super::registry::X;", "http/tls.rs:1: http must not use registry"),
            (
                "http/har/mod.rs",
                "mod tests { use super::super::super::cli; }",
                "http/har/mod.rs:1: http must not use cli",
            ),
            ("digest.rs", "use crate::config::paths;", "digest.rs:1: digest must not use config"),
            ("digest.rs", "use super::http;", "digest.rs:1: digest must not use http"),
            ("manifest/mod.rs", "use crate::signature::X;", "manifest/mod.rs:1: manifest must not use signature"),
            ("policy/mod.rs", "use crate::destination::X;", "policy/mod.rs:1: policy must not use destination"),
            ("new/mod.rs", "use crate::digest::X;", "new/mod.rs:1: the room new is not in the table"),
            ("http/mod.rs", "macro_rules! m { () => { $crate::copy::x } }", "http/mod.rs:1: http must not use copy"),
            ("main.rs", "use transship::registry::X;", "main.rs:1: main must not use registry"),
        ] {
            assert_eq!(violations(path, source), [expected], "{source}");
        }
    }

    #[test]
    fn lets_pass_what_stays_below_or_is_no_code() {
        for (path, source) in [
            ("http/mod.rs", "use crate::safe_url::SafeUrl;\nuse crate::Digest;\nuse crate::http::Wire;"),
            ("http/har/replay.rs", "use super::super::Wire;\nuse super::format;"),
            ("http/tls.rs", "mod tests { use super::super::registry_like; }"),
            ("http/mod.rs", "// crate::registry\n/* crate::copy */ /// [`crate::cli`]\n"),
            ("http/mod.rs", "const A: &str = \"crate::copy \\\" crate::cli\"; const B: &str = r#\"crate::\"copy\"#;"),
            ("http/mod.rs", "fn f<'a>(c: &'a char) { let q = '\"'; use_it(crate::digest::x, '\\''); }"),
            ("http/mod.rs", "use mycrate::registry; macro_rules! m { () => { $crate::digest::x } }"),
            ("main.rs", "fn main() { transship::cli::run() }"),
            ("lib.rs", "pub use crate::copy::copy;"),
        ] {
            assert_eq!(violations(path, source), [""; 0], "{source}");
        }
    }

    #[test]
    fn counts_lines_over_comments_and_strings() {
        let source = "/*\n\n*/\nconst A: &str = \"\n\";\nuse crate::copy;\n";
        assert_eq!(violations("http/mod.rs", source), ["http/mod.rs:6: http must not use copy"]);
    }
}
