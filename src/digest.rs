//! Digests, and readers that cannot end unverified.
//!
//! A [`Digest`] names content by its hash, in the form of the
//! [OCI descriptor specification](https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests):
//! `algorithm:encoded`.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The registered hash algorithms; any other is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, what nearly every image uses.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The registered name, `sha256`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    const fn encoded_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `sha256:…`: the name of some bytes by their content.
///
/// The text is checked once, here: a known algorithm and exactly its number of lower-case hexadecimal digits. So a
/// `Digest` is safe as a part of a path or a URL.
///
/// ```
/// use transship::Digest;
///
/// let digest = Digest::sha256(b"hello\n");
/// assert_eq!(digest.to_string().parse::<Digest>()?, digest);
/// assert!("sha256:../../etc/passwd".parse::<Digest>().is_err());
/// # Ok::<(), transship::digest::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    text: Box<str>,
}

/// Why a text is not a [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// No `:` between algorithm and hash.
    #[error("digest {0:?} has no \":\" after its algorithm")]
    NoColon(String),
    /// An algorithm other than sha256, sha384 and sha512.
    #[error("digest algorithm {0:?} is not supported (sha256, sha384 and sha512 are)")]
    Algorithm(String),
    /// Too few or too many digits.
    #[error("{algorithm} digest has {found} characters, expected {expected}", expected = algorithm.encoded_length())]
    Length {
        /// The algorithm that was named.
        algorithm: Algorithm,
        /// The length found.
        found: usize,
    },
    /// A character outside `0-9a-f`.
    #[error("{algorithm} digest has {found:?} where a lower-case hexadecimal digit must be")]
    Character {
        /// The algorithm that was named.
        algorithm: Algorithm,
        /// The first bad character.
        found: char,
    },
}

impl Digest {
    /// Hashes bytes that are in memory.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// [`Digest::of`] with SHA-256.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, bytes)
    }

    /// Which hash this is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hexadecimal part, after the `:`.
    pub fn encoded(&self) -> &str {
        self.text.get(self.algorithm.as_str().len() + 1..).unwrap_or_default()
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Digest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (name, encoded) = text.split_once(':').ok_or_else(|| ParseError::NoColon(text.to_owned()))?;
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or_else(|| ParseError::Algorithm(name.to_owned()))?;
        let found = encoded.chars().count();
        if found != algorithm.encoded_length() {
            return Err(ParseError::Length { algorithm, found });
        }
        if let Some(found) = encoded.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(ParseError::Character { algorithm, found });
        }
        Ok(Self { algorithm, text: text.into() })
    }
}

impl TryFrom<&oci_spec::image::Digest> for Digest {
    type Error = ParseError;

    fn try_from(digest: &oci_spec::image::Digest) -> Result<Self, ParseError> {
        digest.as_ref().parse()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Hashes bytes as they pass.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// A hash of no bytes yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha384 => State::Sha384(Sha384::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha384(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => digest_of(Algorithm::Sha256, &state.finalize()),
            State::Sha384(state) => digest_of(Algorithm::Sha384, &state.finalize()),
            State::Sha512(state) => digest_of(Algorithm::Sha512, &state.finalize()),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

fn digest_of(algorithm: Algorithm, hash: &[u8]) -> Digest {
    let mut text = String::with_capacity(algorithm.as_str().len() + 1 + algorithm.encoded_length());
    text.push_str(algorithm.as_str());
    text.push(':');
    for byte in hash {
        for nibble in [byte >> 4, byte & 0xf] {
            text.push(char::from_digit(nibble.into(), 16).unwrap_or_default());
        }
    }
    Digest { algorithm, text: text.into() }
}

/// The first bytes of a blob, which are here from an earlier try. They are hashed, so that the rest completes the digest.
#[derive(Debug, Clone)]
pub struct HashedPrefix {
    hasher: Hasher,
    length: u64,
}

impl HashedPrefix {
    /// Reads `bytes` to their end.
    pub fn read(algorithm: Algorithm, bytes: &mut dyn Read) -> io::Result<Self> {
        let mut prefix = Self { hasher: Hasher::new(algorithm), length: 0 };
        let mut buffer = vec![0; PREFIX_BUFFER];
        loop {
            let count = match bytes.read(&mut buffer) {
                Ok(0) => return Ok(prefix),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            prefix.hasher.update(buffer.get(..count).unwrap_or_default());
            prefix.length += count as u64;
        }
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        self.length
    }
}

const PREFIX_BUFFER: usize = 256 * 1024;

/// A reader that tells at its end what passed through it: for bytes of which no descriptor exists yet.
#[derive(Debug)]
pub struct MeasuringReader<R> {
    inner: R,
    hasher: Hasher,
    size: u64,
}

impl<R: Read> MeasuringReader<R> {
    /// Measures `inner` by SHA-256.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::new(Algorithm::Sha256), size: 0 }
    }

    /// The digest and the size of what was read.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.size)
    }
}

impl<R: Read> Read for MeasuringReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }
}

