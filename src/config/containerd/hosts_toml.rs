//! One hosts.toml ([its manual](https://github.com/containerd/containerd/blob/main/docs/hosts.md)).

use std::path::Path;
use std::time::Duration;

use super::Invalid;
use super::base::Base;
use super::document::{Document, Fields, Key, Node, Spot, Value};
use super::host_entry::{Certificates, ClientFiles, HostEntry};
use super::rewrite::Rewrites;
use crate::config::error::Error;
use crate::config::host::{Capabilities, HostHeader};
use crate::secret::Secret;

/// What is said of a host; and outside the tables of hosts, of the server.
const HOST_KEYS: [&str; 8] =
    ["capabilities", "ca", "client", "skip_verify", "header", "override_path", "dial_timeout", "rewrite"];
/// What is said of the file's hosts.
const FILE_KEYS: [&str; 2] = ["server", "host"];

/// What frames a request, in lower case: a file that set one could have it mean something else to each who reads it.
const FRAMING: [&str; 5] = ["connection", "content-length", "host", "trailer", "transfer-encoding"];

/// Longer than that is a mistake.
const MAX_DIAL_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Reads a file that is in memory: the hosts in their order, then the server, which has no URL where the file names none.
pub(super) fn parse(bytes: &[u8], file: &Path) -> Result<Vec<HostEntry>, Error> {
    let document = Document::toml(bytes, file)?;
    let root = document.fields(&document.root, "", &[&FILE_KEYS[..], &HOST_KEYS].concat())?;
    let mut entries =
        root.entries("host")?.iter().map(|(key, node)| host(&document, key, node)).collect::<Result<Vec<_>, _>>()?;
    let server = root.get("server").filter(|node| !matches!(&node.value, Value::Text(text) if text.is_empty()));
    let url = match server {
        Some(node) => Some((document.text(node, "server")?, node.at)),
        None => None,
    };
    entries.push(entry(&document, url, &root, document.root.at)?);
    Ok(entries)
}

fn host(document: &Document<'_>, key: &Key, node: &Node) -> Result<HostEntry, Error> {
    let name = format!("host.{:?}", key.name);
    let fields = document.fields(node, &name, &HOST_KEYS)?;
    entry(document, Some((&key.name, key.at)), &fields, key.at)
}

fn entry(
    document: &Document<'_>,
    url: Option<(&str, Spot)>,
    fields: &Fields<'_>,
    at: Spot,
) -> Result<HostEntry, Error> {
    let is_whole = fields.bool("override_path")?.unwrap_or_default();
    let base = url.map(|(text, at)| Base::of_hosts_toml(text, is_whole).map_err(|rule| document.invalid(at, rule)));
    let reading = Reading { document, fields };
    Ok(HostEntry {
        place: document.place(url.map_or(at, |(_, at)| at)),
        is_unsaid: false,
        base: base.transpose()?,
        capabilities: reading.capabilities()?,
        certificates: reading.certificates()?,
        skip_verify: fields.bool("skip_verify")?,
        headers: reading.headers()?,
        dial_timeout: reading.dial_timeout()?,
        rewrites: reading.rewrites()?,
        credentials: None,
    })
}

/// The settings of one host.
struct Reading<'n, 'd> {
    document: &'d Document<'d>,
    fields: &'d Fields<'n>,
}

impl Reading<'_, '_> {
    /// None named is the same as all.
    fn capabilities(&self) -> Result<Capabilities, Error> {
        let Some(node) = self.fields.get("capabilities") else { return Ok(Capabilities::ALL) };
        let mut capabilities = Capabilities::NONE;
        for name in self.document.texts(node, "capabilities")? {
            match name.to_ascii_lowercase().as_str() {
                "pull" => capabilities.pull = true,
                "resolve" => capabilities.resolve = true,
                "push" => capabilities.push = true,
                "referrers" => capabilities.referrers = true,
                _ => return Err(self.document.invalid(node.at, Invalid::Capability(name.to_owned()))),
            }
        }
        Ok(if capabilities == Capabilities::NONE { Capabilities::ALL } else { capabilities })
    }

