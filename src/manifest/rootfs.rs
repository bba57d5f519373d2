//! What an image configuration says about the layers: their diff ids, the digests of what they are without compression.

use serde::Deserialize;

use crate::digest::{self, Digest};

/// Why the diff ids of an image configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootFsError {
    /// It is no image configuration. The source says where (line and column).
    #[error("not an image configuration")]
    Json(#[from] serde_json::Error),
    /// A diff id that cannot be checked.
    #[error("it has an unusable diff id")]
    DiffId(#[source] digest::ParseError),
    /// The configuration is about other layers.
    #[error("it has {diff_ids} diff ids, and the image has {layers} layers")]
    Count {
        /// How many layers the image has.
        layers: usize,
        /// How many the configuration knows of.
        diff_ids: usize,
    },
}

#[derive(Deserialize)]
struct Config {
    rootfs: Option<RootFs>,
}

#[derive(Deserialize)]
struct RootFs {
    // Go programs write an empty list as null.
    diff_ids: Option<Vec<String>>,
}

/// The diff ids of an image with this many layers, lowest first.
pub(crate) fn diff_ids(config: &[u8], layers: usize) -> Result<Vec<Digest>, RootFsError> {
    let config: Config = serde_json::from_slice(config)?;
    let texts = config.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
    if texts.len() != layers {
        return Err(RootFsError::Count { layers, diff_ids: texts.len() });
    }
    texts.iter().map(|text| text.parse().map_err(RootFsError::DiffId)).collect()
}
