//! A proxy in front of a registry, with one fault at one position.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;

use crate::fault::Fault;
use crate::position::Spot;
use crate::support::reply::Reply;
use crate::support::request::ReceivedRequest;
use crate::support::server::Server;
use crate::world::TLS;

/// Passes what it is asked on to `registry`, over TLS of its own.
pub(crate) fn healthy(registry: &str) -> Server {
    let registry = registry.to_owned();
    Server::https(move |request| forward(&registry, request), &TLS)
}

/// The same with a fault.
pub(crate) fn faulty(registry: &str, fault: Fault, spot: Spot, is_verified: bool) -> Server {
    let (registry, is_first) = (registry.to_owned(), spot.is_first);
    let handler = move |request: &ReceivedRequest| {
        let reply = forward(&registry, request);
        if spot.is_in(request) { fault.spoil(reply, spot.byte_in(request), &request.target) } else { reply }
    };
    let server = Server::https(handler, &TLS);
    if let Some(door) = fault.door(is_verified).filter(|_| is_first) {
        server.set_door(door);
    }
    server
}

/// The same where one request in `in_number` meets one of these faults, as chance has it: always the same chance.
pub(crate) fn flaky(registry: &str, faults: Vec<Fault>, in_number: usize) -> Server {
    let registry = registry.to_owned();
    let chance = Mutex::new(fastrand::Rng::with_seed(1));
    let handler = move |request: &ReceivedRequest| {
        let reply = forward(&registry, request);
        let mut chance = chance.lock().unwrap();
        let fault = (chance.usize(..in_number) == 0).then(|| faults[chance.usize(..faults.len())]);
        match fault {
            Some(fault) => fault.spoil(reply, None, &request.target),
            None => reply,
        }
    };
    Server::https(handler, &TLS)
}

/// What the registry answers.
pub(crate) fn forward(registry: &str, request: &ReceivedRequest) -> Reply {
    ask(registry, request).unwrap_or_else(|error| panic!("{registry}, asked for {}: {error}", request.target))
}

/// In HTTP/1.0, where the end of a body is the end of the connection.
fn ask(registry: &str, request: &ReceivedRequest) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(registry)?;
    write!(stream, "{} {} HTTP/1.0\r\nHost: {registry}\r\n", request.method, request.target)?;
    for (name, value) in &request.headers {
        if ["accept", "authorization", "range"].contains(&name.to_ascii_lowercase().as_str()) {
            write!(stream, "{name}: {value}\r\n")?;
        }
    }
    stream.write_all(b"\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    let passed = headers.filter(|(name, _)| !["Connection", "Content-Length"].contains(name));
    let reply = Reply::new(status).body(&answer[end + 4..]);
    Ok(passed.fold(reply, |reply, (name, value)| reply.header(name, value)))
}
