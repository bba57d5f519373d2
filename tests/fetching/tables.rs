//! containerd's tables about single rules, run through the public library; where our rule is another, it stands here.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use serde_json::{Value, json};
use transship::config::Capabilities;
use transship::error::find;
use transship::http::{Error, HeaderMap, Phase, Request, Response, RetryPolicy, Retrying, StatusCode, TestClock, Wire};
use transship::manifest::Descriptor;
use transship::reference::Reference;
use transship::registry::{Address, Endpoint, ErrorResponse, Identity, RegistryClient};
use transship::source::{self, Fetcher};
use transship::{Digest, MediaType, SafeUrl};

use crate::scripts::{LAYER, MANIFEST};
use crate::stage::{Script, Stage, pull_source};
use crate::support::reply::Reply;
use crate::support::tables::{containerd_table, text};

const REFERENCE: &str = "reg.test/foo/bar:latest";
/// Attempts at a last host, and at one with others behind it.
const PATIENT: u32 = 4;
const BRISK: u32 = 2;

pub(crate) fn descriptor(media_type: &str, bytes: &[u8], urls: &[&str]) -> Descriptor {
    let digest = Digest::sha256(bytes).to_string();
    let document = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
    let mut descriptor: Descriptor = serde_json::from_value(document).unwrap();
    descriptor
        .set_urls(Some(urls.iter().map(|url| (*url).to_owned()).collect()).filter(|urls: &Vec<_>| !urls.is_empty()));
    descriptor
}

/// A fetcher whose hosts are all of the stage.
pub(crate) fn fetcher(stage: &Stage, hosts: &[&str]) -> Fetcher {
    let reference: Reference = REFERENCE.parse().unwrap();
    let hosts = hosts.iter().map(|host| pull_source(&reference, host, "", Capabilities::ALL)).collect();
    source::fetcher_pull_sources(&stage.config(), &reference, hosts, &stage.options())
}

fn resolve(stage: &Stage, reference: &str, hosts: &[&str]) -> Result<source::Resolved, source::Error> {
    let reference: Reference = reference.parse().unwrap();
    let hosts = hosts.iter().map(|host| pull_source(&reference, host, "", Capabilities::ALL)).collect();
    source::resolve_pull_sources(&stage.config(), &reference, hosts, &stage.options())
}

/// Why a name of containerd's own grammar is none here: ours is that of podman, skopeo and docker.
fn is_outside_of_the_grammar(input: &str) -> bool {
    let (_, path) = input.split_once('/').unwrap_or(("", input));
    let (path, _) = path.split_once([':', '@']).unwrap_or((path, ""));
    let is_unclean = path.contains("//") || path.contains("..") || path.ends_with('/') || path.starts_with('/');
    let has_strange = input.contains(['?', '#', '%', ' ']) || path.contains(char::is_uppercase);
    let is_unfinished = input.ends_with([':', '@', '/']);
    let tail = input.rsplit_once('/').map_or(input, |(_, tail)| tail);
    let has_two_tags = tail.matches(':').count() > 1 && !input.contains('@');
    let has_path_behind_tag = input
        .split_once('/')
        .is_some_and(|(_, rest)| rest.split_once(':').is_some_and(|(_, tag)| tag.contains('/') && !tag.contains('@')));
    let has_user = input.split_once('/').is_some_and(|(host, _)| host.contains('@'));
    let has_bad_digest = input.split_once('@').is_some_and(|(_, digest)| digest.parse::<Digest>().is_err());
    // Neither podman nor skopeo has names with IPv6 addresses in them.
    input.starts_with('[')
        || is_unclean
        || has_strange
        || is_unfinished
        || has_two_tags
        || has_path_behind_tag
        || has_user
        || has_bad_digest
}

