//! The policy: whose signature, for which name, is enough for which image.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod attacks;
mod evaluation;
mod identity;
mod judgements;
mod made;
#[path = "../support/shared.rs"]
mod shared;
#[path = "../support/signing_keys.rs"]
mod signing_keys;
#[path = "../support/sigstore.rs"]
mod sigstore;
mod sigstore_signed;
#[path = "../support/tables.rs"]
mod tables;
