//! The command line of `sync`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::transfer_args::TransferArgs;

/// `sync`
#[allow(clippy::struct_excessive_bools, reason = "the fields are the flags")]
#[derive(Args, Debug)]
pub(super) struct SyncArgs {
    /// Repository or image (docker), directory (dir), or file that lists images (yaml)
    #[arg(value_name = "SOURCE")]
    pub(super) source: String,
    /// Registry, with or without a path (docker), or directory (dir)
    #[arg(value_name = "DESTINATION")]
    pub(super) destination: String,
    /// What SOURCE is
    #[arg(long, short = 's', value_name = "KIND")]
    pub(super) src: SourceKind,
    /// What DESTINATION is
    #[arg(long, short = 'd', value_name = "KIND")]
    pub(super) dest: DestinationKind,
    /// Keep the whole name of each image, its registry included, so that equal last parts are kept apart
    #[arg(long)]
    pub(super) scoped: bool,
    /// Put this behind each tag
    #[arg(long, value_name = "SUFFIX", default_value = "", hide_default_value = true)]
    pub(super) append_suffix: String,
    /// Write nothing, and say what would be copied
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Go on with the other images after one that failed, and fail at the end
    #[arg(long)]
    pub(super) keep_going: bool,
    /// Write a line with the digest and the place of each image to this file
    #[arg(long, value_name = "FILE")]
    pub(super) digestfile: Option<PathBuf>,
    #[command(flatten)]
    pub(super) transfer: TransferArgs,
}

/// `--src`
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceKind {
    /// A repository with all its tags, or one image of it
    Docker,
    /// Image directories (dir:) in a directory
    Dir,
    /// A file that lists images of registries
    Yaml,
}

/// `--dest`
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DestinationKind {
    /// A registry
    Docker,
    /// A directory, with one for each image
    Dir,
}
