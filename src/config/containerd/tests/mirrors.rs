//! The CRI's table and registries.yaml.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::super::host_entry::HostEntry;
use super::super::{CriRegistry, Mirrors, k3s};
use super::support::tables::{containerd_table, text};
use super::texts;
use crate::config::paths::Paths;
use crate::error::one_line;

const CRI: &str = "plugins.'io.containerd.grpc.v1.cri'.registry";

fn cri(text: &str) -> Result<CriRegistry, String> {
    let paths = Paths::isolated(Path::new("/nowhere"));
    CriRegistry::parse(text.as_bytes(), Path::new("config.toml"), &paths).map_err(|error| one_line(&error))
}

fn k3s(text: &str) -> Result<Mirrors, String> {
    k3s::parse(text.as_bytes(), Path::new("registries.yaml")).map_err(|error| one_line(&error))
}

fn urls(entries: &[HostEntry]) -> Vec<String> {
    entries.iter().map(|entry| entry.base.as_ref().unwrap().url.to_string()).collect()
}

#[test]
fn the_endpoints_of_a_registry_are_its_mirrors_and_itself() {
    for case in containerd_table("cri_registry_endpoints") {
        let mut file = String::new();
        for (registry, endpoints) in case["mirrors"].as_object().unwrap() {
            // A list and a text of JSON are such of TOML too.
            writeln!(file, "[{CRI}.mirrors.{}]\nendpoint = {endpoints}", json!(registry)).unwrap();
        }
        let outcome = cri(&file);
        let outcome =
            outcome.and_then(|registry| registry.table_entries(&text(&case["host"])).map_err(|error| one_line(&error)));
        match (outcome, &case["error"]) {
            (Ok(entries), Value::Null) => {
                let expected: Vec<_> = texts(&case["endpoints"]).into_iter().map(with_api).collect();
                assert_eq!(urls(&entries), expected, "{case}");
            }
            (Err(error), Value::String(_)) => assert!(error.contains("config.toml:2:"), "{error}"),
            (outcome, _) => panic!("{case}: {outcome:?}"),
        }
    }
}

/// No path means that of the API.
fn with_api(url: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap();
    if rest.contains('/') { url.to_owned() } else { format!("{url}/v2") }
}

#[test]
fn registries_yaml_says_the_same_in_yaml() {
    for case in containerd_table("k3s_registries_to_hosts") {
        // JSON is YAML.
        let document = json!({"mirrors": mirrors(&case["mirrors"]), "configs": case["configs"]});
        let mut table = k3s(&document.to_string()).unwrap();
        if case["no_default_endpoint"] == true {
            table = table.without_default_endpoint();
        }
        for (directory, expected) in case["hosts"].as_object().unwrap() {
            let domain = if directory == "_default" { "quay.io" } else { directory };
            let entries = table.entries(domain).unwrap();
            let endpoints = expected["endpoints"].as_array().unwrap();
            let default = match expected["default"].as_str() {
                Some("") => Some(format!("https://{domain}/v2")),
                other => other.map(str::to_owned),
            };
            let wanted: Vec<_> = endpoints.iter().map(|endpoint| text(&endpoint["url"])).chain(default).collect();
            assert_eq!(urls(&entries), wanted, "{case}");
            for (entry, endpoint) in entries.iter().zip(endpoints) {
                assert_eq!(json!(entry.skip_verify), endpoint["skip_verify"], "{case}");
            }
        }
    }
}

fn mirrors(table: &Value) -> Value {
    let entries = table.as_object().unwrap().iter().map(|(key, list)| (key.clone(), json!({"endpoint": list})));
    Value::Object(entries.collect())
}

#[test]
fn the_hub_is_not_asked_twice_and_a_listed_registry_is_not_appended() {
    let hub =
        cri(&format!("[{CRI}.mirrors.'docker.io']\nendpoint = ['https://registry-1.docker.io', 'https://m.example']"));
    let entries = hub.unwrap().table_entries("docker.io").unwrap();
    assert_eq!(urls(&entries), ["https://registry-1.docker.io/v2", "https://m.example/v2"]);
    assert!(entries[0].capabilities.push && !entries[1].capabilities.push, "a mirror is not pushed to");
    let none = cri(&format!(
        "[{CRI}.mirrors.'*']\nendpoint = ['https://m.example']\n[{CRI}.mirrors.'quay.io']\nendpoint = []"
    ));
    let none = none.unwrap();
    assert_eq!(urls(&none.table_entries("quay.io").unwrap()), ["https://quay.io/v2"]);
    assert_eq!(urls(&none.table_entries("ghcr.io").unwrap()), ["https://m.example/v2", "https://ghcr.io/v2"]);
}

