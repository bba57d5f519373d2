//! One image for several platforms.

use std::collections::HashMap;

use serde::Deserialize;

use super::edit::ZSTD_ANNOTATION;
use super::{Descriptor, Error, ManifestBytes, Part, Platform};
use crate::digest::Digest;
use crate::media_type::MediaType;

/// What an index consists of: its instances.
///
/// A view of an [OCI image index](https://github.com/opencontainers/image-spec/blob/main/image-index.md) or a Docker
/// manifest list. Every descriptor in it has a digest that can be checked and a size that can be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    media_type: MediaType,
    instances: Vec<Instance>,
}

/// An entry of an [`Index`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    descriptor: Descriptor,
    digest: Digest,
    platform: Option<Platform>,
}

/// Which of two instances for the same platform to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Preference {
    /// The one marked as zstd: smaller and quicker to unpack.
    #[default]
    Zstd,
    /// The one not so marked, for a place that cannot take zstd.
    Gzip,
}

#[derive(Deserialize)]
struct Document {
    // Go programs write an empty list as null.
    manifests: Option<Vec<Entry>>,
}

/// A descriptor with a more forgiving platform than that of `oci_spec`, which has no missing fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: Option<String>,
    digest: oci_spec::image::Digest,
    size: u64,
    urls: Option<Vec<String>>,
    annotations: Option<HashMap<String, String>>,
    artifact_type: Option<String>,
    platform: Option<EntryPlatform>,
}

#[derive(Deserialize)]
struct EntryPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

impl Index {
    /// Reads a manifest whose media type is that of an index or a manifest list.
    pub fn parse(manifest: &ManifestBytes) -> Result<Self, Error> {
        let media_type = manifest.media_type().clone();
        if media_type.is_schema1() {
            return Err(Error::Schema1);
        }
        if !media_type.is_index() {
            return Err(Error::NotAnIndex { media_type, digest: manifest.digest().clone() });
        }
        let document: Document = manifest.document(&["manifests"])?;
        let entries = document.manifests.unwrap_or_default();
        let instances = entries.into_iter().map(Instance::try_from).collect::<Result<_, _>>()?;
        Ok(Self { media_type, instances })
    }

    /// The instances, in order.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The instance that suits the first of the `wanted` platforms that any instance suits
    /// (see [`PlatformChoice::wanted`](super::PlatformChoice::wanted)).
    ///
    /// In an OCI index an instance without a platform suits all, last; among several of one platform `preference`
    /// decides, then the order. In a manifest list the order alone does.
    pub fn choose(&self, wanted: &[Platform], preference: Preference) -> Result<&Instance, Error> {
        let is_oci = self.media_type == MediaType::OCI_INDEX;
        let rank = |instance: &&Instance| {
            let platform = match &instance.platform {
                Some(platform) => wanted.iter().position(|wanted| wanted == platform)?,
                None if is_oci => usize::MAX,
                None => return None,
            };
            let is_second = is_oci && instance.is_zstd() != (preference == Preference::Zstd);
            Some((platform, is_second))
        };
        let ranked = self.instances.iter().filter_map(|instance| Some((rank(&instance)?, instance)));
        // The first of equals, which is what min_by_key returns.
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, instance)| instance).ok_or_else(|| self.no_instance(wanted))
    }

    fn no_instance(&self, wanted: &[Platform]) -> Error {
        Error::NoInstance {
            wanted: wanted.first().cloned().unwrap_or_else(Platform::host),
            available: self.instances.iter().filter_map(|instance| instance.platform.clone()).collect(),
        }
    }
}

impl Instance {
    /// Its manifest's descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Its manifest's digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What it runs on; `None` where the index does not say, as for attached artifacts.
    pub fn platform(&self) -> Option<&Platform> {
        self.platform.as_ref()
    }

    fn is_zstd(&self) -> bool {
        let annotation = self.descriptor.annotations().as_ref().and_then(|all| all.get(ZSTD_ANNOTATION));
        annotation.is_some_and(|value| value == "true")
    }
}

impl TryFrom<Entry> for Instance {
    type Error = Error;

    fn try_from(entry: Entry) -> Result<Self, Error> {
        let media_type = entry.media_type.unwrap_or_default().as_str().into();
        let mut descriptor = Descriptor::new(media_type, entry.size, entry.digest);
        descriptor.set_urls(entry.urls);
        descriptor.set_annotations(entry.annotations);
        descriptor.set_artifact_type(entry.artifact_type.map(|text| text.as_str().into()));
        let digest = Part::Instance.check(&descriptor)?;
        Ok(Self { descriptor, digest, platform: entry.platform.map(Platform::from) })
    }
}

impl From<EntryPlatform> for Platform {
    fn from(stated: EntryPlatform) -> Self {
        Self::new(stated.os.unwrap_or_default(), stated.architecture.unwrap_or_default(), stated.variant)
    }
}
