//! `login` and `logout`: against a registry that asks who we are, and beside skopeo.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use crate::program::{Outcome, Program};
use crate::support::clients::Clients;
use crate::support::command::{finish, run};
use crate::support::docker_registry::{DockerRegistry, PASSWORD, USER};
use crate::support::helpers::Helpers;
use crate::support::peers::peer;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;

const HTTP: &str = "--tls-verify=false";
const TO_FILE: &str = "--authfile=auth.json";

fn basic() -> RunningRegistry {
    Registry::new().requiring_basic("alice", "c4n4ry").serve()
}

/// Runs it with a password on standard input.
fn with_input(program: &Program, words: &[&str], input: &str) -> Outcome {
    let mut command = program.command();
    let mut child =
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Wrong usage ends without reading.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn log_in(program: &Program, registry: &str, password: &str) -> Outcome {
    with_input(program, &["login", HTTP, TO_FILE, "-u=alice", "--password-stdin", registry], password)
}

fn file(program: &Program) -> String {
    fs::read_to_string(program.path("auth.json")).unwrap_or_default()
}

#[test]
fn a_login_is_used_until_the_logout() {
    let (registry, program) = (basic(), Program::new());
    let authority = registry.authority();
    let outcome = log_in(&program, &authority, "c4n4ry\n");
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (0, "Login Succeeded!\n", ""));
    let user = program.output(&["login", TO_FILE, "--get-login", &registry.reference("org/app")]);
    assert_eq!(user, "alice\n");
    let said = program.output(&["login", HTTP, TO_FILE, &authority]);
    assert!(said.contains("Already logged in to"), "{said}");
    let said = program.output(&["logout", TO_FILE, &authority]);
    assert_eq!(said, format!("Removed login credentials for {authority}\n"));
    assert_eq!(file(&program), "{\n\t\"auths\": {}\n}");
    let not_logged_in = format!("not logged into {authority}");
    program.run(&["logout", TO_FILE, &authority]).assert_fails(1, &[&not_logged_in]);
    program.run(&["login", TO_FILE, "--get-login", &authority]).assert_fails(1, &[&not_logged_in]);
}

#[test]
fn wrong_credentials_are_not_kept_and_those_there_were_stay() {
    let tokens = Registry::new().requiring_token("registry.example").token_account("alice", "c4n4ry").serve();
    for registry in [basic(), tokens] {
        let (program, authority) = (Program::new(), registry.authority());
        for before in ["", "{\"auths\": {\"a.example\": {\"auth\": \"YTpi\"}}}"] {
            if !before.is_empty() {
                program.write("auth.json", before);
            }
            let outcome = log_in(&program, &authority, "c4n4ry2");
            outcome.assert_fails(4, &["logging in to", "hint: the user name or the password is wrong"]);
            assert!(!outcome.stderr.contains("c4n4ry"), "{outcome:?}");
            assert_eq!(file(&program), before);
        }
        assert_eq!(log_in(&program, &authority, "c4n4ry").code, 0);
        assert!(file(&program).contains(&authority) && file(&program).contains("a.example"));
    }
}

#[test]
fn a_login_asks_for_a_token_without_a_scope() {
    let registry = Registry::new().requiring_token("registry.example").token_account("alice", "c4n4ry").serve();
    let program = Program::new();
    assert_eq!(log_in(&program, &registry.reference("org/app"), "c4n4ry").code, 0);
    let requests = registry.token_requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].query("scope"), requests[0].query("account")), (Vec::new(), vec!["alice".to_owned()]));
}

#[test]
fn a_registry_that_cannot_be_asked_is_not_logged_in_to() {
    let program = Program::new();
    let broken = Registry::new().fault(|path| path == "/v2/", 1.., Reply::new(500)).serve();
    let outcome = with_input(
        &program,
        &["--retry-times=0", "login", HTTP, TO_FILE, "-u=alice", "--password-stdin", &broken.authority()],
        "c4n4ry",
    );
    outcome.assert_fails(1, &["logging in to", "500"]);
    program.registries_conf("[[registry]]\nlocation = \"blocked.example\"\nblocked = true\n");
    log_in(&program, "blocked.example", "c4n4ry").assert_fails(1, &["blocked"]);
    assert!(!program.path("auth.json").exists());
}

/// `insecure` of registries.conf is enough, for a part of the registry too.
#[test]
fn the_configuration_says_whether_a_registry_is_insecure() {
    let (registry, program) = (basic(), Program::new());
    let words = [TO_FILE, "-u=alice", "--password-stdin"];
    let login = |key: &str| with_input(&program, &[&["login"][..], &words, &[key]].concat(), "c4n4ry");
    login(&registry.authority()).assert_fails(1, &["TLS"]);
    program.registries_conf(&format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.authority()));
    assert_eq!(login(&registry.reference("org")).code, 0);
    assert!(file(&program).contains(&registry.reference("org")));
}