#[test]
fn settings_are_those_of_the_endpoint_s_host_alone() {
    let text = format!(
        "[{CRI}.mirrors.'quay.io']\nendpoint = ['https://m.example:5000', 'https://n.example']\n\
         [{CRI}.configs.'m.example:5000'.tls]\nca_file = '/ca.pem'\ncert_file = '/c.pem'\nkey_file = '/k.pem'\n\
         [{CRI}.configs.'m.example:5000'.auth]\nusername = 'me'\npassword = 'secret'\n\
         [{CRI}.auths.'https://quay.io']\nauth = 'dTpw'\n[{CRI}.headers]\nX-From = ['here']"
    );
    let entries = cri(&text).unwrap().table_entries("quay.io").unwrap();
    let users: Vec<_> = entries.iter().map(user).collect();
    assert_eq!(users, [Some("me"), None, Some("u")]);
    assert!(format!("{:?}", entries[0].certificates).contains("/ca.pem"));
    assert!(!format!("{:?}", entries[1].certificates).contains(".pem"));
    assert!(entries.iter().all(|entry| entry.headers[0].name == "X-From"));
    assert!(!format!("{entries:?}").contains("secret"));
}

/// Who we are to each host, and whether any certificate is good there.
fn settings(entries: &[HostEntry]) -> Vec<(Option<&str>, Option<bool>)> {
    entries.iter().map(|entry| (user(entry), entry.skip_verify)).collect()
}

fn user(entry: &HostEntry) -> Option<&str> {
    entry.credentials.as_ref().map(|of_host| of_host.credentials.username())
}

#[test]
fn settings_of_what_is_no_host_are_nobody_s() {
    for key in ["m.example/foo", "https://m.example", "*.example", "m example", "*", ""] {
        let text = format!(
            "[{CRI}.mirrors.'quay.io']\nendpoint = ['https://m.example']\n\
             [{CRI}.configs.'{key}'.tls]\ninsecure_skip_verify = true\n\
             [{CRI}.configs.'{key}'.auth]\nusername = 'me'\npassword = 'secret'\n"
        );
        let entries = cri(&text).unwrap().table_entries("quay.io").unwrap();
        assert_eq!(settings(&entries), [(None, None), (None, None)], "{key}");
    }
}

#[test]
fn an_address_of_ipv6_is_a_host_and_no_registry() {
    for host in ["[::1]:5000", "[fd00::1]:5000", "[fd00::1]", "fd00::1"] {
        let endpoint = if host.contains('[') { host.to_owned() } else { format!("[{host}]") };
        let text = format!(
            "mirrors:\n  quay.io:\n    endpoint: ['https://{endpoint}']\n  '{host}':\n    endpoint: [m.example]\n\
             configs:\n  '{host}':\n    tls:\n      insecure_skip_verify: true\n    auth:\n      username: me\n"
        );
        let entries = k3s(&text).unwrap().entries("quay.io").unwrap();
        assert_eq!(settings(&entries), [(Some("me"), Some(true)), (None, None)], "{host}");
    }
}

#[test]
fn of_one_host_the_older_table_says_who_we_are_and_the_newer_one_the_rest() {
    let text = format!(
        "[{CRI}.mirrors.'quay.io']\nendpoint = ['https://m.example']\n\
         [{CRI}.configs.'m.example'.auth]\nusername = 'newer'\n\
         [{CRI}.configs.'m.example'.tls]\ninsecure_skip_verify = true\n\
         [{CRI}.auths.'https://m.example']\nusername = 'older'\n[{CRI}.auths.'m.example/foo bar']\nusername = 'x'\n"
    );
    let entries = cri(&text).unwrap().table_entries("quay.io").unwrap();
    assert_eq!(settings(&entries), [(Some("older"), Some(true)), (None, None)]);
    let text = "mirrors:\n  quay.io:\n    endpoint: [m.example]\nconfigs:\n  '*':\n    tls:\n      \
                insecure_skip_verify: true\nauths:\n  m.example:\n    username: me\n";
    let entries = k3s(text).unwrap().entries("quay.io").unwrap();
    assert_eq!(settings(&entries), [(Some("me"), Some(true)), (None, Some(true))], "it says nothing of TLS");
    let text = format!("[{CRI}.auths.'https://index.docker.io/v1/']\nusername = 'me'\n");
    assert_eq!(settings(&cri(&text).unwrap().table_entries("docker.io").unwrap()), [(Some("me"), None)]);
}

#[test]
fn a_registry_that_is_not_asked_and_has_no_endpoint_is_an_error() {
    let text = "mirrors:\n  docker.io:\n  quay.io:\n    endpoint: []\n  '*':\n    endpoint: [m.example]\n";
    let table = k3s(text).unwrap().without_default_endpoint();
    for (domain, line) in [("docker.io", 2), ("quay.io", 3)] {
        let error = one_line(&table.entries(domain).unwrap_err());
        let expected = format!(
            "registries.yaml:{line}:3: no endpoint of {domain} is named, and the registry itself is not to be asked"
        );
        assert!(error.contains(&expected), "{error}");
    }
    assert_eq!(urls(&table.entries("ghcr.io").unwrap()), ["https://m.example/v2"]);
}

