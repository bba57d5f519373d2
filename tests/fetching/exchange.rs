//! One of containerd's recorded exchanges, and what we make of it.

use std::io::{Read as _, Seek as _, SeekFrom};

use serde_json::Value;
use transship::config::credentials::Credentials;
use transship::config::{Capabilities, HostHeader, PullSource};
use transship::error::find;
use transship::manifest::Descriptor;
use transship::reference::Reference;
use transship::registry::{ErrorResponse, Identity};
use transship::source::{self, Content, Options};
use transship::{Digest, MediaType, Secret};

use crate::scripts::{self, LAYER};
use crate::stage::{Stage, pull_source};
use crate::support::request::ReceivedRequest;
use crate::support::tables::text;

/// What the two make of the same script must be equal, part by part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `METHOD URL`, and what of the headers matters, in order.
    pub(crate) requests: Vec<String>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Media type, digest and size.
    descriptor: Option<(String, String, u64)>,
    read: Option<u64>,
    is_error: bool,
    is_not_found: bool,
    is_unauthorized: bool,
    status: Option<u64>,
}

impl Outcome {
    fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        let of_source = find::<source::Error>(error);
        let response = find::<ErrorResponse>(error);
        Self {
            is_error: true,
            is_not_found: of_source.is_some_and(source::Error::is_not_found),
            is_unauthorized: of_source.is_some_and(source::Error::is_unauthorized),
            status: response.map(|response| response.status.as_u16().into()).filter(|status| *status != 404),
            ..Self::default()
        }
    }

    fn described(descriptor: &Descriptor) -> Self {
        let (media_type, digest) = (descriptor.media_type().to_string(), descriptor.digest().to_string());
        Self { descriptor: Some((media_type, digest, descriptor.size())), ..Self::default() }
    }
}

/// What containerd did.
pub(crate) fn theirs(case: &Value) -> Seen {
    let requests = case["requests"].as_array().into_iter().flatten();
    let requests = requests.map(|request| {
        let header = |name: &str| request["headers"][name][0].as_str().map(str::to_owned);
        line(&text(&request["request"]), header, request["body"].as_str().unwrap_or_default())
    });
    let result = &case["result"];
    let error = &result["error"];
    let kinds: Vec<_> = error["kinds"].as_array().into_iter().flatten().map(text).collect();
    let has = |kind: &str| kinds.iter().any(|found| found == kind);
    let status = error["status"].as_u64();
    let descriptor = result["descriptor"].as_object().map(|descriptor| {
        let size = descriptor["size"].as_u64().unwrap();
        (text(&descriptor["mediaType"]), text(&descriptor["digest"]), size)
    });
    let outcome = Outcome {
        descriptor,
        read: result["bytes_read"].as_u64().or_else(|| result["read"].as_u64()),
        is_error: !error.is_null(),
        is_not_found: has("not_found") || status == Some(404),
        is_unauthorized: has("invalid_authorization") || [Some(401), Some(403)].contains(&status),
        status: status.filter(|status| *status != 404),
    };
    Seen { requests: requests.collect(), outcome }
}

/// What we do, on the script of that name.
pub(crate) fn ours(case: &Value) -> Seen {
    let name = text(&case["name"]);
    let stage = Stage::new(scripts::script(&name).unwrap());
    let outcome = run(case, &name, &stage);
    let requests = stage.requests();
    let header = |request: &ReceivedRequest, name: &str| request.header(name).map(str::to_owned);
    let lines = requests
        .iter()
        .map(|(asked, request)| line(asked, |name| header(request, name), std::str::from_utf8(&request.body).unwrap()));
    Seen { requests: lines.collect(), outcome }
}

/// A refused basic authorisation has no status in containerd's table.
pub(crate) fn without_basic_status(mut seen: Seen, theirs: &Seen) -> Seen {
    if theirs.outcome.is_unauthorized && theirs.outcome.status.is_none() && seen.outcome.is_unauthorized {
        seen.outcome.status = None;
    }
    seen
}

/// A request in one line; the names of the two programs, and the order of parameters, do not count.
fn line(request: &str, header: impl Fn(&str) -> Option<String>, form: &str) -> String {
    let (target, query) = request.split_once('?').unwrap_or((request, ""));
    let mut pairs: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let mut fields: Vec<_> = form.split('&').filter(|field| !field.starts_with("client_id=")).collect();
    fields.sort_unstable();
    let headers = ["Range", "Authorization", "X-Global", "X-Host"]
        .into_iter()
        .filter_map(|name| Some(format!(" {name}: {}", header(name)?)));
    format!("{target}?{} {}{}", pairs.join("&"), fields.join("&"), headers.collect::<String>())
}

