//! `pull`, `images`, `rmi` and `prune`

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Global;
use super::output::{go_json, print, print_done};
use super::store_args::{ImagesArgs, PruneArgs, PullArgs, RmiArgs};
use super::{Failure, Usage, interrupt, progress, say, settings};
use crate::copy::{self, BlobInfoCache};
use crate::error;
use crate::error::printable;
use crate::manifest::{Platform, PlatformChoice};
use crate::reference::{DockerReference, ImageReference, Reference};
use crate::source::Options;
use crate::store::{self, AuthConfig, DamagedImage, Images, PullOptions, PullRequest, Store, StoredImage, parse_image};

/// As much of an id as people recognise.
const SHORT_ID: usize = 12;
const NONE: &str = "<none>";

/// Images that the store cannot tell of; each has been warned of.
#[derive(Debug, thiserror::Error)]
#[error("{}: {count}", path.display())]
pub(super) struct Damaged {
    path: PathBuf,
    count: String,
}

pub(super) fn pull(global: &Global, args: &PullArgs) -> Result<ExitCode, Failure> {
    let image = parse_image(&settings::registry_reference(&args.image)?.to_string())?;
    let store = Store::at(&args.store.path)?;
    let access = args.registry.access();
    let config = settings::config(global, &access)?;
    let policy = settings::policy(&config, global)?;
    let logical = ImageReference::Docker(DockerReference::try_from(image.clone())?);
    policy.check_beforehand(&logical).map_err(copy::Error::from)?;
    let global = &patience(global, args, config.pull_sources(&image)?.len());
    let options = Options { parallel_ranges: args.ranges.ranges(), ..settings::options(&config, global, access)? };
    let request = PullRequest {
        auth: args.server_address.as_deref().map(|address| auth(address, &options)).transpose()?,
        platform: args.platform.as_ref().map_or_else(|| settings::platform(global), choice),
        progress_timeout: args.progress_timeout,
        ..PullRequest::new(image)
    };
    interrupt::watch()?;
    let pull = store.begin(&config, &request, &options)?;
    let progress = progress::chosen(args.progress, args.quiet, pull.source());
    let cache = config.paths.blob_info_dir().map(BlobInfoCache::new);
    let options = PullOptions {
        concurrent_downloads: args.max_concurrent_downloads,
        blob_info: cache.as_ref(),
        progress: &*progress,
        cancelled: interrupt::cancelled(),
    };
    let pulled = pull.finish(&policy, &options)?;
    print(&format!("{}\n", pulled.id))
}

/// Where several may be asked, one that is silent is left before the whole pull is given up. A lone one gets all the
/// patience that there is.
fn patience(global: &Global, args: &PullArgs, sources: usize) -> Global {
    let limit = args.progress_timeout.as_secs();
    let idle_timeout = match u64::try_from(sources).unwrap_or(u64::MAX) {
        _ if args.progress_timeout.is_zero() => global.idle_timeout(),
        // Which of the two ran out is told by the watch, so it must be the first.
        0 | 1 => limit.saturating_add(1).min(global.idle_timeout.unwrap_or(u64::MAX)),
        sources => global.idle_timeout().min((limit / sources).max(1)),
    };
    Global { idle_timeout: Some(idle_timeout), ..global.clone() }
}

/// The credentials on the command line, bound to a server.
fn auth(server_address: &str, options: &Options) -> Result<AuthConfig, Failure> {
    let given = options.identity.as_ref().and_then(|identity| identity.credentials.as_ref());
    let Some(credentials) = given else {
        return Err(Usage("--server-address says whom --creds are for: give both".to_owned()).into());
    };
    let auth = AuthConfig {
        username: credentials.username().to_owned(),
        password: credentials.password().clone(),
        server_address: server_address.to_owned(),
        ..AuthConfig::default()
    };
    match auth.server_host()? {
        Some(_) => Ok(auth),
        None => Err(Usage(format!("--server-address {server_address}: give a URL, such as https://quay.io")).into()),
    }
}

