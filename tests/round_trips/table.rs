//! What a step may change, and why. Whatever is not named here stays, byte for byte.
//!
//! | step | by | image | changes | why |
//! |---|---|---|---|---|
//! | into `dir:` | both | any | nothing | a directory takes every type and form |
//! | into `oci:` or `oci-archive:` | both | Docker's types | manifest and config, now OCI's | a layout has OCI's types only |
//! | into `oci:` or `oci-archive:` | skopeo | layers without compression | layers and manifest | skopeo compresses what is not compressed |
//! | into `docker-archive:` | both | any | layers and manifest, now Docker's | the archive has layers without compression, and no manifest: its reader makes one up |
//! | into the registry | skopeo | layers without compression | layers and manifest | skopeo compresses what is not compressed |
//!
//! Not in the table: Docker's types with zstd, which skopeo does not know; indexes by way of `docker-archive:`, which holds
//! none. zstd goes into `docker-archive:` by a newer skopeo than Debian 12's, which refuses it.
//!
//! We keep the bytes of layers everywhere but in `docker-archive:`. The config is the same everywhere but in a layout
//! that an image with Docker's types went into; there its meaning is the same.

use crate::images::{Kind, Types};
use crate::made::Form;

/// Where an image stays between its two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Dir,
    Oci,
    OciArchive,
    DockerArchive,
}

/// Who does a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    We,
    Skopeo,
}

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Manifests and indexes have their old digests.
    pub same_manifest: bool,
    /// Configs have their old digests.
    pub same_config: bool,
    /// The types of the manifest.
    pub types: Types,
}

impl Place {
    /// There is no place for an index in an archive for docker.
    pub fn takes(self, kind: Kind) -> bool {
        self != Self::DockerArchive || !kind.is_index
    }

    /// Reads the table for the way out of the registry by `first`, and back into it by `second`.
    pub fn expected(self, kind: Kind, first: Who, second: Who) -> Expected {
        let compresses = |who, form| who == Who::Skopeo && form == Form::Plain;
        let is_layout = matches!(self, Self::Oci | Self::OciArchive);
        let is_converted = is_layout && kind.types == Types::Docker;
        let types = match self {
            Self::Dir => kind.types,
            Self::Oci | Self::OciArchive => Types::Oci,
            Self::DockerArchive => Types::Docker,
        };
        let form = match self {
            Self::DockerArchive => Form::Plain,
            _ if is_layout && compresses(first, kind.form) => Form::Gzip,
            _ => kind.form,
        };
        let same_in_place = self != Self::DockerArchive && !is_converted && form == kind.form;
        Expected { same_manifest: same_in_place && !compresses(second, form), same_config: !is_converted, types }
    }
}
