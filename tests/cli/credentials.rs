//! Flags about credentials.

use std::io::Write as _;
use std::process::Stdio;

use crate::program::Program;
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};

const HTTP: &str = "--tls-verify=false";

fn registry() -> (RunningRegistry, String) {
    let image = Image::with_layers(["one"]);
    let registry = Registry::new().image("org/app", "1", &image).requiring_basic("alice", "pass:word").serve();
    let image = format!("docker://{}", registry.reference("org/app:1"));
    (registry, image)
}

#[test]
fn a_password_may_have_a_colon_in_it() {
    let (_registry, image) = registry();
    Program::new().output(&["inspect", HTTP, "--creds=alice:pass:word", &image]);
}

#[test]
fn user_and_password_may_be_given_apart() {
    let (_registry, image) = registry();
    let program = Program::new();
    program.output(&["inspect", HTTP, "--username=alice", "--password=pass:word", &image]);
    program.output(&[
        "copy",
        "-q",
        "--src-tls-verify=false",
        "--src-username=alice",
        "--src-password=pass:word",
        &image,
        "dir:d",
    ]);
    program.run(&["inspect", "-n", HTTP, "--username=alice", "--password=c4n4ry", &image]).assert_fails(4, &["401"]);
    // The registry takes nothing, and says so only to those whom it knows.
    for (username, code) in [("alice", 1), ("bob", 4)] {
        let account = [format!("--dest-username={username}"), "--dest-password=pass:word".to_owned()];
        let words = ["copy", "-q", "--dest-tls-verify=false", &account[0], &account[1], "dir:d", &image];
        assert_eq!(program.run(&words).code, code, "{username}");
    }
    for words in [
        &["--username=a:b", "--password=c4n4ry"][..],
        &["--username=", "--password=c4n4ry"],
        &["--password=c4n4ry"],
        &["--username=a", "--password=c4n4ry", "--creds=a:b"],
        &["--username=a", "--password=c4n4ry", "--no-creds"],
    ] {
        let outcome = program.run(&[&["inspect", "docker://a"][..], words].concat());
        assert!(outcome.code == 2 && !outcome.stderr.contains("c4n4ry"), "{words:?} {outcome:?}");
    }
}

#[test]
fn without_a_password_a_line_of_standard_input_is_it() {
    let (_registry, image) = registry();
    for (typed, code) in [("pass:word\n", 0), ("pass:word\r\nmore\n", 0), ("pass:word", 0), ("other\n", 4), ("", 1)] {
        let program = Program::new();
        let mut command = program.command();
        command.args(["inspect", "-n", HTTP, "--creds=alice", &image]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{typed:?}: {stderr}");
        assert!(!stderr.contains("pass:word"), "{stderr}");
    }
}

#[test]
fn credentials_need_a_user() {
    let (_registry, image) = registry();
    Program::new().run(&["inspect", HTTP, "--creds=:x", &image]).assert_fails(1, &["need a user name"]);
}

#[test]
fn an_auth_file_is_used_and_a_named_one_must_exist() {
    let (registry, image) = registry();
    let program = Program::new();
    let auth = format!(r#"{{"auths": {{"{}": {{"auth": "YWxpY2U6cGFzczp3b3Jk"}}}}}}"#, registry.authority());
    program.write("auth.json", &auth);
    program.output(&["inspect", HTTP, "--authfile=auth.json", &image]);
    program.output(&["copy", "-q", "--src-tls-verify=false", "--authfile=auth.json", &image, "dir:d"]);
    program.output(&[
        "copy",
        "-q",
        "--src-tls-verify=false",
        "--src-authfile=auth.json",
        "--authfile=no",
        &image,
        "dir:d",
    ]);
    program.run(&["inspect", "-n", HTTP, "--authfile=no.json", &image]).assert_fails(1, &["no.json"]);
    program.run(&["inspect", "-n", HTTP, "--no-creds", "--authfile=auth.json", &image]).assert_fails(4, &["401"]);
}

#[test]
fn no_message_has_the_password_in_it() {
    let (_registry, image) = registry();
    let program = Program::new();
    for words in [&["--creds=alice:c4n4ry"][..], &["--registry-token=c4n4ry"], &["--debug", "--creds=alice:c4n4ry"]] {
        let outcome = program.run(&[&["inspect", "-n", HTTP, &image][..], words].concat());
        assert_eq!(outcome.code, 4, "{outcome:?}");
        assert!(!outcome.stderr.contains("c4n4ry") && !outcome.stderr.contains("YWxpY2U6YzRuNHJ5"), "{outcome:?}");
    }
    // Wrong usage repeats words, but not these.
    let outcome = program.run(&["inspect", "--creds=alice:c4n4ry", "--no-creds", "docker://a"]);
    assert!(outcome.code == 2 && !outcome.stderr.contains("c4n4ry"), "{outcome:?}");
}
