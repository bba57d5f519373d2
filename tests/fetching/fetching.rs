//! What is resolved and fetched, beyond what containerd's tables say.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use transship::config::Capabilities;
use transship::digest::Mismatch;
use transship::error::find;
use transship::http::{EncodingError, Error as HttpError};
use transship::reference::Reference;
use transship::source::{self, Content, Error, Resolved, ServedBy};
use transship::{Digest, MediaType};

use crate::scripts::{LAYER, MANIFEST};
use crate::stage::{Stage, pull_source};
use crate::support::reply::Reply;
use crate::tables::{descriptor, fetcher};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn resolve(stage: &Stage, reference: &str, hosts: &[&str]) -> Result<Resolved, Error> {
    let reference: Reference = reference.parse().unwrap();
    let hosts = hosts.iter().map(|host| pull_source(&reference, host, "", Capabilities::ALL)).collect();
    source::resolve_pull_sources(&stage.config(), &reference, hosts, &stage.options())
}

fn manifest_digest() -> Digest {
    Digest::sha256(MANIFEST.as_bytes())
}

fn manifest() -> Reply {
    Reply::ok(MANIFEST).header("Content-Type", OCI_MANIFEST).header("Docker-Content-Digest", manifest_digest().as_str())
}

fn noise(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(size as u64);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(content: &mut Content) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map(|_| bytes)
}

fn lines(stage: &Stage) -> Vec<String> {
    let range = |request: &crate::support::request::ReceivedRequest| {
        request.header("range").map(|range| format!(" {range}")).unwrap_or_default()
    };
    let line =
        |line: &str| line.split(['/', ' ']).filter(|word| !word.starts_with("sha256:")).collect::<Vec<_>>().join(" ");
    stage.requests().iter().map(|(asked, request)| format!("{}{}", line(asked), range(request))).collect()
}

#[test]
fn where_head_tells_too_little_the_manifest_is_read_once_and_kept() {
    let plain = manifest().with_header("Docker-Content-Digest", "");
    let other = manifest().with_header("Docker-Content-Digest", &format!("sha256:{}", "1".repeat(64)));
    let vague = manifest().with_header("Content-Type", "application/octet-stream");
    let encoded = manifest().header("Content-Encoding", "gzip");
    let by_digest = format!("reg.test/foo@{}", manifest_digest());
    for (head, reference) in [
        (manifest().chunked(), "reg.test/foo:1"),
        (manifest().with_header("Content-Length", "0"), "reg.test/foo:1"),
        (plain, "reg.test/foo:1"),
        (other, &*by_digest),
        (vague, "reg.test/foo:1"),
        (encoded, "reg.test/foo:1"),
        (Reply::new(405), "reg.test/foo:1"),
        (Reply::new(501), &*by_digest),
        (Reply::new(403), &*by_digest),
    ] {
        let said = format!("{head:?}");
        let stage = Stage::new(vec![("HEAD", vec![head]), ("GET", vec![manifest()])]);
        let resolved = resolve(&stage, reference, &["reg.test"]).unwrap();
        assert_eq!(resolved.name.to_string(), by_digest, "{said}");
        assert_eq!(resolved.served_by.to_string(), reference);
        assert_eq!(resolved.descriptor, descriptor(OCI_MANIFEST, MANIFEST.as_bytes(), &[]), "{said}");
        let mut content = resolved.fetcher.fetch(&resolved.descriptor).unwrap();
        assert_eq!(read(&mut content).unwrap(), MANIFEST.as_bytes());
        assert!(content.is_verified());
        assert_eq!(stage.requests().len(), 2, "{said}");
    }
}

#[test]
fn every_host_s_error_is_kept_with_its_type() {
    let stage = Stage::new(vec![("m1.test", vec![Reply::new(401)]), ("HEAD", vec![Reply::new(404)])]);
    let error = resolve(&stage, "reg.test/foo:1", &["refused.test", "m1.test", "reg.test"]).unwrap_err();
    let Error::AllSourcesFailed(all) = &error else { panic!("{error}") };
    assert!(matches!(find(&*all.mirrors[0].error), Some(HttpError::Connect { .. })), "{error}");
    assert!(all.mirrors[1].error.is_unauthorized() && error.is_not_found());
}

