//! Who a host is, and who we are to it, as its entry says.

use std::fs;

use transship::config::containerd::Registries;

use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::server_tls::ServerTls;
use crate::tree::{LOGICAL, Tree, layers};

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &Image::with_layers(["one"]))
}

/// A tree with the certificates beside hosts.toml, which says `settings` of the registry.
fn tree(url: &str, tls: &ServerTls, settings: &str) -> Tree {
    let tree = Tree::of(&format!("server = '{url}'\n{settings}"));
    let directory = tree.path().join("registry.example");
    tls.write_certs_d(&directory);
    if let Some(client) = tls.client() {
        fs::write(directory.join("both.pem"), format!("{}{}", client.certificate, client.key)).unwrap();
    }
    tree
}

#[test]
fn an_authority_and_a_client_certificate_are_those_of_the_entry() {
    let tls = ServerTls::requiring_client_certificate();
    let registry = registry().serve_tls(&tls);
    for client in ["[['client.cert', 'client.key']]", "'both.pem'", "['both.pem']", "[['both.pem', '']]"] {
        let tree = tree(&registry.url(""), &tls, &format!("ca = 'ca.crt'\nclient = {client}\n"));
        layers(&*tree.open(LOGICAL).unwrap());
    }
    let before = registry.requests().len();
    for settings in ["", "ca = 'ca.crt'", "client = 'both.pem'"] {
        let refusal = tree(&registry.url(""), &tls, settings).refusal(LOGICAL);
        assert!(refusal.contains("certificate"), "{settings}: {refusal}");
    }
    assert_eq!(registry.requests().len(), before);
}

#[test]
fn without_a_hosts_toml_the_certificates_of_the_directory_are_the_registry_s() {
    let tls = ServerTls::requiring_client_certificate();
    let registry = registry().serve_tls(&tls);
    let domain = registry.authority();
    let tree = Tree::new();
    tls.write_certs_d(&tree.path().join(domain.replace(':', "_") + "_"));
    layers(&*tree.open(&registry.reference("org/app:1")).unwrap());
    assert!(registry.requests().iter().all(|request| request.query("ns").is_empty()), "it is the registry itself");
}

#[test]
fn any_certificate_is_good_where_the_entry_says_so() {
    let tls = ServerTls::for_another_host();
    let registry = registry().serve_tls(&tls);
    layers(&*tree(&registry.url(""), &tls, "skip_verify = true").open(LOGICAL).unwrap());
    assert!(tree(&registry.url(""), &tls, "skip_verify = false").refusal(LOGICAL).contains("certificate"));
    let mut asked_to_verify = tree(&registry.url(""), &tls, "skip_verify = true");
    asked_to_verify.options.tls_verify = Some(true);
    assert!(asked_to_verify.refusal(LOGICAL).contains("certificate"), "the flag has the last word");
}

#[test]
fn settings_of_all_hosts_in_k3s_file_are_for_those_without_their_own() {
    let tls = ServerTls::for_another_host();
    let registry = registry().serve_tls(&tls);
    let tree = Tree::new();
    let open = |own: &str| {
        let file = tree.write(
            "registries.yaml",
            &format!(
                "mirrors:\n  registry.example:\n    endpoint:\n      - \"{}\"\nconfigs:\n{own}  \"*\":\n    tls:\n      \
                 insecure_skip_verify: true\n",
                registry.url("")
            ),
        );
        let config = tree.config_of(Registries::load_k3s(&file).unwrap());
        tree.open_by(&config, LOGICAL)
    };
    layers(&*open("").unwrap());
    layers(&*open("  \"another.example\":\n").unwrap());
    let error = open(&format!("  \"{}\":\n", registry.authority())).unwrap_err();
    assert!(transship::error::one_line(&error).contains("certificate"), "{error:?}");
}

#[test]
fn no_settings_in_a_config_toml_are_for_all_hosts() {
    let tls = ServerTls::for_another_host();
    let registry = registry().serve_tls(&tls);
    let tree = Tree::new();
    let table = "plugins.'io.containerd.grpc.v1.cri'.registry";
    let file = tree.write(
        "config.toml",
        &format!(
            "[{table}.mirrors.'registry.example']\nendpoint = ['{}']\n\
             [{table}.configs.'*'.tls]\ninsecure_skip_verify = true\n",
            registry.url("")
        ),
    );
    let paths = transship::config::Paths::isolated(tree.path());
    let config = tree.config_of(Registries::load_containerd_config(&file, &paths).unwrap());
    let error = tree.open_by(&config, LOGICAL).unwrap_err();
    assert!(transship::error::one_line(&error).contains("certificate"), "{error:?}");
}

#[test]
fn who_shows_another_s_certificate_is_not_asked_in_the_clear() {
    let (tls, other) = (ServerTls::signed_by_ca(), ServerTls::signed_by_ca());
    let registry = registry().requiring_basic("me", "s3cret").serve_tls(&tls);
    let url = format!("http://{}", registry.authority());
    let refusal = tree(&url, &other, "ca = 'ca.crt'").refusal(LOGICAL);
    assert!(refusal.contains("certificate") && !refusal.contains("http://"), "{refusal}");
    let demanding = ServerTls::requiring_client_certificate();
    let registry = self::registry().serve_tls(&demanding);
    let url = format!("http://{}", registry.authority());
    let refusal = tree(&url, &demanding, "ca = 'ca.crt'").refusal(LOGICAL);
    assert!(refusal.contains("wants a client certificate") && !refusal.contains("http://"), "{refusal}");
}

#[test]
fn http_with_settings_of_tls_means_https_where_it_is_answered() {
    let tls = ServerTls::signed_by_ca();
    let (secure, plain) = (registry().serve_tls(&tls), registry().serve());
    for registry in [&secure, &plain] {
        let url = format!("http://{}", registry.authority());
        layers(&*tree(&url, &tls, "ca = 'ca.crt'").open(LOGICAL).unwrap());
        assert!(registry.asked().iter().any(|asked| asked.contains("/manifests/1")));
    }
    // A registry on this machine of which nothing is said is found out the same way.
    for registry in [&secure, &plain] {
        layers(&*Tree::new().open(&registry.reference("org/app:1")).unwrap());
    }
}
