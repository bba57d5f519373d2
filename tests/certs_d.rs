//! certs.d directories against the reference project's table.
#![allow(unreachable_pub, reason = "modules shared by several tests")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use transship::config::certs_d::{CertsDir, PemFile};

#[path = "support/shared.rs"]
mod shared;

use shared::shared;

/// The data files beside us lack all private keys and the links that lead nowhere: a copy that has them again.
fn restored(root: &Path, case: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let fixtures = root.join(case);
    if fixtures.is_dir() {
        for entry in fs::read_dir(fixtures).unwrap() {
            let entry = entry.unwrap();
            fs::write(directory.path().join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
        }
    }
    let path = |name: &str| directory.path().join(name);
    match Path::new(case).file_name().unwrap().to_str().unwrap() {
        "full" => {
            for key in ["client-cert-1.key", "client-cert-2.key"] {
                fs::write(path(key), "a key").unwrap();
            }
        }
        "missing-cert" => fs::write(path("client-cert-1.key"), "a key").unwrap(),
        #[cfg(unix)]
        "unreadable-ca" => std::os::unix::fs::symlink("nowhere", path("cert1.crt")).unwrap(),
        #[cfg(unix)]
        "unreadable-key" => std::os::unix::fs::symlink("nowhere", path("client-cert-1.key")).unwrap(),
        "missing-key" => {}
        other => panic!("a new case: {other}"),
    }
    directory
}

fn has_subject(file: &PemFile, name: &str) -> bool {
    let text = std::str::from_utf8(&file.bytes).unwrap();
    let body: String = text.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1).collect();
    let (encoded, _) = body.split_once("-----END").unwrap();
    let certificate = STANDARD.decode(encoded).unwrap();
    certificate.windows(name.len()).any(|window| window == name.as_bytes())
}

fn assert_subjects<'a>(files: impl ExactSizeIterator<Item = &'a PemFile>, names: &Value) {
    let names = names.as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(files.len(), names.len());
    for (file, name) in files.zip(names) {
        assert!(has_subject(file, name.as_str().unwrap()), "{}: {name}", file.path.display());
    }
}

#[test]
fn table_certs_d() {
    let (Some(tables), Some(fixtures)) =
        (shared("tables/containers-image/docker_http.json"), shared("fixtures/containers-image"))
    else {
        return;
    };
    let document: Value = serde_json::from_str(&fs::read_to_string(tables).unwrap()).unwrap();
    let table = document["tables"].as_array().unwrap().iter().find(|table| table["name"] == "certs_d").unwrap();
    let cases = table["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let name = case["dir"].as_str().unwrap();
        let restored = (!name.starts_with('/')).then(|| restored(&fixtures, name));
        let directory = restored.as_ref().map_or(Path::new(name), tempfile::TempDir::path);
        let certs = CertsDir::load(&[directory.to_owned()]);
        assert_eq!(certs.is_ok(), case["ok"] == true, "{name}: {certs:?}");
        if let Ok(certs) = certs {
            assert_subjects(certs.authorities.iter(), &case["ca_cns"]);
            assert_subjects(certs.clients.iter().map(|pair| &pair.certificate), &case["client_cns"]);
        }
    }
}