#[test]
fn a_digest_is_a_blob_s_only_when_nobody_who_answered_says_anything_else() {
    let reference = format!("reg.test/foo@{}", manifest_digest());
    let blob = || ("HEAD blobs", vec![Reply::ok(MANIFEST)]);
    for (mirror, is_found) in [(404, true), (500, false), (403, false), (401, false)] {
        let stage = Stage::new(vec![
            ("m1.test manifests", vec![Reply::new(mirror)]),
            ("manifests", vec![Reply::new(404)]),
            blob(),
        ]);
        let resolved = resolve(&stage, &reference, &["m1.test", "reg.test"]);
        assert_eq!(resolved.is_ok(), is_found, "{mirror}");
        if let Ok(resolved) = resolved {
            assert_eq!(resolved.descriptor.media_type().to_string(), "application/octet-stream");
        }
    }
    let stage = Stage::new(vec![("manifests", vec![Reply::new(404)]), blob()]);
    assert!(resolve(&stage, &reference, &["refused.test", "reg.test"]).is_ok());
    assert!(!resolve(&stage, &reference, &["refused.test"]).unwrap_err().is_not_found());
    assert!(resolve(&stage, "reg.test/foo:1", &["reg.test"]).unwrap_err().is_not_found(), "a tag is no blob's");
}

#[test]
fn a_blob_whose_size_nobody_states_is_read_to_know_it() {
    let stage = Stage::new(vec![("blobs", vec![Reply::ok("some bytes").chunked()])]);
    let digest = Digest::sha256(b"some bytes");
    let (found, mut content) = fetcher(&stage, &["reg.test"]).fetch_by_digest(&digest, None).unwrap();
    assert_eq!((found.size(), &*read(&mut content).unwrap()), (10, &b"some bytes"[..]));
    assert_eq!(lines(&stage).len(), 2);

    let stage = Stage::new(vec![("blobs", vec![Reply::ok("other bytes").chunked()])]);
    let error = fetcher(&stage, &["reg.test"]).fetch_by_digest(&digest, None).unwrap_err();
    assert!(matches!(find(&error), Some(Mismatch::Digest { .. })), "{error}");
    let stage = Stage::new(vec![("HEAD", vec![Reply::new(405)]), ("blobs", vec![Reply::endless()])]);
    let error = fetcher(&stage, &["reg.test"]).fetch_by_digest(&digest, None).unwrap_err();
    assert!(matches!(find(&error), Some(HttpError::BodyTooLarge { limit: 4_194_304, .. })), "{error}");
}

#[test]
fn a_manifest_by_digest_is_looked_for_where_its_type_says() {
    let stage = Stage::new(vec![("manifests", vec![manifest()])]);
    let fetcher = fetcher(&stage, &["reg.test"]);
    let media_type = MediaType::OCI_MANIFEST;
    let (found, mut content) = fetcher.fetch_by_digest(&manifest_digest(), Some(&media_type)).unwrap();
    assert_eq!(found.media_type().to_string(), OCI_MANIFEST);
    assert_eq!(read(&mut content).unwrap(), MANIFEST.as_bytes());
    assert!(stage.requests().iter().all(|(line, _)| line.contains("/manifests/")));
    let missing = fetcher.fetch_by_digest(&Digest::sha256(b"none"), None);
    assert!(matches!(missing, Err(error) if !error.is_not_found()), "the digest of the answer is another");
}

