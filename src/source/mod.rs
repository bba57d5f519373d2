//! An image to read.
//!
//! An [`ImageSource`] is opened for the *logical* reference, what was asked for, which policy and digest pins judge;
//! it reads from a *physical* one, what is contacted. [`open`] tries the pull sources in order.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use crate::digest::{Digest, HashedPrefix, Mismatch, VerifyingReader};
use crate::manifest::{Descriptor, ManifestBytes};
use crate::reference::ImageReference;
use crate::safe_url::SafeUrl;

mod archive;
mod attachments;
mod clients;
mod content;
pub mod dir;
pub mod docker_archive;
mod error;
mod external;
mod failover;
mod fetcher;
mod health;
pub(crate) mod local;
mod login;
mod lookaside;
pub mod oci_archive;
pub mod oci_layout;
mod open;
mod places;
mod range_budget;
mod range_worker;
mod ranges;
mod referrers;
mod registry_signatures;
mod registry_source;
mod resolve;
mod settings;
mod signatures;
mod told_size;

pub use self::error::{AllSourcesFailed, Error, FailedAttempt};
pub use archive::ArchiveError;
pub use clients::Clients;
pub use content::Content;
pub use dir::DirSource;
pub use docker_archive::DockerArchiveSource;
pub use fetcher::{Fetcher, fetcher, fetcher_pull_sources};
pub use health::{Health, SetAside};
pub use login::check_login;
pub use oci_archive::OciArchiveSource;
pub use oci_layout::OciLayoutSource;
pub use open::{Network, Options, head, open, open_pull_sources, open_with, registry_client};
pub(crate) use open::{delete_client, push_client};
pub use ranges::ParallelRanges;
pub use resolve::{Resolved, resolve, resolve_pull_sources};
pub use signatures::{FoundSignature, SignatureDemand, SignaturePlace};

/// One image, in a registry, a directory, a layout or an archive.
///
/// Its top-level manifest is fixed when it is opened: every later call, from any thread, is about the same bytes.
pub trait ImageSource: Send + Sync {
    /// What was asked for: policy and digest pins judge this one.
    fn logical(&self) -> &ImageReference;

    /// What is read: the mirror's or the origin's reference, or the same as [`logical`](Self::logical).
    fn physical(&self) -> &ImageReference;

    /// The manifest of an instance of an index, or the top-level manifest for `None`, checked against its digest.
    fn manifest(&self, instance: Option<&Digest>) -> Result<Arc<ManifestBytes>, Error>;

    /// A layer or a config, as a stream that cannot end unverified.
    fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error>;

    /// As [`blob`](Self::blob) for who has its first bytes: what is read is what follows `prefix`, and both are checked
    /// together.
    ///
    /// This one reads the first bytes once more and throws them away. A source that can begin anywhere does.
    fn blob_from(&self, descriptor: &Descriptor, prefix: HashedPrefix) -> Result<BlobReader, Error> {
        self.blob(descriptor)?.behind(prefix)
    }

    /// The signatures of an instance of an index, or of the top-level manifest for `None`: of exactly the bytes that
    /// [`manifest`](Self::manifest) returns, never of what a tag names by now. An empty list when there are none.
    ///
    /// # Errors
    /// When any place that may have signatures could not be read: a list that misses some would be judged wrongly.
    fn signatures(&self, instance: Option<&Digest>, demand: SignatureDemand) -> Result<Vec<FoundSignature>, Error>;
}

/// So that `unwrap_err` of an opened image compiles in a test.
impl fmt::Debug for dyn ImageSource + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (logical, physical) = (self.logical(), self.physical());
        f.debug_struct("ImageSource").field("logical", logical).field("physical", physical).finish_non_exhaustive()
    }
}

/// The bytes of one blob, checked as they are read: `Ok(0)` comes only when size and digest match.
pub struct BlobReader {
    body: VerifyingReader<Box<dyn BlobBody>>,
    digest: Digest,
    size: u64,
    /// It began behind bytes that this source did not deliver.
    is_resumed: bool,
    is_rejected: bool,
}

