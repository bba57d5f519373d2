//! Where signatures are kept, and what does not keep any.

use std::fs;
use std::process::Command;

use crate::program::Outcome;
use crate::support::signature_store::directory;
use crate::world::Verdict::{Allowed, Refused};
use crate::world::{World, match_repo_digest_or_exact, signed_by};

/// A signed image `org/app:1`, signed by skopeo with the key `good.pub`.
fn signed() -> Option<World> {
    let world = World::new()?;
    world.file_store();
    let fingerprint = world.gpg.key("good", "ed25519");
    world.gpg.public("good");
    world.output_of_skopeo(&["copy", "-q", "--sign-by", &fingerprint, "dir:image", &world.image("org/app:1")]);
    Some(world)
}

#[test]
fn the_store_has_the_files_that_skopeo_writes() {
    let Some(world) = signed() else { return };
    let secret = world.gpg.secret("good", &[]);
    world.output(&["copy", "-q", "--sign-by", secret.to_str().unwrap(), "dir:image", &world.image("org/ours:1")]);
    let names: Vec<_> = crate::support::local::names(&world.path("store")).into_iter().collect();
    let name = |repository| directory(repository, &world.digest()) + "signature-1";
    assert_eq!(names, [name("org/app"), name("org/ours")]);
}

#[test]
fn without_a_configured_store_the_user_s_directory_is_the_store() {
    let Some(world) = World::new() else { return };
    let fingerprint = world.gpg.key("good", "ed25519");
    let (public, secret) = (world.gpg.public("good"), world.gpg.secret("good", &[]));
    // Whoever runs the tests, root included, is an ordinary user here.
    let user =
        |mut command: Command, words: &[&str]| Outcome::of(command.env("_CONTAINERS_ROOTLESS_UID", "1000").args(words));
    let (ours, skopeos) = (world.image("org/ours:1"), world.image("org/skopeo:1"));
    let copied = user(world.ours(), &["copy", "-q", "--sign-by", secret.to_str().unwrap(), "dir:image", &ours]);
    assert_eq!(copied.code, 0, "{copied:?}");
    let copied = user(world.skopeo(), &["copy", "-q", "--sign-by", &fingerprint, "dir:image", &skopeos]);
    assert_eq!(copied.code, 0, "{copied:?}");
    let names: Vec<_> =
        crate::support::local::names(&world.path(".local/share/containers/sigstore")).into_iter().collect();
    let name = |repository| directory(repository, &world.digest()) + "signature-1";
    assert_eq!(names, [name("org/ours"), name("org/skopeo")]);
    world.require(&signed_by(&public, &match_repo_digest_or_exact()));
    for image in [&ours, &skopeos] {
        for command in [world.ours(), world.skopeo()] {
            let copied = user(command, &["copy", "-q", image, "dir:copy"]);
            assert_eq!(copied.code, 0, "{copied:?}");
        }
    }
}

#[test]
fn signatures_go_from_registry_to_directory_to_registry_with_either_program() {
    let Some(world) = signed() else { return };
    let original = fs::read(world.stored("org/app", 1)).unwrap();
    world.output(&["copy", "-q", &world.image("org/app:1"), "dir:by us"]);
    world.output_of_skopeo(&["copy", "-q", &world.image("org/app:1"), "dir:by skopeo"]);
    for directory in ["by us", "by skopeo"] {
        assert_eq!(fs::read(world.path(directory).join("signature-1")).unwrap(), original, "{directory}");
    }
    world.output(&["copy", "-q", "dir:by skopeo", &world.image("copy/ours:1")]);
    world.output_of_skopeo(&["copy", "-q", "dir:by us", &world.image("copy/skopeo:1")]);
    let identity = serde_json::json!({"type": "exactReference", "dockerReference": world.name("org/app:1")});
    world.require(&signed_by(&world.path("good.pub"), &identity));
    for repository in ["copy/ours", "copy/skopeo"] {
        assert_eq!(fs::read(world.stored(repository, 1)).unwrap(), original, "{repository}");
        world.assert_verdict("carried", &world.image(&format!("{repository}:1")), Allowed);
    }
}

#[test]
fn removed_signatures_are_not_carried_and_the_digest_is_the_same() {
    let Some(world) = signed() else { return };
    let digest = world.digest().to_string();
    for (options, is_there) in [(&[][..], true), (&["--remove-signatures"], false)] {
        for (program, mut command) in [("ours", world.ours()), ("skopeo", world.skopeo())] {
            let copy = format!("{program}-{is_there}");
            command.args(["copy", "-q", "--digestfile", "digest"]).args(options);
            let outcome = Outcome::of(command.arg(world.image("org/app:1")).arg(format!("dir:{copy}")));
            assert_eq!(outcome.code, 0, "{outcome:?}");
            assert_eq!(world.path(&copy).join("signature-1").exists(), is_there, "{copy}");
            assert_eq!(fs::read_to_string(world.path("digest")).unwrap(), digest, "{copy}");
        }
    }
    world.output(&["copy", "-q", "--remove-signatures", &world.image("org/app:1"), &world.image("org/bare:1")]);
    assert!(!world.stored("org/bare", 1).exists());
    world.require(&signed_by(&world.path("good.pub"), &match_repo_digest_or_exact()));
    world.assert_verdict("removed", &world.image("org/bare:1"), Refused);
    // Whoever leaves signatures behind has looked at them first.
    world.output(&["copy", "-q", "--remove-signatures", &world.image("org/app:1"), "oci:layout:app"]);
}

#[test]
fn a_layout_keeps_no_signatures_so_nothing_is_written_unless_they_are_left_behind() {
    let Some(world) = signed() else { return };
    crate::support::local::docker_image(&world.path("other"), "other", &["three"]);
    let image = world.image("org/app:1");
    let copy = ["copy", "-q", &image, "oci:layout:app"];
    let refused = world.run(&[&copy[..], &["--digestfile=digest"]].concat());
    refused.assert_fails(1, &["an OCI layout cannot hold signatures", "--remove-signatures"]);
    assert!(!world.path("layout/index.json").exists() && !world.path("digest").exists());
    assert_ne!(world.run_skopeo(&copy).code, 0);
    for program in ["ours", "skopeo"] {
        let to = format!("oci:{program}:app");
        let words = ["copy", "-q", "--remove-signatures", &image, &to];
        let outcome = if program == "ours" { world.run(&words) } else { world.run_skopeo(&words) };
        assert_eq!(outcome.code, 0, "{program}: {outcome:?}");
    }
    world.run(&["copy", "-q", "dir:image", "oci:layout:app", "--sign-by=good.key"]).assert_fails(1, &["good.key"]);
    let secret = world.gpg.secret("good", &[]);
    let sign = format!("--sign-by={}", secret.display());
    world
        .run(&["copy", "-q", "dir:image", "oci:layout:app", &sign])
        .assert_fails(1, &["has no name that can be signed", "--sign-identity"]);
    world
        .run(&["copy", "-q", "dir:image", "oci:layout:app", &sign, "--sign-identity=quay.io/org/app:1"])
        .assert_fails(1, &["an OCI layout cannot hold signatures"]);
    assert!(!world.path("layout/index.json").exists());
}
