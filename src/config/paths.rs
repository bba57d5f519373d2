//! Where the files are. Nothing else of the library reads the environment or asks for the home directory.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use log::warn;

use super::{Error, auth_file};
use crate::secret::Secret;

/// Whoever has no name: the user id where the system does not tell ours.
const NOBODY: u32 = 65534;

/// What the process was given: home, variables, user id. An empty variable counts as unset.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    /// The home directory.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`
    pub xdg_config_home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`
    pub xdg_cache_home: Option<PathBuf>,
    /// `DOCKER_CONFIG`, a directory
    pub docker_config: Option<PathBuf>,
    /// `CONTAINERS_REGISTRIES_CONF`, or else its old name `REGISTRIES_CONFIG_PATH`
    pub registries_conf: Option<PathBuf>,
    /// `CONTAINERS_REGISTRIES_CONF_DIR`
    pub registries_conf_dir: Option<PathBuf>,
    /// `REGISTRY_AUTH_FILE`
    pub registry_auth_file: Option<PathBuf>,
    /// `PATH`: where credential helpers are looked for
    pub search_path: Option<OsString>,
    /// `HTTP_PROXY` or `http_proxy`; may hold a password
    pub http_proxy: Option<Secret<String>>,
    /// `HTTPS_PROXY` or `https_proxy`; may hold a password
    pub https_proxy: Option<Secret<String>>,
    /// `NO_PROXY` or `no_proxy`: hosts, separated by commas
    pub no_proxy: Option<String>,
    /// The effective user id.
    pub uid: u32,
    /// `_CONTAINERS_ROOTLESS_UID`: who we were before a user namespace made us root.
    pub rootless_uid: Option<u32>,
    /// What stands for `/` in the paths that nobody named.
    pub system_root: PathBuf,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        #[allow(clippy::disallowed_methods, reason = "this is the only reader of the home directory")]
        let home = dirs::home_dir();
        Self {
            xdg_runtime_dir: variable("XDG_RUNTIME_DIR"),
            xdg_config_home: variable("XDG_CONFIG_HOME"),
            xdg_cache_home: variable("XDG_CACHE_HOME"),
            docker_config: variable("DOCKER_CONFIG"),
            registries_conf: variable("CONTAINERS_REGISTRIES_CONF").or_else(|| variable("REGISTRIES_CONFIG_PATH")),
            registries_conf_dir: variable("CONTAINERS_REGISTRIES_CONF_DIR"),
            registry_auth_file: variable("REGISTRY_AUTH_FILE"),
            search_path: variable("PATH").map(PathBuf::into_os_string),
            http_proxy: text("HTTP_PROXY").or_else(|| text("http_proxy")).map(Secret::new),
            https_proxy: text("HTTPS_PROXY").or_else(|| text("https_proxy")).map(Secret::new),
            no_proxy: text("NO_PROXY").or_else(|| text("no_proxy")),
            uid: effective_uid(home.as_deref()),
            rootless_uid: variable("_CONTAINERS_ROOTLESS_UID").and_then(|uid| uid.to_str()?.parse().ok()),
            system_root: PathBuf::from("/"),
            home,
        }
    }

    /// No variable is set, the home directory is `root/home`, and the system's files are below `root` too: nothing of
    /// the machine is seen. The user id is not root's.
    pub fn isolated(root: &Path) -> Self {
        Self {
            home: Some(root.join("home")),
            xdg_runtime_dir: None,
            xdg_config_home: None,
            xdg_cache_home: None,
            docker_config: None,
            registries_conf: None,
            registries_conf_dir: None,
            registry_auth_file: None,
            search_path: None,
            http_proxy: None,
            https_proxy: None,
            no_proxy: None,
            uid: NOBODY,
            rootless_uid: None,
            system_root: root.to_owned(),
        }
    }

    fn in_home(&self, path: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(path))
    }

    fn in_system(&self, path: &str) -> PathBuf {
        self.system_root.join(path)
    }
}

/// Files that the user or the embedder named, and the environment for those that nobody named.
///
/// A named file always wins over the environment, and a named file must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Paths {
    /// registries.conf
    pub registries_conf: Option<PathBuf>,
    /// registries.conf.d: then this directory alone is read, not the user's beside it
    pub registries_conf_dir: Option<PathBuf>,
    /// registries.d, a directory
    pub registries_d: Option<PathBuf>,
    /// policy.json
    pub policy_json: Option<PathBuf>,
    /// auth.json
    pub auth_file: Option<PathBuf>,
    /// A file in the form of `.dockercfg`, where `auth_file` is not given
    pub legacy_auth_file: Option<PathBuf>,
    /// docker's `config.json`, read and written as docker does, where `auth_file` is not given
    pub docker_auth_file: Option<PathBuf>,
    /// The certificates of every registry, used as it is: a directory such as certs.d has for one
    pub cert_dir: Option<PathBuf>,
    /// certs.d: has a directory `<host[:port]>` for each registry
    pub certs_dir: Option<PathBuf>,
    /// Where everything else is
    pub environment: Environment,
}

/// One place to look for credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthFileCandidate {
    /// The file.
    pub path: PathBuf,
    /// True for `~/.dockercfg`, which has the entries at its top.
    pub legacy: bool,
    /// True when the user named the file: then it must exist.
    pub explicit: bool,
}

/// The auth file that a login is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthFileTarget {
    /// The file; it need not exist yet.
    pub path: PathBuf,
    /// True when docker reads it: then it has only what docker understands.
    pub for_docker: bool,
}

/// The main registries.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MainFile {
    /// The file.
    pub path: PathBuf,
    /// True when the user named the file: then it must exist.
    pub explicit: bool,
}

impl Default for Paths {
    fn default() -> Self {
        Self::new(Environment::of_process())
    }
}

impl Paths {
    /// No file is named.
    pub fn new(environment: Environment) -> Self {
        Self {
            registries_conf: None,
            registries_conf_dir: None,
            registries_d: None,
            policy_json: None,
            auth_file: None,
            legacy_auth_file: None,
            docker_auth_file: None,
            cert_dir: None,
            certs_dir: None,
            environment,
        }
    }

    /// [`Environment::isolated`], and no file is named.
    pub fn isolated(root: &Path) -> Self {
        Self::new(Environment::isolated(root))
    }

    /// The main registries.conf: named, else the user's if it exists, else the system's.
    pub fn registries_conf(&self) -> MainFile {
        if let Some(path) = self.named_registries_conf() {
            return MainFile { path: path.to_owned(), explicit: true };
        }
        let path = self.user_or_system("registries.conf");
        MainFile { path, explicit: false }
    }

    /// The directories with drop-ins, in the order in which they are merged. The system's is left out when the user's
    /// registries.conf replaces the system's one.
    pub fn registries_conf_dirs(&self) -> Vec<PathBuf> {
        let named = self.registries_conf_dir.as_ref().or(self.environment.registries_conf_dir.as_ref());
        if let Some(directory) = named {
            return vec![directory.clone()];
        }
        let user_file = self.user("registries.conf").filter(|path| path.exists());
        let system = (self.named_registries_conf().is_some() || user_file.is_none())
            .then(|| self.environment.in_system("etc/containers/registries.conf.d"));
        system.into_iter().chain(self.user("registries.conf.d")).collect()
    }

    /// The one registries.d that is read.
    pub fn registries_d(&self) -> PathBuf {
        self.registries_d.clone().unwrap_or_else(|| self.user_or_system("registries.d"))
    }

    /// policy.json; an error when it is not named and neither the user nor the system has one.
    pub fn policy_json(&self) -> Result<PathBuf, Error> {
        if let Some(path) = &self.policy_json {
            return Ok(path.clone());
        }
        let system = self.environment.in_system("etc/containers/policy.json");
        let searched: Vec<_> = self.user("policy.json").into_iter().chain([system]).collect();
        searched.iter().find(|path| path.exists()).cloned().ok_or(Error::NoPolicy { searched })
    }

    /// The auth files in the order in which they are asked.
    ///
    /// [containers-auth.json(5)](https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md)
    pub fn auth_files(&self) -> Vec<AuthFileCandidate> {
        let named = self.auth_file.as_ref().or(self.docker_auth_file.as_ref()).map(|path| (path, false));
        let named = named.or(self.legacy_auth_file.as_ref().map(|path| (path, true)));
        let named = named.or(self.environment.registry_auth_file.as_ref().map(|path| (path, false)));
        if let Some((path, legacy)) = named {
            return vec![AuthFileCandidate { path: path.clone(), legacy, explicit: true }];
        }
        let environment = &self.environment;
        let home = |path| environment.in_home(path);
        let docker = environment.docker_config.clone().or_else(|| home(".docker"));
        let mut files: Vec<PathBuf> = self.runtime_auth_file().into_iter().collect();
        files.extend(
            environment.xdg_config_home.clone().or_else(|| home(".config")).map(|dir| dir.join("containers/auth.json")),
        );
        files.extend(docker.map(|dir| dir.join("config.json")));
        files.dedup();
        let candidate = |legacy| move |path| AuthFileCandidate { path, legacy, explicit: false };
        files.into_iter().map(candidate(false)).chain(home(".dockercfg").map(candidate(true))).collect()
    }

    /// The one auth file that a login is written to: the named one, or the one that lasts until the user logs out of
    /// the machine.
    pub fn auth_file_to_write(&self) -> Result<AuthFileTarget, auth_file::WriteError> {
        let environment = &self.environment;
        let target = |path: &Path, for_docker| Ok(AuthFileTarget { path: path.to_owned(), for_docker });
        if let Some(path) = &self.auth_file {
            return target(path, false);
        }
        if let Some(path) = &self.docker_auth_file {
            return target(path, true);
        }
        if let Some(path) = &self.legacy_auth_file {
            return Err(auth_file::WriteError::Legacy(path.clone()));
        }
        if let Some(path) = &environment.registry_auth_file {
            return target(path, false);
        }
        let missing = || environment.xdg_runtime_dir.clone().unwrap_or_else(|| PathBuf::from("~"));
        let path = self.runtime_auth_file().ok_or_else(|| auth_file::WriteError::NoDirectory(missing()))?;
        target(&path, false)
    }

    /// The directories that may have the certificates of a registry; the first that exists counts.
    ///
    /// `host_port` is the domain of a reference: `docker.io`, `localhost:5000`.
    pub fn certs_dirs(&self, host_port: &str) -> Vec<PathBuf> {
        if let Some(directory) = &self.cert_dir {
            return vec![directory.clone()];
        }
        if let Some(base) = &self.certs_dir {
            return vec![base.join(host_port)];
        }
        let system = ["etc/containers/certs.d", "etc/docker/certs.d"].map(|path| self.environment.in_system(path));
        self.user("certs.d").into_iter().chain(system).map(|base| base.join(host_port)).collect()
    }

    /// The directories with a hosts.toml for each registry that containerd reads when its configuration names none.
    pub fn default_hosts_dirs(&self) -> Vec<PathBuf> {
        ["etc/containerd/certs.d", "etc/docker/certs.d"].map(|path| self.environment.in_system(path)).to_vec()
    }

    /// The signature store where registries.d names none; `None` for a user without a home.
    pub fn default_lookaside_dir(&self) -> Option<PathBuf> {
        match self.user_id() {
            0 => Some(self.environment.in_system("var/lib/containers/sigstore")),
            _ => self.environment.in_home(".local/share/containers/sigstore"),
        }
    }

    /// Where the program keeps what it has learned of blobs; `None` for a user without a home.
    pub fn blob_info_dir(&self) -> Option<PathBuf> {
        let environment = &self.environment;
        let caches = environment.xdg_cache_home.clone().filter(|directory| directory.is_absolute());
        let caches = caches.or_else(|| match self.user_id() {
            0 => Some(environment.in_system("var/cache")),
            _ => environment.in_home(".cache"),
        });
        caches.map(|directory| directory.join("transship/blob-info"))
    }

    fn named_registries_conf(&self) -> Option<&Path> {
        self.registries_conf.as_deref().or(self.environment.registries_conf.as_deref())
    }

    /// Who we are outside of a user namespace.
    fn user_id(&self) -> u32 {
        self.environment.rootless_uid.unwrap_or(self.environment.uid)
    }

    fn user(&self, name: &str) -> Option<PathBuf> {
        self.environment.in_home(".config/containers").map(|directory| directory.join(name))
    }

    fn user_or_system(&self, name: &str) -> PathBuf {
        let user = self.user(name).filter(|path| path.exists());
        user.unwrap_or_else(|| self.environment.in_system("etc/containers").join(name))
    }

    /// Credentials that last until the user logs out; elsewhere than on Linux they are kept in the home directory.
    fn runtime_auth_file(&self) -> Option<PathBuf> {
        if !cfg!(target_os = "linux") {
            return self.user("auth.json");
        }
        let environment = &self.environment;
        match &environment.xdg_runtime_dir {
            Some(directory) if directory.exists() => Some(directory.join("containers/auth.json")),
            Some(directory) => {
                warn!("XDG_RUNTIME_DIR is {}, which does not exist", directory.display());
                None
            }
            None => Some(environment.in_system(&format!("run/containers/{}/auth.json", environment.uid))),
        }
    }
}

/// The path without symbolic links. What is not there yet keeps its last component: it is about to be written. Where
/// not even its directory is there, the path is at least absolute.
pub fn real_path(path: &Path) -> Option<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let in_parent = || Some(parent.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(in_parent).or_else(|| std::path::absolute(path).ok())
}

fn text(name: &str) -> Option<String> {
    variable(name).and_then(|value| value.into_os_string().into_string().ok())
}

fn variable(name: &str) -> Option<PathBuf> {
    #[allow(clippy::disallowed_methods, reason = "this is the only reader of the environment")]
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The second number of `Uid:` in `/proc/self/status`; where there is no `/proc`, whoever owns the home directory.
pub(crate) fn effective_uid(home: Option<&Path>) -> u32 {
    let of_status = || {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let numbers = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        numbers.split_whitespace().nth(1)?.parse().ok()
    };
    let of_home = || Some(fs::metadata(home?).ok()?.uid());
    of_status().or_else(of_home).unwrap_or(NOBODY)
}
