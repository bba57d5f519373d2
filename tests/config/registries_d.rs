use std::path::Path;

use serde_json::Value;
use transship::Reference;
use transship::config::registries_d::RegistriesD;
use transship::config::{Error, LookasideUrl, Paths, StorageLocation};

use crate::{chain, oracle, shared, table, write};

fn reference(text: &str) -> Reference {
    text.trim_start_matches('/').parse().unwrap()
}

fn parse(text: &str) -> Result<RegistriesD, Error> {
    RegistriesD::parse(text.as_bytes(), Path::new("x.yaml"))
}

#[test]
fn every_case_of_the_oracle_gives_the_same_url() {
    for case in oracle("lookaside", 144) {
        let directory = tempfile::tempdir().unwrap();
        let mut paths = Paths::isolated(directory.path());
        // The oracle ran as root, in the root directory.
        paths.environment.uid = 0;
        paths.environment.system_root = "/".into();
        let registries_d = directory.path().join("registries.d");
        paths.registries_d = Some(registries_d.clone());
        for file in case["registries_d"].as_array().unwrap() {
            write(&registries_d.join(file["name"].as_str().unwrap()), file["text"].as_str().unwrap());
        }
        let url = RegistriesD::load(&paths)
            .ok()
            .and_then(|it| it.lookaside(&reference(case["input"].as_str().unwrap())).ok())
            .map(|url| url.to_string());
        assert_eq!(url.as_deref(), case["expect"]["url"].as_str(), "{case}");
    }
}

#[test]
fn the_path_of_the_repository_is_appended_to_the_url() {
    for case in table("registries_d", "storage_base_url") {
        let home = tempfile::tempdir().unwrap();
        let mut paths = Paths::isolated(home.path());
        paths.environment.home = Some(home.path().to_owned());
        paths.registries_d = match case["dir"].as_str().unwrap() {
            "${TMPDIR}" => Some(home.path().to_owned()),
            directory if directory.starts_with('/') => Some(directory.into()),
            directory => shared::shared(&format!("fixtures/containers-image/docker/{directory}")),
        };
        let url = RegistriesD::load(&paths)
            .ok()
            .and_then(|it| it.lookaside(&reference(case["ref"].as_str().unwrap())).ok())
            .map(|url| url.to_string());
        let expected = case["expected"].as_str().unwrap().replace("${HOME}", home.path().to_str().unwrap());
        assert_eq!(url.unwrap_or_default(), expected, "{case}");
    }
}

#[test]
fn a_signature_has_its_digest_and_its_number_in_the_url() {
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".parse().unwrap();
    for case in table("registries_d", "lookaside_url") {
        let index = usize::try_from(case["index"].as_u64().unwrap()).unwrap();
        // The table begins after the repository, which is never empty here.
        let url = lookaside(case["base"].as_str().unwrap()).signature(&digest, index).to_string();
        assert_eq!(case["expected"], url.replacen("/org/app", "", 1), "{case}");
    }
}

fn lookaside(url: &str) -> LookasideUrl {
    let registries_d = parse(&format!("default-docker: {{lookaside: '{url}'}}")).unwrap();
    registries_d.lookaside(&reference("quay.io/org/app")).unwrap()
}

#[test]
fn the_most_specific_section_that_sets_the_field_decides() {
    let keys = table("registries_d", "top_level_section_exact");
    let sections: String =
        keys.iter().map(|key| format!("  {key}: {{lookaside: 'file:///{}'}}\n", key.as_str().unwrap())).collect();
    let text = format!("default-docker: {{lookaside: 'file:///=default'}}\ndocker:\n{sections}");
    for case in table("registries_d", "top_level_lookup") {
        let url = parse(&text).unwrap().lookaside(&reference(case["input"].as_str().unwrap())).unwrap();
        assert_eq!(url.configured(), format!("file:///{}", case["expected"].as_str().unwrap()), "{case}");
    }
}

#[test]
fn staging_is_for_writing_only_and_old_names_count_last() {
    for case in table("registries_d", "namespace_lookaside_vs_staging") {
        let key = |name: &str| match name {
            "Lookaside" => "lookaside",
            "LookasideStaging" => "lookaside-staging",
            "SigStore" => "sigstore",
            "SigStoreStaging" => "sigstore-staging",
            other => panic!("{other}"),
        };
        let section = case["ns"].as_object().unwrap().iter();
        let section: String = section.map(|(name, value)| format!("  {}: {value}\n", key(name))).collect();
        let registries_d = parse(&format!("default-docker:\n{section}")).unwrap();
        let physical = reference("quay.io/org/app");
        let url = match case["forWriting"] {
            Value::Bool(true) => registries_d.lookaside_staging(&physical),
            _ => registries_d.lookaside(&physical),
        };
        assert_eq!(case["expected"], url.unwrap().configured(), "{case}");
    }
}

