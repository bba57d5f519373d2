//! What a synchronisation tells while it runs.

use std::fmt;

use super::Error;
use crate::copy;
use crate::digest::Digest;
use crate::reference::ImageReference;
use crate::source::ImageSource;

/// Hears what becomes of each image, in order and on the caller's thread.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);

    /// Who hears of the blobs of an image that is about to be copied; nobody unless said otherwise.
    fn of_copy(&self, _source: &dyn ImageSource) -> Box<dyn copy::Progress + '_> {
        Box::new(copy::Silent)
    }
}

/// So that [`Options`](super::Options) can be printed.
impl fmt::Debug for dyn Progress + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: &Event<'_>) {}
}

/// Something that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An image is about to be copied.
    Copying(Image<'a>),
    /// An image is done.
    Done {
        /// Which one.
        image: Image<'a>,
        /// How it went.
        outcome: &'a Outcome<'a>,
    },
    /// The images of a repository are not known, or one of them has no name at the destination.
    Failed {
        /// Why.
        error: &'a Error,
    },
}

/// One of the images.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Its place among them, counted from 1.
    pub number: usize,
    /// How many there are.
    pub count: usize,
    /// Where it comes from.
    pub from: &'a ImageReference,
    /// Where it goes.
    pub to: &'a ImageReference,
}

/// What became of an image.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// It was copied, and this is what was written.
    Copied {
        /// The digest of the manifest.
        digest: Digest,
    },
    /// It was there already.
    Unchanged {
        /// The digest of the manifest.
        digest: Digest,
    },
    /// It would be copied; this is a dry run.
    WouldCopy,
    /// It was not copied.
    Failed {
        /// Why.
        error: &'a Error,
    },
}
