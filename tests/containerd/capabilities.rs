//! What a host may be asked for.

use transship::destination;
use transship::error::one_line;
use transship::source;

use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::tree::{LOGICAL, Tree, layers};

fn image() -> Image {
    Image::with_layers(["one", "two"])
}

fn registry() -> RunningRegistry {
    Registry::new().image("org/app", "1", &image()).serve()
}

/// Hosts with these capabilities, and a server.
fn tree(hosts: &[(&RunningRegistry, &str)], server: &RunningRegistry) -> Tree {
    let hosts = hosts.iter().map(|(host, names)| format!("[host.'{}']\ncapabilities = [{names}]\n", host.url("")));
    Tree::of(&std::iter::once(format!("server = '{}'\n", server.url(""))).chain(hosts).collect::<String>())
}

#[test]
fn a_host_without_resolve_is_not_asked_what_a_tag_names_and_gives_the_content() {
    let (mirror, origin) = (registry(), registry());
    let tree = tree(&[(&mirror, "'pull'")], &origin);
    let source = tree.open(LOGICAL).unwrap();
    assert_eq!(mirror.asked(), [""; 0]);
    assert_eq!(origin.asked().len(), 1);
    let by_digest = format!("registry.example/org/app@{}", image().digest());
    layers(&*tree.open(&by_digest).unwrap());
    assert_eq!(mirror.asked().len(), 3, "by its digest it is asked for everything");
    assert_eq!(origin.asked().len(), 1);
    drop(source);
}

#[test]
fn the_error_of_a_tag_names_the_hosts_that_may_not_resolve_it_too() {
    let (mirror, origin) = (registry(), Registry::new().serve());
    let error = tree(&[(&mirror, "'pull'")], &origin).open(LOGICAL).unwrap_err();
    assert!(error.is_not_found(), "what the origin says counts: {error:?}");
    let text = one_line(&error);
    let named = [mirror.authority(), "capability \"resolve\"".to_owned(), origin.authority()];
    assert!(named.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn a_host_without_pull_is_not_asked_for_content() {
    let (mirror, origin) = (registry(), registry());
    let tree = tree(&[(&mirror, "'resolve', 'push'")], &origin);
    layers(&*tree.open(LOGICAL).unwrap());
    assert_eq!(mirror.asked(), [""; 0]);
    tree.write("registry.example/hosts.toml", "capabilities = ['push']\nserver = 'https://r.example'");
    let refusal = tree.refusal(LOGICAL);
    assert!(refusal.contains("hosts.toml:2:10: ") && refusal.contains("lacks the capability \"pull\""), "{refusal}");
}

#[test]
fn a_tag_that_no_host_may_resolve_is_an_error_without_a_request() {
    let origin = registry();
    let tree = Tree::of(&format!("server = '{}'\ncapabilities = ['pull']", origin.url("")));
    assert!(tree.refusal(LOGICAL).contains("capability \"resolve\""));
    let config = tree.config();
    let tags = source::registry_client(&config, &LOGICAL.parse().unwrap(), &tree.options_of(&config));
    assert!(one_line(&tags.unwrap_err()).contains("capability \"resolve\""));
    assert_eq!(origin.asked(), [""; 0]);
}

#[test]
fn an_image_is_written_to_the_first_host_that_takes_some() {
    let (mirror, taker, origin) = (registry(), registry(), registry());
    let tree = tree(&[(&mirror, "'pull', 'resolve'"), (&taker, "'push'")], &origin);
    let target = tree.config().push_target(&LOGICAL.parse().unwrap()).unwrap().unwrap();
    assert_eq!(target.physical.domain(), taker.authority());
    tree.write("registry.example/hosts.toml", "server = 'https://r.example'\ncapabilities = ['pull', 'resolve']");
    let config = tree.config();
    let image = format!("docker://{LOGICAL}").parse().unwrap();
    let error = destination::open_with(&config, &image, &tree.options_of(&config)).map(drop).unwrap_err();
    assert!(one_line(&error).contains("capability \"push\""), "{}", one_line(&error));
}
