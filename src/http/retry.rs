//! Trying again, politely.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use log::Level;

use super::{Clock, Error, Request, Response, StatusCode, Wire, header};

/// How often and how long to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Requests sent in all, the first included; 1 means never again.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles for each further one, with up to a tenth of jitter added.
    pub first_delay: Duration,
    /// Each wait is as long as the first.
    pub is_steady: bool,
    /// No wait is longer, even where `Retry-After` asks for more.
    pub longest_delay: Duration,
    /// Whether a server that asks for more than [`longest_delay`](Self::longest_delay) is given up at once. Right where
    /// another source has the same image; otherwise the longest delay is waited and then it is tried again.
    pub give_up_early: bool,
}

impl RetryPolicy {
    /// For the last hope: 4 attempts over about 4 seconds, or as `Retry-After` says, at most a minute each.
    pub const PATIENT: Self = Self {
        attempts: 4,
        first_delay: Duration::from_millis(500),
        is_steady: false,
        longest_delay: Duration::from_secs(60),
        give_up_early: false,
    };

    /// For a mirror that others stand behind: one more attempt, soon.
    pub const BRISK: Self = Self {
        attempts: 2,
        first_delay: Duration::from_millis(100),
        is_steady: false,
        longest_delay: Duration::from_secs(1),
        give_up_early: true,
    };

    /// The wait after so many failures; `None` when they are enough.
    pub(crate) fn delay(&self, failed_attempts: u32, asked: Option<Duration>) -> Option<Duration> {
        if failed_attempts >= self.attempts {
            return None;
        }
        match asked {
            Some(asked) if asked > self.longest_delay && self.give_up_early => None,
            Some(asked) => Some(asked.min(self.longest_delay)),
            None if self.is_steady => Some(self.first_delay.min(self.longest_delay)),
            None => {
                let doubled = self.first_delay.saturating_mul(2u32.saturating_pow(failed_attempts - 1));
                let jitter = doubled.mul_f64(fastrand::f64() / 10.0);
                Some(doubled.saturating_add(jitter).min(self.longest_delay))
            }
        }
    }
}

const NOTICEABLE: Duration = Duration::from_secs(1);

/// Sends again what failed for a reason that passes: statuses 408, 429, 500, 502, 503 and 504, refused and reset
/// connections.
///
/// `Retry-After` is heeded, as seconds or as a date. A request that is not idempotent is sent again only where the
/// server has not begun to act on it. A connection that the server closed while it was idle is replaced at once, and
/// does not count. Timeouts are not retried here: their limit was the patience.
#[derive(Debug)]
pub struct Retrying<W> {
    inner: W,
    clock: Arc<dyn Clock>,
    policy: RetryPolicy,
}

impl<W: Wire> Retrying<W> {
    /// Decorates `inner`.
    pub fn new(inner: W, clock: Arc<dyn Clock>, policy: RetryPolicy) -> Self {
        Self { inner, clock, policy }
    }

    fn send_once(&self, request: &Request) -> Result<Response, Error> {
        match self.inner.send(request) {
            Err(Error::Closed { .. }) if request.is_idempotent() => self.inner.send(request),
            outcome => outcome,
        }
    }
}

impl<W: Wire> Wire for Retrying<W> {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let mut failed_attempts = 0;
        loop {
            let outcome = self.send_once(request);
            if !may_pass(&outcome, request) {
                return outcome;
            }
            failed_attempts += 1;
            let asked = outcome.as_ref().ok().and_then(|response| retry_after(response, self.clock.now()));
            let Some(delay) = self.policy.delay(failed_attempts, asked) else {
                return outcome;
            };
            // A wait that a person would notice is explained.
            let level = if delay >= NOTICEABLE { Level::Warn } else { Level::Debug };
            match outcome {
                Ok(response) => {
                    log::log!(level, "{}: {}, trying again in {delay:.1?}", response.url, response.status);
                    response.drain();
                }
                Err(error) => log::log!(level, "{}, trying again in {delay:.1?}", crate::error::one_line(&error)),
            }
            self.clock.sleep(delay);
        }
    }
}