#[test]
fn a_password_on_the_command_line_is_warned_of_and_never_repeated() {
    let (registry, program) = (basic(), Program::new());
    let authority = registry.authority();
    let outcome = program.run(&["login", "--debug", HTTP, TO_FILE, "-u=alice", "-p=c4n4ry", &authority]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("warning: a password on the command line"), "{outcome:?}");
    let wrong = program.run(&["login", HTTP, "-u=a", "-p=c4n4ry", "--password-stdin", &authority]);
    assert_eq!(wrong.code, 2);
    for outcome in [outcome, wrong] {
        assert!(!outcome.stderr.contains("c4n4ry") && !outcome.stderr.contains("YWxpY2U6"), "{outcome:?}");
    }
}

#[test]
fn wrong_words_are_told_before_anything_is_asked() {
    let program = Program::new();
    for (words, code) in [
        (&["login"][..], 2),
        (&["login", "-p=x", "a.example"], 1),
        (&["login", "--password-stdin", "a.example"], 2),
        (&["login", "--get-login", "-u=x", "a.example"], 2),
        (&["login", "--authfile=a", "--compat-auth-file=b", "a.example"], 2),
        (&["logout"], 2),
        (&["logout", "--all", "a.example"], 2),
        (&["login", "-u=a", "-p=b", "a.example/app:1"], 1),
        (&["login", "-u=a", "-p=b", "word"], 1),
        (&["login", "-u=a:b", "-p=c", "a.example"], 1),
        (&["login", "-u=", "-p=c", "a.example"], 1),
        (&["login", "-u=a", "-p=", "a.example"], 1),
        (&["login", "-u=a", "a.example"], 1),
        (&["login", "a.example"], 1),
        (&["logout", "a.example:x/y:1"], 1),
    ] {
        let outcome = with_input(&program, words, "");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{words:?}: {outcome:?}");
    }
}

#[test]
fn standard_input_is_the_password_without_its_line_ends() {
    let registry = Registry::new().requiring_basic("alice", "{\"a\": \"b\"}").serve();
    let program = Program::new();
    assert_eq!(log_in(&program, &registry.authority(), "{\"a\":\r\n \"b\"}\n").code, 0);
    log_in(&program, &registry.authority(), "").assert_fails(1, &["empty"]);
    log_in(&program, &registry.authority(), &"x".repeat(70_000)).assert_fails(1, &["longer than"]);
}

