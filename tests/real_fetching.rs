//! `fetch-object` and `fetch-blob` out of Debian's `docker-registry`: its bytes, with tokens, and through a mirror whose line
//! goes dead in the middle.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

#[allow(dead_code, reason = "other crates of tests use the rest")]
mod support {
    pub mod clients;
    pub mod command;
    pub mod docker_registry;
    pub mod listing;
    pub mod oci_layout;
    pub mod peers;
    pub mod token_server;
}

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use support::clients::Clients;
use support::command::{finish, run};
use support::docker_registry::{DockerRegistry, PASSWORD, USER};
use support::oci_layout::OciLayout;
use support::peers::peer;

const HTTP: &str = "--tls-verify=false";
const LARGE: usize = 3_000_000;

/// A small layer, and a large one.
fn image(clients: &Clients) -> String {
    let mut layout = OciLayout::create(&clients.path("image"));
    let layers = [layout.random_layer(1, 10_000), layout.random_layer(2, LARGE)];
    let image = layout.image("amd64", &layers);
    layout.tag("image", &image)
}

/// The digests of config and layers, as the manifest has them.
fn digests(manifest: &[u8]) -> Vec<String> {
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    [&manifest["config"]].into_iter().chain(layers).map(|one| one["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_fetched_has_the_registry_s_bytes() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    clients.push(&[], &image(&clients), &registry.image("org/app:1"));
    let tagged = registry.tagged("org/app", "1");
    let fetch = |words: &[&str]| run(clients.ours().args(words));
    let manifest = fetch(&["fetch-object", HTTP, &registry.image("org/app:1")]);
    assert!(manifest == registry.kept(&tagged));
    assert!(manifest == fetch(&["fetch-object", HTTP, &registry.image(&format!("org/app@{tagged}"))]));
    let digests = digests(&manifest);
    for digest in &digests {
        let by_reference = registry.image(&format!("org/app@{digest}"));
        assert!(fetch(&["fetch-object", HTTP, &by_reference]) == registry.kept(digest), "{digest}");
        assert!(fetch(&["fetch-blob", HTTP, &registry.image("org/app"), digest]) == registry.kept(digest));
    }
    let words: Vec<_> = ["fetch-object", HTTP].into_iter().map(str::to_owned).collect();
    let all = [words, vec![registry.image("org/app:1")], digests.clone(), vec![tagged.clone()]].concat();
    let kept: Vec<u8> = digests.iter().chain([&tagged]).flat_map(|digest| registry.kept(digest)).collect();
    assert!(run(clients.ours().args(all)) == kept);
    let missing = registry.image(&format!("org/app@sha256:{}", "0".repeat(64)));
    assert_eq!(finish(clients.ours().args(["fetch-object", HTTP, &missing])).status.code(), Some(3));
}

#[test]
fn a_token_is_asked_for_once_and_without_the_account_nothing_comes() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::token(&program);
    let reference = registry.image("org/app:1");
    let auth = clients.auth_file(registry.host(), USER, PASSWORD);
    let authfile = ["--authfile", auth.to_str().unwrap()];
    clients.push(&authfile, &image(&clients), &reference);
    let server = registry.token_server();
    server.take_asked();
    let tagged = registry.tagged("org/app", "1");
    let layer = digests(&registry.kept(&tagged))[2].clone();
    for words in [&["fetch-object", HTTP, &reference, &layer], &["fetch-blob", HTTP, &reference, &layer]] {
        let fetched = run(clients.ours().args(words).args(authfile));
        assert!(fetched == registry.kept(&layer), "{words:?}");
        let asked = server.take_asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert!(asked[0].authenticated && asked[0].scopes == ["repository:org/app:pull"], "{asked:?}");
        let refused = finish(clients.ours().args(words));
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(4), 0), "{words:?}");
        server.take_asked();
    }
}

/// A line to a server, which goes dead once so much has come over it.
struct DyingLine(SocketAddr);

impl DyingLine {
    fn to(server: &str, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (server, left) = (server.to_owned(), Arc::new(AtomicUsize::new(bytes)));
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if left.load(Ordering::Relaxed) == 0 {
                    continue;
                }
                let far = TcpStream::connect(&server).unwrap();
                let (reader, writer) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || forward(reader, writer, &AtomicUsize::new(usize::MAX)));
                let left = Arc::clone(&left);
                thread::spawn(move || forward(far, near, &left));
            }
        });
        Self(address)
    }
}

/// Carries at most so many bytes; then both ends are told that it is over.
fn forward(mut from: TcpStream, mut to: TcpStream, left: &AtomicUsize) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = from.read(&mut buffer)?.min(left.load(Ordering::Relaxed));
        if count == 0 {
            to.shutdown(Shutdown::Both)?;
            return from.shutdown(Shutdown::Both);
        }
        left.fetch_sub(count, Ordering::Relaxed);
        to.write_all(&buffer[..count])?;
    }
}

#[test]
fn a_mirror_whose_line_goes_dead_in_the_middle_is_followed_by_the_origin() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let (mirror, origin) = (DockerRegistry::anonymous(&program), DockerRegistry::anonymous(&program));
    for registry in [&mirror, &origin] {
        clients.push(&[], &image(&clients), &registry.image("org/app:1"));
    }
    let layer = digests(&origin.kept(&origin.tagged("org/app", "1")))[2].clone();
    let line = DyingLine::to(mirror.host(), LARGE / 2);
    clients.registries_conf(&format!(
        "[[registry]]\nprefix = \"registry.example/org\"\nlocation = \"{}/org\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}/org\"\ninsecure = true\n",
        origin.host(),
        line.0,
    ));
    let output = finish(clients.ours().args(["--debug", "fetch-blob", "registry.example/org/app", &layer]));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout == origin.kept(&layer), "{told}");
    // The origin has sent the rest and no more.
    assert!(told.contains("resuming"), "{told}");
    assert!(origin.log().contains(&format!("/blobs/{layer}")) || told.contains(origin.host()), "{told}");
}
