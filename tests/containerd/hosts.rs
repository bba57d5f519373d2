//! Which hosts are asked, in which order, where, and who says so.

use std::fmt::Write as _;

use transship::config::containerd::Registries;
use transship::source;

use crate::support::closed_port::ClosedPort;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::tree::{LOGICAL, Tree, layers};

fn image() -> Image {
    Image::with_layers(["one", "two"])
}

#[test]
fn each_request_goes_below_the_url_s_path_and_says_for_whom_it_is() {
    let registry = Registry::new().image("cache/org/app", "1", &image()).serve();
    let tree = Tree::of(&format!("server = '{}'\noverride_path = true\n", registry.url("/v2/cache")));
    let source = tree.open(LOGICAL).unwrap();
    assert_eq!(layers(&*source).len(), 2);
    assert_eq!(source.logical().to_string(), format!("docker://{LOGICAL}"));
    let config = tree.config();
    let reference = LOGICAL.parse().unwrap();
    let tags = source::registry_client(&config, &reference, &tree.options_of(&config)).unwrap().tags().unwrap();
    assert_eq!(tags.len(), 1);
    let requests = registry.requests();
    assert!(requests.len() >= 4, "{:?}", registry.asked());
    for request in requests {
        assert!(request.path().starts_with("/v2/cache/org/app/"), "{}", request.target);
        assert_eq!(request.query("ns"), ["registry.example"], "{}", request.target);
    }
}

#[test]
fn the_path_of_an_api_that_is_elsewhere_ends_in_v2() {
    let image = image();
    let (manifest, media_type) = (image.manifest(), image.media_type());
    let server = Server::http(move |request| match request.path() {
        "/api/docker/hub/v2/org/app/manifests/1" => Reply::ok(manifest.clone()).header("Content-Type", media_type),
        _ => Reply::new(404),
    });
    let tree = Tree::of(&format!("server = '{}'", server.url("/api//docker/hub/")));
    tree.open(LOGICAL).unwrap();
    assert_eq!(server.asked(), ["GET /api/docker/hub/v2/org/app/manifests/1?ns=registry.example"]);
}

#[test]
fn the_hosts_are_asked_in_the_order_of_the_file_and_the_server_last() {
    let closed = ClosedPort::new();
    let missing = Registry::new().serve();
    let broken = Server::http(|_| Reply::new(500));
    let origin = Registry::new().image("org/app", "1", &image()).serve();
    let unused = Registry::new().image("org/app", "1", &image()).serve();
    let mut file = format!("server = '{}'\n", unused.url(""));
    for host in [format!("http://{}", closed.address()), missing.url(""), broken.url(""), origin.url("")] {
        writeln!(file, "[host.'{host}']").unwrap();
    }
    let tree = Tree::of(&file);
    layers(&*tree.open(LOGICAL).unwrap());
    assert_eq!(missing.asked()[0], "GET /v2/org/app/manifests/1?ns=registry.example");
    assert!(!broken.asked().is_empty());
    assert_eq!(unused.asked(), [""; 0]);
    tree.write("registry.example/hosts.toml", &format!("server = '{}'", unused.url("")));
    tree.open(LOGICAL).unwrap();
    assert_eq!(unused.asked().len(), 1, "the files are read anew for each image");
}

#[test]
fn a_broken_file_is_an_error_and_nobody_is_asked() {
    let registry = Registry::new().image("org/app", "1", &image()).serve();
    let tree = Tree::of(&format!("server = '{}'\n[host.'x'\n", registry.url("")));
    let refusal = tree.refusal(LOGICAL);
    assert!(refusal.contains("registry.example/hosts.toml:2:"), "{refusal}");
    tree.write("registry.example/hosts.toml", &format!("server = '{}'\nca = 'no.pem'", registry.url("")));
    let refusal = tree.refusal(LOGICAL);
    assert!(refusal.contains("registry.example/hosts.toml:1:10: ") && refusal.contains("no.pem"), "{refusal}");
    assert_eq!(registry.asked(), [""; 0]);
}

#[test]
fn credentials_of_a_table_are_for_their_host_alone() {
    // It asks who we are, and would hear it.
    let mirror = Registry::new().requiring_basic("other", "pw").serve();
    let origin = Registry::new().image("org/app", "1", &image()).requiring_basic("me", "s3cret").serve();
    let tree = Tree::new();
    let registry = "plugins.'io.containerd.grpc.v1.cri'.registry";
    let file = tree.write(
        "config.toml",
        &format!(
            "[{registry}.mirrors.'registry.example']\nendpoint = ['{}', '{}']\n\
             [{registry}.configs.'{}'.auth]\nusername = 'me'\npassword = 's3cret'\n",
            mirror.url(""),
            origin.url(""),
            origin.authority()
        ),
    );
    let paths = transship::config::Paths::isolated(tree.path());
    let config = tree.config_of(Registries::load_containerd_config(&file, &paths).unwrap());
    layers(&*tree.open_by(&config, LOGICAL).unwrap());
    assert!(!mirror.requests().is_empty());
    assert!(mirror.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn a_config_path_leads_to_hosts_toml_and_keeps_who_we_are_and_the_headers() {
    let origin = Registry::new().image("org/app", "1", &image()).requiring_basic("me", "s3cret").serve();
    let tree = Tree::new();
    let hosts = format!("server = '{}'\n[header]\nX-Host = 'one'\n", origin.url(""));
    tree.write("certs.d/registry.example/hosts.toml", &hosts);
    let registry = "plugins.'io.containerd.cri.v1.images'.registry";
    let file = tree.write(
        "config.toml",
        &format!(
            "version = 3\n[{registry}]\nconfig_path = '/nowhere:{}'\n\
             [{registry}.configs.'{}'.auth]\nusername = 'me'\npassword = 's3cret'\n\
             [{registry}.headers]\nX-All = ['all']\n",
            tree.path().join("certs.d").display(),
            origin.authority()
        ),
    );
    let paths = transship::config::Paths::isolated(tree.path());
    let config = tree.config_of(Registries::load_containerd_config(&file, &paths).unwrap());
    assert_eq!(layers(&*tree.open_by(&config, LOGICAL).unwrap()).len(), 2);
    for request in origin.requests() {
        assert_eq!((request.header("x-all"), request.header("x-host")), (Some("all"), Some("one")), "{request:?}");
    }
}

#[test]
fn a_host_may_have_a_name_that_no_reference_begins_with() {
    let tree = Tree::of("[host.'http://mirror:5000']\n[host.'https://[::1]:5001']\n[host.'https://plain']\n");
    let sources = tree.config().pull_sources(&LOGICAL.parse().unwrap()).unwrap();
    let physical: Vec<_> = sources.iter().map(|source| source.physical.to_string()).collect();
    assert_eq!(physical, ["mirror:5000/org/app:1", "[::1]:5001/org/app:1", "plain/org/app:1", LOGICAL]);
    let namespaces: Vec<_> = sources.iter().map(|source| source.host.as_ref().unwrap().namespace.as_deref()).collect();
    assert_eq!(namespaces, [Some("registry.example"), Some("registry.example"), Some("registry.example"), None]);
}
