//! The machine that pulls.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use transship::config::{Config, Paths};
use transship::copy;
use transship::destination;
use transship::http::{Error as HttpError, TestClock, Timeouts};
use transship::manifest::{Descriptor, ImageManifest, ManifestBytes};
use transship::policy::Policy;
use transship::source::{self, BlobReader, Health, ImageSource, Network, Options, ServedBy};
use transship::{ImageReference, error};

use crate::counting::{Count, CountingWire};
use crate::support::impatient::{Impatient, Part, Towards};
use crate::support::registry::RunningRegistry;
use crate::support::server::Server;
use crate::support::server_tls::ServerTls;

/// The image that most tests pull: `registry.example/org/app:1`, which registries.conf says is elsewhere.
pub(crate) const LOGICAL: &str = "registry.example/org/app:1";

/// A machine with an administrator, users and a network of its own: nothing of the real one is seen but its loopback.
/// Its clock passes only when somebody waits, so waiting is free.
pub(crate) struct Machine {
    pub(crate) root: tempfile::TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) count: Arc<Count>,
    pub(crate) timeouts: Timeouts,
    pub(crate) options: Options,
    /// What its images learn of the registries.
    pub(crate) health: Health,
    impatience: Option<(Towards, Timeouts)>,
    paths: Paths,
}

impl Machine {
    /// Nothing is configured. The timeouts are those of the library.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut paths = Paths::isolated(root.path());
        paths.certs_dir = Some(root.path().join("certs.d"));
        Self {
            paths,
            root,
            clock: Arc::default(),
            count: Arc::default(),
            timeouts: Timeouts::default(),
            options: Options::default(),
            health: Health::default(),
            impatience: None,
        }
    }

    /// `registry.example/org` is the `org` of these servers: mirrors, then the origin, all insecure.
    pub(crate) fn of(places: &[&RunningRegistry]) -> Self {
        let (origin, mirrors) = places.split_last().unwrap();
        let place = |place: &RunningRegistry| format!("location = \"{}/org\"\ninsecure = true\n", place.authority());
        let primary = format!("[[registry]]\nprefix = \"registry.example/org\"\n{}", place(origin));
        let mirrors = mirrors.iter().map(|mirror| format!("[[registry.mirror]]\n{}", place(mirror)));
        Self::new().registries_conf(&std::iter::once(primary).chain(mirrors).collect::<String>())
    }

    /// What the administrator wrote.
    pub(crate) fn registries_conf(mut self, text: &str) -> Self {
        let path = self.root.path().join("registries.conf");
        fs::write(&path, text).unwrap();
        self.paths.registries_conf = Some(path);
        self
    }

    /// `registry` may be without TLS, or with a bad certificate.
    pub(crate) fn insecure(self, registry: &str) -> Self {
        self.registries_conf(&format!("[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n"))
    }

    /// Puts a server's CA, and its client's certificate if it wants one, where they belong.
    pub(crate) fn trusting(self, host_port: &str, tls: &ServerTls) -> Self {
        tls.write_certs_d(&self.certs_dir(host_port));
        self
    }

    /// `certs.d/host:port`
    pub(crate) fn certs_dir(&self, host_port: &str) -> PathBuf {
        self.root.path().join("certs.d").join(host_port)
    }

    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
    pub(crate) fn proxies(mut self, http: Option<&str>, https: Option<&str>, no_proxy: Option<&str>) -> Self {
        let environment = &mut self.paths.environment;
        environment.http_proxy = http.map(|url| url.to_owned().into());
        environment.https_proxy = https.map(|url| url.to_owned().into());
        environment.no_proxy = no_proxy.map(str::to_owned);
        self
    }

    /// How long a server may be silent when it is asked for something whose URL contains `part`. See
    /// [`Impatient`].
    pub(crate) fn impatient(self, server: &Server, part: &'static str, idle: Duration) -> Self {
        let timeouts = Timeouts { idle, ..self.timeouts };
        self.limited(server, part, timeouts)
    }

    /// The same with any limits.
    pub(crate) fn limited(mut self, server: &Server, part: &'static str, timeouts: Timeouts) -> Self {
        self.impatience =
            Some((Towards { authority: server.authority(), part: Part::Anywhere(part.to_owned()) }, timeouts));
        self
    }

    pub(crate) fn config(&self) -> Config {
        Config::load_from(self.paths.clone()).unwrap()
    }

    /// The options of the test, with this machine's network.
    pub(crate) fn options(&self) -> Options {
        let real = |timeouts| Network::real(&self.config(), timeouts).wire;
        let mut wire = real(self.timeouts);
        if let Some((towards, timeouts)) = &self.impatience {
            let hasty = real(*timeouts);
            wire = Arc::new(Impatient { patient: wire, hasty, towards: vec![towards.clone()] });
        }
        let wire = Arc::new(CountingWire::new(wire, Arc::clone(&self.count)));
        let clock = Arc::clone(&self.clock);
        let health = self.health.clone();
        Options { network: Some(Network { wire, clock, health }), ..self.options.clone() }
    }

    /// Opens `registry/name:tag`.
    pub(crate) fn open(&self, reference: &str) -> Result<Box<dyn ImageSource>, source::Error> {
        source::open_with(&self.config(), &format!("docker://{reference}").parse().unwrap(), &self.options())
    }

    /// Why `registry/name:tag` cannot be opened.
    pub(crate) fn refusal(&self, reference: &str) -> source::Error {
        match self.open(reference) {
            Err(error) => error,
            Ok(_) => panic!("{reference} could be opened"),
        }
    }

    /// The directory that [`copy`](Self::copy) writes to.
    pub(crate) fn destination(&self) -> PathBuf {
        self.root.path().join("copy")
    }

    /// Copies [`LOGICAL`] into a `dir:`.
    pub(crate) fn copy(&self) -> Result<ManifestBytes, copy::Error> {
        let source = self.open(LOGICAL)?;
        copy_to(&*source, &ImageReference::Dir(self.destination()), &copy::Options::default())
    }
}

