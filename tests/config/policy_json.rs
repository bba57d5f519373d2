use std::path::Path;

use serde_json::Value;
use transship::Reference;
use transship::config::policy_json::{Keys, PolicyJson, Requirement, SignedIdentity, SigstoreTrust};
use transship::config::{Error, Paths};

use crate::{chain, shared, table, write};

fn parse(text: &str) -> Result<PolicyJson, Error> {
    PolicyJson::parse(text.as_bytes(), Path::new("policy.json"))
}

/// The document of a table, put where it belongs in a whole policy.
fn whole(table: &str, document: &str) -> String {
    let reject = r#""default": [{"type": "reject"}]"#;
    let signed_by = |identity: &str| {
        format!(
            r#"{{"default": [{{"type": "signedBy", "keyType": "GPGKeys", "keyData": "YQ==", "signedIdentity": {identity}}}]}}"#
        )
    };
    match table {
        "policy" => document.to_owned(),
        "policy_transport_scopes" => format!(r#"{{{reject}, "transports": {{"docker": {document}}}}}"#),
        "matchExact"
        | "matchRepoDigestOrExact"
        | "matchRepository"
        | "exactReference"
        | "exactRepository"
        | "remapIdentity" => signed_by(document),
        "fulcio" => format!(
            r#"{{"default": [{{"type": "sigstoreSigned", "rekorPublicKeyData": "YQ==", "fulcio": {document}}}]}}"#
        ),
        "pki" => format!(r#"{{"default": [{{"type": "sigstoreSigned", "pki": {document}}}]}}"#),
        _ => format!(r#"{{"default": [{document}]}}"#),
    }
}

#[test]
fn every_document_of_the_tables_is_accepted_or_refused_alike() {
    let Some(path) = shared::shared("tables/containers-image/policy_json.json") else { return };
    let tables: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut seen = 0;
    for table in tables["tables"].as_array().unwrap() {
        let name = table["name"].as_str().unwrap();
        for case in table["cases"].as_array().unwrap() {
            let result = parse(&whole(name, case["json"].as_str().unwrap()));
            assert_eq!(case["valid"], result.is_ok(), "{name}: {case}: {result:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, DOCUMENTS);
}

const DOCUMENTS: usize = 179;

#[test]
fn scopes_of_local_images_are_absolute_paths_in_their_shortest_form() {
    let scope = |transport: &str, scope: &Value| {
        let entry = serde_json::json!({scope.as_str().unwrap(): [{"type": "reject"}]});
        parse(&format!(r#"{{"default": [{{"type": "reject"}}], "transports": {{"{transport}": {entry}}}}}"#))
    };
    for (transport, valid, invalid) in [
        ("dir", table("other_transports", "dir_scope_valid"), table("other_transports", "dir_scope_invalid")),
        ("oci", table("other_transports", "oci_scope_valid"), table("other_transports", "oci_scope_invalid")),
        (
            "oci-archive",
            table("other_transports", "oci-archive_scope_valid"),
            table("other_transports", "oci-archive_scope_invalid"),
        ),
    ] {
        for (cases, expected) in [(valid, true), (invalid, false)] {
            for case in cases {
                let result = scope(transport, &case);
                assert_eq!(result.is_ok(), expected, "{transport}: {case}: {result:?}");
            }
        }
    }
    for case in table("other_transports", "docker_archive_scopes") {
        let result = scope("docker-archive", &case);
        assert_eq!(result.is_ok(), case == "", "docker-archive: {case}: {result:?}");
    }
}

/// So that a refusal in the tables is for the reason of the table and not for what surrounds the document.
#[test]
fn what_surrounds_the_documents_is_valid() {
    let identities = [
        ("matchExact", r#"{"type": "matchExact"}"#),
        ("exactReference", r#"{"type": "exactReference", "dockerReference": "busybox:latest"}"#),
        ("remapIdentity", r#"{"type": "remapIdentity", "prefix": "example.com/a", "signedPrefix": "docker.io"}"#),
        ("fulcio", r#"{"caPath": "x", "oidcIssuer": "https://example.com", "subjectEmail": "a@b"}"#),
        ("pki", r#"{"caRootsPath": "x", "subjectHostname": "a"}"#),
        ("reject", r#"{"type": "reject"}"#),
    ];
    for (table, document) in identities {
        parse(&whole(table, document)).unwrap();
    }
}

#[test]
fn prefixes_of_remap_identity_are_spelled_out() {
    let valid = |prefix: &str| {
        let prefix = Value::from(prefix);
        let identity = format!(r#"{{"type": "remapIdentity", "prefix": {prefix}, "signedPrefix": "example.com"}}"#);
        parse(&whole("remapIdentity", &identity)).is_ok()
    };
    for case in table("policy_identity_matching", "remap_prefix_validation_ok") {
        assert!(valid(case.as_str().unwrap()), "{case}");
    }
    for case in table("policy_identity_matching", "remap_prefix_validation_bad") {
        assert!(!valid(case.as_str().unwrap()), "{case}");
    }
}

#[test]
fn one_scope_decides_the_most_specific_first() {
    let scopes = table("policy_lookup", "scopes_configured");
    let mut transports = serde_json::json!({"docker": {}, "atomic": {}});
    for (index, case) in scopes.iter().enumerate() {
        let key = [("type", "signedBy"), ("keyType", "GPGKeys"), ("keyPath", &format!("/{index}"))]
            .map(|(k, v)| (k, Value::from(v)));
        transports[case["transport"].as_str().unwrap()][case["scope"].as_str().unwrap()] =
            serde_json::json!([key.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<serde_json::Map<_, _>>()]);
    }
    // The cases know more scopes than the list: each is its own entry.
    for case in table("policy_lookup", "requirements_for_image_ref") {
        let (transport, scope) = (case["matchedTransport"].as_str().unwrap(), case["matched"].as_str().unwrap());
        if !transport.is_empty() {
            transports[transport][scope] = serde_json::json!([{"type": "insecureAcceptAnything"}]);
        }
    }
    let document = serde_json::json!({"default": [{"type": "reject"}], "transports": transports});
    let policy = parse(&document.to_string()).unwrap();
    for case in table("policy_lookup", "requirements_for_image_ref") {
        let reference: Reference = case["input"].as_str().unwrap().parse().unwrap();
        let (scope, requirements) = policy.requirements_for(
            case["inputTransport"].as_str().unwrap(),
            Some(&reference.to_string()),
            &reference.namespaces(),
        );
        let expected = match (case["matchedTransport"].as_str().unwrap(), case["matched"].as_str().unwrap()) {
            ("", _) => "default".to_owned(),
            (transport, scope) => format!("{transport}:{scope}"),
        };
        assert_eq!(scope.to_string(), expected, "{case}");
        assert_eq!(requirements.len(), 1);
    }
}

#[test]
fn without_an_identity_only_the_whole_transport_and_the_default_count() {
    let policy = parse(
        r#"{"default": [{"type": "reject"}],
            "transports": {"dir": {"": [{"type": "insecureAcceptAnything"}]}, "oci": {"/a": [{"type": "reject"}]}}}"#,
    )
    .unwrap();
    let type_for = |transport| policy.requirements_for(transport, None, &[]).1[0].type_name();
    assert_eq!((type_for("dir"), type_for("oci")), ("insecureAcceptAnything", "reject"));
}

#[test]
fn the_sample_policy_of_the_reference_is_accepted() {
    for file in ["signature/fixtures/policy.json", "default-policy.json"] {
        let Some(path) = shared::shared(&format!("fixtures/containers-image/{file}")) else { return };
        PolicyJson::parse(&std::fs::read(&path).unwrap(), &path).unwrap();
    }
}

#[test]
fn parameters_are_kept_as_values() {
    let policy = parse(
        r#"{"default": [
            {"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/1", "/2"]},
            {"type": "signedBaseLayer", "baseLayerIdentity": {"type": "exactRepository", "dockerRepository": "a"}},
            {"type": "sigstoreSigned", "keyDatas": ["YQ==", "Yg=="], "rekorPublicKeyPath": "/r",
             "signedIdentity": {"type": "remapIdentity", "prefix": "a.b", "signedPrefix": "c.d:1/e"}}]}"#,
    )
    .unwrap();
    let (_, requirements) = policy.requirements_for("docker", None, &[]);
    let [
        Requirement::SignedBy(by),
        Requirement::SignedBaseLayer { base_layer_identity },
        Requirement::SigstoreSigned(sigstore),
    ] = requirements
    else {
        panic!("{requirements:?}")
    };
    assert_eq!(by.keys, Keys::Paths(vec!["/1".into(), "/2".into()]));
    assert_eq!(by.signed_identity, SignedIdentity::MatchRepoDigestOrExact);
    let SignedIdentity::ExactRepository(name) = base_layer_identity else { panic!("{base_layer_identity:?}") };
    assert_eq!(name.to_string(), "docker.io/library/a");
    assert_eq!(sigstore.trust, SigstoreTrust::Keys(Keys::Datas(vec![b"a".to_vec(), b"b".to_vec()])));
    assert_eq!(sigstore.rekor_public_keys, Some(Keys::Paths(vec!["/r".into()])));
    let SignedIdentity::RemapIdentity { prefix, signed_prefix } = &sigstore.signed_identity else { panic!() };
    assert_eq!((prefix.as_str(), signed_prefix.as_str()), ("a.b", "c.d:1/e"));
}

#[test]
fn null_is_not_the_same_as_leaving_a_key_out() {
    for requirement in [
        r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/a", "signedIdentity": null}"#,
        r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/a", "keyData": null}"#,
        r#"{"type": "sigstoreSigned", "keyPath": "/a", "rekorPublicKeyData": null}"#,
    ] {
        assert!(parse(&whole("signedBy", requirement)).is_err(), "{requirement}");
    }
    assert!(parse(r#"{"default": [{"type": "reject"}], "transports": null}"#).is_err());
}

#[test]
fn an_object_is_no_array_and_a_type_no_number() {
    for text in [
        r#"[[{"type": "reject"}]]"#,
        r#"{"default": [["reject"]]}"#,
        r#"{"default": [{"type": 1}]}"#,
        r#"{"default": [{"type": {"reject": null}}]}"#,
        r#"{"default": [{"type": "signedBy", "keyType": {"GPGKeys": null}, "keyPath": "/a"}]}"#,
        r#"{"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/a", "signedIdentity": ["matchExact"]}]}"#,
        r#"{"default": [{"type": "sigstoreSigned", "pki": ["/a", "", "", "", "", ""]}]}"#,
        r#"{"default": [{"type": "reject"}], "transports": []}"#,
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_key_of_another_type_is_refused() {
    for requirement in [
        r#"{"type": "reject", "keyPath": "/a"}"#,
        r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/a", "rekorPublicKeyPath": "/b"}"#,
        r#"{"type": "sigstoreSigned", "keyPath": "/a", "keyType": "GPGKeys"}"#,
        r#"{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}, "signedIdentity": {"type": "matchExact"}}"#,
        r#"{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact", "prefix": "a.b"}}"#,
    ] {
        assert!(parse(&whole("reject", requirement)).is_err(), "{requirement}");
    }
}

#[test]
fn errors_name_file_line_column_and_what_was_expected() {
    for (text, place, expected) in [
        ("{\n\"default\": [{\"type\": \"reject\"}],\n\"extra\": 1}", ":3:7", "unknown field `extra`"),
        ("{\n\"default\": []}", ":2:14", "must not be empty"),
        ("{\"default\": [{\"type\": \"reject\"}]}\n x", ":2:2", "trailing characters"),
        ("{\"default\": [{\"type\": \"reject\"}],\n\"default\": 1}", ":2:9", "duplicate field"),
        ("{\"default\": [\n{\"type\": \"signedBy\", \"keyType\": \"GPGKeys\"}]}", ":2:43", "one of keyPath"),
        ("{\"transports\": {\"dir\": {\n\"a\": []}}}", ":2:3", "absolute path"),
        ("{\"transports\": {\"a\": {},\n\"a\": {}}}", ":2:3", "duplicate key \"a\""),
    ] {
        let error = chain(&parse(text).expect_err(text));
        assert!(error.starts_with(&format!("invalid configuration at policy.json{place}")), "{text:?}: {error}");
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn a_missing_policy_is_an_error_that_names_where_it_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let paths = Paths::isolated(directory.path());
    let error = PolicyJson::load(&paths).unwrap_err();
    for place in ["home/.config/containers/policy.json", "etc/containers/policy.json"] {
        assert!(error.to_string().contains(directory.path().join(place).to_str().unwrap()), "{error}");
    }
    let file = directory.path().join("etc/containers/policy.json");
    write(&file, r#"{"default": [{"type": "reject"}]}"#);
    assert_eq!(PolicyJson::load(&paths).unwrap().file(), file);
}
