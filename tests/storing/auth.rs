//! Who is told the credentials of a request.

use transship::config::credentials::Credentials;
use transship::registry::Identity;
use transship::store::{AuthConfig, PullRequest};

use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::tables::containerd_table;
use crate::world::{World, request};

fn auth_config(case: &serde_json::Value) -> AuthConfig {
    let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
    AuthConfig {
        username: text("username"),
        password: text("password").into(),
        auth: text("auth").into(),
        identity_token: text("identity_token").into(),
        server_address: text("server_address"),
    }
}

#[test]
fn credentials_are_what_cri_makes_of_them() {
    for case in containerd_table("cri_parse_auth") {
        let found = auth_config(&case["auth"]).for_host(case["host"].as_str().unwrap());
        if !case["error"].is_null() {
            let error = found.map(drop).unwrap_err();
            assert!(!error.to_string().contains("username"), "{case}: a secret is in {error}");
            continue;
        }
        let found = found.unwrap_or_else(|error| panic!("{case}: {error}"));
        let (username, secret) = found.map_or_else(Default::default, |found| {
            let secret = found.identity_token().unwrap_or(found.password()).expose().clone();
            (found.username().to_owned(), secret)
        });
        assert_eq!(
            (username.as_str(), secret.as_str()),
            (case["username"].as_str().unwrap(), case["secret"].as_str().unwrap()),
            "{case}"
        );
    }
}

fn alice(server_address: &str) -> AuthConfig {
    AuthConfig {
        username: "alice".to_owned(),
        password: "sesame".to_owned().into(),
        server_address: server_address.to_owned(),
        ..AuthConfig::default()
    }
}

#[test]
fn the_registry_of_the_image_is_told_who_pulls_and_somebody_elses_is_not() {
    let registry =
        Registry::new().image("org/app", "1", &Image::with_layers(["one"])).requiring_basic("alice", "sesame").serve();
    let world = World::new();
    let image = registry.reference("org/app:1");
    for (server, is_told) in [
        (String::new(), true),
        (registry.url("/v1/"), true),
        (registry.url("").replace("http", "https"), true),
        ("https://registry.example".to_owned(), false),
        (registry.authority(), false),
    ] {
        let outcome = world.pull(&PullRequest { auth: Some(alice(&server)), ..request(&image) });
        assert_eq!(outcome.is_ok(), is_told, "{server}");
    }
}

#[test]
fn credentials_for_a_mirror_go_there_and_nowhere_else() {
    let mirror =
        Registry::new().image("org/app", "1", &Image::with_layers(["one"])).requiring_basic("alice", "sesame").serve();
    let world = World::new();
    let conf = format!("[[registry]]\nprefix = \"registry.example\"\nlocation = \"{}\"\n", mirror.authority());
    std::fs::write(world.path("registries.conf"), conf).unwrap();
    let pull =
        |server: &str| world.pull(&PullRequest { auth: Some(alice(server)), ..request("registry.example/org/app:1") });
    assert!(pull("").is_err(), "an image's own registry is not its mirror");
    assert!(pull("https://registry.example/v2/").is_err());
    let pulled = pull(&mirror.url("/v1/")).unwrap();
    // It is called what was asked for, whatever it came from.
    assert_eq!(pulled.names.repo_tag.unwrap().to_string(), "registry.example/org/app:1");
}

#[test]
fn the_request_counts_before_what_the_caller_has_for_all() {
    let registry =
        Registry::new().image("org/app", "1", &Image::with_layers(["one"])).requiring_basic("alice", "sesame").serve();
    let mut world = World::new();
    let bob = Identity { credentials: Some(Credentials::basic("bob", "wrong")), token: None };
    world.options.identity = Some(bob);
    let image = request(&registry.reference("org/app:1"));
    assert!(world.pull(&image).is_err());
    world.pull(&PullRequest { auth: Some(alice("")), ..image }).unwrap();
}
