//! What the servers answered in containerd's recorded exchanges. The table has the requests and the outcome; these are the
//! answers that its names tell of.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use transship::Digest;
use transship::manifest::Descriptor;

use crate::stage::Script;
use crate::support::reply::Reply;
use crate::support::tables::text;

/// The content of most exchanges.
pub(crate) const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DIGEST: &str = "Docker-Content-Digest";
const OVERSIZE: &str = "4393217";

const HEAD: &str = "HEAD /manifests/";
const GET: &str = "GET /manifests/";
const BLOB: &str = "GET /blobs/";
const MIRROR: &str = "m1.test";

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::sha256(bytes)
}

/// The content of the exchanges that break off.
pub(crate) fn large() -> Vec<u8> {
    (0..4000_u32).map(|number| (number * 7).to_le_bytes()[0]).collect()
}

/// That of those that come in pieces.
fn in_pieces() -> Vec<u8> {
    (0..2500_u32).map(|number| (number * 13).to_le_bytes()[0]).collect()
}

/// What is fetched.
pub(crate) fn content(name: &str) -> Vec<u8> {
    match name {
        _ if name.starts_with("resume: ") || name.starts_with("seek ") => large(),
        _ if name.starts_with("parallel: ") => in_pieces(),
        _ => MANIFEST.into(),
    }
}

/// Its descriptor.
pub(crate) fn descriptor(name: &str, case: &Value) -> Descriptor {
    let content = content(name);
    let media_type = match name.strip_prefix("fetch endpoint for media type ") {
        Some(media_type) => media_type.to_owned(),
        None if name.contains("manifest type") || name.contains("manifests") => OCI_MANIFEST.to_owned(),
        None => LAYER.to_owned(),
    };
    let mut urls = Vec::new();
    if name.contains("url") {
        let requests = case["requests"].as_array().unwrap().iter().map(|request| text(&request["request"]));
        urls.extend(requests.filter_map(|request| Some(request.strip_prefix("GET ")?.to_owned())));
        urls.retain(|url| url.contains("//ext"));
    }
    let document = json!({
        "mediaType": media_type, "digest": digest(&content).to_string(), "size": content.len(), "urls": urls,
    });
    serde_json::from_value(document).unwrap()
}

fn manifest() -> Reply {
    Reply::ok(MANIFEST).header("Content-Type", OCI_MANIFEST).header(DIGEST, digest(MANIFEST.as_bytes()).as_str())
}

fn manifest_of_type(content_type: &str) -> Reply {
    manifest().with_header("Content-Type", content_type)
}

/// A manifest of which a `HEAD` tells no digest.
fn nameless() -> Reply {
    Reply::ok(MANIFEST).header("Content-Type", OCI_MANIFEST)
}

fn oversize(digest: &str) -> Reply {
    Reply::new(200).header("Content-Type", OCI_MANIFEST).header(DIGEST, digest).header("Content-Length", OVERSIZE)
}

fn blob() -> Reply {
    Reply::ok(MANIFEST).header("Content-Type", "application/octet-stream")
}

fn status(status: u16) -> Vec<Reply> {
    vec![Reply::new(status)]
}

fn challenge(challenge: &str) -> Reply {
    Reply::new(401).header("WWW-Authenticate", challenge)
}

const BEARER: &str = r#"Bearer realm="http://auth.test/token",service="svc",scope="repository:foo/bar:pull""#;

fn token(document: &Value) -> Reply {
    Reply::json(document)
}

/// A registry that wants a token; `answers` are those of the token server.
fn bearer(wanted: &str, post: Reply, get: Reply) -> Script {
    vec![("POST auth.test", vec![post]), ("GET auth.test", vec![get]), (HEAD, vec![challenge(wanted), manifest()])]
}

/// The same where the first question is refused, or was not to be put.
fn refusing(status: u16) -> Script {
    bearer(BEARER, Reply::new(status), token(&json!({"token": "T"})))
}

fn cut(body: Vec<u8>) -> Reply {
    Reply::ok(body).cut_after(1000)
}

/// A part of the large content, with what is said of it.
fn part(status: u16, from: usize, range: &str) -> Reply {
    Reply::new(status).body(&large()[from..]).header("Content-Range", range)
}

