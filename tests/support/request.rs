//! What a server received.

use std::io::{self, Read};

const MAX_HEAD: usize = 64 * 1024;

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    pub method: String,
    /// Path and query, undecoded.
    pub target: String,
    /// In their order and multiplicity.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Which connection brought it, counted from 1.
    pub connection: usize,
}

impl ReceivedRequest {
    /// The first value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// Every value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        values(query.as_bytes(), name)
    }

    /// Every value of a field of a form body, decoded.
    pub fn form(&self, name: &str) -> Vec<String> {
        values(&self.body, name)
    }

    /// Reads a request, the last byte of one without a body excepted: closing a socket that has unread bytes resets the
    /// connection, and only the reply will say whether that is wanted. `None` when the peer has closed.
    pub(super) fn read(stream: &mut impl Read, connection: usize) -> io::Result<Option<Self>> {
        let Some(head) = read_head(stream)? else { return Ok(None) };
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let header = |line: &str| line.split_once(':').map(|(n, v)| (n.to_owned(), v.trim().to_owned()));
        let headers = lines.filter_map(header).collect();
        let mut request =
            Self { method: method.to_owned(), target: target.to_owned(), headers, body: Vec::new(), connection };
        let length: usize = request.header("content-length").map_or(Ok(0), str::parse).map_err(io::Error::other)?;
        if length > 0 {
            request.read_last_byte(stream)?;
            request.body.resize(length, 0);
            stream.read_exact(&mut request.body)?;
        }
        Ok(Some(request))
    }

    /// Reads what [`read`](Self::read) left.
    pub(super) fn read_last_byte(&self, stream: &mut impl Read) -> io::Result<()> {
        if self.body.is_empty() { stream.read_exact(&mut [0]) } else { Ok(()) }
    }
}

/// The head up to, but without, its last line feed.
fn read_head(stream: &mut impl Read) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        let is_http = !head.is_empty() || byte[0].is_ascii_uppercase();
        if !is_http || head.len() > MAX_HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not an HTTP request"));
        }
        head.push(byte[0]);
    }
    Ok(Some(String::from_utf8_lossy(&head).trim_end().to_owned()))
}

fn values(query: &[u8], name: &str) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(query);
    pairs.filter(|(n, _)| n == name).map(|(_, value)| value.into_owned()).collect()
}