#[test]
fn parts_come_by_range_and_nobody_vouches_for_them() {
    let bytes = noise(10_000);
    let answer =
        |from: usize| Reply::new(206).body(&bytes[from..]).header("Content-Range", &format!("bytes {from}-9999/10000"));
    let stage = Stage::new(vec![("GET", vec![answer(5000), answer(20), Reply::ok(&*bytes)])]);
    let mut content = fetcher(&stage, &["reg.test"]).fetch(&descriptor(LAYER, &bytes, &[])).unwrap();
    let mut part = [0; 100];
    content.seek(SeekFrom::Start(5000)).unwrap();
    content.read_exact(&mut part).unwrap();
    assert_eq!(part, bytes[5000..5100]);
    // To where one is already, and back again, costs nothing.
    content.seek(SeekFrom::Start(5100)).unwrap();
    content.read_exact(&mut part).unwrap();
    assert_eq!(part, bytes[5100..5200]);
    content.seek(SeekFrom::Start(20)).unwrap();
    content.read_exact(&mut part).unwrap();
    assert_eq!(part, bytes[20..120]);
    assert!(!content.is_verified());
    content.rewind().unwrap();
    assert!(read(&mut content).unwrap() == bytes && content.is_verified());
    let ranges: Vec<_> =
        stage.requests().iter().map(|(_, request)| request.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [Some("bytes=5000-".to_owned()), Some("bytes=20-".to_owned()), None]);
}

#[test]
fn a_part_that_breaks_off_is_carried_on_by_the_next_host() {
    let bytes = noise(10_000);
    let answer =
        |from: usize| Reply::new(206).body(&bytes[from..]).header("Content-Range", &format!("bytes {from}-9999/10000"));
    let stage = Stage::new(vec![
        ("m1.test", vec![answer(5000).cut_after(1000), Reply::new(404)]),
        ("reg.test", vec![answer(6000)]),
    ]);
    let mut content = fetcher(&stage, &["m1.test", "reg.test"]).fetch(&descriptor(LAYER, &bytes, &[])).unwrap();
    content.seek(SeekFrom::Start(5000)).unwrap();
    assert!(read(&mut content).unwrap() == bytes[5000..]);
    let served: Vec<_> = content.served().into_iter().map(|served| (served.by.to_string(), served.bytes)).collect();
    let expected = [("docker://m1.test/foo/bar:latest", 1000), ("docker://reg.test/foo/bar:latest", 4000)];
    assert_eq!(served, expected.map(|(by, bytes)| (by.to_owned(), bytes)));
}

#[test]
fn a_part_must_have_as_many_bytes_as_it_has() {
    let bytes = noise(1000);
    let short = Reply::new(206).body(&bytes[500..900]).header("Content-Range", "bytes 500-999/1000").chunked();
    let stage = Stage::new(vec![("GET", vec![short, Reply::new(404)])]);
    let mut content = fetcher(&stage, &["reg.test"]).fetch(&descriptor(LAYER, &bytes, &[])).unwrap();
    content.seek(SeekFrom::Start(500)).unwrap();
    assert!(read(&mut content).is_err());
    let long = Reply::new(206).body(&*bytes).header("Content-Range", "bytes 500-999/1000");
    let stage = Stage::new(vec![("GET", vec![long])]);
    let mut content = fetcher(&stage, &["reg.test"]).fetch(&descriptor(LAYER, &bytes, &[])).unwrap();
    content.seek(SeekFrom::Start(500)).unwrap();
    assert_eq!(read(&mut content).unwrap().len(), 500);
}

#[test]
fn wrong_bytes_are_found_out_before_the_last_one_is_handed_out() {
    let (bytes, wrong) = (noise(100_000), noise(100_000).into_iter().rev().collect::<Vec<_>>());
    let stage = Stage::new(vec![("m1.test", vec![Reply::ok(wrong)]), ("reg.test", vec![Reply::ok(&*bytes)])]);
    let fetcher = fetcher(&stage, &["m1.test", "reg.test"]);
    let layer = descriptor(LAYER, &bytes, &[]);
    let mut content = fetcher.fetch(&layer).unwrap();
    let mut read_before = Vec::new();
    let error = content.read_to_end(&mut read_before).unwrap_err();
    assert!(matches!(find(&error), Some(Mismatch::Digest { .. })) && read_before.len() < bytes.len());
    assert!(content.is_worth_another_try() && !content.is_verified());
    assert!(read(&mut fetcher.fetch(&layer).unwrap()).unwrap() == bytes);

    let stage = Stage::new(vec![("manifests", vec![manifest().body(MANIFEST.replace('2', "1")), manifest()])]);
    let manifest = descriptor(OCI_MANIFEST, MANIFEST.as_bytes(), &[]);
    let mut content = crate::tables::fetcher(&stage, &["m1.test", "reg.test"]).fetch(&manifest).unwrap();
    assert_eq!(read(&mut content).unwrap(), MANIFEST.as_bytes(), "of a manifest nothing was handed out");
}

