//! Trees of files, written down to be compared.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::oci_layout::digest;

/// One line for each file below, sorted by name: name, mode with type, owner and group; of a regular file modification time, size and
/// digest or the first name of a hard link; of a symbolic link the target.
pub fn listing(root: &Path) -> String {
    let mut seen = HashMap::new();
    let mut lines = String::new();
    walk(root, &mut |path, metadata| {
        let name = path.strip_prefix(root).unwrap().display();
        write!(lines, "{name} {:o} {}:{}", metadata.mode(), metadata.uid(), metadata.gid()).unwrap();
        if metadata.is_symlink() {
            write!(lines, " -> {}", fs::read_link(path).unwrap().display()).unwrap();
        } else if metadata.is_file() {
            let first = seen.entry(metadata.ino()).or_insert_with(|| name.to_string());
            if metadata.nlink() > 1 && *first != name.to_string() {
                write!(lines, " = {first}").unwrap();
            } else {
                write!(lines, " {} {} {}", metadata.mtime(), metadata.len(), digest(path)).unwrap();
            }
        }
        lines.push('\n');
    });
    lines
}

/// Names, sizes and digests alone, for trees whose owner and time are their makers' affair.
pub fn contents(root: &Path) -> String {
    let mut lines = String::new();
    walk(root, &mut |path, metadata| {
        let name = path.strip_prefix(root).unwrap().display();
        if metadata.is_file() {
            writeln!(lines, "{name} {} {}", metadata.len(), digest(path)).unwrap();
        } else {
            writeln!(lines, "{name}/").unwrap();
        }
    });
    lines
}

/// Panics with the first line that differs.
pub fn assert_same(left: &str, right: &str) {
    let differs = left.lines().zip(right.lines()).find(|(left, right)| left != right);
    assert_eq!(differs, None, "the first difference of two trees");
    assert_eq!(left.lines().count(), right.lines().count(), "the number of files of two trees");
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path, &Metadata)) {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let metadata = fs::symlink_metadata(&path).unwrap();
        visit(&path, &metadata);
        if metadata.is_dir() {
            walk(&path, visit);
        }
    }
}
