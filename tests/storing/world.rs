//! A machine with a store.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use transship::config::{Config, Paths};
use transship::http::RetryPolicy;
use transship::policy::Policy;
use transship::source;
use transship::store::{Error, PullOptions, PullRequest, PulledImage, Store, StoredImage, parse_image};

use crate::support::registry::RunningRegistry;

pub(crate) struct World {
    root: tempfile::TempDir,
    pub(crate) options: source::Options,
    pub(crate) policy: Policy,
}

impl World {
    /// Registries without TLS, and little patience.
    pub(crate) fn new() -> Self {
        let once = RetryPolicy { attempts: 1, ..RetryPolicy::PATIENT };
        let options = source::Options { tls_verify: Some(false), retry: Some(once), ..source::Options::default() };
        Self { root: tempfile::tempdir().unwrap(), options, policy: Policy::insecure_accept_anything() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        let mut paths = Paths::isolated(self.root.path());
        paths.registries_conf = Some(self.path("registries.conf")).filter(|file| file.exists());
        Config::load_from(paths).unwrap()
    }

    pub(crate) fn store(&self) -> Store {
        Store::at(self.path("store")).unwrap()
    }

    pub(crate) fn pull(&self, request: &PullRequest) -> Result<PulledImage, Error> {
        self.pull_with(request, &PullOptions::default())
    }

    pub(crate) fn pull_with(&self, request: &PullRequest, options: &PullOptions<'_>) -> Result<PulledImage, Error> {
        self.store().pull(&self.config(), &self.policy, request, &self.options, options)
    }

    /// Pulls `org/app:1` and the like where nothing fails.
    pub(crate) fn pulled(&self, registry: &RunningRegistry, image: &str) -> PulledImage {
        self.pull(&request(&registry.reference(image))).unwrap()
    }

    pub(crate) fn images(&self) -> Vec<StoredImage> {
        let images = self.store().images().unwrap();
        assert!(images.damaged.is_empty(), "{:?}", images.damaged);
        images.whole
    }

    /// The names in the index with the digests that they lead to.
    pub(crate) fn index(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("store/index.json")).unwrap()).unwrap()
    }

    pub(crate) fn write_index(&self, index: &Value) {
        fs::write(self.path("store/index.json"), index.to_string()).unwrap();
    }

    /// The digests of the blobs that are there.
    pub(crate) fn blobs(&self) -> BTreeSet<String> {
        let files = fs::read_dir(self.path("store/blobs/sha256")).unwrap();
        files.map(|file| format!("sha256:{}", file.unwrap().file_name().to_str().unwrap())).collect()
    }

    /// What is in the store's directory beside the layout.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let files = fs::read_dir(self.path("store")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !["blobs", "index.json", "oci-layout"].contains(&name.as_str())).collect()
    }
}

pub(crate) fn request(image: &str) -> PullRequest {
    PullRequest::new(parse_image(image).unwrap())
}