#[test]
fn what_both_grammars_have_is_read_alike() {
    let mut alike = 0;
    for case in containerd_table("reference_spec") {
        let input = text(&case["input"]);
        let Ok(reference) = input.parse::<Reference>() else {
            assert!(!case["error"].is_null() || is_outside_of_the_grammar(&input), "{case}");
            continue;
        };
        let has_registry = input.split_once('/').is_some_and(|(first, _)| {
            first.contains(['.', ':']) || first == "localhost" || first.contains(char::is_uppercase)
        });
        if !has_registry {
            // A short name is one of Docker's, where containerd takes its first word for a host or refuses it.
            assert_eq!(reference.domain(), "docker.io", "{case}");
            continue;
        }
        assert_eq!(reference.domain(), text(&case["hostname"]), "{case}");
        let repository = text(&case["repository"]);
        let is_official = reference.domain() == "docker.io" && !repository.contains('/');
        let repository = if is_official { format!("library/{repository}") } else { repository };
        assert_eq!(reference.name().path(), repository, "{case}");
        let object = text(&case["object"]);
        let (tag, digest) = object.split_once('@').unwrap_or((&object, ""));
        assert_eq!(reference.tag().map_or("", |tag| tag.as_str()), tag, "{case}");
        assert_eq!(reference.digest().map_or("", |digest| digest.as_str()), digest, "{case}");
        alike += 1;
    }
    assert!(alike >= 5 || containerd_table("reference_spec").is_empty());
}

fn object(size: usize) -> Vec<u8> {
    (0..size).map(|number| (number % 251).to_le_bytes()[0]).collect()
}

/// The server of a row, for an object of that many bytes that is asked for from `offset` on.
fn range_server(server: &str, offset: usize, bytes: &[u8]) -> Script {
    let part = |status: u16, range: &str| {
        Reply::new(status).body(&bytes[offset.min(bytes.len())..]).header("Content-Range", range)
    };
    let size = bytes.len();
    let honest = || part(206, &format!("bytes {offset}-{}/{size}", size - 1));
    let replies = match server {
        _ if offset == 0 => vec![Reply::ok(bytes)],
        _ if server.contains("no Content-Range") || server.contains("ignores Range") => vec![Reply::ok(bytes)],
        _ if server.starts_with("200 + content-range") => {
            vec![part(200, server.split('\'').nth(1).unwrap())]
        }
        _ if server.starts_with("content-range") => vec![part(206, server.split('\'').nth(1).unwrap())],
        _ if server.contains("no Content-Length") => vec![honest().chunked()],
        _ if server.contains("408 once") => vec![Reply::new(408), honest()],
        _ if server.contains("500") => vec![Reply::new(500)],
        _ => vec![honest()],
    };
    vec![("GET /blobs/", replies)]
}

/// What we read in one piece where containerd reads in several has no later pieces that fail.
#[test]
fn what_is_read_from_an_offset_on_is_what_is_there_or_an_error() {
    for case in containerd_table("open_range") {
        let (mode, server) = (text(&case["mode"]), text(&case["server"]));
        let Some(result) = case["result"].as_str() else { continue };
        if server.contains("chunks beyond") {
            continue;
        }
        let bytes = object(if mode == "single" { 128 } else { 3 << 20 });
        let offset = case["offset"].as_u64().map_or(bytes.len(), |offset| usize::try_from(offset).unwrap());
        let stage = Stage::new(range_server(&server, offset, &bytes));
        let mut content = fetcher(&stage, &["reg.test"]).fetch(&descriptor(LAYER, &bytes, &[])).unwrap();
        content.seek(SeekFrom::Start(offset as u64)).unwrap();
        let mut read = Vec::new();
        let outcome = content.read_to_end(&mut read);
        assert_eq!(outcome.is_err(), result.starts_with("error"), "{case}: {outcome:?}");
        if outcome.is_ok() {
            assert!(read == bytes[offset.min(bytes.len())..], "{case}");
        }
    }
}

