//! `delete`

use std::process::ExitCode;

use clap::Args;

use super::args::Global;
use super::registry_args::RegistryArgs;
use super::{Failure, settings};
use crate::destination;

/// `delete`
#[derive(Args, Debug)]
pub(super) struct DeleteArgs {
    /// Image to delete: docker://… or oci:…
    #[arg(value_name = "IMAGE")]
    pub(super) image: String,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

/// Nothing is printed, as by skopeo: what is gone is gone.
pub(super) fn run(global: &Global, args: &DeleteArgs) -> Result<ExitCode, Failure> {
    let image = settings::image(&args.image)?;
    let access = args.registry.access();
    let config = settings::config(global, &access)?;
    let options = settings::options(&config, global, access)?;
    let deleted = destination::delete(&config, &image, &options)?;
    log::debug!("deleted manifest {deleted}");
    Ok(ExitCode::SUCCESS)
}
