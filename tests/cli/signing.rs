//! Signatures on the command line: made, carried, left behind, verified.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::program::{Program, files};
use crate::signing_keys::{DAY, builder, certificate, public, secret};
use crate::support::local::{docker_image, docker_list};

const NAME: &str = "quay.io/org/app:1";

/// A program with an image `dir:image`, alice's keys, and a policy that wants her signature.
fn with_alice() -> (Program, sequoia_openpgp::Cert) {
    let (program, alice) = (Program::new(), certificate("alice", DAY));
    docker_image(&program.path("image"), "seed", &["one"]);
    fs::write(program.path("secret.gpg"), secret(&alice)).unwrap();
    fs::write(program.path("public.gpg"), public(&alice)).unwrap();
    let signed = json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": program.path("public.gpg")});
    program.write("signed.json", &json!({"default": [signed]}).to_string());
    (program, alice)
}

fn sign_into(program: &Program, destination: &str) {
    let identity = format!("--sign-identity={NAME}");
    program.output(&["copy", "-q", "--sign-by=secret.gpg", &identity, "dir:image", destination]);
}

#[test]
fn a_copy_is_signed_and_verifies_under_its_name() {
    let (program, alice) = with_alice();
    sign_into(&program, "dir:signed");
    assert!(program.path("signed/signature-1").exists());
    let verify = ["verify", "--policy=signed.json", "--offline=signed", NAME];
    let page = program.output(&verify);
    for words in [
        "quay.io/org/app:1\n  verdict                 allowed\n",
        "read from               dir:signed",
        "signedBy                met",
        &format!("signed/signature-1: accepted, {} alice <alice@example.com> for {NAME}", alice.fingerprint()),
    ] {
        assert!(page.contains(words), "no {words:?} in {page}");
    }
    let json = program.run(&["verify", "--json", "--policy=signed.json", "--offline=signed", NAME]).json_lines();
    let [line] = json.as_slice() else { panic!("{json:?}") };
    assert_eq!((&line["verdict"], &line["image"]), (&json!("allowed"), &json!(NAME)));
    assert_eq!((&line["scope"], &line["instance"]), (&json!("default"), &Value::Null));
    assert_eq!(line["requirements"][0]["signatures"][0]["identity"], NAME);
    assert_eq!(line["signatures"][0], json!({"place": "signed/signature-1", "format": "simple-signing"}));
}

