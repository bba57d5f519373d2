//! What a server answers, and what goes wrong with it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

/// An answer. Its `Content-Length` is added where neither it nor `Transfer-Encoding` is given.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Arc<[u8]>,
    chunked: bool,
    closing: bool,
    until_close: bool,
    fault: Option<Fault>,
    door: Option<Door>,
}

#[derive(Debug, Clone)]
enum Fault {
    CutAfter(usize),
    StallAfter(usize),
    StallBeforeHeaders,
    DripHead { pause: Duration },
    CloseWithoutAnswer,
    Reset,
    ResetAfter(usize),
    Drip { after: usize, bytes: usize, pause: Duration },
    Endless,
    Raw(Vec<u8>),
}

/// How a server receives new connections.
#[derive(Debug, Clone, Default)]
pub enum Door {
    /// As the server was made.
    #[default]
    Open,
    /// Nobody listens, and never will again: they are refused.
    Closed,
    /// Accepted, and that is all.
    Silent,
    /// With these bytes, whatever is asked, and the end.
    Saying(&'static [u8]),
    /// Over TLS with another certificate.
    Showing(Arc<ServerConfig>),
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    KeepAlive,
    Close,
    Reset,
}

impl Reply {
    /// An empty answer.
    pub fn new(status: u16) -> Self {
        let (headers, body) = (Vec::new(), Arc::new([]));
        Self { status, headers, body, chunked: false, closing: false, until_close: false, fault: None, door: None }
    }

    /// 200 with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200).body(body)
    }

    /// 200 with a JSON body.
    pub fn json(document: &serde_json::Value) -> Self {
        Self::ok(document.to_string()).header("Content-Type", "application/json")
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::new(status).header("Location", location)
    }

