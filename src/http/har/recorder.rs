//! Writing down what passes.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::failure::Failure;
use super::format::{Creator, Entry, Har, Log};
use super::matching::Asked;
use super::redact::Redactor;
use super::{HarError, IN_MEMORY, entry};
use crate::digest::Digest;
use crate::http::{Body, Clock, Error, HeaderMap, Method, Request, Response, StatusCode, SystemClock, Wire, header};
use crate::safe_url::SafeUrl;

const OCTET_STREAM: &str = "application/octet-stream";

const DEFAULT_BODY_LIMIT: u64 = 16 * 1024 * 1024;
/// No manifest that is put, and no form, is larger. The bytes of an upload tell nothing that their digest does not.
const SENT_BODY_LIMIT: usize = 4 * 1024 * 1024;
/// Of all bodies together; they are in memory until the file is written.
const TOTAL_LIMIT: u64 = 256 * 1024 * 1024;

/// A [`Wire`] that records every exchange of another one, without its secrets.
///
/// An exchange is complete when its response body was read to the end or dropped, and the file is written by
/// [`finish`](Self::finish), or else when the recorder and all bodies are gone. A body that breaks off, or a request that
/// gets no answer, is recorded as that, so that a [`Replay`](super::Replay) fails in the same way. What fails on this side
/// of the wire, such as unreadable certificates, is not traffic and not recorded.
///
/// Put it *below* retries, redirects and authorisation: then a replay exercises them too.
///
/// Of the bytes of a blob that is sent, and of any other body of more than 4 MiB that is, only size and digest are
/// recorded: an answer does not depend on them.
///
/// # What is not in the file
///
/// Each secret is replaced by `redacted-1`, `redacted-2`…, the same secret by the same word everywhere, so that a client
/// which reads a token or a signed location from one answer and uses it in the next request still finds its answer:
///
/// - `Authorization`, `Proxy-Authorization`, `Cookie`, `Set-Cookie`, the usual headers with keys in them, and every header
///   marked [sensitive](crate::http::HeaderValue::set_sensitive);
/// - in every URL (asked for, `Location`, `Link`): the value of each query parameter that [`SafeUrl`] would not print, user
///   information and fragment;
/// - `token`, `access_token`, `refresh_token` and their like in JSON bodies, except in what a digest names (manifests and
///   blobs); `refresh_token`, `password` and their like in form bodies;
/// - the body of a redirect, which repeats its signed location; known secrets that an error body repeats.
///
/// A secret that a server puts into a *path* cannot be told from a name. Look at a recording before publishing it.
pub struct Recorder<W> {
    inner: W,
    tape: Arc<Tape>,
    clock: Arc<dyn Clock>,
    body_limit: u64,
}

impl<W> fmt::Debug for Recorder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("file", &self.tape.name).finish_non_exhaustive()
    }
}

impl<W: Wire> Recorder<W> {
    /// Records what passes through `inner` into a file, which is replaced as a whole.
    pub fn new(inner: W, file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        Self::with_sink(inner, file.clone(), Sink::File(file))
    }

    /// Records into `writer`, which takes one recording.
    pub fn to_writer(inner: W, writer: impl Write + Send + 'static) -> Self {
        Self::with_sink(inner, PathBuf::from(IN_MEMORY), Sink::Writer(Some(Box::new(writer))))
    }

    fn with_sink(inner: W, name: PathBuf, sink: Sink) -> Self {
        let state = State { redactor: Redactor::default(), slots: Vec::new(), sink, unwritten: false };
        let tape = Tape { name, room: AtomicU64::new(TOTAL_LIMIT), state: Mutex::new(state) };
        Self { inner, tape: Arc::new(tape), clock: Arc::new(SystemClock), body_limit: DEFAULT_BODY_LIMIT }
    }

