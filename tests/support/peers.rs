//! Other people's programs, which the tests compare ours with.

use std::path::{Path, PathBuf};

/// The program of that name; `None` where it is not installed, except with `CI=true`, where `.ci/run` has installed it.
pub fn peer(name: &str) -> Option<PathBuf> {
    let found = ["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(|dir| Path::new(dir).join(name));
    let found = found.into_iter().find(|program| program.is_file());
    #[allow(clippy::disallowed_methods, reason = "not a setting of the product")]
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(found.is_some() || !ci, "CI=true, and {name} is not installed");
    if found.is_none() {
        #[allow(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: {name} is not installed");
        }
    }
    found
}
