//! Whose signatures they are: those of the place that served the manifest, and of what it served.

use std::sync::atomic::{AtomicBool, Ordering};

use transship::source::SignatureDemand;

use crate::machine::{ATTACHED, Machine, contents, image, judged, signed, simple};
use crate::support::image::Image;
use crate::support::registry::signatures::Artifact;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::signature_store::SignatureStore;

const LOGICAL: &str = "registry.example/org/app:1";

fn serve() -> RunningRegistry {
    Registry::new().image("org/app", "1", &image()).serve()
}

/// `registry.example/org` is the `org` of the mirror, then of the origin.
fn mirrored(mirror: &RunningRegistry, origin: &RunningRegistry) -> Machine {
    let place = |place: &RunningRegistry| format!("location = \"{}/org\"\ninsecure = true\n", place.authority());
    let (mirror, origin) = (place(mirror), place(origin));
    let text = format!("[[registry]]\nprefix = \"registry.example/org\"\n{origin}[[registry.mirror]]\n{mirror}");
    Machine::new().registries_conf(&text)
}

/// Says who it is, whatever it is asked first.
fn store_of(text: &'static str) -> Server {
    Server::http(
        move |request| {
            if request.target.ends_with("/signature-1") { Reply::ok(simple(text)) } else { Reply::new(404) }
        },
    )
}

#[test]
fn they_are_those_of_the_mirror_that_served_the_manifest() {
    let (mirror, origin) = (serve(), serve());
    let empty = Registry::new().serve();
    let stores = ["of the mirror", "of the origin", "of the logical name"].map(store_of);
    for (first, expected, asked) in [(&mirror, "of the mirror", 0), (&empty, "of the origin", 1)] {
        let names = [first.reference("org/app"), origin.reference("org"), "registry.example".to_owned()];
        let section = |(name, store): (&String, &Server)| format!("  {name}: {{lookaside: '{}'}}\n", store.url("/s"));
        let text = format!("docker:\n{}", names.iter().zip(&stores).map(section).collect::<String>());
        let machine = mirrored(first, &origin).registries_d(&text);
        let found = judged(&*machine.open(LOGICAL)).unwrap();
        assert_eq!(contents(&found), [expected]);
        assert!(!stores[asked].requests().is_empty());
    }
    assert!(stores[2].requests().is_empty(), "the physical name counts");
}

#[test]
fn another_place_that_works_later_does_not_change_whose_they_are() {
    let instance = image();
    let index = Image::index([instance.clone()]);
    let attached = |text| Artifact::attachments([(text, serde_json::json!({}))]);
    let script = |text| {
        let registry = Registry::new().image("org/app", "1", &index);
        let registry = registry.attachments("org/app", &index.digest(), &attached(text));
        registry.attachments("org/app", &instance.digest(), &attached(text))
    };
    let missing = instance.digest();
    let mirror =
        script("of the mirror").fault(move |path| path.ends_with(missing.as_str()), .., Reply::new(404)).serve();
    let origin = script("of the origin").serve();
    let source = mirrored(&mirror, &origin).attachments().open(LOGICAL);
    source.manifest(Some(&instance.digest())).unwrap();
    assert!(!origin.requests().is_empty(), "the origin works now");
    for instance in [None, Some(&instance.digest())] {
        let found = source.signatures(instance, SignatureDemand::Judged).unwrap();
        assert_eq!(contents(&found), ["of the mirror"]);
    }
}

#[test]
fn a_mirror_whose_signatures_cannot_be_read_is_not_replaced_by_another() {
    let mirror =
        Registry::new().image("org/app", "1", &image()).fault(|path| path.ends_with(ATTACHED), .., Reply::new(500));
    let (mirror, origin) = (mirror.serve(), serve());
    let source = mirrored(&mirror, &origin).attachments().open(LOGICAL);
    assert!(judged(&*source).is_err());
    assert!(origin.requests().is_empty());
}

