//! One hosts.toml.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::super::host_entry::{Certificates, HostEntry};
use super::super::hosts_toml;
use super::expect;
use super::support::tables::{containerd_table, text};
use crate::error::one_line;

const DIFFERING: &[(&str, &str)] = &[
    ("upstream TestParseHostFile", "it has a pair with an empty key, as below"),
    ("client pair with empty key becomes the base dir", "an empty key means the certificate's own file"),
    ("server with trailing slash", "a path has one slash before v2"),
    ("dotted key form (NOT a table expression)", "dotted keys and inline tables are tables"),
    ("host with userinfo and query", "what cannot be used is an error, not left out"),
];

#[test]
fn a_file_is_read_as_containerd_reads_it() {
    for case in containerd_table("hosts_toml") {
        let file = Path::new(case["base_dir"].as_str().unwrap()).join("hosts.toml");
        let parsed = hosts_toml::parse(case["toml"].as_str().unwrap().as_bytes(), &file);
        let hosts = parsed.as_ref().map(|entries| entries.iter().map(host).collect::<Vec<_>>());
        let same = match &hosts {
            Ok(hosts) => normalised(&case["hosts"]) == json!(hosts),
            Err(_) => !case["error"].is_null(),
        };
        expect(&text(&case["name"]), same, DIFFERING, (&case, &hosts));
        if let Err(error) = parsed {
            assert!(error.to_string().contains("/base/hosts.toml:"), "{error}");
        }
    }
}

/// In the words of the table. The path of no path is a slash.
fn host(entry: &HostEntry) -> Value {
    let Certificates::Files { authorities, clients } = &entry.certificates else { panic!("{entry:?}") };
    let clients: Vec<_> =
        clients.iter().map(|pair| json!([pair.certificate, pair.key.clone().unwrap_or_default()])).collect();
    let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for header in &entry.headers {
        headers.entry(&header.name).or_default().push(header.value.expose());
    }
    let url = entry.base.as_ref().map(|base| &base.url);
    json!({
        "Scheme": url.map_or("", |url| if url.is_https() { "https" } else { "http" }),
        "Host": url.map(crate::SafeUrl::authority).unwrap_or_default(),
        "Path": url.map_or("", |url| url.path()).trim_end_matches('/'),
        "Caps": entry.capabilities.to_string().split(", ").collect::<Vec<_>>(),
        "CA": authorities,
        "Client": clients,
        "SkipVerify": entry.skip_verify,
        "DialTimeoutMs": entry.dial_timeout.map(|timeout| timeout.as_millis()),
        "Header": headers,
    })
}

fn normalised(hosts: &Value) -> Value {
    let mut hosts = hosts.clone();
    for host in hosts.as_array_mut().into_iter().flatten() {
        for (key, nothing) in [("CA", json!([])), ("Client", json!([])), ("Header", json!({}))] {
            if host[key].is_null() {
                host[key] = nothing;
            }
        }
        if host["Path"] == "/" {
            host["Path"] = json!("");
        }
    }
    hosts
}

fn parse(text: &str) -> Result<Vec<HostEntry>, String> {
    hosts_toml::parse(text.as_bytes(), Path::new("/d/hosts.toml")).map_err(|error| one_line(&error))
}

#[test]
fn an_error_names_the_line_and_never_the_secret() {
    for (text, expected) in [
        ("[host.\"https://u:hunter2@a.example\"]", "/d/hosts.toml:1:7: not the URL of a registry"),
        ("\nserver = 'https://a.example/?x=hunter2'", "/d/hosts.toml:2:10: the URL of a registry ends with its path"),
        ("server = 'ftp://a.example'", "URL scheme \"ftp\" is not http or https"),
        ("server = 5", "/d/hosts.toml:1:10: server must be a text in quotes"),
        ("[host.'a.example'.header]\n'bad name' = 'hunter2'", "/d/hosts.toml:2:1: \"bad name\" with this value"),
        (
            "[host.'a.example'.header]\nAuthorization = \"hunter2\\n\"",
            "\"Authorization\" with this value is no HTTP header",
        ),
        ("dial_timeout = '3 seconds'", "\"3 seconds\" is not a time"),
        (
            "[host.'a.example'.rewrite]\n'(' = 'x'",
            "/d/hosts.toml:2:1: the pattern \"(\" cannot be read: unclosed group",
        ),
        ("[[host]]\n", "host must be a table"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_the_file_says_of_its_server_holds_where_it_names_none() {
    let [server] = parse("capabilities = ['pull']\nskip_verify = false").unwrap().try_into().unwrap();
    assert_eq!(server.capabilities.to_string(), "pull");
    let (_, host) = server.host("localhost:5000", super::super::Defaults::default()).unwrap();
    assert!(!host.skip_verify, "this machine is verified where that is said");
}

#[test]
fn times_are_those_of_go() {
    for (text, milliseconds) in
        [("'3s'", Some(3000)), ("'1h'", Some(3_600_000)), ("'1.5s'", Some(1500)), ("'0'", None), ("'0s'", None)]
    {
        let entries = parse(&format!("dial_timeout = {text}")).unwrap();
        assert_eq!(entries[0].dial_timeout.map(|time| time.as_millis()), milliseconds, "{text}");
    }
    for text in ["''", "'-3s'", "'PT3S'", "'3'", "'s'"] {
        assert!(parse(&format!("dial_timeout = {text}")).is_err(), "{text}");
    }
}
