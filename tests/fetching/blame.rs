//! Which of the sources is believed, and which is blamed.

use std::io::{self, Read as _};

use transship::config::{Capabilities, PullSource};
use transship::digest::Mismatch;
use transship::error::{find, one_line};
use transship::reference::Reference;
use transship::registry;
use transship::source::{self, Content, Error, Fetcher};
use transship::{Digest, http};

use crate::scripts::LAYER;
use crate::stage::{Stage, pull_source};
use crate::support::reply::Reply;
use crate::tables::{descriptor, fetcher};

const BYTES: &[u8] = b"some bytes of a layer";

fn read(content: &mut Content) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map(|_| bytes)
}

/// Two hosts that people see under one name: a cache, and the registry itself.
fn cache_and_registry() -> (Reference, Vec<PullSource>) {
    let reference: Reference = "reg.test/foo/bar:1".parse().unwrap();
    let hosts = ["/v2/cache", "/v2"].map(|path| pull_source(&reference, "reg.test", path, Capabilities::ALL));
    assert_eq!(hosts[0].physical, hosts[1].physical);
    (reference, hosts.into())
}

fn of_cache_and_registry(stage: &Stage) -> Fetcher {
    let (reference, hosts) = cache_and_registry();
    source::fetcher_pull_sources(&stage.config(), &reference, hosts, &stage.options())
}

#[test]
fn a_size_is_not_doubted_because_its_sources_break_down() {
    let stage = Stage::new(vec![
        ("HEAD m1.test", vec![Reply::ok(BYTES)]),
        ("GET m1.test", vec![Reply::ok(BYTES).cut_after(5)]),
        ("reg.test", vec![Reply::new(503)]),
    ]);
    let (fetcher, digest) = (fetcher(&stage, &["m1.test", "reg.test"]), Digest::sha256(BYTES));
    let (_, mut content) = fetcher.fetch_by_digest(&digest, None).unwrap();
    let error = read(&mut content).unwrap_err();
    let Some(Error::AllSourcesFailed(all)) = find(&error) else { panic!("{error}") };
    assert!(matches!(find(&*all.mirrors[0].error), Some(registry::Error::Cut { .. })), "{}", one_line(&error));
    assert!(!content.is_worth_another_try());
    let (known, _) = fetcher.fetch_by_digest(&digest, None).unwrap();
    assert_eq!(known.size(), BYTES.len() as u64, "who told it is still asked");
}

#[test]
fn a_size_that_the_caller_says_is_nobody_else_s_fault() {
    let stage = Stage::new(vec![
        ("manifests", vec![Reply::new(404)]),
        ("HEAD m1.test", vec![Reply::ok(BYTES)]),
        ("GET m1.test", vec![Reply::new(404)]),
        ("GET reg.test", vec![Reply::ok(BYTES), Reply::new(416)]),
    ]);
    let reference: Reference = format!("reg.test/foo@{}", Digest::sha256(BYTES)).parse().unwrap();
    let hosts =
        ["m1.test", "reg.test"].map(|host| pull_source(&reference, host, "", Capabilities::ALL)).into_iter().collect();
    let resolved = source::resolve_pull_sources(&stage.config(), &reference, hosts, &stage.options()).unwrap();
    let mut longer = descriptor(LAYER, BYTES, &[]);
    longer.set_size(100);
    let mut content = resolved.fetcher.fetch(&longer).unwrap();
    read(&mut content).unwrap_err();
    assert!(!content.is_worth_another_try());
}

#[test]
fn the_error_is_the_primary_s_whatever_it_is_called() {
    let stage = Stage::new(vec![("reg.test/v2/cache", vec![Reply::new(401)])]);
    let (reference, hosts) = cache_and_registry();
    let error = source::resolve_pull_sources(&stage.config(), &reference, hosts, &stage.options()).unwrap_err();
    let Error::AllSourcesFailed(all) = &error else { panic!("{error}") };
    assert!(all.mirrors[0].error.is_unauthorized() && error.is_not_found(), "{}", one_line(&error));
}

#[test]
fn who_delivered_wrong_bytes_is_named_beside_another_of_the_same_name() {
    let wrong = Reply::ok(BYTES).corrupt(3);
    let stage = Stage::new(vec![("reg.test/v2/cache", vec![wrong])]);
    let fetcher = of_cache_and_registry(&stage);
    let layer = descriptor(LAYER, BYTES, &[]);
    let mut content = fetcher.fetch(&layer).unwrap();
    read(&mut content).unwrap_err();
    assert!(content.is_worth_another_try());
    let error = read(&mut fetcher.fetch(&layer).unwrap()).unwrap_err();
    let Some(Error::AllSourcesFailed(all)) = find(&error) else { panic!("{error}") };
    assert!(matches!(find(&*all.mirrors[0].error), Some(Mismatch::Digest { .. })), "{}", one_line(&error));
    let of_primary: &registry::ErrorResponse = find(&*all.primary.error).unwrap();
    assert_eq!(of_primary.status, http::StatusCode::NOT_FOUND);
}

#[test]
fn who_told_a_wrong_size_is_not_taken_for_another_of_the_same_name() {
    let stage = Stage::new(vec![
        ("HEAD reg.test/v2/cache", vec![Reply::ok(&BYTES[..5])]),
        ("reg.test/v2/cache", vec![Reply::new(404)]),
        ("blobs", vec![Reply::ok(BYTES)]),
    ]);
    let (fetcher, digest) = (of_cache_and_registry(&stage), Digest::sha256(BYTES));
    let (_, mut content) = fetcher.fetch_by_digest(&digest, None).unwrap();
    read(&mut content).unwrap_err();
    assert!(content.is_worth_another_try());
    let (_, mut content) = fetcher.fetch_by_digest(&digest, None).unwrap();
    assert_eq!(read(&mut content).unwrap(), BYTES);
}
