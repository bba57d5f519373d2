//! Servers that stop talking.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use transship::error::{chain, find, one_line};
use transship::http::{Error, Pace, Phase, Request, Timeouts};
use transship::registry;
use transship::source::Network;

use crate::machine::{LOGICAL, Machine, first_layer, http_error, layer, noise, ranges, read, served};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::server_tls::ServerTls;
use crate::support::token::TOKEN_PATH;

const SIZE: usize = 1000;
const IDLE: Duration = Duration::from_millis(200);

fn image() -> Image {
    Image::with_layers([noise(SIZE)])
}

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &image())
}

fn is_blob(path: &str) -> bool {
    path.contains("/blobs/")
}

fn assert_stalled(error: &(dyn std::error::Error + 'static)) {
    let error = http_error(error);
    assert!(matches!(error, Error::Timeout { phase: Phase::Reading, after: IDLE, .. }), "{error:?}");
    assert!(error.is_transient());
}

#[test]
fn a_handshake_that_is_not_answered_ends() {
    // The system accepts the connection; nobody reads it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut machine = Machine::new();
    let connect = Duration::from_millis(100);
    machine.timeouts = Timeouts { connect, ..Timeouts::default() };
    let error = machine.refusal(&format!("{}/org/app:1", listener.local_addr().unwrap()));
    let error = http_error(&error);
    assert!(matches!(error, Error::Timeout { phase: Phase::Handshaking, after, .. } if *after == connect), "{error:?}");
    assert!(machine.clock.sleeps().is_empty());
}

#[test]
fn an_answer_that_does_not_begin_ends() {
    let manifests = |path: &str| path.contains("/manifests/");
    let stalled = registry().fault(manifests, .., Reply::stalling()).serve();
    assert_stalled(&Machine::of(&[&stalled]).impatient(&stalled, "/manifests/", IDLE).refusal(LOGICAL));

    // With mirrors, the error is the primary's.
    let missing = Registry::new().serve();
    let error = Machine::of(&[&missing, &stalled]).impatient(&stalled, "/manifests/", IDLE).refusal(LOGICAL);
    assert_stalled(&error);
    assert!(error.is_transient() && !error.is_not_found());
    let error = Machine::of(&[&stalled, &missing]).impatient(&stalled, "/manifests/", IDLE).refusal(LOGICAL);
    assert!(error.is_not_found() && !error.is_transient());
    let text = one_line(&error);
    assert!(text.starts_with(&format!("(Mirrors also failed: [{}/org/app:1: ", stalled.authority())), "{text}");
    assert!(text.contains(&format!("]): {}/org/app:1: reading manifest 1", missing.authority())), "{text}");

    let origin = registry().serve();
    let source = Machine::of(&[&stalled, &origin]).impatient(&stalled, "/manifests/", IDLE).open(LOGICAL).unwrap();
    assert!(source.physical().to_string().contains(&origin.authority()));
}

#[test]
fn a_token_that_does_not_come_ends() {
    let tokens = |path: &str| path == TOKEN_PATH;
    let stalled = registry().requiring_token("registry.example").fault(tokens, .., Reply::stalling()).serve();
    let error = Machine::of(&[&stalled]).impatient(&stalled, TOKEN_PATH, IDLE).refusal(LOGICAL);
    assert!(matches!(find(&error), Some(registry::Error::Token { .. })), "{}", one_line(&error));
    assert_stalled(&error);
}

#[test]
fn a_stalled_body_is_not_asked_for_again_where_it_stalled() {
    for offset in [0, 1, SIZE / 2, SIZE - 1] {
        let stalled = registry().spoil(is_blob, .., move |reply| reply.stall_after(offset)).serve();
        let machine = Machine::of(&[&stalled]).impatient(&stalled, "/blobs/", IDLE);
        let source = machine.open(LOGICAL).unwrap();
        let mut blob = first_layer(&*source).unwrap();
        let (bytes, outcome) = read(&mut blob);
        assert_stalled(&outcome.unwrap_err());
        assert_eq!(bytes, noise(SIZE)[..offset]);
        assert_eq!(ranges(&stalled, &image().layer_digest(0)), [None]);
    }
}

#[test]
fn a_stalled_body_goes_on_at_the_next_pull_source_from_the_byte_where_it_stalled() {
    for chunked in [false, true] {
        for offset in [0, 1, SIZE / 2, SIZE - 1] {
            let stall = move |reply: Reply| if chunked { reply.chunked() } else { reply }.stall_after(offset);
            let (mirror, origin) = (registry().spoil(is_blob, .., stall).serve(), registry().serve());
            let machine = Machine::of(&[&mirror, &origin]).impatient(&mirror, "/blobs/", IDLE);
            let source = machine.open(LOGICAL).unwrap();
            let mut blob = first_layer(&*source).unwrap();
            let (bytes, outcome) = read(&mut blob);
            outcome.unwrap();
            assert_eq!(bytes, noise(SIZE));
            let asked = (offset > 0).then(|| format!("bytes={offset}-"));
            assert_eq!(ranges(&origin, &image().layer_digest(0)), [asked]);
            let parts = [(mirror.authority(), offset as u64), (origin.authority(), (SIZE - offset) as u64)];
            let parts: Vec<_> = parts.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
            assert_eq!(served(&blob), parts);
            assert_eq!(machine.count.blob_bytes(), SIZE as u64, "no byte was fetched twice");
        }
    }
}

#[test]
fn a_stall_inside_tls_is_a_stall() {
    let tls = ServerTls::signed_by_ca();
    let stalled = registry().spoil(is_blob, .., |reply| reply.stall_after(SIZE / 2)).serve_tls(&tls);
    let machine = Machine::of(&[&stalled]).impatient(&stalled, "/blobs/", IDLE);
    let source = machine.open(LOGICAL).unwrap();
    assert_stalled(&layer(&*source, 0).unwrap_err());
}

#[test]
fn a_body_whose_last_byte_came_is_whole_even_if_its_end_does_not_come() {
    let stalled = registry().spoil(is_blob, .., |reply| reply.chunked().stall_after(SIZE)).serve();
    let source = Machine::of(&[&stalled]).impatient(&stalled, "/blobs/", IDLE).open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), noise(SIZE));
}