#[test]
fn nothing_is_asked_for_nothing_and_it_must_be_nothing() {
    let stage = Stage::new(vec![]);
    let fetcher = fetcher(&stage, &["reg.test"]);
    let mut content = fetcher.fetch(&descriptor(LAYER, b"", &[])).unwrap();
    assert!(read(&mut content).unwrap().is_empty() && content.is_verified());
    let mut lie = descriptor(LAYER, b"something", &[]);
    lie.set_size(0);
    let error = read(&mut fetcher.fetch(&lie).unwrap()).unwrap_err();
    assert!(matches!(find(&error), Some(Mismatch::Digest { .. })));
    assert_eq!(stage.requests().len(), 0);
}

#[test]
fn one_fetcher_serves_several_threads() {
    let bytes = noise(50_000);
    let stage = Stage::new(vec![("GET", vec![Reply::ok(&*bytes)])]);
    let fetcher = fetcher(&stage, &["reg.test"]);
    let layer = descriptor(LAYER, &bytes, &[]);
    thread::scope(|scope| {
        for _ in 0..4 {
            let fetcher = fetcher.clone();
            let (layer, bytes) = (&layer, &bytes);
            scope.spawn(move || assert!(read(&mut fetcher.fetch(layer).unwrap()).unwrap() == *bytes));
        }
    });
}

#[test]
fn encoded_bytes_are_never_taken_for_decoded_ones() {
    // What is encoded gets smaller, so that both offsets are in both bodies.
    let bytes: Vec<u8> = noise(20_000).into_iter().flat_map(|byte| [byte; 3]).collect();
    let body = gzipped(&bytes);
    let encoded = || Reply::ok(&*body).header("Content-Encoding", "gzip");
    let range = |from: usize| {
        let size = body.len();
        let reply = Reply::new(206).body(&body[from..]).header("Content-Encoding", "gzip");
        reply.header("Content-Range", &format!("bytes {from}-{}/{size}", size - 1))
    };
    let layer = descriptor(LAYER, &bytes, &[]);
    let stage = Stage::new(vec![("GET", vec![encoded().cut_after(body.len() / 2), range(1000), encoded()])]);
    let mut content = fetcher(&stage, &["reg.test"]).fetch(&layer).unwrap();
    assert!(read(&mut content).unwrap() == bytes && content.is_verified());
    let requests = stage.requests();
    let ranges: Vec<_> = requests.iter().map(|(_, request)| request.header("range").is_some()).collect();
    assert_eq!(ranges, [false, true, false]);
    assert!(requests.iter().all(|(_, request)| request.header("accept-encoding") == Some("identity")));

    let stage = Stage::new(vec![("GET", vec![range(30_000), encoded()])]);
    let mut content = fetcher(&stage, &["reg.test"]).fetch(&layer).unwrap();
    content.seek(SeekFrom::Start(30_000)).unwrap();
    assert!(read(&mut content).unwrap() == bytes[30_000..]);
}

#[test]
fn a_body_that_cannot_be_decoded_is_asked_of_the_next_host() {
    let bytes = noise(5000);
    for bad in [
        Reply::ok("not gzip at all").header("Content-Encoding", "gzip"),
        Reply::ok(&*bytes).header("Content-Encoding", "br"),
        Reply::ok(&*bytes).header("Content-Encoding", &["gzip"; 9].join(", ")),
        Reply::ok(&bytes[1..]).header("Content-Encoding", "zstd"),
        Reply::ok(&bytes[1..]).header("Content-Encoding", "deflate"),
    ] {
        let stage = Stage::new(vec![("m1.test", vec![bad]), ("reg.test", vec![Reply::ok(&*bytes)])]);
        let mut content = fetcher(&stage, &["m1.test", "reg.test"]).fetch(&descriptor(LAYER, &bytes, &[])).unwrap();
        assert!(read(&mut content).unwrap() == bytes);
        assert_eq!(stage.requests().len(), 2, "{:?}", lines(&stage));
    }
}

