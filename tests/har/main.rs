//! Recording traffic, and answering from the recording.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are tests")]

mod canaries;
mod foreign;

use std::error::Error as _;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use transship::error::find;
use transship::http::{
    Error, HarError, HeaderMap, HeaderValue, Method, Phase, Recorder, Replay, Request, Response, StatusCode, TestClock,
    Tls, Wire,
};

/// A `Wire` that does what a closure says.
struct Script<F>(F);

impl<F: Fn(&Request) -> Result<Response, Error> + Send + Sync> Wire for Script<F> {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        (self.0)(request)
    }
}

fn get(url: &str) -> Request {
    Request::get(url.parse().unwrap(), Arc::new(Tls::default()))
}

fn with_header(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers.append(name, value.parse().unwrap());
    request
}

fn respond(
    request: &Request,
    status: u16,
    headers: &[(&'static str, &str)],
    body: impl Read + Send + 'static,
) -> Response {
    let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    Response { status: StatusCode::from_u16(status).unwrap(), headers, body: Box::new(body), url: request.url.clone() }
}

/// Some bytes, then an error.
fn cut(bytes: &'static [u8], error: impl Fn() -> io::Error + Send + 'static) -> impl Read + Send {
    struct Fails<F>(F);
    impl<F: Fn() -> io::Error> Read for Fails<F> {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err((self.0)())
        }
    }
    bytes.chain(Fails(error))
}

fn read_all(response: Response) -> (Vec<u8>, io::Result<()>) {
    let (mut body, mut bytes) = (response.body, Vec::new());
    let outcome = body.read_to_end(&mut bytes).map(|_| ());
    (bytes, outcome)
}

/// Records `requests`, each read to its end, and gives back the file.
fn record(script: impl Fn(&Request) -> Result<Response, Error> + Send + Sync, requests: &[Request]) -> Recording {
    let recording = Recording::new();
    let recorder = Recorder::new(Script(script), &recording.path);
    for request in requests {
        if let Ok(response) = recorder.send(request) {
            let _ = read_all(response);
        }
    }
    recorder.finish().unwrap();
    recording
}

struct Recording {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Recording {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { path: directory.path().join("traffic.har"), _directory: directory }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    fn replay(&self) -> Replay {
        Replay::from_file(&self.path).unwrap()
    }
}

fn har_error(error: &Error) -> &HarError {
    find(error).unwrap()
}

#[test]
fn a_replay_gives_the_same_status_headers_and_bytes() {
    let binary: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let bodies = [binary, "text with \u{e9} \0 \r\n \u{1f980}".as_bytes().to_vec(), Vec::new()];
    for body in bodies {
        let sent = body.clone();
        let headers = [("content-type", "a/b"), ("link", "<x>"), ("link", "<y>"), ("content-encoding", "gzip")];
        let request = get("http://r/v2/");
        let recording = record(
            move |request| Ok(respond(request, 206, &headers, io::Cursor::new(sent.clone()))),
            std::slice::from_ref(&request),
        );
        let replay = recording.replay();
        let response = replay.send(&request).unwrap();
        assert_eq!(response.status, 206);
        let expected: HeaderMap = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        assert_eq!(response.headers, expected);
        assert_eq!(response.url, request.url);
        let (bytes, outcome) = read_all(response);
        outcome.unwrap();
        assert_eq!(bytes, body);
        replay.finish().unwrap();
    }
}

#[test]
fn header_bytes_beyond_ascii_survive() {
    let value = HeaderValue::from_bytes(b"caf\xe9 \xc3\xa9").unwrap();
    let sent = value.clone();
    let recording = record(
        move |request| {
            let mut response = respond(request, 200, &[], io::empty());
            response.headers.insert("x-name", sent.clone());
            Ok(response)
        },
        &[get("http://r/")],
    );
    assert_eq!(recording.replay().send(&get("http://r/")).unwrap().headers["x-name"], value);
}

#[test]
fn equal_requests_are_answered_in_their_order_and_only_as_often_as_recorded() {
    let count = std::sync::atomic::AtomicU16::new(500);
    let script = move |request: &Request| {
        let status = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(respond(request, status, &[], io::empty()))
    };
    let replay = record(script, &[get("http://r/"), get("http://r/")]).replay();
    assert_eq!(replay.send(&get("http://r/")).unwrap().status, 500);
    assert_eq!(replay.send(&get("http://r/")).unwrap().status, 501);
    let error = replay.send(&get("http://r/")).unwrap_err();
    assert!(matches!(har_error(&error), HarError::Unmatched { nearest, .. } if nearest.is_empty()), "{error:?}");
}

#[test]
fn method_url_range_and_presence_of_authorization_must_match() {
    let recorded = with_header(with_header(get("http://r/a?n=1"), "range", "bytes=5-"), "authorization", "Bearer x");
    let recording = record(|request| Ok(respond(request, 200, &[], io::empty())), std::slice::from_ref(&recorded));
    let replay = recording.replay();

    let mut head = recorded.clone();
    head.method = Method::HEAD;
    let mut elsewhere = recorded.clone();
    elsewhere.url = "http://r/a?n=2".parse().unwrap();
    let mut without_range = recorded.clone();
    without_range.headers.remove("range");
    let mut other_range = recorded.clone();
    other_range.headers.insert("range", "bytes=6-".parse().unwrap());
    let mut anonymous = recorded.clone();
    anonymous.headers.remove("authorization");
    for (other, why) in [
        (&head, "method"),
        (&elsewhere, "url"),
        (&without_range, "no range"),
        (&other_range, "range"),
        (&anonymous, "no authorization"),
    ] {
        let error = replay.send(other).expect_err(why);
        let HarError::Unmatched { asked, nearest, .. } = har_error(&error) else { panic!("{error:?}") };
        assert!(asked.starts_with(other.method.as_str()), "{asked}");
        assert_eq!(nearest, &["entry 1 (GET http://r/a?n=1, Range: bytes=5-, with Authorization)"]);
    }
    let mut other_token = recorded.clone();
    other_token.headers.insert("authorization", "Basic eTp6".parse().unwrap());
    assert!(replay.send(&other_token).is_ok(), "its value does not matter");
    assert!(recording.replay().ignoring_authorization().send(&anonymous).is_ok());
}

#[test]
fn what_nobody_asked_for_is_an_error_at_the_end() {
    let recording =
        record(|request| Ok(respond(request, 200, &[], io::empty())), &[get("http://r/1"), get("http://r/2")]);
    let replay = recording.replay();
    replay.send(&get("http://r/2")).unwrap();
    let error = replay.finish().unwrap_err();
    assert!(matches!(&error, HarError::Unused { entries, .. } if entries == &["entry 1 (GET http://r/1)"]));
    assert!(error.to_string().starts_with(&recording.path.display().to_string()), "{error}");
    replay.send(&get("http://r/1")).unwrap();
    replay.finish().unwrap();
}

#[test]
fn a_cut_body_is_cut_again_at_the_same_byte() {
    let reset = || io::Error::new(io::ErrorKind::ConnectionReset, "peer went away");
    let recording = record(
        move |request| Ok(respond(request, 200, &[("content-length", "10")], cut(b"half", reset))),
        &[get("http://r/")],
    );
    let (bytes, outcome) = read_all(recording.replay().send(&get("http://r/")).unwrap());
    assert_eq!(bytes, b"half");
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::ConnectionReset, "peer went away".to_owned()));
}

