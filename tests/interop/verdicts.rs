//! One policy, two programs, one verdict: each row is judged by both, for signatures that skopeo made and for ours.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::command::run;
use crate::world::Verdict::{Allowed, Refused, Undecided};
use crate::world::{Verdict, World, match_repo_digest_or_exact, signed_by};

/// A world with images that were signed while they were copied, and the key files `good.pub` and `other.pub`:
///
/// | image | signed |
/// |---|---|
/// | `org/app:1` | by `good` under its own name; `org/app:2` is the same manifest |
/// | `org/renamed:1` | by `good` as `vendor.example/app:1` |
/// | `org/wild:1` | by `good` as `a.wild.example/wild:1` |
/// | `org/other:1` | by `other` under its own name |
/// | `org/both:1` | by `other`, then by `good` |
/// | `org/plain:1` | by nobody |
struct Signed {
    world: World,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signer {
    Skopeo,
    Us,
}

impl Signed {
    fn by(signer: Signer) -> Option<Self> {
        let world = World::new()?;
        world.file_store();
        world.gpg.key("good", "rsa2048");
        world.gpg.key("other", "ed25519");
        world.gpg.public("good");
        world.gpg.public("other");
        let this = Self { world };
        this.copy(signer, "good", "org/app:1", None);
        this.copy(signer, "good", "org/renamed:1", Some("vendor.example/app:1"));
        this.copy(signer, "good", "org/wild:1", Some("a.wild.example/wild:1"));
        this.copy(signer, "other", "org/other:1", None);
        this.copy(signer, "good", "org/both:1", None);
        let world = &this.world;
        fs::rename(world.stored("org/both", 1), world.stored("org/both", 2)).unwrap();
        let foreign = world.path("foreign");
        world.output_of_skopeo(&[
            "standalone-sign",
            "image/manifest.json",
            &world.name("org/both:1"),
            &world.gpg.fingerprints("other")[0],
            "-o",
            foreign.to_str().unwrap(),
        ]);
        fs::rename(foreign, world.stored("org/both", 1)).unwrap();
        for unsigned in ["org/app:2", "org/plain:1"] {
            world.output_of_skopeo(&["copy", "-q", "dir:image", &world.image(unsigned)]);
        }
        Some(this)
    }

    fn copy(&self, signer: Signer, key: &str, image: &str, identity: Option<&str>) {
        let world = &self.world;
        let (mut command, key) = match signer {
            Signer::Skopeo => (world.skopeo(), world.gpg.fingerprints(key).remove(0)),
            Signer::Us => (world.ours(), world.gpg.secret(key, &[]).to_str().unwrap().to_owned()),
        };
        command.args(["copy", "-q", "--sign-by", &key, "dir:image", &world.image(image)]);
        run(command.args(identity.map(|identity| format!("--sign-identity={identity}"))));
        let repository = image.split(':').next().unwrap();
        assert!(world.stored(repository, 1).exists() && !world.stored(repository, 2).exists());
    }

    fn key(&self, name: &str) -> std::path::PathBuf {
        self.world.path(&format!("{name}.pub"))
    }

