//! Signatures of sigstore: against the vectors of containers/image, against a small sigstore of our own, and against
//! skopeo.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

#[path = "../support"]
mod support {
    #[allow(dead_code, reason = "other tests' support as well")]
    pub(crate) mod local;
    #[allow(unreachable_pub, clippy::print_stderr, reason = "other tests' support as well")]
    pub(crate) mod peers;
    pub(crate) mod shared;
    pub(crate) mod sigstore;
    pub(crate) mod tables;
}

mod bundles;
mod certificates;
mod garbage;
mod keys;
mod payloads;
mod private_keys;
mod rekor;
mod vectors;

use std::error::Error;
use std::time::SystemTime;

use transship::error::one_line;
use transship::signature::sigstore::{self, ErrorKind, SigstoreSignature, Trust, Verified};

use support::sigstore::{SIGNED_AT, at};

/// The outcome a while after the signatures of the tests were made.
fn verify(signature: &SigstoreSignature, trust: &Trust) -> Result<Verified, sigstore::SigstoreError> {
    sigstore::verify(signature, trust, at(SIGNED_AT + 3600))
}

/// The same at present, for certificates that are made today.
fn verify_now(signature: &SigstoreSignature, trust: &Trust) -> Result<Verified, sigstore::SigstoreError> {
    sigstore::verify(signature, trust, SystemTime::now())
}

/// Fails unless the signature is refused, as this kind, with a reason that says all of `words`.
#[track_caller]
fn assert_refused(outcome: Result<Verified, sigstore::SigstoreError>, kind: ErrorKind, words: &str) {
    let error = outcome.unwrap_err();
    let reason = one_line(&error);
    assert_eq!(error.kind(), kind, "{reason}");
    assert!(reason.contains(words), "{reason}: does not say {words:?}");
}

/// An error with its causes, as a report prints it.
fn reason(error: &(dyn Error + 'static)) -> String {
    one_line(error)
}
