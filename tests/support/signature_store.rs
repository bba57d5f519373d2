//! A lookaside store: in a directory, or on a web server.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use transship::digest::Digest;

use super::reply::Reply;
use super::request::ReceivedRequest;

/// Files by their paths below the store.
#[derive(Debug, Clone, Default)]
pub struct SignatureStore(BTreeMap<String, Vec<u8>>);

impl SignatureStore {
    /// Nothing is signed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the next signature of a manifest of `repository`, which has no domain here.
    #[must_use]
    pub fn signature(mut self, repository: &str, signed: &Digest, bytes: impl Into<Vec<u8>>) -> Self {
        let directory = directory(repository, signed);
        let number = self.0.keys().filter(|path| path.starts_with(&directory)).count() + 1;
        self.0.insert(format!("{directory}signature-{number}"), bytes.into());
        self
    }

    /// Writes all of them below a directory: `file://` is this one.
    pub fn write(&self, root: &Path) {
        for (path, bytes) in &self.0 {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// Answers for one of them, or 404; the store's URL is the server's with `/signatures`.
    pub fn answer(&self, request: &ReceivedRequest) -> Reply {
        let file = request.target.strip_prefix("/signatures/").and_then(|path| self.0.get(path));
        file.map_or(Reply::new(404), |bytes| {
            Reply::ok(bytes.clone()).header("Content-Type", "application/octet-stream")
        })
    }
}

/// Where the signatures of a manifest are, with a `/` behind it.
pub fn directory(repository: &str, signed: &Digest) -> String {
    format!("{repository}@{}={}/", signed.algorithm(), signed.encoded())
}
