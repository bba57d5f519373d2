//! Bodies without end, and lies about length and encoding.

use std::io::Read as _;

use transship::digest::Mismatch;
use transship::error::{find, one_line};
use transship::http::Error;
use transship::source;

use crate::machine::{LOGICAL, Machine, first_layer, http_error, layer, noise, ranges, read};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::token::TOKEN_PATH;

const SIZE: usize = 1000;
const MIB: u64 = 1024 * 1024;
/// The most that may lie in a reader's buffer when it sees that it was enough.
const BUFFER: u64 = 256 * 1024;

fn image() -> Image {
    Image::with_layers([noise(SIZE)])
}

fn healthy() -> Registry {
    Registry::new().image("org/app", "1", &image())
}

fn is_manifest(path: &str) -> bool {
    path.contains("/manifests/")
}

fn is_layer(path: &str) -> bool {
    path.ends_with(image().layer_digest(0).as_str())
}

fn assert_too_large(error: &source::Error, limit: u64, machine: &Machine) {
    let found = http_error(error);
    assert!(matches!(found, Error::BodyTooLarge { limit: l, .. } if *l == limit), "{}", one_line(error));
    assert!(machine.count.bytes() <= limit + BUFFER, "{}", machine.count.bytes());
}

#[test]
fn a_manifest_without_end_is_read_up_to_the_limit() {
    for manifest in [Reply::endless(), Reply::ok(vec![b' '; 4 * 1024 * 1024 + 1])] {
        let origin = healthy().fault(is_manifest, .., manifest).serve();
        let machine = Machine::of(&[&origin]);
        assert_too_large(&machine.refusal(LOGICAL), 4 * MIB, &machine);
    }
}

#[test]
fn a_manifest_of_exactly_the_limit_is_read() {
    let mut manifest = image().manifest();
    manifest.resize(4 * 1024 * 1024, b' ');
    let origin = healthy().manifest("org/app", "1", image().media_type(), manifest).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), noise(SIZE));
}

#[test]
fn a_mirror_whose_manifest_has_no_end_is_passed_over() {
    let (mirror, origin) = (healthy().fault(is_manifest, .., Reply::endless()).serve(), healthy().serve());
    let source = Machine::of(&[&mirror, &origin]).open(LOGICAL).unwrap();
    assert!(source.physical().to_string().contains(&origin.authority()));
}

#[test]
fn a_layer_without_end_is_read_up_to_its_size() {
    let origin = healthy().fault(is_layer, .., Reply::endless()).serve();
    let machine = Machine::of(&[&origin]);
    let source = machine.open(LOGICAL).unwrap();
    let error = layer(&*source, 0).unwrap_err();
    assert!(find::<Mismatch>(&error).is_some(), "{}", one_line(&error));
    assert!(machine.count.blob_bytes() <= BUFFER, "{}", machine.count.blob_bytes());
}

#[test]
fn a_token_without_end_is_read_up_to_the_limit() {
    let service = healthy().requiring_token("registry.example");
    let origin = service.fault(|path| path == TOKEN_PATH, .., Reply::endless()).serve();
    let machine = Machine::of(&[&origin]);
    assert_too_large(&machine.refusal(LOGICAL), MIB, &machine);
}

#[test]
fn a_page_of_tags_without_end_is_read_up_to_the_limit() {
    let origin = healthy().fault(|path| path.ends_with("/tags/list"), .., Reply::endless()).serve();
    let machine = Machine::of(&[&origin]);
    let client = source::registry_client(&machine.config(), &LOGICAL.parse().unwrap(), &machine.options()).unwrap();
    let error = source::Error::Registry(client.tags().unwrap_err());
    assert_too_large(&error, 16 * MIB, &machine);
}

#[test]
fn an_error_without_end_is_still_the_error() {
    let origin = healthy().fault(is_manifest, .., Reply::endless().status(404)).serve();
    let machine = Machine::of(&[&origin]);
    let error = machine.refusal(LOGICAL);
    assert!(error.is_not_found(), "{}", one_line(&error));
    assert!(machine.count.bytes() <= BUFFER, "{}", machine.count.bytes());
    assert!(one_line(&error).len() < 1000);
}

