//! The keys of registries.conf, found in any case as Go finds them, and a word about those that are none.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Broken;
use super::invalid::Invalid;

/// The keys of a table; `None` where any key goes.
type Keys = Option<&'static [(&'static str, Value)]>;

#[derive(Clone, Copy)]
enum Value {
    /// No table.
    Plain,
    /// A table, or an array of tables.
    Table(Keys),
}

const FILE: Keys = Some(&[
    ("unqualified-search-registries", Value::Plain),
    ("credential-helpers", Value::Plain),
    ("short-name-mode", Value::Plain),
    ("additional-layer-store-auth-helper", Value::Plain),
    ("aliases", Value::Table(None)),
    ("registry", Value::Table(REGISTRY)),
    ("registries", Value::Table(VERSION_1)),
]);

const REGISTRY: Keys = Some(&[
    ("prefix", Value::Plain),
    ("location", Value::Plain),
    ("insecure", Value::Plain),
    ("blocked", Value::Plain),
    ("mirror-by-digest-only", Value::Plain),
    ("pull-from-mirror", Value::Plain),
    ("mirror", Value::Table(MIRROR)),
]);

const MIRROR: Keys =
    Some(&[("location", Value::Plain), ("insecure", Value::Plain), ("pull-from-mirror", Value::Plain)]);

const VERSION_1: Keys = Some(&[
    ("search", Value::Table(VERSION_1_LIST)),
    ("insecure", Value::Table(VERSION_1_LIST)),
    ("block", Value::Table(VERSION_1_LIST)),
]);

const VERSION_1_LIST: Keys = Some(&[("registries", Value::Plain)]);

/// Spells every key as it is written in the manual and takes out those that the manual does not have; their places and
/// names are returned. `Blocked = true` must block: the Go side reads keys in any case.
pub(super) fn spell(file: Spanned<DeTable<'_>>) -> Result<(Spanned<DeTable<'_>>, Vec<Unknown>), Broken> {
    let mut unknown = Vec::new();
    let span = file.span();
    let table = spell_table(file.into_inner(), FILE, "", &mut unknown)?;
    Ok((Spanned::new(span, table), unknown))
}

/// A key that is not in the manual.
pub(super) struct Unknown {
    pub(super) name: String,
    pub(super) at: Range<usize>,
}

fn spell_table<'a>(
    table: DeTable<'a>,
    keys: Keys,
    within: &str,
    unknown: &mut Vec<Unknown>,
) -> Result<DeTable<'a>, Broken> {
    let Some(keys) = keys else { return Ok(table) };
    let mut spelled = DeTable::new();
    for (key, value) in table {
        let at = key.span();
        let written = key.into_inner();
        let path = if within.is_empty() { written.to_string() } else { format!("{within}.{written}") };
        let Some((name, shape)) = keys.iter().find(|(name, _)| name.eq_ignore_ascii_case(&written)) else {
            unknown.push(Unknown { name: path, at });
            continue;
        };
        if let Some((other, _)) = spelled.get_key_value(*name) {
            let at = if other.span().start < at.start { at } else { other.span() };
            return Err(Broken { at, rule: Invalid::DuplicateKey((*name).to_owned()) });
        }
        let value_at = value.span();
        let value = spell_value(value.into_inner(), *shape, &path, unknown)?;
        spelled.insert(Spanned::new(at, (*name).into()), Spanned::new(value_at, value));
    }
    Ok(spelled)
}

fn spell_value<'a>(
    value: DeValue<'a>,
    shape: Value,
    path: &str,
    unknown: &mut Vec<Unknown>,
) -> Result<DeValue<'a>, Broken> {
    let Value::Table(keys) = shape else { return Ok(value) };
    Ok(match value {
        DeValue::Table(table) => DeValue::Table(spell_table(table, keys, path, unknown)?),
        DeValue::Array(mut array) => {
            for element in array.iter_mut() {
                let inner = std::mem::replace(element.get_mut(), DeValue::Boolean(false));
                *element.get_mut() = spell_value(inner, shape, path, unknown)?;
            }
            DeValue::Array(array)
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_named_with_their_tables_and_taken_out() {
        let text = "\ntypo = 1\n[aliases]\nAny = 'x'\n[[Registry]]\nPREFIX = 'a'\n[[Registry.mirror]]\nblocked = true";
        let (file, unknown) = spell(DeTable::parse(text).unwrap()).unwrap();
        let unknown: Vec<_> = unknown.iter().map(|key| (key.name.as_str(), key.at.start)).collect();
        assert_eq!(unknown, [("Registry.mirror.blocked", text.find("blocked").unwrap()), ("typo", 1)]);
        let keys: Vec<_> = file.get_ref().keys().map(|key| key.get_ref().to_string()).collect();
        assert_eq!(keys, ["aliases", "registry"]);
    }
}
