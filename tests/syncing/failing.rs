//! Images that cannot be copied, and what becomes of the others.

use std::fs;
use std::process::Command;

use transship::config::PolicyJson;
use transship::error::one_line;
use transship::policy::Policy;
use transship::sync::{Error, Options, Source};

use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::uploads::Uploads;
use crate::world::{World, image, registry, repository, tagged};

fn keep_going<'a>() -> Options<'a> {
    Options { keep_going: true, ..Options::default() }
}

/// Three tags, and no layer of the second.
fn with_a_hole() -> Registry {
    tagged(Registry::new(), "org/app", &["1", "2", "3"]).without_blob(&image("2").layer_digest(0))
}

#[test]
fn the_first_failure_is_the_end_unless_it_is_to_go_on() {
    let source = with_a_hole().serve();
    let from = repository(&source.reference("org/app"));
    let world = World::new();
    let (told, outcome) = world.sync(&from, &world.dir("d"), &Options::default());
    assert_eq!(told, "1/3 app:1 copied\n2/3 app:2 failed\n");
    let error = outcome.unwrap_err();
    assert!(matches!(&error, Error::Image { from, .. } if from.to_string().ends_with("app:2")), "{error:?}");
    assert!(!world.path("d/app:3").exists());

    let (told, outcome) = world.sync(&from, &world.dir("d"), &keep_going());
    assert_eq!(told, "1/3 app:1 unchanged\n2/3 app:2 failed\n3/3 app:3 copied\n");
    let error = outcome.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("1 of 3 failed\n  docker://"), "{text}");
    assert!(text.contains("app:2 to dir:") && text.contains("blob unknown to registry"), "{text}");
    // Of several, each is asked by itself; a blob that is missing does not come back by waiting.
    assert!(!error.is_not_found() && !error.is_unauthorized() && !error.is_transient());
    assert!(matches!(error, Error::Several { failures, count: 3 } if failures.len() == 1));
}

#[test]
fn what_an_interruption_left_is_not_taken_for_the_image() {
    let broken = with_a_hole().serve();
    let world = World::new();
    world.sync(&repository(&broken.reference("org/app")), &world.dir("d"), &keep_going()).1.unwrap_err();
    assert!(!world.path("d/app:2/manifest.json").exists());
    let whole = tagged(Registry::new(), "org/app", &["1", "2", "3"]).serve();
    let told = world.synced(&repository(&whole.reference("org/app")), &world.dir("d"));
    assert_eq!(told, "1/3 app:1 unchanged\n2/3 app:2 copied\n3/3 app:3 unchanged\n");
}

#[test]
fn a_tag_that_is_gone_since_it_was_listed_fails_alone_and_leaves_nothing() {
    let gone = Reply::new(404).body(r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "gone"}]}"#);
    let source = tagged(Registry::new(), "org/app", &["1", "2"]);
    let source = source.fault(|path| path.ends_with("/manifests/1"), .., gone).serve();
    let world = World::new();
    // A directory that is there, and none.
    world.write_image("old/app:1", &image("1"));
    for name in ["old", "new"] {
        let (told, outcome) = world.sync(&repository(&source.reference("org/app")), &world.dir(name), &keep_going());
        assert_eq!(told, "1/2 app:1 failed\n2/2 app:2 copied\n");
        assert!(outcome.unwrap_err().to_string().contains("gone"));
    }
    assert!(world.path("old/app:1/manifest.json").exists());
    assert!(!world.path("new/app:1").exists());
}

#[test]
fn a_repository_that_cannot_be_listed_fails_alone() {
    let registry = tagged(Registry::new(), "app", &["1"]).serve();
    let list = World::list(&format!("{}: {{images: {{missing: [], app: []}}}}", registry.authority()));
    let world = World::new();
    let (told, outcome) = world.sync(&list, &world.dir("d"), &keep_going());
    assert_eq!(told, "failed\n1/1 app:1 copied\n");
    let text = outcome.unwrap_err().to_string();
    assert!(text.starts_with("1 of 2 failed") && text.contains("/missing: "), "{text}");
    let (told, outcome) = world.sync(&list, &world.dir("e"), &Options::default());
    assert_eq!(told, "failed\n");
    assert!(matches!(outcome, Err(error @ Error::Tags { .. }) if error.is_not_found() && !error.is_transient()));
    assert!(!world.path("e").exists());
}

