//! What a copy tells while it runs.

use std::fmt;

use crate::digest::Digest;
use crate::reference::Name;
use crate::source::Served;

/// Hears what a copy does. It is called from several threads, often: it should be quick.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
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
    /// An instance of an index is begun.
    Instance {
        /// Which one.
        digest: &'a Digest,
        /// Its place in the index, counted from 1.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// A blob is begun.
    Started {
        /// Which one.
        digest: &'a Digest,
        /// What it is to the image.
        kind: BlobKind,
        /// Its size in bytes.
        size: u64,
    },
    /// The first bytes of a blob are at the destination from an earlier copy that did not come to its end. They are not
    /// read again, and [`Read`](Self::Read) is about those behind them.
    Resumed {
        /// Which one.
        digest: &'a Digest,
        /// How many bytes were there.
        offset: u64,
    },
    /// Bytes of a blob arrived.
    Read {
        /// Which one.
        digest: &'a Digest,
        /// How many more.
        bytes: u64,
    },
    /// The bytes of a blob were wrong; it is read again from the beginning, elsewhere where a source delivered all of
    /// them.
    Restarted {
        /// Which one.
        digest: &'a Digest,
    },
    /// A blob is done.
    Finished {
        /// Which one.
        digest: &'a Digest,
        /// What it is to the image.
        kind: BlobKind,
        /// How it went.
        outcome: &'a BlobOutcome,
    },
    /// Signatures are handed over, those that go along and those that were made.
    Signatures {
        /// The manifest that they are for.
        manifest: &'a Digest,
        /// How many.
        count: usize,
    },
    /// All blobs are there. Who delivered how many bytes of those that were read, each named once, in the order of their
    /// first blobs that were done.
    Served {
        /// Who, and how much.
        served: &'a [Served],
    },
    /// All is there; the image becomes visible.
    Committing,
}

/// What a blob is to its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobKind {
    /// The image configuration.
    Config,
    /// A layer.
    Layer,
}

/// How a blob went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobOutcome {
    /// It was read and written.
    Copied {
        /// Who delivered it.
        served: Vec<Served>,
        /// How many bytes were at the destination before, from an earlier copy that did not come to its end.
        resumed_at: u64,
    },
    /// It was read, and written in another compression.
    Recompressed {
        /// Who delivered it.
        served: Vec<Served>,
        /// What was written.
        became: Digest,
        /// The size of that, in bytes.
        size: u64,
    },
    /// It was at the destination already, as it is or in the compression that it was to get.
    AlreadyPresent,
    /// The destination's registry took it over from another of its repositories.
    Mounted {
        /// Which one.
        from: Name,
    },
    /// It is a foreign layer, and stays where its URLs point.
    LeftElsewhere,
}
