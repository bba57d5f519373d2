//! Through the proxies that the environment names.
//!
//! The host of these tests exists nowhere: only a proxy can lead there.

use transship::error::one_line;
use transship::http::Error;

use crate::forwarder::Forwarder;
use crate::machine::{Machine, http_error, layer};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::server_tls::ServerTls;

/// The host that [`ServerTls::for_another_host`] is for.
const REGISTRY: &str = "elsewhere.example:5000";
const REFERENCE: &str = "elsewhere.example:5000/org/app:1";

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &Image::with_layers(["a layer"]))
}

#[test]
fn https_goes_through_a_tunnel_of_the_https_proxy_and_is_verified_at_its_end() {
    let tls = ServerTls::for_another_host();
    let registry = registry().serve_tls(&tls);
    let (http, https) = (Forwarder::refusing(500), Forwarder::to(&registry.authority()));
    let machine = Machine::new().trusting(REGISTRY, &tls).proxies(Some(&http.url()), Some(&https.url()), None);
    let source = machine.open(REFERENCE).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), b"a layer");
    assert_eq!(https.asked(), [format!("CONNECT {REGISTRY} HTTP/1.1")]);
    assert!(http.asked().is_empty());

    let distrustful = Machine::new().proxies(None, Some(&https.url()), None);
    assert!(matches!(http_error(&distrustful.refusal(REFERENCE)), Error::Tls { .. }));
}

#[test]
fn http_goes_through_the_http_proxy_after_https_was_tried_through_its_own() {
    let registry = registry().serve();
    let (http, https) = (Forwarder::to(&registry.authority()), Forwarder::to(&registry.authority()));
    let machine = Machine::new().insecure(REGISTRY).proxies(Some(&http.url()), Some(&https.url()), None);
    let source = machine.open(REFERENCE).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), b"a layer");
    assert_eq!(https.asked().len(), 1);
    assert_eq!(http.asked(), [format!("CONNECT {REGISTRY} HTTP/1.1")]);
    assert!(registry.requests().iter().all(|request| request.header("host") == Some(REGISTRY)));
}

/// To connect to the unspecified address is to connect to this machine, but it is no loopback address.
#[test]
fn no_proxy_leads_around_the_proxies() {
    let registry = registry().serve();
    let port = registry.authority().split_once(':').unwrap().1.to_owned();
    let reference = format!("0.0.0.0:{port}/org/app:1");
    for (no_proxy, is_proxied) in
        [("", true), ("0.0.0.0", false), ("0.0.0.0/8", false), ("*", false), ("0.0.0.0:1", true)]
    {
        let proxy = Forwarder::to(&registry.authority());
        let machine = Machine::new().insecure(&format!("0.0.0.0:{port}")).proxies(
            Some(&proxy.url()),
            Some(&proxy.url()),
            Some(no_proxy),
        );
        machine.open(&reference).unwrap();
        assert_eq!(!proxy.asked().is_empty(), is_proxied, "{no_proxy:?}");
    }
}

#[test]
fn this_machine_is_never_reached_through_a_proxy() {
    let registry = registry().serve();
    let proxy = Forwarder::refusing(500);
    let machine = Machine::new().insecure(&registry.authority()).proxies(Some(&proxy.url()), Some(&proxy.url()), None);
    machine.open(&registry.reference("org/app:1")).unwrap();
    assert!(proxy.asked().is_empty());
}

#[test]
fn the_password_of_a_proxy_is_shown_to_the_proxy_and_to_nobody_else() {
    let proxy = Forwarder::refusing(407);
    let url = format!("http://me:canary@{}", proxy.authority());
    let machine = Machine::new().proxies(None, Some(&url), None);
    let error = machine.refusal(REFERENCE);
    assert!(matches!(http_error(&error), Error::Connect { .. }));
    let text = format!("{} {error:?}", one_line(&error));
    assert!(text.contains("407") && !text.contains("canary"), "{text}");
    // me:canary
    assert!(proxy.heads()[0].contains("Proxy-Authorization: Basic bWU6Y2FuYXJ5"));
}

#[test]
fn a_proxy_that_is_none_is_an_error_without_its_password() {
    let machine = Machine::new().proxies(None, Some("gopher://me:canary@proxy.example"), None);
    let error = machine.refusal(REFERENCE);
    assert!(matches!(http_error(&error), Error::BadProxy { .. }), "{}", one_line(&error));
    assert!(!format!("{} {error:?}", one_line(&error)).contains("canary"));
    assert!(machine.clock.sleeps().is_empty());
}
