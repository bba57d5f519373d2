//! References that are resolved, and content that is fetched: on scripted servers, against the tables and the exchanges
//! of containerd.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

mod blame;
mod exchange;
mod fetching;
mod scripts;
mod stage;
mod tables;
mod traces;

#[allow(dead_code, reason = "other crates of tests use the rest")]
#[allow(clippy::missing_panics_doc, reason = "these are helpers of tests")]
#[path = "../support"]
mod support {
    pub mod closed_port;
    pub mod reply;
    pub mod request;
    pub mod server;
    pub mod server_tls;
    pub mod shared;
    pub mod tables;
}
