//! A body cut at every tenth, and every way in which resuming it can go.

use transship::error::{find, one_line};
use transship::registry::Error;

use crate::machine::{LOGICAL, Machine, first_layer, noise, ranges, read, served};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;

const SIZE: usize = 1000;

/// What a server does when it is asked for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resume {
    /// 206 with the rest.
    Partial,
    /// 200 with everything.
    Whole,
    /// 206 with another part.
    Wrong,
    /// 206 that does not say which part.
    Unsaid,
    /// 416
    NotSatisfiable,
    /// 503, for ever.
    Unavailable,
    /// The connection is closed without an answer, for ever.
    Closed,
}

impl Resume {
    const ALL: [Self; 7] =
        [Self::Partial, Self::Whole, Self::Wrong, Self::Unsaid, Self::NotSatisfiable, Self::Unavailable, Self::Closed];

    /// What the second and all later requests for the blob are answered with.
    fn spoil(self, reply: Reply) -> Reply {
        match self {
            Self::Partial | Self::Whole => reply,
            Self::Wrong => reply.wrong_content_range(),
            Self::Unsaid => Reply::new(206).body(noise(SIZE)),
            Self::NotSatisfiable => Reply::new(416).header("Content-Range", &format!("bytes */{SIZE}")),
            Self::Unavailable => Reply::new(503),
            Self::Closed => Reply::close_without_answer(),
        }
    }

    /// Whether the server alone suffices.
    fn succeeds(self) -> bool {
        matches!(self, Self::Partial | Self::Whole)
    }

