//! The bytes of a blob from one registry, carried on where the connection broke.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Error, Operation, RegistryClient, expect_status};
use crate::digest::Digest;
use crate::http::{self, Body, HeaderMap, HeaderValue, Request, Response, StatusCode, header};

/// A connection that delivered this much may break as often as it likes.
const WORTHWHILE_PROGRESS: u64 = 1024 * 1024;
/// So may one that lasted this long, if it delivered anything.
const WORTHWHILE_TIME: Duration = Duration::from_secs(60);

/// Who is asked for the bytes of blobs.
pub(super) trait BlobServer: Send + Sync {
    /// A body of which the bytes from `offset` on are to be read: it begins there, or at the beginning. The answer is 200, or
    /// 206 where `offset` is not 0; it may be encoded.
    fn ask(&self, digest: &Digest, offset: u64) -> Result<Response, Error>;

    /// What is being done.
    fn operation(&self, digest: &Digest) -> Operation;

    fn now(&self) -> SystemTime;
}

impl BlobServer for RegistryClient {
    fn ask(&self, digest: &Digest, offset: u64) -> Result<Response, Error> {
        let operation = self.operation(digest);
        let mut request = Request::get(self.url(&operation, &format!("blobs/{digest}"))?, Arc::clone(&self.tls));
        let (headers, expected) = range_from(offset);
        (request.headers, request.is_large) = (headers, true);
        let response = self.send(&operation, &mut request)?;
        expect_status(&operation, response, expected)
    }

