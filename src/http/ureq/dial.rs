//! Connecting to a host with several addresses
//! ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305), happy eyeballs): the families in turn, each attempt a moment after
//! the one before it or as soon as that has failed, and the first connection wins.
//!
//! The system's resolver gives the addresses of both families at once and in its order of preference, so there is
//! nothing to do about the resolution.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectionDetails, Connector, Either, TcpConnector, Transport};
use ureq::{Error, Timeout};

/// Between the beginnings of two attempts: what RFC 8305 recommends.
const STAGGER: Duration = Duration::from_millis(250);
/// An attempt that has lost ends by itself, after the limit for a connection at the latest. So many may be under way in a
/// wire; beyond that, addresses are tried one after the other.
const MOST_ATTEMPTS: usize = 64;

/// A socket of ureq's own.
type Socket = <TcpConnector as Connector<()>>::Out;

/// Stands where ureq's connector for TCP does.
#[derive(Clone, Default)]
pub(super) struct HappyEyeballs {
    attempts: Attempts,
}

impl fmt::Debug for HappyEyeballs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HappyEyeballs")
    }
}

impl<In: Transport> Connector<In> for HappyEyeballs {
    type Out = Either<In, Socket>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(transport) = chained {
            return Ok(Some(Either::A(transport)));
        }
        let addresses = interleaved(&details.addrs);
        let race = Race { attempts: &self.attempts, limit: *details.timeout.after, stagger: STAGGER };
        match race.run(addresses, connecting(details)) {
            Ok(socket) => Ok(socket.map(Either::B)),
            // Said in another way than a handshake that takes too long.
            Err(Lost::OutOfTime | Lost::All(Error::Timeout(Timeout::Connect))) => {
                Err(io::Error::from(io::ErrorKind::TimedOut).into())
            }
            Err(Lost::All(error)) => Err(error),
            Err(Lost::NoAddress) => Err(Error::HostNotFound),
        }
    }
}

/// Connects to one address, from any thread.
fn connecting(
    details: &ConnectionDetails<'_>,
) -> impl Fn(SocketAddr, Duration) -> Result<Option<Socket>, Error> + Send + Sync + 'static {
    let (uri, config, now) = (details.uri.clone(), details.config.clone(), details.now);
    let (timeout, request_level, mut addrs) = (details.timeout, details.request_level, details.addrs.clone());
    let (current_time, run_connector) = (Arc::clone(&details.current_time), Arc::clone(&details.run_connector));
    let register_shutdown = Arc::clone(&details.register_shutdown);
    addrs.truncate(0);
    move |address, limit| {
        let mut addrs = addrs.clone();
        addrs.push(address);
        let mut timeout = timeout;
        timeout.after = limit.into();
        let details = ConnectionDetails {
            uri: &uri,
            addrs,
            config: &config,
            request_level,
            resolver: &DefaultResolver::default(),
            now,
            timeout,
            current_time: Arc::clone(&current_time),
            run_connector: Arc::clone(&run_connector),
            register_shutdown: Arc::clone(&register_shutdown),
        };
        TcpConnector::default().connect(&details, None::<()>)
    }
}

/// The families in turn, beginning with that of the first address; within a family the order stays.
fn interleaved(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first() else { return VecDeque::new() };
    let (ours, theirs): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv4() == first.is_ipv4());
    let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
    let mut mixed = VecDeque::with_capacity(addresses.len());
    while mixed.len() < addresses.len() {
        mixed.extend(ours.next());
        mixed.extend(theirs.next());
    }
    mixed
}

/// Counts the attempts that are under way, those that have lost included.
#[derive(Clone, Default)]
struct Attempts(Arc<AtomicUsize>);

struct Permit(Arc<AtomicUsize>);

impl Attempts {
    fn begin(&self) -> Option<Permit> {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(Arc::clone(&self.0));
        (count < MOST_ATTEMPTS).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection, from whichever address gives it first.
struct Race<'a> {
    attempts: &'a Attempts,
    /// For all of it.
    limit: Duration,
    stagger: Duration,
}

/// Why there is no connection.
#[derive(Debug)]
enum Lost<E> {
    NoAddress,
    OutOfTime,
    /// The error of the attempt that failed last.
    All(E),
}

impl Race<'_> {
    fn run<T: Send + 'static, E: Send + 'static>(
        &self,
        mut addresses: VecDeque<SocketAddr>,
        connect: impl Fn(SocketAddr, Duration) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<T, Lost<E>> {
        let began = Instant::now();
        let left = || self.limit.saturating_sub(began.elapsed());
        if let (1, Some(address)) = (addresses.len(), addresses.front()) {
            return connect(*address, left()).map_err(Lost::All);
        }
        let connect: Arc<Connect<T, E>> = Arc::new(connect);
        let (sender, receiver) = channel();
        let (mut under_way, mut next_at, mut lost) = (0_u32, began, Lost::NoAddress);
        loop {
            if next_at <= Instant::now()
                && let Some(address) = addresses.pop_front()
            {
                if !self.begin(address, left(), &connect, &sender) {
                    // None of the others may wait for this one longer than for its share.
                    let share = left() / u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_add(1);
                    let _ = sender.send(connect(address, share));
                }
                under_way += 1;
                next_at = Instant::now() + self.stagger;
            }
            if under_way == 0 && addresses.is_empty() {
                return Err(lost);
            }
            let mut wait = left();
            if !addresses.is_empty() {
                wait = wait.min(next_at.saturating_duration_since(Instant::now()));
            }
            match receiver.recv_timeout(wait) {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => {
                    (under_way, next_at, lost) = (under_way - 1, Instant::now(), Lost::All(error));
                }
                Err(RecvTimeoutError::Timeout) if left().is_zero() => return Err(Lost::OutOfTime),
                Err(RecvTimeoutError::Timeout) => {}
                // We hold a sender ourselves.
                Err(RecvTimeoutError::Disconnected) => return Err(lost),
            }
        }
    }

    /// Begins an attempt in a thread of its own; false where there are too many.
    fn begin<T: Send + 'static, E: Send + 'static>(
        &self,
        address: SocketAddr,
        limit: Duration,
        connect: &Arc<Connect<T, E>>,
        sender: &Sender<Result<T, E>>,
    ) -> bool {
        let Some(permit) = self.attempts.begin() else { return false };
        let (connect, sender) = (Arc::clone(connect), sender.clone());
        let attempt = move || {
            // Where the race is over, the connection is closed here.
            let _ = sender.send(connect(address, limit));
            drop(permit);
        };
        thread::Builder::new().name(format!("connect {address}")).spawn(attempt).is_ok()
    }
}

type Connect<T, E> = dyn Fn(SocketAddr, Duration) -> Result<T, E> + Send + Sync;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::Receiver;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const AT_ONCE: Duration = Duration::ZERO;

