//! Small images, valid in every byte that a reader of images looks at.

use serde_json::{Value, json};
use transship::digest::{Algorithm, Digest};

/// An image of given layers, or an index of images. Layers are taken as they are: their diff ids are their digests.
#[derive(Debug, Clone)]
pub struct Image {
    content: Content,
    format: Format,
    algorithm: Algorithm,
}

#[derive(Debug, Clone)]
enum Content {
    Layers { layers: Vec<Vec<u8>>, platform: Platform },
    Index(Vec<Image>),
}

#[derive(Debug, Clone)]
struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Oci,
    Docker,
}

impl Image {
    /// An OCI image for linux/amd64.
    pub fn with_layers<L: Into<Vec<u8>>>(layers: impl IntoIterator<Item = L>) -> Self {
        let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None };
        let layers = layers.into_iter().map(Into::into).collect();
        Self { content: Content::Layers { layers, platform }, format: Format::Oci, algorithm: Algorithm::Sha256 }
    }

    /// An OCI index of these images, which keep their own formats.
    pub fn index(instances: impl IntoIterator<Item = Image>) -> Self {
        let content = Content::Index(instances.into_iter().collect());
        Self { content, format: Format::Oci, algorithm: Algorithm::Sha256 }
    }

    /// The same as a Docker schema 2 image or manifest list.
    #[must_use]
    pub fn docker(mut self) -> Self {
        self.format = Format::Docker;
        self
    }

    /// The same, every digest in it a SHA-512.
    #[must_use]
    pub fn sha512(mut self) -> Self {
        self.algorithm = Algorithm::Sha512;
        if let Content::Index(instances) = &mut self.content {
            *instances = instances.drain(..).map(Self::sha512).collect();
        }
        self
    }

    /// The same for another platform, `linux/arm64` or `linux/arm/v7`; an index has none.
    #[must_use]
    pub fn platform(mut self, text: &str) -> Self {
        let mut words = text.split('/').map(str::to_owned);
        let (os, architecture) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if let Content::Layers { platform, .. } = &mut self.content {
            *platform = Platform { os, architecture, variant: words.next() };
        }
        self
    }

    /// The manifest's digest.
    pub fn digest(&self) -> Digest {
        Digest::of(self.algorithm, &self.manifest())
    }

    /// The manifest's media type.
    pub fn media_type(&self) -> &'static str {
        match (&self.content, self.format) {
            (Content::Layers { .. }, Format::Oci) => "application/vnd.oci.image.manifest.v1+json",
            (Content::Layers { .. }, Format::Docker) => "application/vnd.docker.distribution.manifest.v2+json",
            (Content::Index(_), Format::Oci) => "application/vnd.oci.image.index.v1+json",
            (Content::Index(_), Format::Docker) => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    /// The manifest, as it is served.
    pub fn manifest(&self) -> Vec<u8> {
        let mut manifest = json!({"schemaVersion": 2, "mediaType": self.media_type()});
        match &self.content {
            Content::Layers { layers, .. } => {
                manifest["config"] = self.descriptor(self.config_media_type(), &self.config());
                let layer = |layer: &Vec<u8>| self.descriptor(self.layer_media_type(layer), layer);
                manifest["layers"] = layers.iter().map(layer).collect();
            }
            Content::Index(instances) => manifest["manifests"] = instances.iter().map(|i| self.instance(i)).collect(),
        }
        manifest.to_string().into_bytes()
    }

    /// The configuration; empty for an index.
    pub fn config(&self) -> Vec<u8> {
        let Content::Layers { layers, platform } = &self.content else { return Vec::new() };
        let diff_ids: Vec<String> = layers.iter().map(|l| Digest::of(self.algorithm, l).to_string()).collect();
        let history: Vec<Value> = layers.iter().map(|_| json!({"created_by": "transship test"})).collect();
        let mut config = platform.to_json();
        config["created"] = json!("2026-01-01T00:00:00Z");
        config["config"] = json!({"Env": ["PATH=/bin"], "Cmd": ["/bin/true"], "Labels": {"org.example": "test"}});
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        config["history"] = history.into();
        config.to_string().into_bytes()
    }

    /// The layers, lowest first; none for an index.
    pub fn layers(&self) -> &[Vec<u8>] {
        match &self.content {
            Content::Layers { layers, .. } => layers,
            Content::Index(_) => &[],
        }
    }

    /// The images of an index.
    pub fn instances(&self) -> &[Image] {
        match &self.content {
            Content::Layers { .. } => &[],
            Content::Index(instances) => instances,
        }
    }

    /// The digest of a layer, counted from 0.
    pub fn layer_digest(&self, layer: usize) -> Digest {
        Digest::of(self.algorithm, &self.layers()[layer])
    }

    /// Config and layers, each with its digest.
    pub fn blobs(&self) -> Vec<(Digest, Vec<u8>)> {
        let Content::Layers { layers, .. } = &self.content else { return Vec::new() };
        let blobs = std::iter::once(self.config()).chain(layers.iter().cloned());
        blobs.map(|blob| (Digest::of(self.algorithm, &blob), blob)).collect()
    }

    fn descriptor(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(self.algorithm, bytes).to_string();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn instance(&self, instance: &Image) -> Value {
        let mut descriptor = self.descriptor(instance.media_type(), &instance.manifest());
        if let Content::Layers { platform, .. } = &instance.content {
            descriptor["platform"] = platform.to_json();
        }
        descriptor
    }

    fn config_media_type(&self) -> &'static str {
        match self.format {
            Format::Oci => "application/vnd.oci.image.config.v1+json",
            Format::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    fn layer_media_type(&self, layer: &[u8]) -> &'static str {
        match (self.format, layer.starts_with(b"\x1f\x8b")) {
            (Format::Oci, true) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (Format::Oci, false) => "application/vnd.oci.image.layer.v1.tar",
            (Format::Docker, true) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            (Format::Docker, false) => "application/vnd.docker.image.rootfs.diff.tar",
        }
    }
}

impl Platform {
    fn to_json(&self) -> Value {
        let mut platform = json!({"architecture": self.architecture, "os": self.os});
        if let Some(variant) = &self.variant {
            platform["variant"] = json!(variant);
        }
        platform
    }
}

/// The descriptor of some bytes.
pub fn descriptor(bytes: &[u8], algorithm: Algorithm) -> transship::manifest::Descriptor {
    let digest = Digest::of(algorithm, bytes);
    serde_json::from_value(json!({"mediaType": "a/b", "digest": digest.as_str(), "size": bytes.len()})).unwrap()
}
