//! Signatures without an image around them: gpg's keys, skopeo's signatures, and ours.

use std::fs;
use std::path::Path;

use crate::support::command::run;
use crate::world::{World, match_repo_digest_or_exact, signed_by};

const MANIFEST: &str = "image/manifest.json";
const NAME: &str = "quay.io/org/app:1";

/// The kinds of keys that people have: a name, what gpg makes it of, and a subkey to sign with.
const KINDS: [(&str, &str, Option<&str>); 4] = [
    ("rsa", "rsa2048", None),
    ("ed", "ed25519", None),
    ("rsa-subkey", "ed25519", Some("rsa2048")),
    ("ed-subkey", "rsa2048", Some("ed25519")),
];

/// A key of each kind, made in the world.
fn keys(world: &World) -> Vec<(&'static str, String)> {
    let key = |(name, algorithm, subkey): (&'static str, &str, Option<&str>)| {
        let Some(subkey) = subkey else { return (name, world.gpg.key(name, algorithm)) };
        let fingerprint = world.gpg.key_with(name, &[], &[algorithm, "cert", "never"]);
        run(world.gpg.command().args(["--quick-add-key", &fingerprint, subkey, "sign", "never"]));
        (name, fingerprint)
    };
    KINDS.into_iter().map(key).collect()
}

fn skopeo_signs(world: &World, fingerprint: &str, signature: &str) {
    world.output_of_skopeo(&["standalone-sign", MANIFEST, NAME, fingerprint, "-o", signature]);
}

fn assert_dumps_the_same(world: &World, signature: &str) {
    let ours = world.output(&["untrusted-signature-dump", signature]);
    assert_eq!(ours, world.output_of_skopeo(&["untrusted-signature-dump-without-verification", signature]));
    assert!(ours.contains(&format!("\"UntrustedDockerReference\": \"{NAME}\"")), "{ours}");
}

fn verify<'a>(fingerprint: &'a str, signature: &'a str, keys: &'a str) -> [&'a str; 7] {
    ["standalone-verify", MANIFEST, NAME, fingerprint, signature, "--public-key-file", keys]
}

#[test]
fn skopeo_s_signatures_by_every_kind_of_key_are_good_for_us() {
    let Some(world) = World::new() else { return };
    for (name, fingerprint) in keys(&world) {
        let (signature, keys) = (format!("{name}.skopeo"), format!("{name}.pub"));
        skopeo_signs(&world, &fingerprint, &signature);
        world.gpg.public(name);
        // The certificate's fingerprint is a name of the signer, and that of the key that signed is another.
        for named in world.gpg.fingerprints(name).iter().map(String::as_str).chain(["any"]) {
            let said = world.output(&verify(named, &signature, &keys));
            assert!(said.contains(&fingerprint), "{name}: {said}");
        }
        assert_dumps_the_same(&world, &signature);
    }
    world.run(&verify("any", "rsa.skopeo", "ed.pub")).assert_fails(1, &["signed by the key"]);
    let other = world.gpg.fingerprints("ed").remove(0);
    world.run(&verify(&other, "rsa.skopeo", "rsa.pub")).assert_fails(1, &["signed by", "expected"]);
}

#[test]
fn our_signatures_by_every_kind_of_key_are_good_for_skopeo_and_gpg() {
    let Some(world) = World::new() else { return };
    for (name, _) in keys(&world) {
        let mut files = vec![world.gpg.secret(name, &[])];
        if name.ends_with("-subkey") {
            files.push(world.gpg.secret_subkeys(name));
        }
        for (number, key) in files.iter().enumerate() {
            let signature = format!("{name}.{number}");
            world.output(&["standalone-sign", MANIFEST, NAME, key.to_str().unwrap(), "-o", &signature]);
            assert_good_for_peers(&world, name, &signature);
        }
    }
}

