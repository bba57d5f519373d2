//! The flags of the commands that copy images, and what they mean for a copy.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::args::Global;
use super::format_args::{CompressionArgs, FormatArgs, InstanceArgs};
use super::range_args::RangeArgs;
use super::registry_args::{Access, DestRegistryArgs, SrcRegistryArgs};
use super::signature_args::SigningArgs;
use super::{Failure, interrupt, settings};
use crate::copy;

/// How images are copied, by `copy` and by `sync`.
#[derive(Args, Debug)]
pub(super) struct TransferArgs {
    #[command(flatten)]
    instances: InstanceArgs,
    /// Show no progress
    #[arg(long, short = 'q')]
    pub(super) quiet: bool,
    /// How to show progress; bars on a terminal and lines otherwise, unless chosen
    #[arg(long, value_name = "FORM", conflicts_with = "quiet")]
    pub(super) progress: Option<ProgressForm>,
    /// Blobs to copy at a time
    #[arg(long, value_name = "N", default_value = "6")]
    image_parallel_copies: NonZeroUsize,
    #[command(flatten)]
    pub(super) ranges: RangeArgs,
    /// Auth file to use instead of the system's, for source and destination
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    authfile: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    compression: CompressionArgs,
    #[command(flatten)]
    pub(super) signing: SigningArgs,
    #[command(flatten)]
    source_registry: SrcRegistryArgs,
    #[command(flatten)]
    destination_registry: DestRegistryArgs,
}

/// How a command shows what it does.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgressForm {
    /// Bars that move
    Bars,
    /// A line for each blob
    Plain,
    /// A JSON object a line, on standard error
    Json,
    /// Nothing
    None,
}

impl TransferArgs {
    pub(super) fn source_access(&self) -> Access {
        self.source_registry.access(self.authfile.as_ref())
    }

    pub(super) fn destination_access(&self) -> Access {
        self.destination_registry.access(self.authfile.as_ref())
    }

    /// What is said by the words alone: not who signs, who hears of it, nor what earlier copies have learned.
    pub(super) fn options(&self, global: &Global) -> Result<copy::Options<'static>, Failure> {
        Ok(copy::Options {
            instances: self.instances.instances(),
            platform: settings::platform(global),
            format: self.format.format(),
            layers: self.compression.layers()?,
            preserve_digests: self.format.preserve_digests,
            remove_signatures: self.signing.remove_signatures,
            parallel_copies: self.image_parallel_copies,
            cancelled: interrupt::cancelled(),
            ..copy::Options::default()
        })
    }
}
