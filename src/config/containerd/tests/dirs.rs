//! Which directory counts, and what is in it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::base::{Base, is_localhost};
use super::super::host_entry::HostEntry;
use super::super::{Defaults, HostsDirs, Scheme, certificates, hosts_dir};
use super::support::tables::{containerd_table, text};
use super::{expect, texts, write};

#[test]
fn a_registry_is_looked_for_by_name_and_port_and_then_the_default() {
    for case in containerd_table("host_dir_names") {
        let found = hosts_dir::search_order("/hosts".as_ref(), &text(&case["host"]));
        let expected: Vec<PathBuf> = texts(&case["search_order_unix"]).into_iter().map(PathBuf::from).collect();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn the_first_directory_that_exists_counts_alone_be_it_empty() {
    let roots = tempfile::tempdir().unwrap();
    let root = |name: &str| roots.path().join(name);
    write(&root("a/_default/hosts.toml"), "server = 'https://a-default.example'");
    write(&root("b/quay.io/hosts.toml"), "server = 'https://b-quay.example'");
    write(&root("b/_default/hosts.toml"), "server = 'https://b-default.example'");
    std::fs::create_dir_all(root("c/quay.io_5000_")).unwrap();
    let server = |names: &[&str], domain: &str| {
        let dirs = HostsDirs::of_roots(names.iter().map(|name| root(name)).collect());
        let entries = dirs.entries(domain).unwrap();
        entries[0].base(domain, Defaults::default()).unwrap().0.url.to_string()
    };
    assert_eq!(server(&["b", "a"], "quay.io"), "https://b-quay.example/v2");
    assert_eq!(server(&["b"], "quay.io:5000"), "https://b-default.example/v2");
    assert_eq!(server(&["a", "b"], "quay.io"), "https://a-default.example/v2", "each root is searched fully");
    assert_eq!(server(&["c", "b"], "quay.io"), "https://b-quay.example/v2");
    assert_eq!(server(&["c", "b"], "quay.io:5000"), "https://quay.io:5000/v2");
    assert_eq!(server(&["nowhere"], "docker.io"), "https://registry-1.docker.io/v2");
    let both = HostsDirs::new(format!("{}:{}", root("a").display(), root("b").display()));
    assert_eq!(both.roots, [root("a"), root("b")]);
}

#[test]
fn a_directory_without_hosts_toml_is_one_of_dockers() {
    for case in containerd_table("docker_cert_dir") {
        let directory = tempfile::tempdir().unwrap();
        for file in texts(&case["files"]) {
            write(&directory.path().join(file), "");
        }
        std::fs::create_dir(directory.path().join("below.crt")).unwrap();
        let (authorities, clients) = certificates::list(directory.path()).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let pair = |pair: &super::super::host_entry::ClientFiles| {
            json!([name(&pair.certificate), pair.key.as_ref().map(name).unwrap_or_default()])
        };
        assert_eq!(case["ca"], json!(authorities.iter().map(name).collect::<Vec<_>>()), "{case}");
        assert_eq!(case["client"], json!(clients.iter().map(pair).collect::<Vec<_>>()), "{case}");
    }
}

const BARE: (&str, &str) =
    ("::1", "an address without brackets makes no URL: it gets them, where containerd asks at a URL that is none");

/// Where https would be tried for http.
const HOSTS_OF_EITHER_THAT_DIFFER: &[(&str, &str)] = &[
    BARE,
    ("localhost:443", "what is asked over https at its own port is not asked over http, which would be at another"),
];

#[test]
fn the_hosts_of_a_registry_are_those_of_its_directory_and_else_the_registry_itself() {
    for case in containerd_table("configure_hosts") {
        let root = tempfile::tempdir().unwrap();
        for (file, content) in case["files"].as_object().into_iter().flatten() {
            write(&root.path().join(file), content.as_str().unwrap());
        }
        let defaults = Defaults {
            scheme: match case["default_scheme"].as_str().unwrap() {
                "" => None,
                "http" => Some(Scheme::Http),
                "https" => Some(Scheme::Https),
                other => panic!("{other}"),
            },
            tls: case["default_tls_configured"] == true,
        };
        let domain = text(&case["host"]);
        let dirs = HostsDirs { defaults, ..HostsDirs::of_roots(vec![root.path().to_owned()]) };
        let entries = dirs.entries(&domain).unwrap();
        let hosts: Vec<_> = entries.iter().map(|entry| host(entry, &domain, defaults)).collect();
        let mut expected = case["hosts"].clone();
        for host in expected.as_array_mut().unwrap() {
            host["host"] = without_default_port(&host["host"], &host["scheme"]);
        }
        let is_either = defaults.tls && defaults.scheme == Some(Scheme::Http);
        let differing = if is_either { HOSTS_OF_EITHER_THAT_DIFFER } else { &[BARE][..] };
        expect(&domain, expected == json!(hosts), differing, (&case, hosts));
    }
}

/// In the words of the table.
fn host(entry: &HostEntry, domain: &str, defaults: Defaults) -> Value {
    let (_, host) = entry.host(domain, defaults).unwrap();
    json!({
        "capabilities": host.capabilities.to_string().split(", ").collect::<Vec<_>>(),
        "host": host.base.authority(),
        "https_then_http_fallback": host.or_http,
        "ns_query_added": host.namespace.is_some(),
        "path": host.base.path(),
        "scheme": if host.base.is_https() { "https" } else { "http" },
    })
}

/// A URL leaves its scheme's own port out.
fn without_default_port(host: &Value, scheme: &Value) -> Value {
    let port = if scheme == "https" { ":443" } else { ":80" };
    let host = text(host);
    json!(host.strip_suffix(port).unwrap_or(&host))
}

const LOCAL_THAT_DIFFER: &[(&str, &str)] =
    &[("[::1]", "the brackets belong to the URL, and the address in them is this machine's")];

#[test]
fn this_machine_is_its_name_and_its_addresses() {
    for case in containerd_table("localhost") {
        let host = text(&case["host"]);
        let is_local = is_localhost(&host);
        expect(&host, case["is_localhost"] == is_local, LOCAL_THAT_DIFFER, is_local);
        let scheme = if is_local { "http" } else { "https" };
        expect(&host, case["cri_default_scheme"] == scheme, LOCAL_THAT_DIFFER, scheme);
        if let Ok(base) = Base::of_cri(&host) {
            assert_eq!(base.url.is_https(), !is_local, "{host}");
        }
    }
}

const NAMESPACES_THAT_DIFFER: &[(&str, &str)] = &[
    ("r.io:443 for r.io", "the port of https is the registry's own, written or not"),
    ("r.io for R.io", "the case of a host's name does not matter"),
];

#[test]
fn a_host_that_stands_for_another_is_told_for_which() {
    for case in containerd_table("ns_query") {
        let (endpoint, reference) = (text(&case["endpoint_host"]), text(&case["reference_host"]));
        let base = Base::of_hosts_toml(&endpoint, false).unwrap();
        let name = format!("{endpoint} for {reference}");
        let is_added = !base.is_of(&reference);
        expect(&name, case["ns_added"] == is_added, NAMESPACES_THAT_DIFFER, is_added);
        let url = base.url.join("/v2/foo/manifests/latest").unwrap();
        let url = if case["ns_added"] == true { url.with_query("ns", &reference) } else { url };
        assert!(url.expose().ends_with(&text(&case["path"])), "{case}: {}", url.expose());
    }
}
