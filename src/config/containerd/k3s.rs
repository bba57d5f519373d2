//! k3s' registries.yaml ([its manual](https://docs.k3s.io/installation/private-registry)), which has the CRI's table in
//! YAML.

use std::path::Path;

use log::debug;

use super::document::Document;
use super::mirrors::{Dialect, Mirrors};
use crate::config::bounded;
use crate::config::error::{Error, MAX_FILE_SIZE};

/// Reads a registries.yaml.
pub(super) fn load(file: &Path) -> Result<Mirrors, Error> {
    debug!("registries configuration: {}", file.display());
    let bytes = bounded::read(file, MAX_FILE_SIZE);
    parse(&bytes.map_err(|source| Error::Read { path: file.to_owned(), source })?, file)
}

pub(super) fn parse(bytes: &[u8], file: &Path) -> Result<Mirrors, Error> {
    let document = Document::yaml(bytes, file)?;
    Mirrors::read(&document, &document.root, "", Dialect::K3s)
}
