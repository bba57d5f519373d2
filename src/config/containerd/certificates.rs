//! The certificates that containerd's files name, or that lie beside them.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::host_entry::ClientFiles;
use crate::config::bounded;
use crate::config::certs_d::{self, CertsDir, ClientPair, Error, KeyFile, MAX_FILE_SIZE, PemFile};
use crate::secret::Secret;

/// Reads the files. Each must be there, and have a certificate.
pub(super) fn read(authorities: &[PathBuf], clients: &[ClientFiles]) -> Result<CertsDir, Error> {
    let authorities = authorities.iter().map(|path| read_certificate(path)).collect::<Result<_, _>>()?;
    let clients = clients.iter().map(read_client).collect::<Result<_, _>>()?;
    Ok(CertsDir { path: None, authorities, clients })
}

/// Reads a directory without a hosts.toml, which is one of docker's: `*.crt` are authorities, `X.cert` is a client
/// certificate, with its key in `X.key` or in the same file. Anything else is passed over.
pub(super) fn read_directory(directory: &Path) -> Result<CertsDir, Error> {
    let (authorities, clients) = list(directory)?;
    Ok(CertsDir { path: Some(directory.to_owned()), ..read(&authorities, &clients)? })
}

/// What of a directory is a certificate, by name.
pub(super) fn list(directory: &Path) -> Result<(Vec<PathBuf>, Vec<ClientFiles>), Error> {
    let names = certs_d::list(directory).map_err(|source| Error::Read { path: directory.to_owned(), source })?;
    let (mut authorities, mut clients) = (Vec::new(), Vec::new());
    for path in names.iter().map(|name| directory.join(name)).filter(|path| !path.is_dir()) {
        match path.extension().map(OsStr::as_encoded_bytes) {
            Some(b"crt") => authorities.push(path),
            Some(b"cert") => {
                let key = Some(path.with_extension("key")).filter(|key| names.iter().any(|name| key.ends_with(name)));
                clients.push(ClientFiles { certificate: path, key });
            }
            _ => {}
        }
    }
    Ok((authorities, clients))
}

fn read_client(files: &ClientFiles) -> Result<ClientPair, Error> {
    let certificate = read_certificate(&files.certificate)?;
    let path = files.key.as_ref().unwrap_or(&files.certificate).clone();
    let bytes = Secret::new(read_file(&path)?);
    Ok(ClientPair { certificate, key: KeyFile { path, bytes } })
}

fn read_certificate(path: &Path) -> Result<PemFile, Error> {
    certs_d::require_certificate(PemFile { path: path.to_owned(), bytes: read_file(path)? })
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    bounded::read(path, MAX_FILE_SIZE).map_err(|source: io::Error| Error::Read { path: path.to_owned(), source })
}
