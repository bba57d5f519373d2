//! A table of registries with their mirrors, and of hosts with their settings: the same in a config.toml of containerd and
//! in k3s' registries.yaml, but for a few words.

use log::warn;

use super::Invalid;
use super::base::{Base, DOCKER_HUB, host_of};
use super::document::{Document, Key, Node};
use super::host_entry::{Certificates, ClientFiles, HostEntry};
use super::hosts_toml::headers;
use super::rewrite::Rewrites;
use crate::config::auth_file;
use crate::config::credentials::Credentials;
use crate::config::domain::is_domain;
use crate::config::error::{Error, Place};
use crate::config::host::{Capabilities, HostCredentials, HostHeader};

/// The key for registries without mirrors of their own, and in k3s' file for hosts without settings of their own.
const WILDCARD: &str = "*";

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Cri,
    K3s,
}

/// Registries with their mirrors.
#[derive(Debug, Clone)]
pub struct Mirrors {
    dialect: Dialect,
    place: Place,
    /// Whether the registry itself stays out where it has mirrors.
    no_default_endpoint: bool,
    registries: Vec<(String, Mirror)>,
    settings: Vec<HostSettings>,
    /// The older table of who we are, which counts before `settings`.
    auths: Vec<(String, HostCredentials)>,
    headers: Vec<HostHeader>,
}

#[derive(Debug, Clone)]
struct Mirror {
    place: Place,
    endpoints: Vec<(Place, Base)>,
    rewrites: Rewrites,
}

/// What is said of a host, whatever it is asked for.
#[derive(Debug, Clone)]
struct HostSettings {
    host: String,
    tls: Option<TlsSettings>,
    credentials: Option<HostCredentials>,
}

#[derive(Debug, Clone)]
struct TlsSettings {
    place: Place,
    certificates: Certificates,
    skip_verify: Option<bool>,
}

impl Dialect {
    fn base(self, text: &str) -> Result<Base, Invalid> {
        match self {
            Self::Cri => Base::of_cri(text),
            Self::K3s => Base::of_k3s(text),
        }
    }

    fn table_keys(self) -> &'static [&'static str] {
        match self {
            Self::Cri => &["config_path", "mirrors", "configs", "auths", "headers"],
            Self::K3s => &["mirrors", "configs", "auths"],
        }
    }

    fn identity_token(self) -> &'static str {
        match self {
            Self::Cri => "identitytoken",
            Self::K3s => "identity_token",
        }
    }
}

impl Mirrors {
    /// Leaves the registry itself out where it has mirrors, as k3s does with `--disable-default-registry-endpoint`.
    #[must_use]
    pub fn without_default_endpoint(mut self) -> Self {
        self.no_default_endpoint = true;
        self
    }

    /// The table, at `node`.
    pub(super) fn read(document: &Document<'_>, node: &Node, name: &str, dialect: Dialect) -> Result<Self, Error> {
        let table = document.fields(node, name, dialect.table_keys())?;
        let reading = Reading { document, dialect };
        let mut registries = Vec::new();
        for (key, node) in table.entries("mirrors")? {
            registries.extend(reading.registry(key, node)?);
        }
        let mut settings = Vec::new();
        for (key, node) in table.entries("configs")? {
            settings.extend(reading.settings(key, node)?);
        }
        let mut auths = Vec::new();
        for (key, node) in table.entries("auths")? {
            auths.extend(reading.auth(key, node)?);
        }
        let headers = table.get("headers").map(|node| headers(document, node, "headers")).transpose()?;
        Ok(Self {
            dialect,
            place: document.place(node.at),
            no_default_endpoint: false,
            registries,
            settings,
            auths,
            headers: headers.unwrap_or_default(),
        })
    }

    pub(super) fn has_mirrors(&self) -> bool {
        !self.registries.is_empty()
    }

    /// For every host, before those that are for one.
    pub(super) fn headers(&self) -> &[HostHeader] {
        &self.headers
    }

    pub(super) fn has_tls(&self) -> bool {
        self.settings.iter().any(|settings| settings.tls.is_some())
    }

