//! Attached to the image, as cosign 3 does it.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use transship::digest::Digest;
use transship::error::{find, one_line};
use transship::signature::{MAX_SIGNATURE_SIZE, MAX_SIGNATURES, UntrustedSignature};
use transship::source::{Error, SignatureDemand};
use transship::{MediaType, registry};

use crate::machine::{Machine, contents, image, signed};
use crate::support::registry::signatures::{Artifact, BUNDLE};
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::server::Server;

const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
const SBOM: &str = "https://spdx.dev/Document/v2.3";

fn script() -> Registry {
    Registry::new().image("org/app", "1", &image())
}

fn bundle(text: &str) -> Artifact {
    Artifact::bundle(&signed(), text)
}

/// A registry with these referrers, in both ways.
fn both(artifacts: &[Artifact]) -> [RunningRegistry; 2] {
    let with = |registry: Registry| {
        artifacts.iter().fold(registry, |registry, artifact| registry.referrer("org/app", &signed(), artifact)).serve()
    };
    [with(script()), with(script().without_referrers_api())]
}

fn found(registry: &RunningRegistry) -> Vec<String> {
    let found = Machine::insecure(&[registry]).attachments().find(registry);
    contents(&found.unwrap_or_else(|error| panic!("{}", one_line(&error))))
}

/// What is wrong below [`Error::Signatures`].
fn cause(registry: &RunningRegistry) -> Error {
    match Machine::insecure(&[registry]).attachments().refusal(registry) {
        Error::Signatures { source, .. } => *source,
        other => panic!("{other:?}"),
    }
}

fn is_list(path: &str) -> bool {
    path.contains("/referrers/")
}

#[test]
fn bundles_are_read_in_the_registry_s_order() {
    let artifacts = [bundle("one"), bundle("two")];
    for registry in both(&artifacts) {
        let found = Machine::insecure(&[&registry]).attachments().find(&registry).unwrap();
        assert_eq!(contents(&found), ["one", "two"]);
        let UntrustedSignature::Sigstore(first) = &found[0].signature else { panic!("{found:?}") };
        assert_eq!((&first.media_type, first.annotations.len()), (&MediaType::SIGSTORE_BUNDLE, 0));
        let place = registry.reference(&format!("org/app@{}", artifacts[0].digest()));
        assert_eq!(found[0].place.to_string(), place);
    }
}

#[test]
fn the_registry_is_asked_for_bundles_only() {
    let [registry, _] = both(&[bundle("one")]);
    assert_eq!(found(&registry), ["one"]);
    let requests = registry.requests();
    let list = requests.iter().find(|request| is_list(request.path())).unwrap();
    assert_eq!(list.path(), format!("/v2/org/app/referrers/{}", signed()));
    assert_eq!(list.query("artifactType"), [BUNDLE]);
}

#[test]
fn they_come_after_the_attachments() {
    let attached = Artifact::attachments([("payload", json!({}))]);
    let registry =
        script().attachments("org/app", &signed(), &attached).referrer("org/app", &signed(), &bundle("bundle"));
    assert_eq!(found(&registry.serve()), ["payload", "bundle"]);
}

