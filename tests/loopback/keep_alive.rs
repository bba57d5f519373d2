//! Connections that are kept, and servers that close them all the same.

use std::sync::Arc;

use transship::http::{Method, Proxies, Request, Timeouts, UreqWire, Wire as _};

use crate::machine::{LOGICAL, Machine, layer, noise};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::server::Server;

const LAYERS: usize = 20;

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &Image::with_layers((1..=LAYERS).map(noise)))
}

fn is_blob(path: &str) -> bool {
    path.contains("/blobs/")
}

fn read_all_layers(machine: &Machine) {
    let source = machine.open(LOGICAL).unwrap();
    for number in 0..LAYERS {
        assert_eq!(layer(&*source, number).unwrap(), noise(number + 1));
    }
}

#[test]
fn one_connection_serves_one_request_after_another() {
    for chunked in [false, true] {
        let origin = registry().spoil(is_blob, .., move |reply| if chunked { reply.chunked() } else { reply }).serve();
        read_all_layers(&Machine::of(&[&origin]));
        assert_eq!(origin.connections(), 2, "one that was greeted with TLS, one for everything else");
    }
}

/// The answer is whole, and the connection is closed behind it without a word.
#[test]
fn a_connection_that_was_closed_between_requests_is_replaced_without_waiting() {
    let origin = registry().spoil(|_| true, .., |reply| reply.cut_after(usize::MAX)).serve();
    let machine = Machine::of(&[&origin]);
    read_all_layers(&machine);
    assert!(machine.clock.sleeps().is_empty(), "{:?}", machine.clock.sleeps());
}

/// The server closed at the very moment in which the next request was under way.
#[test]
fn a_request_that_met_a_closing_connection_is_sent_again_without_waiting() {
    for meeting in [Reply::close_without_answer(), Reply::reset()] {
        let digest = Image::with_layers((1..=LAYERS).map(noise)).layer_digest(3);
        let origin = registry().fault(move |path| path.ends_with(digest.as_str()), 1..=1, meeting).serve();
        let machine = Machine::of(&[&origin]);
        read_all_layers(&machine);
        assert!(machine.clock.sleeps().is_empty(), "{:?}", machine.clock.sleeps());
        assert_eq!(origin.asked().len(), 1 + LAYERS + 1);
    }
}

#[test]
fn a_server_that_says_it_closes_is_believed() {
    let origin = registry().spoil(|_| true, .., Reply::closing).serve();
    let machine = Machine::of(&[&origin]);
    read_all_layers(&machine);
    assert_eq!(origin.connections(), 1 + 1 + LAYERS);
    assert!(machine.clock.sleeps().is_empty());
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body_and_keeps_its_connection() {
    let server = Server::http(|_| Reply::ok(noise(1000)));
    let wire = UreqWire::new(Timeouts::default(), Proxies::default(), "test");
    let mut request = Request::get(server.url("/").parse().unwrap(), Arc::default());
    for method in [Method::HEAD, Method::GET, Method::HEAD] {
        request.method = method.clone();
        let response = wire.send(&request).unwrap();
        assert_eq!(response.single_header("content-length"), Some("1000"));
        let expected = if method == Method::HEAD { 0 } else { 1000 };
        assert_eq!(response.into_bytes(2000).unwrap().len(), expected);
    }
    assert_eq!(server.connections(), 1);
}
