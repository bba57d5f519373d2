//! The loopback servers do what they say.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use transship::Digest;

use support::image::Image;
use support::registry::Registry;
use support::reply::{Door, Reply};
use support::server::{Server, ServerTls};

/// A client that hides nothing: it sends text and gives back whatever came until the end, and how that end was.
struct Client<S>(S);

/// What came: status, headers and body of one answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Client<TcpStream> {
    fn to(server: &Server) -> Self {
        Self(TcpStream::connect(server.authority()).unwrap())
    }
}

impl<S: Read + Write> Client<S> {
    fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> &mut Self {
        let mut lines = vec![format!("{method} {target} HTTP/1.1"), "Host: here".to_owned()];
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        self.0.write_all((lines.join("\r\n") + "\r\n\r\n").as_bytes()).unwrap();
        self
    }

    /// Reads one answer by its `Content-Length`.
    fn answer(&mut self) -> Answer {
        let head = self.head();
        let length = head.header("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Answer { body, ..head }
    }

    fn head(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let headers = String::from_utf8(head).unwrap();
        let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, headers, body: Vec::new() }
    }

    /// Reads until the server closes.
    fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).map(|_| rest)
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One request on a connection of its own.
fn get(server: &Server, target: &str, headers: &[(&str, &str)]) -> Answer {
    Client::to(server).send("GET", target, headers).answer()
}

fn bearer(answer: &Answer) -> String {
    format!("Bearer {}", answer.json()["token"].as_str().unwrap())
}

mod server {
    use super::*;

