//! Logins kept and forgotten: the reference project's tables, and credential helpers.
#![cfg(unix)]
#![allow(unreachable_pub, reason = "modules shared by several tests")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use transship::config::auth_file::AuthKey;
use transship::config::credentials::{Credentials, Origin};
use transship::config::login::Error;
use transship::config::{Config, Paths};
use transship::error::one_line;

#[path = "support/helpers.rs"]
mod helpers;
#[allow(clippy::panic, reason = "helpers of tests")]
mod support {
    #[path = "../support/shared.rs"]
    pub mod shared;
    #[path = "../support/tables.rs"]
    pub mod tables;
}

use helpers::Helpers;
use support::tables::{table, text};

const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A home with one auth file, and helpers that write down what they are given.
struct Home {
    directory: tempfile::TempDir,
    helpers: Helpers,
    conf: &'static str,
    for_docker: bool,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let keeps = format!("(printf '%s ' \"$1\"; cat; echo) >> '{}'", log.display());
        let helpers = Helpers::new()
            .with("keeps", &format!("[ $1 != list ] || {{ echo '{{\"a.example\": \"u\"}}'; exit; }}; {keeps}"))
            .with("none", "echo credentials not found in native keychain; exit 1")
            .with("broken", "echo locked; exit 1");
        Self { directory, helpers, conf: "", for_docker: false }
    }

    /// What registries.conf says.
    fn with(self, conf: &'static str) -> Self {
        Self { conf, ..self }
    }

    fn for_docker(self) -> Self {
        Self { for_docker: true, ..self }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("auth.json")
    }

    fn file(self, content: &Value) -> Self {
        fs::write(self.path(), content.to_string()).unwrap();
        self
    }

    fn config(&self) -> Config {
        let mut paths = Paths::isolated(self.directory.path());
        let conf = self.directory.path().join("registries.conf");
        fs::write(&conf, self.conf).unwrap();
        paths.registries_conf = Some(conf);
        paths.environment.search_path = Some(self.helpers.path().into());
        *(if self.for_docker { &mut paths.docker_auth_file } else { &mut paths.auth_file }) = Some(self.path());
        Config::load_from(paths).unwrap()
    }

    fn store(&self, key: &str) -> Result<Origin, Error> {
        self.config().store_login(&self::key(key), &Credentials::basic("user", "pass:word"))
    }

    fn remove(&self, key: &str) -> Result<Vec<Origin>, Error> {
        self.config().remove_login(&self::key(key))
    }

    /// The user name of the login that counts for a repository or a registry.
    fn user(&self, key: &str) -> Option<String> {
        let found = self.config().credentials_for(&self::key(key)).unwrap();
        found.map(|found| found.credentials.username().to_owned())
    }

    fn content(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path()).unwrap()).unwrap()
    }

    fn keys(&self) -> Vec<String> {
        self.content()["auths"].as_object().unwrap().keys().cloned().collect()
    }

    /// What the helper `keeps` was given, a line each.
    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn in_file(&self) -> Origin {
        Origin::AuthFile(self.path())
    }

    fn in_helper(&self, helper: &str) -> Origin {
        Origin::AuthFileHelper { file: self.path(), helper: helper.to_owned() }
    }
}

fn key(text: &str) -> AuthKey {
    text.parse().unwrap()
}

#[test]
fn table_set_credentials() {
    for case in table("auth", "set_credentials") {
        let home = Home::new();
        let keys: Vec<String> = case.as_array().unwrap().iter().map(text).collect();
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(home.store(key).unwrap(), home.in_file());
            assert_eq!(home.user(key).as_deref(), Some("user"), "{case}");
            assert!(keys[..=number].iter().all(|key| home.keys().contains(key)), "{case}");
        }
        assert!(home.keys().is_sorted(), "{case}");
    }
}

#[test]
fn table_set_get() {
    for case in table("auth", "set_get").iter().filter(|case| text(&case["set"]).parse::<AuthKey>().is_ok()) {
        let home = Home::new();
        home.store(&text(&case["set"])).unwrap();
        assert_eq!(home.user(&text(&case["get"])).is_some(), case["shouldAuth"] == true, "{case}");
    }
}

/// The second list is about names of one registry, which are told apart in the file.
#[test]
fn table_get_all_is_what_was_written() {
    for case in table("auth", "get_all") {
        let home = Home::new();
        for entry in case.as_array().unwrap().iter().filter(|entry| entry["writeKey"] != "") {
            let credentials = Credentials::basic(text(&entry["username"]), text(&entry["password"]));
            home.config().store_login(&key(&text(&entry["writeKey"])), &credentials).unwrap();
        }
        for entry in case.as_array().unwrap().iter().filter(|entry| entry["writeKey"] != "") {
            assert_eq!(home.user(&text(&entry["expectedKey"])), Some(text(&entry["username"])), "{case}");
        }
    }
}

