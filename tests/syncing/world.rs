//! The machine that synchronises, and what it was told.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use transship::config::{Config, Paths};
use transship::error::one_line;
use transship::http::RetryPolicy;
use transship::policy::Policy;
use transship::source;
use transship::sync::{self, Access, Destination, Error, Event, ImageList, Options, Outcome, Progress, Report, Source};

use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::server_tls::ServerTls;

/// A directory for what is written, and registries without TLS.
pub(crate) struct World {
    root: tempfile::TempDir,
    pub(crate) from: source::Options,
    pub(crate) to: source::Options,
    pub(crate) policy: Policy,
}

impl World {
    pub(crate) fn new() -> Self {
        let once = RetryPolicy { attempts: 1, ..RetryPolicy::PATIENT };
        let insecure = source::Options { tls_verify: Some(false), retry: Some(once), ..source::Options::default() };
        let (root, policy) = (tempfile::tempdir().unwrap(), Policy::insecure_accept_anything());
        Self { root, from: insecure.clone(), to: insecure, policy }
    }

    /// Registries with TLS, all of them trusted.
    pub(crate) fn trusting(tls: &ServerTls) -> Self {
        let world = Self::new();
        tls.write_certs_d(&world.path("certs"));
        let trusting = source::Options { cert_dir: Some(world.path("certs")), ..source::Options::default() };
        Self { from: trusting.clone(), to: trusting, ..world }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        let mut paths = Paths::isolated(self.root.path());
        paths.registries_d = Some(self.path("registries.d")).filter(|directory| directory.exists());
        Config::load_from(paths).unwrap()
    }

    /// What the administrator wrote into registries.d.
    pub(crate) fn registries_d(&self, text: &str) {
        fs::create_dir_all(self.path("registries.d")).unwrap();
        fs::write(self.path("registries.d/default.yaml"), text).unwrap();
    }

    /// A list in a file of this name.
    pub(crate) fn list(text: &str) -> Source {
        Source::List(ImageList::parse(text.as_bytes(), "list.yaml".as_ref()).unwrap())
    }

    /// Synchronises, and writes down what was told: a line for each image.
    pub(crate) fn sync(
        &self,
        source: &Source,
        destination: &Destination,
        options: &Options<'_>,
    ) -> (String, Result<Report, Error>) {
        let told = Told::default();
        let options = Options { progress: &told, ..options.clone() };
        let [from, to] = [&self.from, &self.to].map(|options| Access::new(self.config(), options.clone()));
        let outcome = sync::images(source, &from, destination, &to, &self.policy, &options);
        (told.0.into_inner().unwrap(), outcome)
    }

    /// The same where nothing fails.
    pub(crate) fn synced(&self, source: &Source, destination: &Destination) -> String {
        let (told, outcome) = self.sync(source, destination, &Options::default());
        assert!(outcome.is_ok(), "{}", one_line(&outcome.unwrap_err()));
        told
    }

    /// A directory of this world as a destination.
    pub(crate) fn dir(&self, name: &str) -> Destination {
        Destination::Dir(self.path(name))
    }

    /// Writes an image as `dir:` has it.
    pub(crate) fn write_image(&self, name: &str, image: &Image) {
        let directory = self.path(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("version"), "Directory Transport Version: 1.1\n").unwrap();
        fs::write(directory.join("manifest.json"), image.manifest()).unwrap();
        for (digest, blob) in image.instances().iter().chain([image]).flat_map(Image::blobs) {
            fs::write(directory.join(digest.encoded()), blob).unwrap();
        }
        for instance in image.instances() {
            let name = format!("{}.manifest.json", instance.digest().encoded());
            fs::write(directory.join(name), instance.manifest()).unwrap();
        }
    }
}

pub(crate) fn repository(reference: &str) -> Source {
    Source::Registry(reference.parse().unwrap())
}

pub(crate) fn registry(prefix: &str) -> Destination {
    Destination::Registry(prefix.parse().unwrap())
}

/// An image that is not that of any other seed.
pub(crate) fn image(seed: &str) -> Image {
    Image::with_layers([seed])
}

/// The repository with these tags, each another image.
pub(crate) fn tagged(registry: Registry, repository: &str, tags: &[&str]) -> Registry {
    tags.iter().fold(registry, |registry, tag| registry.image(repository, tag, &image(tag)))
}

#[derive(Default)]
struct Told(Mutex<String>);

impl Progress for Told {
    fn event(&self, event: &Event<'_>) {
        let mut told = self.0.lock().unwrap();
        match event {
            Event::Done { image, outcome } => {
                let word = match outcome {
                    Outcome::Copied { .. } => "copied",
                    Outcome::Unchanged { .. } => "unchanged",
                    Outcome::WouldCopy => "would copy",
                    Outcome::Failed { .. } => "failed",
                    _ => "something new",
                };
                let name = image.to.to_string();
                let name = name.rsplit('/').next().unwrap();
                writeln!(told, "{}/{} {name} {word}", image.number, image.count).unwrap();
            }
            Event::Failed { .. } => writeln!(told, "failed").unwrap(),
            _ => {}
        }
    }
}