    #[test]
    fn a_connection_is_kept_and_everything_received_is_remembered() {
        let server = Server::http(|request| Reply::ok(request.target.clone()));
        let mut client = Client::to(&server);
        assert_eq!(
            client.send("GET", "/a?b=c%20d", &[("X-Twice", "1"), ("x-twice", "2")]).answer().body,
            b"/a?b=c%20d"
        );
        client.send("POST", "/form", &[("Content-Length", "5")]).0.write_all(b"a=%31").unwrap();
        assert_eq!(client.answer().status, 200);
        let head = client.send("HEAD", "/h", &[]).head();
        assert_eq!(head.header("content-length"), Some("2"));
        assert_eq!(get(&server, "/other", &[]).status, 200);

        assert_eq!(server.asked(), ["GET /a?b=c%20d", "POST /form", "HEAD /h", "GET /other"]);
        let requests = server.requests();
        assert_eq!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 1, 1, 2]);
        assert_eq!(server.connections(), 2);
        assert_eq!((requests[0].path(), requests[0].query("b")), ("/a", vec!["c d".to_owned()]));
        assert_eq!(requests[0].headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-twice")).count(), 2);
        assert_eq!(requests[1].form("a"), ["1"]);
    }

    #[test]
    fn a_cut_body_is_shorter_than_stated() {
        let server = Server::http(|_| Reply::ok("0123456789").cut_after(4));
        let mut client = Client::to(&server);
        assert_eq!(client.send("GET", "/", &[]).head().header("content-length"), Some("10"));
        assert_eq!(client.rest().unwrap(), b"0123");
    }

    #[test]
    fn a_cut_chunked_body_has_no_last_chunk() {
        for (reply, expected) in [
            (Reply::ok("0123456789").chunked().closing(), &b"a\r\n0123456789\r\n0\r\n\r\n"[..]),
            (Reply::ok("0123456789").chunked().cut_after(4), b"4\r\n0123\r\n"),
        ] {
            let server = Server::http(move |_| reply.clone());
            let mut client = Client::to(&server);
            assert_eq!(client.send("GET", "/", &[]).head().header("transfer-encoding"), Some("chunked"));
            assert_eq!(client.rest().unwrap(), expected);
        }
    }

    #[test]
    fn a_stalled_answer_ends_only_with_the_server() {
        for (reply, sent) in [(Reply::ok("0123").stall_after(2), &b"01"[..]), (Reply::stalling(), b"")] {
            let server = Server::http(move |_| reply.clone());
            let mut client = Client::to(&server);
            client.send("GET", "/", &[]);
            if !sent.is_empty() {
                client.head();
                client.0.read_exact(&mut [0; 2]).unwrap();
            }
            client.0.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
            let stalled = client.0.read(&mut [0]).unwrap_err();
            assert!(matches!(stalled.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{stalled:?}");
            drop(server);
            client.0.set_read_timeout(None).unwrap();
            assert!(client.rest().unwrap_or_default().is_empty());
        }
    }

    #[test]
    fn closing_and_resetting_are_two_things() {
        let server = Server::http(|_| Reply::close_without_answer());
        assert_eq!(Client::to(&server).send("GET", "/", &[]).rest().unwrap(), b"");
        let server = Server::http(|_| Reply::reset());
        let error = Client::to(&server).send("GET", "/", &[]).rest().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_body_that_is_reset_or_has_no_length_comes_as_far_as_it_is_told() {
        let server = Server::http(|_| Reply::ok("0123456789").reset_after(4));
        let mut client = Client::to(&server);
        client.send("GET", "/", &[]).head();
        client.0.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(client.rest().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let server = Server::http(|_| Reply::ok("0123456789").until_close().cut_after(4));
        let mut client = Client::to(&server);
        assert_eq!(client.send("GET", "/", &[]).head().header("content-length"), None);
        assert_eq!(client.rest().unwrap(), b"0123");
    }

    #[test]
    fn a_door_holds_for_new_connections_and_the_open_ones_stay() {
        let server = Server::http(|_| Reply::ok("0123"));
        let mut open = Client::to(&server);
        assert_eq!(open.send("GET", "/", &[]).answer().status, 200);
        server.set_door(Door::Saying(b"no"));
        assert_eq!(Client::to(&server).send("GET", "/", &[]).rest().unwrap(), b"no");
        server.set_door(Door::Silent);
        let mut silent = Client::to(&server);
        silent.send("GET", "/", &[]).0.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        assert!(silent.0.read(&mut [0]).is_err());
        server.set_door(Door::Closed);
        let refused = |server: &Server| TcpStream::connect(server.authority()).unwrap_err().kind();
        assert_eq!(refused(&server), io::ErrorKind::ConnectionRefused);
        // It lasts, and an open connection has nothing to do with it.
        server.set_door(Door::Open);
        assert_eq!(refused(&server), io::ErrorKind::ConnectionRefused);
        assert_eq!(open.send("GET", "/", &[]).answer().status, 200);
    }

    #[test]
    fn an_answer_may_close_the_door_behind_it() {
        let server = Server::http(|_| Reply::close_without_answer().then(Door::Closed));
        assert_eq!(Client::to(&server).send("GET", "/", &[]).rest().unwrap(), b"");
        let refused = TcpStream::connect(server.authority()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn dripping_endless_and_garbage_are_what_they_are_called() {
        let server = Server::http(|_| Reply::ok("0123456789").drip(3, Duration::from_millis(1)));
        assert_eq!(get(&server, "/", &[]).body, b"0123456789");
        let server = Server::http(|_| Reply::garbage("SSH-2.0-x\r\n"));
        assert_eq!(Client::to(&server).send("GET", "/", &[]).rest().unwrap(), b"SSH-2.0-x\r\n");
        let server = Server::http(|_| Reply::endless());
        let mut client = Client::to(&server);
        assert_eq!(client.send("GET", "/", &[]).head().header("content-length"), None);
        client.0.read_exact(&mut vec![0; 1_000_000]).unwrap();
    }

    #[test]
    fn who_speaks_no_http_is_told_so() {
        let server = Server::http(|_| Reply::ok("x"));
        let mut client = Client::to(&server);
        client.0.write_all(b"\x16\x03\x01\x02\x00").unwrap();
        assert_eq!(client.head().status, 400);
        let server = Server::https(|_| Reply::ok("x"), &ServerTls::signed_by_ca());
        let answer = Client::to(&server).send("GET", "/", &[]).rest().unwrap();
        assert!(answer.starts_with(b"HTTP/1.0 400 "), "{answer:?}");
    }
}

mod tls {
    use super::*;

    /// What a client that trusts `tls` gets from a server that uses it.
    fn ask(tls: &ServerTls, shows_certificate: bool) -> Result<Vec<u8>, io::Error> {
        let server = Server::https(|_| Reply::ok("secret").closing(), tls);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(tls.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let config = match tls.client().filter(|_| shows_certificate) {
            None => config.with_no_client_auth(),
            Some(client) => {
                let certificate = CertificateDer::from_pem_slice(client.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(session, TcpStream::connect(server.authority()).unwrap());
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            // The server closes without saying so, as many do.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(answer),
        }
    }

    #[test]
    fn each_kind_of_certificate_is_what_it_is_called() {
        let works = |tls: &ServerTls, shows| ask(tls, shows).is_ok_and(|answer| answer.ends_with(b"secret"));
        assert!(works(&ServerTls::signed_by_ca(), false));
        assert!(works(&ServerTls::requiring_client_certificate(), true));
        assert!(!works(&ServerTls::requiring_client_certificate(), false));
        for (tls, reason) in [
            (ServerTls::expired(), "Expired"),
            (ServerTls::for_another_host(), "NotValidForName"),
            (ServerTls::self_signed_ca(), "CaUsedAsEndEntity"),
        ] {
            let error = format!("{:?}", ask(&tls, false).unwrap_err());
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }

    #[test]
    fn a_certs_d_directory_has_what_the_client_needs() {
        let directory = tempfile::tempdir().unwrap();
        ServerTls::requiring_client_certificate().write_certs_d(&directory.path().join("host:5000"));
        for name in ["ca.crt", "client.cert", "client.key"] {
            let pem = std::fs::read_to_string(directory.path().join("host:5000").join(name)).unwrap();
            assert!(pem.starts_with("-----BEGIN "), "{name}");
        }
    }
}

mod registry {
    use super::*;

    #[test]
    fn an_image_is_read_by_tag_and_by_digest_down_to_its_blobs() {
        for image in [
            Image::with_layers(["one", "two"]),
            Image::with_layers(["one", "two"]).docker(),
            Image::with_layers(["one", "two"]).sha512(),
        ] {
            let registry = Registry::new().image("org/app", "1", &image).serve();
            let by_tag = get(&registry, "/v2/org/app/manifests/1", &[]);
            assert_eq!(by_tag.body, image.manifest());
            assert_eq!(by_tag.header("content-type"), Some(image.media_type()));
            assert_eq!(by_tag.header("docker-content-digest"), Some(image.digest().as_str()));
            let by_digest = get(&registry, &format!("/v2/org/app/manifests/{}", image.digest()), &[]);
            assert_eq!(by_digest.body, image.manifest());

            let manifest = by_tag.json();
            let mut descriptors = vec![manifest["config"].clone()];
            descriptors.extend(manifest["layers"].as_array().unwrap().clone());
            for descriptor in &descriptors {
                let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
                let blob = get(&registry, &format!("/v2/org/app/blobs/{digest}"), &[]).body;
                assert_eq!(Digest::of(digest.algorithm(), &blob), digest);
                assert_eq!(blob.len() as u64, descriptor["size"].as_u64().unwrap());
            }
            let config: serde_json::Value = serde_json::from_slice(&image.config()).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][1], descriptors[2]["digest"]);
        }
    }

    #[test]
    fn an_index_has_platforms_and_its_images_are_there() {
        let (amd, arm) = (Image::with_layers(["x"]), Image::with_layers(["y"]).platform("linux/arm/v7"));
        let index = Image::index([amd, arm.clone()]);
        let registry = Registry::new().image("app", "multi", &index).serve();
        let served = get(&registry, "/v2/app/manifests/multi", &[]).json();
        assert_eq!(
            served["manifests"][1]["platform"],
            serde_json::json!({"architecture": "arm", "os": "linux", "variant": "v7"})
        );
        let child = served["manifests"][1]["digest"].as_str().unwrap().to_owned();
        assert_eq!(get(&registry, &format!("/v2/app/manifests/{child}"), &[]).body, arm.manifest());
    }

    #[test]
    fn what_is_not_there_is_a_404_with_the_codes_of_the_specification() {
        let image = Image::with_layers(["x"]);
        let gone = image.layer_digest(0);
        let registry = Registry::new().image("app", "1", &image).without_blob(&gone).serve();
        for (target, code) in [
            ("/v2/none/manifests/1".to_owned(), "NAME_UNKNOWN"),
            ("/v2/app/manifests/2".to_owned(), "MANIFEST_UNKNOWN"),
            (format!("/v2/app/blobs/{gone}"), "BLOB_UNKNOWN"),
        ] {
            let answer = get(&registry, &target, &[]);
            assert_eq!((answer.status, answer.json()["errors"][0]["code"].as_str()), (404, Some(code)));
        }
    }

    #[test]
    fn ranges_are_served_unless_told_otherwise() {
        let image = Image::with_layers(["0123456789"]);
        let target = format!("/v2/app/blobs/{}", image.layer_digest(0));
        let registry = Registry::new().image("app", "1", &image).serve();
        for (range, status, body, content_range) in [
            ("bytes=4-", 206, "456789", "bytes 4-9/10"),
            ("bytes=0-1", 206, "01", "bytes 0-1/10"),
            ("bytes=10-", 416, "", "bytes */10"),
        ] {
            let answer = get(&registry, &target, &[("Range", range)]);
            assert_eq!((answer.status, answer.body.as_slice()), (status, body.as_bytes()));
            assert_eq!(answer.header("content-range"), Some(content_range));
        }
        let registry = Registry::new().image("app", "1", &image).without_ranges().serve();
        assert_eq!(get(&registry, &target, &[("Range", "bytes=4-")]).status, 200);
    }

    #[test]
    fn tags_come_in_pages_that_are_linked() {
        let image = Image::with_layers(["x"]);
        let registry = ["a", "b", "c"].iter().fold(Registry::new(), |registry, tag| registry.image("app", tag, &image));
        let registry = registry.page_size(2).serve();
        let first = get(&registry, "/v2/app/tags/list", &[]);
        assert_eq!(first.json()["tags"], serde_json::json!(["a", "b"]));
        assert_eq!(first.header("link"), Some("</v2/app/tags/list?n=2&last=b>; rel=\"next\""));
        let second = get(&registry, "/v2/app/tags/list?n=2&last=b", &[]);
        assert_eq!(second.json()["tags"], serde_json::json!(["c"]));
        assert_eq!(second.header("link"), None);
    }

    #[test]
    fn basic_lets_in_only_its_account() {
        let registry =
            Registry::new().image("app", "1", &Image::with_layers(["x"])).requiring_basic("me", "pw").serve();
        let refused = get(&registry, "/v2/app/manifests/1", &[]);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Basic realm=\"scripted\"")));
        let basic = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        assert_eq!(get(&registry, "/v2/app/manifests/1", &[("Authorization", &basic("me:no"))]).status, 401);
        assert_eq!(get(&registry, "/v2/app/manifests/1", &[("Authorization", &basic("me:pw"))]).status, 200);
    }

    #[test]
    fn a_token_opens_what_its_scope_says_as_often_as_it_is_good_for() {
        let image = Image::with_layers(["x"]);
        let registry = Registry::new()
            .image("app", "1", &image)
            .image("other", "1", &image)
            .requiring_token("reg")
            .token_account("me", "pw")
            .tokens_good_for(1)
            .tokens_expire_in(60)
            .serve();
        let refused = get(&registry, "/v2/app/manifests/1", &[]);
        assert_eq!(
            refused.header("www-authenticate"),
            Some("Bearer realm=\"http://here/token\",service=\"reg\",scope=\"repository:app:pull\"")
        );
        let target = "/token?service=reg&scope=repository%3Aapp%3Apull";
        assert_eq!(get(&registry, target, &[]).status, 401);
        assert_eq!(get(&registry, "/token?service=wrong", &[]).status, 400);
        let token = get(&registry, target, &[("Authorization", "Basic bWU6cHc=")]);
        assert_eq!(token.json()["expires_in"], 60);
        let token = bearer(&token);
        let ask = |target: &str| get(&registry, target, &[("Authorization", &token)]);
        assert!(
            ask("/v2/other/manifests/1").header("www-authenticate").unwrap().ends_with("error=\"insufficient_scope\"")
        );
        assert_eq!(ask("/v2/app/manifests/1").status, 200);
        assert!(ask("/v2/app/manifests/1").header("www-authenticate").unwrap().ends_with("error=\"invalid_token\""));
        assert_eq!(registry.token_requests().len(), 3);
    }

    #[test]
    fn a_refresh_token_is_posted() {
        let registry = Registry::new().requiring_token("reg").refresh_token("refresh-me").serve();
        for (form, status) in [
            ("grant_type=refresh_token&service=reg&scope=repository:app:pull&refresh_token=refresh-me", 200),
            ("grant_type=refresh_token&service=reg&scope=repository:app:pull&refresh_token=wrong", 401),
        ] {
            let mut client = Client::to(&registry);
            client.send("POST", "/token", &[("Content-Length", &form.len().to_string())]);
            client.0.write_all(form.as_bytes()).unwrap();
            let answer = client.answer();
            assert_eq!(answer.status, status);
            assert_eq!(answer.json()["access_token"].is_string(), status == 200);
        }
    }

    #[test]
    fn faults_hit_the_request_that_was_meant() {
        let image = Image::with_layers(["0123456789"]);
        let registry = Registry::new()
            .image("app", "1", &image)
            .fault(|path| path.contains("/manifests/"), 2..=2, Reply::new(503))
            .spoil(|path| path.contains("/blobs/"), 1.., |reply| reply.cut_after(3))
            .serve();
        let statuses: Vec<u16> = (0..3).map(|_| get(&registry, "/v2/app/manifests/1", &[]).status).collect();
        assert_eq!(statuses, [200, 503, 200]);
        let mut client = Client::to(&registry);
        client.send("GET", &format!("/v2/app/blobs/{}", image.layer_digest(0)), &[]).head();
        assert_eq!(client.rest().unwrap(), b"012");
    }

    #[test]
    fn redirected_blobs_need_their_signature_and_no_credentials() {
        let image = Image::with_layers(["layer"]);
        let cdn = Registry::new().image("any", "1", &image).serve();
        let registry = Registry::new().image("app", "1", &image).redirecting_blobs_to(&cdn.url("")).serve();
        let redirect = get(&registry, &format!("/v2/app/blobs/{}", image.layer_digest(0)), &[]);
        let target = redirect.header("location").unwrap().strip_prefix(&cdn.url("")).unwrap().to_owned();
        assert_eq!(redirect.status, 307);
        assert_eq!(get(&cdn, &target, &[]).body, b"layer");
        assert_eq!(get(&cdn, &target, &[("Authorization", "Bearer x")]).status, 400);
        assert_eq!(get(&cdn, target.split('?').next().unwrap(), &[]).status, 403);
    }
}