#[test]
fn table_interop_set() {
    for case in table("auth", "interop_set") {
        let home = Home::new().for_docker();
        let others = json!({"HttpHeaders": {"a": "b"}, "auths": {"other.example": {"auth": "YTpi", "email": "e"}}});
        let home = if case["otherContents"] == true { home.file(&others) } else { home };
        let login = text(&case["loginKey"]);
        if case["loginKeyError"] == true {
            let error = home.store(&login).unwrap_err();
            assert!(matches!(error, Error::DockerNamespace { .. }), "{case}");
            assert!(!home.path().exists());
            continue;
        }
        home.store(&login).unwrap();
        assert_eq!(home.user(&text(&case["queryRepo"])).as_deref(), Some("user"), "{case}");
        assert!(home.keys().contains(&if login == "docker.io" { DOCKER_HUB.to_owned() } else { login.clone() }));
        if case["otherContents"] == true {
            let content = home.content();
            assert_eq!(content["HttpHeaders"], others["HttpHeaders"], "{case}");
            assert_eq!(content["auths"]["other.example"], others["auths"]["other.example"], "{case}");
        }
        home.remove(&login).unwrap();
        assert_eq!(home.user(&text(&case["queryRepo"])), None, "{case}");
    }
}

/// What must be left is told in Go; each case leaves what was there without the inputs, less what fails.
#[test]
fn table_remove() {
    for case in table("auth", "remove") {
        let auths: serde_json::Map<String, Value> = case["config"]["AuthConfigs"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, entry)| (key.clone(), json!({"auth": entry["Auth"]})))
            .collect();
        let home = Home::new().file(&json!({"auths": auths}));
        let inputs: Vec<String> = case["inputs"].as_array().unwrap().iter().map(text).collect();
        for input in &inputs {
            match home.remove(input) {
                Ok(origins) => assert_eq!(origins, [home.in_file()], "{case}"),
                Err(error) => assert!(case["shouldError"] == true && matches!(error, Error::NotLoggedIn(_)), "{case}"),
            }
        }
        let left: Vec<_> = auths.keys().filter(|key| !inputs.contains(key)).cloned().collect();
        assert_eq!(home.keys(), left, "{case}");
    }
}

#[test]
fn a_registry_of_cred_helpers_is_left_to_its_helper() {
    let file = json!({"auths": {}, "credHelpers": {"a.example": "keeps", "b.example": "broken", "c.example": "gone"}});
    let home = Home::new().file(&file);
    assert_eq!(home.store("a.example").unwrap(), home.in_helper("keeps"));
    assert_eq!(home.log(), "store {\"ServerURL\":\"a.example\",\"Username\":\"user\",\"Secret\":\"pass:word\"}\n");
    assert_eq!(home.remove("a.example").unwrap(), [home.in_helper("keeps")]);
    assert!(home.log().ends_with("\nerase a.example\n"));
    for (key, words) in [("b.example", "locked"), ("c.example", "docker-credential-gone")] {
        for error in [home.store(key).unwrap_err(), home.remove(key).unwrap_err()] {
            assert!(matches!(error, Error::AuthFileHelper { .. }), "{error:?}");
            assert!(one_line(&error).contains(words), "{}", one_line(&error));
        }
    }
    assert_eq!(home.content(), file);
}

