//! A file of TOML or YAML as one tree that knows where everything is, with its tables in the order of the file: the order
//! of hosts and of rules counts, and each message names a line.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use log::{debug, warn};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use super::Invalid;
use crate::config::bounded;
use crate::config::error::{Error, MAX_FILE_SIZE, Place};
use crate::config::pairs::Pairs;

/// How many warnings are remembered.
const MAX_TOLD: usize = 1024;

/// A file that was read.
pub(super) struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    pub(super) root: Node,
}

/// A value, and where it is.
pub(super) struct Node {
    pub(super) at: Spot,
    pub(super) value: Value,
}

pub(super) enum Value {
    Nothing,
    Bool(bool),
    Text(String),
    Integer(i64),
    /// Another number, or a date.
    Other,
    List(Vec<Node>),
    Table(Vec<(Key, Node)>),
}

/// A key, and where it is.
pub(super) struct Key {
    pub(super) at: Spot,
    pub(super) name: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    Offset(usize),
    Line(u64, u64),
}

impl<'a> Document<'a> {
    pub(super) fn toml(bytes: &'a [u8], file: &'a Path) -> Result<Self, Error> {
        let text = as_text(bytes, file)?;
        let table = DeTable::parse(text).map_err(|error| Error::toml(file, text, error))?;
        let root = Node { at: Spot::Offset(0), value: of_table(table.into_inner()) };
        Ok(Self { file, text, root })
    }

    pub(super) fn yaml(bytes: &'a [u8], file: &'a Path) -> Result<Self, Error> {
        let text = as_text(bytes, file)?;
        let root: Option<SpannedYaml> = serde_saphyr::from_str(text).map_err(|error| Error::yaml(file, error))?;
        let root = root.map_or_else(Node::nothing, of_yaml);
        Ok(Self { file, text, root })
    }

    /// A file that this one names: paths are meant from its directory.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    pub(super) fn place(&self, at: Spot) -> Place {
        match at {
            Spot::Offset(offset) => Place::of_offset(self.file, self.text.as_bytes(), offset),
            Spot::Line(line, column) => Place::of_line(self.file, line, column),
        }
    }

    pub(super) fn invalid(&self, at: Spot, source: Invalid) -> Error {
        Error::Containerd { place: self.place(at), source }
    }

    /// The entries of a table, in order; nothing where nothing is.
    pub(super) fn entries<'n>(&self, node: &'n Node, name: &str) -> Result<&'n [(Key, Node)], Error> {
        match &node.value {
            Value::Nothing => Ok(&[]),
            Value::Table(entries) => Ok(entries),
            _ => Err(self.wrong_type(node, name, "a table")),
        }
    }

    /// The entries of a table whose keys are known; a word about each other one.
    pub(super) fn fields<'n>(&'n self, node: &'n Node, name: &'n str, known: &[&str]) -> Result<Fields<'n>, Error> {
        let entries = self.entries(node, name)?;
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
            warn_once(&format!("{}: unknown key `{}` is ignored", self.place(key.at), joined(name, &key.name)));
        }
        Ok(Fields { document: self, name, entries })
    }

    pub(super) fn text<'n>(&self, node: &'n Node, name: &str) -> Result<&'n str, Error> {
        match &node.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.wrong_type(node, name, "a text in quotes")),
        }
    }

    /// One text, or a list of texts.
    pub(super) fn texts<'n>(&self, node: &'n Node, name: &str) -> Result<Vec<&'n str>, Error> {
        match &node.value {
            Value::List(list) => list.iter().map(|item| self.text(item, name)).collect(),
            Value::Text(text) => Ok(vec![text]),
            _ => Err(self.wrong_type(node, name, "a text or a list of texts")),
        }
    }

    pub(super) fn wrong_type(&self, node: &Node, name: &str, expected: &'static str) -> Error {
        let key = if name.is_empty() { "the file" } else { name };
        self.invalid(node.at, Invalid::Type { key: key.to_owned(), expected })
    }
}

impl Node {
    /// What is not there.
    pub(super) fn nothing() -> Self {
        Self { at: Spot::Offset(0), value: Value::Nothing }
    }
}