#[test]
fn a_registry_that_does_not_know_what_is_asked_may_have_them_under_a_tag() {
    let page = Reply::ok("<html>").header("Content-Type", "text/html");
    let untyped = Reply::ok(r#"{"schemaVersion": 2, "manifests": []}"#);
    let statuses = [400, 404, 405, 406, 501].map(Reply::new);
    for reply in statuses.into_iter().chain([page, untyped]) {
        let script = || script().without_referrers_api().fault(is_list, .., reply.clone());
        assert_eq!(found(&script().referrer("org/app", &signed(), &bundle("one")).serve()), ["one"]);
        assert_eq!(found(&script().serve()), [""; 0], "nothing refers to it");
    }
}

#[test]
fn a_registry_that_refuses_is_an_error() {
    for status in [401, 403, 429, 500] {
        let registry = script().fault(is_list, .., Reply::new(status)).serve();
        let error = cause(&registry);
        assert!(one_line(&error).starts_with("listing the referrers of sha256:"), "{}", one_line(&error));
    }
}

#[test]
fn the_tag_of_a_long_digest_is_cut() {
    let image = image().sha512();
    let subject = image.digest();
    let script = Registry::new().image("org/app", "1", &self::image()).without_referrers_api();
    let registry = script.referrer("org/app", &subject, &Artifact::bundle(&subject, "one")).serve();
    let source = Machine::insecure(&[&registry]).attachments().open(&registry.reference("org/app:1"));
    let found = source.signatures(Some(&subject), SignatureDemand::Judged).unwrap();
    assert_eq!(contents(&found), ["one"]);
    assert!(registry.asked().contains(&format!("GET /v2/org/app/manifests/sha512-{}", &subject.encoded()[..64])));
}

#[test]
fn a_tag_with_something_else_is_an_error() {
    let tag = format!("sha256-{}", signed().encoded());
    let registry = script().without_referrers_api();
    let registry = registry.manifest("org/app", &tag, "application/vnd.oci.image.manifest.v1+json", image().manifest());
    assert!(matches!(cause(&registry.serve()), Error::Registry(registry::Error::Referrers { .. })));
}

#[test]
fn pages_are_followed_on_the_same_host_only() {
    let with = |script: Registry| {
        ["one", "two", "three"].iter().fold(script, |script, text| script.referrer("org/app", &signed(), &bundle(text)))
    };
    let registry = with(script().page_size(1)).serve();
    assert_eq!(found(&registry), ["one", "two", "three"]);

    let elsewhere = Server::http(|_| Reply::new(404));
    let own = format!("/v2/org/app/referrers/{}?artifactType=x", signed());
    for (target, expected) in [
        (elsewhere.url("/page"), "is elsewhere"),
        ("file:///etc/passwd".to_owned(), "is not usable"),
        ("/v2/".to_owned(), "a page of the list is missing"),
        (own, "has no end"),
    ] {
        let link = format!("<{target}>; rel=\"next\"");
        let registry = with(script()).spoil(is_list, .., move |reply| reply.header("Link", &link)).serve();
        let error = cause(&registry);
        assert!(one_line(&error).contains(expected), "{}", one_line(&error));
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_list_without_end_is_given_up() {
    let number = AtomicUsize::new(0);
    let spoil = move |reply: Reply| {
        let next = number.fetch_add(1, Ordering::SeqCst);
        reply.header("Link", &format!("<?never={next}>; rel=\"next\""))
    };
    let registry = script().spoil(is_list, .., spoil).serve();
    assert!(one_line(&cause(&registry)).contains("has no end"));
    assert_eq!(registry.requests().iter().filter(|request| is_list(request.path())).count(), 100);
}

#[test]
fn an_answer_that_is_no_index_is_an_error() {
    for body in ["", "[]", r#"{"manifests": [{"digest": "sha256:short"}]}"#, r#"{"manifests": {}}"#] {
        let registry = script().spoil(is_list, .., move |reply| reply.body(body)).serve();
        assert!(matches!(cause(&registry), Error::Registry(registry::Error::Referrers { .. })), "{body}");
    }
    let index = "application/vnd.oci.image.index.v1+json";
    let registry = script().fault(is_list, .., Reply::endless().header("Content-Type", index)).serve();
    let error = cause(&registry);
    assert!(matches!(find(&error), Some(transship::http::Error::BodyTooLarge { .. })), "{error:?}");
}

/// Where the list says enough, the manifest is not even read.
#[test]
fn what_is_listed_as_something_else_is_left_alone() {
    let set = |key: &'static str, value: Value| move |listed: &mut Value| listed[key] = value;
    let left_alone = [
        bundle("sbom").listed_as(set("annotations", json!({PREDICATE: SBOM}))),
        bundle("other").listed_as(set("artifactType", json!("application/spdx+json"))),
        bundle("index").listed_as(set("mediaType", json!("application/vnd.oci.image.index.v1+json"))),
    ];
    for artifact in left_alone {
        for registry in both(&[artifact.clone(), bundle("signature")]) {
            assert_eq!(found(&registry), ["signature"]);
            assert!(registry.asked().iter().all(|asked| !asked.contains(artifact.digest().as_str())));
        }
    }
}

/// A fallback tag may say little of what it lists.
#[test]
fn where_the_list_says_nothing_the_manifest_is_asked() {
    let silent = |artifact: Artifact| {
        artifact.listed_as(|listed| listed.as_object_mut().unwrap().retain(|key, _| key == "mediaType"))
    };
    let sbom = bundle("sbom").with_manifest(|manifest| manifest["annotations"] = json!({PREDICATE: SBOM}));
    let other = bundle("other").with_manifest(|manifest| manifest["artifactType"] = json!("application/spdx+json"));
    let by_config = bundle("by config").with_manifest(|manifest| {
        manifest["config"]["mediaType"] = json!(BUNDLE);
        manifest.as_object_mut().unwrap().remove("artifactType");
    });
    let unmarked = bundle("unmarked").with_manifest(|manifest| {
        manifest.as_object_mut().unwrap().remove("annotations");
    });
    for registry in both(&[sbom, other, by_config, unmarked].map(silent)) {
        assert_eq!(found(&registry), ["by config", "unmarked"]);
        assert!(!registry.asked().iter().any(|asked| asked.ends_with(Digest::sha256(b"sbom").as_str())));
    }
}

#[test]
fn what_refers_to_another_image_is_ignored() {
    let other = Artifact::bundle(&Digest::sha256(b"another image"), "other");
    let nothing = bundle("nothing").with_manifest(|manifest| {
        manifest.as_object_mut().unwrap().remove("subject");
    });
    let empty = bundle("empty").with_manifest(|manifest| manifest["layers"] = json!([]));
    for registry in both(&[other, nothing, empty, bundle("signature")]) {
        assert_eq!(found(&registry), ["signature"]);
    }
}

#[test]
fn a_version_of_bundles_before_is_one_too() {
    let old = "application/vnd.dev.sigstore.bundle+json;version=0.2";
    let old = bundle("old").listed_as(|listed| listed["artifactType"] = json!(old)).with_manifest(|manifest| {
        (manifest["artifactType"], manifest["layers"][0]["mediaType"]) = (json!(old), json!(old));
    });
    let other =
        bundle("other").listed_as(|listed| listed["artifactType"] = json!("application/vnd.dev.sigstore.bundles"));
    assert_eq!(found(&both(&[old, other])[0]), ["old"]);
}

/// The list that stands in for the API keeps what was deleted. A registry that does not answer is another matter.
#[test]
fn a_referrer_that_is_listed_and_deleted_is_passed_over() {
    let (gone, there) = (bundle("one"), bundle("two"));
    for (status, count) in [(404, Some(1)), (403, None)] {
        let path = gone.digest();
        let registry = script().referrer("org/app", &signed(), &gone).referrer("org/app", &signed(), &there);
        let registry = registry.fault(move |asked| asked.ends_with(path.as_str()), .., Reply::new(status)).serve();
        match count {
            Some(count) => assert_eq!(found(&registry).len(), count),
            None => assert!(matches!(cause(&registry), Error::Registry(_))),
        }
    }
}

#[test]
fn bundles_are_bounded_and_of_the_repository() {
    let foreign = bundle("one").with_manifest(|manifest| manifest["layers"][0]["urls"] = json!(["https://e.example/"]));
    assert!(matches!(cause(&both(&[foreign])[0]), Error::ForeignSignature { .. }));
    let large = bundle("one").with_manifest(|manifest| manifest["layers"][0]["size"] = json!(MAX_SIGNATURE_SIZE + 1));
    assert!(matches!(cause(&both(&[large])[0]), Error::SignatureTooLarge { .. }));
    let wrong = bundle("one").with_manifest(|manifest| manifest["layers"][0]["size"] = json!(2));
    assert!(matches!(cause(&both(&[wrong])[0]), Error::Body { .. }));
}

#[test]
fn a_hundred_and_twenty_eight_are_read_and_one_more_is_refused() {
    let numbered = |count: usize| (0..count).map(|number| bundle(&number.to_string())).collect::<Vec<_>>();
    for registry in both(&numbered(MAX_SIGNATURES)) {
        assert_eq!(found(&registry).len(), MAX_SIGNATURES);
    }
    for registry in both(&numbered(MAX_SIGNATURES + 1)) {
        let error = cause(&registry);
        assert!(matches!(error, Error::TooManySignatures { .. }), "{error:?}");
        assert!(one_line(&error).starts_with("the referrers of "), "{}", one_line(&error));
        assert!(registry.asked().iter().all(|asked| !asked.contains("/blobs/")), "none of them is read");
    }
}

/// A busy repository: what is plainly something else does not count.
#[test]
fn any_number_of_attestations_may_refer_to_an_image() {
    let sbom = |number: usize| {
        bundle(&number.to_string()).listed_as(|listed| listed["annotations"] = json!({PREDICATE: SBOM}))
    };
    let mut artifacts: Vec<_> = (0..3 * MAX_SIGNATURES).map(sbom).collect();
    artifacts.push(bundle("signature"));
    for registry in both(&artifacts) {
        assert_eq!(found(&registry), ["signature"]);
    }
}
