//! Certificates for one registry: `certs.d/<host[:port]>`.
//!
//! [containers-certs.d(5)](https://github.com/containers/image/blob/main/docs/containers-certs.d.5.md): `*.crt` are
//! certificate authorities, trusted beside the system's; `*.cert` with `*.key` of the same name are client
//! certificates. Other names are ignored.
//!
//! The files are read here and decoded where TLS is set up; here is only refused what is no PEM at all.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::bounded;
use crate::secret::Secret;

/// The most that is read of one file, in bytes: room for a bundle of all public authorities.
pub const MAX_FILE_SIZE: u64 = 4 << 20;

const CERTIFICATE_LABEL: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What `certs.d` has for one registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertsDir {
    /// The directory that counts; `None` where none exists.
    pub path: Option<PathBuf>,
    /// The `*.crt` files by name, without empty ones; each has at least one certificate.
    pub authorities: Vec<PemFile>,
    /// The client certificates by name; all are offered to the server.
    pub clients: Vec<ClientPair>,
}

/// A file of PEM blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemFile {
    /// The file, for errors about what is in it.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A private key in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The file, for errors about what is in it.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Secret<Vec<u8>>,
}

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPair {
    /// `<name>.cert`: the certificate, then its intermediates.
    pub certificate: PemFile,
    /// `<name>.key`
    pub key: KeyFile,
}

/// Why a certs.d directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A directory or file cannot be read, or a file is too long.
    #[error("cannot read {}", path.display())]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A `.cert` without its `.key`.
    #[error(
        "missing key {} for client certificate {}; a CA certificate should have the extension .crt",
        key.display(),
        certificate.display()
    )]
    MissingKey {
        /// The key that should be there.
        key: PathBuf,
        /// The certificate that is.
        certificate: PathBuf,
    },
    /// A `.key` without its `.cert`.
    #[error("missing client certificate {} for key {}", certificate.display(), key.display())]
    MissingCertificate {
        /// The certificate that should be there.
        certificate: PathBuf,
        /// The key that is.
        key: PathBuf,
    },
    /// A certificate file, not empty, in which there is no PEM certificate.
    #[error(
        "no certificate in {}: expected a line {:?}; convert a DER file with `openssl x509 -inform der`",
        .0.display(),
        String::from_utf8_lossy(CERTIFICATE_LABEL)
    )]
    NoCertificate(PathBuf),
}

impl CertsDir {
    /// Reads the first of `candidates` that exists; with none of them there, nothing is added to the system's
    /// authorities.
    ///
    /// A directory whose content may not be listed counts as empty: other users' certs.d is not our concern. A `.crt`
    /// that vanishes meanwhile, or is a dangling link, is passed over.
    pub fn load(candidates: &[PathBuf]) -> Result<Self, Error> {
        match Self::find(candidates)? {
            Some(path) => Self::read(path),
            None => Ok(Self::default()),
        }
    }

    /// The first of `candidates` that exists. One that may not be looked at is passed over.
    pub fn find(candidates: &[PathBuf]) -> Result<Option<PathBuf>, Error> {
        for path in candidates {
            match path.metadata() {
                Ok(_) => return Ok(Some(path.clone())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    log::debug!("{} is passed over: {error}", path.display());
                }
                Err(source) => return Err(Error::Read { path: path.clone(), source }),
            }
        }
        Ok(None)
    }

    fn read(path: PathBuf) -> Result<Self, Error> {
        let names = match list(&path) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                log::debug!("{} is passed over: {error}", path.display());
                Vec::new()
            }
            Err(source) => return Err(Error::Read { path, source }),
        };
        let (mut authorities, mut clients) = (Vec::new(), Vec::new());
        for name in &names {
            let file = path.join(name);
            match file.extension().map(OsStr::as_encoded_bytes) {
                Some(b"crt") => authorities.extend(read_authority(file)?),
                Some(b"cert") => clients.push(read_client(file, &names)?),
                Some(b"key") => require_pair(file, &names)?,
                _ => {}
            }
        }
        Ok(Self { path: Some(path), authorities, clients })
    }
}

pub(super) fn list(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// An empty file is a place kept free and harmless; anything else without a certificate is a mistake to report.
fn read_authority(path: PathBuf) -> Result<Option<PemFile>, Error> {
    match bounded::read(&path, MAX_FILE_SIZE) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(None),
        Ok(bytes) => require_certificate(PemFile { path, bytes }).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path, source }),
    }
}

fn read_client(certificate: PathBuf, names: &[OsString]) -> Result<ClientPair, Error> {
    let key = certificate.with_extension("key");
    if !is_listed(&key, names) {
        return Err(Error::MissingKey { key, certificate });
    }
    let certificate = match bounded::read(&certificate, MAX_FILE_SIZE) {
        Ok(bytes) => require_certificate(PemFile { path: certificate, bytes })?,
        Err(source) => return Err(Error::Read { path: certificate, source }),
    };
    match bounded::read(&key, MAX_FILE_SIZE) {
        Ok(bytes) => Ok(ClientPair { certificate, key: KeyFile { path: key, bytes: Secret::new(bytes) } }),
        Err(source) => Err(Error::Read { path: key, source }),
    }
}

