//! `Content-Encoding`: what a server did to the bytes on their way
//! ([RFC 9110, section 8.4](https://www.rfc-editor.org/rfc/rfc9110#section-8.4)).
//!
//! We ask for `identity`. Some servers and caches encode all the same, and digests are about the bytes without that.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use zstd::stream::read::Decoder as ZstdDecoder;

use super::{Body, Error, Response, header};
use crate::compression::ZSTD_WINDOW_LOG;
use crate::safe_url::SafeUrl;

/// Nobody encodes more often; each one costs memory.
const MOST_CODINGS: usize = 8;
/// What encoding may add to bytes that do not get smaller by it, beside an eighth.
const OVERHEAD: u64 = 64 * 1024;

/// A way to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Zstd,
    Deflate,
}

/// Why an encoded body is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// A coding that is not read here.
    #[error("Content-Encoding {0:?} is not read here (gzip, zstd and deflate are)")]
    Unknown(String),
    /// A header that nobody writes.
    #[error("Content-Encoding names more than {MOST_CODINGS} codings")]
    TooMany,
    /// The header is no text.
    #[error("Content-Encoding is not text")]
    NotText,
    /// More bytes than the content could need.
    #[error("the encoded content is longer than {0} bytes")]
    TooLong(u64),
    /// Bytes that are not what the header says.
    #[error("the content cannot be decoded: {0}")]
    Damaged(String),
}

/// True when the bytes of the body are not those of the content.
pub(crate) fn is_encoded(response: &Response) -> bool {
    !matches!(codings(response), Ok(codings) if codings.is_empty())
}

/// The response with the bytes of its content. What is encoded must not be longer than content of `limit` bytes needs,
/// so a body that decodes to nothing has an end too; that no more than `limit` bytes come out, the reader must see to.
///
/// A response that is not encoded is returned as it is.
///
/// # Errors
/// [`Error::Encoding`] when the coding is not known. Reading what cannot be decoded is an [`io::Error`] that carries one.
pub(crate) fn decoded(response: Response, limit: u64) -> Result<Response, Error> {
    let failed = |source| Error::Encoding { url: response.url.clone(), source };
    let codings = codings(&response).map_err(failed)?;
    if codings.is_empty() {
        return Ok(response);
    }
    let longest = limit.saturating_add(limit / 8).saturating_add(OVERHEAD);
    let has_failed = Arc::new(AtomicBool::new(false));
    let capped = Capped { inner: response.body, left: longest, longest, has_failed: Arc::clone(&has_failed) };
    // The last one was applied last.
    let inner = codings.iter().rev().fold(Box::new(capped) as Body, |body, coding| coding.decode(body));
    let body = Box::new(Decoded { inner, url: response.url.clone(), has_failed });
    let mut headers = response.headers;
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    Ok(Response { headers, body, ..response })
}

/// The same for a document in JSON, which is not encoded where one sees that it is JSON: some servers only say so.
pub(crate) fn decoded_json(mut response: Response, limit: u64) -> Result<Response, Error> {
    if codings(&response).map_or(true, |codings| codings.is_empty()) {
        return decoded(response, limit);
    }
    let mut first = Vec::new();
    if let Err(source) = response.body.by_ref().take(1).read_to_end(&mut first) {
        return Err(Error::Body { url: response.url, source });
    }
    let is_json = first == b"{";
    let response = Response { body: Box::new(Cursor::new(first).chain(response.body)), ..response };
    if is_json { Ok(response) } else { decoded(response, limit) }
}