fn run(case: &Value, name: &str, stage: &Stage) -> Outcome {
    let Ok(reference) = text(&case["ref"]).parse::<Reference>() else {
        return Outcome { is_error: true, ..Outcome::default() };
    };
    let pull_sources = pull_sources(case, name, &reference);
    let options = Options { identity: identity(case), ..stage.options() };
    let config = stage.config();
    if text(&case["op"]).is_empty() {
        return match source::resolve_pull_sources(&config, &reference, pull_sources, &options) {
            Ok(resolved) => {
                let pinned = reference
                    .without_tag_and_digest()
                    .with_digest(Digest::try_from(resolved.descriptor.digest()).unwrap());
                assert_eq!(resolved.name, pinned);
                Outcome::described(&resolved.descriptor)
            }
            Err(error) => Outcome::failed(&error),
        };
    }
    let fetcher = source::fetcher_pull_sources(&config, &reference, pull_sources, &options);
    match &*text(&case["op"]) {
        "fetch" => {
            let descriptor = scripts::descriptor(name, case);
            let (mut content, expected) = (fetcher.fetch(&descriptor).unwrap(), scripts::content(name));
            assert_eq!(stage.requests().len(), 0, "{name}: nothing is asked before the first read");
            read(&mut content, &expected)
        }
        "fbd" => {
            let media_type = name.contains("media type").then(|| MediaType::from(LAYER));
            match fetcher.fetch_by_digest(&scripts::digest(scripts::MANIFEST.as_bytes()), media_type.as_ref()) {
                Ok((descriptor, mut content)) => {
                    let read = read(&mut content, scripts::MANIFEST.as_bytes());
                    Outcome { read: read.read, ..Outcome::described(&descriptor) }
                }
                Err(error) => Outcome::failed(&error),
            }
        }
        _ if name.contains("lazy") => {
            fetcher.fetch(&scripts::descriptor(name, case)).unwrap();
            Outcome::default()
        }
        _ => seek(&mut fetcher.fetch(&scripts::descriptor(name, case)).unwrap(), &case["result"]),
    }
}

fn read(content: &mut Content, expected: &[u8]) -> Outcome {
    let mut bytes = Vec::new();
    let outcome = content.read_to_end(&mut bytes);
    assert!(expected.starts_with(&bytes), "what comes is right as far as it comes");
    assert_eq!(outcome.is_ok(), content.is_verified());
    let failed = outcome.err().map(|error| Outcome::failed(&error)).unwrap_or_default();
    Outcome { read: Some(bytes.len() as u64), ..failed }
}

/// What containerd's own test does, in its order.
fn seek(content: &mut Content, result: &Value) -> Outcome {
    let number = |name: &str| result[name].as_u64().unwrap();
    assert_eq!(content.seek(SeekFrom::End(-10)).unwrap(), number("seek_end_-10"));
    let mut bytes = Vec::new();
    let read = content.read_to_end(&mut bytes).unwrap() as u64;
    assert_eq!(bytes, scripts::large()[3990..]);
    assert!(!content.is_verified(), "nobody can tell of a part");
    assert_eq!(content.stream_position().unwrap(), number("tell"));
    for (name, to) in [("seek_to_size", SeekFrom::Start(4000)), ("seek_beyond", SeekFrom::Start(5000))] {
        assert_eq!(content.seek(to).unwrap(), number(name));
        assert_eq!(content.read(&mut [0; 10]).unwrap(), 0, "{name}");
    }
    assert_eq!(content.seek(SeekFrom::Current(-5001)).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    Outcome { read: Some(read), ..Outcome::default() }
}

fn identity(case: &Value) -> Option<Identity> {
    let given = case["credentials"].as_array()?;
    let (user, secret) = (text(&given[0]), text(&given[1]));
    let credentials = if user.is_empty() {
        Credentials::basic("", "").with_identity_token(secret)
    } else {
        Credentials::basic(user, secret)
    };
    Some(Identity { credentials: Some(credentials), token: None })
}

fn pull_sources(case: &Value, name: &str, reference: &Reference) -> Vec<PullSource> {
    let hosts = case["hosts"].as_array().unwrap().iter();
    let pull_source = |host: &Value| {
        let has = |word: &str| host["capabilities"].as_array().unwrap().iter().any(|found| found == word);
        let capabilities =
            Capabilities { pull: has("pull"), resolve: has("resolve"), push: has("push"), referrers: true };
        let mut pull_source = pull_source(reference, &text(&host["host"]), &text(&host["path"]), capabilities);
        if let Some(own) = pull_source.host.take() {
            let mut own = (*own).clone();
            // The table has the headers of one case only where they are sent.
            if name == "tag: HEAD with digest+length" {
                own.headers = [("X-Global", "g"), ("X-Host", "h")].map(|(name, value)| header(name, value)).to_vec();
            }
            pull_source.host = Some(own.into());
        }
        pull_source
    };
    hosts.map(pull_source).collect()
}

fn header(name: &str, value: &str) -> HostHeader {
    HostHeader { name: name.to_owned(), value: Secret::new(value.to_owned()) }
}
