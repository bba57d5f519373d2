//! Digests, and the reader that cannot end unverified.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{self, Read};

mod support {
    pub(crate) mod shared;
    pub(crate) mod tables;
}

use support::tables::{table, text};
use transship::Digest;
use transship::digest::{Algorithm, Hasher, Mismatch, ParseError, VerifyingReader};

const ALGORITHMS: [(Algorithm, &str, usize); 3] =
    [(Algorithm::Sha256, "sha256", 64), (Algorithm::Sha384, "sha384", 96), (Algorithm::Sha512, "sha512", 128)];

/// The examples of FIPS 180-4 for "abc".
const ABC: [&str; 3] = [
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    concat!(
        "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a",
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    ),
];

#[test]
fn a_hash_is_that_of_the_standard() {
    for ((algorithm, name, length), expected) in ALGORITHMS.into_iter().zip(ABC) {
        let digest = Digest::of(algorithm, b"abc");
        assert_eq!(digest.to_string(), expected);
        assert_eq!((digest.algorithm(), digest.encoded().len()), (algorithm, length));
        assert_eq!(format!("{name}:{}", digest.encoded()), digest.as_str());
        assert_eq!(expected.parse(), Ok(digest));
    }
    assert_eq!(Digest::sha256(b"abc"), Digest::of(Algorithm::Sha256, b"abc"));
}

#[test]
fn a_hash_does_not_depend_on_where_the_bytes_are_cut() {
    for (algorithm, ..) in ALGORITHMS {
        for cut in 0..=3 {
            let mut hasher = Hasher::new(algorithm);
            let (head, tail) = b"abc".split_at(cut);
            hasher.update(head);
            hasher.update(tail);
            assert_eq!(hasher.finish(), Digest::of(algorithm, b"abc"));
        }
    }
}

#[test]
fn a_digest_has_exactly_its_algorithm_s_number_of_digits() {
    for (algorithm, name, length) in ALGORITHMS {
        for found in [0, 32, length - 1, length + 1, 2 * length] {
            let text = format!("{name}:{}", "0".repeat(found));
            assert_eq!(text.parse::<Digest>(), Err(ParseError::Length { algorithm, found }));
        }
        assert!(format!("{name}:{}", "0".repeat(length)).parse::<Digest>().is_ok());
    }
}

#[test]
fn a_digest_has_lower_case_hexadecimal_digits_only() {
    for (algorithm, name, length) in ALGORITHMS {
        for found in ['A', 'F', 'g', '/', ':', '@', '`', ' ', '\0', 'é', '٣'] {
            let text = format!("{name}:{}{found}", "0".repeat(length - 1));
            assert_eq!(text.parse::<Digest>(), Err(ParseError::Character { algorithm, found }));
        }
    }
}

#[test]
fn a_digest_has_a_known_algorithm() {
    let hash = "0".repeat(64);
    assert_eq!(hash.parse::<Digest>(), Err(ParseError::NoColon(hash.clone())));
    for name in ["", "SHA256", "md5", "sha1", "sha256 ", "sha256+b64", "blake3"] {
        assert_eq!(format!("{name}:{hash}").parse::<Digest>(), Err(ParseError::Algorithm(name.to_owned())));
    }
}

/// What a body must be: `expected` bytes, while `sent` come, `chunk` at a time, into a buffer of `buffer` bytes.
fn read(sent: &[u8], expected: &[u8], chunk: usize, buffer: usize) -> (Vec<u8>, Result<bool, Mismatch>) {
    let inner = Chunked { bytes: sent, chunk };
    let mut reader = VerifyingReader::new(inner, Digest::sha256(expected), expected.len() as u64);
    let (mut buffer, mut received) = (vec![0; buffer], Vec::new());
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => {
                assert_eq!(reader.read(&mut buffer).unwrap(), 0, "the end stays the end");
                return (received, Ok(reader.is_verified()));
            }
            Ok(count) => {
                assert!(!reader.is_verified(), "before the end nothing is known");
                received.extend_from_slice(&buffer[..count]);
            }
            Err(error) => {
                let mismatch = mismatch(&error);
                assert_eq!(self::mismatch(&reader.read(&mut buffer).unwrap_err()), mismatch, "an error stays");
                assert!(!reader.is_verified());
                return (received, Err(mismatch));
            }
        }
    }
}

fn mismatch(error: &io::Error) -> Mismatch {
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    transship::error::find::<Mismatch>(error).unwrap().clone()
}

/// Hands out at most `chunk` bytes at a time.
struct Chunked<'a> {
    bytes: &'a [u8],
    chunk: usize,
}

impl Read for Chunked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = buffer.len().min(self.chunk);
        self.bytes.read(&mut buffer[..limit])
    }
}

/// Every size of what comes at once and of what is asked for at once.
fn for_each_size(mut check: impl FnMut(usize, usize)) {
    for chunk in 1..=13 {
        for buffer in 1..=13 {
            check(chunk, buffer);
        }
    }
}