    /// Tells the time of the recording from another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Keeps at most this many bytes of each body, instead of 16 MiB; of all bodies together, 256 MiB are kept.
    ///
    /// The reader gets all of it nevertheless. A replay fails where the recording ends, and says so.
    #[must_use]
    pub fn with_body_limit(mut self, bytes: u64) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Writes the file, as a whole or not at all. It may be called again after further requests.
    ///
    /// # Errors
    /// [`HarError::Unfinished`] while a body is being read, [`HarError::Write`] when the file cannot be written, or a
    /// writer is given a second recording.
    pub fn finish(&self) -> Result<(), HarError> {
        let mut state = self.tape.lock();
        let open = |slot: &Slot| match slot {
            Slot::Open(request) => Some(request.clone()),
            Slot::Done(_) | Slot::Void => None,
        };
        let requests: Vec<String> = state.slots.iter().filter_map(open).collect();
        if !requests.is_empty() {
            return Err(HarError::Unfinished { file: self.tape.name.clone(), requests });
        }
        state.write().map_err(|source| HarError::Write { file: self.tape.name.clone(), source })
    }
}

impl<W: Wire> Wire for Recorder<W> {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let asked = Asked::new(request.method.clone(), request.url.clone(), &request.headers);
        let slot = self.tape.open(asked.to_string());
        let started = self.clock.now();
        let outcome = self.inner.send(request);
        let (kept, left_out) = kept(request);
        match outcome {
            Ok(Response { status, headers, body, url }) => {
                let exchange = Exchange {
                    request: kept,
                    left_out,
                    started,
                    answered: self.clock.now(),
                    ended: started,
                    outcome: Ok(Answer { status, headers: headers.clone(), url: url.clone() }),
                    body: Vec::new(),
                    end: End::Dropped,
                };
                let tee = Tee {
                    inner: body,
                    exchange: Some((slot, exchange)),
                    over_limit: false,
                    limit: self.body_limit,
                    tape: Arc::clone(&self.tape),
                    clock: Arc::clone(&self.clock),
                };
                Ok(Response { status, headers, body: Box::new(tee), url })
            }
            Err(error) => {
                let exchange = Failure::of(&error).map(|failure| Exchange {
                    request: kept,
                    left_out,
                    started,
                    answered: self.clock.now(),
                    ended: self.clock.now(),
                    outcome: Err(failure),
                    body: Vec::new(),
                    end: End::Whole,
                });
                self.tape.close(slot, exchange);
                Err(error)
            }
        }
    }
}

/// Everything known about a request and what came of it.
pub(super) struct Exchange {
    pub(super) request: Request,
    pub(super) left_out: Option<LeftOut>,
    pub(super) started: SystemTime,
    pub(super) answered: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) outcome: Result<Answer, Failure>,
    pub(super) body: Vec<u8>,
    pub(super) end: End,
}

/// What is known of a body that is not in the recording.
pub(super) struct LeftOut {
    pub(super) size: u64,
    pub(super) digest: Digest,
}

/// The request with a body that is worth keeping.
fn kept(request: &Request) -> (Request, Option<LeftOut>) {
    let Request { method, url, headers, body, tls, idempotent, connect_timeout, is_large } = request;
    let is_blob = headers.get(header::CONTENT_TYPE).is_some_and(|value| value == OCTET_STREAM);
    let is_left_out = (is_blob && !body.is_empty()) || body.len() > SENT_BODY_LIMIT;
    let left_out = is_left_out.then(|| LeftOut { size: body.len() as u64, digest: Digest::sha256(body) });
    let kept = Request {
        method: method.clone(),
        url: url.clone(),
        headers: headers.clone(),
        body: if is_left_out { Vec::new() } else { body.clone() },
        tls: Arc::clone(tls),
        idempotent: *idempotent,
        connect_timeout: *connect_timeout,
        is_large: *is_large,
    };
    (kept, left_out)
}

/// The head of a response.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) url: SafeUrl,
}

/// How the reading of a body ended.
pub(super) enum End {
    Whole,
    Cut(Failure),
    /// The reader wanted no more.
    Dropped,
}

/// Passes a body on, and keeps it.
struct Tee {
    inner: Body,
    exchange: Option<(usize, Exchange)>,
    over_limit: bool,
    limit: u64,
    tape: Arc<Tape>,
    clock: Arc<dyn Clock>,
}