fn encoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(bytes, 3).unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn each_content_encoding_is_read_as_by_containerd_and_zlib_too() {
    for case in containerd_table("content_encoding") {
        let codings: Vec<_> = case["applied"].as_array().into_iter().flatten().map(text).collect();
        let expected = case["expect_text"].as_str().unwrap_or("hello containerd fetcher");
        let body = match case["body_b64"].as_str() {
            Some(body) => BASE64_STANDARD.decode(body).unwrap(),
            None => codings.iter().fold(expected.into(), |bytes: Vec<u8>, coding| encoded(coding, &bytes)),
        };
        let is_zlib = codings.iter().any(|coding| coding == "zlib");
        let header = text(&case["header"]);
        let reply = Reply::ok(body).header("Content-Encoding", &header);
        let stage = Stage::new(vec![("GET", vec![reply])]);
        let mut content = fetcher(&stage, &["reg.test"]).fetch(&descriptor(LAYER, expected.as_bytes(), &[])).unwrap();
        let mut read = String::new();
        let outcome = content.read_to_string(&mut read);
        let is_refused = case["expect_error"] == true || case["expect_error"].is_string();
        assert_eq!(outcome.is_err(), is_refused && !is_zlib, "{case}: {outcome:?}");
        match outcome {
            Ok(_) => assert_eq!(read, expected, "{case}"),
            Err(error) if case["expect_error"].is_string() => {
                assert!(matches!(find(&error), Some(Error::Encoding { .. })), "{case}");
            }
            Err(_) => {}
        }
    }
}

fn attempts(status: u16, is_last: bool) -> u32 {
    let is_retried = [408, 429, 500, 502, 503, 504].contains(&status);
    let most = if is_last { PATIENT } else { BRISK };
    if is_retried { most } else { 1 }
}

#[test]
fn an_error_of_fetching_has_the_status_and_every_word_of_the_registry() {
    for case in containerd_table("fetch_error_text") {
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let is_last = case["last_host"].as_bool().unwrap_or(true);
        let reply = Reply::new(status).body(case["body"].to_string());
        let stage = Stage::new(vec![("first.test", vec![reply]), ("reg.test", vec![Reply::new(404)])]);
        let hosts: &[_] = if is_last { &["first.test"] } else { &["first.test", "reg.test"] };
        let mut content = fetcher(&stage, hosts).fetch(&descriptor(LAYER, b"layer", &[])).unwrap();
        let error = content.read_to_end(&mut Vec::new()).unwrap_err();
        let of_source = find::<source::Error>(&error).unwrap();
        let first = match of_source {
            source::Error::AllSourcesFailed(all) => &*all.mirrors[0].error,
            alone => alone,
        };
        let response = find::<ErrorResponse>(first).unwrap();
        assert_eq!(response.status.as_u16(), status);
        assert_eq!(of_source.is_not_found(), status == 404 || !is_last, "{case}");
        let said = case["body"]["errors"].as_array().into_iter().flatten();
        let said: Vec<_> = said.map(|entry| (text(&entry["code"]), text(&entry["message"]))).collect();
        let kept: Vec<_> = response.entries.iter().map(|entry| (entry.code.clone(), entry.message.clone())).collect();
        assert_eq!(kept, said, "{case}");
        let asked = stage.requests().iter().filter(|(line, _)| line.contains("first.test")).count();
        assert_eq!(asked, attempts(status, is_last) as usize, "{case}");
    }
}

#[test]
fn a_registry_s_errors_keep_their_codes_whatever_those_are() {
    for case in containerd_table("registry_error_format") {
        let stage = Stage::new(vec![("GET", vec![Reply::json(&case["envelope"]).status(403)])]);
        let mut content = fetcher(&stage, &["reg.test"]).fetch(&descriptor(LAYER, b"layer", &[])).unwrap();
        let error = content.read_to_end(&mut Vec::new()).unwrap_err();
        let response = find::<ErrorResponse>(&error).unwrap();
        let said: Vec<_> = case["envelope"]["errors"].as_array().unwrap().iter().collect();
        assert_eq!(response.entries.len(), said.len(), "{case}");
        for (entry, said) in response.entries.iter().zip(&said) {
            assert_eq!((&entry.code, &entry.message), (&text(&said["code"]), &text(&said["message"])), "{case}");
        }
        // The first is the one that is printed. containerd calls every code that it does not know "unknown".
        let code = text(&said[0]["code"]).to_ascii_lowercase().replace('_', " ");
        let message = text(&said[0]["message"]);
        let printed = if message.is_empty() { code } else { format!("{code}: {message}") };
        assert_eq!(response.to_string(), format!("{printed} (status 403)"), "{case}");
    }
}