fn require_pair(key: PathBuf, names: &[OsString]) -> Result<(), Error> {
    let certificate = key.with_extension("cert");
    if is_listed(&certificate, names) { Ok(()) } else { Err(Error::MissingCertificate { certificate, key }) }
}

fn is_listed(path: &Path, names: &[OsString]) -> bool {
    path.file_name().is_some_and(|name| names.iter().any(|listed| listed == name))
}

pub(super) fn require_certificate(file: PemFile) -> Result<PemFile, Error> {
    let has_certificate = file.bytes.split(|&byte| byte == b'\n').any(|line| line.starts_with(CERTIFICATE_LABEL));
    if has_certificate { Ok(file) } else { Err(Error::NoCertificate(file.path)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "# comment\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    fn load(directory: &tempfile::TempDir) -> Result<CertsDir, Error> {
        CertsDir::load(&[directory.path().to_owned()])
    }

    #[test]
    fn the_first_directory_that_exists_counts_alone() {
        let (first, second) = (directory(&[]), directory(&[("ca.crt", PEM)]));
        let missing = first.path().join("missing");
        let both = [missing.clone(), first.path().to_owned(), second.path().to_owned()];
        assert_eq!(CertsDir::find(&both).unwrap(), Some(first.path().to_owned()));
        assert_eq!(CertsDir::load(&both).unwrap().authorities, []);
        assert_eq!(CertsDir::load(&[missing]).unwrap(), CertsDir::default());
    }

    #[test]
    fn files_are_taken_by_extension_and_sorted_by_name() {
        let files = [("b.crt", PEM), ("a.crt", PEM), ("c.cert", PEM), ("c.key", "k"), ("README", "x"), ("x.pem", "x")];
        let directory = directory(&files);
        let certs = load(&directory).unwrap();
        assert_eq!(certs.path.as_deref(), Some(directory.path()));
        let names: Vec<_> = certs.authorities.iter().map(|file| file.path.file_name().unwrap()).collect();
        assert_eq!(names, ["a.crt", "b.crt"]);
        assert_eq!(certs.clients.len(), 1);
        assert_eq!(certs.clients[0].certificate.bytes, PEM.as_bytes());
        assert_eq!(certs.clients[0].key.bytes.expose(), b"k");
        assert!(!format!("{certs:?}").contains("[107]"), "a key in the debug output");
    }

    #[test]
    fn half_a_client_pair_is_an_error_that_tells_of_the_extension_for_authorities() {
        let error = load(&directory(&[("ca.cert", PEM)])).unwrap_err();
        assert!(matches!(&error, Error::MissingKey { .. }));
        assert!(error.to_string().ends_with("a CA certificate should have the extension .crt"), "{error}");
        assert!(matches!(load(&directory(&[("a.key", "k")])), Err(Error::MissingCertificate { .. })));
    }

    #[test]
    fn an_authority_without_a_certificate_is_refused_unless_empty() {
        assert!(load(&directory(&[("ca.crt", " \n")])).unwrap().authorities.is_empty());
        assert!(matches!(load(&directory(&[("ca.crt", "0\u{82}")])), Err(Error::NoCertificate(_))));
        assert!(matches!(load(&directory(&[("a.cert", ""), ("a.key", "k")])), Err(Error::NoCertificate(_))));
    }

    #[test]
    fn a_file_over_the_limit_or_a_directory_in_place_of_a_file_is_an_error() {
        let long = directory(&[]);
        let file = fs::File::create(long.path().join("ca.crt")).unwrap();
        file.set_len(MAX_FILE_SIZE + 1).unwrap();
        assert!(matches!(load(&long), Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::FileTooLarge));
        let nested = directory(&[]);
        fs::create_dir(nested.path().join("ca.crt")).unwrap();
        assert!(matches!(load(&nested), Err(Error::Read { .. })));
        let file = directory(&[("file", "")]);
        assert!(matches!(CertsDir::load(&[file.path().join("file")]), Err(Error::Read { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_dangling_link_is_passed_over_as_authority_and_an_error_in_a_client_pair() {
        use std::os::unix::fs::symlink;

        let authority = directory(&[]);
        symlink("nowhere", authority.path().join("ca.crt")).unwrap();
        assert!(load(&authority).unwrap().authorities.is_empty());
        for (there, dangling) in [("a.cert", "a.key"), ("a.key", "a.cert")] {
            let client = directory(&[(there, PEM)]);
            symlink("nowhere", client.path().join(dangling)).unwrap();
            assert!(matches!(load(&client), Err(Error::Read { path, .. }) if path.ends_with(dangling)));
        }
    }
}