#[test]
fn a_login_that_a_helper_would_hide_is_not_written() {
    let home = Home::new().file(&json!({"auths": {}, "credHelpers": {"a.example": "keeps"}}));
    assert!(matches!(home.store("a.example/org"), Err(Error::HelperNamespace { .. })));
    assert_eq!((home.keys(), home.log()), (Vec::new(), String::new()));
    let home = Home::new().with(r#"credential-helpers = ["keeps"]"#);
    assert!(matches!(home.store("a.example/org"), Err(Error::HelperNamespace { .. })));
    assert!(matches!(home.remove("a.example/org"), Err(Error::NotLoggedIn(_))));
    assert_eq!(home.log(), "");
}

#[test]
fn an_entry_behind_a_helper_is_removed_with_it() {
    let home =
        Home::new().file(&json!({"auths": {"a.example": {"auth": "YTpi"}}, "credHelpers": {"a.example": "none"}}));
    assert_eq!(home.remove("a.example").unwrap(), [home.in_file()]);
    assert!(matches!(home.remove("a.example"), Err(Error::NotLoggedIn(_))));
}

#[test]
fn the_first_of_the_credential_helpers_that_takes_a_login_keeps_it() {
    let home = Home::new().with(r#"credential-helpers = ["broken", "keeps", "containers-auth.json"]"#);
    assert_eq!(home.store("a.example").unwrap(), Origin::Helper("keeps".to_owned()));
    assert!(!home.path().exists());
    let home = Home::new().with(r#"credential-helpers = ["broken", "containers-auth.json"]"#);
    assert_eq!(home.store("a.example/org").unwrap(), home.in_file());
    let home = Home::new().with(r#"credential-helpers = ["broken", "none"]"#);
    let error = home.store("a.example").unwrap_err();
    assert!(matches!(&error, Error::Several(errors) if errors.len() == 2), "{error:?}");
    assert!(one_line(&error).contains("locked"), "{error}");
}

#[test]
fn a_login_is_removed_from_every_credential_helper() {
    let home = Home::new()
        .with(r#"credential-helpers = ["keeps", "containers-auth.json", "none"]"#)
        .file(&json!({"auths": {"a.example": {"auth": "YTpi"}}}));
    let removed = home.remove("a.example").unwrap();
    assert_eq!(removed, [Origin::Helper("keeps".to_owned()), home.in_file()]);
    let home = Home::new()
        .with(r#"credential-helpers = ["broken", "containers-auth.json"]"#)
        .file(&json!({"auths": {"a.example": {"auth": "YTpi"}}}));
    assert!(matches!(home.remove("a.example"), Err(Error::Helper(_))));
    assert_eq!(home.keys(), [""; 0], "one that fails keeps no other from it");
}

#[test]
fn all_logins_are_removed_from_the_file_and_from_the_helpers() {
    let home = Home::new()
        .with(r#"credential-helpers = ["keeps", "containers-auth.json"]"#)
        .file(&json!({"auths": {"a.example": {}, "b.example": {}}, "credHelpers": {"c.example": "keeps"}, "x": 1}));
    let removed = home.config().remove_all_logins().unwrap();
    assert_eq!(removed, [Origin::Helper("keeps".to_owned()), home.in_helper("keeps"), home.in_file()]);
    assert_eq!(home.log(), "erase a.example\nerase c.example\n");
    assert_eq!(home.content(), json!({"auths": {}, "x": 1}));
    let home = Home::new().file(&json!({"auths": {"a.example": {}}, "credHelpers": {"c.example": "broken"}}));
    let before = home.content();
    assert!(matches!(home.config().remove_all_logins(), Err(Error::AuthFileHelper { .. })));
    assert_eq!(home.content(), before);
    assert_eq!(Home::new().config().remove_all_logins().unwrap(), []);
}

#[test]
fn the_store_of_docker_keeps_what_docker_would_ask_it_for() {
    let file = json!({"credsStore": "keeps"});
    let home = Home::new().file(&file).for_docker();
    assert_eq!(home.store("docker.io").unwrap(), home.in_helper("keeps"));
    assert!(home.log().contains(DOCKER_HUB), "{}", home.log());
    assert_eq!(home.content(), file);
    // podman does not know of it.
    let home = Home::new().file(&file);
    assert_eq!(home.store("docker.io").unwrap(), home.in_file());
    assert_eq!(home.content()["credsStore"], "keeps");
}

#[test]
fn what_is_stored_is_read_again_character_for_character() {
    let home = Home::new();
    for (user, password) in [("u", ":"), ("user name", "päss\"\\wörd\n"), ("u", "p".repeat(10_000).as_str())] {
        let credentials = Credentials::basic(user, password);
        home.config().store_login(&key("a.example"), &credentials).unwrap();
        let found = home.config().credentials_for(&key("a.example")).unwrap().unwrap();
        assert_eq!(found.credentials, credentials);
        assert_eq!(home.content()["auths"]["a.example"]["auth"], STANDARD.encode(format!("{user}:{password}")));
    }
    for user in ["", "a:b"] {
        let stored = home.config().store_login(&key("a.example"), &Credentials::basic(user, "p"));
        assert!(matches!(stored, Err(Error::Username)), "{user}");
    }
}

/// A helper that reads nothing, or says again what it was told.
#[test]
fn a_helper_that_is_given_a_password_does_not_put_it_into_an_error() {
    let long = format!("c4n4ry{}", "x".repeat(1 << 20));
    for (script, password) in [
        ("cat >&2; exit 1", "c4n4ry"),
        ("cat; exit 1", "c4n4ry"),
        ("echo c4n4ry\\\\\\\" >&2; exit 1", "c4n4ry\""),
        ("cat >&2; exit 1", long.as_str()),
        ("exit 1", long.as_str()),
    ] {
        let runner = Helpers::new().with("test", script);
        let error = runner.runner().store("test", "a.example", &Credentials::basic("u", password)).unwrap_err();
        let text = format!("{} {error:?}", one_line(&error));
        assert!(!text.contains("c4n4ry"), "{script}: {text:.300}");
    }
    let helpers = Helpers::new().with("test", "[ $(wc -c) -gt 1000000 ]");
    helpers.runner().store("test", "a.example", &Credentials::basic("u", long)).unwrap();
}
