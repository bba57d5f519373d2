//! The JSON of auth files, read more strictly than serde's derive does: an array is never an object, and no key comes
//! twice.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::{AuthFile, Entry, ParseError};
use crate::secret::Secret;

pub(super) const FORM: &str = r#"{"auths": {"<key>": {"auth": "<base64>"}}, "credHelpers": {"<host>": "<name>"}, "credsStore": "<name>"}, each of them optional"#;
const LEGACY_FORM: &str = r#"{"<key>": {"auth": "<base64>"}}"#;

pub(super) fn parse(bytes: &[u8]) -> Result<AuthFile, ParseError> {
    let document: Option<Object<Document>> = read(bytes, FORM)?;
    let Some(Object(document)) = document else { return Ok(AuthFile::default()) };
    let cred_helpers = document.cred_helpers.unwrap_or_default().0;
    Ok(AuthFile {
        legacy: false,
        auths: document.auths.unwrap_or_default().entries(),
        cred_helpers: cred_helpers.into_iter().map(|(host, name)| (host, name.unwrap_or_default())).collect(),
        creds_store: document.creds_store.filter(|name| !name.is_empty()),
    })
}

pub(super) fn parse_legacy(bytes: &[u8]) -> Result<AuthFile, ParseError> {
    let auths: Option<Auths> = read(bytes, LEGACY_FORM)?;
    Ok(AuthFile { legacy: true, auths: auths.unwrap_or_default().entries(), ..AuthFile::default() })
}

pub(super) fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8], expected: &'static str) -> Result<T, ParseError> {
    serde_json::from_slice(bytes).map_err(|error| {
        // serde_json quotes the value in an error about its type, and never in one about syntax.
        if error.is_data() {
            ParseError::Form { line: error.line(), column: error.column(), expected }
        } else {
            ParseError::Syntax(error)
        }
    })
}

/// `null` stands for an absent value everywhere, as in Go.
#[derive(Deserialize)]
struct Document {
    auths: Option<Auths>,
    #[serde(rename = "credHelpers")]
    cred_helpers: Option<Members<Option<String>>>,
    #[serde(rename = "credsStore")]
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
struct AuthMembers {
    auth: Option<String>,
    identitytoken: Option<String>,
}

type Auths = Members<Option<Object<AuthMembers>>>;

impl Auths {
    fn entries(self) -> Vec<(String, Entry)> {
        let entry = |(key, members): (String, Option<Object<AuthMembers>>)| {
            let members = members.map(|Object(members)| members).unwrap_or_default();
            let auth = Secret::new(members.auth.unwrap_or_default());
            let identity_token = Secret::new(members.identitytoken.unwrap_or_default());
            (key, Entry { auth, identity_token })
        };
        self.0.into_iter().map(entry).collect()
    }
}

/// A struct that only an object can fill; the derived reader would take an array too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// An object with keys of the user's, in the order of the file.
pub(super) struct Members<T>(pub(super) Vec<(String, T)>);

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for MembersVisitor<T> {
            type Value = Members<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<T>, A::Error> {
                let (mut members, mut seen) = (Vec::new(), std::collections::HashSet::new());
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom("key given twice"));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor(PhantomData))
    }
}
