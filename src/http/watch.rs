//! Giving up because nothing comes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{Body, Clock, Error, Request, Response, Wire, header};
use crate::safe_url::SafeUrl;

/// Counts what comes over a wire, and how long nothing has.
///
/// Only waiting counts: the time in which at least one request waits for a server that sends nothing. What the caller does
/// between two reads, and pauses between two attempts, do not. One byte of one response is enough to begin anew, the head
/// of a response included. It is looked at when a wait ends, so a wire must have a limit for a single wait that is shorter
/// (as [`UreqWire`](super::UreqWire) has its idle timeout).
#[derive(Debug)]
pub struct ProgressWatch {
    clock: Arc<dyn Clock>,
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was asked for and did not come to its end.
    requests: BTreeMap<u64, Transfer>,
    next: u64,
    /// How many wait at present, and since when somebody does.
    waiting: usize,
    since: Option<SystemTime>,
    /// How long somebody waited before that, since the last byte.
    quiet: Duration,
    /// Bytes of bodies.
    bytes: u64,
    /// Set once and for all.
    waited_for: Option<Vec<SafeUrl>>,
}

#[derive(Debug)]
struct Transfer {
    url: SafeUrl,
    is_waiting: bool,
}

impl ProgressWatch {
    /// A watch that gives up after `limit`; zero never does.
    pub fn new(clock: Arc<dyn Clock>, limit: Duration) -> Self {
        Self { clock, limit, state: Mutex::default() }
    }

    /// How long nothing may come.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How many requests are under way: asked for, and not read to their end.
    pub fn active_requests(&self) -> usize {
        self.state().requests.len()
    }

    /// How many bytes of bodies have come.
    pub fn bytes_read(&self) -> u64 {
        self.state().bytes
    }

    /// What was waited for when it took too long; `None` as long as it did not.
    pub fn waited_for(&self) -> Option<Vec<SafeUrl>> {
        self.state().waited_for.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, url: &SafeUrl) -> u64 {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.requests.insert(id, Transfer { url: url.clone(), is_waiting: false });
        id
    }

    fn end(&self, id: u64) {
        self.state().requests.remove(&id);
    }

    /// Waits for a server; `bytes` are those of a body in what came.
    fn wait<T, E>(&self, id: u64, wait: impl FnOnce() -> Result<T, E>, bytes: impl Fn(&T) -> u64) -> Result<T, E> {
        self.set_waiting(id, true);
        let outcome = wait();
        match &outcome {
            // What has come is taken, however late.
            Ok(came) => self.begin_anew(bytes(came)),
            Err(_) => self.look(),
        }
        self.set_waiting(id, false);
        outcome
    }

    fn set_waiting(&self, id: u64, is_waiting: bool) {
        let now = self.clock.now();
        let mut state = self.state();
        if let Some(transfer) = state.requests.get_mut(&id) {
            transfer.is_waiting = is_waiting;
        }
        if is_waiting {
            state.waiting += 1;
            state.since.get_or_insert(now);
        } else {
            state.waiting = state.waiting.saturating_sub(1);
            if state.waiting == 0 {
                let waited = state.since.take().map_or(Duration::ZERO, |since| between(since, now));
                state.quiet += waited;
            }
        }
    }

    fn begin_anew(&self, bytes: u64) {
        let now = self.clock.now();
        let mut state = self.state();
        state.quiet = Duration::ZERO;
        state.since = state.since.map(|_| now);
        state.bytes += bytes;
    }

    fn look(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        let quiet = state.quiet + state.since.map_or(Duration::ZERO, |since| between(since, now));
        if self.limit.is_zero() || quiet < self.limit || state.waited_for.is_some() {
            return;
        }
        let mut urls: Vec<SafeUrl> = Vec::new();
        for transfer in state.requests.values().filter(|transfer| transfer.is_waiting) {
            if !urls.contains(&transfer.url) {
                urls.push(transfer.url.clone());
            }
        }
        state.waited_for = Some(urls);
    }

    fn check(&self, url: &SafeUrl) -> Result<(), Error> {
        if self.state().waited_for.is_some() {
            return Err(Error::NoProgress { url: url.clone(), after: self.limit });
        }
        Ok(())
    }
}

/// A clock may be set back.
fn between(since: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(since).unwrap_or_default()
}

/// A wire that is [watched](ProgressWatch): when nothing has come for too long, nothing more is asked for or read.
#[derive(Debug)]
pub struct Watched<W> {
    inner: W,
    watch: Arc<ProgressWatch>,
}

impl<W> Watched<W> {
    /// Decorates `inner`.
    pub fn new(inner: W, watch: Arc<ProgressWatch>) -> Self {
        Self { inner, watch }
    }
}

impl<W: Wire> Wire for Watched<W> {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        self.watch.check(&request.url)?;
        let active = Active { id: self.watch.begin(&request.url), watch: Arc::clone(&self.watch) };
        let outcome = self.watch.wait(active.id, || self.inner.send(request), |_| 0);
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                self.watch.check(&request.url)?;
                return Err(error);
            }
        };
        let left = response.single_header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let (url, inner) = (response.url.clone(), response.body);
        let active = Some(active).filter(|_| left != Some(0));
        let body: Body = Box::new(WatchedBody { inner, url, left, active, watch: Arc::clone(&self.watch) });
        Ok(Response { body, ..response })
    }
}

/// A request that is under way until this is dropped.
struct Active {
    id: u64,
    watch: Arc<ProgressWatch>,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.watch.end(self.id);
    }
}

