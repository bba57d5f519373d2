//! A client's whole way through a registry with a token service and a signed location. Every secret has `canary` in it.

use super::*;

const LOCATION: &str = "https://cdn.example/blob?X-Sig=canary%2Flocation&ns=quay.io#canary-fragment";

fn server(request: &Request) -> Response {
    let url = request.url.expose();
    let token = r#"{"token": "canary-token\"tail-canary", "expires_in": 300, "refresh_token":"canary-refresh"}"#;
    match url {
        _ if url.starts_with("https://auth.example/cut") => {
            let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "after canary-refresh, the end");
            respond(
                request,
                200,
                &[("content-type", "application/json")],
                cut(br#"{"access_token":"canary-in-a-cut"#, broken),
            )
        }
        _ if url.starts_with("https://auth.example/") => {
            let length = token.len().to_string();
            let headers = [("content-length", length.as_str()), ("set-cookie", "session=canary-cookie")];
            respond(request, 200, &headers, io::Cursor::new(token))
        }
        _ if url.contains("/blobs/") => {
            let page = format!("<a href=\"{LOCATION}\">Temporary Redirect</a>");
            respond(request, 307, &[("location", LOCATION)], io::Cursor::new(page))
        }
        _ if url.starts_with("https://cdn.example/") => respond(request, 200, &[], &b"layer"[..]),
        _ if url.contains("next_page") => {
            respond(request, 403, &[], &b"SignatureProvided: canary/location, token canary-sensitive"[..])
        }
        _ => {
            respond(request, 200, &[("link", "</v2/x/tags/list?n=5&next_page=canary-page>; rel=\"next\"")], io::empty())
        }
    }
}

/// What a client does, with the secrets that it learns on the way.
fn walk(wire: &dyn Wire) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut send = |request: &Request| {
        let response = wire.send(request).unwrap();
        let headers = response.headers.clone();
        bodies.push(read_all(response).0);
        headers
    };
    send(&with_header(get("https://auth.example/token?service=s&scope=x"), "authorization", "Basic canary-basic"));
    let form = "grant_type=refresh_token&refresh_token=canary%2Dform&password=canary%20word&service=s";
    let mut post = with_header(get("https://auth.example/token"), "content-type", "application/x-www-form-urlencoded");
    post.method = Method::POST;
    post.body = form.as_bytes().to_vec();
    send(&post);
    send(&get("https://auth.example/cut"));
    let mut sensitive = get("https://r.example/v2/x/blobs/sha256:0");
    let mut value = HeaderValue::from_static("canary-sensitive");
    value.set_sensitive(true);
    sensitive.headers.insert("x-custom", value);
    let location = send(&sensitive)["location"].to_str().unwrap().to_owned();
    send(&get(&location));
    let tags = get("https://r.example/v2/x/tags/list?n=5");
    let link = send(&tags)["link"].to_str().unwrap().to_owned();
    let target = link.trim_start_matches('<').split('>').next().unwrap();
    let mut next = tags.clone();
    next.url = tags.url.join(target).unwrap();
    send(&next);
    bodies
}

fn recorded() -> Recording {
    let recording = Recording::new();
    let recorder = Recorder::new(Script(|request: &Request| Ok(server(request))), &recording.path);
    walk(&recorder);
    recorder.finish().unwrap();
    recording
}

#[test]
fn no_secret_is_in_the_file() {
    let text = recorded().text();
    let leaks: Vec<&str> = text.lines().filter(|line| line.to_lowercase().contains("canary")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    assert!(text.contains("Basic redacted-1"), "the scheme stays");
    assert!(text.contains("ns=quay.io"), "public values stay");
    assert!(text.contains("\"expires_in\\\": 300"), "the rest stays");
}

#[test]
fn a_client_that_uses_what_it_learned_finds_every_answer() {
    let recording = recorded();
    let replay = recording.replay();
    let bodies = walk(&replay);
    replay.finish().unwrap();
    let token: serde_json::Value = serde_json::from_slice(&bodies[0]).unwrap();
    assert!(token["token"].as_str().unwrap().starts_with("redacted-"), "{token}");
    assert_eq!(bodies[4], b"layer");
}

#[test]
fn a_client_that_knows_the_real_secret_finds_its_answer_too() {
    let replay = recorded().replay();
    assert!(replay.send(&get(LOCATION)).is_ok());
}

#[test]
fn the_stated_length_is_that_of_the_redacted_body() {
    let replay = recorded().replay();
    let request = with_header(get("https://auth.example/token?service=s&scope=x"), "authorization", "Basic other");
    let response = replay.send(&request).unwrap();
    let stated = response.single_header("content-length").unwrap().parse::<usize>().unwrap();
    assert_eq!(read_all(response).0.len(), stated);
}

#[test]
fn two_signed_locations_stay_two() {
    let recording = record(
        |request| Ok(respond(request, 200, &[], io::Cursor::new(request.url.expose().to_owned()))),
        &[get("https://cdn.example/x?sig=one"), get("https://cdn.example/x?sig=two")],
    );
    let replay = recording.replay();
    let second = replay.send(&get("https://cdn.example/x?sig=redacted-2")).unwrap();
    assert_eq!(read_all(second).0, b"https://cdn.example/x?sig=two");
}

#[test]
fn what_a_digest_names_is_not_touched() {
    let manifest = br#"{"annotations": {"token": "not a secret: published"}}"#;
    for path in ["manifests/1", "blobs/sha256:0"] {
        let url = format!("https://r.example/v2/x/{path}");
        let recording = record(|request| Ok(respond(request, 200, &[], &manifest[..])), &[get(&url)]);
        assert_eq!(read_all(recording.replay().send(&get(&url)).unwrap()).0, manifest);
    }
}