#[test]
fn a_body_that_stalls_comes_back_with_its_typed_error() {
    let stall = || {
        let url = "http://r/".parse().unwrap();
        io::Error::other(Error::Timeout { url, phase: Phase::Reading, after: Duration::from_secs(30) })
    };
    let recording = record(move |request| Ok(respond(request, 200, &[], cut(b"ha", stall))), &[get("http://r/")]);
    let (bytes, outcome) = read_all(recording.replay().send(&get("http://r/")).unwrap());
    assert_eq!(bytes, b"ha");
    let error = outcome.unwrap_err();
    let Some(Error::Timeout { phase, after, .. }) = find(&error) else { panic!("{error:?}") };
    assert_eq!((*phase, *after), (Phase::Reading, Duration::from_secs(30)));
}

#[test]
fn a_request_without_an_answer_fails_again_in_the_same_way() {
    type Make = fn(transship::SafeUrl) -> Error;
    let makes: [Make; 6] = [
        |url| Error::HostNotFound { url },
        |url| Error::Connect { url, source: io::Error::new(io::ErrorKind::ConnectionRefused, "refused") },
        |url| Error::Tls { url, source: io::Error::other("bad certificate") },
        |url| Error::Timeout { url, phase: Phase::Connecting, after: Duration::from_millis(1500) },
        |url| Error::Closed { url, source: io::Error::new(io::ErrorKind::UnexpectedEof, "eof") },
        |url| Error::Protocol { url, reason: "garbage".to_owned() },
    ];
    for make in makes {
        let recording = record(move |request| Err(make(request.url.clone())), &[get("http://r/")]);
        assert_eq!(recording.json()["log"]["entries"][0]["response"]["status"], 0);
        let (expected, error) =
            (make("http://r/".parse().unwrap()), recording.replay().send(&get("http://r/")).unwrap_err());
        assert_eq!(error.to_string(), expected.to_string());
        assert_eq!(error.source().map(ToString::to_string), expected.source().map(ToString::to_string));
        assert_eq!(error.is_transient(), expected.is_transient());
    }
}

