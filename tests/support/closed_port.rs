//! An address where nobody listens, and nobody will.

use std::net::{SocketAddr, TcpListener, TcpStream};

/// Refuses connections for as long as it lives: the port is taken, by the near end of an open connection.
pub struct ClosedPort {
    near: TcpStream,
    _far: TcpStream,
}

impl ClosedPort {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        Self { near, _far: far }
    }

    pub fn address(&self) -> SocketAddr {
        self.near.local_addr().unwrap()
    }
}