/// Each is read away, as far as that is cheap, so that its connection might serve again.
#[test]
fn answers_that_only_lead_on_are_not_read_to_their_end() {
    for (status, header) in [(307, ("Location", "/v2/org/app/manifests/2")), (503, ("Retry-After", "1"))] {
        let endless = Reply::endless().status(status).header(header.0, header.1);
        let is_first = |path: &str| path.ends_with("/manifests/1");
        let origin = healthy().image("org/app", "2", &image()).fault(is_first, 1..=1, endless).serve();
        let machine = Machine::of(&[&origin]);
        machine.open(LOGICAL).unwrap();
        assert!(machine.count.bytes() <= BUFFER, "{}", machine.count.bytes());
    }
}

#[test]
fn a_head_without_end_is_refused() {
    let head = [&b"HTTP/1.1 200 OK\r\n"[..], &b"X-Filler: filler\r\n".repeat(20_000)].concat();
    let origin = healthy().fault(is_manifest, .., Reply::garbage(head)).serve();
    assert!(matches!(http_error(&Machine::of(&[&origin]).refusal(LOGICAL)), Error::Protocol { .. }));
}

#[test]
fn redirects_that_lead_nowhere_end() {
    let loops = healthy().spoil(is_manifest, .., |_| Reply::redirect(307, "/v2/org/app/manifests/1")).serve();
    let error = Machine::of(&[&loops]).refusal(LOGICAL);
    assert!(matches!(http_error(&error), Error::TooManyRedirects { .. }), "{}", one_line(&error));
    assert_eq!(loops.requests().len(), 11);
    for target in ["file:///etc/passwd", "http://me:secret@127.0.0.1/"] {
        let origin = healthy().fault(is_manifest, .., Reply::redirect(302, target)).serve();
        let error = Machine::of(&[&origin]).refusal(LOGICAL);
        assert!(matches!(http_error(&error), Error::BadRedirect { .. }), "{}", one_line(&error));
        assert!(!one_line(&error).contains("secret"));
    }
}

#[test]
fn bytes_that_are_the_content_are_not_decoded_whatever_content_encoding_says() {
    let encoded = |reply: Reply| reply.header("Content-Encoding", "gzip");
    let origin = healthy().spoil(|path| path.starts_with("/v2/"), .., encoded).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    assert_eq!(source.manifest(None).unwrap().bytes(), image().manifest());
    assert_eq!(layer(&*source, 0).unwrap(), noise(SIZE));
    // Bytes that could be decompressed are not either.
    let gzipped = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00".to_vec();
    let layered = Registry::new().image("org/app", "1", &Image::with_layers([gzipped.clone()]));
    let origin = layered.spoil(|path| path.contains("/blobs/"), .., encoded).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), gzipped);
    for request in origin.requests() {
        let accepted: Vec<_> =
            request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("accept-encoding")).collect();
        assert!(matches!(accepted[..], [(_, value)] if value == "identity"), "{accepted:?}");
    }
}

#[test]
fn a_content_length_that_is_too_short_is_made_up_for() {
    let short = |reply: Reply| reply.with_header("Content-Length", &(SIZE - 10).to_string());
    let origin = healthy().spoil(is_layer, 1..=1, short).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), noise(SIZE));
    assert_eq!(ranges(&origin, &image().layer_digest(0)), [None, Some(format!("bytes={}-", SIZE - 10))]);
}

#[test]
fn a_content_length_that_is_too_long_is_harmless_when_the_right_bytes_came() {
    let long = |reply: Reply| reply.with_header("Content-Length", &(SIZE + 10).to_string()).cut_after(SIZE);
    let origin = healthy().spoil(is_layer, .., long).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), noise(SIZE));
    assert_eq!(ranges(&origin, &image().layer_digest(0)), [None]);
}