#[test]
fn a_body_that_was_dropped_early_does_not_look_complete() {
    let recording = Recording::new();
    let recorder = Recorder::new(
        Script(|request: &Request| Ok(respond(request, 200, &[("content-length", "6")], &b"abcdef"[..]))),
        &recording.path,
    );
    let mut response = recorder.send(&get("http://r/early")).unwrap();
    response.body.read_exact(&mut [0; 2]).unwrap();
    drop(response);
    let mut response = recorder.send(&get("http://r/exact")).unwrap();
    response.body.read_exact(&mut [0; 6]).unwrap();
    drop(response);
    recorder.finish().unwrap();

    let replay = recording.replay();
    let (bytes, outcome) = read_all(replay.send(&get("http://r/early")).unwrap());
    assert_eq!((bytes.as_slice(), outcome.unwrap_err().kind()), (&b"ab"[..], io::ErrorKind::UnexpectedEof));
    let (bytes, outcome) = read_all(replay.send(&get("http://r/exact")).unwrap());
    outcome.unwrap();
    assert_eq!(bytes, b"abcdef");
}

#[test]
fn a_head_answer_is_complete_without_its_body() {
    let mut head = get("http://r/");
    head.method = Method::HEAD;
    let recording = Recording::new();
    let recorder = Recorder::new(
        Script(|request: &Request| Ok(respond(request, 200, &[("content-length", "7023")], io::empty()))),
        &recording.path,
    );
    drop(recorder.send(&head).unwrap());
    recorder.finish().unwrap();
    let response = recording.replay().send(&head).unwrap();
    assert_eq!(response.single_header("content-length"), Some("7023"));
    read_all(response).1.unwrap();
}

#[test]
fn the_body_limit_bounds_the_recording_and_not_the_reader() {
    let recording = Recording::new();
    let recorder =
        Recorder::new(Script(|request: &Request| Ok(respond(request, 200, &[], &b"0123456789"[..]))), &recording.path)
            .with_body_limit(4);
    let (bytes, outcome) = read_all(recorder.send(&get("http://r/")).unwrap());
    outcome.unwrap();
    assert_eq!(bytes, b"0123456789");
    recorder.finish().unwrap();
    let (bytes, outcome) = read_all(recording.replay().send(&get("http://r/")).unwrap());
    assert_eq!(bytes, b"0123");
    assert!(outcome.unwrap_err().to_string().contains("keeps only 4 bytes"));
}

