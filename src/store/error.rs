//! What can go wrong.

use std::path::PathBuf;
use std::time::Duration;

use super::AuthError;
use crate::reference::{ImageReferenceError, Reference};
use crate::safe_url::SafeUrl;
use crate::{copy, destination, manifest, source};

/// Why a store did not do what it was asked to. Its images are as they were before, but for those that
/// [`prune`](super::Store::prune) has taken out by then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory is no store.
    #[error("{}: there is no image store here (no index.json)", path.display())]
    NoStore {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be named as a layout.
    #[error("the store cannot be used")]
    Path(#[source] ImageReferenceError),
    /// The credentials of the request cannot be used.
    #[error("{image}: the credentials of the request cannot be used")]
    Auth {
        /// The image.
        image: Reference,
        /// What is wrong with them.
        source: AuthError,
    },
    /// The image could not be opened. Prints as its cause.
    #[error("{0}")]
    Open(#[source] source::Error),
    /// The image could not be brought. Prints as its cause.
    #[error("{0}")]
    Copy(#[source] copy::Error),
    /// Nothing came for so long that the pull was given up.
    #[error("pulling {image}: no byte came for {}; waited for {}", in_words(*.after), listed(.waited_for))]
    NoProgress {
        /// The image.
        image: Reference,
        /// The limit that ran out.
        after: Duration,
        /// What was asked for in vain.
        waited_for: Vec<SafeUrl>,
    },
    /// The store cannot be read. Prints as its cause.
    #[error("{0}")]
    Read(#[from] source::Error),
    /// The store cannot be written. Prints as its cause.
    #[error("{0}")]
    Write(#[from] destination::Error),
    /// What is not needed any more cannot be told, or not be removed. Prints as its cause.
    #[error("{0}")]
    Prune(#[from] destination::DeleteError),
    /// A manifest of the store cannot be used.
    #[error("{}: the image cannot be told of; pull it again", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: manifest::Error,
    },
    /// A config of the store cannot be used.
    #[error("{}: the image cannot be told of; pull it again", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: serde_json::Error,
    },
    /// A name that no image of the store has.
    #[error("{}: no image is called {name}", path.display())]
    NoSuchImage {
        /// The store.
        path: PathBuf,
        /// What was asked for.
        name: String,
    },
    /// The beginning of more than one id.
    #[error("{}: {prefix} begins the id of {count} images; give more of it", path.display())]
    AmbiguousId {
        /// The store.
        path: PathBuf,
        /// What was asked for.
        prefix: String,
        /// How many there are.
        count: usize,
    },
}

impl Error {
    /// True when an image is not there, at the registry or in the store.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NoSuchImage { .. })
            || crate::error::find::<source::Error>(self).is_some_and(source::Error::is_not_found)
    }
}

fn in_words(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds >= 60 && seconds % 60 == 0 && duration.subsec_nanos() == 0 => {
            format!("{} min", seconds / 60)
        }
        _ => format!("{} s", duration.as_secs_f64()),
    }
}

fn listed(urls: &[SafeUrl]) -> String {
    urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
