//! The upload of one blob
//! ([OCI distribution specification, pushing blobs](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs)).
//!
//! A session is begun with `POST`. A blob of one chunk follows in one `PUT`, a larger one with a `PATCH` for each chunk and
//! a `PUT` that ends it. When the line breaks, the registry is asked how far it came, and gets the rest of the chunk.

use std::sync::Arc;
use std::time::Duration;

use super::push::{check_digest, expect_success};
use super::{Error, ErrorResponse, Operation, RegistryClient};
use crate::digest::Digest;
use crate::http::{self, HeaderValue, Method, Request, Response, StatusCode, Tls, header, retry_after};
use crate::safe_url::SafeUrl;

/// As much of a blob is in memory and in one request, in bytes, unless the registry wants more.
pub const UPLOAD_CHUNK_SIZE: usize = 8 * 1024 * 1024;
/// A registry may want larger chunks, up to here.
const LARGEST_CHUNK: usize = 64 * 1024 * 1024;
/// A line that carried this much may break as often as it likes.
const WORTHWHILE_PROGRESS: u64 = 1024 * 1024;

/// What a registry wants of all chunks but the last.
const CHUNK_MIN_LENGTH: &str = "oci-chunk-min-length";

/// A blob on its way into a repository, chunk by chunk. Until it is [finished](Self::finish) the registry has nothing
/// that anybody can see.
#[derive(Debug)]
pub struct BlobUpload<'a> {
    client: &'a RegistryClient,
    /// `None` as long as nobody knows it.
    digest: Option<Digest>,
    /// Where the next bytes go; each answer may change it. `None` before the first.
    session: Option<SafeUrl>,
    /// How many bytes the registry has.
    offset: u64,
    chunk_size: usize,
}

/// What a request does beside carrying bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// More bytes follow.
    Append,
    /// The blob ends with these bytes.
    Finish,
}

/// What came of a request.
enum Outcome {
    /// The registry has this many bytes, by its own word where it gives it.
    Taken(u64),
    /// Nobody knows how many bytes arrived. The wait is what the registry asks for.
    Unclear(Error, Option<Duration>),
    Failed(Error),
}

/// How often a chunk may break.
struct Patience {
    failures: u32,
    /// Where the upload has been. Only what goes beyond counts as progress: a registry that takes bytes and forgets them
    /// could go on for ever.
    furthest: u64,
}

impl Patience {
    /// Counts a failure at `offset`, and says how many there were since the last worthwhile progress.
    fn count(&mut self, offset: u64) -> u32 {
        if offset >= self.furthest.saturating_add(WORTHWHILE_PROGRESS) {
            *self = Self { failures: 0, furthest: offset };
        }
        self.failures = self.failures.saturating_add(1);
        self.failures
    }
}

impl RegistryClient {
    /// Prepares the upload of a blob of `size` bytes.
    ///
    /// ```no_run
    /// # fn push(client: &transship::registry::RegistryClient) -> Result<(), transship::registry::Error> {
    /// let bytes = b"hello\n".to_vec();
    /// let mut upload = client.upload(&transship::Digest::sha256(&bytes), 6)?;
    /// upload.finish(bytes)
    /// # }
    /// ```
    pub fn upload(&self, digest: &Digest, size: u64) -> Result<BlobUpload<'_>, Error> {
        let mut upload = BlobUpload::new(self, Some(digest.clone()));
        if size > UPLOAD_CHUNK_SIZE as u64 {
            // How large the chunks must be is in the answer.
            upload.begin()?;
        }
        Ok(upload)
    }

    /// Goes on with an upload that this client has begun.
    pub fn go_on(&self, begun: BegunUpload) -> BlobUpload<'_> {
        let BegunUpload { digest, session, chunk_size } = begun;
        BlobUpload { client: self, digest, session, offset: 0, chunk_size }
    }

    /// Begins the upload of a blob that is made on the way; [`finish_new`](BlobUpload::finish_new) says what it became.
    pub fn upload_new(&self) -> Result<BlobUpload<'_>, Error> {
        let mut upload = BlobUpload::new(self, None);
        upload.begin()?;
        Ok(upload)
    }
}