/// Why bytes are not what their descriptor says. Carried by the [`io::Error`] of a [`VerifyingReader`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// All bytes came, and their hash is another.
    #[error("digest did not match: expected {expected}, got {found}")]
    Digest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Fewer bytes than the descriptor's size.
    #[error("{expected} ended after {found} bytes of {size}")]
    TooShort {
        /// What was asked for.
        expected: Digest,
        /// Its size in bytes.
        size: u64,
        /// How many came.
        found: u64,
    },
    /// More bytes than the descriptor's size.
    #[error("{expected} is longer than its {size} bytes")]
    TooLong {
        /// What was asked for.
        expected: Digest,
        /// Its size in bytes.
        size: u64,
    },
}

impl From<Mismatch> for io::Error {
    fn from(mismatch: Mismatch) -> Self {
        Self::new(io::ErrorKind::InvalidData, mismatch)
    }
}

/// A reader that reports the end only when size and digest match.
///
/// The last byte is not handed out either before the digest was found to match, so whoever reads exactly `size` bytes
/// and never asks for the end has verified bytes too. Anything else is an [`io::Error`] of kind `InvalidData` that
/// carries a [`Mismatch`], and it is returned again by every later read.
#[derive(Debug)]
pub struct VerifyingReader<R> {
    inner: R,
    hasher: Hasher,
    expected: Digest,
    size: u64,
    read: u64,
    outcome: Option<Result<(), Mismatch>>,
}

impl<R: Read> VerifyingReader<R> {
    /// Expects exactly `size` bytes with the digest `expected` from `inner`.
    pub fn new(inner: R, expected: Digest, size: u64) -> Self {
        let hasher = Hasher::new(expected.algorithm());
        Self { inner, hasher, expected, size, read: 0, outcome: None }
    }

    /// Expects what follows `prefix` from `inner`, and checks both as one.
    pub fn behind(prefix: HashedPrefix, inner: R, expected: Digest, size: u64) -> Self {
        let HashedPrefix { hasher, length } = prefix;
        Self { inner, hasher, expected, size, read: length, outcome: None }
    }

    /// The reader below.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The reader below, to change it; bytes taken from it here are missing in the hash.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The reader below, at the end of the checks.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// True once the end was reached and everything matched.
    pub fn is_verified(&self) -> bool {
        matches!(self.outcome, Some(Ok(())))
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<(), Mismatch> {
        self.read += bytes.len() as u64;
        if self.read > self.size {
            return Err(Mismatch::TooLong { expected: self.expected.clone(), size: self.size });
        }
        self.hasher.update(bytes);
        if self.read == self.size { self.check_digest() } else { Ok(()) }
    }

    fn end(&self) -> Result<(), Mismatch> {
        if self.read < self.size {
            return Err(Mismatch::TooShort { expected: self.expected.clone(), size: self.size, found: self.read });
        }
        self.check_digest()
    }

    fn check_digest(&self) -> Result<(), Mismatch> {
        let (expected, found) = (self.expected.clone(), self.hasher.clone().finish());
        if found == expected { Ok(()) } else { Err(Mismatch::Digest { expected, found }) }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(outcome) = &self.outcome {
            return outcome.clone().map(|()| 0).map_err(Into::into);
        }
        let count = self.inner.read(buffer)?;
        let result = match count {
            0 => self.end(),
            _ => self.advance(buffer.get(..count).unwrap_or_default()),
        };
        if count == 0 || result.is_err() {
            self.outcome = Some(result.clone());
        }
        result.map(|()| count).map_err(Into::into)
    }
}
