//! A URL that can be logged.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use url::Url;

/// Query parameters whose values are public words of the distribution API. Every other value may be a signature of a
/// content delivery network, so it is printed as `…`.
const PUBLIC_PARAMETERS: [&str; 9] = ["account", "digest", "from", "last", "mount", "n", "ns", "scope", "service"];

/// An absolute `http` or `https` URL without user information, whose printed form holds no secret.
///
/// A URL with `user:password@` is refused: below us it would silently become an `Authorization` header.
///
/// ```
/// use transship::SafeUrl;
///
/// let url: SafeUrl = "https://cdn.example/blob?X-Amz-Signature=abc&ns=quay.io".parse()?;
/// assert_eq!(url.to_string(), "https://cdn.example/blob?X-Amz-Signature=…&ns=quay.io");
/// assert!("https://me:secret@cdn.example/".parse::<SafeUrl>().is_err());
/// # Ok::<(), transship::safe_url::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SafeUrl(Box<Url>);

/// Why a text is not a [`SafeUrl`]. It does not repeat the text, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not a URL by the [URL standard](https://url.spec.whatwg.org/).
    #[error("not a URL: {0}")]
    Syntax(url::ParseError),
    /// Neither `http` nor `https`.
    #[error("URL scheme {0:?} is not http or https")]
    Scheme(String),
    /// Has a user name or a password in it.
    #[error("a URL with a user name or password in it is not accepted")]
    UserInfo,
}

impl SafeUrl {
    /// Resolves a `Location` or `Link` target against this URL.
    pub fn join(&self, target: &str) -> Result<Self, ParseError> {
        Self::try_from(self.0.join(target).map_err(ParseError::Syntax)?)
    }

    /// True when scheme, host and port are the same: the one question that decides whether credentials may travel.
    pub fn same_origin(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// True for `https`.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// `host` or `host:port`, the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// `scheme://host:port`, as a text to compare.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The host name or address, without a port.
    pub fn host(&self) -> String {
        self.0.host_str().unwrap_or_default().to_owned()
    }

    /// The port, the scheme's own where none is written.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// The path, which begins with a slash.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// The same with a slash at the end of its path, so that what is [joined](Self::join) comes below it.
    #[must_use]
    pub(crate) fn as_directory(&self) -> Self {
        if self.path().ends_with('/') { self.clone() } else { self.with_path(&format!("{}/", self.path())) }
    }

    /// The same with another path.
    #[must_use]
    pub(crate) fn with_path(&self, path: &str) -> Self {
        let mut url = self.clone();
        url.0.set_path(path);
        url
    }

    /// True when there is more than scheme, host, port and path.
    pub(crate) fn has_query_or_fragment(&self) -> bool {
        self.0.query().is_some() || self.0.fragment().is_some()
    }

    /// The same over http.
    #[must_use]
    pub(crate) fn over_http(&self) -> Self {
        self.over("http")
    }

    /// The same over https.
    #[must_use]
    pub(crate) fn over_https(&self) -> Self {
        self.over("https")
    }

    fn over(&self, scheme: &str) -> Self {
        let mut url = self.clone();
        // It fails between kinds of schemes, and these are of one.
        let _ = url.0.set_scheme(scheme);
        url
    }

    /// Appends one query parameter, encoded.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: &str) -> Self {
        self.0.query_pairs_mut().append_pair(name, value);
        self
    }

    /// The whole text with every query value, for the wire and for nobody else.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

/// True for the name of a query parameter whose value may be printed.
pub(crate) fn is_public_parameter(name: &str) -> bool {
    PUBLIC_PARAMETERS.contains(&name)
}

impl TryFrom<Url> for SafeUrl {
    type Error = ParseError;

    fn try_from(url: Url) -> Result<Self, ParseError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ParseError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ParseError::UserInfo);
        }
        Ok(Self(Box::new(url)))
    }
}

impl FromStr for SafeUrl {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::try_from(Url::parse(text).map_err(ParseError::Syntax)?)
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.0.scheme(), self.authority(), self.0.path())?;
        for (index, (name, value)) in self.0.query_pairs().enumerate() {
            f.write_str(if index == 0 { "?" } else { "&" })?;
            write_parameter(f, &name, &value)?;
        }
        Ok(())
    }
}

/// One decoded query parameter. A name without a value may be a token itself, and no control character that a server
/// encoded may reach a terminal.
fn write_parameter(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    let is_public = is_public_parameter(name);
    if value.is_empty() && !is_public {
        return f.write_str("…");
    }
    let shown = if is_public { value } else { "…" };
    for c in name.chars().chain(['=']).chain(shown.chars()) {
        if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
    }
    Ok(())
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafeUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_protocol_s_own_parameters_are_printed() {
        for (url, shown) in [
            (
                "https://a.example/t?service=r.example&scope=repository%3Afoo%3Apull&account=me",
                "https://a.example/t?service=r.example&scope=repository:foo:pull&account=me",
            ),
            ("https://a.example/b?sig=s3cret&se=2026#s3cret", "https://a.example/b?sig=…&se=…"),
            ("https://a.example/b?s3cret", "https://a.example/b?…"),
            ("https://a.example/b?s3cret=&n=", "https://a.example/b?…&n="),
            ("https://a.example/b?ns=%1b[31m&x%0ay=1", "https://a.example/b?ns=\\u{1b}[31m&x\\ny=…"),
        ] {
            let url: SafeUrl = url.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("SafeUrl({shown})"));
        }
    }

    #[test]
    fn origin_is_scheme_host_and_port() {
        let base: SafeUrl = "https://a.example/x".parse().unwrap();
        for (other, same) in [
            ("https://a.example:443/y?z=1", true),
            ("https://A.EXAMPLE/", true),
            ("http://a.example/x", false),
            ("https://a.example:444/x", false),
            ("https://b.a.example/x", false),
        ] {
            assert_eq!(base.same_origin(&other.parse().unwrap()), same, "{other}");
        }
    }

    #[test]
    fn a_join_cannot_smuggle_user_information_or_another_scheme() {
        let base: SafeUrl = "https://a.example/x".parse().unwrap();
        assert_eq!(base.join("//u:p@b.example/"), Err(ParseError::UserInfo));
        assert_eq!(base.join("file:///etc/passwd"), Err(ParseError::Scheme("file".to_owned())));
        assert_eq!(base.join("../v2/?n=3").unwrap().to_string(), "https://a.example/v2/?n=3");
    }
}
