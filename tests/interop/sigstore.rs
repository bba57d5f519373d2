//! Sigstore signatures beside the images: ours, openssl's, and skopeo's carrying of either.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use transship::signature::{Payload, PayloadKind};

use crate::support::command::{finish, run};
use crate::support::peers::peer;
use crate::world::World;

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What a stored sigstore signature begins with.
const MAGIC: &[u8] = b"\0sigstore-json\n";

/// Attachments everywhere, and a passphrase in the file `passphrase`.
fn world() -> Option<World> {
    let world = World::new()?;
    world.registries_d("default-docker: {use-sigstore-attachments: true}\n");
    world.write("passphrase", "open sesame\n");
    Some(world)
}

/// A key pair of ours: `name.private` and `name.pub`.
fn generate(world: &World, name: &str) {
    world.output(&["generate-sigstore-key", "--output-prefix", name, "--passphrase-file=passphrase"]);
}

fn copy_signed(world: &World, key: &str, from: &str, to: &str) {
    let key = format!("--sign-by-sigstore-private-key={key}.private");
    world.output(&["copy", "-q", "--all", &key, "--sign-passphrase-file=passphrase", from, to]);
}

/// The exit code for an image that must be signed by one of our keys, in whatever name `identity` wants.
fn judged(world: &World, image: &str, key: &str, identity: &str) -> i32 {
    let key = world.path(&format!("{key}.pub"));
    world.require(&json!([{"type": "sigstoreSigned", "keyPath": key, "signedIdentity": {"type": identity}}]));
    let outcome = world.run(&["verify", "--multi-arch=all", image]);
    world.accept_anything();
    outcome.code
}

/// The payload and the signature in a file beside a `dir:` image.
fn stored(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let document: Value = serde_json::from_slice(bytes.strip_prefix(MAGIC).unwrap()).unwrap();
    let decoded = |value: &Value| BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
    (decoded(&document["payload"]), decoded(&document["annotations"][SIGNATURE]))
}

#[test]
fn our_signature_is_good_for_openssl_after_skopeo_has_carried_it() {
    let (Some(world), Some(openssl)) = (world(), peer("openssl")) else { return };
    generate(&world, "good");
    generate(&world, "other");
    let image = world.image("org/app:1");
    copy_signed(&world, "good", "dir:image", &image);
    world.output_of_skopeo(&["copy", "-q", &image, "dir:carried"]);
    let (payload, signature) = stored(&world.path("carried/signature-1"));
    let verify = |key: &str| {
        let mut command = Command::new(&openssl);
        command.args(["dgst", "-sha256", "-verify"]).arg(world.path(&format!("{key}.pub")));
        command.arg("-signature").arg(world.write("raw signature", &signature));
        finish(command.arg(world.write("payload", &payload))).status.success()
    };
    assert!(verify("good") && !verify("other"));
}

/// A key of openssl's: its private key, and the public one in `name.pub`.
fn openssl_key(world: &World, openssl: &Path, name: &str, options: &[&str]) -> PathBuf {
    let (private, public) = (world.path(&format!("{name}.pem")), world.path(&format!("{name}.pub")));
    run(Command::new(openssl).args(["genpkey", "-quiet", "-out"]).arg(&private).args(options));
    run(Command::new(openssl).args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(public));
    private
}

