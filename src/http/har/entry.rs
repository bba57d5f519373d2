//! An exchange as an entry of the file.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::failure::Failure;
use super::format::{Content, Empty, Entry, Pair, PostData, RecordedError, Request, Response, Timings};
use super::recorder::{Answer, End, Exchange, LeftOut};
use super::redact::{self, Redactor};
use crate::http::{self, header};

const HTTP_VERSION: &str = "HTTP/1.1";
/// What HAR writes for a number that nobody knows.
const UNKNOWN: i64 = -1;

/// Forms the entry, without secrets.
pub(super) fn of(exchange: Exchange, redactor: &mut Redactor) -> Entry {
    let Exchange { request, left_out, started, answered, ended, outcome, body, end } = exchange;
    let (wait, receive) = (milliseconds(started, answered), milliseconds(answered, ended));
    let safe_request = request_of(&request, left_out.as_ref(), redactor);
    let response = match outcome {
        Ok(answer) => response_of(&request, &answer, &body, end, redactor),
        Err(failure) => no_response(failure, redactor),
    };
    Entry {
        started_date_time: date_time(started),
        time: wait + receive,
        request: safe_request,
        response,
        cache: Empty {},
        timings: Timings { send: 0.0, wait, receive },
    }
}

fn request_of(request: &http::Request, left_out: Option<&LeftOut>, redactor: &mut Redactor) -> Request {
    let url = redactor.url(request.url.expose());
    let body = redactor.request_body(&request.headers, &request.body);
    let post_data = (!body.is_empty() || left_out.is_some()).then(|| {
        let (text, encoding) = text_or_base64(&body);
        let digest = left_out.map(|left_out| left_out.digest.to_string());
        PostData { mime_type: content_type(&request.headers), text, encoding, digest }
    });
    let mut headers = redactor.headers(&request.headers);
    correct_length(&mut headers, &request.body, &body);
    Request {
        method: request.method.to_string(),
        query_string: query_string(&url),
        url,
        http_version: HTTP_VERSION,
        cookies: [],
        headers,
        post_data,
        headers_size: UNKNOWN,
        body_size: left_out.map_or(body.len() as u64, |left_out| left_out.size),
    }
}

fn response_of(request: &http::Request, answer: &Answer, body: &[u8], end: End, redactor: &mut Redactor) -> Response {
    let mut headers = redactor.headers(&answer.headers);
    let about = redact::Answer { url: request.url.expose(), status: answer.status, headers: &answer.headers };
    let safe_body = redactor.response_body(&about, body);
    correct_length(&mut headers, body, &safe_body);
    let (text, encoding) = text_or_base64(&safe_body);
    let partial = matches!(end, End::Dropped);
    let error = match end {
        End::Cut(failure) => Some(RecordedError::Ours(safe_failure(failure, redactor))),
        End::Whole | End::Dropped => None,
    };
    let redirect_url = headers.iter().find(|pair| pair.name == "location").map(|pair| pair.value.clone());
    Response {
        status: answer.status.as_u16().into(),
        status_text: answer.status.canonical_reason().unwrap_or_default(),
        http_version: HTTP_VERSION,
        cookies: [],
        headers,
        content: Content {
            #[allow(clippy::cast_precision_loss, reason = "bodies are far smaller than 2^52 bytes")]
            size: Some(safe_body.len() as f64),
            mime_type: content_type(&answer.headers),
            text: Some(text),
            encoding: encoding.map(str::to_owned),
            encoded: answer.headers.contains_key(header::CONTENT_ENCODING),
            partial,
        },
        redirect_url: redirect_url.unwrap_or_default(),
        headers_size: UNKNOWN,
        body_size: i64::try_from(safe_body.len()).unwrap_or(UNKNOWN),
        url: (answer.url != request.url).then(|| redactor.url(answer.url.expose())),
        error,
    }
}

fn no_response(failure: Failure, redactor: &mut Redactor) -> Response {
    Response {
        http_version: HTTP_VERSION,
        headers_size: UNKNOWN,
        body_size: UNKNOWN,
        content: Content { size: Some(0.0), ..Content::default() },
        error: Some(RecordedError::Ours(safe_failure(failure, redactor))),
        ..Response::default()
    }
}

fn safe_failure(mut failure: Failure, redactor: &mut Redactor) -> Failure {
    if let Some(text) = failure.text_mut() {
        *text = String::from_utf8_lossy(&redactor.free_text(text.as_bytes())).into_owned();
    }
    failure
}

/// A redacted body has another length than the one stated.
fn correct_length(headers: &mut [Pair], body: &[u8], safe_body: &[u8]) {
    if body.len() == safe_body.len() {
        return;
    }
    for pair in headers.iter_mut().filter(|pair| pair.name == header::CONTENT_LENGTH.as_str()) {
        pair.value = safe_body.len().to_string();
    }
}

fn text_or_base64(bytes: &[u8]) -> (String, Option<&'static str>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (BASE64.encode(bytes), Some("base64")),
    }
}

fn content_type(headers: &http::HeaderMap) -> String {
    let stated = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    stated.unwrap_or("application/octet-stream").to_owned()
}

fn query_string(url: &str) -> Vec<Pair> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.map(|(name, value)| Pair { name: name.into_owned(), value: value.into_owned() }).collect()
}

fn milliseconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or(Duration::ZERO).as_secs_f64() * 1000.0
}

fn date_time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
