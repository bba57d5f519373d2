//! Bodies that are cut again and again: when that is worth resuming, and what it may cost.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use transship::Digest;
use transship::error::find;
use transship::http::Clock as _;
use transship::registry::Error;

use crate::machine::{LOGICAL, Machine, first_layer, layer, noise, ranges, read, served};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;

const MIB: usize = 1024 * 1024;
const SIZE: usize = 4 * MIB;

static IMAGE: LazyLock<Image> = LazyLock::new(|| Image::with_layers([noise(SIZE)]));
static DIGEST: LazyLock<Digest> = LazyLock::new(|| IMAGE.layer_digest(0));

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &IMAGE)
}

fn is_layer(path: &str) -> bool {
    path.ends_with(DIGEST.as_str())
}

fn content() -> &'static [u8] {
    &IMAGE.layers()[0]
}

#[test]
fn a_line_that_breaks_every_mebibyte_is_good_enough() {
    let origin = registry().spoil(is_layer, .., |reply| reply.cut_after(MIB)).serve();
    let machine = Machine::of(&[&origin]);
    let source = machine.open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), content());
    let asked = ranges(&origin, &DIGEST);
    let expected = [None, Some(MIB), Some(2 * MIB), Some(3 * MIB)];
    assert_eq!(asked, expected.map(|offset| offset.map(|offset| format!("bytes={offset}-"))));
    assert_eq!(machine.count.blob_bytes(), SIZE as u64);
}

#[test]
fn a_line_that_breaks_sooner_is_given_up_after_one_more_try() {
    let origin = registry().spoil(is_layer, .., |reply| reply.cut_after(MIB - 1)).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    let mut blob = first_layer(&*source).unwrap();
    let (bytes, outcome) = read(&mut blob);
    let error = outcome.unwrap_err();
    let cut = find::<Error>(&error).unwrap();
    assert!(matches!(cut, Error::Cut { offset, .. } if *offset == 2 * (MIB as u64 - 1)), "{cut:?}");
    assert_eq!(bytes, content()[..2 * (MIB - 1)]);
}

#[test]
fn a_line_that_breaks_every_minute_is_good_enough_however_little_came() {
    let tenth = |reply: Reply| reply.cut_after(SIZE / 10);
    let clock = Arc::new(transship::http::TestClock::default());
    let of_server = Arc::clone(&clock);
    let a_minute_later = move |reply| {
        of_server.sleep(Duration::from_secs(60));
        tenth(reply)
    };
    let origin = registry().spoil(is_layer, .., a_minute_later).serve();
    let mut machine = Machine::of(&[&origin]);
    machine.clock = clock;
    let source = machine.open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), content());
}

/// The nth answer is cut one mebibyte behind the last: a server that ignores `Range` would send 1 + 2 + 3 + 4 of them.
#[test]
fn skipping_forward_may_cost_a_blob_once_more_and_no_further() {
    let answers = Arc::new(AtomicUsize::new(0));
    let further = move |reply: Reply| reply.cut_after((answers.fetch_add(1, Ordering::SeqCst) + 1) * MIB);
    let origin = registry().without_ranges().spoil(is_layer, .., further).serve();
    let machine = Machine::of(&[&origin]);
    let source = machine.open(LOGICAL).unwrap();
    let error = layer(&*source, 0).unwrap_err();
    let Some(Error::ResumeFailed { source: reason, .. }) = find(&error) else { panic!("{error:?}") };
    assert!(matches!(&**reason, Error::RangeIgnored { offset, .. } if *offset == 3 * MIB as u64), "{reason:?}");
    assert!(machine.count.blob_bytes() <= 2 * SIZE as u64, "{}", machine.count.blob_bytes());
}

#[test]
fn what_a_server_that_ignores_range_gave_is_kept_and_the_rest_taken_from_the_next() {
    let answers = Arc::new(AtomicUsize::new(0));
    let further = move |reply: Reply| reply.cut_after((answers.fetch_add(1, Ordering::SeqCst) + 1) * MIB);
    let mirror = registry().without_ranges().spoil(is_layer, .., further).serve();
    let origin = registry().serve();
    let machine = Machine::of(&[&mirror, &origin]);
    let source = machine.open(LOGICAL).unwrap();
    let mut blob = first_layer(&*source).unwrap();
    let (bytes, outcome) = read(&mut blob);
    outcome.unwrap();
    assert_eq!(bytes, content());
    assert_eq!(served(&blob), [(mirror.authority(), 3 * MIB as u64), (origin.authority(), MIB as u64)]);
}