    fn certificates(&self) -> Result<Certificates, Error> {
        let authorities = self.fields.texts("ca")?.into_iter().map(|path| self.document.beside(path)).collect();
        Ok(Certificates::Files { authorities, clients: self.clients()? })
    }

    /// One file, or a list of files and of pairs of a certificate and its key.
    fn clients(&self) -> Result<Vec<ClientFiles>, Error> {
        let Some(node) = self.fields.get("client") else { return Ok(Vec::new()) };
        match &node.value {
            Value::Text(path) => Ok(vec![ClientFiles::in_one(self.document.beside(path))]),
            Value::List(list) => list.iter().map(|item| self.client(item)).collect(),
            _ => Err(self.document.invalid(node.at, Invalid::ClientPair)),
        }
    }

    fn client(&self, node: &Node) -> Result<ClientFiles, Error> {
        let paths = self.document.texts(node, "client")?;
        match (paths.as_slice(), matches!(node.value, Value::List(_))) {
            ([path], false) | ([path, ""], true) => Ok(ClientFiles::in_one(self.document.beside(path))),
            ([certificate, key], true) => {
                Ok(ClientFiles { certificate: self.document.beside(certificate), key: Some(self.document.beside(key)) })
            }
            _ => Err(self.document.invalid(node.at, Invalid::ClientPair)),
        }
    }

    fn headers(&self) -> Result<Vec<HostHeader>, Error> {
        let Some(node) = self.fields.get("header") else { return Ok(Vec::new()) };
        headers(self.document, node, "header")
    }

    /// No time at all is the same as none said.
    fn dial_timeout(&self) -> Result<Option<Duration>, Error> {
        let Some(node) = self.fields.get("dial_timeout") else { return Ok(None) };
        let text = self.document.text(node, "dial_timeout")?;
        let duration = go_duration(text).filter(|duration| *duration <= MAX_DIAL_TIMEOUT);
        let duration = duration.ok_or_else(|| self.document.invalid(node.at, Invalid::Duration(text.to_owned())))?;
        Ok(Some(duration).filter(|duration| !duration.is_zero()))
    }

    fn rewrites(&self) -> Result<Rewrites, Error> {
        let Some(node) = self.fields.get("rewrite") else { return Ok(Rewrites::default()) };
        Rewrites::read(self.document, node, "rewrite")
    }
}

/// A table of headers, each with one value or several.
pub(super) fn headers(document: &Document<'_>, node: &Node, name: &str) -> Result<Vec<HostHeader>, Error> {
    let mut headers = Vec::new();
    for (key, value) in document.entries(node, name)? {
        if FRAMING.contains(&key.name.to_ascii_lowercase().as_str()) {
            return Err(document.invalid(key.at, Invalid::Framing(key.name.clone())));
        }
        for text in document.texts(value, &format!("{name}.{}", key.name))? {
            let is_valid =
                http::HeaderName::from_bytes(key.name.as_bytes()).is_ok() && http::HeaderValue::from_str(text).is_ok();
            if !is_valid {
                return Err(document.invalid(key.at, Invalid::Header(key.name.clone())));
            }
            headers.push(HostHeader { name: key.name.clone(), value: Secret::new(text.to_owned()) });
        }
    }
    Ok(headers)
}

/// A time as Go writes it, with units and without spaces.
fn go_duration(text: &str) -> Option<Duration> {
    let is_go = text.chars().all(|c| c.is_ascii_digit() || ".nu\u{b5}\u{3bc}msh".contains(c));
    // The Greek letter is the sign for micro, too.
    let duration = text.replace('\u{3bc}', "\u{b5}").parse::<jiff::SignedDuration>().ok().filter(|_| is_go);
    if text == "0" { Some(Duration::ZERO) } else { duration.and_then(|duration| duration.try_into().ok()) }
}
