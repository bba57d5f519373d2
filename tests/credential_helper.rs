//! Credential helpers as programs: the protocol, and helpers that misbehave.
#![cfg(unix)]
#![allow(unreachable_pub, reason = "modules shared by several tests")]

use std::time::Duration;

use transship::config::credential_helper::{Error, HelperRunner};
use transship::config::credentials::Credentials;

#[path = "support/helpers.rs"]
mod helpers;

use helpers::Helpers;

fn get(script: &str) -> Result<Option<Credentials>, Error> {
    Helpers::new().with("test", script).runner().get("test", "quay.io")
}

#[test]
fn the_word_get_is_the_argument_and_the_server_is_the_input() {
    let answer = get(r#"printf '{"ServerURL": "x", "Username": "%s", "Secret": "%s"}' "$*" "$(cat)""#).unwrap();
    assert_eq!(answer, Some(Credentials::basic("get", "quay.io")));
}

#[test]
fn the_user_name_token_marks_an_identity_token() {
    let answer = get(r#"echo '{"Username": "<token>", "Secret": "t"}'"#).unwrap().unwrap();
    assert_eq!(answer, Credentials::basic("", "").with_identity_token("t"));
}

#[test]
fn member_names_in_lower_case_and_more_output_after_the_answer_are_accepted() {
    let answer = get(r#"echo '{"username": "u", "secret": "s"} and more'"#).unwrap();
    assert_eq!(answer, Some(Credentials::basic("u", "s")));
}

#[test]
fn no_credentials_is_not_an_error() {
    assert_eq!(get("echo credentials not found in native keychain; exit 1").unwrap(), None);
    assert_eq!(get(r#"echo '{"Username": "", "Secret": ""}'"#).unwrap(), None);
    assert_eq!(get("echo null").unwrap(), None);
}

#[test]
fn the_message_for_no_credentials_counts_only_with_a_failure() {
    assert!(matches!(get("echo credentials not found in native keychain"), Err(Error::Answer { .. })));
}

#[test]
fn a_failure_is_told_in_the_helpers_words_without_control_characters() {
    let error = get("printf 'pass is not\\033[31m initialized'; echo locked >&2; exit 3").unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Failed { .. }));
    assert!(text.ends_with("(exit status: 3): pass is not [31m initialized; locked"), "{text}");
}

#[test]
fn a_long_message_is_shortened() {
    let error = get("yes complaint | head -c 100000 >&2; exit 1").unwrap_err().to_string();
    assert!(error.ends_with('…') && error.len() < 1000, "{error}");
}

#[test]
fn no_error_shows_what_looks_like_an_answer() {
    for script in [
        r#"echo '{"Username": "u", "Secret": "hunter2"}'; exit 1"#,
        r#"echo '{"Username": "u", "Secret": "hunter2"'"#,
        r#"echo '{"Username": "u", "Secret": ["hunter2"]}'"#,
        r#"echo '"hunter2"'"#,
        "echo hunter2",
    ] {
        let error = get(script).unwrap_err();
        let text = format!("{} {error:?}", transship::error::one_line(&error));
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn an_answer_without_an_end_is_cut_off() {
    assert!(matches!(get("yes 1"), Err(Error::TooLong { .. })));
}

#[test]
fn a_helper_that_hangs_is_stopped() {
    let helpers = Helpers::new().with("hang", "exec sleep 1000");
    let runner = helpers.runner().with_timeout(Duration::from_millis(20));
    assert!(matches!(runner.get("hang", "quay.io"), Err(Error::TimedOut { server, .. }) if server == "quay.io"));
}

#[test]
fn a_helper_that_hangs_after_closing_its_output_is_stopped() {
    let helpers = Helpers::new().with("hang", "exec sleep 1000 >&- 2>&-");
    let runner = helpers.runner().with_timeout(Duration::from_millis(20));
    assert!(matches!(runner.get("hang", "quay.io"), Err(Error::TimedOut { .. })));
}

#[test]
fn a_process_that_the_helper_leaves_behind_is_not_waited_for() {
    let helpers = Helpers::new();
    let gate = helpers.path().join("gate");
    let script =
        format!(r#"mkfifo '{0}' && {{ cat '{0}' & printf '{{"Username": "u", "Secret": "s"}}'; }}"#, gate.display());
    let helpers = helpers.with("leave", &script);
    // The process left behind has the output open until the gate opens, which is after the answer.
    let answer = helpers.runner().with_timeout(Duration::MAX).get("leave", "quay.io").unwrap();
    assert_eq!(answer, Some(Credentials::basic("u", "s")));
    std::fs::write(gate, "").unwrap();
}

#[test]
fn a_helper_that_ends_without_reading_its_input_is_judged_by_its_answer() {
    let answer = get(r#"exec <&-; echo '{"Username": "u", "Secret": "s"}'"#).unwrap();
    assert_eq!(answer, Some(Credentials::basic("u", "s")));
}

#[test]
fn a_name_is_never_a_path() {
    let helpers = Helpers::new().with("test", "echo null");
    for name in ["", "../docker-credential-test", "a/b", "a\\b", "a\0"] {
        assert!(matches!(helpers.runner().get(name, "quay.io"), Err(Error::Name(_))), "{name:?}");
    }
}

#[test]
fn the_program_is_found_in_absolute_directories_of_the_search_path_when_it_may_be_executed() {
    let helpers = Helpers::new().with("test", "echo null");
    let missing = |runner: HelperRunner| matches!(runner.get("test", "quay.io"), Err(Error::NotFound { program }) if program == "docker-credential-test");
    let path = helpers.path().display();
    assert!(!missing(HelperRunner::new(Some(format!("/nonexistent::.:{path}").into()))));
    assert!(missing(HelperRunner::new(Some("/nonexistent::.".into()))));
    assert!(missing(HelperRunner::new(None)));

    let up = "../".repeat(std::env::current_dir().unwrap().components().count());
    let relative = std::path::Path::new(&up).join(helpers.path().strip_prefix("/").unwrap());
    assert!(relative.join("docker-credential-test").exists());
    assert!(missing(HelperRunner::new(Some(relative.into()))));

    let unusable = tempfile::tempdir().unwrap();
    std::fs::write(unusable.path().join("docker-credential-test"), "").unwrap();
    assert!(missing(HelperRunner::new(Some(unusable.path().into()))));
}
