//! `copy`

use std::fs;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use super::args::{CopyArgs, Global};
use super::{Failure, progress, settings};
use crate::{copy, destination, source};

pub(super) fn run(global: &Global, args: &CopyArgs) -> Result<ExitCode, Failure> {
    let (from, to) = (settings::image(&args.source)?, settings::destination(&args.destination)?);
    let access = args.access();
    let config = settings::config(global, &access)?;
    let policy = settings::policy(&config, global)?;
    let options = settings::options(&config, global, access)?;
    // A place that cannot be written is found out before anything is asked for.
    let destination = destination::open(&to)?;
    let source = source::open_with(&config, &from, &options)?;
    let progress = progress::chosen(args.progress, args.quiet, &*source);
    let options = copy::Options {
        instances: args.instances(),
        platform: settings::platform(global),
        parallel_copies: args.image_parallel_copies,
        progress: &*progress,
        cancelled: &AtomicBool::new(false),
    };
    let written = copy::image(&*source, &*destination, &policy, &options)?;
    if let Some(path) = &args.digestfile {
        fs::write(path, written.digest().as_str()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
