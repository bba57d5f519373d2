//! The conformance data beside the checkout, read in place.

use std::path::{Path, PathBuf};

/// A file or directory of `../shared`; `None` where there is none, except with `CI=true`, where it must be there.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if root.is_dir() {
        let found = root.join(path);
        assert!(found.exists(), "{} is missing", found.display());
        return Some(found);
    }
    #[allow(clippy::disallowed_methods, reason = "not a setting of the product")]
    let ci = std::env::var_os("CI");
    assert!(ci.is_none_or(|ci| ci != "true"), "CI=true, and there is no ../shared");
    eprintln!("skipped: no ../shared");
    None
}
