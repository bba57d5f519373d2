//! The signatures of an image are found in every place that may have them, in order, and nowhere else; and a place that
//! cannot be read is an error.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod attachments;
mod dir;
mod extension;
mod lookaside;
mod lookaside_tls;
mod machine;
mod places;
mod real_registry;
mod referrers;

#[path = "../support"]
mod support {
    #![allow(dead_code, unreachable_pub, reason = "each test uses its own part of it")]

    pub mod command;
    pub mod docker_registry;
    pub mod image;
    pub mod peers;
    pub mod registry;
    pub mod reply;
    pub mod request;
    pub mod server;
    pub mod server_tls;
    pub mod signature_store;
    pub mod token;
    pub mod token_server;
}