/// Sixteen pauses, each a fraction of the limit, together more than the limit.
#[test]
fn a_slow_body_is_not_a_stalled_one() {
    let drip = |reply: Reply| reply.drip(SIZE / 16, IDLE / 4);
    let slow = registry().spoil(is_blob, .., drip).serve();
    let source = Machine::of(&[&slow]).impatient(&slow, "/blobs/", 2 * IDLE).open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), noise(SIZE));
}

/// Longer than any answer here may take, even on a busy machine; the servers below would take much longer.
const WHOLE: Duration = Duration::from_millis(500);

/// Each byte comes long before anybody takes it for silence.
const DRIP: Duration = Duration::from_millis(20);

fn assert_late(error: &(dyn std::error::Error + 'static), limit: Duration) {
    let mut errors = chain(error).filter_map(|error| error.downcast_ref::<Error>());
    let is_late =
        |error: &Error| matches!(error, Error::Timeout { phase: Phase::Answering, after, .. } if *after == limit);
    assert!(errors.any(is_late), "{error:?}");
    assert!(http_error(error).is_transient());
}

#[test]
fn a_head_must_be_whole_in_time_however_often_a_byte_of_it_comes() {
    let manifests = |path: &str| path.contains("/manifests/");
    let drip = |reply: Reply| reply.drip_head(DRIP);
    let slow = registry().spoil(manifests, .., drip).serve();
    let timeouts = Timeouts { idle: 2 * WHOLE, answer: WHOLE, ..Timeouts::default() };
    assert_late(&Machine::of(&[&slow]).limited(&slow, "/manifests/", timeouts).refusal(LOGICAL), 3 * WHOLE);
}

#[test]
fn a_manifest_and_a_token_must_be_whole_in_time_and_the_next_source_is_asked() {
    let timeouts = Timeouts { answer: WHOLE, ..Timeouts::default() };
    // A token is short.
    let drip = |reply: Reply| reply.drip(1, 10 * DRIP);
    for part in ["/manifests/", TOKEN_PATH] {
        let is_slow = move |path: &str| path.contains(part);
        let slow = || registry().requiring_token("registry.example").spoil(is_slow, .., drip).serve();
        let alone = slow();
        assert_late(&Machine::of(&[&alone]).limited(&alone, part, timeouts).refusal(LOGICAL), WHOLE);
        let (mirror, origin) = (slow(), registry().serve());
        let source = Machine::of(&[&mirror, &origin]).limited(&mirror, part, timeouts).open(LOGICAL).unwrap();
        assert!(source.physical().to_string().contains(&origin.authority()), "{part}");
    }
}

/// What a person reads of an error, or nobody of a redirect, is not worth the time of a blob.
#[test]
fn an_answer_without_the_blob_must_be_whole_in_time() {
    let no_pace = Pace { bytes: 0, time: WHOLE };
    let timeouts = Timeouts { answer: WHOLE, slowest: no_pace, ..Timeouts::default() };
    for reply in [Reply::new(404), Reply::new(503), Reply::redirect(307, "/elsewhere"), Reply::new(416)] {
        let slow = registry().fault(is_blob, .., reply.body(noise(200)).drip(1, DRIP)).serve();
        let url = format!("http://{}/v2/org/app/blobs/{}", slow.authority(), image().layer_digest(0));
        let mut request = Request::get(url.parse().unwrap(), Arc::default());
        request.is_large = true;
        let wire = Network::real(&Machine::new().config(), timeouts).wire;
        assert_late(&wire.send(&request).unwrap().into_bytes(1000).unwrap_err(), WHOLE);
    }
}

#[test]
fn a_blob_that_only_trickles_goes_on_at_the_next_pull_source() {
    let drip = |reply: Reply| reply.drip(1, DRIP);
    let (mirror, origin) = (registry().spoil(is_blob, .., drip).serve(), registry().serve());
    let slowest = Pace { bytes: 100, time: WHOLE };
    let timeouts = Timeouts { answer: DRIP, slowest, ..Timeouts::default() };
    let alone = Machine::of(&[&mirror]).limited(&mirror, "/blobs/", timeouts);
    let error = layer(&*alone.open(LOGICAL).unwrap(), 0).unwrap_err();
    let error = http_error(&error);
    assert!(matches!(error, Error::Timeout { phase: Phase::Trickling, after: WHOLE, .. }), "{error:?}");
    assert_eq!(ranges(&mirror, &image().layer_digest(0)), [None], "it is not asked again for the rest");

    let machine = Machine::of(&[&mirror, &origin]).limited(&mirror, "/blobs/", timeouts);
    let mut blob = first_layer(&*machine.open(LOGICAL).unwrap()).unwrap();
    let (bytes, outcome) = read(&mut blob);
    outcome.unwrap();
    assert_eq!(bytes, noise(SIZE));
    let served = served(&blob);
    assert_eq!((served.len(), served[1].0.clone()), (2, origin.authority()), "{served:?}");
}
