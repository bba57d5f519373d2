//! What a pull makes of every fault that a registry can have: all of them, at every position, with and without a source
//! left; and what two thousand pulls leave behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

mod combination;
mod fault;
mod matrix;
mod position;
mod proxy;
mod soak;
mod world;

#[allow(dead_code, reason = "other crates of tests use the rest")]
#[allow(clippy::missing_panics_doc, reason = "these are helpers of tests")]
#[path = "../support"]
mod support {
    pub mod docker_registry;
    pub mod image;
    pub mod impatient;
    pub mod local;
    pub mod peers;
    pub mod reply;
    pub mod request;
    pub mod server;
    pub mod server_tls;
    pub mod token_server;
}