fn choice(platform: &Platform) -> PlatformChoice {
    PlatformChoice {
        os: Some(platform.os().to_owned()),
        architecture: Some(platform.architecture().to_owned()),
        variant: platform.variant().map(str::to_owned),
    }
}

pub(super) fn images(args: &ImagesArgs) -> Result<ExitCode, Failure> {
    let store = Store::at(&args.store.path)?;
    let Images { whole, damaged, .. } = store.images()?;
    let text = if args.json { go_json(&Value::Array(whole.iter().map(as_json).collect()))? } else { table(&whole) };
    print_done(&text)?;
    warn_of(&store, &damaged)
}

/// Damaged images fail what has been done for the others.
fn warn_of(store: &Store, damaged: &[DamagedImage]) -> Result<ExitCode, Failure> {
    for image in damaged {
        log::warn!("{} is damaged: {}", image.names.join(", "), error::one_line(&image.error));
    }
    match damaged.len() {
        0 => Ok(ExitCode::SUCCESS),
        count => Err(Damaged { path: store.path().to_owned(), count: counted(count as u64, "damaged image") }.into()),
    }
}

fn as_json(image: &StoredImage) -> Value {
    let names = |names: &[Reference]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "id": image.id.as_str(),
        "repo_tags": names(&image.repo_tags),
        "repo_digests": names(&image.repo_digests),
        "manifest": image.manifest.as_str(),
        "size": image.size,
        "platform": image.platform.to_string(),
        "pinned": image.pinned,
    })
}

/// A line for each tag; for an image without one, for each digest; and one for an id alone.
fn table(images: &[StoredImage]) -> String {
    let mut rows = vec![["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "SIZE", "PLATFORM"].map(str::to_owned)];
    for image in images {
        let id = image.id.encoded().get(..SHORT_ID).unwrap_or_default();
        let mut add = |repository: String, tag: &str, digest: &str| {
            let (size, platform) = (image.size.to_string(), printable(&image.platform.to_string()));
            rows.push([repository, tag.to_owned(), digest.to_owned(), id.to_owned(), size, platform]);
        };
        for tagged in &image.repo_tags {
            let digest = image.tagged.get(tagged).map_or(NONE, |digest| digest.as_str());
            add(tagged.name().to_string(), tagged.tag().map_or(NONE, |tag| tag.as_str()), digest);
        }
        if image.repo_tags.is_empty() {
            for digested in &image.repo_digests {
                add(digested.name().to_string(), NONE, digested.digest().map_or(NONE, |digest| digest.as_str()));
            }
            if image.repo_digests.is_empty() {
                add(NONE.to_owned(), NONE, NONE);
            }
        }
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

pub(super) fn rmi(args: &RmiArgs) -> Result<ExitCode, Failure> {
    let store = Store::at(&args.store.path)?;
    let mut failed: Option<store::Error> = None;
    for name in &args.names {
        match store.remove(name) {
            Ok(removed) => {
                removed.iter().try_for_each(|name| print_done(&format!("{}\n", printable(name))))?;
            }
            Err(error @ (store::Error::NoSuchImage { .. } | store::Error::AmbiguousId { .. })) => {
                // The last one is told when all is done.
                if let Some(earlier) = failed.replace(error) {
                    say(&earlier);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    failed.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
}

pub(super) fn prune(args: &PruneArgs) -> Result<ExitCode, Failure> {
    let store = Store::at(&args.store.path)?;
    let pruned = if args.dry_run { store.what_prune_would_remove()? } else { store.prune()? };
    let mut text = String::new();
    for id in &pruned.images {
        let _ = writeln!(text, "{id}");
    }
    let said = if args.dry_run { "would remove" } else { "removed" };
    let _ = writeln!(
        text,
        "{said} {}, {}, {}",
        counted(pruned.images.len() as u64, "image"),
        counted(pruned.blobs as u64, "blob"),
        counted(pruned.bytes, "byte")
    );
    print_done(&text)?;
    let mut damaged = store.images()?.damaged;
    damaged.retain(|image| !pruned.images.contains(&image.id));
    warn_of(&store, &damaged)
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
