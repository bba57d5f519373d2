//! Copies that change what they write: the kind of manifest, the compression of layers, the instances of an index.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "the modules of a test are no library")]

mod instances;
mod kinds;
mod layer_types;
mod layers;
#[allow(dead_code, reason = "other crates of tests use the rest")]
#[path = "../archives/made.rs"]
mod made;
mod places;
mod recompressing;
mod refused;
mod skopeo;
mod unchanged;
mod words;

#[allow(dead_code, reason = "other crates of tests use the rest")]
#[path = "../support"]
mod support {
    pub mod clients;
    pub mod command;
    pub mod docker_registry;
    pub mod image;
    pub mod listing;
    pub mod oci_layout;
    pub mod peers;
    pub mod registry;
    pub mod reply;
    pub mod request;
    pub mod server;
    pub mod server_tls;
    pub mod shared;
    pub mod tables;
    pub mod token;
    pub mod token_server;
    pub mod uploads;
}
