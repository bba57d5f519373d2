//! Which credentials count: files, helpers, and their errors.
#![cfg(unix)]
#![allow(unreachable_pub, reason = "modules shared by several tests")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use transship::config::auth_file;
use transship::config::credential_helper;
use transship::config::credentials::{Credentials, Error, FoundCredentials, Kind, Origin, lookup};
use transship::config::paths::AuthFileCandidate;
use transship::error::one_line;

#[path = "support/helpers.rs"]
mod helpers;

use helpers::Helpers;

/// `echo` answers with the server as user name, `none` has nothing, `broken` fails.
struct Room {
    directory: tempfile::TempDir,
    helpers: Helpers,
    candidates: Vec<AuthFileCandidate>,
}

impl Room {
    fn new() -> Self {
        let helpers = Helpers::new()
            .with("echo", r#"printf '{"Username": "%s", "Secret": "helper"}' "$(cat)""#)
            .with("none", "echo credentials not found in native keychain; exit 1")
            .with("broken", "echo locked; exit 1");
        Self { directory: tempfile::tempdir().unwrap(), helpers, candidates: Vec::new() }
    }

    fn file(mut self, content: &str) -> Self {
        let path = self.path(self.candidates.len());
        fs::write(&path, content).unwrap();
        self.candidates.push(AuthFileCandidate { path, legacy: false, explicit: false });
        self
    }

    fn path(&self, index: usize) -> PathBuf {
        self.directory.path().join(format!("{index}.json"))
    }

    fn get_with(&self, helpers: &[&str], key: &str) -> Result<Option<FoundCredentials>, Error> {
        let helpers: Vec<_> = helpers.iter().map(|&helper| helper.to_owned()).collect();
        lookup(&self.candidates, &helpers, &key.parse().unwrap(), &self.helpers.runner())
    }

    fn get(&self, key: &str) -> Result<Option<FoundCredentials>, Error> {
        self.get_with(&[], key)
    }

    fn username(&self, key: &str) -> Option<String> {
        self.get(key).unwrap().map(|found| found.credentials.username().to_owned())
    }
}

/// `u1:p`
const U1: &str = r#"{"auth": "dTE6cA=="}"#;
/// `u2:p`
const U2: &str = r#"{"auth": "dTI6cA=="}"#;

#[test]
fn the_origin_names_file_and_key_as_written() {
    let room = Room::new().file(&format!(r#"{{"auths": {{"https://quay.io/v1/": {U1}}}}}"#));
    let found = room.get("quay.io/org/app").unwrap().unwrap();
    assert_eq!(found.credentials, Credentials::basic("u1", "p"));
    assert_eq!((found.kind(), found.key.as_str()), (Kind::Basic, "https://quay.io/v1/"));
    assert_eq!(found.origin.to_string(), room.path(0).display().to_string());
}

#[test]
fn the_first_file_with_credentials_counts_and_an_empty_entry_is_none() {
    let room = Room::new()
        .file(r#"{"auths": {"quay.io/org": {}, "quay.io": {"auth": "dTM6cA=="}}}"#)
        .file(&format!(r#"{{"auths": {{"quay.io/org": {U1}}}}}"#))
        .file(&format!(r#"{{"auths": {{"quay.io/org/app": {U2}}}}}"#));
    assert_eq!(room.username("quay.io/org/app").as_deref(), Some("u1"));
}

#[test]
fn cred_helpers_of_a_registry_is_final_for_its_file_and_asked_for_the_registry_alone() {
    let auths = format!(r#""auths": {{"quay.io/org": {U1}}}"#);
    let room = Room::new().file(&format!(r#"{{{auths}, "credHelpers": {{"quay.io": "echo"}}}}"#));
    let found = room.get("quay.io/org/app").unwrap().unwrap();
    assert_eq!((found.credentials.username(), found.kind(), found.key.as_str()), ("quay.io", Kind::Helper, "quay.io"));
    let origin = Origin::AuthFileHelper { file: room.path(0), helper: "echo".to_owned() };
    assert_eq!(found.origin, origin);

    let none = format!(r#"{{{auths}, "credHelpers": {{"quay.io": "none"}}, "credsStore": "echo"}}"#);
    assert_eq!(Room::new().file(&none).get("quay.io/org/app").unwrap(), None);
    let next = Room::new().file(&none).file(&format!(r#"{{"auths": {{"quay.io": {U2}}}}}"#));
    assert_eq!(next.username("quay.io/org/app").as_deref(), Some("u2"));
}

#[test]
fn cred_helpers_keys_are_taken_literally() {
    let room = Room::new().file(r#"{"credHelpers": {"index.docker.io": "echo", "https://quay.io": "echo"}}"#);
    assert_eq!(room.get("docker.io/library/busybox").unwrap(), None);
    assert_eq!(room.get("quay.io/org/app").unwrap(), None);
    let room = Room::new().file(r#"{"credHelpers": {"docker.io": "echo"}}"#);
    assert_eq!(room.username("docker.io/library/busybox").as_deref(), Some("docker.io"));
}

#[test]
fn creds_store_is_asked_where_the_file_itself_has_no_credentials() {
    let room = Room::new()
        .file(&format!(r#"{{"auths": {{"quay.io/org": {U1}, "quay.io": {{}}}}, "credsStore": "echo"}}"#))
        .file(&format!(r#"{{"auths": {{"gcr.io": {U2}}}}}"#));
    assert_eq!(room.username("quay.io/org/app").as_deref(), Some("u1"));
    assert_eq!(room.username("quay.io/other").as_deref(), Some("quay.io"));
    assert_eq!(room.username("gcr.io/a").as_deref(), Some("gcr.io"));
    let room = Room::new().file(r#"{"credsStore": "none"}"#).file(&format!(r#"{{"auths": {{"gcr.io": {U2}}}}}"#));
    assert_eq!(room.username("gcr.io/a").as_deref(), Some("u2"));
}

#[test]
fn creds_store_is_asked_for_docker_io_under_the_name_docker_keeps_it() {
    let room = Room::new().file(r#"{"credsStore": "echo"}"#);
    for key in ["docker.io/library/busybox", "index.docker.io", "registry-1.docker.io/a"] {
        assert_eq!(room.username(key).as_deref(), Some("https://index.docker.io/v1/"), "{key}");
    }
}

#[test]
fn a_creds_store_that_is_not_installed_is_passed_over_and_one_that_fails_is_an_error() {
    assert_eq!(Room::new().file(r#"{"credsStore": "desktop.exe"}"#).get("quay.io").unwrap(), None);
    assert_eq!(Room::new().file(r#"{"credsStore": ""}"#).get("quay.io").unwrap(), None);
    let broken = Room::new().file(r#"{"credsStore": "broken"}"#);
    let error = broken.get("quay.io").unwrap_err();
    assert!(matches!(&error, Error::AuthFileHelper { source: credential_helper::Error::Failed { .. }, .. }));
    assert!(one_line(&error).contains("0.json") && one_line(&error).contains("locked"), "{}", one_line(&error));
}

#[test]
fn a_helper_of_one_registry_that_is_not_installed_is_an_error() {
    let room = Room::new().file(r#"{"credHelpers": {"quay.io": "missing", "gcr.io": ""}}"#);
    for key in ["quay.io", "gcr.io"] {
        assert!(matches!(room.get(key), Err(Error::AuthFileHelper { .. })), "{key}");
    }
    assert_eq!(room.get("docker.io").unwrap(), None);
}

#[test]
fn the_first_of_the_credential_helpers_with_an_answer_counts_and_forgives_earlier_errors() {
    let room = Room::new().file(&format!(r#"{{"auths": {{"quay.io/org": {U1}}}}}"#));
    let username = |helpers: &[&str]| {
        room.get_with(helpers, "quay.io/org/app").unwrap().map(|found| found.credentials.username().to_owned())
    };
    assert_eq!(username(&["containers-auth.json", "echo"]).as_deref(), Some("u1"));
    assert_eq!(username(&["none", "echo", "containers-auth.json"]).as_deref(), Some("quay.io"));
    assert_eq!(username(&["broken", "containers-auth.json"]).as_deref(), Some("u1"));
    assert_eq!(username(&["none"]), None);
    let found = room.get_with(&["echo"], "quay.io/org/app").unwrap().unwrap();
    assert_eq!((found.origin.to_string().as_str(), found.kind()), ("echo", Kind::Helper));
}

#[test]
fn errors_of_the_credential_helpers_are_all_told_when_none_has_an_answer() {
    let room = Room::new().file("{");
    assert!(matches!(room.get_with(&["none", "broken"], "quay.io"), Err(Error::Helper(_))));
    let error = room.get_with(&["broken", "containers-auth.json"], "quay.io").unwrap_err();
    let lines: Vec<_> = error.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert_eq!(lines[0], "errors looking up credentials:");
    assert!(lines[1].contains("locked") && lines[2].contains("0.json"), "{error}");
}

#[test]
fn a_missing_file_has_no_entries_unless_the_user_named_it() {
    let mut room = Room::new();
    let path = room.path(0);
    room.candidates.push(AuthFileCandidate { path: path.clone(), legacy: false, explicit: false });
    assert_eq!(room.get("quay.io").unwrap(), None);
    room.candidates = vec![AuthFileCandidate { path: path.clone(), legacy: false, explicit: true }];
    assert!(matches!(room.get("quay.io"), Err(Error::AuthFile(auth_file::Error::Missing(missing))) if missing == path));
}

#[test]
fn a_file_that_cannot_be_used_ends_the_search_with_its_name() {
    let good = format!(r#"{{"auths": {{"quay.io": {U1}}}}}"#);
    let name = |error: &Error| one_line(error).contains("0.json");
    for broken in ["", "[]", r#"{"auths": 1}"#, r#"{"auths": {"quay.io": {"auth": "!"}}}"#] {
        let error = Room::new().file(broken).file(&good).get("quay.io").unwrap_err();
        assert!(name(&error), "{broken}: {error}");
    }
    let mut room = Room::new();
    fs::create_dir(room.path(0)).unwrap();
    room.candidates.push(AuthFileCandidate { path: room.path(0), legacy: false, explicit: false });
    assert!(name(&room.get("quay.io").unwrap_err()));
}

#[test]
fn a_link_to_an_auth_file_is_followed() {
    let mut room = Room::new().file(&format!(r#"{{"auths": {{"quay.io": {U1}}}}}"#));
    let link = room.directory.path().join("link");
    std::os::unix::fs::symlink(room.path(0), &link).unwrap();
    room.candidates = vec![AuthFileCandidate { path: link, legacy: false, explicit: true }];
    assert_eq!(room.username("quay.io").as_deref(), Some("u1"));
}