/// The tag moves between the manifest and its signatures.
#[test]
fn they_are_those_of_the_manifest_that_was_read() {
    let other = Image::with_layers(["another layer"]);
    let (of_this, of_other) = (image().digest(), other.digest());
    let manifest = other.manifest();
    let registry = Registry::new()
        .image("org/app", "1", &image())
        .spoil(|path| path.ends_with("/manifests/1"), 2.., move |_| Reply::ok(manifest.clone()))
        .serve();
    let store = SignatureStore::new().signature("org/app", &of_this, simple("of this")).signature(
        "org/app",
        &of_other,
        simple("of the other"),
    );
    let server = Server::http(move |request| store.answer(request));
    let machine = Machine::insecure(&[&registry]).lookaside(&server.url("/signatures"));
    let first = machine.open(&registry.reference("org/app:1"));
    let second = machine.open(&registry.reference("org/app:1"));
    assert_eq!(contents(&judged(&*second).unwrap()), ["of the other"]);
    assert_eq!(contents(&judged(&*first).unwrap()), ["of this"]);
}

#[test]
fn an_instance_has_its_own() {
    let instance = image();
    let index = Image::index([instance.clone()]);
    let registry = Registry::new().image("org/app", "1", &index).serve();
    let store = SignatureStore::new().signature("org/app", &index.digest(), simple("of the index")).signature(
        "org/app",
        &instance.digest(),
        simple("of the instance"),
    );
    let server = Server::http(move |request| store.answer(request));
    let source =
        Machine::insecure(&[&registry]).lookaside(&server.url("/signatures")).open(&registry.reference("org/app:1"));
    assert_eq!(contents(&judged(&*source).unwrap()), ["of the index"]);
    let found = source.signatures(Some(&instance.digest()), SignatureDemand::Judged).unwrap();
    assert_eq!(contents(&found), ["of the instance"]);
}

/// Stores know images by SHA-256.
#[test]
fn an_image_named_by_another_algorithm_is_signed_under_its_sha256() {
    let image = image().sha512();
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let store =
        SignatureStore::new().signature("org/app", &transship::Digest::sha256(&image.manifest()), simple("one"));
    let server = Server::http(move |request| store.answer(request));
    let machine = Machine::insecure(&[&registry]).lookaside(&server.url("/signatures"));
    let source = machine.open(&registry.reference(&format!("org/app@{}", image.digest())));
    assert_eq!(contents(&judged(&*source).unwrap()), ["one"]);
}

#[test]
fn nothing_is_asked_for_twice() {
    let attached = Artifact::attachments([("payload", serde_json::json!({}))]);
    let registry = Registry::new()
        .image("org/app", "1", &image())
        .attachments("org/app", &signed(), &attached)
        .referrer("org/app", &signed(), &Artifact::bundle(&signed(), "bundle"))
        .serve();
    let store = store_of("stored");
    let text = format!("default-docker: {{lookaside: '{}', use-sigstore-attachments: true}}", store.url("/s"));
    let source = Machine::insecure(&[&registry]).registries_d(&text).open(&registry.reference("org/app:1"));
    let first = judged(&*source).unwrap();
    assert_eq!(contents(&first), ["stored", "payload", "bundle"]);
    let asked = (registry.requests().len(), store.requests().len());
    // The digest of the top level is that of a manifest like any other.
    for instance in [None, Some(&signed())] {
        for demand in [SignatureDemand::Judged, SignatureDemand::Carried] {
            assert_eq!(source.signatures(instance, demand).unwrap(), first);
        }
    }
    assert_eq!((registry.requests().len(), store.requests().len()), asked);
}

#[test]
fn what_failed_is_asked_for_again() {
    let registry = serve();
    let store = SignatureStore::new().signature("org/app", &signed(), simple("one"));
    let refused = AtomicBool::new(false);
    let server =
        Server::http(
            move |request| {
                if refused.swap(true, Ordering::SeqCst) { store.answer(request) } else { Reply::new(403) }
            },
        );
    let machine = Machine::insecure(&[&registry]).lookaside(&server.url("/signatures"));
    let source = machine.open(&registry.reference("org/app:1"));
    assert!(judged(&*source).is_err());
    assert_eq!(contents(&judged(&*source).unwrap()), ["one"]);
}
