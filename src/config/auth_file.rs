//! Auth files: the `auth.json` of podman, the `config.json` of docker, and its forerunner `.dockercfg`.
//!
//! [containers-auth.json(5)](https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md) describes
//! the format. Which of several files counts is the matter of [`lookup`](super::credentials::lookup).
//!
//! No error of this file repeats a value found in an auth file: it may be the secret.

use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::bounded;
use super::credentials::Credentials;
use super::paths::AuthFileCandidate;
use crate::secret::Secret;

mod document;
mod draft;
mod indent;
mod key;
mod write;

pub use key::{AuthKey, KeyError};
pub use write::WriteError;
pub(super) use write::{Edit, edit};

/// The most that is read of an auth file, in bytes.
pub const MAX_SIZE: u64 = 4 << 20;

/// What Go's decoder takes: padding is required, unused bits of the last character do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// What one auth file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthFile {
    legacy: bool,
    auths: Vec<(String, Entry)>,
    cred_helpers: Vec<(String, String)>,
    creds_store: Option<String>,
}

/// One value of `auths`. Docker's `username`, `password` and `registrytoken` are not read, as podman does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Entry {
    auth: Secret<String>,
    identity_token: Secret<String>,
}

/// Why an auth file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file that the user named does not exist.
    #[error("auth file {} does not exist; create it by logging in, or name another", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read auth file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said, or that it is too long.
        source: io::Error,
    },
    /// The file is not an auth file.
    #[error("invalid auth file {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        source: ParseError,
    },
    /// The entry that counts is broken.
    #[error("invalid auth file {}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Which entry.
        source: EntryError,
    },
}

/// Why bytes are not an auth file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not JSON.
    #[error("expected JSON")]
    Syntax(#[source] serde_json::Error),
    /// JSON, but not of this form.
    #[error("line {line}, column {column}: expected {expected}, and no key twice")]
    Form {
        /// Where it goes wrong.
        line: usize,
        /// Where in that line.
        column: usize,
        /// The form of the whole file.
        expected: &'static str,
    },
}

/// Why an entry of `auths` is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Not base64. The decoder's own error would show a part of the secret.
    #[error("\"auth\" of {0:?} is not base64 of user:password; log in again to replace it")]
    Base64(String),
    /// A user name or a password that is not text.
    #[error("\"auth\" of {0:?} is not UTF-8 after base64 decoding")]
    Utf8(String),
}

impl AuthFile {
    /// Reads `auth.json` or docker's `config.json`. Members that are not about credentials are not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        document::parse(bytes)
    }

    /// Reads `.dockercfg`: the entries of `auths`, without anything around them.
    pub fn parse_legacy(bytes: &[u8]) -> Result<Self, ParseError> {
        document::parse_legacy(bytes)
    }

    /// Reads a file of at most [`MAX_SIZE`]; `None` where there is none, unless the user named it.
    pub fn read(candidate: &AuthFileCandidate) -> Result<Option<Self>, Error> {
        let path = &candidate.path;
        let bytes = match bounded::read(path, MAX_SIZE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if candidate.explicit { Err(Error::Missing(path.clone())) } else { Ok(None) };
            }
            Err(source) => return Err(Error::Read { path: path.clone(), source }),
        };
        let file = if candidate.legacy { Self::parse_legacy(&bytes) } else { Self::parse(&bytes) };
        file.map(Some).map_err(|source| Error::Parse { path: path.clone(), source })
    }

    /// The credential helper that alone has the credentials of this registry (`credHelpers`).
    pub fn helper(&self, key: &AuthKey) -> Option<&str> {
        let registry = key.registry();
        self.cred_helpers.iter().find(|(host, _)| host == registry).map(|(_, helper)| helper.as_str())
    }

    /// All of `credHelpers`: the registry and its credential helper.
    pub fn helpers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cred_helpers.iter().map(|(host, helper)| (host.as_str(), helper.as_str()))
    }

    /// The credential helper for all registries (`credsStore`).
    pub fn store(&self) -> Option<&str> {
        self.creds_store.as_deref()
    }

    /// The credentials in `auths`, with the key they are under.
    ///
    /// The first entry that matches decides, even when there is nothing in it: docker leaves empty entries for what a
    /// helper keeps, and those must not uncover a login of a wider key. Keys that match only after normalization are
    /// taken in the order of the file.
    pub fn credentials(&self, key: &AuthKey) -> Result<Option<(&str, Credentials)>, EntryError> {
        match self.entry(key) {
            Some((key, entry)) => Ok(entry.decode(key)?.map(|credentials| (key.as_str(), credentials))),
            None => Ok(None),
        }
    }

    fn entry(&self, key: &AuthKey) -> Option<&(String, Entry)> {
        let exact = |key: &str| self.auths.iter().find(|(candidate, _)| candidate == key);
        let found = if self.legacy { exact(key.registry()) } else { key.lookup_order().find_map(exact) };
        found.or_else(|| {
            let registry = same_registry(key.registry());
            self.auths.iter().find(|(candidate, _)| self.registry_of(candidate) == registry)
        })
    }

    /// The registry that a key of the file means: docker once wrote the URL of the API there.
    fn registry_of<'a>(&self, key: &'a str) -> &'a str {
        let rest = key.strip_prefix("http://").unwrap_or(key);
        let rest = rest.strip_prefix("https://").unwrap_or(rest);
        let is_url = rest.len() != key.len();
        let host = if self.legacy || is_url { rest.split_once('/').map_or(rest, |(host, _)| host) } else { rest };
        same_registry(host)
    }
}