    fn is_expected(self, error: &Error, offset: usize) -> bool {
        // From the first byte on, nothing is resumed: the blob is asked for anew, without Range.
        let status =
            |error: &Error, status: u16| matches!(error, Error::Response { source, .. } if source.status == status);
        match self {
            Self::Partial | Self::Whole => false,
            Self::Wrong | Self::Unsaid if offset == 0 => status(error, 206),
            Self::Wrong | Self::Unsaid => matches!(error, Error::WrongRange { .. }),
            Self::NotSatisfiable => status(error, 416),
            Self::Unavailable => status(error, 503),
            Self::Closed => matches!(error, Error::Http { .. }),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Case {
    offset: usize,
    chunked: bool,
    resume: Resume,
}

fn cases() -> impl Iterator<Item = Case> {
    let of = |resume| move |chunked| (0..=10).map(move |tenth| Case { offset: SIZE * tenth / 10, chunked, resume });
    Resume::ALL.into_iter().flat_map(move |resume| [false, true].into_iter().flat_map(of(resume)))
}

fn image() -> Image {
    Image::with_layers([noise(SIZE)])
}

fn healthy() -> Registry {
    Registry::new().image("org/app", "1", &image())
}

fn cut(case: Case) -> RunningRegistry {
    let Case { offset, chunked, resume } = case;
    let is_layer = |path: &str| path.ends_with(image().layer_digest(0).as_str());
    let cut = move |reply: Reply| if chunked { reply.chunked() } else { reply }.cut_after(offset);
    let registry = if resume == Resume::Whole { healthy().without_ranges() } else { healthy() };
    registry.spoil(is_layer, 1..=1, cut).spoil(is_layer, 2.., move |reply| resume.spoil(reply)).serve()
}

#[test]
fn a_lone_origin_delivers_every_byte_or_a_typed_error() {
    for case in cases() {
        let origin = cut(case);
        let machine = Machine::of(&[&origin]);
        let source = machine.open(LOGICAL).unwrap();
        let mut blob = first_layer(&*source).unwrap();
        let (bytes, outcome) = read(&mut blob);
        let asked = ranges(&origin, &image().layer_digest(0));
        if case.offset == SIZE {
            outcome.unwrap_or_else(|error| panic!("{case:?}: {}", one_line(&error)));
            assert!(bytes == noise(SIZE), "{case:?}");
            assert_eq!(asked, [None], "{case:?}");
        } else if case.resume.succeeds() {
            outcome.unwrap_or_else(|error| panic!("{case:?}: {}", one_line(&error)));
            let range = (case.offset > 0).then(|| format!("bytes={}-", case.offset));
            assert!(bytes == noise(SIZE), "{case:?}");
            assert_eq!(asked, [None, range], "{case:?}");
            let again = if case.resume == Resume::Whole { case.offset } else { 0 };
            assert_eq!(machine.count.blob_bytes(), (SIZE + again) as u64, "{case:?}");
        } else {
            let error = outcome.unwrap_err();
            let Some(Error::ResumeFailed { cut, source }) = find(&error) else { panic!("{case:?}: {error:?}") };
            assert!(matches!(&**cut, Error::Cut { offset, .. } if *offset == case.offset as u64), "{case:?}: {cut:?}");
            assert!(case.resume.is_expected(source, case.offset), "{case:?}: {source:?}");
            assert!(bytes == noise(SIZE)[..case.offset], "{case:?}");
            assert!(!blob.is_worth_another_try(), "{case:?}");
        }
    }
}

#[test]
fn a_mirror_with_an_origin_behind_it_always_delivers() {
    for case in cases() {
        let (mirror, origin) = (cut(case), healthy().serve());
        let machine = Machine::of(&[&mirror, &origin]);
        let source = machine.open(LOGICAL).unwrap();
        let mut blob = first_layer(&*source).unwrap();
        let (bytes, outcome) = read(&mut blob);
        outcome.unwrap_or_else(|error| panic!("{case:?}: {}", one_line(&error)));
        assert!(bytes == noise(SIZE), "{case:?}");
        let from_mirror = if case.resume.succeeds() { SIZE } else { case.offset };
        let parts = [(mirror.authority(), from_mirror as u64), (origin.authority(), (SIZE - from_mirror) as u64)];
        let parts: Vec<_> = parts.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        assert_eq!(served(&blob), parts, "{case:?}");
        let resumed = (from_mirror < SIZE).then(|| (case.offset > 0).then(|| format!("bytes={}-", case.offset)));
        assert_eq!(ranges(&origin, &image().layer_digest(0)), Vec::from_iter(resumed), "{case:?}");
        assert!(machine.clock.sleeps().iter().sum::<std::time::Duration>().as_secs() < 5, "{case:?}");
    }
}

/// The server is gone in the middle of a body: what follows is a cut, then refused connections.
#[test]
fn a_mirror_that_dies_in_mid_body_is_replaced_from_that_byte() {
    for offset in [1, SIZE / 3, SIZE - 1] {
        let is_blob = |path: &str| path.contains("/blobs/");
        let mirror = healthy().spoil(is_blob, .., move |reply| reply.stall_after(offset)).serve();
        let origin = healthy().serve();
        let machine = Machine::of(&[&mirror, &origin]);
        let source = machine.open(LOGICAL).unwrap();
        let mut blob = first_layer(&*source).unwrap();
        let mut bytes = vec![0; offset];
        std::io::Read::read_exact(&mut blob, &mut bytes).unwrap();
        let dead = mirror.authority();
        drop(mirror);
        let (rest, outcome) = read(&mut blob);
        outcome.unwrap();
        assert_eq!([bytes, rest].concat(), noise(SIZE));
        assert_eq!(served(&blob), [(dead, offset as u64), (origin.authority(), (SIZE - offset) as u64)]);
        assert_eq!(machine.count.blob_bytes(), SIZE as u64);
    }
}

#[test]
fn every_pull_source_that_cuts_adds_what_it_has() {
    let cut_at = |offset: usize| {
        let is_blob = |path: &str| path.contains("/blobs/");
        let cut = move |reply: Reply| {
            let reply = reply.cut_after(offset);
            if offset == SIZE { reply } else { reply.closing() }
        };
        let refuse = |_| Reply::new(404);
        healthy().spoil(is_blob, 1..=1, cut).spoil(is_blob, 2.., refuse).serve()
    };
    let places = [cut_at(300), cut_at(200), cut_at(SIZE)];
    let machine = Machine::of(&[&places[0], &places[1], &places[2]]);
    let source = machine.open(LOGICAL).unwrap();
    let mut blob = first_layer(&*source).unwrap();
    let (bytes, outcome) = read(&mut blob);
    outcome.unwrap();
    assert_eq!(bytes, noise(SIZE));
    let parts: Vec<_> = places.iter().map(|place| place.authority()).zip([300, 200, 500]).collect();
    assert_eq!(served(&blob), parts);
}

#[test]
fn a_body_from_elsewhere_is_resumed_through_the_registry() {
    let is_layer = |path: &str| path.ends_with(image().layer_digest(0).as_str());
    let cdn = healthy().spoil(is_layer, 1..=1, |reply| reply.cut_after(400)).serve();
    let origin = healthy().redirecting_blobs_to(&cdn.url("")).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    let (bytes, outcome) = read(&mut first_layer(&*source).unwrap());
    outcome.unwrap();
    assert!(bytes == noise(SIZE));
    assert_eq!(ranges(&origin, &image().layer_digest(0)), [None, Some("bytes=400-".to_owned())]);
    let asked: Vec<_> = cdn.requests().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_eq!(asked, [None, Some("bytes=400-".to_owned())]);
}

/// A large layer outlives its token.
#[test]
fn a_token_that_ended_meanwhile_is_renewed_for_the_rest() {
    let is_blob = |path: &str| path.contains("/blobs/");
    let origin = healthy()
        .requiring_token("registry.example")
        .tokens_good_for(2)
        .spoil(is_blob, 1..=1, |reply| reply.cut_after(400))
        .serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    let (bytes, outcome) = read(&mut first_layer(&*source).unwrap());
    outcome.unwrap();
    assert!(bytes == noise(SIZE));
    assert_eq!(origin.token_requests().len(), 2);
}

#[test]
fn a_manifest_that_is_cut_is_a_transient_error_or_taken_from_the_next() {
    let size = image().manifest().len();
    for tenth in 0..10 {
        for chunked in [false, true] {
            let cut = move |reply: Reply| if chunked { reply.chunked() } else { reply }.cut_after(size * tenth / 10);
            let mirror = healthy().spoil(|path| path.contains("/manifests/"), .., cut).serve();
            let error = Machine::of(&[&mirror]).refusal(LOGICAL);
            assert!(error.is_transient(), "{}", one_line(&error));
            let origin = healthy().serve();
            let source = Machine::of(&[&mirror, &origin]).open(LOGICAL).unwrap();
            assert_eq!(source.manifest(None).unwrap().bytes(), image().manifest());
        }
    }
}