/// True when a body is as long as content of `size` bytes is from its beginning or from `start` on, so that nothing was
/// encoded. Some servers say of files that are compressed themselves that it was they who did it.
pub(crate) fn is_content_itself(response: &Response, start: u64, size: u64) -> bool {
    if codings(response).is_err() {
        return false;
    }
    let length = response.single_header(header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    length.is_some_and(|length| length == size || Some(length) == size.checked_sub(start))
}

/// What was applied, in that order.
fn codings(response: &Response) -> Result<Vec<Coding>, EncodingError> {
    let mut codings = Vec::new();
    for value in response.headers.get_all(header::CONTENT_ENCODING) {
        let text = value.to_str().map_err(|_| EncodingError::NotText)?;
        for token in text.split([',', ' ', '\t']).filter(|token| !token.is_empty()) {
            codings.extend(Coding::parse(token)?);
            if codings.len() > MOST_CODINGS {
                return Err(EncodingError::TooMany);
            }
        }
    }
    Ok(codings)
}

impl Coding {
    fn parse(token: &str) -> Result<Option<Self>, EncodingError> {
        match token.to_ascii_lowercase().as_str() {
            "identity" => Ok(None),
            "gzip" => Ok(Some(Self::Gzip)),
            "zstd" => Ok(Some(Self::Zstd)),
            "deflate" => Ok(Some(Self::Deflate)),
            _ => Err(EncodingError::Unknown(token.to_owned())),
        }
    }

    /// Nothing is read before the first byte is asked for.
    fn decode(self, body: Body) -> Body {
        let input = BufReader::new(body);
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(input)),
            Self::Zstd => Box::new(Late { input: Some(input), decoder: None, open: open_zstd }),
            Self::Deflate => Box::new(Late { input: Some(input), decoder: None, open: open_deflate }),
        }
    }
}

/// A decoder that is made when it is first read.
struct Late {
    input: Option<BufReader<Body>>,
    decoder: Option<Body>,
    open: fn(BufReader<Body>) -> io::Result<Body>,
}

impl Read for Late {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(input) = self.input.take() {
            self.decoder = Some((self.open)(input)?);
        }
        match &mut self.decoder {
            Some(decoder) => decoder.read(buffer),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn open_zstd(input: BufReader<Body>) -> io::Result<Body> {
    let mut decoder = ZstdDecoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(Box::new(decoder))
}

/// With the frame of zlib, as RFC 9110 has it, or without, as many servers send it.
fn open_deflate(mut input: BufReader<Body>) -> io::Result<Body> {
    let mut first = Vec::new();
    input.by_ref().take(2).read_to_end(&mut first)?;
    let is_framed = matches!(*first, [method, flags] if is_zlib(method, flags));
    let input = Cursor::new(first).chain(input);
    Ok(if is_framed { Box::new(ZlibDecoder::new(input)) } else { Box::new(DeflateDecoder::new(input)) })
}

/// The two bytes that zlib data begins with (RFC 1950). No encoder begins raw data so: it would be a block without
/// compression, whose padding is not zero.
fn is_zlib(method: u8, flags: u8) -> bool {
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

/// The outermost decoder, whose errors are ours.
struct Decoded {
    inner: Body,
    url: SafeUrl,
    has_failed: Arc<AtomicBool>,
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            // What only broke off may come whole the next time, and a failure below is no decoder's.
            if error.kind() == io::ErrorKind::UnexpectedEof || self.has_failed.load(Ordering::Relaxed) {
                return error;
            }
            let source = match crate::error::find::<EncodingError>(&error) {
                Some(source) => source.clone(),
                None => EncodingError::Damaged(error.to_string()),
            };
            io::Error::new(io::ErrorKind::InvalidData, Error::Encoding { url: self.url.clone(), source })
        })
    }
}

/// Bytes that come to an end.
struct Capped {
    inner: Body,
    left: u64,
    longest: u64,
    /// Set when reading fails for a reason that is not of the bytes.
    has_failed: Arc<AtomicBool>,
}

impl Read for Capped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer).inspect_err(|error| {
            self.has_failed.store(error.kind() != io::ErrorKind::Interrupted, Ordering::Relaxed);
        })?;
        let too_long = || io::Error::new(io::ErrorKind::InvalidData, EncodingError::TooLong(self.longest));
        self.left = self.left.checked_sub(count as u64).ok_or_else(too_long)?;
        Ok(count)
    }
}