    fn addresses(text: &str) -> VecDeque<SocketAddr> {
        text.split_whitespace().map(|address| address.parse().unwrap()).collect()
    }

    /// `count` addresses; the port is their number.
    fn numbered(count: u16) -> VecDeque<SocketAddr> {
        (1..=count).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect()
    }

    /// Runs a race in which each address does what `script` says.
    fn race(
        count: u16,
        limit: Duration,
        stagger: Duration,
        script: impl Fn(u16) -> Result<u16, u16> + Send + Sync + 'static,
    ) -> Result<u16, Lost<u16>> {
        let attempts = Attempts::default();
        Race { attempts: &attempts, limit, stagger }.run(numbered(count), move |address, _| script(address.port()))
    }

    /// Blocks until the test is over, as an address that does not answer.
    fn hang(until: &Mutex<Receiver<()>>) -> Result<u16, u16> {
        let _ = until.lock().unwrap().recv();
        Err(0)
    }

    #[test]
    fn families_take_turns_and_keep_their_order() {
        for (given, expected) in [
            ("[::1]:1 [::2]:1 1.1.1.1:1 2.2.2.2:1", "[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1"),
            ("1.1.1.1:1 2.2.2.2:1 3.3.3.3:1 [::1]:1", "1.1.1.1:1 [::1]:1 2.2.2.2:1 3.3.3.3:1"),
            ("1.1.1.1:1 2.2.2.2:1", "1.1.1.1:1 2.2.2.2:1"),
            ("", ""),
        ] {
            assert_eq!(interleaved(addresses(given).make_contiguous()), addresses(expected), "{given}");
        }
    }

    #[test]
    fn an_address_that_does_not_answer_is_passed_by_the_next_one() {
        let (_over, until) = channel();
        let until = Mutex::new(until);
        let won = race(3, LONG, AT_ONCE, move |port| if port == 3 { Ok(3) } else { hang(&until) });
        assert_eq!(won.unwrap(), 3);
    }

    #[test]
    fn the_next_address_waits_for_its_turn_but_not_for_a_failure() {
        // With turns that do not come, only failures lead on.
        assert_eq!(race(3, LONG, LONG, |port| if port == 3 { Ok(3) } else { Err(port) }).unwrap(), 3);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let won = race(3, LONG, LONG, move |port| {
            seen.lock().unwrap().push(port);
            Ok(port)
        });
        assert_eq!((won.unwrap(), asked.lock().unwrap().clone()), (1, vec![1]));
    }

    #[test]
    fn when_all_fail_the_last_reason_is_the_reason() {
        assert!(matches!(race(3, LONG, LONG, Err), Err(Lost::All(3))));
        assert!(matches!(race(1, LONG, LONG, Err), Err(Lost::All(1))));
        assert!(matches!(race(0, LONG, LONG, Ok), Err(Lost::NoAddress)));
    }

    #[test]
    fn the_limit_is_for_all_addresses_together() {
        let (_over, until) = channel();
        let until = Mutex::new(until);
        let lost = race(8, Duration::from_millis(50), AT_ONCE, move |_| hang(&until));
        assert!(matches!(lost, Err(Lost::OutOfTime)));
    }

    #[test]
    fn attempts_that_have_lost_do_not_pile_up_and_all_addresses_are_tried_all_the_same() {
        let (over, until) = channel();
        let until = Arc::new(Mutex::new(until));
        let attempts = Attempts::default();
        let race = Race { attempts: &attempts, limit: LONG, stagger: AT_ONCE };
        let count = || attempts.0.load(Ordering::Relaxed);
        // With more, an address would be waited for without a thread.
        for _ in 0..MOST_ATTEMPTS - 2 {
            let until = Arc::clone(&until);
            let won = race.run(numbered(2), move |address, _| if address.port() == 2 { Ok(2) } else { hang(&until) });
            assert_eq!(won.unwrap(), 2);
        }
        assert!(count() <= MOST_ATTEMPTS);
        let held: Vec<_> = std::iter::from_fn(|| attempts.begin()).collect();
        let threads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&threads);
        let won = race.run(numbered(3), move |address, _| {
            seen.lock().unwrap().push(thread::current().id());
            if address.port() == 3 { Ok(3) } else { Err(()) }
        });
        assert_eq!(won.unwrap(), 3);
        assert_eq!(*threads.lock().unwrap(), [thread::current().id(); 3], "without threads");
        drop((held, over));
    }
}
