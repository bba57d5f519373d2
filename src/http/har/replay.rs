//! Answering from a recording.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::failure::Failure;
use super::format::{Entry, Har, Pair, Places, RecordedError, Response as RecordedResponse};
use super::matching::Asked;
use super::{EntryError, HarError, IN_MEMORY};
use crate::http::{Error, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Wire, header};
use crate::safe_url::SafeUrl;

/// Room for what a [`Recorder`](super::Recorder) keeps at most, in base64.
const MAX_FILE: u64 = 512 * 1024 * 1024;
const NEAREST: usize = 3;

/// A [`Wire`] that answers from a HAR file and sends nothing.
///
/// A request is answered by the first unused entry with the same method, URL and `Range`, and with an `Authorization`
/// header if and only if there was one (whatever its value). So a request that is made twice gets first the first answer,
/// then the second. A request without an entry fails with [`HarError::Unmatched`] inside [`Error::Har`].
///
/// Files of browsers and mitmproxy are welcome: what is missing there or more than here is tolerated, HTTP/2 pseudo headers
/// and addresses other than `http` and `https` are passed over. These programs save bodies decoded: `Content-Encoding` and
/// `Content-Length`, which no longer hold, are left out. A body that they did not save is an error when it is read.
#[derive(Debug)]
pub struct Replay {
    file: PathBuf,
    entries: Vec<Recorded>,
    used: Mutex<Vec<bool>>,
    authorization_matters: bool,
}

impl Replay {
    /// Reads a recording, of at most 512 MiB.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, HarError> {
        let file = path.as_ref().to_owned();
        let mut bytes = Vec::new();
        let read = File::open(&file).and_then(|opened| opened.take(MAX_FILE + 1).read_to_end(&mut bytes));
        match read {
            Err(source) => Err(HarError::Read { file, source }),
            Ok(count) if count as u64 > MAX_FILE => Err(HarError::TooLarge { file, limit: MAX_FILE }),
            Ok(_) => Self::parse(file, &bytes),
        }
    }

    /// Takes a recording that is in memory already.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HarError> {
        Self::parse(PathBuf::from(IN_MEMORY), bytes)
    }

    fn parse(file: PathBuf, bytes: &[u8]) -> Result<Self, HarError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let har: Har = match serde_json::from_slice(bytes) {
            Ok(har) => har,
            Err(source) => return Err(HarError::Syntax { file, source }),
        };
        let mut entries = Vec::with_capacity(har.log.entries.len());
        for (index, entry) in har.log.entries.into_iter().enumerate() {
            match Recorded::new(index + 1, entry) {
                Ok(Some(recorded)) => entries.push(recorded),
                Ok(None) => log::debug!("{}: entry {} is not HTTP, passed over", file.display(), index + 1),
                Err(source) => {
                    let line = Places::line_of_entry(bytes, index);
                    return Err(HarError::Entry { file, line, entry: index + 1, source });
                }
            }
        }
        let used = Mutex::new(vec![false; entries.len()]);
        Ok(Self { file, entries, used, authorization_matters: true })
    }

    /// Answers whether or not an `Authorization` header is there: browsers leave it out of what they save.
    #[must_use]
    pub fn ignoring_authorization(mut self) -> Self {
        self.authorization_matters = false;
        self
    }

    /// Succeeds when everything recorded was asked for: the last line of a test.
    ///
    /// # Errors
    /// [`HarError::Unused`] names what was not.
    pub fn finish(&self) -> Result<(), HarError> {
        let used = self.lock();
        let entries: Vec<String> = self.unused(&used).map(ToString::to_string).collect();
        if entries.is_empty() { Ok(()) } else { Err(HarError::Unused { file: self.file.clone(), entries }) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<bool>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unused<'a>(&'a self, used: &'a [bool]) -> impl Iterator<Item = &'a Recorded> {
        self.entries.iter().zip(used).filter(|(_, used)| !**used).map(|(entry, _)| entry)
    }

    fn unmatched(&self, asked: &Asked, used: &[bool]) -> HarError {
        let mut nearest: Vec<&Recorded> = self.unused(used).collect();
        nearest.sort_by_key(|entry| std::cmp::Reverse(asked.likeness(&entry.asked)));
        let nearest = nearest.into_iter().take(NEAREST).map(ToString::to_string).collect();
        HarError::Unmatched { file: self.file.clone(), asked: asked.to_string(), nearest }
    }
}

impl Wire for Replay {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let asked = Asked::new(request.method.clone(), request.url.clone(), &request.headers);
        let mut used = self.lock();
        let answer = self
            .entries
            .iter()
            .zip(used.iter_mut())
            .find(|(entry, used)| !**used && asked.is_answered_by(&entry.asked, self.authorization_matters));
        let Some((entry, used)) = answer else {
            let source = self.unmatched(&asked, &used);
            return Err(Error::Har { url: request.url.clone(), source });
        };
        *used = true;
        entry
            .answer
            .as_ref()
            .map_or_else(|failure| Err(failure.to_error(request.url.clone())), |a| Ok(a.response(request)))
    }
}

/// One entry, understood.
#[derive(Debug)]
struct Recorded {
    number: usize,
    asked: Asked,
    answer: Result<Answer, Failure>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    url: Option<SafeUrl>,
    body: Arc<[u8]>,
    /// Why the body ends where it does, if that is not its end.
    broken: Option<Failure>,
}

