//! Whole pulls, each played on loopback servers and from its recording in `tests/fixtures/har`.
//!
//! `docs/testing.md` says how the recordings are made.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are tests")]

mod authorization;
mod content;
mod mirrors;
mod mirrors_fail;
mod pull;
mod stage;
mod tags;
mod token;

#[path = "../support"]
mod support {
    #![allow(dead_code, unreachable_pub, reason = "each test uses its own part of it")]

    pub mod closed_port;
    pub mod image;
    pub mod registry;
    pub mod reply;
    pub mod request;
    pub mod server;
    pub mod server_tls;
    pub mod token;
}

use support::image::Image;
use support::reply::Reply;
use support::request::ReceivedRequest;

/// What most stories are about, by this name.
const APP: &str = "docker://registry.example/org/app:1";

/// Small, and different in every part.
fn app() -> Image {
    Image::with_layers(["the lower layer", "the upper layer"])
}

/// The beginning of `registries.conf`, where mirrors are added.
const REGISTRY: &str = "[[registry]]\nlocation = \"registry.example\"\n";

fn with_mirrors(mirrors: &[&str]) -> String {
    let mirror = |host: &&str| format!("[[registry.mirror]]\nlocation = \"{host}\"\n");
    REGISTRY.to_owned() + &mirrors.iter().map(mirror).collect::<String>()
}

/// Answers what a registry that has nothing but this image would, for the stories with a special way in.
fn serve_image(image: &Image, request: &ReceivedRequest) -> Reply {
    let blobs = image.blobs();
    let blob = blobs.iter().find(|(digest, _)| request.path().ends_with(digest.as_str()));
    match blob {
        Some((_, bytes)) => Reply::ok(bytes.clone()),
        None if request.path().contains("/manifests/") => {
            Reply::ok(image.manifest()).header("Content-Type", image.media_type())
        }
        None => Reply::new(404),
    }
}

fn unauthorized(challenge: &str) -> Reply {
    Reply::new(401).header("WWW-Authenticate", challenge)
}
