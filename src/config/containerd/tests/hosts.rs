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
        (
            "[host.'a.example'.header]\nX-Key = 'a'\nHost = 'hunter2'",
            "/d/hosts.toml:3:1: \"Host\" is not for a file to set",
        ),
        ("[header]\nContent-length = 'hunter2'", "/d/hosts.toml:2:1: \"Content-length\" is not for a file to set"),
        ("[header]\nTransfer-Encoding = 'hunter2'", "\"Transfer-Encoding\" is not for a file to set"),
        ("[header]\nCONNECTION = 'hunter2'", "\"CONNECTION\" is not for a file to set"),
        ("[header]\nTrailer = 'hunter2'", "\"Trailer\" is not for a file to set"),
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
    for (text, milliseconds) in [
        ("'3s'", Some(3000)),
        ("'1h'", Some(3_600_000)),
        ("'1.5s'", Some(1500)),
        ("'1m30s'", Some(90_000)),
        ("'0'", None),
        ("'0s'", None),
        ("'5000\u{b5}s'", Some(5)),
        ("'5000\u{3bc}s'", Some(5)),
    ] {
        let entries = parse(&format!("dial_timeout = {text}")).unwrap();
        assert_eq!(entries[0].dial_timeout.map(|time| time.as_millis()), milliseconds, "{text}");
    }
    for text in ["''", "'-3s'", "'PT3S'", "'3'", "'s'", "'.5s'", "'1.s'", "'1s1h'", "'+3s'"] {
        assert!(parse(&format!("dial_timeout = {text}")).is_err(), "{text}");
    }
    for text in ["'1h1ns'", "'9223372036854775807s'", "'99999999999999999999h'"] {
        let error = parse(&format!("dial_timeout = {text}")).unwrap_err();
        assert!(error.contains("/d/hosts.toml:1:16: ") && error.contains("is not a time up to an hour"), "{error}");
    }
}

#[test]
fn hosts_are_in_the_order_in_which_the_file_first_speaks_of_them() {
    for text in [
        "[host.'b'.header]\nX = 'y'\n[host.'a']\n[host.'b']\n",
        "[host.'b'.header]\nX = 'y'\n[host.'a'.header]\nX = 'y'\n[host.'a']\n[host.'b']\n",
        "host.'b'.header.X = 'y'\nhost.'a'.capabilities = ['pull']\nhost.'b'.capabilities = ['pull']\n",
        "[host]\n'b' = {}\n'a' = {}\n",
    ] {
        let entries = parse(text).unwrap();
        let hosts: Vec<_> = entries.iter().filter_map(|entry| Some(entry.base.as_ref()?.url.host())).collect();
        assert_eq!(hosts, ["b", "a"], "{text}");
    }
}

#[test]
fn http_at_the_port_of_https_means_https_where_there_are_settings_of_tls() {
    for (url, base, or_http) in [
        ("http://m.example:5000", "https://m.example:5000/v2", true),
        ("http://m.example", "https://m.example/v2", true),
        ("http://m.example:443", "https://m.example/v2", false),
        ("http://m.example:80", "http://m.example/v2", false),
        ("https://m.example", "https://m.example/v2", false),
    ] {
        let [server] = parse(&format!("server = '{url}'\nskip_verify = true")).unwrap().try_into().unwrap();
        let (_, host) = server.host("quay.io", super::super::Defaults::default()).unwrap();
        assert_eq!((host.base.to_string().as_str(), host.or_http), (base, or_http), "{url}");
    }
}
