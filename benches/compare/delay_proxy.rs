//! A network that is far away: a TCP proxy that holds back what passes for half a round trip in each direction, and counts.
//!
//! The accepting kernel finishes a TCP handshake at once; the far server would have taken a round trip. So what a client sends first leaves
//! no sooner than one round trip after its connection was accepted. Bandwidth is not limited, and there is no slow start.

use std::io::{ErrorKind, Read, Write};
use std::iter::Sum;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::requests::RequestReader;

/// Bytes read at once, and how many of such reads may be on their way: 64 MiB a connection, more than anything here has in flight.
const CHUNK: usize = 64 * 1024;
const CHUNKS_IN_FLIGHT: usize = 1024;

/// Listens until the program ends.
pub struct DelayProxy {
    address: SocketAddr,
    traffic: Arc<Mutex<Traffic>>,
}

/// What has come by.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pub connections: usize,
    /// Those that began with a TLS record; their requests cannot be seen.
    pub tls_connections: usize,
    /// `GET /v2/`
    pub requests: Vec<String>,
}

impl Sum for Traffic {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum.connections += part.connections;
            sum.tls_connections += part.tls_connections;
            sum.requests.extend(part.requests);
            sum
        })
    }
}

/// What is read at one side and due at the other at a certain time; an empty one is the end.
type Chunk = (Instant, Vec<u8>);

impl DelayProxy {
    /// In front of `host:port`.
    pub fn start(target: &str, round_trip: Duration) -> Self {
        Self::with(target, round_trip, None)
    }

    /// In front of `host:port`, near, and with so many bytes a second for what each connection brings.
    #[allow(dead_code, reason = "the test of this file has no use for it")]
    pub fn narrow(target: &str, bytes_per_second: u64) -> Self {
        Self::with(target, Duration::ZERO, Some(bytes_per_second))
    }

    fn with(target: &str, round_trip: Duration, bytes_per_second: Option<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let traffic = Arc::new(Mutex::new(Traffic::default()));
        let (target, shared) = (target.to_owned(), Arc::clone(&traffic));
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                shared.lock().expect("no panic").connections += 1;
                let far = TcpStream::connect(&target).expect("the server listens");
                connect(near, far, round_trip, bytes_per_second, &shared);
            }
        });
        Self { address, traffic }
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Since the start or the last call.
    pub fn take_traffic(&self) -> Traffic {
        std::mem::take(&mut self.traffic.lock().expect("no panic"))
    }
}

fn connect(
    near: TcpStream,
    far: TcpStream,
    round_trip: Duration,
    bytes_per_second: Option<u64>,
    traffic: &Arc<Mutex<Traffic>>,
) {
    for stream in [&near, &far] {
        stream.set_nodelay(true).expect("a socket option");
    }
    let established = Instant::now() + round_trip;
    let mut requests = RequestReader::new(Arc::clone(traffic));
    let clone = |stream: &TcpStream| stream.try_clone().expect("a file descriptor");
    let up = (clone(&near), clone(&far));
    let down = (far, near);
    pass(up, move |bytes| {
        requests.read(bytes);
        Instant::now().max(established) + round_trip / 2
    });
    let mut free = Instant::now();
    pass(down, move |bytes| {
        let Some(rate) = bytes_per_second else { return Instant::now() + round_trip / 2 };
        // The line is busy for as long as they take; half a second of them may be on it.
        thread::sleep(free.saturating_duration_since(Instant::now() + Duration::from_millis(500)));
        free = free.max(Instant::now()) + Duration::from_nanos(bytes.len() as u64 * 1_000_000_000 / rate);
        free
    });
}

/// One direction: `due` is asked about each chunk when it comes.
fn pass((from, to): (TcpStream, TcpStream), due: impl FnMut(&[u8]) -> Instant + Send + 'static) {
    let (sender, receiver) = sync_channel(CHUNKS_IN_FLIGHT);
    thread::spawn(move || read_chunks(from, &sender, due));
    thread::spawn(move || write_chunks(to, &receiver));
}

fn read_chunks(mut from: TcpStream, sender: &SyncSender<Chunk>, mut due: impl FnMut(&[u8]) -> Instant) {
    let mut buffer = vec![0; CHUNK];
    loop {
        // A reset ends the stream as its end does.
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.unwrap_or(0),
        };
        let bytes = &buffer[..read];
        if sender.send((due(bytes), bytes.to_vec())).is_err() || read == 0 {
            return;
        }
    }
}

fn write_chunks(mut to: TcpStream, receiver: &Receiver<Chunk>) {
    for (due, bytes) in receiver {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() {
            drop(to.shutdown(Shutdown::Write));
        } else if to.write_all(&bytes).is_err() {
            // Whoever is gone at this side takes nothing more; the reader of this direction finds its receiver gone.
            drop(to.shutdown(Shutdown::Both));
            return;
        }
    }
}