    fn operation(&self, digest: &Digest) -> Operation {
        Operation::ReadingBlob { digest: digest.clone(), name: self.name.clone() }
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

/// How to ask for the bytes from `offset` on, and the answers to that.
pub(super) fn range_from(offset: u64) -> (HeaderMap, &'static [StatusCode]) {
    let mut headers = HeaderMap::new();
    if offset == 0 {
        return (headers, &[StatusCode::OK]);
    }
    headers.extend(HeaderValue::from_str(&format!("bytes={offset}-")).map(|range| (header::RANGE, range)));
    (headers, &[StatusCode::OK, StatusCode::PARTIAL_CONTENT])
}

/// A blob's bytes from some offset on, unverified, resumed with `Range` when the connection is cut.
///
/// It ends with `Ok(0)` only after all bytes. An error carries an [`Error`] of this layer.
pub struct BlobStream {
    server: Arc<dyn BlobServer>,
    digest: Digest,
    size: u64,
    offset: u64,
    body: Body,
    /// Where and when the connection was last resumed.
    resumed: Option<(u64, SystemTime)>,
    /// Bytes read only to be thrown away, for servers that ignore `Range`.
    skipped: u64,
}

impl BlobStream {
    /// Asks for the bytes from `offset` on.
    pub(super) fn open(server: Arc<dyn BlobServer>, digest: Digest, size: u64, offset: u64) -> Result<Self, Error> {
        let body: Body = Box::new(io::empty());
        let mut stream = Self { server, digest, size, offset, body, resumed: None, skipped: 0 };
        match stream.connect(offset) {
            // Who has none but the whole is asked for the whole.
            Err(error) if offset > 0 && error.is_range_refused() => stream.connect(0)?,
            outcome => outcome?,
        }
        Ok(stream)
    }

    /// Points `body` at the present offset, by asking for the bytes from `start` on: that, or 0.
    fn connect(&mut self, start: u64) -> Result<(), Error> {
        let response = self.ask(start)?;
        // Some servers say only there that it is a part.
        let is_part = start > 0 && response.headers.contains_key(header::CONTENT_RANGE);
        if response.status == StatusCode::OK && !is_part {
            self.body = response.body;
            return self.skip_forward();
        }
        if let Some(found) = content_range_problem(&response, self.offset, self.size.saturating_sub(1), self.size) {
            return Err(Error::WrongRange { operation: self.operation(), offset: self.offset, found });
        }
        self.body = response.body;
        Ok(())
    }

    /// An answer whose body is not encoded any more.
    fn ask(&self, start: u64) -> Result<Response, Error> {
        let response = self.server.ask(&self.digest, start)?;
        if http::is_content_itself(&response, start, self.size) {
            return Ok(response);
        }
        // A range of encoded bytes is counted in those, and offsets are in decoded ones.
        if start > 0 && response.headers.contains_key(header::CONTENT_RANGE) && http::is_encoded(&response) {
            return self.ask(0);
        }
        http::decoded(response, self.size).map_err(|source| Error::Http { operation: self.operation(), source })
    }

    /// Reads away what is known already, from a server that begins at the beginning. All skips of a blob together may
    /// cost one more time its size: otherwise a bad line would make this quadratic.
    fn skip_forward(&mut self) -> Result<(), Error> {
        if self.offset == 0 {
            return Ok(());
        }
        self.skipped += self.offset;
        if self.skipped > self.size {
            return Err(Error::RangeIgnored { operation: self.operation(), offset: self.offset });
        }
        let skipped = io::copy(&mut self.body.by_ref().take(self.offset), &mut io::sink());
        match skipped {
            Ok(count) if count == self.offset => Ok(()),
            Ok(_) => {
                Err(Error::Cut { operation: self.operation(), offset: 0, source: io::ErrorKind::UnexpectedEof.into() })
            }
            Err(source) => Err(Error::Cut { operation: self.operation(), offset: 0, source }),
        }
    }

    /// Connects anew after `cause`, or says why not.
    fn resume(&mut self, cause: io::Error) -> Result<(), Error> {
        let cut = |source| Error::Cut { operation: self.operation(), offset: self.offset, source };
        let now = self.server.now();
        let is_worthwhile = self.resumed.is_none_or(|(offset, time)| {
            let progress = self.offset - offset;
            let is_long = now.duration_since(time).is_ok_and(|lasted| lasted >= WORTHWHILE_TIME);
            progress >= WORTHWHILE_PROGRESS || (progress > 0 && is_long)
        });
        if !is_worthwhile || is_final(&cause) {
            return Err(cut(cause));
        }
        log::debug!("{}: cut after {} bytes, resuming", self.operation(), self.offset);
        self.resumed = Some((self.offset, now));
        self.connect(self.offset).map_err(|error| {
            let cut = Error::Cut { operation: self.operation(), offset: self.offset, source: cause };
            Error::ResumeFailed { cut: Box::new(cut), source: Box::new(error) }
        })
    }

    fn operation(&self) -> Operation {
        self.server.operation(&self.digest)
    }
}

/// A server that stalled once has had its time, and what cannot be decoded cannot be the second time either; somebody else
/// may do better.
fn is_final(error: &io::Error) -> bool {
    let error = crate::error::find::<http::Error>(error);
    matches!(error, Some(http::Error::Timeout { .. } | http::Error::Encoding { .. }))
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStream").field("digest", &self.digest).field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl Read for BlobStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let cause = match self.body.read(buffer) {
                Ok(0) if self.offset < self.size && !buffer.is_empty() => io::ErrorKind::UnexpectedEof.into(),
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Nothing is missing but a proper end, and there is nothing left to ask for.
                Err(_) if self.offset >= self.size => return Ok(0),
                Err(error) => error,
            };
            self.resume(cause).map_err(io::Error::other)?;
        }
    }
}

/// What is wrong with the range of a 206, if anything.
pub(super) fn content_range_problem(response: &Response, first: u64, last: u64, size: u64) -> Option<String> {
    let Some(value) = response.single_header(header::CONTENT_RANGE) else {
        return Some("no single Content-Range".to_owned());
    };
    match parse_content_range(value) {
        Some(found) if (found.0, found.1) == (first, last) && found.2.is_none_or(|total| total == size) => None,
        _ => Some(value.to_owned()),
    }
}

