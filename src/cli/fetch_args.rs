//! The flags of `fetch-object` and `fetch-blob`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::registry_args::RegistryArgs;
use super::settings;

/// `fetch-object`
#[derive(Args, Debug)]
pub(super) struct FetchObjectArgs {
    /// What to resolve: docker://…, a name or a digest in a registry; docker:// may be left out
    #[arg(value_name = "REFERENCE")]
    pub(super) reference: String,
    /// Content of the same repository to fetch instead, in this order
    #[arg(value_name = "DIGEST")]
    pub(super) digests: Vec<String>,
    /// What the content of DIGEST is, such as application/json
    #[arg(long, value_name = "TYPE", requires = "digests")]
    pub(super) media_type: Option<String>,
    #[command(flatten)]
    pub(super) fetch: FetchArgs,
}

/// `fetch-blob`
#[derive(Args, Debug)]
pub(super) struct FetchBlobArgs {
    /// The repository: docker://…, which may be left out; its tag or digest is not asked for
    #[arg(value_name = "REFERENCE")]
    pub(super) reference: String,
    /// Content to fetch, in this order
    #[arg(value_name = "DIGEST", required = true)]
    pub(super) digests: Vec<String>,
    /// What the content is, such as application/json
    #[arg(long, value_name = "TYPE")]
    pub(super) media_type: Option<String>,
    #[command(flatten)]
    pub(super) fetch: FetchArgs,
}

/// The flags of both.
#[derive(Args, Debug)]
pub(super) struct FetchArgs {
    /// Write to this file, which appears when all of it is there and verified; - is standard output, be it a terminal
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Time for all of it, such as 30s or 5m; 0 for any
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true, help_heading = "Network",
          value_parser = settings::timeout)]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}
