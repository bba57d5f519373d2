//! `copy`

use std::fs;
use std::process::ExitCode;

use super::args::{CopyArgs, Global};
use super::signature_args::SigningArgs;
use super::{Failure, interrupt, progress, settings, standalone};
use crate::config::Config;
use crate::copy::BlobInfoCache;
use crate::destination::{DockerArchiveDestination, ImageDestination};
use crate::reference::ImageReference;
use crate::signature::ImageSigner;
use crate::source::Options;
use crate::{copy, destination, source};

pub(super) fn run(global: &Global, args: &CopyArgs) -> Result<ExitCode, Failure> {
    let (from, to) = (settings::image(&args.source)?, settings::destination(&args.destination)?);
    let wanted = args.transfer.options(global)?;
    let access = args.transfer.source_access();
    let config = settings::config(global, &access)?;
    let policy = settings::policy(&config, global)?;
    policy.check_beforehand(&from).map_err(copy::Error::from)?;
    let options =
        Options { parallel_ranges: args.transfer.ranges.ranges(), ..settings::options(&config, global, access)? };
    let signers = signers(&args.transfer.signing)?;
    let sign_identity = args.sign_identity.as_deref().map(standalone::named).transpose()?;
    // A place that cannot be written is found out before anything is asked for.
    let destination = open_destination(global, args, &to, &config, &options)?;
    interrupt::watch()?;
    let source = source::open_with(&config, &from, &options)?;
    let progress = progress::chosen(args.transfer.progress, args.transfer.quiet, &*source);
    let cache = config.paths.blob_info_dir().map(BlobInfoCache::new);
    let options =
        copy::Options { signers: &signers, sign_identity, blob_info: cache.as_ref(), progress: &*progress, ..wanted };
    let written = copy::image(&*source, &*destination, &policy, &options)?;
    if let Some(path) = &args.digestfile {
        fs::write(path, written.digest().as_str()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Who signs. The one passphrase is for every key that has one.
pub(super) fn signers(args: &SigningArgs) -> Result<Vec<ImageSigner>, Failure> {
    let passphrase_file = args.sign_passphrase_file.as_deref();
    let openpgp = args.sign_by.iter().map(|key| standalone::openpgp_signer(key, passphrase_file));
    let sigstore = args.sign_by_sigstore_private_key.iter();
    openpgp.chain(sigstore.map(|key| standalone::sigstore_signer(key, passphrase_file))).collect()
}

/// The destination has an account and certificates of its own, and the source's network.
fn open_destination(
    global: &Global,
    args: &CopyArgs,
    to: &ImageReference,
    config: &Config,
    options: &Options,
) -> Result<Box<dyn ImageDestination>, Failure> {
    if let ImageReference::DockerArchive(archive) = to {
        let destination = DockerArchiveDestination::open(archive.clone())?;
        return Ok(Box::new(destination.with_additional_tags(args.additional_tag.clone())?));
    }
    if !args.additional_tag.is_empty() {
        return Err(format!("{to}: --additional-tag is for docker-archive: alone").into());
    }
    if to.path().is_some() {
        return Ok(destination::open(to)?);
    }
    let access = args.transfer.destination_access();
    let has_own_auth_file = access.authfile != args.transfer.source_access().authfile;
    let own = if has_own_auth_file { Some(settings::config(global, &access)?) } else { None };
    let config = own.as_ref().unwrap_or(config);
    let options = Options { network: options.network.clone(), ..settings::options(config, global, access)? };
    Ok(destination::open_with(config, to, &options)?)
}