fn may_pass(outcome: &Result<Response, Error>, request: &Request) -> bool {
    let idempotent = request.is_idempotent();
    match outcome {
        Ok(response) => match response.status {
            StatusCode::TOO_MANY_REQUESTS => true,
            // Who says expressly that twice is not the same as once knows of servers that say this halfway.
            StatusCode::SERVICE_UNAVAILABLE => request.idempotent != Some(false),
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT => idempotent,
            _ => false,
        },
        Err(Error::Connect { .. }) => true,
        Err(Error::Closed { .. }) => idempotent,
        Err(_) => false,
    }
}

/// The wait that the server asks for: seconds, or a date
/// ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)); a date in the past says nothing.
pub(crate) fn retry_after(response: &Response, now: SystemTime) -> Option<Duration> {
    let value = response.single_header(header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?;
    SystemTime::from(date.timestamp()).duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;
    use crate::http::{HeaderMap, Method, TestClock, Tls};

    /// Answers from a list; each entry is a status with an optional `Retry-After`, or a transport failure.
    struct Script(Mutex<Vec<Answer>>);

    #[derive(Clone, Copy)]
    enum Answer {
        Status(u16, Option<&'static str>),
        Refused,
        Closed,
        TimedOut,
    }

    impl Wire for Script {
        fn send(&self, request: &Request) -> Result<Response, Error> {
            let url = request.url.clone();
            match self.0.lock().unwrap().remove(0) {
                Status(status, after) => {
                    let mut headers = HeaderMap::new();
                    if let Some(after) = after {
                        headers.insert(header::RETRY_AFTER, after.parse().unwrap());
                    }
                    let status = StatusCode::from_u16(status).unwrap();
                    Ok(Response { status, headers, body: Box::new(io::empty()), url })
                }
                Refused => Err(Error::Connect { url, source: io::ErrorKind::ConnectionRefused.into() }),
                Closed => Err(Error::Closed { url, source: io::ErrorKind::UnexpectedEof.into() }),
                TimedOut => {
                    Err(Error::Timeout { url, phase: crate::http::Phase::Reading, after: Duration::from_secs(60) })
                }
            }
        }
    }

    /// The final status (0 for an error), and the waits in whole milliseconds without jitter.
    fn run(policy: RetryPolicy, method: Method, answers: &[Answer]) -> (u16, Vec<Duration>) {
        run_as(None, policy, method, answers)
    }

    fn run_as(
        idempotent: Option<bool>,
        policy: RetryPolicy,
        method: Method,
        answers: &[Answer],
    ) -> (u16, Vec<Duration>) {
        let clock = Arc::new(TestClock::default());
        let wire = Retrying::new(Script(Mutex::new(answers.to_vec())), Arc::clone(&clock) as Arc<dyn Clock>, policy);
        let mut request = Request::get("https://a.example/".parse().unwrap(), Arc::new(Tls::default()));
        request.method = method;
        request.idempotent = idempotent;
        let status = wire.send(&request).map_or(0, |response| response.status.as_u16());
        assert!(wire.inner.0.lock().unwrap().is_empty(), "answers left over");
        (status, clock.sleeps())
    }

    use Answer::{Closed, Refused, Status, TimedOut};
    const GET: Method = Method::GET;
    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        for first in [Status(429, None), Status(500, None), Status(502, None), Status(503, None), Status(504, None)] {
            assert_eq!(run(RetryPolicy::PATIENT, GET, &[first, Status(200, None)]).0, 200);
        }
        assert_eq!(run(RetryPolicy::PATIENT, GET, &[Refused, Status(200, None)]).0, 200);
        for last in [400, 401, 403, 404, 416, 501] {
            assert_eq!(run(RetryPolicy::PATIENT, GET, &[Status(last, None)]).0, last);
        }
        assert_eq!(run(RetryPolicy::PATIENT, GET, &[TimedOut]).0, 0);
    }

    #[test]
    fn waits_double_and_end() {
        let (status, waits) = run(RetryPolicy::PATIENT, GET, &[Status(503, None); 4]);
        assert_eq!(status, 503);
        assert_eq!(waits.len(), 3);
        for (wait, base) in waits.iter().zip([500, 1000, 2000].map(Duration::from_millis)) {
            assert!(*wait >= base && *wait <= base.mul_f64(1.1), "{wait:?} for {base:?}");
        }
    }

    #[test]
    fn steady_waits_are_one_as_long_as_the_other_unless_the_server_says_how_long() {
        let policy = RetryPolicy { first_delay: S(2), is_steady: true, ..RetryPolicy::PATIENT };
        let answers = [Status(503, None), Status(503, Some("1")), Status(503, None), Status(200, None)];
        assert_eq!(run(policy, GET, &answers), (200, vec![S(2), S(1), S(2)]));
    }

    #[test]
    fn retry_after_is_heeded_and_capped() {
        let date = "Thu, 01 Jan 2026 00:00:07 GMT";
        let past = "Wed, 31 Dec 2025 00:00:00 GMT";
        let ok = Status(200, None);
        assert_eq!(run(RetryPolicy::PATIENT, GET, &[Status(429, Some("3")), ok]), (200, vec![S(3)]));
        assert_eq!(run(RetryPolicy::PATIENT, GET, &[Status(503, Some(date)), ok]), (200, vec![S(7)]));
        assert_eq!(run(RetryPolicy::PATIENT, GET, &[Status(429, Some("3600")), ok]), (200, vec![S(60)]));
        let (_, waits) = run(RetryPolicy::PATIENT, GET, &[Status(429, Some(past)), ok]);
        assert!(waits[0] < S(1), "{waits:?}");
        assert_eq!(run(RetryPolicy::BRISK, GET, &[Status(429, Some("3600"))]), (429, vec![]));
    }

    #[test]
    fn no_delay_is_too_long_to_be_capped() {
        let policy = RetryPolicy { first_delay: Duration::MAX, ..RetryPolicy::PATIENT };
        let (_, waits) = run(policy, GET, &[Status(503, None), Status(503, None), Status(200, None)]);
        assert_eq!(waits, [S(60), S(60)]);
    }

    #[test]
    fn a_closed_idle_connection_is_replaced_at_once() {
        assert_eq!(run(RetryPolicy::PATIENT, GET, &[Closed, Status(200, None)]), (200, vec![]));
        let (status, waits) = run(RetryPolicy::BRISK, GET, &[Closed, Closed, Status(200, None)]);
        assert_eq!((status, waits.len()), (200, 1));
    }

    #[test]
    fn a_post_is_repeated_only_before_the_server_acted() {
        assert_eq!(run(RetryPolicy::PATIENT, Method::POST, &[Closed]).0, 0);
        assert_eq!(run(RetryPolicy::PATIENT, Method::POST, &[Status(500, None)]).0, 500);
        assert_eq!(run(RetryPolicy::PATIENT, Method::POST, &[Refused, Status(200, None)]).0, 200);
        assert_eq!(run(RetryPolicy::PATIENT, Method::POST, &[Status(429, None), Status(200, None)]).0, 200);
    }

    #[test]
    fn what_a_request_says_of_itself_counts_more_than_its_method() {
        let ok = Status(200, None);
        for (first, put_once, post_again) in [
            (Closed, 0, 200),
            (Status(500, None), 500, 200),
            (Status(503, None), 503, 200),
            (Status(429, None), 200, 200),
            (Refused, 200, 200),
        ] {
            let answers = |expected| if expected == 200 { vec![first, ok] } else { vec![first] };
            let run = |idempotent, method, expected| {
                run_as(Some(idempotent), RetryPolicy::PATIENT, method, &answers(expected)).0
            };
            assert_eq!(run(false, Method::PUT, put_once), put_once);
            assert_eq!(run(true, Method::POST, post_again), post_again);
        }
    }
}
