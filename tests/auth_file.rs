//! Auth files against the reference project's tables and against what skopeo's own library answered.
#![cfg(unix)]
#![allow(unreachable_pub, reason = "modules shared by several tests")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use transship::Reference;
use transship::config::auth_file::AuthKey;
use transship::config::credential_helper::HelperRunner;
use transship::config::credentials::{Credentials, Error, FoundCredentials, lookup};
use transship::config::paths::AuthFileCandidate;

#[path = "support/helpers.rs"]
mod helpers;
#[path = "support/shared.rs"]
mod shared;

use helpers::Helpers;
use shared::shared;

const FIXTURES: &str = "fixtures/containers-image/pkg/docker/config";

fn table(name: &str) -> Option<Vec<Value>> {
    let text = fs::read_to_string(shared("tables/containers-image/auth.json")?).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let table = document["tables"].as_array().unwrap().iter().find(|table| table["name"] == name).unwrap();
    let cases = table["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{name} has no cases");
    Some(cases)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn candidate(path: impl Into<PathBuf>) -> AuthFileCandidate {
    AuthFileCandidate { path: path.into(), legacy: false, explicit: false }
}

fn legacy(path: impl Into<PathBuf>) -> AuthFileCandidate {
    AuthFileCandidate { legacy: true, ..candidate(path) }
}

fn look_up(
    candidates: &[AuthFileCandidate],
    helpers: &[String],
    key: &str,
    runner: &HelperRunner,
) -> Result<Option<FoundCredentials>, Error> {
    lookup(candidates, helpers, &key.parse().unwrap(), runner)
}

/// Looks up in files alone.
fn in_files(candidates: &[AuthFileCandidate], key: &str) -> Option<FoundCredentials> {
    look_up(candidates, &[], key, &HelperRunner::new(None)).unwrap()
}

/// In the form of both the tables (`Username`) and the oracle (`username`).
fn expected(value: &Value) -> Option<Credentials> {
    let member = |name: &str, lower: &str| text(&value[name]).to_owned() + text(&value[lower]);
    let username = member("Username", "username");
    let password = member("Password", "password");
    let token = member("IdentityToken", "identity_token");
    let is_some = !(username.is_empty() && password.is_empty() && token.is_empty());
    is_some.then(|| Credentials::basic(username, password).with_identity_token(token))
}

fn write_auths(path: &Path, key: &str) {
    let auth = STANDARD.encode("example:org");
    fs::write(path, json!({"auths": {key: {"auth": auth}}}).to_string()).unwrap();
}

#[test]
fn every_answer_is_that_of_the_reference_library() {
    let Some(oracle) = shared("oracle/auth.jsonl") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auth.json");
    let mut count = 0;
    for line in fs::read_to_string(oracle).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        fs::write(&path, text(&case["authfile"])).unwrap();
        let reference: Reference = text(&case["input"]).parse().unwrap();
        let key = AuthKey::from(reference.name());
        let found = lookup(&[candidate(&path)], &[], &key, &HelperRunner::new(None));
        if case["expect"]["error"].is_string() {
            assert!(found.is_err(), "{line}");
        } else {
            let credentials = found.unwrap().map(|found| found.credentials);
            assert_eq!(credentials, expected(&case["expect"]), "{line}");
        }
        count += 1;
    }
    assert_eq!(count, 192);
}

#[test]
fn table_get_auth() {
    let (Some(cases), Some(fixtures)) = (table("get_auth"), shared(FIXTURES)) else { return };
    // The program that the reference project's tests run answers for these two registries.
    let helpers = Helpers::new().with(
        "helper-registry",
        r#"case "$1 $(cat)" in
            "get registry-a.com") echo '{"ServerURL": "registry-a.com", "Username": "foo", "Secret": "bar"}' ;;
            "get registry-b.com") echo '{"ServerURL": "registry-b.com", "Username": "<token>", "Secret": "fizzbuzz"}' ;;
            *) echo "credentials not found in native keychain"; exit 1 ;;
        esac"#,
    );
    for case in cases {
        let name = text(&case["name"]);
        if !case["sys"]["DockerAuthConfig"].is_null() {
            // Credentials that the caller has are the caller's matter; files are not even asked then.
            assert_eq!(name, "use system context");
            continue;
        }
        let conf = case["sys"]["SystemRegistriesConfPath"].as_str().map(|conf| {
            let text = fs::read_to_string(fixtures.join(conf)).unwrap();
            text.parse::<toml::Table>().unwrap()["credential-helpers"].clone().try_into::<Vec<String>>().unwrap()
        });
        let candidates: Vec<_> = case["path"].as_str().map(|path| candidate(fixtures.join(path))).into_iter().collect();
        let key = text(&case["key"]);
        let found = look_up(&candidates, &conf.unwrap_or_default(), key, &helpers.runner()).unwrap();
        assert_eq!(found.map(|found| found.credentials), expected(&case["expected"]), "{name}");
    }

    // config.json names the helper for a registry of which the helper knows nothing.
    let config = candidate(fixtures.join("testdata/config.json"));
    assert_eq!(look_up(&[config], &[], "registry-no-creds.com", &helpers.runner()).unwrap(), None);
}

#[test]
fn table_get_auth_legacy() {
    let (Some(cases), Some(fixtures)) = (table("get_auth_legacy"), shared(FIXTURES)) else { return };
    for case in cases {
        let found = in_files(&[legacy(fixtures.join("testdata/legacy.json"))], text(&case["hostname"])).unwrap();
        assert_eq!(Some(found.credentials), expected(&case["expected"]), "{}", case["name"]);
    }
}

#[test]
fn table_prefer_new_config() {
    let (Some(cases), Some(fixtures)) = (table("prefer_new_config"), shared(FIXTURES)) else { return };
    let candidates: Vec<_> = cases
        .iter()
        .map(|case| AuthFileCandidate {
            legacy: text(&case["target"]).ends_with(".dockercfg"),
            ..candidate(fixtures.join(text(&case["source"])))
        })
        .collect();
    let found = in_files(&candidates, "docker.io").unwrap();
    assert_eq!(found.credentials, Credentials::basic("docker", "io"));
}

#[test]
fn table_lookup_order() {
    for case in table("lookup_order").into_iter().flatten() {
        let key: AuthKey = text(&case["input"]).parse().unwrap();
        assert_eq!(json!(key.lookup_order().collect::<Vec<_>>()), case["expected"], "{}", case["name"]);
    }
}

#[test]
fn table_interop_get() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    for case in table("interop_get").into_iter().flatten() {
        let login = text(&case["loginKey"]);
        write_auths(&path, if login.is_empty() { "https://index.docker.io/v1/" } else { login });
        let found = in_files(&[candidate(&path)], text(&case["queryKey"]));
        assert_eq!(found.unwrap().credentials, Credentials::basic("example", "org"), "{case}");
    }
}

#[test]
fn table_set_get_as_far_as_reading_goes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auth.json");
    for case in table("set_get").into_iter().flatten() {
        write_auths(&path, text(&case["set"]));
        let found = in_files(&[candidate(&path)], text(&case["get"]));
        assert_eq!(found.is_some(), case["shouldAuth"] == true, "{}", case["name"]);
    }
}

#[test]
fn table_validate_key() {
    for case in table("validate_key_invalid").into_iter().flatten() {
        assert!(text(&case).parse::<AuthKey>().is_err(), "{case}");
    }
    for case in table("validate_key_valid").into_iter().flatten() {
        let key: AuthKey = text(&case["key"]).parse().unwrap();
        assert_eq!(key.is_namespaced(), case["isNamespaced"] == true, "{case}");
    }
}