    /// The hosts for images of a registry: its mirrors, or those of all registries, and the registry itself unless it is
    /// among them. Never empty.
    pub(super) fn entries(&self, domain: &str) -> Result<Vec<HostEntry>, Error> {
        let named =
            |name: &str| self.registries.iter().find(|(registry, _)| registry == name).map(|(_, mirror)| mirror);
        let Some(mirror) = named(domain).or_else(|| named(WILDCARD)) else {
            return Ok(vec![self.own_entry(domain, self.own(domain)?)?]);
        };
        let mut entries = Vec::new();
        let own = self.own(domain)?;
        let last = mirror.endpoints.len();
        for (number, (place, base)) in (1..).zip(&mirror.endpoints) {
            let is_own = self.dialect == Dialect::K3s && number == last && *base == own;
            let rewrites = if is_own { &Rewrites::default() } else { &mirror.rewrites };
            entries.push(self.entry(domain, place, base.clone(), rewrites)?);
        }
        if !self.no_default_endpoint && !self.has_own(mirror, domain, &own) {
            entries.push(self.own_entry(domain, own)?);
        }
        if entries.is_empty() {
            let source = Invalid::NoEndpoint(domain.to_owned());
            return Err(Error::Containerd { place: mirror.place.clone(), source });
        }
        Ok(entries)
    }

    /// The registry itself, which no list of endpoints names.
    fn own_entry(&self, domain: &str, own: Base) -> Result<HostEntry, Error> {
        let is_unsaid = self.tls(&own).is_none();
        Ok(HostEntry { is_unsaid, ..self.entry(domain, &self.place, own, &Rewrites::default())? })
    }

    /// True when the registry itself is among its endpoints. For k3s it is not where the name that it is asked for is
    /// rewritten.
    fn has_own(&self, mirror: &Mirror, domain: &str, own: &Base) -> bool {
        let bases = mirror.endpoints.iter().map(|(_, base)| base);
        match self.dialect {
            Dialect::Cri => bases.clone().any(|base| base.is_of(domain)),
            Dialect::K3s if mirror.rewrites.is_empty() => bases.clone().any(|base| base == own),
            Dialect::K3s => bases.clone().next_back() == Some(own),
        }
    }

    /// The registry itself.
    fn own(&self, domain: &str) -> Result<Base, Error> {
        let host = if domain == DOCKER_HUB.0 { DOCKER_HUB.1 } else { domain };
        self.dialect.base(host).map_err(|source| Error::Containerd { place: self.place.clone(), source })
    }

    fn entry(&self, domain: &str, place: &Place, base: Base, rewrites: &Rewrites) -> Result<HostEntry, Error> {
        let tls = self.tls(&base);
        if let Some(tls) = tls.filter(|_| self.dialect == Dialect::Cri && !base.url.is_https()) {
            let source = Invalid::TlsOfHttp(base.url.to_string());
            return Err(Error::Containerd { place: tls.place.clone(), source });
        }
        Ok(HostEntry {
            capabilities: if base.is_of(domain) { Capabilities::ALL } else { Capabilities::MIRROR },
            certificates: tls.map(|tls| tls.certificates.clone()).unwrap_or_default(),
            skip_verify: tls.and_then(|tls| tls.skip_verify),
            headers: self.headers.clone(),
            rewrites: rewrites.clone(),
            credentials: self.credentials(&base),
            base: Some(base),
            ..HostEntry::at(place.clone())
        })
    }

    /// Of a host of which nothing is said, what is said of all such.
    fn tls(&self, base: &Base) -> Option<&TlsSettings> {
        let mut of_host = self.settings.iter().filter(|settings| base.is_of(&settings.host)).peekable();
        if of_host.peek().is_some() {
            return of_host.find_map(|settings| settings.tls.as_ref());
        }
        self.settings.iter().find(|settings| settings.host == WILDCARD)?.tls.as_ref()
    }

    /// Who we are to a host.
    pub(super) fn credentials(&self, base: &Base) -> Option<HostCredentials> {
        let of_auths = self.auths.iter().map(|(host, credentials)| (host, Some(credentials)));
        let of_configs = self.settings.iter().map(|settings| (&settings.host, settings.credentials.as_ref()));
        let mut of_host = of_auths.chain(of_configs).filter(|(host, _)| base.is_of(host));
        of_host.find_map(|(_, credentials)| credentials.cloned())
    }
}

struct Reading<'d> {
    document: &'d Document<'d>,
    dialect: Dialect,
}

