//! Many images at a time: which they are, how they are called, which are left alone, and what becomes of failures.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod comparing;
mod converting;
mod copying;
mod failing;
mod listing;
mod naming;
mod signatures;
mod versions;
mod world;

#[path = "../support/mod.rs"]
mod support;
