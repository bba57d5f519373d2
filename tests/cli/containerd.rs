//! `--hosts-dir`, `--containerd-config`, `--k3s-registries`

use serde_json::json;

use crate::program::Program;
use crate::support::image::Image;
use crate::support::registry::Registry;

const CANARY: &str = "canary-7d1f";

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &Image::with_layers(["one", "two"]))
}

#[test]
fn each_command_that_reads_images_takes_the_flags() {
    let registry = registry().serve();
    let program = Program::new();
    let url = registry.url("");
    program.write("certs.d/quay.example/hosts.toml", &format!("server = '{url}'"));
    let table = "plugins.'io.containerd.cri.v1.images'.registry";
    program.write("config.toml", &format!("version = 3\n[{table}.mirrors.'quay.example']\nendpoint = ['{url}']"));
    program.write("registries.yaml", &format!("mirrors:\n  quay.example:\n    endpoint: ['{url}']\n"));
    program.output(&["list-tags", "docker://quay.example/org/app", "--hosts-dir=certs.d"]);
    assert_eq!(registry.asked(), ["GET /v2/org/app/tags/list?ns=quay.example"], "the last host knows the tags");
    let families =
        [["--hosts-dir", "certs.d"], ["--containerd-config", "config.toml"], ["--k3s-registries", "registries.yaml"]];
    for (number, family) in families.iter().enumerate() {
        let copy = format!("dir:copy-{number}");
        let synced = format!("synced-{number}");
        let stored = format!("stored-{number}");
        for words in [
            &["inspect", "-n", "docker://quay.example/org/app:1"][..],
            &["copy", "docker://quay.example/org/app:1", &copy],
            &["sync", "--src", "docker", "--dest", "dir", "quay.example/org/app:1", &synced],
            &["verify", "quay.example/org/app:1"],
            &["pull", "-q", "--store", &stored, "quay.example/org/app:1"],
            &["fetch-object", "quay.example/org/app:1"],
            &["explain", "--fetch", "quay.example/org/app:1"],
        ] {
            let before = registry.requests().len();
            program.output(&[words, family].concat());
            let asked = &registry.requests()[before..];
            assert!(!asked.is_empty(), "{words:?} {family:?}");
            assert!(asked.iter().all(|request| request.query("ns") == ["quay.example"]), "{words:?} {family:?}");
        }
    }
}

#[test]
fn the_flags_exclude_one_another() {
    let program = Program::new();
    let flags = ["--hosts-dir=d", "--containerd-config=f", "--k3s-registries=f", "--registries-conf=f"];
    for (number, one) in flags.iter().enumerate() {
        for other in &flags[number + 1..] {
            let outcome = program.run(&["explain", one, other, "quay.io/a"]);
            assert_eq!(outcome.code, 2, "{one} {other}");
            assert!(outcome.stderr.contains("cannot be used with"), "{}", outcome.stderr);
        }
    }
}

#[test]
fn of_several_trees_one_must_be_there() {
    let program = Program::new();
    let words = ["explain", "--hosts-dir=a", "--hosts-dir=b:c", "quay.io/a"];
    let none = program.run(&words);
    assert_eq!(none.code, 1);
    let said = format!("{}{}", none.stdout, none.stderr);
    assert!(said.contains("--hosts-dir a:b:c: no such directory"), "{said}");
    program.write("a.toml", "");
    let file = program.run(&["explain", "--hosts-dir=a.toml", "quay.io/a"]);
    let said = format!("{}{}", file.stdout, file.stderr);
    assert!(said.contains("--hosts-dir a.toml: a directory with a directory for each registry is expected"), "{said}");
    program.write("c/_default/hosts.toml", "");
    let one = program.run(&words);
    assert_eq!(one.code, 0, "{}", one.stderr);
}

