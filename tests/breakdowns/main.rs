//! What the program leaves when something breaks on its way: killed processes, full disks, registries that refuse.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

use std::process::Child;
use std::thread;
use std::time::Duration;

mod disks;
mod killed_pulls;
mod killed_pushes;
mod killed_root_fs;
#[allow(dead_code, reason = "other crates of tests use the rest")]
#[path = "../cli/program.rs"]
mod program;
mod refusals;
mod together;

#[allow(dead_code, reason = "other crates of tests use the rest")]
#[allow(clippy::missing_panics_doc, reason = "these are helpers of tests")]
#[path = "../support"]
mod support {
    pub mod clients;
    pub mod command;
    pub mod docker_registry;
    pub mod image;
    pub mod line;
    pub mod listing;
    pub mod local;
    pub mod oci_layout;
    pub mod peers;
    pub mod registry;
    pub mod reply;
    pub mod request;
    pub mod rootfs;
    pub mod server;
    pub mod server_tls;
    pub mod token;
    pub mod token_server;
    pub mod uploads;
}

/// Bytes without a pattern, always the same.
fn noise(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(size as u64);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}

/// Waits for something that the program does.
fn wait_until(child: &mut Child, is_done: impl Fn() -> bool) {
    while !is_done() {
        assert!(child.try_wait().unwrap().is_none(), "the copy ended by itself");
        thread::sleep(Duration::from_millis(1));
    }
}