/// What begins an upload. A session too many is forgotten by the registry in time, so it may be sent twice.
pub(super) fn session_request(url: SafeUrl, tls: Arc<Tls>) -> Request {
    Request { method: Method::POST, idempotent: Some(true), ..Request::get(url, tls) }
}

/// An upload that the registry is ready for, and has no byte of.
#[derive(Debug)]
pub struct BegunUpload {
    digest: Option<Digest>,
    session: Option<SafeUrl>,
    chunk_size: usize,
}

impl From<BlobUpload<'_>> for BegunUpload {
    fn from(upload: BlobUpload<'_>) -> Self {
        Self { digest: upload.digest, session: upload.session, chunk_size: upload.chunk_size }
    }
}

impl<'a> BlobUpload<'a> {
    pub(super) fn new(client: &'a RegistryClient, digest: Option<Digest>) -> Self {
        Self { client, digest, session: None, offset: 0, chunk_size: UPLOAD_CHUNK_SIZE }
    }
}

impl BlobUpload<'_> {
    /// How many bytes each chunk must have, the last excepted.
    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// Sends a chunk that others follow.
    pub fn append(&mut self, chunk: Vec<u8>) -> Result<(), Error> {
        self.send(chunk, Step::Append)
    }

    /// Sends the last chunk. Afterwards the registry has the blob, and has compared its digest.
    pub fn finish(&mut self, chunk: Vec<u8>) -> Result<(), Error> {
        if self.offset == 0 {
            return self.send(chunk, Step::Finish);
        }
        // Not every registry takes bytes with the request that ends a chunked upload.
        if !chunk.is_empty() {
            self.send(chunk, Step::Append)?;
        }
        self.send(Vec::new(), Step::Finish)
    }

    /// Ends an upload of which all chunks were [appended](Self::append), now that the digest is known.
    pub fn finish_new(&mut self, digest: &Digest) -> Result<(), Error> {
        self.digest = Some(digest.clone());
        self.send(Vec::new(), Step::Finish)
    }

    /// Tells the registry to forget what it was sent, as far as it can be told.
    pub fn cancel(&mut self) {
        let Some(url) = self.session.take() else { return };
        match self.request(Method::DELETE, url, Vec::new(), None) {
            (Ok(response), _) => response.drain(),
            (Err(error), _) => log::debug!("{}", crate::error::one_line(&error)),
        }
    }

    fn begin(&mut self) -> Result<SafeUrl, Error> {
        let operation = self.operation();
        let url = self.client.url(&operation, "blobs/uploads/")?;
        let mut request = session_request(url, Arc::clone(&self.client.tls));
        let response = expect_success(&operation, self.client.send(&operation, &mut request)?)?;
        self.take_in_session(response)
    }

    /// Reads the answer to a request that begins an upload.
    pub(super) fn take_in_session(&mut self, response: Response) -> Result<SafeUrl, Error> {
        let location = self.location(&response)?;
        let wanted = response.single_header(CHUNK_MIN_LENGTH).and_then(|text| text.parse().ok());
        self.chunk_size = wanted.unwrap_or(UPLOAD_CHUNK_SIZE).clamp(UPLOAD_CHUNK_SIZE, LARGEST_CHUNK);
        let url = location.ok_or_else(|| self.bad_location("the registry does not say where the bytes go"))?;
        response.drain();
        self.offset = 0;
        Ok(self.session.insert(url).clone())
    }

    fn send(&mut self, chunk: Vec<u8>, step: Step) -> Result<(), Error> {
        self.send_patiently(chunk, step).inspect_err(|error| {
            if let Error::Http { source, .. } = error
                && !matches!(source, http::Error::Cancelled { .. })
            {
                // Who does not answer need not be told to forget.
                self.session = None;
            }
        })
    }

    /// Sends a chunk, again and in parts where that is needed.
    fn send_patiently(&mut self, mut chunk: Vec<u8>, step: Step) -> Result<(), Error> {
        let start = self.offset;
        let end = start.saturating_add(chunk.len() as u64);
        let mut patience = Patience { failures: 0, furthest: start };
        loop {
            let outcome = self.attempt(&mut chunk, start, step);
            let (error, asked) = match outcome {
                Outcome::Taken(offset) if offset >= end => {
                    self.offset = end;
                    return Ok(());
                }
                Outcome::Taken(offset)
                    if offset > self.offset && patience.count(self.offset) < self.client.retry.attempts =>
                {
                    self.offset = offset;
                    continue;
                }
                Outcome::Taken(offset) => return Err(self.wrong_range(end, offset)),
                Outcome::Failed(error) => return Err(error),
                Outcome::Unclear(error, asked) => (error, asked),
            };
            let Some(delay) = self.client.retry.delay(patience.count(self.offset), asked) else { return Err(error) };
            log::debug!("{}, going on in {delay:.1?}", crate::error::one_line(&error));
            self.client.clock.sleep(delay);
            if self.find_out(start, end, step, error)? {
                return Ok(());
            }
        }
    }

    /// One request with what the registry does not have of the chunk, which begins at `start`.
    fn attempt(&mut self, chunk: &mut Vec<u8>, start: u64, step: Step) -> Outcome {
        let url = match &self.session {
            Some(url) => Ok(url.clone()),
            None if self.offset == 0 => self.begin(),
            None => Err(self.bad_location("the upload is over")),
        };
        let url = match url {
            Ok(url) => url,
            Err(error) => return Outcome::Failed(error),
        };
        let end = start.saturating_add(chunk.len() as u64);
        let sent = usize::try_from(self.offset.saturating_sub(start)).unwrap_or(usize::MAX);
        // The chunk itself travels; only what is left of it after a break is copied.
        let body = if sent == 0 { std::mem::take(chunk) } else { chunk.get(sent..).unwrap_or_default().to_vec() };
        let (method, url, range) = match step {
            Step::Append => (Method::PATCH, url, Some(format!("{}-{}", self.offset, end.saturating_sub(1)))),
            Step::Finish => {
                let digest = self.digest.as_ref().map_or("", Digest::as_str);
                (Method::PUT, url.with_query("digest", digest), None)
            }
        };
        let (outcome, body) = self.request(method, url, body, range);
        if sent == 0 {
            *chunk = body;
        }
        match outcome {
            Ok(response) => self.judge(response, step, end),
            Err(Error::Http {
                operation,
                source: source @ (http::Error::Closed { .. } | http::Error::Body { .. }),
            }) => Outcome::Unclear(Error::Http { operation, source }, None),
            Err(error) => Outcome::Failed(error),
        }
    }

    fn judge(&mut self, response: Response, step: Step, end: u64) -> Outcome {
        let operation = self.operation();
        if response.status.is_success() {
            let outcome = match step {
                Step::Append => self.moved(&response).map(|()| received(&response).unwrap_or(end)),
                Step::Finish => check_digest(&operation, &response, |stated| self.digest_like(stated)).map(|()| end),
            };
            response.drain();
            return outcome.map_or_else(Outcome::Failed, Outcome::Taken);
        }
        let asked = retry_after(&response, self.client.clock.now());
        // 404: the session is over. 416: some earlier bytes arrived after all, or did not.
        let is_unclear = [StatusCode::NOT_FOUND, StatusCode::RANGE_NOT_SATISFIABLE].contains(&response.status)
            || matches!(response.status.as_u16(), 500 | 502 | 503 | 504);
        let error = Error::Response { operation, source: ErrorResponse::read(response) };
        if is_unclear { Outcome::Unclear(error, asked) } else { Outcome::Failed(error) }
    }

    /// Asks how far the upload came, and gets ready to go on from there. True when nothing is left to send.
    fn find_out(&mut self, start: u64, end: u64, step: Step, problem: Error) -> Result<bool, Error> {
        let status = self.status();
        if let Ok(Some(offset)) = status
            && (start..=end).contains(&offset)
        {
            self.offset = offset;
            return Ok(step == Step::Append && offset == end);
        }
        if let Err(Error::Http { .. } | Error::Token { .. }) = status {
            return Err(problem);
        }
        // The end of an upload is the end of its session, also when the answer was lost.
        if let (Step::Finish, Some(digest)) = (step, &self.digest)
            && self.client.has_blob(digest)?
        {
            self.session = None;
            return Ok(true);
        }
        if start > 0 {
            self.session = None;
            return Err(Error::UploadLost {
                operation: self.operation(),
                offset: self.offset,
                source: Box::new(problem),
            });
        }
        // All bytes so far are in memory still.
        if status.is_ok() {
            self.cancel();
        }
        self.begin()?;
        Ok(false)
    }

    /// How many bytes the registry has; `None` when it does not say.
    fn status(&mut self) -> Result<Option<u64>, Error> {
        let Some(url) = self.session.clone() else { return Ok(None) };
        let response = expect_success(&self.operation(), self.request(Method::GET, url, Vec::new(), None).0?)?;
        self.moved(&response)?;
        // What the registry of the distribution project says of no byte is the same as of one.
        let offset = received(&response).filter(|offset| *offset != 1);
        response.drain();
        Ok(offset)
    }

    /// Sends a request of the session, and gives its body back.
    fn request(
        &self,
        method: Method,
        url: SafeUrl,
        body: Vec<u8>,
        range: Option<String>,
    ) -> (Result<Response, Error>, Vec<u8>) {
        let operation = self.operation();
        let is_home = self.client.base(&operation).is_ok_and(|base| base.url.same_origin(&url));
        let tls = if is_home { Arc::clone(&self.client.tls) } else { self.client.tls.without_identity() };
        let mut request = Request { method, body, ..Request::get(url, tls) };
        if [Method::PATCH, Method::PUT].contains(&request.method) {
            // A second time, the bytes would be added to those of the first.
            request.idempotent = Some(false);
            request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        request.headers.extend(
            range.and_then(|range| HeaderValue::from_str(&range).ok()).map(|range| (header::CONTENT_RANGE, range)),
        );
        let outcome = if is_home {
            self.client.send(&operation, &mut request)
        } else {
            self.client.anonymous.send(&request).map_err(|source| Error::Http { operation, source })
        };
        (outcome, request.body)
    }

    /// Takes in where the session is now.
    fn moved(&mut self, response: &Response) -> Result<(), Error> {
        if let Some(url) = self.location(response)? {
            self.session = Some(url);
        }
        Ok(())
    }

    /// Where the next bytes go, if the answer says. They may leave the registry, without credentials, but not the
    /// protection that it has.
    fn location(&self, response: &Response) -> Result<Option<SafeUrl>, Error> {
        let Some(location) = response.single_header(header::LOCATION) else { return Ok(None) };
        let url =
            response.url.join(location).map_err(|error| self.bad_location(&format!("its location is {error}")))?;
        if response.url.is_https() && !url.is_https() && !self.client.insecure {
            let problem = "the registry, asked over https, wants the bytes over plain http (behind a proxy, it must be told \
                           its own address)";
            return Err(self.bad_location(problem));
        }
        Ok(Some(url))
    }

    /// The registry may hash as it likes; only what can be compared is.
    pub(super) fn digest_like(&self, stated: &Digest) -> Digest {
        let same = self.digest.as_ref().filter(|digest| digest.algorithm() == stated.algorithm());
        same.unwrap_or(stated).clone()
    }

    fn bad_location(&self, problem: &str) -> Error {
        Error::UploadLocation { operation: self.operation(), problem: problem.to_owned() }
    }

    fn wrong_range(&self, sent: u64, offset: u64) -> Error {
        let found = format!("0-{}", offset.saturating_sub(1));
        Error::UploadRange { operation: self.operation(), sent, found }
    }

    fn operation(&self) -> Operation {
        let name = self.client.name.clone();
        match self.digest.clone() {
            Some(digest) => Operation::PushingBlob { digest, name },
            None => Operation::PushingNewBlob { name },
        }
    }
}

/// How many bytes the registry says that it has: `Range: 0-99`, also with `bytes=` before it.
fn received(response: &Response) -> Option<u64> {
    let value = response.single_header(header::RANGE)?.trim();
    let (first, last) = value.strip_prefix("bytes=").unwrap_or(value).split_once('-')?;
    let last = last.bytes().all(|byte| byte.is_ascii_digit()).then(|| last.parse::<u64>().ok()).flatten()?;
    (first == "0").then(|| last.checked_add(1)).flatten()
}
