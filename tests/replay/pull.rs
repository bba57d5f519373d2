//! What a story does: open an image, read all of it, list tags.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use transship::config::Config;
use transship::copy::{self, read_config};
use transship::error::find;
use transship::http::TestClock;
use transship::manifest::{Descriptor, ImageManifest, ManifestBytes};
use transship::policy::Policy;
use transship::reference::Tag;
use transship::source::{self, Error, ImageSource, Options, Served};
use transship::{Digest, ImageReference, destination, registry};

use crate::support::image::Image;

/// A configuration, a network and a clock, for one performance.
pub(crate) struct Pull {
    pub(crate) config: Config,
    pub(crate) options: Options,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) home: TempDir,
}

impl Pull {
    pub(crate) fn open(&self, image: &str) -> Result<Box<dyn ImageSource>, Error> {
        let image: ImageReference = image.parse().unwrap();
        source::open_with(&self.config, &image, &self.options)
    }

    /// The error of an image that cannot be opened.
    pub(crate) fn open_fails(&self, image: &str) -> Error {
        match self.open(image) {
            Ok(source) => panic!("{image} was read from {}", source.physical()),
            Err(error) => error,
        }
    }

    /// Opens an image and reads all of it, which must be `expected`.
    pub(crate) fn reads(&self, image: &str, expected: &Image) -> Box<dyn ImageSource> {
        let source = self.open(image).unwrap();
        assert_eq!(source.logical().to_string(), image);
        assert_holds(&*source, None, expected);
        source
    }

    /// Copies into a `dir:`.
    pub(crate) fn copy(&self, source: &dyn ImageSource) -> Result<ManifestBytes, copy::Error> {
        let to: ImageReference = format!("dir:{}", self.home.path().join("copy").display()).parse().unwrap();
        let destination = destination::open(&to).unwrap();
        let options = copy::Options { parallel_copies: std::num::NonZeroUsize::MIN, ..copy::Options::default() };
        copy::image(source, &*destination, &Policy::insecure_accept_anything(), &options)
    }

    pub(crate) fn tags(&self, repository: &str) -> Result<Vec<String>, registry::Error> {
        let client = source::registry_client(&self.config, &repository.parse().unwrap(), &self.options).unwrap();
        client.tags().map(|tags| tags.iter().map(Tag::to_string).collect())
    }

    /// The waits so far, without their jitter: whole seconds, and else tenths of a second.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        let whole = |wait: &Duration| u64::try_from(wait.as_millis() / 100 * 100).unwrap();
        self.clock.sleeps().iter().map(|wait| Duration::from_millis(whole(wait))).collect()
    }
}

/// Reads manifest, config and layers of an image or of an instance, and finds what `expected` has.
pub(crate) fn assert_holds(source: &dyn ImageSource, instance: Option<&Digest>, expected: &Image) {
    let manifest = source.manifest(instance).unwrap();
    assert_eq!(manifest.bytes(), expected.manifest());
    assert_eq!(manifest.media_type().as_str(), expected.media_type());
    let image = ImageManifest::parse(&manifest).unwrap();
    assert_eq!(read_config(source, image.config()).unwrap(), expected.config());
    for (descriptor, layer) in image.layers().iter().zip(expected.layers()) {
        assert_eq!(read_blob(source, descriptor).unwrap().0, *layer);
    }
}

/// A layer of a single image, and who delivered it.
pub(crate) fn read_layer(source: &dyn ImageSource, number: usize) -> Result<(Vec<u8>, Vec<Served>), Error> {
    let manifest = source.manifest(None)?;
    let image = ImageManifest::parse(&manifest).unwrap();
    read_blob(source, &image.layers()[number])
}

fn read_blob(source: &dyn ImageSource, descriptor: &Descriptor) -> Result<(Vec<u8>, Vec<Served>), Error> {
    let mut reader = source.blob(descriptor)?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    Ok((bytes, reader.served()))
}

/// The typed error somewhere in the chain.
pub(crate) fn cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> &'a T {
    find(error).unwrap_or_else(|| panic!("no such cause: {}", transship::error::one_line(error)))
}