#[test]
fn openssl_s_signature_is_good_for_us_after_skopeo_has_pushed_it() {
    let (Some(world), Some(openssl)) = (world(), peer("openssl")) else { return };
    openssl_key(&world, &openssl, "other", &["-algorithm=EC", "-pkeyopt=ec_paramgen_curve:P-256"]);
    for (name, options) in [
        ("p256", &["-algorithm=EC", "-pkeyopt=ec_paramgen_curve:P-256"][..]),
        ("rsa", &["-algorithm=RSA", "-pkeyopt=rsa_keygen_bits:2048"]),
    ] {
        let key = openssl_key(&world, &openssl, name, options);
        let repository = format!("org/{name}");
        let (signed, moved) = (format!("{repository}:1"), format!("{repository}:2"));
        let payload = Payload::new(PayloadKind::Sigstore, world.digest(), world.name(&signed)).to_json();
        let mut sign = Command::new(&openssl);
        let signature = run(sign.args(["dgst", "-sha256", "-sign"]).arg(key).arg(world.write("payload", &payload)));
        let document = json!({
            "mimeType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "payload": BASE64_STANDARD.encode(&payload),
            "annotations": {SIGNATURE: BASE64_STANDARD.encode(signature)},
        });
        world.write("image/signature-1", [MAGIC, document.to_string().as_bytes()].concat());
        for image in [&signed, &moved] {
            world.output_of_skopeo(&["copy", "-q", "dir:image", &world.image(image)]);
        }
        assert_eq!(judged(&world, &world.image(&signed), name, "matchExact"), 0, "{name}");
        assert_eq!(judged(&world, &world.image(&moved), name, "matchExact"), 5, "{name}: another tag");
        assert_eq!(judged(&world, &world.image(&moved), name, "matchRepository"), 0, "{name}");
        assert_eq!(judged(&world, &world.image(&signed), "other", "matchExact"), 5, "{name}: another key");
    }
}

#[test]
fn signatures_go_from_registry_to_registry_with_either_program() {
    let Some(world) = world() else { return };
    generate(&world, "good");
    let names = ["ours/app:1", "skopeo/app:1"].map(|name| world.image(name));
    copy_signed(&world, "good", "dir:image", &world.image("org/app:1"));
    let identity = json!({"type": "exactReference", "dockerReference": world.name("org/app:1")});
    world.output(&["copy", "-q", &world.image("org/app:1"), "dir:by us"]);
    world.output_of_skopeo(&["copy", "-q", &world.image("org/app:1"), "dir:by skopeo"]);
    let files = ["by us", "by skopeo"].map(|name| fs::read(world.path(name).join("signature-1")).unwrap());
    assert_eq!(files[0], files[1]);
    world.output(&["copy", "-q", "dir:by skopeo", &names[0]]);
    world.output_of_skopeo(&["copy", "-q", "dir:by us", &names[1]]);
    world.require(&json!([
        {"type": "sigstoreSigned", "keyPath": world.path("good.pub"), "signedIdentity": identity}
    ]));
    for name in &names {
        let judged = world.run(&["verify", name]);
        assert_eq!(judged.code, 0, "{judged:?}");
    }
}

#[test]
fn another_signer_adds_to_what_is_there() {
    let Some(world) = world() else { return };
    let image = world.image("org/app:1");
    let signers = ["one", "two", "three"];
    for key in signers {
        generate(&world, key);
    }
    for (index, key) in signers.iter().enumerate() {
        // The third signs a copy on this machine, and skopeo pushes that.
        if index < 2 {
            copy_signed(&world, key, "dir:image", &image);
        } else {
            world.output(&[
                "copy",
                "-q",
                &format!("--sign-by-sigstore-private-key={key}.private"),
                "--sign-passphrase-file=passphrase",
                &format!("--sign-identity={}", world.name("org/app:1")),
                "dir:image",
                "dir:signed",
            ]);
            world.output_of_skopeo(&["copy", "-q", "dir:signed", &image]);
        }
        for (other, key) in signers.iter().enumerate() {
            let expected = if other <= index { 0 } else { 5 };
            assert_eq!(judged(&world, &image, key, "matchExact"), expected, "{key} after {index}");
        }
        world.output_of_skopeo(&["copy", "-q", &image, "dir:found"]);
        assert!(world.path(&format!("found/signature-{}", index + 1)).exists());
    }
}