#[test]
fn a_registry_that_is_away_is_no_registry_without_images() {
    let source = tagged(Registry::new(), "org/app", &["1"]).serve();
    let away = Reply::new(503);
    let to = Registry::new().fault(|_| true, .., away.clone()).serve();
    let world = World::new();
    let (told, outcome) =
        world.sync(&repository(&source.reference("org/app:1")), &registry(&to.authority()), &Options::default());
    assert_eq!((told.as_str(), source.asked().len()), ("1/1 app:1 failed\n", 0));
    let error = outcome.unwrap_err();
    assert!(one_line(&error).contains("503"), "{}", one_line(&error));
    assert!(error.is_transient() && !error.is_not_found() && !error.is_unauthorized());
}

#[test]
fn two_images_in_one_place_are_refused_before_anything_is_copied() {
    let source = tagged(Registry::new(), "one/app", &["1"]);
    let source = tagged(source, "two/app", &["1"]).serve();
    let list = World::list(&format!("{}: {{images: {{one/app: [1], two/app: [1]}}}}", source.authority()));
    let world = World::new();
    let (_, outcome) = world.sync(&list, &world.dir("d"), &keep_going());
    assert!(matches!(outcome, Err(Error::SamePlace { .. })), "{outcome:?}");
    assert!(!world.path("d").exists() && source.asked().is_empty());
    let mut scoped = Options::default();
    scoped.naming.scoped = true;
    assert_eq!(world.sync(&list, &world.dir("d"), &scoped).1.unwrap().copied, 2);
}

#[test]
fn a_source_without_images_is_an_error() {
    let world = World::new();
    fs::create_dir(world.path("empty")).unwrap();
    let registry = Registry::new().image("app", "1", &image("1")).serve();
    for source in [
        Source::Dir(world.path("empty")),
        World::list(""),
        World::list(&format!("{}: {{images-by-tag-regex: {{app: x}}}}", registry.authority())),
    ] {
        let (_, outcome) = world.sync(&source, &world.dir("d"), &Options::default());
        assert!(matches!(outcome, Err(Error::NoImages)), "{outcome:?}");
    }
    let (_, outcome) = world.sync(&Source::Dir(world.path("none")), &world.dir("d"), &Options::default());
    assert!(matches!(outcome, Err(Error::Directory { .. })), "{outcome:?}");
}

#[test]
fn the_policy_judges_each_image_and_refuses_before_anybody_is_asked() {
    let source = tagged(Registry::new(), "org/good", &["1"]);
    let source = tagged(source, "org/bad", &["1"]).serve();
    let host = source.authority();
    let policy = serde_json::json!({
        "default": [{"type": "insecureAcceptAnything"}],
        "transports": {"docker": {format!("{host}/org/bad"): [{"type": "reject"}]}},
    });
    let policy = PolicyJson::parse(policy.to_string().as_bytes(), "policy.json".as_ref()).unwrap();
    let mut world = World::new();
    world.policy = Policy::new(policy);
    let list = World::list(&format!("{host}: {{images: {{org/bad: [1], org/good: [1]}}}}"));
    let to = Uploads::new().serve();
    let (told, outcome) = world.sync(&list, &registry(&to.authority()), &keep_going());
    assert_eq!(told, "1/2 bad:1 failed\n2/2 good:1 copied\n");
    assert!(outcome.unwrap_err().to_string().contains("rejected by policy"));
    assert!(source.asked().iter().chain(&to.asked()).all(|asked| !asked.contains("bad")), "{:?}", source.asked());
}

/// Deeper than a path can be long: as unreadable to root as to anybody.
#[test]
fn a_directory_that_cannot_be_looked_into_keeps_no_other_from_being_synchronised() {
    let world = World::new();
    world.write_image("d/app", &image("1"));
    let deep = "name=$(printf '%0200d' 0); for level in $(seq 25); do mkdir $name && cd -P $name || exit 1; done";
    assert!(Command::new("bash").args(["-c", deep]).current_dir(world.path("d")).status().unwrap().success());
    let from = Source::Dir(world.path("d"));
    let to = Uploads::new().serve();
    let (told, outcome) = world.sync(&from, &registry(&to.authority()), &Options::default());
    assert_eq!(told, "failed\n");
    assert!(matches!(outcome, Err(Error::Directory { .. })));
    let (told, outcome) = world.sync(&from, &registry(&to.authority()), &keep_going());
    assert_eq!(told, "failed\n1/1 app:latest copied\n");
    assert!(matches!(outcome, Err(Error::Several { failures, count: 2 }) if failures.len() == 1));
}