/// The three-digit numbers of a text.
fn statuses(trigger: &str) -> Vec<u16> {
    let words = trigger.split(|c: char| !c.is_ascii_digit()).filter(|word| word.len() == 3);
    words.map(|word| word.parse().unwrap()).collect()
}

/// containerd sends five requests without a pause for 408, 429 and what times out, and two for 500, 503 and 504; ours are
/// [`attempts`], with pauses.
#[test]
fn each_trigger_of_a_retry_has_our_number_of_attempts() {
    for case in containerd_table("retry_policy") {
        let trigger = text(&case["trigger"]);
        let statuses = statuses(&trigger);
        for status in &statuses {
            let mut head = Reply::new(*status);
            if *status == 401 && trigger.contains("usable") {
                head = head.header("WWW-Authenticate", r#"Bearer realm="http://auth.test/t",service="s""#);
            }
            if (301..=308).contains(status) {
                head = head.header("Location", "http://cdn.test/x");
            }
            let script: Script = vec![
                ("auth.test", vec![Reply::json(&json!({"token": "T"}))]),
                ("HEAD", vec![head]),
                ("GET", vec![Reply::new(if *status == 405 { 404 } else { *status })]),
            ];
            let stage = Stage::new(script);
            resolve(&stage, REFERENCE, &["reg.test"]).unwrap_err();
            let requests = stage.requests();
            let of_registry = |word: &str| {
                requests.iter().filter(|(line, _)| line.starts_with(word) && line.contains("reg.test")).count()
            };
            let (heads, gets) = (of_registry("HEAD"), of_registry("GET"));
            match status {
                401 => assert_eq!((heads, gets), (if trigger.contains("usable") { 2 } else { 1 }, 0), "{case}"),
                403 | 405 => assert_eq!((heads, gets), (1, 1), "{case}"),
                other => assert_eq!((heads, gets), (attempts(*other, true) as usize, 0), "{case}"),
            }
        }
        let failures = [("timeout", false), ("EOF", true), ("refused", true), ("DNS", false), ("TLS", false)];
        let named: Vec<_> = failures.iter().filter(|(word, _)| trigger.contains(word)).collect();
        assert!(!statuses.is_empty() || !named.is_empty(), "{case}: nothing of it is tried");
        for (word, is_retried) in named {
            let calls = sends(&[*word; 9]);
            assert_eq!(calls > 2, *is_retried, "{case}: {word} {calls}");
        }
    }
}

/// Fails with these, then answers.
struct Failing(Mutex<Vec<String>>);

impl Wire for Failing {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let url = request.url.clone();
        let mut left = self.0.lock().unwrap();
        let next = if left.is_empty() { "ok".to_owned() } else { left.remove(0) };
        if let Some(error) = failure(&next, url.clone()) {
            return Err(error);
        }
        let (status, headers, body) = (StatusCode::OK, HeaderMap::new(), Box::new(std::io::empty()));
        Ok(Response { status, headers, body, url })
    }
}

/// Our error for one of Go's words; `None` for "ok".
fn failure(word: &str, url: SafeUrl) -> Option<Error> {
    use std::io::ErrorKind as Kind;
    Some(match word {
        "ok" => return None,
        _ if word.contains("EOF") => Error::Closed { url, source: Kind::UnexpectedEof.into() },
        _ if word.contains("cancel") => Error::Cancelled { url },
        _ if word.contains("timeout") || word.contains("deadline") => {
            Error::Timeout { url, phase: Phase::Reading, after: Duration::from_secs(1) }
        }
        _ if word.contains("refused") => Error::Connect { url, source: Kind::ConnectionRefused.into() },
        _ if word.contains("DNS") => Error::HostNotFound { url },
        _ if word.contains("TLS") => Error::Tls { url, source: Kind::InvalidData.into() },
        _ if word.contains("reset") => Error::Closed { url, source: Kind::ConnectionReset.into() },
        _ => Error::Protocol { url, reason: word.to_owned() },
    })
}

