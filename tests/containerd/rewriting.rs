//! Rewrites of repositories, and who is told of them.

use std::sync::Arc;

use serde_json::{Value, json};
use transship::config::containerd::Registries;
use transship::error::one_line;
use transship::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use transship::{ImageReference, SafeUrl};

use crate::support::tables::{containerd_table, text};
use crate::tree::{Script, Tree};

/// Wants a token, gives one to everybody, and has an image behind every name.
fn answer(request: &Request) -> Response {
    let mut headers = HeaderMap::new();
    let is_token = request.url.host() == "token.example";
    let is_known = is_token || request.headers.contains_key(header::AUTHORIZATION);
    if !is_known {
        let challenge = HeaderValue::from_static("Bearer realm=\"https://token.example/\",service=\"s\"");
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    let body = if is_token { json!({"token": "t"}) } else { json!({"schemaVersion": 2}) };
    Response {
        status: if is_known { StatusCode::OK } else { StatusCode::UNAUTHORIZED },
        headers,
        body: Box::new(std::io::Cursor::new(body.to_string().into_bytes())),
        url: request.url.clone(),
    }
}

/// What was asked of a host with these rules: the URL of the manifest, and the scope of its token.
fn ask(reference: &str, endpoint_path: &str, rules: &[(String, String)]) -> Result<(String, String), String> {
    let script = Script::new(answer);
    let mut tree = Tree::new();
    tree.wire = Some(Arc::clone(&script) as _);
    let rules: String = rules
        .iter()
        .map(|(pattern, replacement)| {
            // A text of JSON is one of TOML too.
            format!("{} = {}\n", json!(pattern), json!(replacement))
        })
        .collect();
    let host = format!("host.\"https://m.example{endpoint_path}\"");
    tree.write("_default/hosts.toml", &format!("[{host}]\noverride_path = true\n[{host}.rewrite]\n{rules}"));
    // The bytes are no image, but it was asked for.
    let source = tree.open(reference).map_err(|error| one_line(&error))?;
    let logical: ImageReference = format!("docker://{reference}").parse().unwrap();
    assert_eq!(*source.logical(), logical, "the name stays what it was");
    let asked = script.take_asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    let (token, manifest): (SafeUrl, _) = (asked[1].parse().unwrap(), asked[2].clone());
    let scopes = url::Url::parse(token.expose()).unwrap();
    let scopes: Vec<_> =
        scopes.query_pairs().filter(|(name, _)| name == "scope").map(|(_, scope)| scope.into_owned()).collect();
    let [scope] = scopes.try_into().unwrap();
    Ok((manifest, scope))
}

const NO_NAME: &str = "what comes out is no repository name, which is an error with its line and its rule";
const NO_PATTERN: &str = "a pattern that cannot be read is an error with its line, and not passed over";

/// The rules in which we do something else, and why.
const DIFFERING: &[(&str, &str, &str)] = &[
    ("", "p/", NO_NAME),
    ("a", "A", NO_NAME),
    ("^(\\w+)/(\\w+)$", "$1x/$2", NO_NAME),
    ("^library/(.*)", "x/$$1", NO_NAME),
    ("(", "x", NO_PATTERN),
    ("^(.*)$", "/abs/$1", NO_NAME),
    ("^(.*)$", "abs/$1/", NO_NAME),
    ("^(.*)$", "../$1", NO_NAME),
];

#[test]
fn the_repository_alone_is_rewritten_and_the_token_is_for_what_it_became() {
    for case in containerd_table("rewrites") {
        let rule = (text(&case["pattern"]), text(&case["replacement"]));
        let path = text(&case["endpoint_path"]);
        let outcome = ask(&text(&case["ref"]), &path, std::slice::from_ref(&rule));
        if let Some((.., reason)) =
            DIFFERING.iter().find(|(pattern, replacement, _)| (*pattern, *replacement) == (&rule.0, &rule.1))
        {
            let error = outcome.expect_err(reason);
            assert!(error.contains("_default/hosts.toml:4:1: "), "{error}");
            assert!(error.contains(&format!("{:?}", rule.0)), "{error}");
            continue;
        }
        let (manifest, scope) = outcome.unwrap_or_else(|error| panic!("{case}: {error}"));
        let ns: SafeUrl =
            "https://m.example".parse::<SafeUrl>().unwrap().with_query("ns", &text(&case["ns_query_on_mirror"]));
        let (_, ns) = ns.expose().split_once('?').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(manifest, format!("https://m.example{}?{ns}", text(&case["manifest_url_path"])), "{case}");
        // What the path of the URL has behind /v2 belongs to the repository: the registry's own challenge says so, too.
        let prefix = path.strip_prefix("/v2/").map(|prefix| format!("{prefix}/")).unwrap_or_default();
        let expected = text(&case["token_scope"]).replace("repository:", &format!("repository:{prefix}"));
        assert_eq!(scope, expected, "{case}");
    }
}

/// The lists in which we do something else, by their first pattern, what comes out, and why.
const DIFFERING_LISTS: &[(&str, Option<&str>, &str)] = &[
    ("^library", Some("library/alpine"), "the first rule that matches counts, be it one that changes nothing"),
    ("(", None, NO_PATTERN),
];

#[test]
fn of_several_rules_the_first_that_matches_counts_alone() {
    for case in containerd_table("rewrites_multi") {
        let repository = text(&case["repository"]);
        let rules: Vec<_> =
            case["rules"].as_array().unwrap().iter().map(|rule| (text(&rule[0]), text(&rule[1]))).collect();
        let outcome = ask(&format!("quay.io/{repository}:1"), "/v2", &rules).ok();
        let became = outcome.map(|(_, scope)| {
            scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull")).unwrap().to_owned()
        });
        let is_possible = |became: &str| case["possible"].as_array().unwrap().contains(&Value::from(became));
        let first = rules.first().map(|(pattern, _)| pattern.as_str()).unwrap_or_default();
        match DIFFERING_LISTS.iter().find(|(pattern, ..)| *pattern == first && !pattern.is_empty()) {
            Some((_, expected, reason)) => {
                assert_eq!(became.as_deref(), *expected, "{reason}");
                assert!(
                    !became.is_some_and(|became| is_possible(&became)),
                    "{case} does not differ any more: {reason}"
                );
            }
            None => assert!(is_possible(became.as_deref().unwrap()), "{case}: {became:?}"),
        }
    }
    let order = [("strimzi/(.*)", "a/$1"), ("(.*)", "b/$1")].map(|(from, to)| (from.to_owned(), to.to_owned()));
    let reversed: Vec<_> = order.iter().rev().cloned().collect();
    let asked = |rules: &[_]| ask("quay.io/strimzi/operator:1", "/v2", rules).unwrap().0;
    assert!(asked(&order).contains("/v2/a/operator/"), "the order is that of the file");
    assert!(asked(&reversed).contains("/v2/b/strimzi/operator/"), "and not that of the alphabet");
}

#[test]
fn each_family_has_rules_in_the_order_of_its_file() {
    let rules = [("z-(.*)", "first/$1"), ("(.*)", "second/$1"), ("a-(.*)", "third/$1")];
    let tree = Tree::new();
    let toml: String = rules.iter().map(|(from, to)| format!("\"{from}\" = \"{to}\"\n")).collect();
    let yaml: String = rules.iter().map(|(from, to)| format!("      \"{from}\": \"{to}\"\n")).collect();
    let table = "plugins.'io.containerd.cri.v1.images'.registry.mirrors.'*'";
    let cri = tree
        .write("config.toml", &format!("version = 3\n[{table}]\nendpoint = ['m.example']\n[{table}.rewrite]\n{toml}"));
    let k3s =
        tree.write("registries.yaml", &format!("mirrors:\n  '*':\n    endpoint: [m.example]\n    rewrite:\n{yaml}"));
    let paths = transship::config::Paths::isolated(tree.path());
    for registries in [Registries::load_containerd_config(&cri, &paths).unwrap(), Registries::load_k3s(&k3s).unwrap()] {
        let physical = |image: &str| {
            let sources = registries.pull_sources(&format!("quay.io/{image}:1").parse().unwrap()).unwrap();
            sources.iter().map(|source| source.physical.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(physical("z-x"), ["m.example/first/x:1", "quay.io/z-x:1"], "the registry itself keeps the name");
        assert_eq!(physical("a-x"), ["m.example/second/a-x:1", "quay.io/a-x:1"]);
    }
}

#[test]
fn a_query_is_appended_parameter_by_parameter() {
    for case in containerd_table("add_query") {
        let url: SafeUrl = format!("https://r.example{}", text(&case["path"])).parse().unwrap();
        let added = case["add"].as_array().unwrap().iter();
        let url = added.fold(url, |url, pair| url.with_query(&text(&pair[0]), &text(&pair[1])));
        assert_eq!(url.expose(), format!("https://r.example{}", text(&case["out"])), "{case}");
    }
}
