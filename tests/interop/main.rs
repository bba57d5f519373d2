//! Signatures between real programs: gpg, openssl, skopeo, Debian's registry and nginx make, keep and judge what we make,
//! and we what they make.
//!
//! Debian 12's skopeo carries sigstore signatures and has their making and their verification switched off. A newer one,
//! `skopeo-sigstore`, does those, and openssl.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

mod attacks;
mod gpg;
mod guarded;
mod nginx;
mod pipeline;
mod places;
#[path = "../cli/program.rs"]
#[allow(dead_code, reason = "other crates of tests use the rest")]
mod program;
mod sigstore;
mod standalone;
mod verdicts;
mod web_store;
mod world;

#[allow(dead_code, reason = "other crates of tests use the rest")]
#[allow(clippy::missing_panics_doc, reason = "these are helpers of tests")]
#[path = "../support"]
mod support {
    pub mod clients;
    pub mod closed_port;
    pub mod command;
    pub mod docker_registry;
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
    pub mod signature_store;
    pub mod signing_keys;
    pub mod token;
    pub mod token_server;
}
