//! Whatever parses is written so that it reads back as the same value.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use fastrand::Rng;
use transship::reference::{OciName, Reference, Tag};
use transship::{Digest, ImageReference};

const RUNS: usize = 10_000;

/// Pieces of names, good and bad, that random characters would not hit upon.
const PIECES: [&str; 44] = [
    "docker",
    "oci",
    "dir",
    "oci-archive",
    "docker-archive",
    "://",
    ":",
    "//",
    "/",
    "@",
    "@@unknown-digest@@",
    ".",
    "_",
    "__",
    "___",
    "-",
    "--",
    "..",
    "docker.io",
    "index.docker.io",
    "localhost",
    "library",
    "quay.io",
    "Registry.EXAMPLE",
    "my_host.x",
    "xn--e1aw.example",
    "a",
    "b1",
    "foo",
    "bar",
    "latest",
    "V1",
    "5000",
    "0",
    "+",
    " ",
    "é",
    "\u{130}",
    "sha256",
    "sha512",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha384:38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

fn random_text(rng: &mut Rng) -> String {
    (0..rng.usize(1..9)).map(|_| PIECES[rng.usize(..PIECES.len())]).collect()
}

/// Checks one text; true when it is a `T`.
fn reads_back<T: FromStr + Display + Debug + PartialEq>(text: &str) -> bool
where
    T::Err: Debug + PartialEq + Display,
{
    let Ok(value) = text.parse::<T>() else { return false };
    let written = value.to_string();
    assert_eq!(written.parse::<T>().as_ref(), Ok(&value), "{text:?} was written as {written:?}");
    true
}

/// Runs the check on texts that begin with one of `beginnings`, and on enough good ones among them to mean something.
fn check<T: FromStr + Display + Debug + PartialEq>(seed: u64, beginnings: &[&str], at_least: usize)
where
    T::Err: Debug + PartialEq + Display,
{
    let mut rng = Rng::with_seed(seed);
    let good = (0..RUNS)
        .filter(|_| reads_back::<T>(&format!("{}{}", beginnings[rng.usize(..beginnings.len())], random_text(&mut rng))))
        .count();
    assert!(good >= at_least, "only {good} of {RUNS} texts are valid");
}

#[test]
fn a_reference_reads_back() {
    check::<Reference>(1, &["", "a/", "docker.io/", "localhost:5000/"], RUNS / 20);
}

#[test]
fn the_short_form_of_a_reference_reads_back() {
    let mut rng = Rng::with_seed(2);
    for _ in 0..RUNS {
        let text = format!("docker.io/{}", random_text(&mut rng));
        let Ok(reference) = text.parse::<Reference>() else { continue };
        assert_eq!(reference.familiar().parse(), Ok(reference), "{text:?}");
    }
}

#[test]
fn an_image_reference_reads_back() {
    check::<ImageReference>(3, &["docker://"], RUNS / 20);
    check::<ImageReference>(4, &["dir:", "oci:", "oci-archive:"], RUNS / 20);
    check::<ImageReference>(5, &["docker-archive:"], RUNS / 50);
    check::<ImageReference>(6, &[""], 1);
}

#[test]
fn the_parts_read_back() {
    check::<Tag>(7, &[""], RUNS / 50);
    check::<OciName>(8, &[""], RUNS / 50);
    check::<Digest>(9, &["", "sha256:"], 1);
}
