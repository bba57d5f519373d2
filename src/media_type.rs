//! Media types of images, and what each one means to a reader of images.

use std::borrow::Cow;
use std::fmt;

/// A media type as a registry or a descriptor states it, without parameters.
///
/// ```
/// use transship::MediaType;
///
/// let stated = MediaType::from_content_type("application/vnd.oci.image.index.v1+json; charset=utf-8");
/// assert_eq!(stated, MediaType::OCI_INDEX);
/// assert!(stated.is_index());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MediaType(Cow<'static, str>);

macro_rules! media_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl MediaType {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*
        }
    };
}

media_types! {
    /// An OCI image manifest.
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    OCI_INDEX = "application/vnd.oci.image.index.v1+json";
    /// An OCI image configuration.
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
    /// A configuration that says nothing, of an artifact that is no image: `{}`.
    OCI_EMPTY = "application/vnd.oci.empty.v1+json";
    /// An OCI layer, uncompressed.
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar";
    /// An OCI layer, gzip.
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// An OCI layer, zstd.
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// A Docker image manifest, version 2 schema 2.
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker manifest list.
    DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A Docker image configuration.
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
    /// A Docker manifest, version 2 schema 1, signed. Recognised only to be refused clearly.
    DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    /// A Docker manifest, version 2 schema 1. Recognised only to be refused clearly.
    DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json";
    /// What cosign signs: the payload of a sigstore signature.
    COSIGN_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json";
    /// A sigstore bundle, as cosign 3 attaches it.
    SIGSTORE_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
}

impl MediaType {
    /// The media type of a `Content-Type` value in lower case, without its parameters; empty when it is not one.
    ///
    /// The parameters say nothing about an image, so a server that writes them wrong is understood all the same.
    pub fn from_content_type(value: &str) -> Self {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.parse::<mime::Mime>().map_or_else(|_| Self::from(""), |parsed| Self::from(parsed.essence_str()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for an OCI index and a Docker manifest list.
    pub fn is_index(&self) -> bool {
        [Self::OCI_INDEX, Self::DOCKER_LIST].contains(self)
    }

    /// True for an OCI and a Docker (schema 2) image manifest.
    pub fn is_image(&self) -> bool {
        [Self::OCI_MANIFEST, Self::DOCKER_MANIFEST].contains(self)
    }

    /// True for a sigstore bundle of any version, as the type of an artifact or of its layer.
    pub fn is_sigstore_bundle(&self) -> bool {
        // The oldest versions are `…bundle+json;version=0.1`.
        let version = self.0.strip_prefix("application/vnd.dev.sigstore.bundle");
        version.is_some_and(|version| version.starts_with(['.', '+']))
    }

    /// True for both forms of Docker schema 1.
    pub fn is_schema1(&self) -> bool {
        [Self::DOCKER_SCHEMA1, Self::DOCKER_SCHEMA1_SIGNED].contains(self)
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self(Cow::Owned(text.to_owned()))
    }
}

impl From<&oci_spec::image::MediaType> for MediaType {
    fn from(media_type: &oci_spec::image::MediaType) -> Self {
        Self(Cow::Owned(media_type.to_string()))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
