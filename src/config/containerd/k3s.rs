//! k3s' registries.yaml ([its manual](https://docs.k3s.io/installation/private-registry)), which has the CRI's table in
//! YAML.

use std::path::Path;

use super::document::{self, Document};
use super::mirrors::{Dialect, Mirrors};
use crate::config::error::Error;

/// Reads a registries.yaml.
pub(super) fn load(file: &Path) -> Result<Mirrors, Error> {
    parse(&document::read(file)?, file)
}

pub(super) fn parse(bytes: &[u8], file: &Path) -> Result<Mirrors, Error> {
    let document = Document::yaml(bytes, file)?;
    Mirrors::read(&document, &document.root, "", Dialect::K3s)
}
