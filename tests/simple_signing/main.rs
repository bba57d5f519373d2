//! Simple signing: payloads, how signatures are stored, and OpenPGP, against the tables of containers/image and keys of
//! the tests' own.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

mod attacks;
mod fixtures;
mod gpg;
mod openpgp_table;
mod payload;
#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/shared.rs"]
mod shared;
#[path = "../support/signing_keys.rs"]
mod signing_keys;
mod stored;
#[path = "../support/tables.rs"]
mod tables;
