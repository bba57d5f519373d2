//! The flags of the commands that copy images, and what they mean for a copy.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::args::Global;
use super::format_args::{CompressionArgs, FormatArgs, InstanceArgs};
use super::registry_args::{Access, DestRegistryArgs, SrcRegistryArgs};
use super::signature_args::SigningArgs;
use super::{Failure, interrupt, settings};
use crate::copy;
use crate::source::ParallelRanges;

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
    /// Fetch a layer of 16 MiB or more in N parts of 8 MiB at a time; without it, in one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=64))]
    parallel_ranges: Option<u8>,
    /// With --parallel-ranges: ask all mirrors and the origin for parts in turn, instead of the one that works
    #[arg(long, requires = "parallel_ranges")]
    spread_ranges: bool,
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

    /// How large layers are fetched.
    pub(super) fn ranges(&self) -> Option<ParallelRanges> {
        let ranges = NonZeroUsize::new(self.parallel_ranges?.into())?;
        Some(ParallelRanges { spread: self.spread_ranges, ..ParallelRanges::new(ranges) })
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