impl Entry {
    fn decode(&self, key: &str) -> Result<Option<Credentials>, EntryError> {
        let text = decode(self.auth.expose(), key)?;
        let Some((username, password)) = text.split_once(':') else {
            if !text.is_empty() {
                log::warn!(
                    "entry {key:?} of an auth file has no ':' between user name and password and is passed over"
                );
            }
            return Ok(None);
        };
        let credentials = Credentials::basic(username, password.trim_matches('\0'))
            .with_identity_token(self.identity_token.expose().as_str());
        Ok((!credentials.is_empty()).then_some(credentials))
    }
}

/// What is in the `auth` of an entry: `user:password`.
pub(super) fn decode(auth: &str, key: &str) -> Result<String, EntryError> {
    // Go's decoder passes over line ends.
    let encoded: String = auth.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let decoded = BASE64.decode(encoded).map_err(|_| EntryError::Base64(key.to_owned()))?;
    String::from_utf8(decoded).map_err(|_| EntryError::Utf8(key.to_owned()))
}

const DOCKER_HUB: &str = "index.docker.io";

/// One name for the three of `docker.io`.
fn same_registry(registry: &str) -> &str {
    match registry {
        "docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::one_line;

    /// The user name that `json` has for `quay.io/org`.
    fn username(json: &str) -> Option<String> {
        let file = AuthFile::parse(json.as_bytes()).unwrap();
        let found = file.credentials(&AuthKey("quay.io/org".to_owned())).unwrap();
        found.map(|(_, credentials)| credentials.username().to_owned())
    }

    #[test]
    fn null_is_absent_and_foreign_members_are_not_looked_at() {
        for json in [
            "null",
            "{}",
            r#"{"auths": null, "credHelpers": null, "credsStore": null}"#,
            r#"{"auths": {"quay.io": null}}"#,
            r#"{"auths": {"quay.io": {"auth": null}}, "HttpHeaders": [1], "psFormat": {"a": 1}}"#,
            r#"{"auths": {"quay.io": {"username": "u", "password": "p"}}}"#,
        ] {
            assert_eq!(username(json), None, "{json}");
        }
    }

    #[test]
    fn base64_is_read_as_go_reads_it() {
        for (auth, expected) in [("dTpw", true), ("dT\\npw\\r\\n", true), ("dTr=", true), ("dTpwcB==", true)] {
            let json = format!(r#"{{"auths": {{"quay.io": {{"auth": "{auth}"}}}}}}"#);
            assert_eq!(username(&json).is_some(), expected, "{auth}");
        }
        for auth in ["dTpwcA", "dTpw=", "dTp-", "/zpw", "dTpw dTpw"] {
            let json = format!(r#"{{"auths": {{"quay.io": {{"auth": "{auth}"}}}}}}"#);
            let file = AuthFile::parse(json.as_bytes()).unwrap();
            assert!(file.credentials(&AuthKey("quay.io".to_owned())).is_err(), "{auth}");
        }
    }

    #[test]
    fn a_path_after_the_host_is_ignored_in_urls_and_in_legacy_files_alone() {
        let entries = r#"{"quay.io/v1": {"auth": "dTpw"}}"#;
        let key = AuthKey("quay.io".to_owned());
        let file = AuthFile::parse(format!(r#"{{"auths": {entries}}}"#).as_bytes()).unwrap();
        assert_eq!(file.credentials(&key), Ok(None));
        let file = AuthFile::parse_legacy(entries.as_bytes()).unwrap();
        assert_eq!(file.credentials(&key), Ok(Some(("quay.io/v1", Credentials::basic("u", "p")))));
    }

    #[test]
    fn a_broken_entry_matters_only_where_it_counts() {
        let json = r#"{"auths": {"quay.io/other": {"auth": "!"}, "quay.io": {"auth": "dTpw"}}}"#;
        assert_eq!(username(json).as_deref(), Some("u"));
    }

    #[test]
    fn an_error_tells_line_and_column_and_no_value() {
        let form = |json: &str| match AuthFile::parse(json.as_bytes()) {
            Err(ParseError::Form { line, column, .. }) => (line, column),
            other => panic!("{json}: {other:?}"),
        };
        assert_eq!(form("{\"auths\":\n {\"quay.io\": \"c2VjcmV0\"}}"), (2, 23));
        assert_eq!(form("[]").0, 1);
        assert_eq!(form(r#"{"auths": {"quay.io": ["c2VjcmV0"]}}"#).0, 1);
        assert_eq!(form(r#"{"auths": {"a": {}, "a": {}}}"#).0, 1);
        assert_eq!(form(r#"{"auths": {}, "auths": {}}"#).0, 1);

        for json in
            [r#"{"auths": {"quay.io": "c2VjcmV0"}}"#, r#"{"auths": {"quay.io": {"auth": "c2VjcmV0" "#, "c2VjcmV0"]
        {
            let error = AuthFile::parse(json.as_bytes()).unwrap_err();
            let text = format!("{} {error:?}", one_line(&error));
            assert!(!text.contains("c2Vj"), "{text}");
            assert!(text.contains("line 1"), "{text}");
        }
        assert!(!format!("{:?}", AuthFile::parse(br#"{"auths": {"a": {"auth": "c2VjcmV0"}}}"#)).contains("c2Vj"));
    }
}