#[test]
fn every_instance_of_a_list_is_signed_and_the_list() {
    let Some(world) = world() else { return };
    generate(&world, "good");
    crate::support::local::docker_list(&world.path("list"));
    let image = world.image("org/list:1");
    copy_signed(&world, "good", "dir:list", &image);
    assert_eq!(judged(&world, &image, "good", "matchExact"), 0);
    world.output(&["copy", "-q", "--all", &image, "dir:ours"]);
    world.output_of_skopeo(&["copy", "-q", "--all", &image, "dir:skopeo"]);
    let signatures = |copy: &str| {
        let names = crate::support::local::names(&world.path(copy));
        names.into_iter().filter(|name| name.contains("signature-")).collect::<Vec<_>>()
    };
    assert_eq!(signatures("ours").len(), 3);
    assert_eq!(signatures("ours"), signatures("skopeo"));
}

#[test]
fn skopeo_and_we_say_the_same_of_each_other_s_signatures() {
    let Some(world) = world() else { return };
    generate(&world, "good");
    generate(&world, "other");
    let (ours, theirs, unsigned) =
        (world.image("org/ours:1"), world.image("org/skopeo:1"), world.image("org/unsigned:1"));
    copy_signed(&world, "good", "dir:image", &ours);
    let sign = ["copy", "-q", "--sign-by-sigstore-private-key", "good.private", "--sign-passphrase-file", "passphrase"];
    let Some(signed) = world.run_newer_skopeo(&[&sign[..], &["dir:image", &theirs]].concat()) else { return };
    assert_eq!(signed.code, 0, "{signed:?}");
    world.output(&["copy", "-q", "dir:image", &unsigned]);
    // The same bytes under another tag: only the name tells them apart.
    let moved = [world.image("org/ours:2"), world.image("org/skopeo:2")];
    for image in &moved {
        world.output(&["copy", "-q", "dir:image", image]);
    }
    for (image, key, identity, expected) in [
        (&ours, "good", "matchExact", 0),
        (&theirs, "good", "matchExact", 0),
        (&ours, "other", "matchExact", 5),
        (&theirs, "other", "matchExact", 5),
        (&unsigned, "good", "matchRepository", 5),
        (&moved[0], "good", "matchExact", 5),
        (&moved[1], "good", "matchExact", 5),
        (&moved[0], "good", "matchRepository", 0),
        (&moved[1], "good", "matchRepository", 0),
    ] {
        let public = world.path(&format!("{key}.pub"));
        world.require(&json!([{"type": "sigstoreSigned", "keyPath": public, "signedIdentity": {"type": identity}}]));
        let verified = world.run(&["verify", image]);
        let copied = world.run_newer_skopeo(&["copy", "-q", image, "dir:judged"]).unwrap();
        world.accept_anything();
        assert_eq!(verified.code, expected, "{image} {key} {identity}: {verified:?}");
        assert_eq!(copied.code == 0, expected == 0, "{image} {key} {identity}: {copied:?}");
    }
}

#[test]
fn skopeo_adds_its_signature_beside_ours_and_we_beside_its() {
    let Some(world) = world() else { return };
    for key in ["ours", "theirs"] {
        generate(&world, key);
    }
    for (repository, first_is_ours) in [("org/first", true), ("org/second", false)] {
        let image = world.image(&format!("{repository}:1"));
        let sign = ["copy", "-q", "--sign-by-sigstore-private-key", "theirs.private"];
        let with = ["--sign-passphrase-file", "passphrase", "dir:image", &image];
        let skopeo = || world.run_newer_skopeo(&[&sign[..], &with].concat());
        if first_is_ours {
            copy_signed(&world, "ours", "dir:image", &image);
        }
        let Some(signed) = skopeo() else { return };
        assert_eq!(signed.code, 0, "{signed:?}");
        if !first_is_ours {
            copy_signed(&world, "ours", "dir:image", &image);
        }
        for key in ["ours", "theirs"] {
            assert_eq!(judged(&world, &image, key, "matchExact"), 0, "{repository}: {key}");
        }
    }
}