#[test]
fn finish_refuses_while_a_body_is_being_read_and_the_drop_of_the_last_body_writes() {
    let recording = Recording::new();
    let recorder =
        Recorder::new(Script(|request: &Request| Ok(respond(request, 200, &[], &b"abc"[..]))), &recording.path);
    let response = recorder.send(&get("http://r/")).unwrap();
    let error = recorder.finish().unwrap_err();
    assert!(matches!(&error, HarError::Unfinished { requests, .. } if requests == &["GET http://r/"]), "{error:?}");
    drop(recorder);
    assert!(!recording.path.exists());
    let _ = read_all(response);
    assert_eq!(recording.replay().send(&get("http://r/")).unwrap().into_bytes(9).unwrap(), b"abc");
}

#[test]
fn a_recording_that_cannot_be_written_names_its_file_and_leaves_the_old_one() {
    let wire = Script(|request: &Request| Ok(respond(request, 200, &[], io::empty())));
    let error = Recorder::new(wire, "no/such/directory/traffic.har").finish().unwrap_err();
    assert!(matches!(&error, HarError::Write { file, .. } if file == Path::new("no/such/directory/traffic.har")));
}

#[test]
fn a_writer_takes_the_recording_too() {
    struct Shared(mpsc::Sender<Vec<u8>>);
    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (sender, receiver) = mpsc::channel();
    let wire = Script(|request: &Request| Ok(respond(request, 200, &[], &b"abc"[..])));
    let recorder = Recorder::to_writer(wire, Shared(sender));
    let _ = read_all(recorder.send(&get("http://r/")).unwrap());
    recorder.finish().unwrap();
    let bytes: Vec<u8> = receiver.try_iter().flatten().collect();
    assert_eq!(Replay::from_bytes(&bytes).unwrap().send(&get("http://r/")).unwrap().into_bytes(9).unwrap(), b"abc");
}

#[test]
fn exchanges_of_many_threads_are_all_recorded_and_replayed() {
    let recording = Recording::new();
    let body_of = |url: &str| url.repeat(500).into_bytes();
    let wire =
        Script(|request: &Request| Ok(respond(request, 200, &[], io::Cursor::new(body_of(request.url.expose())))));
    let all_read = |wire: &dyn Wire| {
        std::thread::scope(|scope| {
            for worker in 0..8 {
                scope.spawn(move || {
                    for number in 0..20 {
                        let url = format!("http://r/{worker}/{number}");
                        let (bytes, outcome) = read_all(wire.send(&get(&url)).unwrap());
                        outcome.unwrap();
                        assert_eq!(bytes, body_of(&url));
                    }
                });
            }
        });
    };
    let recorder = Recorder::new(wire, &recording.path);
    all_read(&recorder);
    recorder.finish().unwrap();
    let replay = recording.replay();
    all_read(&replay);
    replay.finish().unwrap();
}

#[test]
fn the_file_is_har_1_2_with_the_clocks_time() {
    let recording = Recording::new();
    let clock = Arc::new(TestClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)));
    let slow = Arc::clone(&clock);
    let wire = Script(move |request: &Request| {
        transship::http::Clock::sleep(&*slow, Duration::from_millis(250));
        Ok(respond(request, 200, &[("content-type", "text/plain")], &b"abc"[..]))
    });
    let recorder = Recorder::new(wire, &recording.path).with_clock(clock);
    let _ = read_all(recorder.send(&get("http://r/?n=5")).unwrap());
    recorder.finish().unwrap();
    let har = recording.json();
    assert_eq!(har["log"]["version"], "1.2");
    let entry = &har["log"]["entries"][0];
    assert_eq!(entry["startedDateTime"], "2026-01-01T00:00:00Z");
    assert_eq!(entry["time"], 250.0);
    assert_eq!(entry["timings"], serde_json::json!({"send": 0.0, "wait": 250.0, "receive": 0.0}));
    assert_eq!(entry["request"]["queryString"], serde_json::json!([{"name": "n", "value": "5"}]));
    assert_eq!(entry["response"]["content"], serde_json::json!({"size": 3.0, "mimeType": "text/plain", "text": "abc"}));
    for (owner, fields) in [
        ("request", "method url httpVersion cookies headers queryString headersSize bodySize"),
        ("response", "status statusText httpVersion cookies headers content redirectURL headersSize bodySize"),
    ] {
        for field in fields.split(' ') {
            assert!(entry[owner].get(field).is_some(), "{owner}.{field} is required");
        }
    }
}
