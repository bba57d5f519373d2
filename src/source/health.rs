//! Which endpoints do not work at present, for all images that share a [`Network`](super::Network).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::Error;
use crate::config::PullSource;
use crate::error::{chain, find};
use crate::http;
use crate::registry::ErrorResponse;

/// An endpoint is set aside for so long when it fails, and for twice as long each further time.
const FIRST_TIME: Duration = Duration::from_secs(60);
/// But for no longer. What has not failed for so long is as good as new.
const LONGEST_TIME: Duration = Duration::from_secs(15 * 60);

/// The endpoints that failed to connect, stalled or answered 5xx, retries included. Each is set aside for a minute, then
/// for two, four, eight, and at most fifteen: meanwhile it is asked last. It is still asked, where the others have
/// failed, and when it delivers it gets its place back.
///
/// Clones are the same set, and [`Network`](super::Network) has one. So one network for all images of a process means
/// that a dead mirror costs its timeout once, and not once for each image or blob.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<HashMap<String, Failing>>>);

/// An endpoint that failed, and when.
#[derive(Debug, Clone, Copy)]
struct Failing {
    /// How often, without a long time between.
    times: u32,
    since: SystemTime,
    until: SystemTime,
}

/// An endpoint that is asked last at present.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// `host:port` of a host of `hosts.toml`, else `host` or `host:port` as the pull source says.
    pub endpoint: String,
    /// When it gets its place back.
    pub until: SystemTime,
}

impl Health {
    /// What is set aside at `now`, by name.
    pub fn set_aside(&self, now: SystemTime) -> Vec<SetAside> {
        let failing = self.failing();
        let aside = failing.iter().filter(|(_, failing)| failing.is_aside(now));
        let mut aside: Vec<_> =
            aside.map(|(endpoint, failing)| SetAside { endpoint: endpoint.clone(), until: failing.until }).collect();
        aside.sort_by(|one, other| one.endpoint.cmp(&other.endpoint));
        aside
    }

    /// True while an endpoint is asked last.
    pub(super) fn is_aside(&self, endpoint: &str, now: SystemTime) -> bool {
        self.failing().get(endpoint).is_some_and(|failing| failing.is_aside(now))
    }

    /// Notes a failure of what began at `began`. How long the endpoint is set aside, unless it is already: what was
    /// under way then, or asked it last, adds nothing.
    pub(super) fn failed(&self, endpoint: &str, began: SystemTime, now: SystemTime) -> Option<Duration> {
        let mut all = self.failing();
        let known = all.get(endpoint).copied();
        if known.is_some_and(|failing| failing.since <= began && began < failing.until || began < failing.since) {
            return None;
        }
        let is_recent = |failing: &Failing| now.duration_since(failing.until).is_ok_and(|past| past <= LONGEST_TIME);
        let times = known.filter(is_recent).map_or(0, |failing| failing.times);
        let time = FIRST_TIME.saturating_mul(2u32.saturating_pow(times)).min(LONGEST_TIME);
        all.retain(|_, failing| failing.until + LONGEST_TIME >= now);
        all.insert(endpoint.to_owned(), Failing { times: times + 1, since: now, until: now + time });
        Some(time)
    }

    /// Notes that what began at `began` was delivered: whoever was set aside before that gets its place back. That it
    /// failed is still known, so that who fails again and again is left alone for longer and longer.
    pub(super) fn delivered(&self, endpoint: &str, began: SystemTime, now: SystemTime) {
        if let Some(failing) = self.failing().get_mut(endpoint).filter(|failing| failing.since <= began) {
            failing.until = failing.until.min(now);
        }
    }

    fn failing(&self) -> MutexGuard<'_, HashMap<String, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.failing().iter()).finish()
    }
}

impl Failing {
    fn is_aside(&self, now: SystemTime) -> bool {
        // A clock that was put back sets nobody aside.
        self.since <= now && now < self.until
    }
}

/// What is set aside when a pull source fails: whoever answers for its host and port.
pub(super) fn endpoint(pull_source: &PullSource) -> String {
    let PullSource { host, physical, .. } = pull_source;
    host.as_ref()
        .map_or_else(|| physical.domain().to_owned(), |host| format!("{}:{}", host.base.host(), host.base.port()))
}

