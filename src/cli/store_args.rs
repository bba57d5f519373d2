//! The command line of `pull`, `images`, `rmi` and `prune`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::range_args::RangeArgs;
use super::registry_args::RegistryArgs;
use super::settings;
use super::transfer_args::ProgressForm;
use crate::manifest::Platform;

/// Where the images are.
#[derive(Args, Debug)]
pub(super) struct StoreArgs {
    /// Directory of the image store
    #[arg(long = "store", value_name = "DIR")]
    pub(super) path: PathBuf,
}

/// `pull`
#[derive(Args, Debug)]
pub(super) struct PullArgs {
    /// Image to pull; docker:// may be left out
    #[arg(value_name = "IMAGE")]
    pub(super) image: String,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// Platform to choose from an index instead of this machine's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", help_heading = "Platform",
          conflicts_with_all = ["override_os", "override_arch", "override_variant"])]
    pub(super) platform: Option<Platform>,
    /// Blobs to download at a time
    #[arg(long, value_name = "N", default_value = "6")]
    pub(super) max_concurrent_downloads: NonZeroUsize,
    #[command(flatten)]
    pub(super) ranges: RangeArgs,
    /// Give up when no byte has come for so long, such as 30s or 5m; 0 never does
    #[arg(long, value_name = "DURATION", default_value = "5m", help_heading = "Network", value_parser = settings::duration)]
    pub(super) progress_timeout: Duration,
    /// Show no progress
    #[arg(long, short = 'q')]
    pub(super) quiet: bool,
    /// How to show progress; bars on a terminal and lines otherwise, unless chosen
    #[arg(long, value_name = "FORM", conflicts_with = "quiet")]
    pub(super) progress: Option<ProgressForm>,
    /// URL of the registry that the credentials are for, instead of the image's: nobody else is told them
    #[arg(long, value_name = "URL", help_heading = "Registry")]
    pub(super) server_address: Option<String>,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

/// `images`
#[derive(Args, Debug)]
pub(super) struct ImagesArgs {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `rmi`
#[derive(Args, Debug)]
pub(super) struct RmiArgs {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// Names with a tag or a digest; or ids, or so much of one that it means one image: then all its names go
    #[arg(value_name = "NAME", required = true)]
    pub(super) names: Vec<String>,
}

/// `prune`
#[derive(Args, Debug)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// Remove nothing, and say what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,
}
