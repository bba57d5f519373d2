//! The machine that looks for signatures.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use transship::config::{Config, Paths};
use transship::digest::Digest;
use transship::error::one_line;
use transship::http::{TestClock, Timeouts};
use transship::signature::UntrustedSignature;
use transship::source::{self, Error, FoundSignature, ImageSource, Network, Options, SignatureDemand};

use crate::support::image::Image;
use crate::support::registry::RunningRegistry;
use crate::support::server_tls::ServerTls;

/// What the tag of attachments ends with.
pub(crate) const ATTACHED: &str = ".sig";

/// Nothing of the real machine is seen but its loopback, and waiting takes no time.
pub(crate) struct Machine {
    pub(crate) root: tempfile::TempDir,
    pub(crate) paths: Paths,
    pub(crate) options: Options,
    registries_conf: String,
}

impl Machine {
    /// Nothing is configured.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut paths = Paths::isolated(root.path());
        paths.certs_dir = Some(root.path().join("certs.d"));
        Self { paths, root, options: Options::default(), registries_conf: String::new() }
    }

    /// These registries have no TLS.
    pub(crate) fn insecure(registries: &[&RunningRegistry]) -> Self {
        let table = |registry: &&RunningRegistry| {
            format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.authority())
        };
        Self::new().registries_conf(&registries.iter().map(table).collect::<String>())
    }

    /// What the administrator wrote.
    pub(crate) fn registries_conf(mut self, text: &str) -> Self {
        self.registries_conf.push_str(text);
        let path = self.root.path().join("registries.conf");
        fs::write(&path, &self.registries_conf).unwrap();
        self.paths.registries_conf = Some(path);
        self
    }

    /// What the administrator wrote about signatures.
    pub(crate) fn registries_d(mut self, text: &str) -> Self {
        let directory = self.root.path().join("registries.d");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("default.yaml"), text).unwrap();
        self.paths.registries_d = Some(directory);
        self
    }

    /// Every signature is in this store.
    pub(crate) fn lookaside(self, url: &str) -> Self {
        self.registries_d(&format!("default-docker: {{lookaside: '{url}'}}"))
    }

    /// Signatures are beside the images.
    pub(crate) fn attachments(self) -> Self {
        self.registries_d("default-docker: {use-sigstore-attachments: true}")
    }

    /// Puts a server's CA, and its client's certificate if it wants one, where they belong.
    pub(crate) fn trusting(self, host_port: &str, tls: &ServerTls) -> Self {
        tls.write_certs_d(&self.root.path().join("certs.d").join(host_port));
        self
    }

    /// The store where registries.d names none.
    pub(crate) fn default_store(&self) -> PathBuf {
        self.root.path().join("home/.local/share/containers/sigstore")
    }

    pub(crate) fn open(&self, reference: &str) -> Box<dyn ImageSource> {
        let config = Config::load_from(self.paths.clone()).unwrap();
        let wire = Network::real(&config, Timeouts::default()).wire;
        let network = Network::new(wire, Arc::new(TestClock::default()));
        let options = Options { network: Some(network), ..self.options.clone() };
        let reference = format!("docker://{reference}").parse().unwrap();
        source::open_with(&config, &reference, &options).unwrap_or_else(|error| panic!("{}", one_line(&error)))
    }

    /// The signatures of `org/app:1`, to judge by them.
    pub(crate) fn find(&self, registry: &RunningRegistry) -> Result<Vec<FoundSignature>, Error> {
        judged(&*self.open(&registry.reference("org/app:1")))
    }

    /// What is in them, and where they are.
    pub(crate) fn found(&self, registry: &RunningRegistry) -> Vec<(String, String)> {
        let found = self.find(registry).unwrap_or_else(|error| panic!("{}", one_line(&error)));
        found.iter().map(|found| (content(found), found.place.to_string())).collect()
    }

    /// Why none are found.
    pub(crate) fn refusal(&self, registry: &RunningRegistry) -> Error {
        let error = self.find(registry).expect_err("a place that cannot be read");
        assert!(matches!(error, Error::Signatures { .. }), "{error:?}");
        assert!(!error.is_not_found(), "the image is there: {}", one_line(&error));
        error
    }
}

/// The signatures of the top-level manifest.
pub(crate) fn judged(source: &dyn ImageSource) -> Result<Vec<FoundSignature>, Error> {
    source.signatures(None, SignatureDemand::Judged)
}

/// What is in them.
pub(crate) fn contents(found: &[FoundSignature]) -> Vec<String> {
    found.iter().map(content).collect()
}

fn content(found: &FoundSignature) -> String {
    match &found.signature {
        UntrustedSignature::SimpleSigning(message) => String::from_utf8_lossy(message.get(1..).unwrap()).into_owned(),
        UntrustedSignature::Sigstore(signature) => String::from_utf8_lossy(&signature.payload).into_owned(),
        other => panic!("{other:?}"),
    }
}

/// What looks like an OpenPGP message.
pub(crate) fn simple(text: &str) -> Vec<u8> {
    [b"\xa3", text.as_bytes()].concat()
}

pub(crate) fn image() -> Image {
    Image::with_layers(["a layer"])
}

/// The digest of [`image`].
pub(crate) fn signed() -> Digest {
    image().digest()
}
