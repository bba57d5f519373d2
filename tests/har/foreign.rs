//! Files that other programs saved.

use super::*;

const MITMPROXY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/har/mitmproxy.har");

#[test]
fn a_session_saved_by_mitmproxy_replays() {
    let replay = Replay::from_file(MITMPROXY).unwrap();
    let base = "http://127.0.0.1:5999";
    assert_eq!(replay.send(&get(&format!("{base}/v2/"))).unwrap().status, 401);
    let authorized = with_header(get(&format!("{base}/v2/")), "authorization", "Basic x");
    assert_eq!(replay.send(&authorized).unwrap().status, 200);

    let manifest = replay.send(&get(&format!("{base}/v2/app/manifests/1"))).unwrap();
    assert_eq!(manifest.single_header("content-encoding"), None, "it was saved decoded");
    assert_eq!(manifest.single_header("content-length"), None);
    assert_eq!(read_all(manifest).0, "{\"schemaVersion\":2,\"note\":\"caf\u{e9}\"}".as_bytes());

    let mut head = get(&format!("{base}/v2/app/manifests/1"));
    head.method = Method::HEAD;
    let head = replay.send(&head).unwrap();
    assert_eq!(head.single_header("content-encoding"), Some("gzip"));
    read_all(head).1.unwrap();

    let blob = replay.send(&get(&format!("{base}/v2/app/blobs/sha256:0000"))).unwrap();
    assert_eq!(read_all(blob).0, (0..=255).collect::<Vec<u8>>());
    let closed = replay.send(&get(&format!("{base}/closes")));
    assert!(matches!(closed, Err(Error::Closed { .. })), "{closed:?}");
    replay.finish().unwrap();
}

fn entry(request: &str, response: &str) -> String {
    format!("{{\"log\": {{\"entries\": [\n{{\"request\": {request},\n\"response\": {response}}}\n]}}}}")
}

#[test]
fn what_browsers_leave_out_or_add_is_tolerated() {
    let har = "\u{feff}{\"log\": {\"pages\": [], \"entries\": [
        {\"request\": {\"method\": \"GET\", \"url\": \"https://R.example:443/\",
            \"headers\": [{\"name\": \":authority\", \"value\": \"r.example\"}, {\"name\": \"Range\", \"value\": \"bytes=0-1\"}]},
         \"response\": {\"status\": 200, \"headers\": [{\"name\": \"Set-Cookie\", \"value\": \"a=1\\nb=2\"}, {\"name\": \"CONTENT-TYPE\"}],
            \"content\": {\"size\": 2, \"mimeType\": null, \"text\": \"ok\"}, \"_error\": null}, \"timings\": null, \"_priority\": \"High\"},
        {\"request\": {\"method\": \"GET\", \"url\": \"data:text/plain,x\"}, \"response\": {\"status\": 200}},
        {\"request\": {\"method\": \"GET\", \"url\": \"https://r.example/blocked\"}, \"response\": {\"status\": 0, \"_error\": \"net::ERR_CONNECTION_REFUSED\"}},
        {\"request\": {\"method\": \"GET\", \"url\": \"https://r.example/evicted\"}, \"response\": {\"status\": 200, \"content\": {\"size\": 5000}}}
    ]}}";
    let replay = Replay::from_bytes(har.as_bytes()).unwrap();
    let response = replay.send(&with_header(get("https://r.example/"), "range", "bytes=0-1")).unwrap();
    assert_eq!(response.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(read_all(response).0, b"ok");
    let refused = replay.send(&get("https://r.example/blocked"));
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
    let evicted = read_all(replay.send(&get("https://r.example/evicted")).unwrap()).1;
    assert!(evicted.unwrap_err().to_string().contains("not in the recording"));
    replay.finish().unwrap();
}

#[test]
fn an_error_names_the_entry_and_its_line() {
    let request = r#"{"method": "GET", "url": "http://r/"}"#;
    for (request, response, why) in [
        (r#"{"method": "G T", "url": "http://r/"}"#, "{}", "method"),
        (r#"{"method": "GET", "url": "http://u:p@r/"}"#, "{}", "URL"),
        (r#"{"method": "GET", "url": "nonsense"}"#, "{}", "URL"),
        (request, r#"{"status": 99999}"#, "status"),
        (request, r#"{"status": -1}"#, "status"),
        (request, r#"{"status": 200, "headers": [{"name": "a b", "value": ""}]}"#, "header name"),
        (request, r#"{"status": 200, "headers": [{"name": "a", "value": "\u0000"}]}"#, "value of header"),
        (request, r#"{"status": 200, "content": {"text": "!", "encoding": "base64"}}"#, "base64"),
        (request, r#"{"status": 200, "content": {"text": "", "encoding": "rot13"}}"#, "rot13"),
    ] {
        let error = Replay::from_bytes(entry(request, response).as_bytes()).expect_err(why);
        assert_eq!(error.to_string(), "(memory):2: entry 1");
        assert!(error.source().unwrap().to_string().contains(why), "{why}: {error:?}");
    }
}

#[test]
fn what_is_no_har_is_refused_with_its_place() {
    for (text, place) in [("", "line 1"), ("{\n\"log\": 5}", "line 2"), ("{\"log\":{}}", "entries"), ("[1]", "line 1")]
    {
        let error = Replay::from_bytes(text.as_bytes()).unwrap_err();
        assert!(matches!(error, HarError::Syntax { .. }));
        assert!(error.source().unwrap().to_string().contains(place), "{text}: {error:?}");
    }
    let error = Replay::from_file("no/such.har").unwrap_err();
    assert!(matches!(&error, HarError::Read { file, .. } if file == Path::new("no/such.har")));
}