/// How often a patient client sends a request with these outcomes.
fn sends(outcomes: &[&str]) -> usize {
    let count = outcomes.len();
    let wire = Arc::new(Failing(Mutex::new(outcomes.iter().map(|word| (*word).to_owned()).collect())));
    let retrying = Retrying::new(Arc::clone(&wire), Arc::new(TestClock::default()), RetryPolicy::PATIENT);
    let _ = retrying.send(&Request::get("https://r.example/".parse().unwrap(), Arc::default()));
    count - wire.0.lock().unwrap().len()
}

#[test]
fn a_closed_connection_passes_and_a_timeout_was_the_patience() {
    for case in containerd_table("transient_transport_error") {
        let error = text(&case["error"]);
        let is_retried = sends(&[&error, "ok"]) == 2;
        let is_timeout = error.contains("timeout") || error.contains("deadline");
        // containerd tries a timeout again; ours has had its time, and another source gets the next.
        assert_eq!(is_retried, case["transient"] == true && !is_timeout, "{case}");
    }
}

#[test]
fn what_is_sent_again_is_counted_as_by_containerd_but_for_timeouts_and_refusals() {
    for case in containerd_table("transport_retry") {
        let results: Vec<_> = case["results"].as_array().unwrap().iter().map(text).collect();
        let words: Vec<_> = results.iter().map(String::as_str).chain(["ok"; 9]).collect();
        let calls = sends(&words);
        let first = &results[0];
        let expected = match &**first {
            // A registry that is just being started refuses, and is asked again.
            word if word.contains("refused") => 2,
            word if word.contains("timeout") => 1,
            _ => usize::try_from(case["calls"].as_u64().unwrap()).unwrap(),
        };
        assert_eq!(calls, expected, "{case}");
    }
}

/// The scope is that of the repository at the endpoint. A challenge cannot widen it on its own account, so a mirror with a
/// prefix is asked for one name only; a registry that wants more says `insufficient_scope`.
#[test]
fn a_token_is_asked_for_with_the_scope_of_the_repository_alone() {
    for case in containerd_table("token_scopes") {
        let list = |name: &str| -> Vec<String> { case[name].as_array().unwrap().iter().map(text).collect() };
        let (wanted, challenged) = (list("context_scopes"), list("challenge_scopes"));
        let [scope] = &*wanted else { continue };
        let path = scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull"));
        let Some(path) = path else { continue };
        let challenge = format!(r#"Bearer realm="http://auth.test/t",service="s",scope="{}""#, challenged.join(" "));
        let found = Reply::ok(MANIFEST)
            .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
            .header("Docker-Content-Digest", Digest::sha256(MANIFEST.as_bytes()).as_str());
        let stage = Stage::new(vec![
            ("auth.test", vec![Reply::json(&json!({"token": "T"}))]),
            ("HEAD", vec![Reply::new(401).header("WWW-Authenticate", &challenge), found]),
        ]);
        resolve(&stage, &format!("reg.test/{path}:1"), &["reg.test"]).unwrap();
        let requests = stage.requests();
        let (_, asked) = requests.iter().find(|(line, _)| line.contains("auth.test")).unwrap();
        assert_eq!(asked.query("scope"), wanted, "{case}");
        // Where the challenge wants nothing else, it is as with containerd.
        if challenged.iter().all(|scope| wanted.contains(scope)) {
            assert_eq!(asked.query("scope"), list("requested"), "{case}");
        }
    }
}

#[test]
fn no_url_is_printed_with_what_may_be_a_secret() {
    for case in containerd_table("url_sanitize") {
        let (given, theirs) = (text(&case["in"]), text(&case["out"]));
        let Ok(url) = given.parse::<SafeUrl>() else {
            // A user or a password in a URL is refused, and so is what is none.
            assert!(given.contains('@') || given.starts_with(':') || url_is_none(&given), "{case}");
            continue;
        };
        let printed = url.to_string();
        let parts = |text: &str| -> Vec<String> {
            let (before, query) = text.split_once('?').unwrap_or((text, ""));
            let mut parts: Vec<_> = query.split('&').map(|pair| pair.replace("REDACTED", "…")).collect();
            parts.sort();
            parts.insert(0, before.to_owned());
            parts
        };
        let printed_as_theirs = parts(&printed) == parts(&theirs);
        // We show the words of the distribution API, and hide a name without a value: it may be a token itself.
        let secret = given.split(['?', '&']).skip(1).filter_map(|pair| pair.split_once('='));
        for (name, value) in secret.filter(|(_, value)| value.len() > 2) {
            let is_shown = printed.contains(value);
            let is_public =
                ["ns", "scope", "service", "account", "digest", "from", "mount", "last", "n"].contains(&name);
            assert!(!is_shown || is_public, "{case}: {printed}");
        }
        assert!(printed_as_theirs || printed.contains('…') || given.contains("ns="), "{case}: {printed}");
    }
}

fn url_is_none(given: &str) -> bool {
    !given.starts_with("http://") && !given.starts_with("https://")
}

fn list_of(artifact_types: &[&str]) -> Value {
    let entries = artifact_types.iter().enumerate().map(|(number, artifact_type)| {
        let digest = Digest::sha256(&[u8::try_from(number).unwrap()]);
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest.to_string(), "size": 2,
            "artifactType": artifact_type,
        })
    });
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries.collect::<Value>()})
}

