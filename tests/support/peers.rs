//! Other people's programs, which the tests compare ours with.

use std::path::{Path, PathBuf};

/// The program of that name; `None` where it is not installed, except with `CI=true`, where `.ci/run` has installed it.
pub fn peer(name: &str) -> Option<PathBuf> {
    let found = ["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(|dir| Path::new(dir).join(name));
    let found = found.into_iter().find(|program| program.is_file());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// Says why a test does nothing; with `CI=true`, it fails.
pub fn skip(reason: &str) {
    #[allow(clippy::disallowed_methods, reason = "not a setting of the product")]
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!ci, "CI=true, and {reason}");
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    {
        eprintln!("skipped: {reason}");
    }
}