    /// Judges `path` by a policy of these requirements.
    fn judged(&self, row: &str, path: &str, requirements: &Value, expected: Verdict) {
        self.world.require(requirements);
        self.world.assert_verdict(row, &self.world.image(path), expected);
    }
}

/// The tests run for each of the two that sign.
fn for_each_signer(test: impl Fn(&Signed)) {
    for signer in [Signer::Skopeo, Signer::Us] {
        let Some(signed) = Signed::by(signer) else { return };
        test(&signed);
    }
}

#[test]
fn the_name_that_is_signed_must_be_the_one_that_the_policy_wants() {
    for_each_signer(|signed| {
        let world = &signed.world;
        let by_digest = format!("org/app@{}", world.digest());
        let reference = |text: &str| json!({"type": "exactReference", "dockerReference": text});
        let repository = |text: &str| json!({"type": "exactRepository", "dockerRepository": text});
        let remap = |prefix: &str, to: &str| json!({"type": "remapIdentity", "prefix": prefix, "signedPrefix": to});
        let (exact, any_tag) = (json!({"type": "matchExact"}), json!({"type": "matchRepository"}));
        let default = match_repo_digest_or_exact();
        let (app, renamed) = ("org/app:1", "org/renamed:1");
        let (own, own_repository) = (world.name(app), world.name("org/app"));
        let (host, renamed_repository) = (world.registry.host(), world.name("org/renamed"));
        let rows = [
            (app, default.clone(), Allowed),
            ("org/app:2", default.clone(), Refused),
            (by_digest.as_str(), default.clone(), Allowed),
            (renamed, default.clone(), Refused),
            (app, exact.clone(), Allowed),
            ("org/app:2", exact.clone(), Refused),
            (by_digest.as_str(), exact, Refused),
            ("org/app:2", any_tag.clone(), Allowed),
            (by_digest.as_str(), any_tag.clone(), Allowed),
            (renamed, any_tag, Refused),
            ("org/app:2", reference(&own), Allowed),
            (app, reference(&world.name("org/app:2")), Refused),
            (renamed, reference("vendor.example/app:1"), Allowed),
            (renamed, repository("vendor.example/app"), Allowed),
            (renamed, repository("vendor.example/ap"), Refused),
            ("org/app:2", repository(&own_repository), Allowed),
            (renamed, remap(&renamed_repository, "vendor.example/app"), Allowed),
            (renamed, remap(host, "vendor.example"), Refused),
            (renamed, remap(&world.name("org/rename"), "vendor.example/app"), Refused),
            (app, remap("vendor.example", "elsewhere.example"), Allowed),
            (app, remap(host, "vendor.example"), Refused),
        ];
        for (path, identity, expected) in rows {
            let requirements = signed_by(&signed.key("good"), &identity);
            signed.judged(&identity.to_string(), path, &requirements, expected);
        }
    });
}

#[test]
fn the_key_must_be_one_of_the_requirement_s() {
    for_each_signer(|signed| {
        let default = match_repo_digest_or_exact();
        let by = |key: &str| signed_by(&signed.key(key), &default);
        signed.judged("unsigned", "org/plain:1", &by("good"), Refused);
        signed.judged("another key", "org/other:1", &by("good"), Refused);
        signed.judged("the other key", "org/other:1", &by("other"), Allowed);
        signed.judged("the first of two signatures", "org/both:1", &by("other"), Allowed);
        signed.judged("the second of two signatures", "org/both:1", &by("good"), Allowed);
        let armored = run(signed.world.gpg.command().args(["--armor", "--export"]));
        let armored = signed.world.write("armored.pub", armored);
        signed.judged("keys in ASCII armor", "org/other:1", &signed_by(&armored, &default), Allowed);
        let both = ["good", "other"].map(|key| fs::read(signed.key(key)).unwrap()).concat();
        let data = json!([{"type": "signedBy", "keyType": "GPGKeys", "keyData": BASE64_STANDARD.encode(both)}]);
        for path in ["org/app:1", "org/other:1"] {
            signed.judged("two keys in one requirement", path, &data, Allowed);
        }
        signed.world.gpg.revoke("other");
        let revoked = signed_by(&signed.world.gpg.public("other"), &default);
        signed.judged("a key that was revoked since", "org/other:1", &revoked, Refused);
    });
}

#[test]
fn with_a_key_file_that_is_not_there_nobody_allows_anything() {
    let Some(signed) = Signed::by(Signer::Us) else { return };
    let world = &signed.world;
    let image = world.image("org/app:1");
    world.require(&signed_by(&world.path("missing.pub"), &match_repo_digest_or_exact()));
    // skopeo has one word for what is rejected and for what cannot be told.
    assert_eq!([world.our_verdict(&image), world.skopeo_verdict(&image)], [Undecided, Refused]);
    world.run(&["copy", "-q", &image, "dir:copy"]).assert_fails(6, &["cannot tell whether", "missing.pub"]);
}

#[test]
fn every_requirement_must_be_met() {
    for_each_signer(|signed| {
        let default = match_repo_digest_or_exact();
        let one = |key: &str| signed_by(&signed.key(key), &default)[0].clone();
        let (reject, accept) = (json!({"type": "reject"}), json!({"type": "insecureAcceptAnything"}));
        for (row, path, requirements, expected) in [
            ("signedBy and reject", "org/app:1", json!([one("good"), reject]), Refused),
            ("reject and signedBy", "org/app:1", json!([reject, one("good")]), Refused),
            ("signedBy and anything", "org/app:1", json!([one("good"), accept]), Allowed),
            ("anything and signedBy", "org/plain:1", json!([accept, one("good")]), Refused),
            ("both signers of one", "org/app:1", json!([one("good"), one("other")]), Refused),
            ("both signers of two", "org/both:1", json!([one("good"), one("other")]), Allowed),
        ] {
            signed.judged(row, path, &requirements, expected);
        }
    });
}

#[test]
fn a_signature_for_other_bytes_is_none() {
    for_each_signer(|signed| {
        let world = &signed.world;
        crate::support::local::docker_image(&world.path("later"), "later", &["three"]);
        world.output(&["copy", "-q", "dir:later", &world.image("org/app:1")]);
        let later = transship::Digest::sha256(&fs::read(world.path("later/manifest.json")).unwrap());
        let directory = world.path("store").join(crate::support::signature_store::directory("org/app", &later));
        let requirements = signed_by(&signed.key("good"), &match_repo_digest_or_exact());
        signed.judged("no signature of these bytes", "org/app:1", &requirements, Refused);
        fs::create_dir_all(&directory).unwrap();
        fs::copy(world.stored("org/app", 1), directory.join("signature-1")).unwrap();
        signed.judged("the signature of what was there", "org/app:1", &requirements, Refused);
        let mut damaged = fs::read(world.stored("org/both", 2)).unwrap();
        let last = damaged.len() - 10;
        damaged[last] ^= 1;
        fs::write(world.stored("org/app", 1), damaged).unwrap();
        let by_digest = format!("org/app@{}", world.digest());
        signed.judged("a damaged signature", &by_digest, &requirements, Refused);
    });
}

#[test]
fn the_narrowest_scope_decides() {
    let Some(signed) = Signed::by(Signer::Skopeo) else { return };
    let world = &signed.world;
    world.registries_conf(&format!(
        "[[registry]]\nprefix = \"*.wild.example\"\nlocation = \"{0}/org\"\ninsecure = true\n\
         [[registry]]\nlocation = \"{0}\"\ninsecure = true\n",
        world.registry.host(),
    ));
    let (accept, reject) = (json!([{"type": "insecureAcceptAnything"}]), json!([{"type": "reject"}]));
    let by_good = signed_by(&signed.key("good"), &match_repo_digest_or_exact());
    let host = world.registry.host();
    let (here, wild) = (world.image("org/app:1"), "docker://a.wild.example/wild:1".to_owned());
    let rows = [
        (&here, vec![], &reject, Refused),
        (&here, vec![("", &accept)], &reject, Allowed),
        (&here, vec![("", &accept), (host, &reject)], &accept, Refused),
        (&here, vec![(host, &reject), ("HOST/org", &accept)], &reject, Allowed),
        (&here, vec![("HOST/org", &reject), ("HOST/org/app", &by_good)], &reject, Allowed),
        (&here, vec![("HOST/org/app", &by_good), ("HOST/org/app:1", &reject)], &accept, Refused),
        (&here, vec![("HOST/org/app:2", &accept), ("HOST/org/ap", &accept)], &reject, Refused),
        (&wild, vec![("*.wild.example", &by_good)], &reject, Allowed),
        (&wild, vec![("*.example", &by_good)], &reject, Allowed),
        (&wild, vec![("*.a.wild.example", &accept)], &reject, Refused),
        (&wild, vec![("*.example", &accept), ("*.wild.example", &reject)], &accept, Refused),
        (&wild, vec![("*.wild.example", &reject), ("a.wild.example", &by_good)], &reject, Allowed),
        // The place that is contacted has no say.
        (&wild, vec![("HOST/org/wild", &accept)], &reject, Refused),
    ];
    for (image, scopes, default, expected) in rows {
        let scopes: serde_json::Map<_, _> = scopes
            .into_iter()
            .map(|(scope, requirements)| (scope.replace("HOST", host), requirements.clone()))
            .collect();
        let policy = json!({"default": default, "transports": {"docker": scopes}});
        world.policy(&policy);
        world.assert_verdict(&policy.to_string(), image, expected);
    }
}

/// A list of two images is signed as a whole and instance by instance; skopeo judges what it copies.
#[test]
fn a_signed_list_and_its_instances_are_allowed_by_both() {
    let Some(world) = World::new() else { return };
    world.file_store();
    let fingerprint = world.gpg.key("good", "ed25519");
    let (public, secret) = (world.gpg.public("good"), world.gpg.secret("good", &[]));
    crate::support::local::docker_list(&world.path("list"));
    let (ours, skopeos, unsigned) = (world.image("ours/app:1"), world.image("skopeo/app:1"), world.image("no/app:1"));
    let copy = ["copy", "-q", "--all", "dir:list"];
    world.output(&[&copy[..], &[&ours, "--sign-by", secret.to_str().unwrap()]].concat());
    world.output_of_skopeo(&[&copy[..], &[&skopeos, "--sign-by", &fingerprint]].concat());
    world.output(&[&copy[..], &[&unsigned]].concat());

    world.require(&signed_by(&public, &match_repo_digest_or_exact()));
    let platform = |architecture| ["--override-os=linux", architecture, "--override-variant=v7"];
    let (amd64, arm) = (platform("--override-arch=amd64"), platform("--override-arch=arm"));
    for (image, code) in [(&ours, 0), (&skopeos, 0), (&unsigned, 5)] {
        for which in [&amd64[..], &arm, &["--multi-arch=index-only"], &["--multi-arch=all"]] {
            let judged = world.run(&[&["verify", image][..], which].concat());
            assert_eq!(judged.code, code, "{image} {which:?}: {judged:?}");
        }
        for words in [&["copy", "--all"][..], &[&amd64[..], &["copy"]].concat(), &[&arm[..], &["copy"]].concat()] {
            let words = [words, &["-q", image, "dir:copy"]].concat();
            let (judged, theirs) = (world.run(&words), world.run_skopeo(&words));
            assert_eq!((judged.code, theirs.code), (code, code.min(1)), "{words:?}: {judged:?} {theirs:?}");
        }
    }
}

/// It has no name in a registry, and a name is what is signed.
#[test]
fn an_image_on_this_machine_has_no_name_but_one_that_the_policy_gives() {
    let Some(signed) = Signed::by(Signer::Us) else { return };
    let world = &signed.world;
    world.output(&["copy", "-q", &world.image("org/app:1"), "dir:carried"]);
    assert_eq!(fs::read(world.path("carried/signature-1")).unwrap(), fs::read(world.stored("org/app", 1)).unwrap());
    let key: &Path = &signed.key("good");
    let exact = json!({"type": "exactReference", "dockerReference": world.name("org/app:1")});
    for (identity, expected) in [(exact, Allowed), (match_repo_digest_or_exact(), Refused)] {
        world.require(&signed_by(key, &identity));
        world.assert_verdict(&identity.to_string(), "dir:carried", expected);
    }
}
