//! A proxy: `CONNECT`, then bytes to and fro.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Leads to one server, whatever host is asked for; or refuses with a status. Its threads end with their connections.
pub(crate) struct Forwarder {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Forwarder {
    /// Leads to `authority`.
    pub(crate) fn to(authority: &str) -> Self {
        let target = authority.to_owned();
        Self::start(move |stream| forward(stream, &target))
    }

    /// Answers every `CONNECT` with this status.
    pub(crate) fn refusing(status: u16) -> Self {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        Self::start(move |mut stream| stream.write_all(answer.as_bytes()))
    }

    fn start(serve: impl Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serve, seen) = (Arc::clone(&serve), Arc::clone(&seen));
                thread::spawn(move || -> io::Result<()> {
                    let head = read_head(&stream)?;
                    seen.lock().unwrap().push(head);
                    serve(&stream)
                });
            }
        });
        Self { address, heads }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The first line of everything that was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.heads.lock().unwrap().iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect()
    }

    /// Everything that was asked, with its header fields.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn read_head(mut stream: &TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn forward(mut near: &TcpStream, target: &str) -> io::Result<()> {
    let far = TcpStream::connect(target)?;
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (from, to) = (near.try_clone()?, far.try_clone()?);
    thread::spawn(move || pump(&from, &to));
    pump(&far, near);
    Ok(())
}

fn pump(mut from: &TcpStream, mut to: &TcpStream) {
    // A connection that is gone has nothing more to forward.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
