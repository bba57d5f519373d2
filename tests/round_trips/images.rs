//! The images that travel.

use std::fs;
use std::path::Path;

use crate::made::{self, DOCKER, FORMS, Form, OCI, Words};

/// Whose words a manifest uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Types {
    Oci,
    Docker,
}

/// An image, or an index of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub types: Types,
    pub form: Form,
    pub is_index: bool,
}

impl Kind {
    /// All that travel. Docker's types have no zstd among them: skopeo has no name for such a layer, and refuses it.
    pub fn all() -> Vec<Self> {
        let mut kinds = Vec::new();
        for types in [Types::Oci, Types::Docker] {
            for form in FORMS.into_iter().filter(|form| types == Types::Oci || *form != Form::Zstd) {
                kinds.extend([false, true].map(|is_index| Self { types, form, is_index }));
            }
        }
        kinds
    }

    /// A word for it, which is a tag too.
    pub fn name(self) -> String {
        let shape = if self.is_index { "index" } else { "image" };
        format!("{:?}-{:?}-{shape}", self.types, self.form).to_lowercase()
    }

    /// Writes it as `dir:` has it, with layers that nobody has seen before: skopeo remembers in a file of the machine which
    /// layers are the same in another form, and which registry has them, and takes those instead.
    pub fn write(self, directory: &Path) {
        let seed = fastrand::u64(..u64::MAX / 2);
        if self.is_index {
            made::index_of(directory, self.words(), self.media_type(), self.form, seed);
            return;
        }
        let layers = [(seed, 300), (seed + 1, 70_000)].map(|(seed, size)| made::layer(seed, size));
        let in_form = layers.clone().map(|layer| (layer, self.form));
        let manifest = made::blobs(directory, self.words(), &made::config(&layers), &in_form);
        fs::write(directory.join("manifest.json"), manifest).unwrap();
    }

    /// The media type of the manifest or the index.
    pub fn media_type(self) -> &'static str {
        match (self.types, self.is_index) {
            (Types::Oci, false) => "application/vnd.oci.image.manifest.v1+json",
            (Types::Oci, true) => "application/vnd.oci.image.index.v1+json",
            (Types::Docker, false) => "application/vnd.docker.distribution.manifest.v2+json",
            (Types::Docker, true) => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    fn words(self) -> &'static Words {
        match self.types {
            Types::Oci => &OCI,
            Types::Docker => &DOCKER,
        }
    }
}
