//! The program as its users meet it: words in, bytes and an exit code out, nothing of this machine's own configuration.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

mod archives;
mod cancelled;
mod containerd;
mod copying;
mod credentials;
mod explaining;
mod fetching;
mod generated;
mod help;
mod inspecting;
mod interrupted;
mod logins;
#[allow(dead_code, reason = "its `main` is for those who run it")]
#[path = "../../examples/man.rs"]
mod man;
mod outcomes;
mod platforms;
mod policies;
mod program;
mod progress;
mod ranges;
mod signing;
#[path = "../support/signing_keys.rs"]
mod signing_keys;
mod storing;
mod syncing;

#[allow(dead_code, reason = "other crates of tests use the rest")]
#[allow(clippy::missing_panics_doc, reason = "these are helpers of tests")]
#[path = "../support"]
mod support {
    pub mod clients;
    pub mod closed_port;
    pub mod command;
    pub mod docker_registry;
    pub mod helpers;
    pub mod image;
    pub mod listing;
    pub mod local;
    pub mod oci_layout;
    pub mod peers;
    pub mod registry;
    pub mod reply;
    pub mod request;
    pub mod server;
    pub mod server_tls;
    pub mod token;
    pub mod token_server;
    pub mod uploads;
}