impl Reading<'_> {
    /// A registry that references can name, or any. Others have no images, so what is said of them is not read.
    fn registry(&self, key: &Key, node: &Node) -> Result<Option<(String, Mirror)>, Error> {
        if key.name == WILDCARD || is_domain(&key.name) {
            return Ok(Some((key.name.clone(), self.mirror(key, node)?)));
        }
        if !Base::is_host(&key.name) {
            return Err(self.document.invalid(key.at, Invalid::Registry(key.name.clone())));
        }
        warn!(
            "{}: mirrors.{:?} is of no registry: no image can be named for it",
            self.document.place(key.at),
            key.name
        );
        Ok(None)
    }

    /// The endpoints, each once.
    fn mirror(&self, key: &Key, node: &Node) -> Result<Mirror, Error> {
        let name = format!("mirrors.{:?}", key.name);
        let fields = self.document.fields(node, &name, &["endpoint", "rewrite"])?;
        let mut endpoints: Vec<(Place, Base)> = Vec::new();
        for (text, at) in fields.list("endpoint")? {
            let base = self.dialect.base(text).map_err(|rule| self.document.invalid(at, rule))?;
            if !endpoints.iter().any(|(_, known)| *known == base) {
                endpoints.push((self.document.place(at), base));
            }
        }
        let rewrites = fields.get("rewrite").map(|node| Rewrites::read(self.document, node, "rewrite")).transpose()?;
        Ok(Mirror { place: self.document.place(key.at), endpoints, rewrites: rewrites.unwrap_or_default() })
    }

    /// `None` for what is of no host: nobody may get what was meant for another.
    fn settings(&self, key: &Key, node: &Node) -> Result<Option<HostSettings>, Error> {
        let name = format!("configs.{:?}", key.name);
        let is_of_all = key.name == WILDCARD && self.dialect == Dialect::K3s;
        if !is_of_all && !self.is_host(key, &name, &key.name) {
            return Ok(None);
        }
        // Who we are is for one host.
        let known = if is_of_all { &["tls"][..] } else { &["auth", "tls"] };
        let fields = self.document.fields(node, &name, known)?;
        let auth = fields.get("auth").filter(|_| !is_of_all);
        let credentials = auth.map(|node| self.credentials(node, &format!("{name}.auth"))).transpose()?;
        let tls = fields.get("tls").map(|node| self.tls(node, &name)).transpose()?;
        Ok(Some(HostSettings { host: key.name.clone(), tls, credentials: credentials.flatten() }))
    }

    /// An entry of the older table, in which hosts are URLs.
    fn auth(&self, key: &Key, node: &Node) -> Result<Option<(String, HostCredentials)>, Error> {
        let name = format!("auths.{:?}", key.name);
        let host = host_of(&key.name);
        if !self.is_host(key, &name, host) {
            return Ok(None);
        }
        // What docker's own tools call it.
        let host = if host == "index.docker.io" { DOCKER_HUB.0 } else { host };
        Ok(self.credentials(node, &name)?.map(|credentials| (host.to_owned(), credentials)))
    }

    /// Whether the host of a key is one; a word about each that is none.
    fn is_host(&self, key: &Key, name: &str, host: &str) -> bool {
        let is_host = Base::is_host(host);
        if !is_host {
            let place = self.document.place(key.at);
            warn!("{place}: {name} is of no host and is ignored: a name such as registry.example:5000 is expected");
        }
        is_host
    }

    fn tls(&self, node: &Node, name: &str) -> Result<TlsSettings, Error> {
        let name = format!("{name}.tls");
        let keys = ["ca_file", "cert_file", "key_file", "insecure_skip_verify"];
        let fields = self.document.fields(node, &name, &keys)?;
        let client = match (fields.text("cert_file")?, fields.text("key_file")?) {
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (self.document.beside(certificate), Some(self.document.beside(key)));
                Some(ClientFiles { certificate, key })
            }
            (None, None) => None,
            _ => return Err(self.document.invalid(node.at, Invalid::HalfClient)),
        };
        Ok(TlsSettings {
            place: self.document.place(node.at),
            certificates: Certificates::Files {
                authorities: fields.text("ca_file")?.map(|path| self.document.beside(path)).into_iter().collect(),
                clients: client.into_iter().collect(),
            },
            skip_verify: fields.bool("insecure_skip_verify")?,
        })
    }

    /// A user and a password count before an identity token, and that before both in one. Nothing set is nobody.
    fn credentials(&self, node: &Node, name: &str) -> Result<Option<HostCredentials>, Error> {
        let token = self.dialect.identity_token();
        let fields = self.document.fields(node, name, &["username", "password", "auth", token])?;
        let (username, password) = (fields.text("username")?, fields.text("password")?);
        let place = self.document.place(node.at);
        if username.is_none() && password.is_some() {
            warn!("{place}: {name} has a password without a username, which is not used");
        }
        let credentials = if let Some(username) = username {
            Credentials::basic(username, password.unwrap_or_default())
        } else if let Some(token) = fields.text(token)? {
            Credentials::basic("", "").with_identity_token(token)
        } else if let Some(auth) = fields.text("auth")? {
            let text = auth_file::decode(auth, name).ok();
            let pair = text.as_ref().and_then(|text| text.split_once(':'));
            let (username, password) = pair.ok_or_else(|| self.document.invalid(node.at, Invalid::Auth))?;
            Credentials::basic(username, password.trim_matches('\0'))
        } else {
            return Ok(None);
        };
        Ok(Some(HostCredentials { credentials, place }))
    }
}
