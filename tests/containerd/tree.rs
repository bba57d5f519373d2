//! A machine that has containerd's files, and nothing else.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use transship::config::containerd::Registries;
use transship::config::{Config, Paths};
use transship::http::{Error, Request, Response, TestClock, Timeouts, Wire};
use transship::manifest::ImageManifest;
use transship::source::{self, ImageSource, Network, Options};

/// The image that most tests pull.
pub(crate) const LOGICAL: &str = "registry.example/org/app:1";

pub(crate) struct Tree {
    root: tempfile::TempDir,
    pub(crate) options: Options,
    /// Instead of the loopback.
    pub(crate) wire: Option<Arc<dyn Wire>>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), options: Options::default(), wire: None }
    }

    /// The hosts.toml of `registry.example`.
    pub(crate) fn of(hosts_toml: &str) -> Self {
        let tree = Self::new();
        tree.write("registry.example/hosts.toml", hosts_toml);
        tree
    }

    /// A file below the directory of hosts.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// With the directory of hosts.
    pub(crate) fn config(&self) -> Config {
        self.config_of(Registries::hosts_dirs(vec![self.path().to_owned()]))
    }

    pub(crate) fn config_of(&self, registries: Registries) -> Config {
        let mut config = Config::load_from(Paths::isolated(&self.path().join("nothing"))).unwrap();
        config.containerd = Some(registries);
        config
    }

    pub(crate) fn options_of(&self, config: &Config) -> Options {
        let real = Network::real(config, Timeouts::default());
        let network =
            Network { wire: self.wire.clone().unwrap_or(real.wire), clock: Arc::<TestClock>::default(), ..real };
        Options { network: Some(network), ..self.options.clone() }
    }

    pub(crate) fn open(&self, reference: &str) -> Result<Box<dyn ImageSource>, source::Error> {
        self.open_by(&self.config(), reference)
    }

    pub(crate) fn open_by(&self, config: &Config, reference: &str) -> Result<Box<dyn ImageSource>, source::Error> {
        source::open_with(config, &format!("docker://{reference}").parse().unwrap(), &self.options_of(config))
    }

    /// Why it cannot be opened, in one line.
    pub(crate) fn refusal(&self, reference: &str) -> String {
        match self.open(reference) {
            Err(error) => transship::error::one_line(&error),
            Ok(_) => panic!("{reference} could be opened"),
        }
    }
}

/// Reads the whole of an image: its layers.
pub(crate) fn layers(source: &dyn ImageSource) -> Vec<Vec<u8>> {
    let manifest = ImageManifest::parse(&source.manifest(None).unwrap()).unwrap();
    let read = |descriptor| {
        let mut bytes = Vec::new();
        source.blob(descriptor).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    manifest.layers().iter().map(read).collect()
}

/// Answers as it is told, and keeps what it was asked.
pub(crate) struct Script<F> {
    answer: F,
    asked: Mutex<Vec<String>>,
}

impl<F: Fn(&Request) -> Response + Send + Sync> Script<F> {
    pub(crate) fn new(answer: F) -> Arc<Self> {
        Arc::new(Self { answer, asked: Mutex::default() })
    }

    /// The URLs since the last call.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl<F: Fn(&Request) -> Response + Send + Sync> Wire for Script<F> {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        self.asked.lock().unwrap().push(request.url.expose().to_owned());
        Ok((self.answer)(request))
    }
}