#[test]
fn bytes_behind_the_last_are_an_error() {
    let origin = healthy().fault(is_layer, .., Reply::ok([noise(SIZE), vec![0; 10]].concat())).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    let error = layer(&*source, 0).unwrap_err();
    assert!(matches!(find(&error), Some(Mismatch::TooLong { .. })), "{}", one_line(&error));
}

/// As the servers of the last century say it: the end of the connection is the end of the body.
#[test]
fn a_body_that_ends_with_its_connection_is_read_and_verified() {
    let answer = |body: &[u8]| Reply::garbage([b"HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\n", body].concat());
    let origin = healthy().fault(is_layer, 1..=1, answer(&noise(SIZE))).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), noise(SIZE));
    assert_eq!(ranges(&origin, &image().layer_digest(0)), [None]);
    // Cut, it looks as if it had ended; it had not.
    let origin = healthy().fault(is_layer, 1..=1, answer(&noise(SIZE)[..SIZE / 2])).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    let mut blob = first_layer(&*source).unwrap();
    let (bytes, outcome) = read(&mut blob);
    outcome.unwrap();
    assert_eq!(bytes, noise(SIZE));
    assert_eq!(ranges(&origin, &image().layer_digest(0)), [None, Some(format!("bytes={}-", SIZE / 2))]);
}

#[test]
fn header_fields_that_are_no_text_are_passed_over() {
    let manifest = image().manifest();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\nDocker-Content-Digest: ",
        image().media_type(),
        manifest.len()
    )
    .into_bytes();
    answer.extend(b"\xff\xfe\r\nX-\xc3: \xe9\r\n\r\n".iter().filter(|byte| **byte != 0xc3));
    answer.extend(&manifest);
    let origin = healthy().fault(is_manifest, .., Reply::garbage(answer)).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    assert_eq!(*source.manifest(None).unwrap().digest(), image().digest());
}

#[test]
fn what_is_no_http_is_a_typed_error() {
    for answer in
        [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
    {
        let origin = healthy().fault(is_manifest, .., Reply::garbage(answer)).serve();
        let error = Machine::of(&[&origin]).refusal(LOGICAL);
        assert!(matches!(http_error(&error), Error::Protocol { .. }), "{}", one_line(&error));
    }
}

#[test]
fn chunks_that_are_none_are_an_error_and_the_next_pull_source_goes_on() {
    let broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nthis is no length\r\n";
    let mirror = healthy().fault(is_layer, .., Reply::garbage(*broken)).serve();
    let source = Machine::of(&[&mirror]).open(LOGICAL).unwrap();
    let error = layer(&*source, 0).unwrap_err();
    assert!(find::<transship::registry::Error>(&error).is_some(), "{}", one_line(&error));

    let origin = healthy().serve();
    let source = Machine::of(&[&mirror, &origin]).open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), noise(SIZE));
}

/// A reader that wants little gets little: nothing is fetched ahead into memory.
#[test]
fn what_is_not_read_is_not_fetched() {
    let large = Image::with_layers([vec![7; 4 * 256 * 1024]]);
    let origin = Registry::new().image("org/app", "1", &large).serve();
    let machine = Machine::of(&[&origin]);
    let source = machine.open(LOGICAL).unwrap();
    let mut blob = first_layer(&*source).unwrap();
    blob.read_exact(&mut [0; 100]).unwrap();
    assert!(machine.count.blob_bytes() <= BUFFER);
}

#[test]
fn answers_before_the_answer_are_passed_over() {
    let manifest = image().manifest();
    let head = format!("Content-Type: {}\r\nContent-Length: {}\r\n\r\n", image().media_type(), manifest.len());
    for interim in ["100 Continue\r\n\r\n", "103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"] {
        let answer = [format!("HTTP/1.1 {interim}HTTP/1.1 200 OK\r\n{head}").into_bytes(), manifest.clone()].concat();
        let origin = healthy().fault(is_manifest, .., Reply::garbage(answer)).serve();
        let source = Machine::of(&[&origin]).open(LOGICAL).unwrap_or_else(|e| panic!("{interim}: {}", one_line(&e)));
        assert_eq!(source.manifest(None).unwrap().bytes(), manifest);
    }
}
