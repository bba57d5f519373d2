//! `dir:path`: an image in a directory of files named by their digests
//! ([containers-transports(5)](https://github.com/containers/image/blob/main/docs/containers-transports.5.md)).
//!
//! `manifest.json`, `<digest>.manifest.json` for each instance of an index, and blobs under their digests: the
//! hexadecimal part alone for SHA-256, `<algorithm>-<hexadecimal>` for others. Signatures are `signature-1` and so on,
//! those of an instance `<digest>.signature-1` and so on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::{BlobReader, Error, FoundSignature, ImageSource, SignatureDemand, SignaturePlace, local, signatures};
use crate::digest::{Algorithm, Digest, HashedPrefix};
use crate::manifest::{Descriptor, MAX_MANIFEST_SIZE, ManifestBytes};
use crate::media_type::MediaType;
use crate::reference::ImageReference;
use crate::signature::MAX_SIGNATURE_SIZE;

/// The file that says that a directory is one of these, and of which version.
pub(crate) const VERSION_FILE: &str = "version";

/// No version file is longer: there is one short line in it.
pub(crate) const MAX_VERSION_SIZE: u64 = 1024;

const VERSION_PREFIX: &str = "Directory Transport Version: ";

/// An image in a directory.
#[derive(Debug)]
pub struct DirSource {
    logical: ImageReference,
    physical: ImageReference,
    path: PathBuf,
    manifest: Arc<ManifestBytes>,
}

impl DirSource {
    /// Opens the directory and reads its top-level manifest.
    ///
    /// Directories from before there was a version file have none, so a missing one is no error, nor is one that says
    /// nothing; one that states a version not known here is.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        check_version(&path)?;
        let bytes = local::read(&path.join(manifest_name(None)), MAX_MANIFEST_SIZE)?;
        let manifest = Arc::new(ManifestBytes::new(bytes, MediaType::from("")));
        let reference = ImageReference::Dir(path.clone());
        Ok(Self { logical: reference.clone(), physical: reference, path, manifest })
    }

    /// The same directory, standing for another image, which policies then judge: to verify offline what was copied.
    #[must_use]
    pub fn standing_for(self, logical: ImageReference) -> Self {
        Self { logical, ..self }
    }
}

impl ImageSource for DirSource {
    fn logical(&self) -> &ImageReference {
        &self.logical
    }

    fn physical(&self) -> &ImageReference {
        &self.physical
    }

    fn manifest(&self, instance: Option<&Digest>) -> Result<Arc<ManifestBytes>, Error> {
        let Some(digest) = instance else { return Ok(Arc::clone(&self.manifest)) };
        let path = self.path.join(manifest_name(Some(digest)));
        let bytes = local::read(&path, MAX_MANIFEST_SIZE)?;
        let manifest = ManifestBytes::verified(bytes, MediaType::from(""), digest);
        manifest.map(Arc::new).map_err(|source| Error::Damaged { path, source })
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let path = self.path.join(blob_name(&digest));
        local::blob(&path, descriptor, digest, &self.physical)
    }

    fn blob_from(&self, descriptor: &Descriptor, prefix: HashedPrefix) -> Result<BlobReader, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let path = self.path.join(blob_name(&digest));
        local::blob_from(&path, descriptor, digest, prefix, &self.physical)
    }

    fn signatures(&self, instance: Option<&Digest>, _demand: SignatureDemand) -> Result<Vec<FoundSignature>, Error> {
        signatures::numbered(&self.path.display(), |index| {
            let path = self.path.join(signature_name(instance, index));
            let bytes = local::read_if_there(&path, MAX_SIGNATURE_SIZE)?;
            Ok(bytes.map(|bytes| (SignaturePlace::File(path), bytes)))
        })
    }
}

fn check_version(directory: &Path) -> Result<(), Error> {
    let path = directory.join(VERSION_FILE);
    let text = local::read_if_there(&path, MAX_VERSION_SIZE)?;
    let version = text.and_then(|text| std::str::from_utf8(&text).ok()?.parse::<Version>().ok());
    match version {
        Some(version) if !version.is_known() => Err(Error::DirVersion { path, found: version }),
        _ => Ok(()),
    }
}

/// The file of a blob. A digest is letters, digits and a colon, so this never leaves the directory.
pub(crate) fn blob_name(digest: &Digest) -> String {
    match digest.algorithm() {
        Algorithm::Sha256 => digest.encoded().to_owned(),
        other => format!("{other}-{}", digest.encoded()),
    }
}

/// The file of the manifest of an instance, or of the top-level one.
pub(crate) fn manifest_name(instance: Option<&Digest>) -> String {
    instance.map_or_else(|| "manifest.json".to_owned(), |digest| format!("{}.manifest.json", blob_name(digest)))
}

/// The file of a signature, counted from 0 here and from 1 there, of an instance or of the top-level manifest.
pub(crate) fn signature_name(instance: Option<&Digest>, index: usize) -> String {
    let name = format!("signature-{}", index.saturating_add(1));
    instance.map_or_else(|| name.clone(), |digest| format!("{}.{name}", blob_name(digest)))
}

/// The version of a directory's format, as its version file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// Every digest is SHA-256.
    pub const V1_1: Self = Self { major: 1, minor: 1 };
    /// Some digest is not, and its files have the algorithm in their names.
    pub const V1_2: Self = Self { major: 1, minor: 2 };

    /// True for a version whose files can be found here.
    pub fn is_known(self) -> bool {
        self.major == 1
    }

    /// The version that files with digests of this algorithm need.
    pub fn for_algorithm(algorithm: Algorithm) -> Self {
        if algorithm == Algorithm::Sha256 { Self::V1_1 } else { Self::V1_2 }
    }
}

/// A text that is not that of a version file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one line \"{VERSION_PREFIX}1.1\"")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let version = text.strip_prefix(VERSION_PREFIX).and_then(|rest| rest.strip_suffix('\n'));
        let (major, minor) = version.and_then(|version| version.split_once('.')).ok_or(NotAVersion)?;
        let number = |digits: &str| digits.parse().map_err(|_| NotAVersion);
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

/// The whole version file, its line end included.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{VERSION_PREFIX}{}.{}", self.major, self.minor)
    }
}
