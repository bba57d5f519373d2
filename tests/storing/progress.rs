//! Pulls that are given up because nothing comes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use transship::error::one_line;
use transship::http::{
    Body, Clock, Error as HttpError, HeaderMap, ProgressWatch, Request, Response, StatusCode, TestClock, Timeouts,
    Watched, Wire, header,
};
use transship::source::Network;
use transship::store::{Error, PullRequest};

use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::tables::containerd_table;
use crate::world::{World, request};

/// Looked at when a wait ends.
const LIMIT: Duration = Duration::from_millis(80);
const IDLE: Duration = Duration::from_millis(100);

fn impatient(world: &mut World) {
    let timeouts = Timeouts { idle: IDLE, ..Timeouts::default() };
    world.options.network = Some(Network::real(&world.config(), timeouts));
}

#[test]
fn a_server_from_which_nothing_comes_is_given_up_and_named() {
    let image = Image::with_layers(["one"]);
    let layer = image.layer_digest(0).to_string();
    let path = layer.clone();
    for stalls in ["manifests", &path] {
        let stalls = stalls.to_owned();
        let registry = Registry::new()
            .image("org/app", "1", &image)
            .fault(move |path| path.contains(&stalls), .., Reply::stalling())
            .serve();
        let mut world = World::new();
        impatient(&mut world);
        let wanted = PullRequest { progress_timeout: LIMIT, ..request(&registry.reference("org/app:1")) };
        let error = world.pull(&wanted).unwrap_err();
        let Error::NoProgress { after: LIMIT, waited_for, .. } = &error else { panic!("{}", one_line(&error)) };
        assert_eq!(waited_for.len(), 1, "{}", one_line(&error));
        assert!(one_line(&error).contains(&registry.url("/v2/org/app/")), "{}", one_line(&error));
        assert!(world.leftovers().is_empty());
    }
}

#[test]
fn a_mirror_from_which_nothing_comes_is_left_before_the_pull_is_given_up() {
    let image = Image::with_layers(["one"]);
    let stalled = Registry::new()
        .image("org/app", "1", &image)
        .fault(|path| path.contains("/blobs/"), .., Reply::stalling())
        .serve();
    let origin = Registry::new().image("org/app", "1", &image).serve();
    let mut world = World::new();
    impatient(&mut world);
    let conf = format!(
        "[[registry]]\nprefix = \"registry.example\"\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        origin.authority(),
        stalled.authority()
    );
    std::fs::write(world.path("registries.conf"), conf).unwrap();
    let wanted = PullRequest { progress_timeout: Duration::from_secs(3600), ..request("registry.example/org/app:1") };
    world.pull(&wanted).unwrap();
    assert_eq!(world.images().len(), 1);
}

/// Bytes that the events of a table tell of. A read that brings nothing takes its time and fails.
struct Told {
    clock: Arc<TestClock>,
    left: Arc<Mutex<u64>>,
    spacing: Duration,
}

impl Read for Told {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut left = self.left.lock().unwrap();
        if *left == 0 {
            self.clock.sleep(self.spacing);
            return Err(io::ErrorKind::TimedOut.into());
        }
        let count = (*left).min(buffer.len() as u64);
        *left -= count;
        Ok(usize::try_from(count).unwrap())
    }
}

struct Script {
    clock: Arc<TestClock>,
    spacing: Duration,
    /// What is to come of a layer, and how large it is.
    layers: BTreeMap<String, (Arc<Mutex<u64>>, u64)>,
}

impl Wire for Script {
    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let (left, total) = &self.layers[request.url.expose().rsplit('/').next().unwrap()];
        let mut headers = HeaderMap::new();
        headers.extend((*total > 0).then(|| (header::CONTENT_LENGTH, (*total).into())));
        let body: Body =
            Box::new(Told { clock: Arc::clone(&self.clock), left: Arc::clone(left), spacing: self.spacing });
        Ok(Response { status: StatusCode::OK, headers, body, url: request.url.clone() })
    }
}

#[test]
fn what_is_under_way_and_what_came_is_counted() {
    for case in containerd_table("cri_transfer_progress") {
        let events: Vec<(String, String, u64, u64)> = serde_json::from_value(case["events"].clone()).unwrap();
        let milliseconds = |key: &str| Duration::from_millis(case[key].as_u64().unwrap_or_default());
        let clock = Arc::new(TestClock::default());
        let watch = Arc::new(ProgressWatch::new(Arc::clone(&clock) as Arc<dyn Clock>, milliseconds("timeout_ms")));
        let name = |name: &str| name.split('(').next().unwrap().to_owned();
        let layers = events.iter().map(|(layer, _, _, total)| (name(layer), (Arc::default(), *total))).collect();
        let script = Script { clock: Arc::clone(&clock), spacing: milliseconds("spacing_ms"), layers };
        let layers: BTreeMap<_, _> =
            script.layers.iter().map(|(name, (left, _))| (name.clone(), Arc::clone(left))).collect();
        let wire = Watched::new(script, Arc::clone(&watch));
        let mut bodies = BTreeMap::new();
        for (layer, _, progress, _) in &events {
            let layer = name(layer);
            let url = format!("https://r.example/{layer}").parse().unwrap();
            let (body, so_far) = bodies
                .entry(layer.clone())
                .or_insert_with(|| (wire.send(&Request::get(url, Arc::default())).unwrap().body, 0));
            *layers[&layer].lock().unwrap() = progress - *so_far;
            let read = body.read(&mut [0; 4096]);
            *so_far = *progress;
            drop(read);
        }
        let counted = (watch.active_requests() as u64, watch.bytes_read());
        if case["timeout_ms"].is_null() {
            let expected = (case["active"].as_u64().unwrap(), case["bytes"].as_u64().unwrap());
            // What the transfer service cannot tell apart is a request here all the same.
            let is_unattributed = events.iter().any(|(layer, _, _, total)| layer.contains('(') || *total == 0);
            assert_eq!(counted, if is_unattributed { (1, 500) } else { expected }, "{case}");
        } else {
            let limit = milliseconds("cancelled_within_ms");
            assert!(watch.waited_for().is_some() && clock.sleeps().iter().sum::<Duration>() < limit, "{case}");
        }
    }
}
