//! An auth file while it is edited.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;

use super::document::{self, FORM, Members};
use super::{AuthFile, MAX_SIZE, ParseError, indent};
use crate::config::credentials::Credentials;
use crate::secret::Secret;

const AUTHS: &str = "auths";
const CRED_HELPERS: &str = "credHelpers";

/// Every member of a file as JSON, what is not about credentials included. Any of them may be a secret.
#[derive(Default)]
pub(in crate::config) struct Draft {
    auths: BTreeMap<String, Secret<String>>,
    others: BTreeMap<String, Secret<String>>,
}

/// A draft makes no file that could be read again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("longer than the {MAX_SIZE} bytes that are read of an auth file")]
pub(super) struct TooLong;

impl Draft {
    /// What the bytes of a file say, and all that they have.
    pub(super) fn parse(bytes: &[u8]) -> Result<(AuthFile, Self), ParseError> {
        let file = document::parse(bytes)?;
        let mut others = members(bytes)?;
        let auths = others.remove(AUTHS).map(|auths| members(auths.expose().as_bytes())).transpose()?;
        if let Some(helpers) = others.remove(CRED_HELPERS).filter(|_| !file.cred_helpers.is_empty()) {
            others.insert(CRED_HELPERS.to_owned(), Secret::new(object(members(helpers.expose().as_bytes())?.iter())));
        }
        Ok((file, Self { auths: auths.unwrap_or_default(), others }))
    }

    /// Puts user name and password where the entry of that key is.
    pub(in crate::config) fn set(&mut self, key: &str, credentials: &Credentials) {
        let pair = format!("{}:{}", credentials.username(), credentials.password().expose());
        let entry = format!(r#"{{"auth":"{}"}}"#, STANDARD.encode(pair));
        self.auths.insert(key.to_owned(), Secret::new(entry));
    }

    /// False when there is no such entry.
    pub(in crate::config) fn remove(&mut self, key: &str) -> bool {
        self.auths.remove(key).is_some()
    }

    pub(in crate::config) fn has_entries(&self) -> bool {
        !self.auths.is_empty()
    }

    /// Removes all entries, and the helpers of single registries.
    pub(in crate::config) fn clear(&mut self) {
        self.auths.clear();
        self.others.remove(CRED_HELPERS);
    }

    /// The bytes that Go programs write: members sorted, indented with tabs, no line end behind them.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, TooLong> {
        let auths = Secret::new(object(self.auths.iter()));
        let (before, after) = (self.others.range(..AUTHS.to_owned()), self.others.range(AUTHS.to_owned()..));
        let json = object(before.chain([(&AUTHS.to_owned(), &auths)]).chain(after));
        indent::with_tabs(&json, usize::try_from(MAX_SIZE).unwrap_or(usize::MAX)).ok_or(TooLong)
    }
}

/// The members of an object, each as it is written; none of `null`.
fn members(bytes: &[u8]) -> Result<BTreeMap<String, Secret<String>>, ParseError> {
    let members: Option<Members<Box<RawValue>>> = document::read(bytes, FORM)?;
    let member = |(name, value): (String, Box<RawValue>)| (name, Secret::new(String::from(Box::<str>::from(value))));
    Ok(members.unwrap_or_default().0.into_iter().map(member).collect())
}

fn object<'a>(members: impl Iterator<Item = (&'a String, &'a Secret<String>)>) -> String {
    let members: Vec<_> =
        members.map(|(name, json)| format!("{}:{}", Value::from(name.as_str()), json.expose())).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(json: &str, change: impl FnOnce(&mut Draft)) -> String {
        let (_, mut draft) = Draft::parse(json.as_bytes()).unwrap();
        change(&mut draft);
        String::from_utf8(draft.to_bytes().unwrap()).unwrap()
    }

    #[test]
    fn members_are_sorted_and_none_is_lost() {
        let json = r#"{"psFormat": "a\u003cb", "auths": {"b": {"auth": "YTpi", "email": "é"}, "a": {}},
                       "HttpHeaders": {"n": 12345678901234567890.0}, "credHelpers": {"z": "y", "b": "c"}}"#;
        let expected = "{\n\t\"HttpHeaders\": {\n\t\t\"n\": 12345678901234567890.0\n\t},\n\t\"auths\": {\n\t\t\"a\": {},\n\t\t\"b\": \
                        {\n\t\t\t\"auth\": \"YTpi\",\n\t\t\t\"email\": \"é\"\n\t\t}\n\t},\n\t\"credHelpers\": {\n\t\t\"b\": \"c\",\n\t\t\"z\": \"y\"\n\t},\n\t\
                        \"psFormat\": \"a\\u003cb\"\n}";
        assert_eq!(edited(json, |_| ()), expected);
        assert_eq!(edited(expected, |_| ()), expected);
    }

    #[test]
    fn an_entry_is_replaced_as_a_whole_and_the_others_stay() {
        let json = r#"{"auths": {"a": {"auth": "YTpi", "identitytoken": "t"}, "b": {"auth": "Yg=="}}}"#;
        let changed = edited(json, |draft| draft.set("a", &Credentials::basic("u", "p:\u{e9}")));
        let (file, _) = Draft::parse(changed.as_bytes()).unwrap();
        let (_, found) = file.credentials(&"a".parse().unwrap()).unwrap().unwrap();
        assert_eq!(found, Credentials::basic("u", "p:\u{e9}"));
        assert!(changed.contains("Yg==") && !changed.contains("identitytoken"), "{changed}");
    }

    #[test]
    fn what_is_removed_is_gone_and_empty_helpers_are_not_written() {
        for json in ["null", "{}", r#"{"auths": null, "credHelpers": { }}"#] {
            assert_eq!(edited(json, |_| ()), "{\n\t\"auths\": {}\n}", "{json}");
        }
        let json = r#"{"auths": {"a": {}}, "credHelpers": {"b": "c"}, "x": 1}"#;
        assert_eq!(edited(json, Draft::clear), "{\n\t\"auths\": {},\n\t\"x\": 1\n}");
        edited(json, |draft| assert_eq!((draft.remove("a"), draft.remove("a")), (true, false)));
    }

    #[test]
    fn a_file_that_could_not_be_read_again_is_not_made() {
        let (_, mut draft) = Draft::parse(b"{}").unwrap();
        draft.set("a", &Credentials::basic("u", "p".repeat(4 << 20)));
        assert_eq!(draft.to_bytes(), Err(TooLong));
    }

    #[test]
    fn a_key_that_stands_twice_is_not_edited_away() {
        for json in [r#"{"x": 1, "x": 2}"#, r#"{"auths": {"a": {}, "a": {}}}"#] {
            assert!(matches!(Draft::parse(json.as_bytes()), Err(ParseError::Form { .. })), "{json}");
        }
    }
}
