//! `sync`

use std::path::Path;
use std::process::ExitCode;

use super::args::Global;
use super::sync_args::{DestinationKind, SourceKind, SyncArgs};
use super::sync_progress::Shown;
use super::{Failure, Usage, copy_command, interrupt, registry_args, settings};
use crate::copy::{self, BlobInfoCache};
use crate::source::Options;
use crate::sync::{self, Access, Destination, ImageList, Naming, Source};

pub(super) fn run(global: &Global, args: &SyncArgs) -> Result<ExitCode, Failure> {
    let (source, destination) = (source(args)?, destination(args)?);
    let wanted = args.transfer.options(global)?;
    let access = args.transfer.source_access();
    check_credentials(&source, &access)?;
    let config = settings::config(global, &access)?;
    let policy = settings::policy(&config, global)?;
    let options =
        Options { parallel_ranges: args.transfer.ranges.ranges(), ..settings::options(&config, global, access)? };
    let network = options.network.clone();
    let from = Access::new(config, options);
    let to = {
        let access = args.transfer.destination_access();
        let config = settings::config(global, &access)?;
        let options = Options { network, ..settings::options(&config, global, access)? };
        Access::new(config, options)
    };
    let cache = to.config.paths.blob_info_dir().map(BlobInfoCache::new);
    let signers = copy_command::signers(&args.transfer.signing)?;
    let shown = Shown::new(args)?;
    interrupt::watch()?;
    let options = sync::Options {
        naming: Naming { scoped: args.scoped, append_suffix: args.append_suffix.clone() },
        dry_run: args.dry_run,
        keep_going: args.keep_going,
        copy: copy::Options { signers: &signers, blob_info: cache.as_ref(), ..wanted },
        progress: &shown,
        ..sync::Options::default()
    };
    let outcome = sync::images(&source, &from, &destination, &to, &policy, &options);
    shown.finish()?;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

fn source(args: &SyncArgs) -> Result<Source, Failure> {
    let text = &args.source;
    match args.src {
        SourceKind::Docker => Ok(Source::Registry(text.parse()?)),
        SourceKind::Dir => Ok(Source::Dir(text.into())),
        SourceKind::Yaml => Ok(Source::List(ImageList::load(Path::new(text))?)),
    }
}

/// What is given for one registry is not told to others.
fn check_credentials(source: &Source, access: &registry_args::Access) -> Result<(), Failure> {
    let Source::List(list) = source else { return Ok(()) };
    let count = list.without_credentials();
    if count < 2 || (access.creds.is_none() && access.token.is_none()) {
        return Ok(());
    }
    let text = format!(
        "credentials on the command line would be told to {count} registries of the list: give them in the list, or log in \
         with `transship login`"
    );
    Err(Usage(text).into())
}

fn destination(args: &SyncArgs) -> Result<Destination, Failure> {
    let text = &args.destination;
    match args.dest {
        DestinationKind::Docker => Ok(Destination::Registry(text.parse()?)),
        DestinationKind::Dir => Ok(Destination::Dir(text.into())),
    }
}
