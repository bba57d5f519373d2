//! The list of tags.

use serde_json::json;
use transship::registry::Error;

use crate::app;
use crate::pull::Pull;
use crate::stage::Stage;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::server::Server;

const REGISTRY: &str = "https://registry.example";

fn tags(pull: &Pull) -> Result<Vec<String>, Error> {
    pull.tags("registry.example/org/app")
}

/// The text of the problem with the list.
fn problem(pull: &Pull) -> String {
    match tags(pull) {
        Err(Error::Tags { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

/// A registry that has these pages, each with what its `Link` says.
fn paged(pages: &'static [(&'static [&'static str], &'static str)]) -> Server {
    Server::http(|request| {
        let page = request.query("last").first().map_or(0, |last| last.parse::<usize>().unwrap());
        let (tags, link) = pages[page];
        let reply = Reply::json(&json!({"name": "org/app", "tags": tags}));
        if link.is_empty() { reply } else { reply.header("Link", link) }
    })
}

#[test]
fn pages_are_followed_to_the_last() {
    let registry = ["1", "2", "3", "4", "5"].iter().fold(Registry::new(), |r, tag| r.image("org/app", tag, &app()));
    let registry = registry.page_size(2).requiring_token("registry.example").serve();
    let stage = Stage::new("tags-pages")
        .host("https://auth.example/token", &registry.url("/token"))
        .host(REGISTRY, &registry.url(""));
    stage.play(|pull| assert_eq!(tags(pull).unwrap(), ["1", "2", "3", "4", "5"]));
}

#[test]
fn a_list_that_does_not_go_on_is_an_error() {
    for (name, registry) in [
        ("tags-loop", paged(&[(&["a"], "</v2/org/app/tags/list>; rel=\"next\"")])),
        (
            "tags-loop-of-two",
            paged(&[(&["a"], "</v2/org/app/tags/list?last=1>"), (&["b"], "</v2/org/app/tags/list?last=0>")]),
        ),
        ("tags-empty-page", paged(&[(&["a"], "</v2/org/app/tags/list?last=1>"), (&[], "<?last=2>"), (&["b"], "")])),
        ("tags-elsewhere", paged(&[(&["a"], "<https://elsewhere.example/v2/org/app/tags/list?last=a>; rel=\"next\"")])),
    ] {
        Stage::new(name).host(REGISTRY, &registry.url("")).play(|pull| {
            assert_eq!(
                problem(pull),
                "the list does not go on: this page is empty, or the next one was seen or is elsewhere",
                "{name}"
            );
        });
    }
}

#[test]
fn a_tag_of_the_shape_of_a_digest_is_left_out_and_any_other_that_is_none_is_an_error() {
    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let registry = paged(&[(&["1", DIGEST, "", "2"], "")]);
    Stage::new("tags-digest").host(REGISTRY, &registry.url("")).play(|pull| {
        assert_eq!(tags(pull).unwrap(), ["1", "2"]);
    });
    let registry = paged(&[(&["1", "not a tag"], "")]);
    Stage::new("tags-invalid").host(REGISTRY, &registry.url("")).play(|pull| {
        assert_eq!(problem(pull), "the registry lists an invalid tag \"not a tag\"");
    });
}

#[test]
fn a_repository_that_is_not_there_has_no_tags() {
    let registry = Registry::new().serve();
    Stage::new("tags-unknown-repository").host(REGISTRY, &registry.url("")).play(|pull| {
        assert!(tags(pull).unwrap_err().is_not_found());
    });
}
