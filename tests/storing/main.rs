//! An image store: how images are called, what is shared between pulls, and what goes when.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod auth;
mod keeping;
mod names;
mod progress;
mod pulling;
mod sharing;
mod world;

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/shared.rs"]
mod shared;
#[path = "../support/tables.rs"]
mod tables;