/// The entries of one table.
pub(super) struct Fields<'n> {
    document: &'n Document<'n>,
    name: &'n str,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// Of a table that may have other keys too.
    pub(super) fn of(document: &'n Document<'n>, node: &'n Node, name: &'n str) -> Result<Self, Error> {
        Ok(Self { document, name, entries: document.entries(node, name)? })
    }

    /// A value that is there, and is not null.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        let found = self.entries.iter().find(|(known, _)| known.name == key).map(|(_, node)| node);
        found.filter(|node| !matches!(node.value, Value::Nothing))
    }

    /// A text; an empty one counts as none.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'n str>, Error> {
        let text = self.get(key).map(|node| self.document.text(node, &joined(self.name, key))).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<&'n str>, Error> {
        let texts = self.get(key).map(|node| self.document.texts(node, &joined(self.name, key))).transpose()?;
        Ok(texts.unwrap_or_default())
    }

    /// The texts of a list, and where each is.
    pub(super) fn list(&self, key: &str) -> Result<Vec<(&'n str, Spot)>, Error> {
        let name = joined(self.name, key);
        match self.get(key).map(|node| (node, &node.value)) {
            None => Ok(Vec::new()),
            Some((_, Value::List(list))) => {
                list.iter().map(|item| Ok((self.document.text(item, &name)?, item.at))).collect()
            }
            Some((node, _)) => Err(self.document.wrong_type(node, &name, "a list of texts")),
        }
    }

    /// The entries of a table in the table.
    pub(super) fn entries(&self, key: &str) -> Result<&'n [(Key, Node)], Error> {
        let entries = self.get(key).map(|node| self.document.entries(node, &joined(self.name, key))).transpose()?;
        Ok(entries.unwrap_or_default())
    }

    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, Error> {
        let number = |node: &'n Node| match node.value {
            Value::Integer(number) => Ok(number),
            _ => Err(self.document.wrong_type(node, &joined(self.name, key), "a whole number")),
        };
        self.get(key).map(number).transpose()
    }

    pub(super) fn bool(&self, key: &str) -> Result<Option<bool>, Error> {
        let flag = |node: &'n Node| match node.value {
            Value::Bool(flag) => Ok(flag),
            _ => Err(self.document.wrong_type(node, &joined(self.name, key), "true or false")),
        };
        self.get(key).map(flag).transpose()
    }
}

/// The bytes of a file that must be there.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Error> {
    debug!("registries configuration: {}", file.display());
    bounded::read(file, MAX_FILE_SIZE).map_err(|source| Error::Read { path: file.to_owned(), source })
}

/// A hosts.toml is read for each image anew, and what is wrong with it is not news then.
fn warn_once(message: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let is_new = told.len() >= MAX_TOLD || told.insert(message.to_owned());
    drop(told);
    if is_new {
        warn!("{message}");
    }
}

fn as_text<'a>(bytes: &'a [u8], file: &Path) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|error| Error::utf8(file, bytes, error))
}

fn joined(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// TOML's reader sorts by name; the places tell the order of the file.
fn of_table(table: DeTable<'_>) -> Value {
    let entry = |(key, value): (toml::Spanned<_>, toml::Spanned<DeValue<'_>>)| {
        let at = Spot::Offset(key.span().start);
        let node = Node { at: Spot::Offset(value.span().start), value: of_value(value.into_inner()) };
        let name: std::borrow::Cow<'_, str> = key.into_inner();
        (Key { at, name: name.into_owned() }, node)
    };
    let mut entries: Vec<_> = table.into_iter().map(entry).collect();
    entries.sort_by_key(first_spot);
    Value::Table(entries)
}

/// Where a file first speaks of an entry: a table may have its own header behind those of the tables in it.
fn first_spot((key, node): &(Key, Node)) -> Spot {
    let inner = match &node.value {
        Value::Table(entries) => entries.first().map(first_spot),
        _ => None,
    };
    inner.map_or(key.at, |inner| inner.min(key.at))
}

fn of_value(value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(flag) => Value::Bool(flag),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other, Value::Integer)
        }
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
        DeValue::Array(list) => {
            let item = |item: toml::Spanned<DeValue<'_>>| Node {
                at: Spot::Offset(item.span().start),
                value: of_value(item.into_inner()),
            };
            Value::List(list.into_iter().map(item).collect())
        }
        DeValue::Table(table) => of_table(table),
    }
}

type SpannedYaml = serde_saphyr::Spanned<Yaml>;

enum Yaml {
    Nothing,
    Bool(bool),
    Text(String),
    Other,
    List(Vec<SpannedYaml>),
    Map(Vec<(serde_saphyr::Spanned<String>, SpannedYaml)>),
}

fn of_yaml(node: SpannedYaml) -> Node {
    let at = Spot::Line(node.referenced.line(), node.referenced.column());
    let value = match node.value {
        Yaml::Nothing => Value::Nothing,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Text(text) => Value::Text(text),
        Yaml::Other => Value::Other,
        Yaml::List(list) => Value::List(list.into_iter().map(of_yaml).collect()),
        Yaml::Map(pairs) => {
            let entry = |(key, value): (serde_saphyr::Spanned<String>, SpannedYaml)| {
                let at = Spot::Line(key.referenced.line(), key.referenced.column());
                (Key { at, name: key.value }, of_yaml(value))
            };
            Value::Table(pairs.into_iter().map(entry).collect())
        }
    };
    Node { at, value }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Nothing)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(deserializer)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(flag))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Yaml, E> {
        Ok(Yaml::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Yaml, E> {
        Ok(Yaml::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Yaml, E> {
        Ok(Yaml::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Yaml, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Yaml::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Yaml, A::Error> {
        Ok(Yaml::Map(Pairs::read(map)?.0))
    }
}