fn client(stage: &Stage) -> RegistryClient {
    let network = stage.options().network.unwrap();
    let address = Address {
        base: "http://reg.test/v2".parse().unwrap(),
        or_http: false,
        headers: HeaderMap::new(),
        namespace: None,
        connect_timeout: None,
    };
    let endpoint = Endpoint {
        wire: network.wire,
        clock: network.clock,
        tls: Arc::default(),
        insecure: true,
        identity: Identity::default(),
        retry: RetryPolicy::PATIENT,
        address: Some(address),
    };
    RegistryClient::new(REFERENCE.parse::<Reference>().unwrap().name().clone(), endpoint)
}

#[test]
fn referrers_are_listed_as_by_containerd_and_left_to_filter() {
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    for case in containerd_table("referrers") {
        let name = text(&case["case"]);
        let listed = Reply::json(&list_of(&["a/one", "a/two"])).with_header("Content-Type", INDEX);
        let reply = match &*name {
            _ if name.contains("no Content-Length") => listed.chunked(),
            _ if name.contains("Content-Length >") => listed.body(vec![b' '; (4 << 20) + 1]),
            _ if name.contains("404") => Reply::new(404),
            _ if name.contains("trailing") => listed.body(format!("{} {{}}", list_of(&[]))),
            _ => listed,
        };
        let stage = Stage::new(vec![("referrers", vec![reply])]);
        let client = client(&stage);
        let mut found = Vec::new();
        let outcome = client.referrers(&Digest::sha256(b"subject"), &MediaType::from("a/one"), |referrer| {
            found.push(referrer.artifact_type.to_string());
            ControlFlow::Continue(())
        });
        assert_eq!(outcome.is_err(), !case["error"].is_null(), "{case}: {outcome:?}");
        if let Some(count) = case["result"].as_u64() {
            // Whoever asks filters: registries may list all.
            let kept = found.iter().filter(|kind| !name.contains("filter") || *kind == "a/one").count();
            assert_eq!(kept as u64, count, "{case}");
        }
        let requests = stage.requests();
        let asked = requests.iter().find(|(line, _)| line.contains("/referrers/")).unwrap();
        assert_eq!(asked.1.query("artifactType"), ["a/one"], "{case}");
    }
}
