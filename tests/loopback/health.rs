//! Mirrors that do not work: what they cost, and how they come back.

use std::time::Duration;

use transship::error::one_line;
use transship::http::{Clock as _, Timeouts};

use crate::machine::{LOGICAL, Machine, first_layer, layer, noise, read, served};
use crate::support::blackhole::Blackhole;
use crate::support::closed_port::ClosedPort;
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;

const MINUTE: Duration = Duration::from_secs(60);
const LAYERS: usize = 20;

fn image() -> Image {
    Image::with_layers((0..LAYERS).map(|number| noise(100 + number)))
}

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &image())
}

fn is_manifest(path: &str) -> bool {
    path.contains("/manifests/")
}

/// `registry.example/org`, with a mirror at this address that must speak https, and an origin.
fn with_mirror_at(authority: &str, origin: &RunningRegistry) -> Machine {
    let conf = format!(
        "[[registry]]\nprefix = \"registry.example/org\"\nlocation = \"{}/org\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{authority}/org\"\n",
        origin.authority()
    );
    Machine::new().registries_conf(&conf)
}

fn aside(machine: &Machine) -> Vec<String> {
    machine.health.set_aside(machine.clock.now()).into_iter().map(|aside| aside.endpoint).collect()
}

#[test]
fn a_dead_mirror_costs_one_connection_and_not_one_a_layer_or_an_image() {
    let (blackhole, closed) = (Blackhole::new(), ClosedPort::new());
    for mirror in [blackhole.address(), closed.address()].map(|address| address.to_string()) {
        let origin = registry().serve();
        let mut machine = with_mirror_at(&mirror, &origin);
        machine.timeouts = Timeouts { connect: Duration::from_millis(100), ..Timeouts::default() };
        machine.copy().unwrap_or_else(|error| panic!("{}", one_line(&error)));
        let once = machine.count.sent_to(&mirror);
        // A refused connection is tried once more.
        assert!(once == 1 || mirror == closed.address().to_string() && once == 2, "{once}");
        machine.copy().unwrap();
        assert_eq!(machine.count.sent_to(&mirror), once, "the next image does not ask it first");

        machine.clock.sleep(MINUTE);
        machine.copy().unwrap();
        assert_eq!(machine.count.sent_to(&mirror), 2 * once, "after a while it is asked again, once");
        machine.clock.sleep(MINUTE);
        machine.copy().unwrap();
        assert_eq!(machine.count.sent_to(&mirror), 2 * once, "and is left alone for longer");
        machine.clock.sleep(MINUTE);
        machine.copy().unwrap();
        assert_eq!(machine.count.sent_to(&mirror), 3 * once);
    }
}

#[test]
fn what_the_next_request_would_meet_too_sets_a_mirror_aside_and_nothing_else_does() {
    let manifest = |reply: Reply| registry().fault(is_manifest, .., reply);
    let cut = |reply: Reply| reply.cut_after(10);
    for (what, mirror, is_aside) in [
        ("500", manifest(Reply::new(500)), true),
        ("503", manifest(Reply::new(503)), true),
        ("504", manifest(Reply::new(504)), true),
        ("silence", manifest(Reply::stalling()), true),
        ("a connection that is closed", manifest(Reply::close_without_answer()), true),
        ("404", manifest(Reply::new(404)), false),
        ("403", manifest(Reply::new(403)), false),
        ("429", manifest(Reply::new(429)), false),
        ("a page of something else", manifest(Reply::ok("<html>")), false),
        ("a cut", registry().spoil(is_manifest, .., cut), false),
        ("an image", registry(), false),
    ] {
        let (mirror, origin) = (mirror.serve(), registry().serve());
        let machine = Machine::of(&[&mirror, &origin]).impatient(&mirror, "/manifests/", Duration::from_millis(200));
        machine.open(LOGICAL).unwrap();
        assert_eq!(aside(&machine), vec![mirror.authority(); usize::from(is_aside)], "{what}");
    }
}

#[test]
fn a_mirror_that_stalls_in_a_body_is_set_aside_too() {
    let is_first = |path: &str| path.ends_with(image().layer_digest(0).as_str());
    let stalling = |reply: Reply| reply.stall_after(10);
    let (mirror, origin) = (registry().spoil(is_first, .., stalling).serve(), registry().serve());
    let machine = Machine::of(&[&mirror, &origin]).impatient(&mirror, "/blobs/", Duration::from_millis(200));
    let source = machine.open(LOGICAL).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), noise(100));
    assert_eq!(aside(&machine), [mirror.authority()]);
    assert!(machine.open(LOGICAL).unwrap().physical().to_string().contains(&origin.authority()));
    machine.clock.sleep(MINUTE);
    assert!(machine.open(LOGICAL).unwrap().physical().to_string().contains(&mirror.authority()));
}

#[test]
fn a_mirror_that_is_set_aside_is_asked_last_and_gets_its_place_back_when_it_delivers() {
    let digest = image().layer_digest(0);
    let mirror = registry().fault(is_manifest, 1..=2, Reply::new(503)).serve();
    let origin = registry().without_blob(&digest).serve();
    let machine = Machine::of(&[&mirror, &origin]);
    let source = machine.open(LOGICAL).unwrap();
    assert_eq!(aside(&machine), [mirror.authority()]);
    let mut blob = first_layer(&*source).unwrap();
    assert_eq!(read(&mut blob).0, noise(100));
    assert_eq!(served(&blob), [(mirror.authority(), 100)]);
    assert_eq!(aside(&machine), [""; 0]);
    assert!(machine.open(LOGICAL).unwrap().physical().to_string().contains(&mirror.authority()));
}

#[test]
fn an_origin_that_stands_alone_is_asked_whatever_it_did() {
    let origin = registry().fault(is_manifest, 1..=4, Reply::new(503)).serve();
    let machine = Machine::of(&[&origin]);
    assert!(machine.refusal(LOGICAL).is_transient());
    assert_eq!(aside(&machine), [origin.authority()]);
    machine.copy().unwrap();
}
