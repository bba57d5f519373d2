//! Images out of a registry and back into one, by way of each local place, each step by us and by skopeo: nothing is
//! lost, and what changes changes where `table.rs` says so.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should panic"
)]
#![allow(unreachable_pub, reason = "the modules of a test are no library")]

mod images;
mod kept;
mod table;
mod trips;

#[allow(dead_code, reason = "the tests of archives use the rest")]
#[path = "../archives/made.rs"]
mod made;

#[allow(dead_code, reason = "other crates of tests use the rest")]
#[path = "../support"]
mod support {
    pub mod clients;
    pub mod command;
    pub mod docker_registry;
    pub mod listing;
    pub mod oci_layout;
    pub mod peers;
    pub mod token_server;
}

use table::Place;

#[test]
fn nothing_is_lost_by_way_of_a_directory() {
    trips::by_way_of(Place::Dir);
}

#[test]
fn nothing_is_lost_by_way_of_a_layout() {
    trips::by_way_of(Place::Oci);
}

#[test]
fn nothing_is_lost_by_way_of_an_archive_of_a_layout() {
    trips::by_way_of(Place::OciArchive);
}

#[test]
fn nothing_is_lost_by_way_of_an_archive_for_docker() {
    trips::by_way_of(Place::DockerArchive);
}