fn resumed(second: Reply) -> Script {
    vec![(BLOB, vec![cut(large()), second])]
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn encoded(coding: &str, body: Vec<u8>) -> Script {
    vec![(BLOB, vec![Reply::ok(body).header("Content-Encoding", coding)])]
}

/// A server that can send the pieces of what comes in some, or cannot.
fn pieces(is_able: bool) -> Script {
    let whole = in_pieces();
    let part = |from: usize| {
        let range = format!("bytes {from}-2499/2500");
        Reply::new(206).body(&whole[from..]).header("Content-Range", &range)
    };
    let whole = || Reply::ok(in_pieces());
    let answers = if is_able { vec![part(0), part(1024), part(2048)] } else { vec![whole()] };
    vec![("GET", answers)]
}

/// Every exchange with the answers of its servers.
#[allow(clippy::too_many_lines, reason = "a list")]
fn all() -> Vec<(&'static str, Script)> {
    let found = || vec![(BLOB, vec![blob()]), (GET, vec![manifest()])];
    let plain = || vec![("HEAD blobs", vec![blob()]), (HEAD, vec![manifest()]), (GET, vec![manifest()])];
    let only = |code: u16| vec![(HEAD, status(code))];
    let no_token = || token(&json!({}));
    let granted = || token(&json!({"token": "T"}));
    let oauth = || token(&json!({"access_token": "T"}));
    vec![
        ("tag: HEAD with digest+length", plain()),
        (
            "tag: digest header but no content-length -> GET, digest recomputed",
            vec![(HEAD, vec![manifest().chunked()]), (GET, vec![manifest()])],
        ),
        (
            "digest: no content-length -> GET only to count bytes",
            vec![(HEAD, vec![manifest().chunked()]), (GET, vec![manifest().body("not that one at all.\n")])],
        ),
        ("digest: 404 manifests -> blobs", vec![(HEAD, status(404)), ("HEAD blobs", vec![blob()])]),
        ("digest: all hosts 404 manifests -> blobs on all hosts", vec![]),
        ("digest: connection refused everywhere DOES fall through to blobs (priority 1)", vec![]),
        (
            "digest: mirror refused, upstream blobs 200 after manifests 404",
            vec![(HEAD, status(404)), ("HEAD blobs", vec![blob()])],
        ),
        ("tag: HEAD 408 forever -> 5 attempts, no delay", only(408)),
        ("tag: HEAD 429 forever -> 5 attempts, no delay", only(429)),
        (
            "tag: 429 on a non-last mirror is ALSO retried 5x before next host",
            vec![(MIRROR, status(429)), (HEAD, vec![manifest()])],
        ),
        ("tag: HEAD 500 single host", only(500)),
        ("tag: HEAD 503 single host", only(503)),
        ("tag: HEAD 504 single host", only(504)),
        ("tag: HEAD 502 single host", only(502)),
        (
            "tag: 503 on mirror (not last) -> next host without retry",
            vec![(MIRROR, status(503)), (HEAD, vec![manifest()])],
        ),
        ("tag: 500 then 503 then 200 on last host", vec![(HEAD, vec![Reply::new(500), Reply::new(503), manifest()])]),
        ("tag: HEAD 403 but GET 200 -> original 403 error kept", vec![(HEAD, status(403)), (GET, vec![manifest()])]),
        (
            "tag: 304 (3xx without follow) aborts immediately, no next host",
            vec![(MIRROR, status(304)), (HEAD, vec![manifest()])],
        ),
        (
            "tag: GET after HEAD fails 404 -> immediate error, no next host",
            vec![("HEAD m1.test", vec![nameless()]), (MIRROR, status(404)), (HEAD, vec![manifest()])],
        ),
        ("digest: pull-only mirror used", plain()),
        ("tag+digest: digest wins, tag ignored", plain()),
        ("no object", plain()),
        ("partial digest rejected", plain()),
        ("unknown digest algorithm rejected", plain()),
        (
            "content-type with charset is stripped (no trim)",
            vec![(HEAD, vec![manifest_of_type(&format!("{OCI_MANIFEST} ;charset=utf-8"))])],
        ),
        (
            "text/plain without digest header -> schema1 refused",
            vec![("manifests", vec![nameless().with_header("Content-Type", "text/plain")])],
        ),
        (
            "oversize manifest (4*1048*1048+1) rejected",
            vec![(HEAD, vec![oversize(digest(MANIFEST.as_bytes()).as_str())])],
        ),
        (
            "oversize on mirror poisons digest for next host (tag)",
            vec![(MIRROR, vec![oversize(&format!("sha256:{}", "1".repeat(64)))]), (HEAD, vec![manifest()])],
        ),
        ("error priority: refused then 404 -> not found", only(404)),
        (
            "error priority: 403 then 502 -> first of equal priority (403)",
            vec![(MIRROR, status(403)), (HEAD, status(502))],
        ),
        (
            "bearer anonymous: challenge scope equals context scope -> one scope",
            bearer(BEARER, Reply::new(405), granted()),
        ),
        (
            "bearer anonymous: no scope in challenge",
            bearer(r#"Bearer realm="http://auth.test/token",service="svc""#, Reply::new(405), granted()),
        ),
        (
            "bearer anonymous: realm already has query",
            bearer(r#"Bearer realm="http://auth.test/token?a=b",service="svc""#, Reply::new(405), granted()),
        ),
        ("bearer with user+password: OAuth POST first", bearer(BEARER, oauth(), granted())),
        ("bearer with user+password: POST 400", refusing(400)),
        ("bearer with user+password: POST 401", refusing(401)),
        ("bearer with user+password: POST 404", refusing(404)),
        ("bearer with user+password: POST 405", refusing(405)),
        ("bearer with user+password: POST 403", refusing(403)),
        ("bearer with user+password: POST 500", refusing(500)),
        ("bearer with refresh token (empty user): grant_type=refresh_token", bearer(BEARER, oauth(), granted())),
        ("bearer with refresh token: POST 405 is NOT downgraded to GET", refusing(405)),
        ("bearer: token endpoint returns no token", bearer(BEARER, Reply::new(405), no_token())),
        (
            "bearer: token+access_token both present -> access_token wins",
            bearer(BEARER, Reply::new(405), token(&json!({"token": "other", "access_token": "T"}))),
        ),
        ("basic: ok", vec![(HEAD, vec![challenge("Basic realm=\"r\""), manifest()])]),
        ("basic: no credentials", vec![(HEAD, vec![challenge("Basic realm=\"r\"")])]),
        ("401 without WWW-Authenticate", only(401)),
        (
            "basic+bearer both offered -> bearer",
            vec![
                ("POST auth.test", vec![oauth()]),
                ("GET auth.test", vec![granted()]),
                (HEAD, vec![challenge("Basic realm=\"r\"").header("WWW-Authenticate", BEARER), manifest()]),
            ],
        ),
        (
            "redirect to another host: Authorization not forwarded",
            vec![
                ("auth.test", vec![granted()]),
                ("cdn.test", vec![blob()]),
                (BLOB, vec![challenge(BEARER), Reply::redirect(307, "http://cdn.test/x?sig=1")]),
            ],
        ),
        (
            "redirect target demands auth -> challenge handled for redirect host, original URL replayed",
            vec![
                ("auth.test", vec![granted()]),
                (
                    "cdn.test",
                    vec![
                        challenge(r#"Bearer realm="http://auth.test/token",service="svc",scope="cdn:x:pull""#),
                        blob(),
                    ],
                ),
                (BLOB, vec![Reply::redirect(307, "http://cdn.test/x")]),
            ],
        ),
        ("redirect loop stops after 10", vec![(HEAD, vec![Reply::redirect(307, "/v2/foo/bar/manifests/latest")])]),
        ("fetch endpoint for media type application/vnd.oci.image.manifest.v1+json", found()),
        ("fetch endpoint for media type application/vnd.oci.image.index.v1+json", found()),
        ("fetch endpoint for media type application/vnd.docker.distribution.manifest.v2+json", found()),
        ("fetch endpoint for media type application/vnd.docker.distribution.manifest.list.v2+json", found()),
        ("fetch endpoint for media type application/vnd.oci.image.layer.v1.tar+gzip", found()),
        ("fetch endpoint for media type application/vnd.oci.artifact.manifest.v1+json", found()),
        ("fetch endpoint for media type ", found()),
        ("fetch endpoint for media type application/octet-stream", found()),
        ("fetch: manifest type 404 -> no blobs fallback", vec![(BLOB, vec![blob()])]),
        (
            "fetch: blob mirror 404 then upstream 500 -> FIRST error returned",
            vec![(MIRROR, status(404)), (BLOB, status(500))],
        ),
        ("fetch: push-only host in list IS contacted (capability filter only checks non-empty)", found()),
        ("fetch: no pull host at all", found()),
        ("fetch: urls tried before registry, unauthenticated client", vec![("ext1.test", vec![blob()])]),
        ("fetch: url 404 -> next url", vec![("ext1.test", status(404)), ("ext2.test", vec![blob()])]),
        ("fetch: url 500 aborts, registry never tried", vec![("ext1.test", status(500)), (BLOB, vec![blob()])]),
        ("fetch: all urls 404 -> registry blobs", vec![("ext1.test", status(404)), (BLOB, vec![blob()])]),
        ("resume: broken at 1000 -> Range bytes=1000- 206", resumed(part(206, 1000, "bytes 1000-3999/4000"))),
        ("resume: server ignores Range (200 full) -> discard prefix", resumed(Reply::ok(large()))),
        (
            "resume: 200 with matching Content-Range accepted as partial",
            resumed(part(200, 1000, "bytes 1000-3999/4000")),
        ),
        ("resume: 200 with WRONG Content-Range -> error", resumed(part(200, 500, "bytes 500-3999/4000"))),
        (
            "resume: 206 with WRONG Content-Range is accepted unchecked (corrupt content)",
            resumed(part(206, 500, "bytes 500-3999/4000")),
        ),
        ("resume: 416 -> error", resumed(Reply::new(416))),
        (
            "resume: repeated progress never gives up (1000 per attempt)",
            vec![(
                BLOB,
                vec![
                    cut(large()),
                    part(206, 1000, "bytes 1000-3999/4000").cut_after(1000),
                    part(206, 2000, "bytes 2000-3999/4000").cut_after(1000),
                    part(206, 3000, "bytes 3000-3999/4000"),
                ],
            )],
        ),
        (
            "resume: no progress -> gives up after 3 re-opens at the same offset, original \"unexpected EOF\" surfaces",
            resumed(part(206, 1000, "bytes 1000-3999/4000").cut_after(0)),
        ),
        (
            "resume: re-open walks hosts again from the first mirror",
            vec![(MIRROR, vec![cut(large()), Reply::new(404)]), (BLOB, vec![part(206, 1000, "bytes 1000-3999/4000")])],
        ),
        ("content-encoding gzip decoded", encoded("gzip", gzipped(MANIFEST.as_bytes()))),
        (
            "content-encoding 'GZIP , gzip' decoded twice",
            encoded("GZIP , gzip", gzipped(&gzipped(MANIFEST.as_bytes()))),
        ),
        ("content-encoding br unsupported", encoded("br", MANIFEST.into())),
        ("content-encoding x-gzip unsupported", encoded("x-gzip", gzipped(MANIFEST.as_bytes()))),
        ("content-encoding identity ok", encoded("identity", MANIFEST.into())),
        (
            "seek before first read -> first request already has Range",
            vec![(BLOB, vec![part(206, 3990, "bytes 3990-3999/4000")])],
        ),
        ("fetch is lazy: no request until first read", vec![]),
        ("parallel: chunk 1024, concurrency 3, size 2500 -> 3 open-ended ranges", pieces(false)),
        ("parallel: concurrency 1 disables chunking", pieces(false)),
        ("parallel: size <= chunk -> single request but WITH Range bytes=0-", pieces(false)),
        ("parallel: server ignores Range -> falls back to single stream", pieces(false)),
        ("parallel: also used for manifests (GET manifests with Range)", pieces(false)),
        ("fetchbydigest: blobs HEAD then GET", vec![("blobs", vec![blob()])]),
        ("fetchbydigest: with media type", vec![("blobs", vec![blob()])]),
        (
            "fetchbydigest: blobs 500 also falls back to manifests",
            vec![("blobs", status(500)), ("manifests", vec![manifest()])],
        ),
    ]
}

pub(crate) fn script(name: &str) -> Option<Script> {
    all().into_iter().find_map(|(of, script)| (of == name).then_some(script))
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    all().into_iter().map(|(name, _)| name)
}
