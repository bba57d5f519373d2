//! What the network does to a pull: certificates, proxies, stalls, cuts, lies about lengths, bodies without end. All on
//! the loopback, through the public library, with a configuration of its own.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod concurrency;
mod counting;
mod cuts;
mod external;
mod forwarder;
mod health;
mod keep_alive;
mod machine;
mod many_cuts;
mod mounting;
mod proxies;
mod pushed_once;
mod pushed_signatures;
mod pushing;
mod ranges;
mod resuming;
mod stalls;
mod tls;
mod uploads;
mod wrong_bytes;

#[path = "../support/mod.rs"]
mod support;
