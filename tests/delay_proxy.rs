//! The benchmarks' proxy passes everything and counts it right: its figures are published.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "shared with the benchmarks")]

#[path = "../benches/compare/delay_proxy.rs"]
mod delay_proxy;
#[path = "../benches/compare/requests.rs"]
mod requests;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use delay_proxy::{DelayProxy, Traffic};
use requests::RequestReader;

const PIPELINE: &str = "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /token HTTP/1.1\r\ncontent-length: 9\r\n\r\nGET / a\r\n\
    GET /v2/a/tags/list HTTP/1.1\r\n\r\n";

#[test]
fn requests_are_counted_however_the_bytes_are_cut() {
    for cut in 1..=PIPELINE.len() {
        let chunks = PIPELINE.as_bytes().chunks(cut);
        let traffic = read(chunks);
        assert_eq!(traffic.requests, ["GET /v2/", "POST /token", "GET /v2/a/tags/list"], "chunks of {cut}");
        assert_eq!(traffic.tls_connections, 0);
    }
}

#[test]
fn what_is_inside_of_tls_is_no_request() {
    let traffic = read([&b"\x16\x03\x01"[..], b"GET / HTTP/1.1\r\n\r\n"].into_iter());
    assert_eq!((traffic.tls_connections, traffic.requests.len()), (1, 0));
}

#[test]
fn both_directions_arrive_whole_and_end() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = DelayProxy::start(&server.local_addr().unwrap().to_string(), Duration::from_millis(2));
    let sent: Vec<u8> = (0..1_000_000_u32).map(|byte| byte.to_le_bytes()[byte as usize % 3]).collect();
    let echo = thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    let mut stream = TcpStream::connect(proxy.host()).unwrap();
    stream.write_all(&sent).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    echo.join().unwrap();
    assert!(received == sent, "{} bytes came back of {}", received.len(), sent.len());
    assert_eq!(proxy.take_traffic().connections, 1);
    assert_eq!(proxy.take_traffic().connections, 0);
}

fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Traffic {
    let traffic = Arc::<Mutex<Traffic>>::default();
    let mut reader = RequestReader::new(Arc::clone(&traffic));
    chunks.for_each(|chunk| reader.read(chunk));
    traffic.lock().unwrap().clone()
}