struct WatchedBody {
    inner: Body,
    url: SafeUrl,
    /// How many bytes must come, where that was said.
    left: Option<u64>,
    /// `None` once all has come.
    active: Option<Active>,
    watch: Arc<ProgressWatch>,
}

impl Read for WatchedBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(active) = &self.active else { return self.inner.read(buffer) };
        let inner = &mut self.inner;
        self.watch.check(&self.url).map_err(io::Error::other)?;
        let outcome = self.watch.wait(active.id, || inner.read(buffer), |count| *count as u64);
        match outcome {
            Ok(count) => {
                self.left = self.left.map(|left| left.saturating_sub(count as u64));
                if (count == 0 && !buffer.is_empty()) || self.left == Some(0) {
                    self.active = None;
                }
                Ok(count)
            }
            Err(error) => {
                self.watch.check(&self.url).map_err(io::Error::other)?;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeaderMap, Phase, StatusCode, TestClock};

    const MINUTE: Duration = Duration::from_secs(60);

    /// Each entry is what one read gives, a minute later.
    struct Slow {
        clock: Arc<TestClock>,
        reads: Vec<Option<usize>>,
    }

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.clock.sleep(MINUTE);
            match self.reads.pop() {
                Some(Some(count)) => Ok(count.min(buffer.len())),
                _ => Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    struct Script {
        clock: Arc<TestClock>,
        length: Option<u64>,
        answers: bool,
    }

    impl Wire for Script {
        fn send(&self, request: &Request) -> Result<Response, Error> {
            if !self.answers {
                self.clock.sleep(MINUTE);
                let (url, phase) = (request.url.clone(), Phase::Reading);
                return Err(Error::Timeout { url, phase, after: MINUTE });
            }
            let mut headers = HeaderMap::new();
            headers.extend(self.length.map(|length| (header::CONTENT_LENGTH, length.into())));
            let body: Body = Box::new(Slow { clock: Arc::clone(&self.clock), reads: vec![None, Some(500), Some(500)] });
            Ok(Response { status: StatusCode::OK, headers, body, url: request.url.clone() })
        }
    }

    fn world(length: Option<u64>, answers: bool) -> (Arc<TestClock>, Arc<ProgressWatch>, Watched<Script>) {
        let clock = Arc::new(TestClock::default());
        let watch = Arc::new(ProgressWatch::new(Arc::clone(&clock) as Arc<dyn Clock>, 5 * MINUTE));
        let script = Script { clock: Arc::clone(&clock), length, answers };
        let wire = Watched::new(script, Arc::clone(&watch));
        (clock, watch, wire)
    }

    fn request(path: &str) -> Request {
        Request::get(format!("https://r.example/{path}").parse().unwrap(), Arc::default())
    }

    #[test]
    fn attempts_that_bring_nothing_add_up_to_the_limit() {
        let (clock, watch, wire) = world(None, false);
        for attempt in 0..4 {
            assert!(matches!(wire.send(&request("a")), Err(Error::Timeout { .. })), "{attempt}");
            // A pause before the next one is nobody's fault.
            clock.sleep(10 * MINUTE);
        }
        assert!(matches!(wire.send(&request("b")), Err(Error::NoProgress { .. })));
        let waited_for = watch.waited_for().unwrap();
        assert_eq!(waited_for.iter().map(ToString::to_string).collect::<Vec<_>>(), ["https://r.example/b"]);
        // Nothing more is asked for.
        let before = clock.now();
        assert!(matches!(wire.send(&request("c")), Err(Error::NoProgress { .. })));
        assert_eq!((clock.now(), watch.active_requests()), (before, 0));
    }

    #[test]
    fn a_byte_begins_anew_and_what_is_done_with_it_takes_its_time() {
        let (clock, watch, wire) = world(Some(2000), true);
        let mut body = wire.send(&request("a")).unwrap().body;
        let mut buffer = [0; 1000];
        for _ in 0..2 {
            assert_eq!(body.read(&mut buffer).unwrap(), 500);
            // A slow disk.
            clock.sleep(20 * MINUTE);
        }
        for _ in 0..4 {
            assert_eq!(body.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        let error = body.read(&mut buffer).unwrap_err();
        assert!(matches!(crate::error::find(&error), Some(Error::NoProgress { .. })), "{error}");
        assert_eq!(watch.bytes_read(), 1000);
    }

    #[test]
    fn what_is_read_to_its_stated_end_is_not_waited_for() {
        let (_, watch, wire) = world(Some(1000), true);
        let mut body = wire.send(&request("a")).unwrap().body;
        let mut buffer = [0; 1000];
        assert_eq!((watch.active_requests(), body.read(&mut buffer).unwrap()), (1, 500));
        assert_eq!((watch.active_requests(), body.read(&mut buffer).unwrap()), (1, 500));
        assert_eq!((watch.active_requests(), watch.bytes_read()), (0, 1000));
        let (_, watch, wire) = world(None, true);
        drop(wire.send(&request("a")).unwrap());
        assert_eq!(watch.active_requests(), 0);
    }

    #[test]
    fn zero_is_for_ever() {
        let clock = Arc::new(TestClock::default());
        let watch = Arc::new(ProgressWatch::new(Arc::clone(&clock) as Arc<dyn Clock>, Duration::ZERO));
        let wire = Watched::new(Script { clock, length: None, answers: false }, watch);
        for _ in 0..100 {
            assert!(matches!(wire.send(&request("a")), Err(Error::Timeout { .. })));
        }
    }
}