#[test]
fn the_hub_at_another_port_is_another_host_to_k3s() {
    let text = "mirrors:\n  docker.io:\n    endpoint: ['https://docker.io:5000/foo', 'https://docker.io/foo']\n";
    let entries = k3s(text).unwrap().entries("docker.io").unwrap();
    let expected =
        ["https://docker.io:5000/foo", "https://registry-1.docker.io/foo", "https://registry-1.docker.io/v2"];
    assert_eq!(urls(&entries), expected);
}

#[test]
fn one_table_says_it_in_every_version_of_the_file() {
    let plugins = ["cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"];
    for (version, counting) in [
        ("", &plugins[..2]),
        ("version = 1", &plugins[..2]),
        ("version = 2", &plugins[1..2]),
        ("version = 3", &plugins[2..]),
        ("version = 4", &plugins[2..]),
    ] {
        for plugin in plugins {
            let text = format!("{version}\n[plugins.'{plugin}'.registry.mirrors.'quay.io']\nendpoint = ['m.example']");
            let hosts = urls(&cri(&text).unwrap().table_entries("quay.io").unwrap()).len();
            assert_eq!(hosts, if counting.contains(&plugin) { 2 } else { 1 }, "{version} {plugin}");
        }
    }
    let twice = "[plugins.cri.registry]\n[plugins.'io.containerd.grpc.v1.cri'.registry]";
    assert!(cri(twice).unwrap_err().contains("config.toml:2:"));
    assert!(cri("version = '3'").unwrap_err().contains("config.toml:1:11: version must be a whole number"));
}

#[test]
fn a_broken_table_is_an_error_with_its_line() {
    let mirror = format!("[{CRI}.mirrors.'quay.io']\nendpoint = ['https://m.example']\n");
    for (text, expected) in [
        (format!("{mirror}[{CRI}]\nconfig_path = '/d'"), "mirrors cannot be set where config_path is"),
        (
            format!("[{CRI}]\nconfig_path = '/d'\n[{CRI}.configs.a.tls]\ninsecure_skip_verify = true"),
            "configs with tls cannot be set where config_path is",
        ),
        (format!("[{CRI}.mirrors.'a/b']"), "config.toml:1:55: \"a/b\" is not a registry"),
        (
            format!("[{CRI}.mirrors.a]\nendpoint = 'x'"),
            "config.toml:2:12: mirrors.\"a\".endpoint must be a list of texts",
        ),
        (format!("[{CRI}.configs.a.tls]\ncert_file = 'x'"), "cert_file and key_file belong together"),
        (format!("[{CRI}.configs.a.auth]\nauth = 'aHVudGVyMg=='"), "auth must be \"user:password\" in base64"),
        (format!("{mirror}[{CRI}.mirrors.'quay.io'.rewrite]\n'(' = 'x'"), "config.toml:4:1: the pattern"),
    ] {
        let error = cri(&text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let http = format!(
        "[{CRI}.mirrors.q]\nendpoint = ['http://m.example']\n[{CRI}.configs.'m.example'.tls]\ninsecure_skip_verify = true"
    );
    let error = one_line(&cri(&http).unwrap().table_entries("q").unwrap_err());
    assert!(error.contains("config.toml:3:") && error.contains("plain http"), "{error}");
    let error = k3s("mirrors:\n  quay.io:\n    endpoint:\n      - 'https://u:hunter2@m.example'\n").unwrap_err();
    assert!(error.contains("registries.yaml:4:9: not the URL of a registry") && !error.contains("hunter2"), "{error}");
    let error = k3s("[]").unwrap_err();
    assert!(error.contains("registries.yaml:1:1: the file must be a table"), "{error}");
    let error = k3s("configs:\n  a:\n    auth:\n      username: 12\n").unwrap_err();
    assert!(error.contains("registries.yaml:4:17: configs.\"a\".auth.username must be a text in quotes"), "{error}");
}

#[test]
fn a_file_that_says_nothing_leaves_every_registry_as_it_is() {
    for text in ["", "mirrors:\n", "# nothing\n", "mirrors: {}\nconfigs: ~\n"] {
        assert_eq!(urls(&k3s(text).unwrap().entries("quay.io").unwrap()), ["https://quay.io/v2"], "{text:?}");
    }
    let registry = cri("version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'x'").unwrap();
    assert_eq!(registry.roots().unwrap()[1], Path::new("/nowhere/etc/docker/certs.d"));
}
