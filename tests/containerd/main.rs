//! Images by containerd's files and k3s': which hosts are asked, for what, with what.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(clippy::format_collect, reason = "files are short")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

mod capabilities;
#[cfg(feature = "cli")]
mod ctr;
#[cfg(feature = "cli")]
mod daemon;
mod headers;
mod hosts;
#[cfg(feature = "cli")]
mod real_registry;
mod rewriting;
mod tls;
mod tree;

#[allow(dead_code, reason = "other crates of tests use the rest")]
#[allow(clippy::missing_panics_doc, reason = "these are helpers of tests")]
#[path = "../support"]
mod support {
    pub mod clients;
    pub mod closed_port;
    pub mod command;
    pub mod containerd;
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
    pub(crate) mod shared;
    pub(crate) mod tables;
    pub mod token;
    pub mod token_server;
    pub mod uploads;
}
