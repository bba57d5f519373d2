//! Whether an image may be copied.

use serde_json::json;

use crate::program::Program;
use crate::support::local::docker_image;

/// A program, and an image `dir:image` in its home.
fn with_image() -> Program {
    let program = Program::new();
    docker_image(&program.path("image"), "seed", &["one"]);
    program
}

#[test]
fn accepted_is_copied() {
    let program = with_image();
    program.output(&["copy", "-q", "dir:image", "dir:copy"]);
    assert!(program.path("copy/manifest.json").exists());
}

#[test]
fn what_a_policy_rejects_is_5_and_nothing_is_there() {
    let program = with_image();
    let key = program.write("key.gpg", "");
    for (requirement, reason) in [
        (json!({"type": "reject"}), "everything in this scope is rejected"),
        (
            json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": key}),
            "a signature is required, and there is none",
        ),
        (json!({"type": "signedBy", "keyType": "X509Certificates", "keyPath": key}), "is verified by no program"),
    ] {
        program.policy(&json!({"default": [requirement]}).to_string());
        let outcome = program.run(&["copy", "dir:image", "dir:refused"]);
        outcome.assert_fails(5, &["dir:image is rejected by policy (default)", reason, "hint: "]);
        assert!(!program.path("refused/manifest.json").exists());
    }
}

#[test]
fn the_scope_of_the_real_path_decides() {
    let program = with_image();
    std::os::unix::fs::symlink(program.path("image"), program.path("link")).unwrap();
    let scope = std::fs::canonicalize(program.path("image")).unwrap();
    let accept = json!([{"type": "insecureAcceptAnything"}]);
    let policy = json!({"default": [{"type": "reject"}], "transports": {"dir": {scope.to_str().unwrap(): accept}}});
    program.policy(&policy.to_string());
    program.output(&["copy", "-q", "dir:link", "dir:copy"]);
    let explained = program.output(&["explain", "--json", "dir:link"]);
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
    assert_eq!(explained["policy"]["identity"], scope.to_str().unwrap());
    assert_eq!(
        explained["requirements"],
        json!({"scope": format!("dir:{}", scope.display()), "types": ["insecureAcceptAnything"]})
    );
}

#[test]
fn another_policy_can_be_named_or_none_be_wanted() {
    let program = with_image();
    program.policy(r#"{"default": [{"type": "reject"}]}"#);
    let other = program.write("other.json", crate::program::ACCEPT_ANYTHING);
    let policy = format!("--policy={}", other.display());
    program.output(&["copy", "-q", &policy, "dir:image", "dir:copy"]);
    program.output(&["--insecure-policy", "copy", "-q", "dir:image", "oci:layout:copy"]);
}

#[test]
fn a_policy_that_cannot_be_read_stops_the_copy_before_anything_else() {
    let program = with_image();
    program
        .run(&["copy", "--policy=missing.json", "dir:image", "dir:d"])
        .assert_fails(1, &["missing.json", "No such file"]);
    program.policy("{\n\"default\": [}");
    program.run(&["copy", "dir:image", "dir:d"]).assert_fails(1, &["policy.json:2:"]);
    program.policy(r#"{"default": [{"type": "unheard-of"}]}"#);
    program.run(&["copy", "dir:image", "dir:d"]).assert_fails(1, &["policy.json:1:", "unheard-of"]);
    assert!(!program.path("d").exists());
}

#[test]
fn inspect_needs_no_policy() {
    let program = with_image();
    program.policy("not a policy");
    program.output(&["inspect", "dir:image"]);
    program.output(&["inspect", "--raw", "dir:image"]);
}