/// True for a failure that the next request would meet too: no connection, no answer in time, an answer of 5xx. An image
/// that is not there, a refusal, or a body that was cut says nothing about the rest.
pub(super) fn is_of_endpoint(error: &Error) -> bool {
    use http::Error as Http;
    let is_unreachable = |error: &Http| {
        matches!(
            error,
            Http::HostNotFound { .. }
                | Http::Connect { .. }
                | Http::Tls { .. }
                | Http::Timeout { .. }
                | Http::Closed { .. }
        )
    };
    // Within the error of a body there may be another one.
    chain(error).filter_map(|error| error.downcast_ref()).any(is_unreachable)
        || find::<ErrorResponse>(error).is_some_and(|response| response.status.is_server_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const M: &str = "mirror.example";

    fn at(minutes: f64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + MINUTE.mul_f64(minutes)
    }

    /// Fails at these times; for how many minutes it is set aside each time.
    fn failing_at(times: &[f64]) -> Vec<Option<u64>> {
        let health = Health::default();
        let fail = |minutes: &f64| health.failed(M, at(*minutes), at(*minutes)).map(|time| time.as_secs() / 60);
        times.iter().map(fail).collect()
    }

    #[test]
    fn the_time_doubles_up_to_a_limit_and_is_forgotten_after_as_long() {
        let (one, two, four, eight, most) = (Some(1), Some(2), Some(4), Some(8), Some(15));
        let again_and_again = [0.0, 1.0, 3.0, 7.0, 15.0, 30.0, 45.0];
        assert_eq!(failing_at(&again_and_again), [one, two, four, eight, most, most, most]);
        assert_eq!(failing_at(&[0.0, 0.5, 0.99]), [one, None, None], "tried last, it changes nothing");
        assert_eq!(failing_at(&[0.0, 16.0]), [one, two]);
        assert_eq!(failing_at(&[0.0, 16.1]), [one, one]);
        assert_eq!(failing_at(&[0.0; 40]).iter().flatten().count(), 1);
    }

    #[test]
    fn what_is_as_good_as_new_is_forgotten() {
        let health = Health::default();
        for number in 0..100 {
            let time = at(f64::from(number));
            health.failed(&format!("m{number}.example"), time, time);
            assert!(health.failing().len() <= 17, "{number}");
        }
    }

    #[test]
    fn a_host_has_an_endpoint_for_each_scheme() {
        let of = |base: &str| {
            let host = crate::config::Host::at(base.parse().unwrap());
            endpoint(&PullSource::at_host("m.example/app:1".parse().unwrap(), host, true))
        };
        assert_eq!(["http://m.example", "https://m.example"].map(of), ["m.example:80", "m.example:443"]);
        assert_eq!(of("http://m.example:443/v2"), "m.example:443");
    }

    #[test]
    fn an_endpoint_is_aside_until_its_time_is_up_or_it_delivers() {
        let health = Health::default();
        let is_aside = |minutes| health.is_aside(M, at(minutes));
        assert!(!is_aside(0.0));
        health.failed(M, at(0.0), at(0.5));
        assert_eq!([0.4, 0.5, 1.4, 1.5].map(is_aside), [false, true, true, false]);
        assert!(!health.is_aside("other.example", at(0.6)));
        assert_eq!(health.set_aside(at(1.0)), [SetAside { endpoint: M.to_owned(), until: at(1.5) }]);
        assert_eq!(health.set_aside(at(1.5)), []);

        health.delivered(M, at(0.4), at(1.0));
        assert!(is_aside(1.0), "what was under way before it failed does not count");
        health.delivered(M, at(0.6), at(1.0));
        assert!(!is_aside(1.0));
        assert_eq!(health.failed(M, at(0.9), at(1.1)), None, "nor does such a failure");
        assert_eq!(health.failed(M, at(1.0), at(1.1)), Some(2 * MINUTE), "and a relapse is one");
    }
}