pub(crate) fn copy_to(
    source: &dyn ImageSource,
    to: &ImageReference,
    options: &copy::Options<'_>,
) -> Result<ManifestBytes, copy::Error> {
    let destination = destination::open(to).unwrap();
    copy::image(source, &*destination, &Policy::insecure_accept_anything(), options)
}

/// The descriptors of an image's layers.
pub(crate) fn layers(source: &dyn ImageSource) -> Vec<Descriptor> {
    ImageManifest::parse(&source.manifest(None).unwrap()).unwrap().layers().to_vec()
}

/// Opens the first layer.
pub(crate) fn first_layer(source: &dyn ImageSource) -> Result<BlobReader, source::Error> {
    source.blob(&layers(source)[0])
}

/// What came of a blob, and how that ended.
pub(crate) fn read(blob: &mut BlobReader) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    let outcome = blob.read_to_end(&mut bytes).map(|_| ());
    (bytes, outcome)
}

/// Layer `number` of the image, whole, or whatever kept it from coming: opening it or reading it.
pub(crate) fn layer(source: &dyn ImageSource, number: usize) -> Result<Vec<u8>, io::Error> {
    let mut blob = source.blob(&layers(source)[number]).map_err(io::Error::other)?;
    let (bytes, outcome) = read(&mut blob);
    outcome.map(|()| bytes)
}

/// Who delivered how much: the authority of each place, and the bytes.
pub(crate) fn served(blob: &BlobReader) -> Vec<(String, u64)> {
    let authority = |by: &ServedBy| by.to_string().split('/').nth(2).unwrap().to_owned();
    blob.served().iter().map(|served| (authority(&served.by), served.bytes)).collect()
}

/// The `Range` of each request for a blob, in order.
pub(crate) fn ranges(registry: &RunningRegistry, digest: &transship::Digest) -> Vec<Option<String>> {
    let requests = registry.requests();
    let asked = requests.iter().filter(|request| request.path().ends_with(&format!("/blobs/{digest}")));
    asked.map(|request| request.header("range").map(str::to_owned)).collect()
}

/// The error of the HTTP layer in a chain.
pub(crate) fn http_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a HttpError {
    error::find(error).unwrap_or_else(|| panic!("no error of http in: {}", error::one_line(error)))
}

/// The names of all files below a directory.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.extend(files(&entry.path()));
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names
}

/// Bytes without a pattern, always the same.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(size as u64);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}