/// `bytes first-last/total`, the total `None` for `*`.
fn parse_content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(number(total)?) };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, last, total))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::http::{Clock, RetryPolicy, TestClock, Wire};
    use crate::reference::Reference;
    use crate::registry::{Endpoint, Identity};

    const BLOB: &[u8] = b"0123456789";

    /// Each request costs `seconds` and is answered with the next number of bytes from where it asks; then the
    /// connection is cut.
    struct Cutting {
        counts: Mutex<Vec<usize>>,
        seconds: u64,
        clock: Arc<TestClock>,
    }

    impl Wire for Cutting {
        fn send(&self, request: &Request) -> Result<Response, http::Error> {
            self.clock.sleep(Duration::from_secs(self.seconds));
            let count = self.counts.lock().unwrap().remove(0);
            let range = request.headers.get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
            let start: usize = range.map_or(0, |range| range[6..range.len() - 1].parse().unwrap());
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_RANGE, format!("bytes {start}-9/10").parse().unwrap());
            let status = if start > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
            let body = Box::new(BLOB[start..start + count].chain(Cut));
            Ok(Response { status, headers, body, url: request.url.clone() })
        }
    }

    struct Cut;

    impl Read for Cut {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }

    /// What was read, and how many answers nobody asked for.
    fn read(counts: &[usize], seconds: u64) -> (io::Result<Vec<u8>>, usize) {
        let clock = Arc::new(TestClock::default());
        let wire = Arc::new(Cutting { counts: Mutex::new(counts.to_vec()), seconds, clock: Arc::clone(&clock) });
        let (tls, identity, retry) = (Arc::default(), Identity::default(), RetryPolicy::BRISK);
        let endpoint =
            Endpoint { wire: Arc::clone(&wire) as _, clock, tls, insecure: false, identity, retry, address: None };
        let name = "r.example/app".parse::<Reference>().unwrap().name().clone();
        let client = Arc::new(RegistryClient::new(name, endpoint));
        let mut stream = client.blob(&Digest::sha256(BLOB), 10, 0).unwrap();
        let mut bytes = Vec::new();
        let outcome = stream.read_to_end(&mut bytes).map(|_| bytes);
        (outcome, wire.counts.lock().unwrap().len())
    }

    #[test]
    fn a_connection_may_break_again_when_it_lasted_and_delivered() {
        assert_eq!(read(&[2, 3, 1, 4], 60).0.unwrap(), BLOB);
        assert_eq!(read(&[2, 3, 1, 4], 1).1, 2);
    }

    #[test]
    fn a_connection_that_lasts_and_delivers_nothing_is_given_up() {
        let (outcome, unasked) = read(&[2, 0, 0, 0, 0, 8], 60);
        assert!(matches!(crate::error::find(&outcome.unwrap_err()), Some(Error::Cut { offset: 2, .. })));
        assert_eq!(unasked, 4);
    }

    #[test]
    fn a_connection_may_break_after_the_last_byte() {
        let (outcome, unasked) = read(&[10, 0], 1);
        assert_eq!((outcome.unwrap(), unasked), (BLOB.to_vec(), 1));
    }

    #[test]
    fn a_content_range_is_three_numbers() {
        for (value, expected) in [
            ("bytes 0-0/1", Some((0, 0, Some(1)))),
            ("bytes 010-020/030", Some((10, 20, Some(30)))),
            ("bytes 1000-1010/*", Some((1000, 1010, None))),
            ("", None),
            ("bytes 1-2", None),
            ("bytes 1-2/", None),
            ("bytes 2-1/3", None),
            ("bytes 0-3/3", None),
            ("bytes +1-2/3", None),
            ("bytes 1*2/3", None),
            ("items 1-2/3", None),
            ("bytes 99999999999999999999-1/3", None),
        ] {
            assert_eq!(parse_content_range(value), expected, "{value:?}");
        }
    }
}
