//! JSON that is read strictly: what serde lets pass and a policy or a signature must not.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A derived reader of a struct that accepts an object and nothing else: serde would take an array of the values too.
pub(crate) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Object(PhantomData))
}

/// [`object`] from the whole of a text: nothing but white space may be behind it.
pub(crate) fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> serde_json::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = object(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Refuses a text in which any object, however deep, has a key twice: for documents that somebody else's types read.
pub(crate) fn check_unique_keys(bytes: &[u8]) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    UniqueKeys.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Bytes from base64, with padding. Line ends count for nothing, as in Go: signatures of other programs have them.
pub(crate) fn from_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let is_line_end = |c| matches!(c, '\n' | '\r');
    if text.contains(is_line_end) {
        BASE64_STANDARD.decode(text.replace(is_line_end, ""))
    } else {
        BASE64_STANDARD.decode(text)
    }
}

/// The text that [`from_base64`] reads.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
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
pub(crate) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Refuses the keys that another `type` may have and this one may not.
pub(crate) fn only(type_name: &str, keys: &[(&str, bool)], allowed: &[&str]) -> Result<(), String> {
    match keys.iter().find(|(name, is_given)| *is_given && !allowed.contains(name)) {
        Some((name, _)) => Err(format!("unknown field `{name}` of type {type_name:?}")),
        None => Ok(()),
    }
}

/// The value of a key that this `type` must have.
pub(crate) fn required<T>(name: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("missing field `{name}`"))
}

/// Bytes in base64: see [`from_base64`].
#[derive(Debug)]
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_base64(&text).map(Self).map_err(|error| D::Error::custom(format_args!("invalid base64: {error}")))
    }
}

/// A text that says something.
#[derive(Debug)]
pub(crate) struct NonEmpty(pub(crate) String);

impl<'de> Deserialize<'de> for NonEmpty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Err(D::Error::custom("invalid value: an empty text")) } else { Ok(Self(text)) }
    }
}

/// A list that says something.
#[derive(Debug)]
pub(crate) struct NonEmptyList<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NonEmptyList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(deserializer)?;
        if list.is_empty() { Err(D::Error::custom("invalid value: an empty list")) } else { Ok(Self(list)) }
    }
}

/// A map that refuses a key given twice; `seed` makes the reader of a key's value, or refuses the key.
pub(crate) fn unique_map<'de, D, S>(
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

struct UniqueKeys;

impl<'de> DeserializeSeed<'de> for UniqueKeys {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        let map = UniqueMap { expected: "an object", seed: |_: &str| Ok(Self), value: PhantomData };
        map.visit_map(access).map(drop)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while access.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether they can be read is asked")]
    struct Two {
        a: Option<String>,
        b: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether they can be read is asked")]
    struct Exact<'a> {
        string: String,
        float64: f64,
        #[serde(borrow)]
        raw: &'a RawValue,
        unmarshaller: bool,
    }

    /// The texts of a table beside the checkout, which are all invalid.
    fn table(name: &str) -> Vec<String> {
        let path = "../shared/tables/containers-image/signature_payload.json";
        let Ok(bytes) = std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)) else {
            return Vec::new();
        };
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let table = document["tables"].as_array().unwrap().iter().find(|table| table["name"] == name).unwrap();
        table["cases"].as_array().unwrap().iter().map(|case| case.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn table_paranoid_object_invalid() {
        for text in table("paranoid_object_invalid") {
            assert!(from_slice::<Two>(text.as_bytes()).is_err(), "{text}");
        }
        for text in [r#"{"a": "A", "b": "B"}"#, r#"{"b": "B", "a": "A"}"#, "{}"] {
            assert!(from_slice::<Two>(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn table_paranoid_exact_invalid() {
        for text in table("paranoid_exact_invalid") {
            assert!(from_slice::<Exact<'_>>(text.as_bytes()).is_err(), "{text}");
        }
        let good = r#"{"string": "a", "float64": 3.5, "raw": {"a": "b"}, "unmarshaller": true}"#;
        assert!(from_slice::<Exact<'_>>(good.as_bytes()).is_ok());
    }
}
