//! Credentials that come with a request, as the Container Runtime Interface (CRI) has them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::credentials::Credentials;
use crate::secret::Secret;

/// Who pulls: the `AuthConfig` of
/// [CRI](https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto). Empty fields are not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// Counts before everything else, together with the password.
    pub username: String,
    /// The password of this user.
    pub password: Secret<String>,
    /// `user:password` in base64: counts last.
    pub auth: Secret<String>,
    /// An OAuth 2 refresh token: counts where there is no user name.
    pub identity_token: Secret<String>,
    /// The URL of the registry that all this is for: `https://registry.example/v1/`. Empty for the registry of the image.
    pub server_address: String,
}

/// Credentials that are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The server address is a URL whose port is none.
    #[error("the server address of the credentials, {address:?}, has no valid port")]
    ServerAddress {
        /// The address.
        address: String,
    },
    /// `auth` is not base64 with padding.
    #[error("the auth of the credentials is not base64")]
    NotBase64(#[source] base64::DecodeError),
    /// `auth` is not text.
    #[error("the auth of the credentials is not text")]
    NotText,
    /// `auth` is not a user name, a colon and a password.
    #[error("the auth of the credentials has no colon between user name and password")]
    NoColon,
}

impl AuthConfig {
    /// What to tell the host of an endpoint, such as `registry.example:5000`; `None` to ask it as nobody.
    ///
    /// A server address must name exactly this host. Without one, the caller decides who is told.
    pub fn for_host(&self, host: &str) -> Result<Option<Credentials>, AuthError> {
        match self.server_host()? {
            Some(server) if server != host => Ok(None),
            None if !self.server_address.is_empty() => Ok(None),
            _ => self.credentials(),
        }
    }

    /// The host that the credentials are for, with its port where one is written; `None` where none is named, by an
    /// address without a scheme too.
    pub fn server_host(&self) -> Result<Option<&str>, AuthError> {
        let Some((_, rest)) = self.server_address.split_once("://") else { return Ok(None) };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let behind_name = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
        let port = behind_name.split_once(':').map_or("", |(_, port)| port);
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AuthError::ServerAddress { address: self.server_address.clone() });
        }
        Ok(Some(host).filter(|host| !host.is_empty()))
    }

    /// What is said, to whomever.
    fn credentials(&self) -> Result<Option<Credentials>, AuthError> {
        if !self.username.is_empty() {
            return Ok(Some(Credentials::basic(&self.username, self.password.expose())));
        }
        if !self.identity_token.expose().is_empty() {
            return Ok(Some(Credentials::basic("", "").with_identity_token(self.identity_token.expose())));
        }
        if self.auth.expose().is_empty() {
            return Ok(None);
        }
        // Go's decoder passes over the ends of lines.
        let text: String = self.auth.expose().chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let decoded = STANDARD.decode(text).map_err(AuthError::NotBase64)?;
        let decoded = String::from_utf8(decoded).map_err(|_| AuthError::NotText)?;
        let (username, password) = decoded.split_once(':').ok_or(AuthError::NoColon)?;
        Ok(Some(Credentials::basic(username, password.trim_matches('\0'))))
    }
}

/// The registry that a host of docker.io's stands for.
///
/// Kubernetes writes `https://index.docker.io/v1/`, and the API is at `registry-1.docker.io`: both are docker.io.
pub(super) fn registry_of(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}