    /// Replaces the status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into().into();
        self
    }

    /// Sends the body in chunks, without `Content-Length`.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Closes the connection afterwards, and says so.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closing = true;
        self
    }

    /// Sends the body without saying how long it is: it ends with the connection.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.until_close = true;
        self.closing()
    }

    /// How new connections are received from now on. It holds before this connection ends.
    #[must_use]
    pub fn then(mut self, door: Door) -> Self {
        self.door = Some(door);
        self
    }

    /// The body as it is now.
    pub fn content(&self) -> &[u8] {
        &self.body
    }

    /// Sends this many bytes of the body, then closes: less than `Content-Length` says, or chunks without the last one.
    #[must_use]
    pub fn cut_after(self, bytes: usize) -> Self {
        self.with_fault(Fault::CutAfter(bytes))
    }

    /// Sends this many bytes of the body, then nothing more until the server is dropped.
    #[must_use]
    pub fn stall_after(self, bytes: usize) -> Self {
        self.with_fault(Fault::StallAfter(bytes))
    }

    /// Sends this many bytes of the body, then resets the connection.
    #[must_use]
    pub fn reset_after(self, bytes: usize) -> Self {
        self.with_fault(Fault::ResetAfter(bytes))
    }

    /// Sends the body in pieces of `bytes` bytes, with a pause after each.
    #[must_use]
    pub fn drip(self, bytes: usize, pause: Duration) -> Self {
        self.drip_after(0, bytes, pause)
    }

    /// The same behind the first bytes, which come at once.
    #[must_use]
    pub fn drip_after(self, after: usize, bytes: usize, pause: Duration) -> Self {
        self.with_fault(Fault::Drip { after, bytes, pause })
    }

    /// Changes one byte of the body, if it has so many.
    #[must_use]
    pub fn corrupt(mut self, at: usize) -> Self {
        let mut body = self.body.to_vec();
        if let Some(byte) = body.get_mut(at) {
            *byte ^= 1;
        }
        self.body = body.into();
        self
    }

    /// Sends the head byte by byte, with a pause after each.
    #[must_use]
    pub fn drip_head(self, pause: Duration) -> Self {
        self.with_fault(Fault::DripHead { pause })
    }

    /// 206 whose `Content-Range` begins elsewhere than was asked.
    #[must_use]
    pub fn wrong_content_range(mut self) -> Self {
        self.status = 206;
        let length = self.body.len();
        self.with_header("Content-Range", &format!("bytes 1-{length}/{}", length + 1))
    }

    /// Answers nothing until the server is dropped.
    pub fn stalling() -> Self {
        Self::new(200).with_fault(Fault::StallBeforeHeaders)
    }

    /// Closes the connection without an answer.
    pub fn close_without_answer() -> Self {
        Self::new(200).with_fault(Fault::CloseWithoutAnswer)
    }

    /// Resets the connection without an answer: over plain HTTP, for a request without a body.
    pub fn reset() -> Self {
        Self::new(200).with_fault(Fault::Reset)
    }

    /// 200 with a body that ends when the peer closes the connection.
    pub fn endless() -> Self {
        Self::new(200).with_fault(Fault::Endless)
    }

    /// These bytes instead of HTTP, then closes.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(200).with_fault(Fault::Raw(bytes.into()))
    }

    fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    pub(super) fn is_reset(&self) -> bool {
        matches!(self.fault, Some(Fault::Reset))
    }

    pub(super) fn door(&self) -> Option<&Door> {
        self.door.as_ref()
    }

    /// Sends it. `pause` waits, at most as long as it is told and for ever with `None`, and ends early with the server.
    pub(super) fn send(
        &self,
        stream: &mut impl Write,
        is_head: bool,
        pause: &dyn Fn(Option<Duration>),
    ) -> io::Result<Then> {
        match &self.fault {
            Some(Fault::CloseWithoutAnswer | Fault::Reset) => return Ok(Then::Close),
            Some(Fault::StallBeforeHeaders) => {
                pause(None);
                return Ok(Then::Close);
            }
            Some(Fault::Raw(bytes)) => {
                stream.write_all(bytes)?;
                return Ok(Then::Close);
            }
            Some(Fault::Endless) => return self.send_endless(stream),
            Some(Fault::DripHead { pause: duration }) => {
                for byte in self.head().as_bytes() {
                    stream.write_all(&[*byte])?;
                    stream.flush()?;
                    pause(Some(*duration));
                }
                return self.send_body(stream, pause);
            }
            None | Some(Fault::CutAfter(_) | Fault::StallAfter(_) | Fault::ResetAfter(_) | Fault::Drip { .. }) => {}
        }
        stream.write_all(self.head().as_bytes())?;
        stream.flush()?;
        if is_head || matches!(self.status, 204 | 304) {
            return Ok(self.afterwards());
        }
        self.send_body(stream, pause)
    }

    fn send_body(&self, stream: &mut impl Write, pause: &dyn Fn(Option<Duration>)) -> io::Result<Then> {
        let first = |bytes: &usize| &self.body[..self.body.len().min(*bytes)];
        match &self.fault {
            Some(Fault::CutAfter(bytes)) => {
                self.send_piece(stream, first(bytes))?;
                return Ok(Then::Close);
            }
            Some(Fault::ResetAfter(bytes)) => {
                self.send_piece(stream, first(bytes))?;
                return Ok(Then::Reset);
            }
            Some(Fault::StallAfter(bytes)) => {
                self.send_piece(stream, first(bytes))?;
                pause(None);
                return Ok(Then::Close);
            }
            Some(Fault::Drip { after, bytes, pause: duration }) => {
                self.send_piece(stream, first(after))?;
                for piece in self.body[first(after).len()..].chunks(*bytes) {
                    self.send_piece(stream, piece)?;
                    pause(Some(*duration));
                }
            }
            _ => self.send_piece(stream, &self.body)?,
        }
        if self.chunked {
            stream.write_all(b"0\r\n\r\n")?;
        }
        stream.flush()?;
        Ok(self.afterwards())
    }

    fn send_piece(&self, stream: &mut impl Write, piece: &[u8]) -> io::Result<()> {
        if self.chunked && !piece.is_empty() {
            write!(stream, "{:x}\r\n", piece.len())?;
            stream.write_all(piece)?;
            stream.write_all(b"\r\n")?;
        } else {
            stream.write_all(piece)?;
        }
        stream.flush()
    }

    fn send_endless(&self, stream: &mut impl Write) -> io::Result<Then> {
        stream.write_all(self.head().as_bytes())?;
        loop {
            stream.write_all(&[b'x'; 4096])?;
        }
    }

    fn head(&self) -> String {
        let mut lines = vec![format!("HTTP/1.1 {} Scripted", self.status)];
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let has = |name: &str| self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let is_endless = matches!(self.fault, Some(Fault::Endless));
        if self.chunked {
            lines.push("Transfer-Encoding: chunked".to_owned());
        } else if !is_endless && !self.until_close && !has("content-length") && !matches!(self.status, 204 | 304) {
            lines.push(format!("Content-Length: {}", self.body.len()));
        }
        if self.closing || is_endless {
            lines.push("Connection: close".to_owned());
        }
        lines.join("\r\n") + "\r\n\r\n"
    }

    fn afterwards(&self) -> Then {
        if self.closing { Then::Close } else { Then::KeepAlive }
    }
}