#[test]
fn attachments_fall_through_sections_that_do_not_set_them() {
    let text = "
        default-docker: {use-sigstore-attachments: true}
        docker:
          quay.io/org: {use-sigstore-attachments: false}
          quay.io/org/app: {lookaside: 'file:///x'}
          '*.example.com': {use-sigstore-attachments: false}";
    let registries_d = parse(text).unwrap();
    for (input, expected) in
        [("quay.io/org/app:1", false), ("quay.io/other", true), ("a.example.com/x", false), ("example.com/x", true)]
    {
        assert_eq!(registries_d.use_sigstore_attachments(&reference(input)), expected, "{input}");
    }
    assert!(!RegistriesD::default().use_sigstore_attachments(&reference("quay.io/x")));
}

#[test]
fn nothing_may_be_defined_twice_in_two_files() {
    for (first, second, place) in [
        ("default-docker: {}", "# x\ndefault-docker: {}", "1.yaml:2:17"),
        ("docker: {a: {}}", "docker:\n  a: {}", "1.yaml:2:6"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut paths = Paths::isolated(directory.path());
        paths.registries_d = Some(directory.path().to_owned());
        write(&directory.path().join("0.yaml"), first);
        write(&directory.path().join("1.yaml"), second);
        let error = chain(&RegistriesD::load(&paths).unwrap_err());
        assert!(error.contains(place) && error.contains("0.yaml:1:"), "{error}");
    }
    assert!(parse("docker:\n  a: {}\n  a: {}").is_err());
}

#[test]
fn files_that_are_not_yaml_by_name_and_links_to_nowhere_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut paths = Paths::isolated(directory.path());
    assert_eq!(RegistriesD::load(&paths).unwrap().files(), [] as [&Path; 0]);
    paths.registries_d = Some(directory.path().join("d"));
    let error = chain(&RegistriesD::load(&paths).unwrap_err());
    assert!(error.contains("/d: No such file"), "a directory that is named must be there: {error}");
    write(&directory.path().join("d/a.yml"), "[broken");
    write(&directory.path().join("d/sub.yaml/b.yaml"), "[broken");
    write(&directory.path().join("d/c.yaml"), "");
    std::os::unix::fs::symlink("nowhere", directory.path().join("d/link.yaml")).unwrap();
    assert_eq!(RegistriesD::load(&paths).unwrap().files(), [directory.path().join("d/c.yaml")]);
}

#[test]
fn the_shipped_default_file_is_accepted() {
    let Some(path) = shared::shared("fixtures/containers-image/default.yaml") else { return };
    RegistriesD::parse(&std::fs::read(&path).unwrap(), &path).unwrap();
}

#[test]
fn errors_name_file_line_and_what_was_expected() {
    let error = chain(&parse("docker:\n  a: [1]\n").unwrap_err());
    assert!(error.starts_with("invalid configuration at x.yaml:2:"), "{error}");
    let url = parse("docker:\n  quay.io: {lookaside: ':x'}").unwrap().lookaside(&reference("quay.io/a")).unwrap_err();
    assert!(url.to_string().contains("quay.io/a at x.yaml:2:"), "{url}");
}

#[test]
fn only_files_and_web_servers_can_be_read_and_no_password_is_taken() {
    assert_eq!(lookaside("file:///srv/a b").location().unwrap(), StorageLocation::File("/srv/a b/org/app".into()));
    assert!(matches!(lookaside("https://a.example/").location().unwrap(), StorageLocation::Http(_)));
    for bad in ["ftp://a.example/", "/no/scheme", "relative"] {
        assert!(lookaside(bad).location().is_err(), "{bad}");
    }
    for scheme in ["https", "sftp"] {
        let secret = parse(&format!("default-docker: {{lookaside: '{scheme}://me:hunter2@a.example/'}}")).unwrap();
        let error = chain(&secret.lookaside(&reference("quay.io/a")).unwrap_err());
        assert!(!error.contains("hunter2"), "{error}");
    }
}