#[test]
fn the_tables_of_the_digesting_reader_are_kept() {
    for case in table("copy", "digesting_reader_new") {
        assert!(text(&case).parse::<Digest>().is_err(), "{case}");
    }
    for case in table("copy", "digesting_reader_read") {
        // One row is a Go expression.
        let input = case["input"].as_str().map_or_else(|| vec![0; 65537], |text| text.as_bytes().to_vec());
        let digest: Digest = text(&case["digest"]).parse().unwrap();
        let verified = |input: &[u8], size: usize| {
            let mut reader = VerifyingReader::new(input, digest.clone(), size as u64);
            io::copy(&mut reader, &mut io::sink()).is_ok() && reader.is_verified()
        };
        assert!(verified(&input, input.len()), "{case}");
        let modified = [&input[..], b"modified"].concat();
        assert!(!verified(&modified, input.len()) && !verified(&modified, modified.len()), "{case}");
    }
}

#[test]
fn the_right_bytes_are_read_to_the_end() {
    for_each_size(|chunk, buffer| {
        for bytes in [&b""[..], b"a", b"hello world"] {
            assert_eq!(read(bytes, bytes, chunk, buffer), (bytes.to_vec(), Ok(true)));
        }
    });
}

#[test]
fn a_body_that_ends_early_is_an_error_at_its_end() {
    let expected = b"hello world";
    for_each_size(|chunk, buffer| {
        for found in 0..expected.len() {
            let (received, outcome) = read(&expected[..found], expected, chunk, buffer);
            assert_eq!(received, &expected[..found]);
            let (expected, size) = (Digest::sha256(expected), 11);
            assert_eq!(outcome, Err(Mismatch::TooShort { expected, size, found: found as u64 }));
        }
    });
}

#[test]
fn a_body_that_goes_on_is_an_error_and_no_byte_too_many_comes_out() {
    for_each_size(|chunk, buffer| {
        for expected in [&b""[..], b"hello"] {
            let (received, outcome) = read(b"hello world", expected, chunk, buffer);
            assert!(expected.starts_with(&received));
            let (expected, size) = (Digest::sha256(expected), expected.len() as u64);
            assert_eq!(outcome, Err(Mismatch::TooLong { expected, size }));
        }
    });
}

#[test]
fn other_bytes_are_an_error_before_the_last_of_them_comes_out() {
    for_each_size(|chunk, buffer| {
        let (received, outcome) = read(b"hello_world", b"hello world", chunk, buffer);
        assert!(received.len() < 11);
        let (expected, found) = (Digest::sha256(b"hello world"), Digest::sha256(b"hello_world"));
        assert_eq!(outcome, Err(Mismatch::Digest { expected, found }));
    });
}

#[test]
fn no_bytes_are_verified_too() {
    let expected = Digest::sha256(b"something");
    let mut reader = VerifyingReader::new(io::empty(), expected.clone(), 0);
    let error = reader.read(&mut [0]).unwrap_err();
    assert_eq!(mismatch(&error), Mismatch::Digest { expected, found: Digest::sha256(b"") });
}

#[test]
fn an_empty_buffer_asks_for_nothing() {
    let mut reader = VerifyingReader::new(&b"x"[..], Digest::sha256(b"x"), 1);
    assert_eq!(reader.read(&mut []).unwrap(), 0);
    assert!(!reader.is_verified());
    assert_eq!(reader.read(&mut [0]).unwrap(), 1);
    assert_eq!(reader.read(&mut []).unwrap(), 0);
    assert!(!reader.is_verified());
}

/// Fails once in the middle, then goes on.
struct Interrupted<'a> {
    bytes: &'a [u8],
    pending: bool,
}

impl Read for Interrupted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.len() == 5 && std::mem::take(&mut self.pending) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.bytes.read(&mut buffer[..1])
    }
}

#[test]
fn an_error_from_below_is_passed_on_and_a_later_read_goes_on() {
    let bytes = b"hello world";
    let mut reader =
        VerifyingReader::new(Interrupted { bytes, pending: true }, Digest::sha256(bytes), bytes.len() as u64);
    let mut received = Vec::new();
    let error = reader.read_to_end(&mut received).unwrap_err();
    assert_eq!((error.kind(), &*received), (io::ErrorKind::WouldBlock, &b"hello "[..]));
    reader.read_to_end(&mut received).unwrap();
    assert!(reader.is_verified());
    assert_eq!(received, bytes);
}

#[test]
fn every_algorithm_is_verified() {
    for (algorithm, ..) in ALGORITHMS {
        let mut reader = VerifyingReader::new(&b"abc"[..], Digest::of(algorithm, b"abc"), 3);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        let mut reader = VerifyingReader::new(&b"abd"[..], Digest::of(algorithm, b"abc"), 3);
        assert!(io::copy(&mut reader, &mut io::sink()).is_err());
    }
}
