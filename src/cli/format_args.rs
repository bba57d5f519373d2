//! The flags about what is written: the kind of manifest, the compression of layers, the instances of an index.

use clap::{Args, ValueEnum};

use super::{Failure, Usage};
use crate::compression::{Compression, Compressor};
use crate::copy::{ChosenInstances, Instances, LayerCompression, ManifestFormat};
use crate::digest::Digest;
use crate::manifest::Platform;

/// What the manifest is to be.
#[derive(Args, Debug)]
pub(super) struct FormatArgs {
    /// Kind of manifest to write; the image's own where the destination takes it, unless given
    #[arg(long, short = 'f', value_name = "KIND", help_heading = "What is written")]
    format: Option<Format>,
    /// Fail rather than write a manifest with another digest
    #[arg(long, help_heading = "What is written")]
    pub(super) preserve_digests: bool,
}

/// `--format`
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// OCI image manifests and indexes
    Oci,
    /// Docker's manifests (version 2 schema 2) and manifest lists
    V2s2,
}

impl FormatArgs {
    pub(super) fn format(&self) -> Option<ManifestFormat> {
        self.format.map(|format| match format {
            Format::Oci => ManifestFormat::Oci,
            Format::V2s2 => ManifestFormat::V2s2,
        })
    }
}

/// What the layers are to be.
#[allow(clippy::struct_field_names, reason = "the fields are the flags")]
#[derive(Args, Debug)]
pub(super) struct CompressionArgs {
    /// Compress layers that are not compressed, with gzip unless a format is given
    #[arg(long, conflicts_with = "dest_decompress", help_heading = "What is written")]
    dest_compress: bool,
    /// Compress all layers in this format, those too that are in another one
    #[arg(long, value_name = "FORMAT", conflicts_with = "dest_decompress", help_heading = "What is written")]
    dest_compress_format: Option<CompressionFormat>,
    /// How hard to try: gzip 0 to 9 (4 unless given), zstd 1 to 22 (3)
    #[arg(long, value_name = "LEVEL", conflicts_with = "dest_decompress", help_heading = "What is written")]
    dest_compress_level: Option<u8>,
    /// Write layers without compression
    #[arg(long, help_heading = "What is written")]
    dest_decompress: bool,
}

/// `--dest-compress-format`
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum CompressionFormat {
    /// What everybody reads
    Gzip,
    /// Smaller and quicker; OCI only
    Zstd,
}

impl CompressionArgs {
    pub(super) fn layers(&self) -> Result<LayerCompression, Failure> {
        if self.dest_decompress {
            return Ok(LayerCompression::Decompressed);
        }
        let compressor = |format| {
            let compression = match format {
                CompressionFormat::Gzip => Compression::Gzip,
                CompressionFormat::Zstd => Compression::Zstd,
            };
            let compressor = Compressor::new(compression, self.dest_compress_level);
            compressor.map_err(|error| Usage(format!("--dest-compress-level: {error}")))
        };
        match (self.dest_compress_format, self.dest_compress, self.dest_compress_level) {
            (Some(format), ..) => Ok(LayerCompression::Recompressed(compressor(format)?)),
            (None, true, _) => Ok(LayerCompression::Compressed(compressor(CompressionFormat::Gzip)?)),
            (None, false, None) => Ok(LayerCompression::Kept),
            (None, false, Some(_)) => {
                let usage = "--dest-compress-level says how hard to compress, and --dest-compress or --dest-compress-format what";
                Err(Usage(usage.to_owned()).into())
            }
        }
    }
}

/// Which instances of an index go along.
#[derive(Args, Debug)]
pub(super) struct InstanceArgs {
    /// Copy all instances of an index, not only this machine's
    #[arg(long, short = 'a', conflicts_with_all = ["multi_arch", "platform", "instance"])]
    all: bool,
    /// Which instances of an index to copy
    #[arg(long, value_name = "WHICH", default_value = "system", conflicts_with_all = ["platform", "instance"])]
    multi_arch: MultiArch,
    /// Copy the instances for this platform, such as linux/arm64, and an index of those that were chosen
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<Platform>,
    /// Copy the instance with this digest, and an index of those that were chosen
    #[arg(long, value_name = "DIGEST", value_delimiter = ',')]
    instance: Vec<Digest>,
}

/// `--multi-arch`
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum MultiArch {
    /// The one for this machine, or for --override-os, --override-arch and --override-variant
    System,
    /// All of them, and the index
    All,
    /// The index alone: its instances are at the destination already, or will be
    IndexOnly,
}

impl InstanceArgs {
    pub(super) fn instances(&self) -> Instances {
        if !self.platform.is_empty() || !self.instance.is_empty() {
            let digests = self.instance.iter().cloned().collect();
            return Instances::Chosen(ChosenInstances { digests, platforms: self.platform.clone() });
        }
        match self.multi_arch {
            _ if self.all => Instances::All,
            MultiArch::System => Instances::System,
            MultiArch::All => Instances::All,
            MultiArch::IndexOnly => Instances::IndexOnly,
        }
    }
}