#[test]
fn a_login_that_cannot_be_read_can_be_replaced() {
    let (registry, program) = (basic(), Program::new());
    let authority = registry.authority();
    program.write("auth.json", &format!(r#"{{"auths": {{"{authority}": {{"auth": "!"}}}}}}"#));
    let outcome = program.run(&["login", HTTP, TO_FILE, &authority]);
    outcome.assert_fails_after_warnings(1, &["no terminal"]);
    assert!(outcome.stderr.contains("warning: ") && outcome.stderr.contains("log in again"), "{outcome:?}");
    let words = ["login", HTTP, TO_FILE, "-v", "-u=alice", "--password-stdin", &authority];
    assert_eq!(with_input(&program, &words, "c4n4ry").stdout, "Used:  auth.json\nLogin Succeeded!\n");
    program.output(&["login", HTTP, TO_FILE, &authority]);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_with_advice() {
    let (registry, program) = (basic(), Program::new());
    program.write("file", "");
    let words = ["login", HTTP, "--authfile=file/auth.json", "-u=alice", "--password-stdin", &registry.authority()];
    with_input(&program, &words, "c4n4ry")
        .assert_fails(1, &["cannot write auth file file/auth.json", "hint: --authfile"]);
    program.write("auth.json", "not JSON");
    log_in(&program, &registry.authority(), "c4n4ry").assert_fails(1, &["invalid auth file auth.json"]);
    assert_eq!(file(&program), "not JSON");
}

#[test]
fn logins_at_one_time_all_survive() {
    let (registry, program) = (basic(), Program::new());
    let program = &program;
    let keys: Vec<_> = (0..8).map(|number| registry.reference(&format!("org{number}"))).collect();
    std::thread::scope(|scope| {
        for key in &keys {
            scope.spawn(move || assert_eq!(log_in(program, key, "c4n4ry").code, 0, "{key}"));
        }
    });
    let file = file(program);
    assert!(keys.iter().all(|key| file.contains(key)), "{file}");
}

#[test]
fn without_a_named_file_the_login_is_where_it_is_read() {
    let (registry, program) = (basic(), Program::new());
    let words = ["login", HTTP, "-u=alice", "--password-stdin", &registry.authority()];
    assert_eq!(with_input(&program, &words, "c4n4ry").code, 0);
    assert!(program.path("containers/auth.json").exists(), "below XDG_RUNTIME_DIR");
    assert_eq!(program.output(&["login", "--get-login", &registry.authority()]), "alice\n");
    let missing = Outcome::of(program.command().env("XDG_RUNTIME_DIR", "/no/such/directory").args([
        "login",
        HTTP,
        "-u=alice",
        "-p=c4n4ry",
        &registry.authority(),
    ]));
    missing.assert_fails_after_warnings(1, &["XDG_RUNTIME_DIR"]);
}

#[test]
fn a_logout_says_which_login_is_still_there() {
    let program = Program::new();
    program.write("auth.json", r#"{"auths": {"a.example": {"auth": "YTpi"}, "a.example/org": {"auth": "YTpi"}}}"#);
    let outcome = program.run(&["logout", TO_FILE, "a.example/org"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("warning: ") && outcome.stderr.contains("a.example in auth.json"), "{outcome:?}");
    program
        .run(&["logout", TO_FILE, "a.example/org"])
        .assert_fails(1, &["not logged into", "for a.example in auth.json"]);
    program.write(".docker/config.json", r#"{"auths": {"b.example": {"auth": "YTpi"}}}"#);
    program.run(&["logout", "b.example"]).assert_fails(1, &["not logged into b.example", ".docker/config.json"]);
}

#[test]
fn a_file_of_dockers_is_written_as_docker_does() {
    let (registry, program) = (basic(), Program::new());
    let path = program.write("config.json", r#"{"psFormat": "table", "auths": {"https://index.docker.io/v1/": {}}}"#);
    let words = ["login", HTTP, "--compat-auth-file=config.json", "-u=alice", "--password-stdin"];
    let login = |key: &str| with_input(&program, &[&words[..], &[key]].concat(), "c4n4ry");
    assert_eq!(login(&registry.authority()).code, 0);
    login(&registry.reference("org")).assert_fails(1, &["whole registries"]);
    let said = program.output(&["login", "--get-login", "--compat-auth-file=config.json", &registry.authority()]);
    assert_eq!(said, "alice\n");
    program.output(&["logout", "--compat-auth-file=config.json", "docker.io"]);
    let content = fs::read_to_string(path).unwrap();
    assert!(content.contains("psFormat") && content.contains(&registry.authority()), "{content}");
    assert!(!content.contains("index.docker.io"), "{content}");
}

/// `script` gives it a terminal of its own.
#[test]
fn user_and_password_are_asked_for_on_a_terminal() {
    let Some(script) = peer("script") else { return };
    let (registry, program) = (basic(), Program::new());
    let words = format!("{} login {HTTP} {TO_FILE} {}", env!("CARGO_BIN_EXE_transship"), registry.authority());
    // The second time a wrong password is known, and Enter alone keeps the user name.
    for (number, typed) in ["alice\nc4n4ry\n", "\nc4n4ry\n"].into_iter().enumerate() {
        let command = program.command();
        let mut terminal = std::process::Command::new(&script);
        terminal.args(["-qec", &words, "/dev/null"]).current_dir(program.path("")).env_clear();
        terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && shown.contains("Login Succeeded!"), "{number}: {shown}");
        assert!(shown.contains("Password: "), "{shown}");
        program.write("auth.json", &file(&program).replace("YWxpY2U6YzRuNHJ5", "YWxpY2U6b2xk"));
    }
}

/// Logins and logouts of both programs, one after the other, on files of their own.
#[test]
fn the_auth_file_has_skopeos_bytes() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let before = r#"{"credHelpers": {"z.example": "none", "b.example": "none"}, "auths": {"a<é>": {"auth": "YTpi"},
                     "t": {"auth": "dTpw", "identitytoken": "t"}, "e": {}}}"#;
    for registry in [DockerRegistry::htpasswd(&program), DockerRegistry::token(&program)] {
        let host = registry.host();
        let [org, app] = ["org", "org/app"].map(|path| format!("{host}/{path}"));
        let url = format!("http://{host}/x");
        let login = |key| vec!["login", HTTP, "-u", USER, "-p", PASSWORD, key];
        let mut steps: Vec<_> = [host, &org, &app, &url].map(login).into();
        steps.extend([
            vec!["login", "--verbose", HTTP, host],
            vec!["login", "--get-login", &app],
            vec!["logout", &org],
        ]);
        for start in [None, Some(before)] {
            for name in ["ours.json", "skopeos.json"] {
                let path = clients.path(name);
                start.map_or_else(|| drop(fs::remove_file(&path)), |text| fs::write(&path, text).unwrap());
            }
            for step in &steps {
                let [ours, skopeos] =
                    [("ours.json", clients.ours()), ("skopeos.json", clients.skopeo())].map(|(name, mut command)| {
                        let said = run(command.args(step).args(["--authfile", name]));
                        (String::from_utf8(said).unwrap(), fs::read_to_string(clients.path(name)).unwrap())
                    });
                assert_eq!(ours, skopeos, "{step:?}");
            }
        }
        assert_fail_alike(&clients, host);
    }
}

fn assert_fail_alike(clients: &Clients, host: &str) {
    for words in [
        &["login", HTTP, "-u", USER, "-p", "wrong", host][..],
        &["login", HTTP, "-u", "nobody", "-p", PASSWORD, host],
        &["login", "-u", USER, "-p", PASSWORD, host],
        &["login", "--get-login", "elsewhere.example"],
        &["logout", "elsewhere.example"],
    ] {
        for (name, mut command) in [("ours.json", clients.ours()), ("skopeos.json", clients.skopeo())] {
            let before = fs::read(clients.path(name)).unwrap();
            let output = finish(command.args(words).args(["--authfile", name]));
            assert!(!output.status.success(), "{name} {words:?}");
            assert_eq!(fs::read(clients.path(name)).unwrap(), before, "{name} {words:?}");
        }
    }
}

/// The same words and the same JSON, in the same order; Go puts a line end behind it.
#[test]
fn a_credential_helper_is_told_what_skopeo_tells_it() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::htpasswd(&program);
    let host = registry.host();
    let log = clients.path("log");
    let answer = format!(r#"{{"ServerURL": "", "Username": "{USER}", "Secret": "{PASSWORD}"}}"#);
    let script =
        format!("(printf '%s ' \"$@\"; cat; echo) >> '{}'; [ \"$1\" != get ] || echo '{answer}'", log.display());
    let helpers = Helpers::new().with("keeps", &script);
    let path = format!("{}:/usr/bin:/bin", helpers.path().display());
    let content = format!("{{\n\t\"auths\": {{}},\n\t\"credHelpers\": {{\n\t\t\"{host}\": \"keeps\"\n\t}}\n}}");
    let told = |command: fn(&Clients) -> std::process::Command| {
        fs::write(clients.path("auth.json"), &content).unwrap();
        for words in [
            &["login", HTTP, TO_FILE, "-u", USER, "-p", PASSWORD, host][..],
            &["login", HTTP, TO_FILE, host],
            &["logout", TO_FILE, host],
        ] {
            run(command(&clients).args(words).env("PATH", &path));
        }
        assert_eq!(fs::read_to_string(clients.path("auth.json")).unwrap(), content);
        let told = fs::read_to_string(&log).unwrap();
        fs::remove_file(&log).unwrap();
        told
    };
    let changes = |told: &str| -> Vec<String> {
        told.lines().filter(|line| !line.is_empty() && !line.starts_with("get ")).map(str::to_owned).collect()
    };
    let (ours, skopeos) = (told(Clients::ours), told(Clients::skopeo));
    assert_eq!(changes(&ours), changes(&skopeos), "{ours}\n{skopeos}");
    assert_eq!(changes(&ours).len(), 2, "{ours}");
}

#[test]
fn each_program_uses_the_login_of_the_other() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::htpasswd(&program);
    let host = registry.host();
    run(clients.ours().args(["login", HTTP, "-u", USER, "-p", PASSWORD, host]));
    assert_eq!(
        run(clients.skopeo().args(["login", "--get-login", host])),
        run(clients.ours().args(["login", "--get-login", host]))
    );
    run(clients.skopeo().args(["logout", host]));
    run(clients.skopeo().args(["login", HTTP, "-u", USER, "-p", PASSWORD, host]));
    run(clients.ours().args(["logout", host]));
    assert!(!finish(clients.skopeo().args(["login", "--get-login", host])).status.success());
}

#[test]
fn a_login_over_tls_trusts_the_certificates_that_are_named() {
    let Some(program) = peer("docker-registry") else { return };
    let registry = DockerRegistry::tls(&program);
    let certs = format!("--cert-dir={}", registry.certs_dir().display());
    let program = Program::new();
    let words = [TO_FILE, "-u=alice", "-p=any", registry.host()];
    program.run(&[&["login", &certs][..], &words].concat());
    assert!(file(&program).contains(registry.host()), "a registry for everybody accepts anybody");
    let outcome = program.run(&[&["login"][..], &words[1..]].concat());
    assert_eq!(outcome.code, 1, "{outcome:?}");
}