#[test]
fn an_encoded_body_has_an_end() {
    let zeros = gzipped(&vec![0; 50 << 20]);
    let stage = Stage::new(vec![("GET", vec![Reply::ok(zeros).header("Content-Encoding", "gzip")])]);
    let mut content = fetcher(&stage, &["reg.test"]).fetch(&descriptor(LAYER, &[0; 1000], &[])).unwrap();
    assert!(matches!(find(&read(&mut content).unwrap_err()), Some(Mismatch::TooLong { .. })));
    // Members without anything in them could go on for ever.
    let nothing: Vec<u8> = gzipped(b"").repeat(20_000);
    let stage = Stage::new(vec![("GET", vec![Reply::ok(nothing).header("Content-Encoding", "gzip")])]);
    let mut content = fetcher(&stage, &["reg.test"]).fetch(&descriptor(LAYER, b"something", &[])).unwrap();
    let error = read(&mut content).unwrap_err();
    assert!(matches!(find(&error), Some(HttpError::Encoding { source: EncodingError::TooLong(_), .. })), "{error:?}");
    let big = gzipped(&vec![b' '; 5 << 20]);
    let stage = Stage::new(vec![
        ("HEAD", vec![Reply::new(405)]),
        ("GET", vec![Reply::ok(big).header("Content-Encoding", "gzip").header("Content-Type", OCI_MANIFEST)]),
    ]);
    let error = resolve(&stage, "reg.test/foo:1", &["reg.test"]).unwrap_err();
    assert!(matches!(find(&error), Some(HttpError::BodyTooLarge { .. })), "{error}");
}

#[test]
fn a_manifest_that_comes_encoded_is_read() {
    let body = gzipped(MANIFEST.as_bytes());
    let encoded = Reply::ok(body).header("Content-Type", OCI_MANIFEST).header("Content-Encoding", "gzip");
    let stage = Stage::new(vec![("manifests", vec![encoded])]);
    let resolved = resolve(&stage, "reg.test/foo:1", &["reg.test"]).unwrap();
    assert_eq!(resolved.descriptor, descriptor(OCI_MANIFEST, MANIFEST.as_bytes(), &[]));
}

#[test]
fn external_urls_come_first_and_the_registry_has_what_they_do_not() {
    let bytes = noise(3000);
    let urls = ["http://ext1.test/layer"];
    let layer = descriptor(LAYER, &bytes, &urls);
    let good = || ("reg.test", vec![Reply::ok(&*bytes)]);
    let stage = Stage::new(vec![("ext1.test", vec![Reply::ok(&*bytes)]), good()]);
    let mut content = fetcher(&stage, &["reg.test"]).fetch(&layer).unwrap();
    assert!(read(&mut content).unwrap() == bytes);
    assert!(matches!(&content.served()[0].by, ServedBy::Url(_)));
    content.seek(SeekFrom::Start(1000)).unwrap();
    assert!(read(&mut content).unwrap() == bytes[1000..]);

    let stage = Stage::new(vec![("ext1.test", vec![Reply::new(500)]), good()]);
    assert!(read(&mut fetcher(&stage, &["reg.test"]).fetch(&layer).unwrap()).unwrap() == bytes);

    let encoded = Reply::ok(gzipped(&bytes)).header("Content-Encoding", "gzip");
    let stage = Stage::new(vec![("ext1.test", vec![encoded]), good()]);
    assert!(read(&mut fetcher(&stage, &["reg.test"]).fetch(&layer).unwrap()).unwrap() == bytes);
    assert_eq!(stage.requests().len(), 1);

    // Wrong bytes are worth another try, which asks the registry.
    let stage =
        Stage::new(vec![("ext1.test", vec![Reply::ok(bytes.iter().rev().copied().collect::<Vec<_>>())]), good()]);
    let fetcher = fetcher(&stage, &["reg.test"]);
    let mut content = fetcher.fetch(&layer).unwrap();
    assert!(read(&mut content).is_err() && content.is_worth_another_try());
    assert!(read(&mut fetcher.fetch(&layer).unwrap()).unwrap() == bytes);
}
