//! Registries, mirrors and signature stores that want an image to be accepted which is not, or us to work for ever.

use std::fs;
use std::path::Path;

use serde_json::json;
use transship::signature::sigstore::PrivateKey;

use crate::guarded::Guarded;
use crate::support::image::Image;
use crate::support::registry::signatures::Artifact;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::signature_store::SignatureStore;

impl Guarded {
    /// Copies an image, and expects this exit code and these words; `verify` says the same.
    fn copies(&self, name: &str, code: i32, words: &[&str]) {
        drop(fs::remove_dir_all(self.program.path("copy")));
        let copied = self.program.run(&["copy", "-q", &format!("docker://{name}"), "dir:copy"]);
        if code == 0 {
            assert_eq!(copied.code, 0, "{copied:?}");
        } else {
            copied.assert_fails(code, words);
            assert!(!self.program.path("copy/manifest.json").exists());
        }
        let verified = self.program.run(&["verify", "--json", name]);
        assert_eq!(verified.code, code, "{verified:?}");
    }

    fn assert_copied(&self, image: &Image) {
        assert_eq!(fs::read(self.program.path("copy/manifest.json")).unwrap(), image.manifest());
    }
}

fn assert_no_blob_was_asked(registry: &RunningRegistry) {
    let asked = registry.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| !asked.contains("/blobs/")), "{asked:?}");
}

#[test]
fn a_mirror_cannot_pass_off_another_image_that_is_signed_as_well() {
    let (guarded, asked, other) = (Guarded::new(), Image::with_layers(["asked"]), Image::with_layers(["other"]));
    for (served, code) in [(&other, 5), (&asked, 0)] {
        let origin = Registry::new().image("org/app", "1", &asked).serve();
        let mirror = Registry::new().image("mirror/app", "1", served).serve();
        guarded.program.registries_conf(&format!(
            "[[registry]]\nlocation = \"{}/org\"\ninsecure = true\n\
             [[registry.mirror]]\nlocation = \"{}/mirror\"\ninsecure = true\n",
            origin.authority(),
            mirror.authority(),
        ));
        guarded.signed("mirror/app", &other, &origin.reference("org/other:1"));
        guarded.signed("mirror/app", &asked, &origin.reference("org/app:1"));
        guarded.copies(&origin.reference("org/app:1"), code, &["rejected by policy", "it is for", "org/other:1"]);
        if code == 0 {
            guarded.assert_copied(&asked);
        } else {
            assert_no_blob_was_asked(&mirror);
        }
        assert!(origin.requests().is_empty(), "the mirror has answered");
    }
}

#[test]
fn a_mirror_with_other_bytes_for_a_digest_is_passed_over() {
    let (guarded, asked, other) = (Guarded::new(), Image::with_layers(["asked"]), Image::with_layers(["other"]));
    let origin = Registry::new().image("org/app", "1", &asked).serve();
    let bytes = other.manifest();
    let spoil = move |reply: Reply| reply.body(bytes.clone());
    let mirror = Registry::new().image("mirror/app", "1", &asked).spoil(|path| path.contains("/manifests/"), .., spoil);
    let mirror = mirror.serve();
    guarded.program.registries_conf(&format!(
        "[[registry]]\nlocation = \"{}/org\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}/mirror\"\ninsecure = true\n",
        origin.authority(),
        mirror.authority(),
    ));
    // Signatures are those of who served the manifest.
    guarded.signed("org/app", &asked, &origin.reference("org/app:1"));
    guarded.copies(&origin.reference(&format!("org/app@{}", asked.digest())), 0, &[]);
    guarded.assert_copied(&asked);
    assert!(mirror.asked().iter().any(|asked| asked.contains("/manifests/")));
}

#[test]
fn a_tag_that_moves_is_judged_by_what_was_read() {
    let (first, second) = (Image::with_layers(["first"]), Image::with_layers(["second"]));
    for (signed, code) in [(&first, 0), (&second, 5)] {
        let guarded = Guarded::new();
        let moved = second.manifest();
        let spoil = move |reply: Reply| reply.body(moved.clone());
        let registry = Registry::new().image("org/app", "1", &first).image("org/app", "2", &second);
        let registry = registry.spoil(|path| path.ends_with("/manifests/1"), 2..=2, spoil).serve();
        guarded.insecure(&registry);
        let name = registry.reference("org/app:1");
        guarded.signed("org/app", signed, &name);
        let copied = guarded.program.run(&["copy", "-q", &format!("docker://{name}"), "dir:copy"]);
        assert_eq!(copied.code, code, "{copied:?}");
        if code == 0 {
            guarded.assert_copied(&first);
        }
    }
}

