//! HTTP/1.1 requests in what a client sends.

use std::sync::{Arc, Mutex};

use super::delay_proxy::Traffic;

/// The content type byte of the TLS record that a handshake begins with.
const TLS_HANDSHAKE: u8 = 0x16;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Follows one connection. Bodies are those with a `Content-Length`: pulls have none at all.
pub struct RequestReader {
    traffic: Arc<Mutex<Traffic>>,
    state: State,
}

enum State {
    Start,
    Head(Vec<u8>),
    Body(usize),
    Tls,
}

impl RequestReader {
    pub fn new(traffic: Arc<Mutex<Traffic>>) -> Self {
        Self { traffic, state: State::Start }
    }

    /// Takes the next bytes.
    pub fn read(&mut self, mut bytes: &[u8]) {
        while let Some(first) = bytes.first() {
            match &mut self.state {
                State::Start if *first == TLS_HANDSHAKE => {
                    self.traffic.lock().expect("no panic").tls_connections += 1;
                    self.state = State::Tls;
                }
                State::Tls => return,
                State::Start | State::Body(0) => self.state = State::Head(Vec::new()),
                State::Body(left) => {
                    let taken = bytes.len().min(*left);
                    *left -= taken;
                    bytes = &bytes[taken..];
                }
                State::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    let Some(end) = head.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD) else {
                        return;
                    };
                    bytes = &bytes[end + END_OF_HEAD.len() - before..];
                    let head = String::from_utf8_lossy(&head[..end]).into_owned();
                    self.state = State::Body(content_length(&head));
                    let request = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
                    self.traffic.lock().expect("no panic").requests.push(request);
                }
            }
        }
    }
}

fn content_length(head: &str) -> usize {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}