impl Recorded {
    /// `None` for what was not HTTP.
    fn new(number: usize, entry: Entry) -> Result<Option<Self>, EntryError> {
        let Entry { request, response, .. } = entry;
        let is_http = |scheme: &str| request.url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
        if !is_http("http://") && !is_http("https://") && request.url.contains(':') {
            return Ok(None);
        }
        let method: Method = request.method.parse().map_err(|_| EntryError::Method(request.method.clone()))?;
        let url = request.url.parse().map_err(EntryError::Url)?;
        let asked = Asked::new(method, url, &headers_of(request.headers)?);
        let answer = Answer::new(&asked, response)?;
        Ok(Some(Self { number, asked, answer }))
    }
}

impl std::fmt::Display for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "entry {} ({})", self.number, self.asked)
    }
}

impl Answer {
    fn new(asked: &Asked, response: RecordedResponse) -> Result<Result<Self, Failure>, EntryError> {
        let failure = response.error.as_ref().and_then(failure_of);
        if response.status == 0 {
            return Ok(Err(failure.unwrap_or_else(|| Failure::from_text("no answer was recorded"))));
        }
        let status = u16::try_from(response.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.ok_or(EntryError::Status(response.status))?;
        let mut headers = headers_of(response.headers)?;
        let was_decoded = headers.contains_key(header::CONTENT_ENCODING) && !response.content.encoded;
        if was_decoded && !asked.is_head() {
            headers.remove(header::CONTENT_ENCODING);
            headers.remove(header::CONTENT_LENGTH);
        }
        let url = response.url.map(|url| url.parse()).transpose().map_err(EntryError::Url)?;
        let content = response.content;
        let is_missing = content.text.is_none() && content.size.is_some_and(|size| size > 0.0) && !asked.is_head();
        let size = content.size.filter(|_| !was_decoded);
        let body = body_of(content.text.unwrap_or_default(), content.encoding.as_deref(), size)?;
        let ends_early = |text: String| Failure::Body { io: "UnexpectedEof".to_owned(), text };
        let broken = if failure.is_some() {
            failure
        } else if content.partial {
            Some(ends_early(format!("the recording ends here: its reader wanted only {} bytes", body.len())))
        } else if is_missing {
            Some(ends_early("the body is not in the recording".to_owned()))
        } else {
            None
        };
        Ok(Ok(Self { status, headers, url, body: body.into(), broken }))
    }

    fn response(&self, request: &Request) -> Response {
        let url = self.url.as_ref().unwrap_or(&request.url).clone();
        let body =
            ReplayedBody { bytes: Cursor::new(Arc::clone(&self.body)), broken: self.broken.clone(), url: url.clone() };
        Response { status: self.status, headers: self.headers.clone(), body: Box::new(body), url }
    }
}

/// The recorded bytes, then the recorded end.
struct ReplayedBody {
    bytes: Cursor<Arc<[u8]>>,
    broken: Option<Failure>,
    url: SafeUrl,
}

impl Read for ReplayedBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        match &self.broken {
            Some(failure) if count == 0 && !buffer.is_empty() => Err(failure.to_io_error(&self.url)),
            _ => Ok(count),
        }
    }
}

fn failure_of(recorded: &RecordedError) -> Option<Failure> {
    match recorded {
        RecordedError::Ours(failure) => Some(failure.clone()),
        RecordedError::Foreign(serde_json::Value::String(text)) if text.is_empty() => None,
        RecordedError::Foreign(serde_json::Value::String(text)) => Some(Failure::from_text(text)),
        RecordedError::Foreign(other) => Some(Failure::from_text(&other.to_string())),
    }
}

fn headers_of(pairs: Vec<Pair>) -> Result<HeaderMap, EntryError> {
    let mut headers = HeaderMap::new();
    for Pair { name, value } in pairs.into_iter().filter(|pair| !pair.name.starts_with(':')) {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| EntryError::HeaderName(name.clone()))?;
        // Chrome joins repeated headers with a line feed.
        for line in value.split('\n') {
            let bytes = header_bytes(line);
            let value = HeaderValue::from_bytes(&bytes).map_err(|_| EntryError::HeaderValue(name.clone()))?;
            headers.try_append(parsed.clone(), value).map_err(|_| EntryError::HeaderValue(name.clone()))?;
        }
    }
    Ok(headers)
}

/// Undoes what a recorder does to bytes beyond ASCII; another program may have decoded them as UTF-8.
fn header_bytes(text: &str) -> Vec<u8> {
    let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    latin.unwrap_or_else(|| text.as_bytes().to_vec())
}

fn body_of(text: String, encoding: Option<&str>, size: Option<f64>) -> Result<Vec<u8>, EntryError> {
    match encoding {
        None | Some("") => Ok(latin_body(&text, size).unwrap_or_else(|| text.into_bytes())),
        Some(name) if name.eq_ignore_ascii_case("base64") => BASE64.decode(text).map_err(EntryError::Base64),
        Some(other) => Err(EntryError::Encoding(other.to_owned())),
    }
}

/// A body that was saved with each of its bytes as one character, as its size shows: mitmproxy does this where a body looks
/// like text and is not UTF-8.
fn latin_body(text: &str, size: Option<f64>) -> Option<Vec<u8>> {
    #[allow(clippy::cast_precision_loss, reason = "bodies are far smaller than 2^52 bytes")]
    let is_size = |length: usize| size == Some(length as f64);
    if is_size(text.len()) {
        return None;
    }
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect::<Option<Vec<u8>>>()
        .filter(|bytes| is_size(bytes.len()))
}
