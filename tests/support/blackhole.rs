//! An address that does not answer.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A packet on the loopback does not take so long, on a machine however busy.
const NEVER: Duration = Duration::from_millis(300);
/// No queue of connections is longer.
const MOST: usize = 8192;

/// Swallows connections for as long as it lives: nobody accepts, and the queue of those who wait is full. So a client's
/// SYN is dropped, as by a firewall that says nothing.
pub struct Blackhole {
    listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Blackhole {
    pub fn new() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    /// On one address of the loopback.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, NEVER) {
            queue.push(stream);
            assert!(queue.len() < MOST, "the queue of {address} does not fill");
        }
        Ok(Self { listener, _queue: queue })
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}