/// skopeo wants the fingerprint of the very key that signed.
fn assert_good_for_peers(world: &World, name: &str, signature: &str) {
    assert!(world.gpg.verifies(&world.path(signature)), "{name}");
    let signer = world.gpg.fingerprints(name).pop().unwrap();
    world.output_of_skopeo(&["standalone-verify", MANIFEST, NAME, &signer, signature]);
    let other = "quay.io/org/app:2";
    assert_ne!(world.run_skopeo(&["standalone-verify", MANIFEST, other, &signer, signature]).code, 0);
    assert_dumps_the_same(world, signature);
}

#[test]
fn a_key_that_gpg_protects_signs_with_its_passphrase_alone() {
    let Some(world) = World::new() else { return };
    let passphrase = "--passphrase=open sesame";
    world.write("right", "open sesame\n");
    world.write("wrong", "open barley\n");
    for (name, algorithm) in [("rsa", "rsa2048"), ("ed", "ed25519")] {
        world.gpg.key_with(name, &[passphrase], &[algorithm, "sign", "never"]);
        let key = world.gpg.secret(name, &[passphrase]);
        let sign = ["standalone-sign", MANIFEST, NAME, key.to_str().unwrap(), "-o", name];
        world.run(&sign).assert_fails(1, &["a passphrase is needed", "--passphrase-file"]);
        world.run(&[&sign[..], &["--passphrase-file=wrong"]].concat()).assert_fails(1, &["does not fit the key"]);
        assert!(!world.path(name).exists());
        world.output(&[&sign[..], &["--passphrase-file=right"]].concat());
        assert_good_for_peers(&world, name, name);
    }
}

#[test]
fn the_signatures_of_a_key_that_has_expired_are_good_for_nobody() {
    let Some(world) = World::new() else { return };
    let past = ["--faked-system-time=20200101T000000"];
    let fingerprint = world.gpg.key_with("old", &past, &["ed25519", "sign", "never"]);
    skopeo_signs(&world, &fingerprint, "old.signature");
    let living = world.gpg.public("old");
    fs::rename(&living, world.path("living.pub")).unwrap();
    world.output(&verify("any", "old.signature", "living.pub"));

    let later = "--faked-system-time=20200201T000000";
    run(world.gpg.command().args([later, "--quick-set-expire", &fingerprint, "1d"]));
    let (public, secret) = (world.gpg.public("old"), world.gpg.secret("old", &[]));
    world.run(&verify("any", "old.signature", "old.pub")).assert_fails(1, &["cannot be accepted", "Expired on 2020"]);
    let judged = world.run_skopeo(&["standalone-verify", MANIFEST, NAME, &fingerprint, "old.signature"]);
    assert_ne!(judged.code, 0, "{judged:?}");

    let sign = ["standalone-sign", MANIFEST, NAME, secret.to_str().unwrap(), "-o", "new.signature"];
    world.run(&sign).assert_fails(1, &["cannot sign", "Expired on 2020"]);
    let signed = world.run_skopeo(&["standalone-sign", MANIFEST, NAME, &fingerprint, "-o", "new.signature"]);
    assert_ne!(signed.code, 0, "{signed:?}");
    assert_in_a_policy(&world, "old.signature", &world.path("living.pub"), 0);
    assert_in_a_policy(&world, "old.signature", &public, 5);
}

#[test]
fn what_skopeo_signs_alone_counts_in_a_policy() {
    let Some(world) = World::new() else { return };
    for (name, fingerprint) in keys(&world) {
        skopeo_signs(&world, &fingerprint, name);
        let key = world.gpg.public(name);
        assert_in_a_policy(&world, name, &key, 0);
    }
    assert_in_a_policy(&world, "rsa", &world.path("ed.pub"), 5);
}

/// The signature beside the image, judged as that of [`NAME`].
fn assert_in_a_policy(world: &World, signature: &str, key: &Path, code: i32) {
    fs::copy(world.path(signature), world.path("image/signature-1")).unwrap();
    world.require(&signed_by(key, &match_repo_digest_or_exact()));
    let judged = world.run(&["verify", "--offline=image", NAME]);
    assert_eq!(judged.code, code, "{signature} {}: {judged:?}", key.display());
}
