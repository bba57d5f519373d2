//! Loopback servers for tests and examples: a scripted HTTP server, its TLS, and a small registry on top.
//!
//! A test says `mod support;`, an example `#[path = "../tests/support/mod.rs"] mod support;`.

#![allow(dead_code, unreachable_pub, reason = "each test uses its own part of it")]
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "a server of tests may panic")]
#![allow(clippy::missing_panics_doc, reason = "the same")]

pub mod blackhole;
pub mod closed_port;
pub mod image;
pub mod impatient;
pub mod registry;
pub mod reply;
pub mod request;
pub mod server;
pub mod server_tls;
pub mod signature_store;
pub mod token;
pub mod uploads;