#[test]
fn a_refusal_is_5_and_what_nobody_can_tell_is_6() {
    let (program, _) = with_alice();
    sign_into(&program, "dir:signed");
    let verify = |words: &[&str]| {
        let outcome = program.run(&[&["verify", "--json"], words].concat());
        let line = outcome.json_lines().pop().unwrap();
        (outcome.code, line["verdict"].clone(), outcome.stdout)
    };
    let (code, verdict, text) = verify(&["--policy=signed.json", "--offline=image", NAME]);
    assert_eq!((code, &verdict), (5, &json!("refused")), "{text}");
    assert!(text.contains("a signature is required, and there is none"), "{text}");
    let (code, verdict, text) = verify(&["--policy=signed.json", "--offline=signed", "quay.io/org/app:2"]);
    assert_eq!((code, &verdict), (5, &json!("refused")), "{text}");
    fs::remove_file(program.path("public.gpg")).unwrap();
    let (code, verdict, text) = verify(&["--policy=signed.json", "--offline=signed", NAME]);
    assert_eq!((code, &verdict), (6, &json!("undecided")), "{text}");
    assert!(text.contains("public.gpg: No such file"), "{text}");
    let (code, _, text) = verify(&["--offline=nowhere", NAME]);
    assert_eq!(code, 6, "{text}");
    let (code, verdict, text) = verify(&[
        "--insecure-policy",
        "--offline=dir:signed",
        "quay.io/org/app@sha256:\
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]);
    assert_eq!((code, &verdict), (5, &json!("refused")), "{text}");
    // Of several images a refusal counts more than what nobody can tell.
    program.policy(r#"{"default": [{"type": "reject"}]}"#);
    let outcome = program.run(&["verify", "--json", "dir:missing", "dir:image"]);
    assert_eq!((outcome.code, outcome.json_lines().len()), (5, 2), "{outcome:?}");
    let copy = program.run(&["copy", "--policy=signed.json", "dir:image", "dir:copy"]);
    copy.assert_fails(6, &["cannot tell whether dir:image is allowed", "public.gpg"]);
}

#[test]
fn a_no_stays_a_no_when_nobody_reads_it() {
    let (program, _) = with_alice();
    for (words, code) in [
        (&["verify", "--policy=signed.json", "dir:image"][..], 5),
        (&["verify", "--json", "--policy=signed.json", "dir:image", "dir:missing"], 5),
        (&["verify", "dir:missing"], 6),
        (&["explain", "docker://UPPER"], 1),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program.command().args(words).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
    }
}

#[test]
fn what_the_policy_refuses_is_refused_before_anybody_is_asked() {
    let (program, _) = with_alice();
    program.policy(r#"{"default": [{"type": "reject"}]}"#);
    let closed = crate::support::closed_port::ClosedPort::new();
    let nobody = format!("docker://{}/app:1", closed.address());
    assert_eq!(program.run(&["verify", &nobody]).code, 5);
    program.run(&["copy", &nobody, "dir:copy"]).assert_fails(5, &["everything in this scope is rejected"]);
}

#[test]
fn names_that_are_none_are_wrong_usage() {
    let (program, _) = with_alice();
    program.run(&["verify", "dir:image", "docker://UPPER/x:1"]).assert_fails(2, &["docker://UPPER/x:1"]);
    program.run(&["verify", "--offline=image", "a", "b"]).assert_fails(2, &["name one IMAGE"]);
}

#[test]
fn signatures_that_must_be_required_are_missed() {
    let (program, _) = with_alice();
    let outcome = program.run(&["copy", "--require-signed", "dir:image", "dir:copy"]);
    outcome.assert_fails(5, &["signatures must be verified, and nothing in the policy does that"]);
    program.output(&["verify", "dir:image"]);
    assert_eq!(program.run(&["verify", "--require-signed", "dir:image"]).code, 5);
}

#[test]
fn signatures_go_along_are_replaced_with_the_image_and_can_be_left_behind() {
    let (program, _) = with_alice();
    sign_into(&program, "dir:signed");
    program.output(&["copy", "-q", "dir:signed", "dir:copy"]);
    let [signed, copied] = ["signed", "copy"].map(|name| fs::read(program.path(name).join("signature-1")).unwrap());
    assert_eq!(signed, copied);
    program.output(&["copy", "-q", "--remove-signatures", "dir:signed", "dir:copy"]);
    assert!(!files(&program.path("copy")).contains(&"signature-1".to_owned()));
    // A second signer comes beside the first.
    let bob = certificate("bob", DAY);
    fs::write(program.path("bob.gpg"), secret(&bob)).unwrap();
    let identity = format!("--sign-identity={NAME}");
    program.output(&["copy", "-q", "--sign-by=bob.gpg", &identity, "dir:signed", "dir:copy"]);
    assert!(program.path("copy/signature-2").exists());
}

#[test]
fn a_place_that_cannot_keep_signatures_says_so_before_it_is_touched() {
    let (program, _) = with_alice();
    sign_into(&program, "dir:signed");
    let outcome = program.run(&["copy", "-q", "dir:signed", "oci:layout:app"]);
    outcome.assert_fails(1, &["--remove-signatures"]);
    assert!(!program.path("layout/index.json").exists());
    program.output(&["copy", "-q", "--remove-signatures", "dir:signed", "oci:layout:app"]);
    let outcome =
        program.run(&["copy", "-q", "--sign-by=secret.gpg", "--sign-identity", NAME, "dir:image", "oci:new:app"]);
    outcome.assert_fails(1, &["--remove-signatures"]);
}

#[test]
fn signing_needs_a_name_a_key_and_its_passphrase() {
    let (program, _) = with_alice();
    let locked = builder("locked", DAY).set_password(Some("correct horse".into())).generate().unwrap().0;
    fs::write(program.path("locked.gpg"), secret(&locked)).unwrap();
    program.write("passphrase", "correct horse\n");
    program.write("wrong", "another one\n");
    let copy = |words: &[&str]| program.run(&[&["copy", "-q"], words, &["dir:image", "dir:copy"]].concat());
    assert_eq!(copy(&["--sign-identity=quay.io/org/app:1"]).code, 2);
    assert_eq!(copy(&["--sign-passphrase-file=passphrase"]).code, 2);
    copy(&["--sign-by=secret.gpg"]).assert_fails(1, &["dir:copy has no name that can be signed", "--sign-identity"]);
    let named = "--sign-identity=quay.io/org/app:1";
    copy(&["--sign-by=secret.gpg", "--sign-identity=quay.io/org/app"]).assert_fails(1, &["needs a tag or a digest"]);
    copy(&["--sign-by=missing.gpg", named]).assert_fails(1, &["missing.gpg: No such file"]);
    copy(&["--sign-by=public.gpg", named])
        .assert_fails(1, &["public.gpg: there is no secret key", "--export-secret-keys"]);
    copy(&["--sign-by=locked.gpg", named]).assert_fails(1, &["passphrase is needed", "--sign-passphrase-file"]);
    let wrong = copy(&["--sign-by=locked.gpg", "--sign-passphrase-file=wrong", named]);
    wrong.assert_fails(1, &["locked.gpg: the passphrase does not fit"]);
    assert!(!program.path("copy/manifest.json").exists());
    let right = copy(&["--sign-by=locked.gpg", "--sign-passphrase-file=passphrase", named]);
    assert_eq!(right.code, 0, "{right:?}");
}

#[test]
fn of_an_index_every_manifest_is_signed_and_judged_by_its_own_signature() {
    let (program, _) = with_alice();
    fs::remove_dir_all(program.path("image")).unwrap();
    docker_list(&program.path("image"));
    let identity = format!("--sign-identity={NAME}");
    program.output(&["copy", "-q", "--all", "--sign-by=secret.gpg", &identity, "dir:image", "dir:signed"]);
    let signatures: Vec<_> =
        files(&program.path("signed")).into_iter().filter(|name| name.contains("signature")).collect();
    assert_eq!(signatures.len(), 3, "{signatures:?}");
    let verify = |words: &[&str]| {
        let fixed = ["verify", "--json", "--policy=signed.json", "--offline=signed", NAME];
        let outcome = program.run(&[&fixed, words].concat());
        (outcome.code, outcome.json_lines())
    };
    let (code, lines) = verify(&["--multi-arch=all"]);
    assert_eq!((code, lines.len()), (0, 3), "{lines:?}");
    let instance = signatures.iter().find(|name| *name != "signature-1").unwrap();
    fs::remove_file(program.path("signed").join(instance)).unwrap();
    let (code, lines) = verify(&["--multi-arch=all"]);
    assert_eq!((code, lines.iter().filter(|line| line["verdict"] == "refused").count()), (5, 1), "{lines:?}");
    assert_eq!(verify(&["--multi-arch=index-only"]).0, 0);
    let all = program.run(&["copy", "-q", "--all", "--policy=signed.json", "dir:signed", "dir:copy"]);
    assert_eq!(all.code, 5, "{all:?}");
}

#[test]
fn a_manifest_file_is_signed_verified_and_told_apart_from_others() {
    let (program, alice) = with_alice();
    let sign = ["standalone-sign", "image/manifest.json", NAME, "secret.gpg", "--output=signature"];
    program.output(&sign);
    let verify = |reference: &str, keys: &str, manifest: &str| {
        program.run(&["standalone-verify", manifest, reference, keys, "signature", "--public-key-file=public.gpg"])
    };
    let fingerprint = alice.fingerprint().to_hex();
    let digest = transship::Digest::sha256(&fs::read(program.path("image/manifest.json")).unwrap());
    let good = verify(NAME, &fingerprint.to_lowercase(), "image/manifest.json");
    assert_eq!(
        good.stdout,
        format!("Signature verified using fingerprint {fingerprint}, digest {digest}\n"),
        "{good:?}"
    );
    assert_eq!(verify(NAME, "any", "image/manifest.json").code, 0);
    assert_eq!(verify(NAME, &format!("0123,{fingerprint}"), "image/manifest.json").code, 0);
    verify(NAME, "0123", "image/manifest.json").assert_fails(1, &["expected 0123"]);
    verify("quay.io/org/app:2", "any", "image/manifest.json").assert_fails(1, &["not for quay.io/org/app:2"]);
    verify(NAME, "any", "image/version").assert_fails(1, &["not for sha256:"]);
    let dump: Value = serde_json::from_str(&program.output(&["untrusted-signature-dump", "signature"])).unwrap();
    assert_eq!(dump["UntrustedDockerReference"], NAME);
    assert_eq!(dump["UntrustedDockerManifestDigest"], digest.as_str());
    assert_eq!(dump["UntrustedShortKeyIdentifier"], fingerprint[24..]);
    let none = program.run(&["untrusted-signature-dump", "image/manifest.json"]);
    none.assert_fails(1, &["neither OpenPGP nor the name of a format"]);
}

#[test]
fn a_signature_replaces_a_file_whole_or_not_at_all() {
    let (program, _) = with_alice();
    program.write("signature", "old");
    let missing = ["standalone-sign", "no-manifest", NAME, "secret.gpg", "--output=signature"];
    program.run(&missing).assert_fails(1, &["no-manifest: No such file"]);
    assert_eq!(fs::read(program.path("signature")).unwrap(), b"old");
    let to_stdout = ["standalone-sign", "image/manifest.json", NAME, "secret.gpg", "--output=/dev/stdout"];
    let written = crate::support::command::finish(program.command().args(to_stdout));
    assert!(written.status.success() && !written.stdout.is_empty());
}

#[test]
fn a_sigstore_key_signs_what_its_public_half_verifies_and_is_never_overwritten() {
    let (program, _) = with_alice();
    program.write("passphrase", "secret");
    let generate = ["generate-sigstore-key", "--output-prefix=key", "--passphrase-file=passphrase"];
    assert_eq!(program.output(&generate), "Key written to \"key.private\" and \"key.pub\"\n");
    let mode =
        |name: &str| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(program.path(name)).unwrap().permissions());
    assert_eq!(mode("key.private") & 0o777, 0o600);
    let before: Vec<PathBuf> = vec![program.path("key.private"), program.path("key.pub")];
    let contents: Vec<_> = before.iter().map(|path| fs::read(path).unwrap()).collect();
    program.run(&generate).assert_fails(1, &["key.private: there is a file already"]);
    fs::remove_file(program.path("key.private")).unwrap();
    program.run(&generate).assert_fails(1, &["key.pub: there is a file already"]);
    assert!(!program.path("key.private").exists());
    fs::write(program.path("key.private"), &contents[0]).unwrap();
    let (key, identity) = ("--sign-by-sigstore-private-key=key.private", format!("--sign-identity={NAME}"));
    let sign = ["copy", "-q", key, "--sign-passphrase-file=passphrase", &identity, "dir:image", "dir:signed"];
    program.output(&sign);
    let requirement = json!({"type": "sigstoreSigned", "keyPath": program.path("key.pub")});
    program.policy(&json!({"default": [requirement]}).to_string());
    program.output(&["verify", "--offline=signed", NAME]);
    program.write("passphrase", "wrong");
    program.run(&sign).assert_fails(1, &["key.private: ", "passphrase"]);
}
