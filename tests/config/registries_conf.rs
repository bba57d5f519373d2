use std::path::{Path, PathBuf};

use serde_json::Value;
use transship::Reference;
use transship::config::registries_conf::{AUTH_FILES_HELPER, Prefix, RegistriesConf};
use transship::config::short_names::ShortNameMode;
use transship::config::{Error, Paths, PullSource};

use crate::{chain, oracle, shared, table, write};

const PACKAGE: &str = "fixtures/containers-image/pkg/sysregistriesv2";

fn parse(text: &str) -> Result<RegistriesConf, Error> {
    RegistriesConf::parse(text.as_bytes(), Path::new("registries.conf"))
}

/// Loads a fixture of the package; drop-ins only where they are asked for.
fn load(conf: &str, drop_ins: Option<&str>) -> Result<RegistriesConf, Error> {
    let package = shared::shared(PACKAGE).unwrap();
    let mut paths = Paths::isolated(Path::new("/nowhere"));
    paths.registries_conf = Some(package.join(conf));
    paths.registries_conf_dir = drop_ins.map(|directory| package.join(directory));
    RegistriesConf::load(&paths)
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// The prefix of a `[[registry]]`; `None` where it is not accepted.
fn prefix(text: &str) -> Option<Prefix> {
    let conf = parse(&format!("[[registry]]\nlocation = 'x'\nprefix = '{text}'")).ok()?;
    conf.registries().next().map(|registry| registry.prefix.clone())
}

#[test]
fn every_case_of_the_oracle_gives_the_same_sources() {
    for case in oracle("sources", 576) {
        let directory = tempfile::tempdir().unwrap();
        let mut paths = Paths::isolated(directory.path());
        let conf = directory.path().join("registries.conf");
        write(&conf, case["conf"].as_str().unwrap());
        paths.registries_conf = Some(conf);
        let drop_ins = directory.path().join("d");
        for drop_in in case["dropins"].as_array().unwrap() {
            write(&drop_ins.join(drop_in["name"].as_str().unwrap()), drop_in["text"].as_str().unwrap());
        }
        paths.registries_conf_dir = Some(drop_ins);
        assert_eq!(outcome(&paths, case["input"].as_str().unwrap()), expectation(&case["expect"]), "{case}");
    }
}

fn expectation(expected: &Value) -> Value {
    if expected.get("error").is_some() { "error".into() } else { expected.clone() }
}

/// In the words of the oracle.
fn outcome(paths: &Paths, input: &str) -> Value {
    let Ok(conf) = RegistriesConf::load(paths) else { return "error".into() };
    // An image of `docker://` always has a tag or a digest.
    let logical = reference(input).with_default_tag();
    let Ok(sources) = conf.pull_sources(&logical) else { return "error".into() };
    let Some(registry) = conf.find(&logical) else {
        assert_eq!(sources.len(), 1);
        assert_eq!((&sources[0].physical, sources[0].insecure, sources[0].mirror), (&logical, false, false));
        return serde_json::json!({ "registry": null });
    };
    let source = |source: &PullSource| {
        let physical = source.physical.to_string();
        serde_json::json!({"insecure": source.insecure, "location": source.location, "reference": physical})
    };
    serde_json::json!({
        "blocked": registry.blocked,
        "location": registry.location.as_ref().map(ToString::to_string).unwrap_or_default(),
        "prefix": registry.prefix.to_string(),
        "sources": sources.iter().map(source).collect::<Vec<_>>(),
    })
}

#[test]
fn a_prefix_ends_where_a_component_ends() {
    for case in table("registries_conf", "match_prefix") {
        check_match(&case);
    }
}

#[test]
fn a_wildcard_matches_in_the_host_only() {
    for case in table("registries_conf", "match_wildcard") {
        check_match(&case);
    }
}

fn check_match(case: &Value) {
    let length = prefix(case["prefix"].as_str().unwrap())
        .and_then(|prefix| prefix.matched_length(case["ref"].as_str().unwrap()))
        .map_or(-1, |length| i64::try_from(length).unwrap());
    assert_eq!(case["expected"], length, "{case}");
}

#[test]
fn a_digest_ends_a_prefix_and_a_wildcard_needs_a_label() {
    let length = |prefix_text: &str, text: &str| prefix(prefix_text).unwrap().matched_length(text);
    assert_eq!(length("a.example/x", "a.example/x@sha256:0"), Some(11));
    assert_eq!(length("*.example", "a.example@sha256:0"), Some(9));
    assert_eq!(length("*.example", ".example/x"), None);
    assert_eq!(length("a.example/x", "a.example/x.y"), None);
}

#[test]
fn of_a_wildcard_and_an_exact_prefix_of_one_length_the_wildcard_wins() {
    let conf = parse("[[registry]]\nlocation = 'a.example'\n[[registry]]\nprefix = '*.example'").unwrap();
    assert_eq!(conf.find_text("a.example/x").unwrap().prefix.as_str(), "*.example");
}

#[test]
fn a_reference_with_tag_and_digest_is_one_with_a_digest() {
    let text = "[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\nlocation = 'm.example'\n";
    let both = reference(&format!("a.example/x:1@sha256:{}", "a".repeat(64)));
    for (usage, sources) in [("tag-only", 1), ("digest-only", 2)] {
        let conf = parse(&format!("{text}pull-from-mirror = '{usage}'")).unwrap();
        assert_eq!(conf.pull_sources(&both).unwrap().len(), sources, "{usage}");
    }
}

#[test]
fn the_longest_prefix_decides() {
    for case in table("registries_conf", "find_registry") {
        if case["error"] == true {
            assert!(load("testdata/this-does-not-exist.conf", None).is_err(), "{case}");
            continue;
        }
        let conf = load("testdata/find-registry.conf", Some("testdata/registries.conf.d")).unwrap();
        assert_eq!(conf.registries().count(), 19);
        let registry = conf.find_text(case["ref"].as_str().unwrap());
        let registry = registry.unwrap_or_else(|| panic!("nothing found: {case}"));
        assert_eq!(case["location"], registry.location.as_ref().map_or("", |location| location.as_str()), "{case}");
        if let Some(prefix) = case["prefix"].as_str() {
            assert_eq!(registry.prefix.as_str(), prefix);
        }
    }
}

fn rewritten(case: &Value) -> Result<String, String> {
    let text = |key: &str| case[key].as_str().unwrap();
    let conf = format!("[[registry]]\nprefix = '{}'\nlocation = '{}'", text("prefix"), text("location"));
    let conf = parse(&conf).map_err(|error| chain(&error))?;
    let logical = reference(text("inputRef"));
    conf.find(&logical).ok_or("the prefix does not match")?;
    let sources = conf.pull_sources(&logical).map_err(|error| chain(&error))?;
    Ok(sources[0].physical.to_string())
}

#[test]
fn the_prefix_is_replaced_with_the_location() {
    for case in table("registries_conf", "rewrite_ok") {
        assert_eq!(rewritten(&case).as_deref(), Ok(case["expected"].as_str().unwrap()), "{case}");
    }
}

#[test]
fn a_location_that_makes_no_image_name_fails_the_pull() {
    for case in table("registries_conf", "rewrite_fail") {
        // The table asks the function below the reader of the file. No location reaches it with a `/` at the end: the
        // reader takes it away, and what is left is a good location.
        if case["location"] == "example.com/path/" {
            assert_eq!(rewritten(&case).as_deref(), Ok("example.com/path/image:latest"));
            continue;
        }
        assert!(rewritten(&case).is_err(), "{case}: {:?}", rewritten(&case));
    }
}

#[test]
fn mirrors_are_chosen_by_tag_and_digest() {
    for case in table("registries_conf", "pull_sources") {
        let conf = load("testdata/pull-sources-from-reference.conf", None).unwrap();
        let (prefix, repo) = (case["matchedPrefix"].as_str().unwrap(), case["repo"].as_str().unwrap());
        for (kind, suffix) in [("digest", format!("@sha256:{}", "a".repeat(64))), ("tag", ":aaa".to_owned())] {
            let sources = conf.pull_sources(&reference(&format!("{prefix}/{repo}{suffix}"))).unwrap();
            let physical: Vec<_> = sources.iter().map(|source| source.physical.to_string()).collect();
            let prefixes = case[format!("{kind}Prefixes")].as_array().unwrap();
            let expected: Vec<_> =
                prefixes.iter().map(|prefix| format!("{}/{repo}{suffix}", prefix.as_str().unwrap())).collect();
            assert_eq!(physical, expected);
            let insecure: Vec<_> = sources.iter().map(|source| source.insecure).collect();
            assert_eq!(case[format!("{kind}Insecure")], serde_json::json!(insecure));
            assert!(sources.split_last().is_some_and(|(last, rest)| !last.mirror && rest.iter().all(|it| it.mirror)));
        }
    }
}

#[test]
fn broken_files_are_refused() {
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    let mut files: Vec<(String, &str)> = Vec::new();
    files.extend(table("registries_conf", "invalid_v2").iter().map(|case| (text(case, "path"), "invalid_v2")));
    let of_sys = |case: &Value| text(&case["sys"], "SystemRegistriesConfPath");
    files.extend(table("registries_conf", "invalid_mirror").iter().map(|case| (of_sys(case), "invalid_mirror")));
    for name in ["invalid_v1", "mixing"] {
        files.extend(table("registries_conf", name).iter().map(|case| (case.as_str().unwrap().to_owned(), name)));
    }
    for (file, table) in files {
        let error = load(&file, None).expect_err(&file);
        assert!(chain(&error).contains(file.rsplit('/').next().unwrap()), "{table}: {error}");
    }
    if shared::shared(PACKAGE).is_some() {
        for file in ["testdata/invalid-aliases.conf", "testdata/invalid-short-name-mode.conf"] {
            assert!(load(file, None).is_err(), "{file}");
        }
    }
}

#[test]
fn short_name_mode_is_one_of_three() {
    for case in table("registries_conf", "short_name_mode_parse") {
        let mode = case["input"].as_str().unwrap().parse::<ShortNameMode>();
        assert_eq!(case["mustFail"], mode.is_err(), "{case}");
        if let Ok(mode) = mode {
            assert_eq!(case["result"], format!("{mode:?}").to_lowercase());
        }
    }
    for case in table("registries_conf", "short_name_mode") {
        let conf = load(case["path"].as_str().unwrap(), None);
        assert_eq!(case["mustFail"], conf.is_err(), "{case}");
        if let Ok(conf) = conf {
            assert_eq!(case["mode"], format!("{:?}", conf.short_name_mode()).to_lowercase());
        }
    }
}

#[test]
fn without_credential_helpers_the_auth_files_are_asked() {
    for case in table("registries_conf", "credential_helpers") {
        let conf = load(case["confPath"].as_str().unwrap(), case["confDirPath"].as_str()).unwrap();
        assert_eq!(case["helpers"], serde_json::json!(conf.credential_helpers()), "{case}");
    }
    assert_eq!(RegistriesConf::default().credential_helpers(), [AUTH_FILES_HELPER]);
}

#[test]
fn a_later_file_replaces_what_it_mentions() {
    for case in table("registries_conf", "drop_in_merge") {
        let in_package = |key: &str| case[key].as_str().map(|path| path.trim_start_matches("pkg/sysregistriesv2/"));
        let conf = load(in_package("conf").unwrap(), in_package("dir"));
        if case["error"] == true {
            assert!(conf.is_err(), "{case}");
            continue;
        }
        let conf = conf.unwrap();
        if let Some(expected) = case["unqualified_search"].as_array() {
            assert_eq!(serde_json::json!(conf.unqualified_search_registries()), serde_json::json!(expected));
        }
        let location = |registry: &transship::config::registries_conf::Registry| {
            registry.location.as_ref().map(ToString::to_string).unwrap_or_default()
        };
        if let Some(expected) = case["registry_locations_sorted_by_prefix"].as_array() {
            let locations: Vec<_> = conf.registries().map(location).collect();
            assert_eq!(serde_json::json!(locations), serde_json::json!(expected));
        }
        if let Some(expected) = case["blocked"].as_array() {
            let blocked: Vec<_> = conf.registries().filter(|registry| registry.blocked).map(location).collect();
            assert_eq!(serde_json::json!(blocked), serde_json::json!(expected));
        }
        if let Some(count) = case["registries"].as_u64() {
            assert_eq!(conf.registries().count() as u64, count);
        }
        if let Some(expected) = case["registry.com mirrors"].as_array() {
            let mirrors = &conf.find_text("registry.com").unwrap().mirrors;
            let mirror = |mirror: &transship::config::registries_conf::Mirror| serde_json::json!({"location": mirror.location.as_str(), "insecure": mirror.insecure});
            assert_eq!(mirrors.iter().map(mirror).collect::<Vec<_>>(), *expected);
        }
    }
}

#[test]
fn locations_lose_their_slashes_and_may_not_be_urls() {
    for case in table("registries_conf", "parse_location") {
        let conf = parse(&format!("[[registry]]\nlocation = '{}'", case["input"].as_str().unwrap()));
        let location = conf.ok().and_then(|conf| conf.registries().next()?.location.as_ref().map(ToString::to_string));
        assert_eq!(location.as_deref(), case["output"].as_str(), "{case}");
    }
}

#[test]
fn an_empty_list_counts_as_set_and_no_list_does_not() {
    let is_set = |case: &Value| case["hasSetField"].as_bool().unwrap();
    let version_1 = |case: &Value| -> String {
        let lists = case["v"]["V1TOMLConfig"].as_object().into_iter().flatten();
        lists
            .map(|(name, list)| format!("[registries.{}]\nregistries = {}\n", name.to_lowercase(), list["Registries"]))
            .collect()
    };
    for case in table("registries_conf", "v1_nonempty") {
        let mixed = parse(&format!("unqualified-search-registries = []\n{}", version_1(&case)));
        assert_eq!(mixed.is_err(), is_set(&case), "{case}");
    }
    for case in table("registries_conf", "v2_nonempty") {
        let version_2 = match case["v"].as_object().unwrap().keys().next().map(String::as_str) {
            None => "",
            Some("Registries") if case["nonempty"] == false => "registry = []\n",
            Some("Registries") => "registry = [{prefix = 'example.com', location = 'example.com'}]\n",
            Some("CredentialHelpers") => "credential-helpers = []\n",
            Some("shortNameAliasConf") => "aliases = {a = 'example.com/b'}\n",
            Some(other) => panic!("{other}"),
        };
        let mixed = parse(&format!("{version_2}[registries.search]\nregistries = []\n"));
        assert_eq!(mixed.is_err(), is_set(&case), "{case}");
    }
}

#[test]
fn version_1_makes_one_registry_of_each_location() {
    let Some(_) = shared::shared(PACKAGE) else { return };
    let conf = load("testdata/v1-compatibility.conf", None).unwrap();
    assert_eq!(conf.unqualified_search_registries(), ["registry-a.com", "registry-c.com", "registry-d.com"]);
    let flags: Vec<_> =
        conf.registries().map(|registry| (registry.prefix.as_str(), registry.blocked, registry.insecure)).collect();
    let expected = [
        ("registry-a.com", false, true),
        ("registry-b.com", true, true),
        ("registry-d.com", false, true),
        ("registry-e.com", false, true),
    ];
    assert_eq!(flags, expected);
}

#[test]
fn aliases_are_names_without_a_registry_for_names_with_one() {
    for case in table("shortnames", "alias_value_valid") {
        let conf = parse(&format!("aliases = {{x = '{}'}}", case["input"].as_str().unwrap()));
        assert_eq!(case["valid"], conf.is_ok(), "{case}");
    }
    for case in table("shortnames", "alias_key_valid") {
        let conf = parse(&format!("aliases = {{'{}' = 'example.com/x'}}", case["input"].as_str().unwrap()));
        assert_eq!(case["valid"], conf.is_ok(), "{case}");
    }
}

#[test]
fn the_shipped_default_file_is_accepted() {
    let Some(path) = shared::shared("fixtures/containers-image/registries.conf") else { return };
    let conf = RegistriesConf::parse(&std::fs::read(&path).unwrap(), &path).unwrap();
    assert_eq!(conf.pull_sources(&reference("busybox:1")).unwrap().len(), 1);
}

/// The place, and a word of what was expected.
#[test]
fn errors_name_file_line_and_what_was_expected() {
    for (text, place, expected) in [
        ("[[registry]]\nlocation = 'a'\ninsecure = 'x'", ":3:12", "expected a boolean"),
        ("a = [\n", ":", "array"),
        ("\n[[registry]]\n", ":2:1", "needs a prefix or a location"),
        ("[[registry]]\nlocation = 'https://a'", ":2:12", "URI schemes are not supported"),
        ("[[registry]]\nlocation = 'a'\nprefix = '*.a:1'", ":3:10", "\"*.example.com\""),
        ("[[registry]]\nprefix = 'a'", ":2:10", "needs a location"),
        ("[[registry]]\nlocation = 'a'\n[[registry.mirror]]", ":3:1", "needs a location"),
        ("[[registry]]\nlocation = 'a'\npull-from-mirror = 'all'", ":3:20", "for a [[registry.mirror]]"),
        ("[[registry]]\nlocation = 'a'\n[[registry]]\nlocation = 'a'\nblocked = true", ":3:1", "at line 1"),
        ("unqualified-search-registries = ['a', 'b/c']", ":1:39", "host[:port]"),
        ("short-name-mode = 'x'", ":1:19", "\"permissive\""),
        ("[aliases]\na = 'b'", ":2:5", "such as docker.io/"),
        ("[registries.search]\nregistries = []\n[aliases]", ":1:", "cannot be mixed"),
        ("[[registry]]\nlocation = 'a'\nLocation = 'b'", ":3:1", "\"location\" is given twice"),
    ] {
        let error = chain(&parse(text).expect_err(text));
        assert!(error.contains(&format!("registries.conf{place}")), "{text:?}: {error}");
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn bytes_that_are_not_text_are_refused_with_their_line() {
    let error = RegistriesConf::parse(b"# a\n# \xff", Path::new("f")).unwrap_err();
    assert_eq!(error.to_string(), "invalid configuration at f:2:3");
}

#[test]
fn keys_are_found_in_any_case_and_unknown_ones_ignored() {
    let conf = parse("[[Registry]]\nLocation = 'a.example'\nBLOCKED = true\nfuture-key = {x = 1}\n").unwrap();
    assert!(conf.find_text("a.example/x").unwrap().blocked);
    assert!(parse("[[registry]]\nlocation = 'a'\nBlocked = 7").is_err());
}

#[test]
fn the_physical_name_decides_what_is_blocked() {
    let text = "
        [[registry]]
        location = 'blocked.example'
        blocked = true
        [[registry.mirror]]
        location = 'mirror.example'
        [[registry.mirror]]
        location = 'blocked-mirror.example/a'
        [[registry]]
        location = 'blocked-mirror.example'
        blocked = true";
    let sources = parse(text).unwrap().pull_sources(&reference("blocked.example/x:1")).unwrap();
    let blocked: Vec<_> = sources.iter().map(|source| source.blocked_by.as_deref()).collect();
    let expected = [
        None,
        Some("prefix \"blocked-mirror.example\" at registries.conf:9:9"),
        Some("prefix \"blocked.example\" at registries.conf:2:9"),
    ];
    assert_eq!(blocked, expected);
}

#[test]
fn an_alias_without_a_name_takes_an_earlier_one_away() {
    let directory = tempfile::tempdir().unwrap();
    let paths = Paths::isolated(directory.path());
    let etc = directory.path().join("etc/containers");
    write(&etc.join("registries.conf"), "[aliases]\na = 'a.example/a'\nb = 'a.example/b'");
    write(&etc.join("registries.conf.d/0.conf"), "[aliases]\na = ''\nc = 'docker.io/c'");
    let conf = RegistriesConf::load(&paths).unwrap();
    let aliases: Vec<_> = conf.aliases().iter().map(|(alias, name)| format!("{alias}={name}")).collect();
    assert_eq!(aliases, ["b=a.example/b", "c=docker.io/library/c"]);
}

#[test]
fn a_missing_file_is_an_error_only_when_it_was_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut paths = Paths::isolated(directory.path());
    assert_eq!(RegistriesConf::load(&paths).unwrap(), RegistriesConf::default());
    paths.environment.registries_conf = Some(directory.path().join("missing"));
    assert!(matches!(RegistriesConf::load(&paths), Err(Error::Read { .. })));
}

#[test]
fn drop_ins_are_read_by_name_and_a_broken_one_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let paths = Paths::isolated(directory.path());
    let drop_ins = directory.path().join("etc/containers/registries.conf.d");
    for (name, registry) in [("10-b.conf", "b"), ("09-a.conf", "a"), ("99.config", "c")] {
        write(&drop_ins.join(name), &format!("unqualified-search-registries = ['{registry}.example']"));
    }
    write(&drop_ins.join("50-directory.conf/x.conf"), "broken");
    let conf = RegistriesConf::load(&paths).unwrap();
    assert_eq!(conf.unqualified_search_registries(), ["b.example"]);
    let names: Vec<PathBuf> = ["09-a.conf", "10-b.conf"].map(|name| drop_ins.join(name)).to_vec();
    assert_eq!(conf.files(), names);

    write(&drop_ins.join("11.conf"), "[registries.search]\nregistries = ['d.example']");
    let error = chain(&RegistriesConf::load(&paths).unwrap_err());
    assert!(error.contains("11.conf:1:") && error.contains("version 1"), "{error}");
}