impl Tee {
    fn keep(&mut self, bytes: &[u8]) {
        let Some((_, exchange)) = self.exchange.as_mut().filter(|_| !self.over_limit) else { return };
        let room = self.limit.saturating_sub(exchange.body.len() as u64).min(self.tape.take_room(bytes.len() as u64));
        let fits = bytes.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(bytes);
        exchange.body.extend_from_slice(fits);
        self.over_limit = fits.len() < bytes.len();
    }

    fn end(&mut self, end: End) {
        let Some((slot, mut exchange)) = self.exchange.take() else { return };
        exchange.ended = self.clock.now();
        exchange.end = end;
        if self.over_limit {
            log::warn!("{}: a body is longer than the recording keeps, it cannot be replayed", exchange.request.url);
            exchange.end = End::Cut(Failure::RecordingLimit { bytes: exchange.body.len() as u64 });
        }
        self.tape.close(slot, Some(exchange));
    }
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(0) if !buffer.is_empty() => {
                self.end(End::Whole);
                Ok(0)
            }
            Ok(count) => {
                self.keep(buffer.get(..count).unwrap_or_default());
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.end(End::Cut(Failure::of_body(&error)));
                Err(error)
            }
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        let is_whole = self.exchange.as_ref().is_some_and(|(_, exchange)| exchange.has_all());
        self.end(if is_whole { End::Whole } else { End::Dropped });
    }
}

impl Exchange {
    /// True when no byte is missing, although nobody asked for the end.
    fn has_all(&self) -> bool {
        let Ok(answer) = &self.outcome else { return true };
        let length = answer.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        self.request.method == Method::HEAD
            || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&answer.status)
            || length == Some(self.body.len() as u64)
    }
}

/// What the recorder and the bodies that it handed out share. It is written when the last of them goes.
struct Tape {
    name: PathBuf,
    room: AtomicU64,
    state: Mutex<State>,
}

struct State {
    redactor: Redactor,
    slots: Vec<Slot>,
    sink: Sink,
    unwritten: bool,
}

/// The place of an exchange, in the order of the requests.
enum Slot {
    Open(String),
    Done(Box<Entry>),
    Void,
}

enum Sink {
    File(PathBuf),
    Writer(Option<Box<dyn Write + Send>>),
}

impl Tape {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, request: String) -> usize {
        let mut state = self.lock();
        state.slots.push(Slot::Open(request));
        state.slots.len() - 1
    }

    fn close(&self, slot: usize, exchange: Option<Exchange>) {
        let mut state = self.lock();
        let closed =
            exchange.map_or(Slot::Void, |exchange| Slot::Done(Box::new(entry::of(exchange, &mut state.redactor))));
        if let Some(slot) = state.slots.get_mut(slot) {
            *slot = closed;
        }
        state.unwritten = true;
    }

    /// How many of `wanted` bytes may still be kept.
    fn take_room(&self, wanted: u64) -> u64 {
        let taken =
            self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| Some(room.saturating_sub(wanted)));
        taken.unwrap_or_default().min(wanted)
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !state.unwritten {
            return;
        }
        if let Err(error) = state.write() {
            log::error!("{}: cannot write recorded traffic: {error}", self.name.display());
        }
    }
}

impl State {
    fn write(&mut self) -> io::Result<()> {
        let entries = self.slots.iter().filter_map(|slot| match slot {
            Slot::Done(entry) => Some(entry.as_ref()),
            Slot::Open(_) | Slot::Void => None,
        });
        let har = Har { log: Log { version: "1.2", creator: Creator::default(), entries: entries.collect() } };
        match &mut self.sink {
            Sink::File(path) => write_whole(path, &har)?,
            Sink::Writer(writer) => match writer.take() {
                Some(writer) => write_json(writer, &har)?,
                None if self.unwritten => return Err(io::Error::other("the writer has taken its recording already")),
                None => {}
            },
        }
        self.unwritten = false;
        Ok(())
    }
}

fn write_whole(path: &Path, har: &Har<&Entry>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(directory)?;
    write_json(&file, har)?;
    file.persist(path)?;
    Ok(())
}

fn write_json(writer: impl Write, har: &Har<&Entry>) -> io::Result<()> {
    let mut writer = io::BufWriter::new(writer);
    serde_json::to_writer_pretty(&mut writer, har)?;
    writer.write_all(b"\n")?;
    writer.flush()
}