#[test]
fn an_unknown_key_is_a_warning_with_its_line_and_a_broken_file_an_error() {
    let registry = registry().serve();
    let program = Program::new();
    let file = "certs.d/quay.example/hosts.toml";
    program.write(
        file,
        &format!("server = '{}'\nskipverify = true\n[host.'https://m.example']\ncapability = []\n", registry.url("")),
    );
    let outcome = program.run(&["explain", "--hosts-dir=certs.d", "quay.example/org/app:1"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("certs.d/quay.example/hosts.toml:2:1: unknown key `skipverify` is ignored"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("hosts.toml:4:1: unknown key `host.\"https://m.example\".capability` is ignored"),
        "{}",
        outcome.stderr
    );
    program.write(file, "server = 5");
    let image = "docker://quay.example/org/app:1";
    program.run(&["inspect", "--hosts-dir=certs.d", image]).assert_fails(1, &[file, ":1:10: server must be a text"]);
    program.write("config.toml", "[plugins\n");
    program.run(&["inspect", "--containerd-config=config.toml", image]).assert_fails(1, &["config.toml:1:"]);
    program.run(&["inspect", "--k3s-registries=nowhere.yaml", image]).assert_fails(1, &["cannot read nowhere.yaml"]);
    program.write("registries.yaml", "mirror:\n  a.example: {}\n");
    let outcome = program.run(&["explain", "--k3s-registries=registries.yaml", "quay.io/a"]);
    assert!(outcome.stderr.contains("registries.yaml:1:1: unknown key `mirror` is ignored"), "{}", outcome.stderr);
    assert_eq!(registry.asked(), [""; 0]);
}

#[test]
fn a_source_of_containerd_s_files_is_told_with_its_host_and_no_secret() {
    let program = Program::new();
    program.write(
        "certs.d/quay.example/hosts.toml",
        &format!(
            "[host.'http://m.example:5000/x']\ncapabilities = ['pull']\nskip_verify = true\ndial_timeout = '1.5s'\n\
                  [host.'http://m.example:5000/x'.header]\nX-Key = '{CANARY}'\n\
                  [host.'http://m.example:5000/x'.rewrite]\n'^org/' = 'other/'\n"
        ),
    );
    let line = program.output(&["explain", "--json", "--hosts-dir=certs.d", "quay.example/org/app:1"]);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["registry"], json!(null));
    let source = &line["sources"][0];
    assert_eq!(source["reference"], "m.example:5000/other/app:1");
    assert_eq!((&source["insecure"], &source["mirror"]), (&json!(true), &json!(true)));
    let expected = json!({
        "base": "https://m.example:5000/x/v2", "or_http": true, "capabilities": "pull", "ns": "quay.example",
        "rewrite": "^org/ -> other/", "headers": ["X-Key"], "ca": [], "client": null, "dial_timeout": "1.5s",
        "place": "certs.d/quay.example/hosts.toml:1:7",
    });
    assert_eq!(source["host"], expected);
    assert_eq!(line["sources"][1]["host"]["ns"], json!(null));
    assert_eq!(line["sources"][1]["host"]["place"], "certs.d/quay.example/hosts.toml:1:1");
    let unsaid = program.output(&["explain", "--json", "--hosts-dir=certs.d", "ghcr.io/org/app:1"]);
    let unsaid: serde_json::Value = serde_json::from_str(&unsaid).unwrap();
    assert_eq!(unsaid["sources"][0]["host"]["place"], json!(null), "no file speaks of it");
    let table = "plugins.'io.containerd.grpc.v1.cri'.registry";
    program.write(
        "config.toml",
        &format!(
            "[{table}.mirrors.'*']\nendpoint = ['https://m.example']\n\
             [{table}.configs.'m.example'.auth]\nusername = 'me'\npassword = '{CANARY}'\n\
             [{table}.configs.'quay.example'.auth]\nidentitytoken = '{CANARY}'\n"
        ),
    );
    for form in [&["explain"][..], &["explain", "--json"], &["explain", "--debug"]] {
        for flag in ["--hosts-dir=certs.d", "--containerd-config=config.toml"] {
            let outcome = program.run(&[form, &[flag, "quay.example/org/app:1"]].concat());
            assert!(!format!("{outcome:?}").contains(CANARY), "{outcome:?}");
        }
    }
    let told = program.output(&["explain", "--json", "--containerd-config=config.toml", "quay.example/org/app:1"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let credentials = |number: usize| told["sources"][number]["credentials"].clone();
    assert_eq!(credentials(0), json!({"file": "config.toml", "key": "m.example", "username": "me", "kind": "basic"}));
    assert_eq!(credentials(1)["kind"], "identity-token");
}

#[test]
fn a_config_toml_that_says_nothing_of_registries_is_a_warning() {
    let program = Program::new();
    let images = "plugins.'io.containerd.cri.v1.images'.registry";
    let said = |text: &str| {
        program.write("config.toml", text);
        let outcome = program.run(&["explain", "--containerd-config=config.toml", "quay.io/a"]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        outcome.stderr
    };
    let no_table = "config.toml has no registry table of the CRI: what counts is /etc/containerd/certs.d";
    assert!(said("[other]\nprogram = true").contains(no_table));
    let imports = said("version = 3\nimports = ['/etc/containerd/conf.d/*.toml']");
    assert!(imports.contains("config.toml:2:12: imports are not read"), "{imports}");
    let of_tls = said(&format!("version = 3\n[{images}.configs.'quay.io'.tls]\ninsecure_skip_verify = true\n"));
    let expected =
        "configs with tls count alone: what is not read is /etc/containerd/certs.d, then /etc/docker/certs.d";
    assert!(of_tls.contains("config.toml:2:") && of_tls.contains(expected), "{of_tls}");
    let nowhere = said(&format!("version = 3\n[{images}]\nconfig_path = '/nowhere:/not/there'"));
    assert!(
        nowhere.contains("config.toml:3:15: no directory of config_path is there: /nowhere:/not/there"),
        "{nowhere}"
    );
    let of_another = said(&format!("version = 2\n[{images}]\nconfig_path = '/'"));
    assert!(of_another.contains("config.toml:2:") && of_another.contains("is ignored in version 2"), "{of_another}");
    assert!(of_another.contains(no_table), "{of_another}");
    assert_eq!(said(&format!("version = 3\nimports = []\n[{images}]\nconfig_path = '/nowhere:/'")), "");
}

#[test]
fn credentials_are_told_with_the_file_that_has_them() {
    let program = Program::new();
    let table = "plugins.'io.containerd.cri.v1.images'.registry";
    program.write("certs.d/quay.example/hosts.toml", "[host.'https://m.example']\n");
    program.write(
        "config.toml",
        &format!(
            "version = 3\n[{table}]\nconfig_path = 'certs.d'\n\
             [{table}.configs.'m.example'.auth]\nusername = 'me'\npassword = '{CANARY}'\n"
        ),
    );
    let told = program.output(&["explain", "--json", "--containerd-config=config.toml", "quay.example/org/app:1"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["sources"][0]["host"]["place"], "certs.d/quay.example/hosts.toml:1:7");
    assert_eq!(told["sources"][0]["credentials"]["file"], "config.toml");
}

#[test]
fn explain_says_what_the_flags_make_of_a_host() {
    let program = Program::new();
    let tls = crate::support::server_tls::ServerTls::requiring_client_certificate();
    tls.write_certs_d(&program.path("certs.d/quay.example"));
    program.write(
        "certs.d/quay.example/hosts.toml",
        "server = 'http://m.example:5000'\nca = 'ca.crt'\nclient = [['client.cert', 'client.key']]\ndial_timeout = '3s'\n",
    );
    std::fs::create_dir(program.path("other")).unwrap();
    let told = |flags: &[&str]| {
        let words = [&["explain", "--json", "--hosts-dir=certs.d", "quay.example/org/app:1"], flags].concat();
        let told: serde_json::Value = serde_json::from_str(&program.output(&words)).unwrap();
        told["sources"][0].clone()
    };
    for (flags, or_http) in [(&[][..], true), (&["--tls-verify=false"], true), (&["--tls-verify=true"], false)] {
        let source = told(flags);
        let host = &source["host"];
        assert_eq!(
            (&host["base"], &host["or_http"]),
            (&json!("https://m.example:5000/v2"), &json!(or_http)),
            "{flags:?}"
        );
        assert_eq!(source["insecure"], or_http, "{flags:?}");
        assert_eq!(host["ca"], json!(["certs.d/quay.example/ca.crt"]));
        assert_eq!(host["client"], "certs.d/quay.example/client.cert");
    }
    let replaced = told(&["--cert-dir=other"]);
    assert_eq!((&replaced["host"]["ca"], &replaced["host"]["client"]), (&json!([]), &json!(null)));
    assert_eq!(replaced["certs_dir"], "other");
    program.write("certs.d/quay.example/hosts.toml", "server = 'http://m.example:80'\n");
    for (flags, base, or_http) in [
        (&[][..], "http://m.example/v2", false),
        (&["--tls-verify=false"], "http://m.example/v2", false),
        (&["--tls-verify=true"], "https://m.example/v2", false),
    ] {
        let host = told(flags)["host"].clone();
        assert_eq!((&host["base"], &host["or_http"]), (&json!(base), &json!(or_http)), "{flags:?}");
    }
    let page = program.output(&["explain", "--hosts-dir=certs.d", "--tls-verify=true", "quay.example/org/app:1"]);
    assert!(page.contains("at https://m.example/v2 (pull"), "{page}");
}

#[test]
fn what_is_wrong_with_a_file_is_told_once() {
    let program = Program::new();
    program.write("certs.d/_default/hosts.toml", "typo = true\n");
    let outcome = program.run(&["explain", "--hosts-dir=certs.d", "quay.example/a", "quay.example/b"]);
    assert_eq!(outcome.stderr.matches("unknown key `typo` is ignored").count(), 1, "{}", outcome.stderr);
}

#[test]
fn keys_that_are_not_heeded_are_a_warning() {
    let program = Program::new();
    program.write(
        "registries.yaml",
        "mirrors:\n  '[fd00::1]:5000':\n    endpoint: [m.example]\nconfigs:\n  m.example/foo:\n    auth:\n      \
         username: me\n  m.example:\n    auth:\n      password: x\nauths:\n  'https://a b/v1/':\n    username: me\n",
    );
    let outcome = program.run(&["explain", "--k3s-registries=registries.yaml", "quay.example/a"]);
    for expected in [
        "registries.yaml:2:3: mirrors.\"[fd00::1]:5000\" is of no registry",
        "registries.yaml:5:3: configs.\"m.example/foo\" is of no host and is ignored",
        "registries.yaml:10:7: configs.\"m.example\".auth has a password without a username",
        "registries.yaml:12:3: auths.\"https://a b/v1/\" is of no host and is ignored",
    ] {
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
}

#[test]
fn a_login_is_tried_at_the_registry_whatever_the_files_say() {
    let program = Program::new();
    let registry = registry().requiring_basic("me", "s3cret").serve();
    program.write("certs.d/_default/hosts.toml", "server = 'https://m.example'\n");
    let authority = registry.authority();
    let words = ["login", "--hosts-dir=certs.d", "--tls-verify=false", "-u=me", "-p=s3cret", &authority];
    let outcome = program.run(&words);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let expected = format!("the files of containerd or k3s are not heeded: a login is tried at {authority} itself");
    assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
}

#[test]
fn debug_names_the_files_that_are_read() {
    let program = Program::new();
    program.write("certs.d/quay.example/hosts.toml", "server = 'https://m.example'\n");
    program.write("registries.yaml", "mirrors: {}\n");
    program.write(
        "config.toml",
        "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = 'certs.d'\n",
    );
    for (flag, files) in [
        ("--hosts-dir=certs.d", &["certs.d/quay.example/hosts.toml"][..]),
        ("--containerd-config=config.toml", &["config.toml", "certs.d/quay.example/hosts.toml"]),
        ("--k3s-registries=registries.yaml", &["registries.yaml"]),
    ] {
        let outcome = program.run(&["explain", "--debug", flag, "quay.example/a"]);
        for file in files {
            let line = format!("debug: registries configuration: {file}\n");
            assert!(outcome.stderr.contains(&line), "{flag}: {}", outcome.stderr);
        }
    }
}