/// What is below a [`BlobReader`]: unverified bytes that know where they come from.
pub trait BlobBody: Read + Send {
    /// Which place delivered how many bytes so far, in order; more than one after a switch in mid-body.
    fn served(&self) -> Vec<Served>;

    /// Told how the bytes turned out to be wrong; says what can be done about it.
    fn reject(&mut self, _mismatch: &Mismatch) -> Remedy {
        Remedy::None
    }
}

/// What can be done about wrong bytes.
#[derive(Debug)]
pub enum Remedy {
    /// Asking for the blob again will read it elsewhere.
    AskAgain,
    /// There is no other place.
    None,
    /// There is no other place, and this says who was asked.
    NobodyLeft(Box<Error>),
}

/// No bytes, of nobody.
impl BlobBody for io::Empty {
    fn served(&self) -> Vec<Served> {
        Vec::new()
    }
}

/// A part of a blob, and who delivered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Who.
    pub by: ServedBy,
    /// How many bytes.
    pub bytes: u64,
}

impl Served {
    /// Adds the bytes to what is known of whoever delivered them.
    pub(crate) fn add_to(self, all: &mut Vec<Self>) {
        match all.iter_mut().find(|known| known.by == self.by) {
            Some(known) => known.bytes = known.bytes.saturating_add(self.bytes),
            None => all.push(self),
        }
    }
}

/// Who delivered bytes of a blob. Printed as the reference or the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServedBy {
    /// A pull source, or a local image: its physical reference.
    Image(ImageReference),
    /// One of a foreign layer's own URLs.
    Url(SafeUrl),
}

impl fmt::Display for ServedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(reference) => reference.fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

impl BlobReader {
    /// Checks `body` against `digest` and `size` while it is read.
    pub fn new(body: Box<dyn BlobBody>, digest: Digest, size: u64) -> Self {
        let body = VerifyingReader::new(body, digest.clone(), size);
        Self { body, digest, size, is_resumed: false, is_rejected: false }
    }

    /// The same where `body` begins behind `prefix`.
    pub fn resumed(prefix: HashedPrefix, body: Box<dyn BlobBody>, digest: Digest, size: u64) -> Self {
        let body = VerifyingReader::behind(prefix, body, digest.clone(), size);
        Self { body, digest, size, is_resumed: true, is_rejected: false }
    }

    /// Takes `prefix` for the first bytes of a blob of which nothing was read yet, and reads them away.
    fn behind(self, prefix: HashedPrefix) -> Result<Self, Error> {
        let Self { body, digest, size, .. } = self;
        let mut body = body.into_inner();
        let length = prefix.length();
        match io::copy(&mut body.by_ref().take(length), &mut io::sink()) {
            Ok(count) if count == length => Ok(Self::resumed(prefix, body, digest, size)),
            Ok(found) => {
                let short = Mismatch::TooShort { expected: digest.clone(), size, found };
                Err(Error::Body { digest, source: short.into() })
            }
            Err(source) => Err(Error::Body { digest, source }),
        }
    }

    /// Who delivered what, so far.
    pub fn served(&self) -> Vec<Served> {
        self.body.get_ref().served()
    }

    /// True when reading failed because the bytes were wrong, and the source has another place to read them from, or was
    /// not the one that delivered all of them: then [`ImageSource::blob`] is worth calling again.
    pub fn is_worth_another_try(&self) -> bool {
        self.is_rejected
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader").field("served", &self.served()).finish_non_exhaustive()
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let error = match self.body.read(buffer) {
            Ok(count) => return Ok(count),
            Err(error) => error,
        };
        let Some(mismatch) = crate::error::find::<Mismatch>(&error).filter(|_| !self.is_rejected) else {
            return Err(error);
        };
        // What was here before may have been wrong, so nobody is to blame.
        if self.is_resumed {
            self.is_rejected = true;
            return Err(error);
        }
        match self.body.get_mut().reject(mismatch) {
            Remedy::AskAgain => {
                self.is_rejected = true;
                Err(error)
            }
            Remedy::None => Err(error),
            Remedy::NobodyLeft(reason) => Err(io::Error::new(error.kind(), *reason)),
        }
    }
}
