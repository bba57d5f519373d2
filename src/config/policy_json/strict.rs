//! What serde lets pass and a policy must not.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

/// A derived reader of a struct that accepts an object and nothing else: serde would take an array of the values too.
pub(super) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Object(PhantomData))
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(access))
    }
}

/// For an optional field: `null` is not the same as leaving the key out.
pub(super) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Refuses the keys that another `type` may have and this one may not.
pub(super) fn only(type_name: &str, keys: &[(&str, bool)], allowed: &[&str]) -> Result<(), String> {
    match keys.iter().find(|(name, is_given)| *is_given && !allowed.contains(name)) {
        Some((name, _)) => Err(format!("unknown field `{name}` of type {type_name:?}")),
        None => Ok(()),
    }
}

/// The value of a key that this `type` must have.
pub(super) fn required<T>(name: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("missing field `{name}`"))
}

/// Bytes in base64, with padding.
#[derive(Debug)]
pub(super) struct Base64(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD
            .decode(text)
            .map(Self)
            .map_err(|error| D::Error::custom(format_args!("invalid base64: {error}")))
    }
}

/// A text that says something.
#[derive(Debug)]
pub(super) struct NonEmpty(pub(super) String);

impl<'de> Deserialize<'de> for NonEmpty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Err(D::Error::custom("invalid value: an empty text")) } else { Ok(Self(text)) }
    }
}

/// A list that says something.
#[derive(Debug)]
pub(super) struct NonEmptyList<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NonEmptyList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(deserializer)?;
        if list.is_empty() { Err(D::Error::custom("invalid value: an empty list")) } else { Ok(Self(list)) }
    }
}

/// A map that refuses a key given twice; `seed` makes the reader of a key's value, or refuses the key.
pub(super) fn unique_map<'de, D, S>(
    deserializer: D,
    expected: &'static str,
    seed: impl Fn(&str) -> Result<S, String>,
) -> Result<BTreeMap<String, S::Value>, D::Error>
where
    D: Deserializer<'de>,
    S: DeserializeSeed<'de>,
{
    deserializer.deserialize_map(UniqueMap { expected, seed, value: PhantomData })
}

struct UniqueMap<F, S> {
    expected: &'static str,
    seed: F,
    value: PhantomData<S>,
}

impl<'de, F: Fn(&str) -> Result<S, String>, S: DeserializeSeed<'de>> Visitor<'de> for UniqueMap<F, S> {
    type Value = BTreeMap<String, S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            let seed = (self.seed)(&key).map_err(A::Error::custom)?;
            let value = access.next_value_seed(seed)?;
            map.insert(key, value);
        }
        Ok(map)
    }
}
