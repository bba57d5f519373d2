//! Attached to the image, as cosign did it first.

use serde_json::json;
use transship::digest::{Digest, Mismatch};
use transship::error::{find, one_line};
use transship::manifest;
use transship::registry;
use transship::signature::{MAX_SIGNATURE_SIZE, MAX_SIGNATURES, UntrustedSignature};
use transship::source::{Error, SignatureDemand, SignaturePlace};

use crate::machine::{ATTACHED, Machine, contents, image, judged, signed, simple};
use crate::support::image::Image;
use crate::support::registry::signatures::{Artifact, COSIGN_PAYLOAD};
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::signature_store::SignatureStore;

fn script() -> Registry {
    Registry::new().image("org/app", "1", &image())
}

fn serve(attachments: &Artifact) -> RunningRegistry {
    script().attachments("org/app", &signed(), attachments).serve()
}

fn two() -> Artifact {
    Artifact::attachments([("payload one", json!({"a": "1"})), ("payload two", json!({"b": "2"}))])
}

fn tag() -> String {
    format!("sha256-{}.sig", signed().encoded())
}

/// What is wrong below [`Error::Signatures`].
fn cause(registry: &RunningRegistry) -> Error {
    match Machine::insecure(&[registry]).attachments().refusal(registry) {
        Error::Signatures { source, .. } => *source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_layers_are_read_in_their_order_with_their_annotations() {
    let registry = serve(&two());
    let found = Machine::insecure(&[&registry]).attachments().find(&registry).unwrap();
    assert_eq!(contents(&found), ["payload one", "payload two"]);
    let UntrustedSignature::Sigstore(first) = &found[0].signature else { panic!("{found:?}") };
    assert_eq!(first.media_type.as_str(), COSIGN_PAYLOAD);
    assert_eq!(first.annotations.clone().into_iter().collect::<Vec<_>>(), [("a".to_owned(), "1".to_owned())]);
    let SignaturePlace::Attachment { reference, layer } = &found[1].place else { panic!("{found:?}") };
    assert_eq!(reference.to_string(), registry.reference(&format!("org/app:{}", tag())));
    assert_eq!(*layer, Digest::sha256(b"payload two"));
}

#[test]
fn none_are_looked_for_unless_registries_d_says_so() {
    let registry = serve(&two());
    let own = format!("docker: {{{}: {{use-sigstore-attachments: true}}}}", registry.reference("org/other"));
    for machine in [Machine::insecure(&[&registry]), Machine::insecure(&[&registry]).registries_d(&own)] {
        assert_eq!(machine.found(&registry), []);
    }
    assert!(registry.asked().iter().all(|asked| !asked.ends_with(ATTACHED)));
}

#[test]
fn an_image_without_any_has_none() {
    let registry = script().serve();
    assert_eq!(Machine::insecure(&[&registry]).attachments().found(&registry), []);
    assert!(registry.asked().contains(&format!("GET /v2/org/app/manifests/{}", tag())));
}

#[test]
fn they_come_after_those_of_the_lookaside_store() {
    let registry = serve(&two());
    let store = SignatureStore::new().signature("org/app", &signed(), simple("stored"));
    let server = Server::http(move |request| store.answer(request));
    let text =
        format!("default-docker: {{lookaside: '{}', use-sigstore-attachments: true}}", server.url("/signatures"));
    let found = Machine::insecure(&[&registry]).registries_d(&text).find(&registry).unwrap();
    assert_eq!(contents(&found), ["stored", "payload one", "payload two"]);
}

#[test]
fn one_place_that_cannot_be_read_fails_the_whole() {
    for status in [401, 403, 500] {
        let registry = script().attachments("org/app", &signed(), &two());
        let registry = registry.spoil(|path| path.ends_with(ATTACHED), .., move |reply| reply.status(status)).serve();
        let Error::Registry(error) = cause(&registry) else { panic!() };
        assert!(one_line(&error).starts_with("reading manifest sha256-"), "{}", one_line(&error));
    }
}

#[test]
fn what_is_no_oci_image_manifest_is_refused() {
    let index = r#"{"schemaVersion": 2, "manifests": []}"#;
    for (media_type, bytes) in [
        ("application/vnd.oci.image.index.v1+json", index.as_bytes().to_vec()),
        ("application/vnd.docker.distribution.manifest.v2+json", image().docker().manifest()),
        ("application/json", b"{}".to_vec()),
    ] {
        let registry = script().manifest("org/app", &tag(), media_type, bytes).serve();
        let error = cause(&registry);
        let Error::AttachmentType { media_type: found, .. } = &error else { panic!("{error:?}") };
        assert_eq!(found.as_str(), media_type);
    }
    let broken = two().with_manifest(|manifest| manifest["layers"][0]["digest"] = json!("sha256:short"));
    let error = cause(&serve(&broken));
    assert!(
        matches!(
            error,
            Error::SignatureManifest { source: manifest::Error::Json { .. } | manifest::Error::Digest { .. }, .. }
        ),
        "{error:?}"
    );
}

/// Whoever can write an attachment must not make this machine ask others.
#[test]
fn a_layer_somewhere_else_is_refused_and_nobody_is_asked() {
    let elsewhere = Server::http(|_| Reply::ok("payload one"));
    let url = elsewhere.url("/payload");
    let foreign = two().with_manifest(|manifest| manifest["layers"][0]["urls"] = json!([url]));
    let registry = serve(&foreign);
    let error = cause(&registry);
    assert!(matches!(error, Error::ForeignSignature { .. }), "{error:?}");
    assert!(one_line(&error).contains("read from their repository only"), "{}", one_line(&error));
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_layer_that_the_repository_does_not_have_is_an_error() {
    let other =
        two().with_manifest(|manifest| manifest["layers"][1]["digest"] = json!(Digest::sha256(b"other").as_str()));
    let registry = serve(&other);
    let Error::Registry(error) = cause(&registry) else { panic!() };
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        format!("reading blob {} in {}", Digest::sha256(b"other"), registry.reference("org/app"))
    );
}

#[test]
fn a_layer_is_checked_against_its_digest_and_its_size() {
    let blob = |path: &str| path.contains("/blobs/");
    for spoil in [|reply: Reply| reply.body("payload 0ne"), |reply: Reply| reply.body("payload one and more")] {
        let registry = script().attachments("org/app", &signed(), &two()).spoil(blob, .., spoil).serve();
        let error = cause(&registry);
        assert!(matches!(&error, Error::Body { .. }) && find::<Mismatch>(&error).is_some(), "{error:?}");
    }
    let larger = two().with_manifest(|manifest| manifest["layers"][0]["size"] = json!(12));
    let error = cause(&serve(&larger));
    assert!(find::<Mismatch>(&error).is_some() || find::<registry::Error>(&error).is_some(), "{error:?}");
}

#[test]
fn a_layer_over_the_limit_is_not_asked_for() {
    let large = two().with_manifest(|manifest| manifest["layers"][0]["size"] = json!(MAX_SIGNATURE_SIZE + 1));
    let registry = serve(&large);
    let error = cause(&registry);
    assert!(matches!(error, Error::SignatureTooLarge { size, .. } if size == MAX_SIGNATURE_SIZE + 1), "{error:?}");
    assert!(registry.asked().iter().all(|asked| !asked.contains("/blobs/")));
}

#[test]
fn a_hundred_and_twenty_eight_are_read_and_one_more_is_refused() {
    let layers = |count: usize| Artifact::attachments((0..count).map(|_| ("payload", json!({}))));
    let registry = serve(&layers(MAX_SIGNATURES));
    assert_eq!(Machine::insecure(&[&registry]).attachments().found(&registry).len(), MAX_SIGNATURES);
    assert!(matches!(cause(&serve(&layers(MAX_SIGNATURES + 1))), Error::TooManySignatures { .. }));
}

#[test]
fn an_instance_has_its_own() {
    let instance = image().platform("linux/arm64");
    let index = Image::index([instance.clone()]);
    let registry = Registry::new()
        .image("org/app", "1", &index)
        .attachments("org/app", &index.digest(), &Artifact::attachments([("of the index", json!({}))]))
        .attachments("org/app", &instance.digest(), &Artifact::attachments([("of the instance", json!({}))]))
        .serve();
    let source = Machine::insecure(&[&registry]).attachments().open(&registry.reference("org/app:1"));
    assert_eq!(contents(&judged(&*source).unwrap()), ["of the index"]);
    let found = source.signatures(Some(&instance.digest()), SignatureDemand::Judged).unwrap();
    assert_eq!(contents(&found), ["of the instance"]);
}

/// A tag has no room for more than a SHA-384.
#[test]
fn nothing_can_be_attached_to_a_sha512() {
    let registry = script().serve();
    let source = Machine::insecure(&[&registry]).attachments().open(&registry.reference("org/app:1"));
    let sha512 = image().sha512().digest();
    assert_eq!(source.signatures(Some(&sha512), SignatureDemand::Judged).unwrap(), []);
    assert!(registry.asked().iter().all(|asked| !asked.ends_with(ATTACHED)));
}
