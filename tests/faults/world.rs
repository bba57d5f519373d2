//! What is there before anything is pulled: an image, in three registries.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tempfile::TempDir;
use transship::config::{Config, Paths};
use transship::http::{Pace, Timeouts, Wire};
use transship::policy::Policy;
use transship::source::{self, ImageSource, Network, Options};
use transship::{Digest, ImageReference, copy, destination};

use crate::support::docker_registry::DockerRegistry;
use crate::support::image::Image;
use crate::support::local::tree;
use crate::support::peers::peer;
use crate::support::server_tls::ServerTls;

/// The second layer is read in many pieces.
const LAYERS: [usize; 3] = [20_000, 2 * 1024 * 1024, 50_000];

pub(crate) static IMAGE: LazyLock<Image> = LazyLock::new(|| Image::with_layers(LAYERS.map(noise)));
/// Of its config and its layers.
pub(crate) static DIGESTS: LazyLock<Vec<Digest>> =
    LazyLock::new(|| IMAGE.blobs().into_iter().map(|(digest, _)| digest).collect());
/// Of every server.
pub(crate) static TLS: LazyLock<ServerTls> = LazyLock::new(ServerTls::signed_by_ca);
/// Which nobody trusts.
pub(crate) static WRONG_TLS: LazyLock<ServerTls> = LazyLock::new(ServerTls::for_another_host);

/// Every file below a directory, with its mode and its bytes.
pub(crate) type Tree = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// Where a copy is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Dir,
    Oci,
}

/// What a source that will never answer, or never end, is given.
const HASTY: Timeouts = Timeouts {
    connect: Duration::from_millis(300),
    idle: Duration::from_millis(300),
    answer: Duration::from_millis(600),
    slowest: Pace { bytes: 1000, time: Duration::from_millis(600) },
};

/// Three registries that have the image, as `org/app:1`, and two wires: what is dear to make is made once.
pub(crate) struct World {
    pub(crate) registries: [DockerRegistry; 3],
    pub(crate) patient: Arc<dyn Wire>,
    pub(crate) hasty: Arc<dyn Wire>,
    /// Undisturbed copies of it.
    dir: Tree,
    oci: Tree,
}

impl Transport {
    pub(crate) fn reference(self, path: &Path) -> ImageReference {
        let path = path.display();
        match self {
            Self::Dir => format!("dir:{path}"),
            Self::Oci => format!("oci:{path}:1"),
        }
        .parse()
        .unwrap()
    }
}

impl World {
    /// `None` where docker-registry is missing.
    pub(crate) fn new() -> Option<Self> {
        let program = peer("docker-registry")?;
        let registries = [(); 3].map(|()| DockerRegistry::anonymous(&program));
        let home = tempfile::tempdir().unwrap();
        let (config, options) = plain(&home);
        for registry in &registries {
            push(registry, &IMAGE);
        }
        let from = registries[0].image("org/app:1").parse().unwrap();
        let undisturbed = |transport: Transport| {
            let path = home.path().join(format!("{transport:?}"));
            let from = source::open_with(&config, &from, &options).unwrap();
            copy_image(&*from, &*destination::open(&transport.reference(&path)).unwrap()).unwrap();
            tree(&path)
        };
        let (dir, oci) = (undisturbed(Transport::Dir), undisturbed(Transport::Oci));
        assert_is_image(&dir);
        assert_is_image(&oci);
        let [patient, hasty] = [Timeouts::default(), HASTY].map(|timeouts| Network::real(&config, timeouts).wire);
        Some(Self { registries, patient, hasty, dir, oci })
    }

    pub(crate) fn undisturbed(&self, transport: Transport) -> &Tree {
        match transport {
            Transport::Dir => &self.dir,
            Transport::Oci => &self.oci,
        }
    }
}

pub(crate) fn copy_image(
    source: &dyn ImageSource,
    destination: &dyn destination::ImageDestination,
) -> Result<(), copy::Error> {
    // One blob at a time: then what is asked has an order.
    let options = copy::Options { parallel_copies: std::num::NonZeroUsize::MIN, ..copy::Options::default() };
    copy::image(source, destination, &Policy::insecure_accept_anything(), &options).map(drop)
}

fn plain(home: &TempDir) -> (Config, Options) {
    let config = Config::load_from(Paths::isolated(home.path())).unwrap();
    (config, Options { tls_verify: Some(false), ..Options::default() })
}

/// Has a registry keep an image as `org/app:1`.
pub(crate) fn push(registry: &DockerRegistry, image: &Image) {
    let home = tempfile::tempdir().unwrap();
    let (config, options) = plain(&home);
    let original = home.path().join("original");
    write_image(&original, image);
    let from = source::open(&config, &ImageReference::Dir(original)).unwrap();
    let to = registry.image("org/app:1").parse().unwrap();
    copy_image(&*from, &*destination::open_with(&config, &to, &options).unwrap()).unwrap();
    assert_eq!(registry.tagged("org/app", "1"), image.digest().as_str());
}

/// As `dir:` has it.
fn write_image(path: &Path, image: &Image) {
    fs::create_dir(path).unwrap();
    fs::write(path.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    fs::write(path.join("manifest.json"), image.manifest()).unwrap();
    for (digest, bytes) in image.blobs() {
        fs::write(path.join(digest.encoded()), bytes).unwrap();
    }
}

/// Every byte of it is there.
fn assert_is_image(tree: &Tree) {
    let manifest = (IMAGE.digest(), IMAGE.manifest());
    for (digest, bytes) in IMAGE.blobs().into_iter().chain([manifest]) {
        assert_eq!(Digest::sha256(&bytes), digest);
        assert!(tree.values().any(|(_, there)| *there == bytes), "{digest}");
    }
}

/// Bytes without a pattern, always the same.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(size as u64).fill(&mut bytes);
    bytes
}