#[test]
fn more_signatures_than_anybody_makes_decide_nothing() {
    let (guarded, image) = (Guarded::new(), Image::with_layers(["a layer"]));
    let registry = Registry::new().image("org/app", "1", &image).serve();
    guarded.insecure(&registry);
    let name = registry.reference("org/app:1");
    let store = |count: usize| {
        let message = guarded.message(&image.digest(), &name);
        let add = |store: SignatureStore, _| store.signature("org/app", &image.digest(), message.clone());
        (0..count).fold(SignatureStore::new(), add)
    };
    let too_many = store(129);
    too_many.write(&guarded.store());
    guarded.copies(&name, 6, &["cannot tell whether", "more than 128 signatures"]);

    let web = Server::http(move |request| too_many.answer(request));
    guarded.lookaside(&web.url("/signatures"));
    guarded.copies(&name, 6, &["cannot tell whether", "more than 128 signatures"]);
    assert_eq!(web.requests().len(), 2 * 129);
    assert_no_blob_was_asked(&registry);

    let enough = store(128);
    let web = Server::http(move |request| enough.answer(request));
    guarded.lookaside(&web.url("/signatures"));
    guarded.copies(&name, 0, &[]);
}

#[test]
fn a_signature_without_end_decides_nothing() {
    let (guarded, image) = (Guarded::new(), Image::with_layers(["a layer"]));
    let registry = Registry::new().image("org/app", "1", &image).serve();
    guarded.insecure(&registry);
    let web = Server::http(|_| Reply::endless());
    guarded.lookaside(&web.url("/signatures"));
    guarded.copies(&registry.reference("org/app:1"), 6, &["cannot tell whether", "signature-1", "4194304 bytes"]);
    assert_no_blob_was_asked(&registry);
}

#[test]
fn an_attachment_cannot_send_us_elsewhere() {
    let (guarded, image) = (Guarded::new(), Image::with_layers(["a layer"]));
    let elsewhere = Server::http(|_| Reply::ok("payload"));
    let key = guarded.program.path("sigstore.pub");
    fs::write(&key, PrivateKey::generate().unwrap().public_key().to_pem()).unwrap();
    guarded.program.policy(&json!({"default": [{"type": "sigstoreSigned", "keyPath": key}]}).to_string());
    guarded.registries_d("default-docker: {use-sigstore-attachments: true}\n");
    let url = elsewhere.url("/payload");
    let attachments = Artifact::attachments([("payload", json!({"dev.cosignproject.cosign/signature": "AAAA"}))])
        .with_manifest(|manifest| manifest["layers"][0]["urls"] = json!([url]));
    let registry = Registry::new().image("org/app", "1", &image).attachments("org/app", &image.digest(), &attachments);
    let registry = registry.serve();
    guarded.insecure(&registry);
    guarded.copies(&registry.reference("org/app:1"), 6, &["cannot tell whether", "has external URLs"]);
    assert!(elsewhere.requests().is_empty());
    assert_no_blob_was_asked(&registry);
}

#[test]
fn nothing_but_the_manifest_of_an_unsigned_image_is_read() {
    for yaml in ["default-docker: {use-sigstore-attachments: true}\n", "{}\n"] {
        let (guarded, image) = (Guarded::new(), Image::with_layers(["a layer"]));
        let registry = Registry::new().image("org/app", "1", &image).serve();
        guarded.insecure(&registry);
        guarded.registries_d(yaml);
        let name = registry.reference("org/app:1");
        let copied = without_stores(&guarded, &name);
        assert_eq!(copied, 5);
        let is_manifest_or_signature = |asked: &String| {
            let place = asked.split_once(' ').unwrap().1;
            ["/v2/", "/v2/org/app/manifests/1"].contains(&place)
                || place.starts_with("/v2/org/app/manifests/sha256-")
                || place.starts_with("/v2/org/app/referrers/")
        };
        let asked = registry.asked();
        assert!(asked.iter().all(is_manifest_or_signature), "{asked:?}");
        assert_eq!(asked.iter().filter(|asked| asked.ends_with("/manifests/1")).count(), 1, "{asked:?}");
    }
}

/// The exit code of a copy by an ordinary user, who has no signature anywhere.
fn without_stores(guarded: &Guarded, name: &str) -> i32 {
    let mut command = guarded.program.command();
    command.env("_CONTAINERS_ROOTLESS_UID", "1000");
    let copied = crate::program::Outcome::of(command.args(["copy", "-q", &format!("docker://{name}"), "dir:copy"]));
    assert!(!Path::new(&guarded.program.path("copy/manifest.json")).exists());
    copied.code
}
