//! Which recorded request is the one that is asked now.

use std::fmt;

use super::redact::is_placeholder;
use crate::http::{HeaderMap, Method, header};
use crate::safe_url::SafeUrl;

/// What tells requests apart.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    method: Method,
    url: SafeUrl,
    range: Option<String>,
    authorized: bool,
}

impl Asked {
    pub(super) fn new(method: Method, url: SafeUrl, headers: &HeaderMap) -> Self {
        let range = headers.get(header::RANGE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Self { method, url, range, authorized: headers.contains_key(header::AUTHORIZATION) }
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// True when `self`, asked now, is what was `recorded`.
    pub(super) fn is_answered_by(&self, recorded: &Self, authorization_matters: bool) -> bool {
        self.method == recorded.method
            && self.range == recorded.range
            && (self.authorized == recorded.authorized || !authorization_matters)
            && is_same_url(self.url.expose(), recorded.url.expose())
    }

    /// How much of the printed form two requests share from its beginning, the method counted last.
    pub(super) fn likeness(&self, other: &Self) -> usize {
        let (this, that) = (self.url.to_string(), other.url.to_string());
        let common = this.bytes().zip(that.bytes()).take_while(|(a, b)| a == b).count();
        2 * common + usize::from(self.method == other.method)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)?;
        if let Some(range) = &self.range {
            write!(f, ", Range: {range}")?;
        }
        if self.authorized {
            f.write_str(", with Authorization")?;
        }
        Ok(())
    }
}

fn is_same_url(asked: &str, recorded: &str) -> bool {
    let ((asked, asked_query), (recorded, recorded_query)) = (split(asked), split(recorded));
    asked == recorded
        && asked_query.split('&').count() == recorded_query.split('&').count()
        && asked_query.split('&').zip(recorded_query.split('&')).all(|(a, r)| is_same_parameter(a, r))
}

/// A redacted value stands for any real one, but not for another redacted one: two signed locations stay two.
fn is_same_parameter(asked: &str, recorded: &str) -> bool {
    let value = |parameter: &str| parameter.split_once('=').map_or_else(|| parameter.to_owned(), |(_, v)| v.to_owned());
    let name = |parameter: &str| parameter.split_once('=').map(|(name, _)| name.to_owned());
    asked == recorded
        || (name(asked) == name(recorded) && is_placeholder(&value(recorded)) && !is_placeholder(&value(asked)))
}

/// Everything before the query, and the query; a fragment never travels.
fn split(url: &str) -> (&str, &str) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').unwrap_or((url, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redacted_value_stands_for_a_real_one_only() {
        for (asked, recorded, same) in [
            ("http://r/?a=1", "http://r/?a=1", true),
            ("http://r/?a=1", "http://r/?a=2", false),
            ("http://r/?a=secret", "http://r/?a=redacted-1", true),
            ("http://r/?a=redacted-1", "http://r/?a=redacted-1", true),
            ("http://r/?a=redacted-2", "http://r/?a=redacted-1", false),
            ("http://r/?b=secret", "http://r/?a=redacted-1", false),
            ("http://r/?secret", "http://r/?redacted-1", true),
            ("http://r/?a=1&b=2", "http://r/?a=1", false),
            ("http://r/#x", "http://r/", true),
        ] {
            assert_eq!(is_same_url(asked, recorded), same, "{asked} {recorded}");
        }
    }
}
