//! What the administrator wrote: files to plain values.
//!
//! [`Config`] has the files that a pull needs whatever the image: registries.conf and registries.d. policy.json is read
//! when somebody asks for it, because only a check of signatures needs it, and then a missing one is an error.

use log::debug;

pub mod auth_file;
mod bounded;
pub mod certs_d;
pub mod containerd;
pub mod credential_helper;
pub mod credentials;
mod domain;
pub mod error;
pub mod host;
pub mod login;
mod lookaside_url;
mod lookup;
mod pairs;
pub mod paths;
pub mod policy_json;
pub mod pull_source;
pub mod registries_conf;
pub mod registries_d;
pub mod short_names;

pub(crate) use bounded::read as read_bounded;
pub use error::{Error, MAX_FILE_SIZE};
pub use host::{Capabilities, Host, HostCredentials, HostHeader};
pub use lookaside_url::{LookasideError, LookasideUrl, StorageLocation};
pub use lookup::LookupError;
pub(crate) use pairs::Pairs;
pub(crate) use paths::effective_uid;
pub use paths::{Environment, Paths};
pub use policy_json::PolicyJson;
pub use pull_source::{PullSource, RewriteError};
pub use registries_conf::RegistriesConf;
pub use registries_d::RegistriesD;

/// The administrator's configuration, read once.
///
/// ```no_run
/// let config = transship::config::Config::load()?;
/// for source in config.pull_sources(&"quay.io/org/app:1".parse()?)? {
///     println!("{}", source.physical);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// registries.conf and its drop-ins: mirrors, blocked and insecure registries.
    pub registries: RegistriesConf,
    /// The files of containerd or k3s, where those say where images come from, and not registries.conf.
    pub containerd: Option<containerd::Registries>,
    /// registries.d: where signatures are.
    pub registries_d: RegistriesD,
    /// Where the files are, the ones that are read later included.
    pub paths: Paths,
}

impl Config {
    /// Reads the files of this machine and user, as the environment says.
    pub fn load() -> Result<Self, Error> {
        Self::load_from(Paths::default())
    }

    /// Reads the files that `paths` finds.
    pub fn load_from(paths: Paths) -> Result<Self, Error> {
        let registries = RegistriesConf::load(&paths)?;
        let registries_d = RegistriesD::load(&paths)?;
        debug!("registries configuration: {:?}", registries.files());
        Ok(Self { registries, containerd: None, registries_d, paths })
    }

    /// Reads policy.json. There is no default policy: without the file this fails.
    pub fn policy(&self) -> Result<PolicyJson, Error> {
        PolicyJson::load(&self.paths)
    }
}
