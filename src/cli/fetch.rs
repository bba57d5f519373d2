//! `fetch-object` and `fetch-blob`: content of a registry as it is, byte for byte.

use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::args::Global;
use super::fetch_args::{FetchArgs, FetchBlobArgs, FetchObjectArgs};
use super::fetch_output::Output;
use super::{Failure, Usage, interrupt, settings};
use crate::config::Config;
use crate::manifest::Descriptor;
use crate::media_type::MediaType;
use crate::reference::Reference;
use crate::source::{self, Content, Fetcher, Options};
use crate::{Digest, error};

const BUFFER_SIZE: usize = 256 * 1024;
/// A wait looks so often whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(50);

/// A failure that may come from another thread.
type Sent = Box<dyn std::error::Error + Send + Sync>;

/// Nothing was fetched in time.
#[derive(Debug, thiserror::Error)]
#[error("{reference}: not fetched within {} s, as --timeout says", timeout.as_secs_f64())]
pub(super) struct TimedOut {
    reference: Reference,
    timeout: Duration,
}

/// Bytes that a person cannot read, and that a terminal may take for commands.
#[derive(Debug, thiserror::Error)]
#[error("{digest} is a blob ({media_type}), and is not written to a terminal")]
pub(super) struct ForTerminal {
    digest: String,
    media_type: String,
}

pub(super) fn object(global: &Global, args: &FetchObjectArgs) -> Result<ExitCode, Failure> {
    let reference = settings::registry_reference(&args.reference)?.with_default_tag();
    let (digests, media_type) = (digests(&args.digests)?, args.media_type.as_deref().map(MediaType::from));
    run(global, &args.fetch, reference, move |config, reference, options, output| {
        let resolved = match source::resolve(config, reference, options) {
            Err(error) if digests.is_empty() => return write_unresolved(config, reference, options, output, error),
            resolved => resolved?,
        };
        if digests.is_empty() {
            return write(&resolved.fetcher, &resolved.descriptor, output);
        }
        write_all(&resolved.fetcher, &digests, media_type.as_ref(), output)
    })
}

/// What cannot be resolved may be there all the same, where its digest is known: some registries have no other answer than
/// 500 to whoever takes a blob for a manifest.
fn write_unresolved(
    config: &Config,
    reference: &Reference,
    options: &Options,
    output: &mut Output,
    error: source::Error,
) -> Result<(), Sent> {
    let digest = reference.digest().filter(|_| !error.is_not_found() && !error.is_unauthorized());
    let Some(digest) = digest else { return Err(error.into()) };
    let fetcher = source::fetcher(config, reference, options)?;
    match fetcher.fetch_by_digest(digest, None) {
        Ok((descriptor, content)) => write_content(&fetcher, &descriptor, content, output),
        Err(_) => Err(error.into()),
    }
}

pub(super) fn blob(global: &Global, args: &FetchBlobArgs) -> Result<ExitCode, Failure> {
    let reference = settings::registry_reference(&args.reference)?;
    let (digests, media_type) = (digests(&args.digests)?, args.media_type.as_deref().map(MediaType::from));
    run(global, &args.fetch, reference, move |config, reference, options, output| {
        let fetcher = source::fetcher(config, reference, options)?;
        write_all(&fetcher, &digests, media_type.as_ref(), output)
    })
}

/// All of them, before anything is asked.
fn digests(texts: &[String]) -> Result<Vec<Digest>, Failure> {
    texts.iter().map(|text| text.parse().map_err(|error| Usage(format!("{text:?}: {error}")).into())).collect()
}

/// Fetches in a thread of its own, so that neither a silent server nor a signal is in the way of the end.
fn run(
    global: &Global,
    args: &FetchArgs,
    reference: Reference,
    fetch: impl FnOnce(&Config, &Reference, &Options, &mut Output) -> Result<(), Sent> + Send + 'static,
) -> Result<ExitCode, Failure> {
    if global.require_signed {
        let text = "--require-signed: no policy is asked here; `transship verify` does that";
        return Err(Usage(text.to_owned()).into());
    }
    let access = args.registry.access();
    let config = settings::config(global, &access)?;
    let options = settings::options(&config, global, access)?;
    interrupt::watch()?;
    let (mut output, finished) = Output::open(args.output.as_deref(), io::stdout().is_terminal())?;
    let (done, outcome) = mpsc::channel();
    let asked = reference.clone();
    thread::Builder::new().spawn(move || {
        // Whoever waited may have gone.
        let _ = done.send(fetch(&config, &asked, &options, &mut output).and_then(|()| Ok(output.flush()?)));
    })?;
    let end = (!args.timeout.is_zero()).then(|| Instant::now() + args.timeout);
    loop {
        let left = end.map_or(GLANCE, |end| end.saturating_duration_since(Instant::now()).min(GLANCE));
        match outcome.recv_timeout(left) {
            Ok(outcome) => {
                outcome.map_err(|failure| -> Failure { failure })?;
                break;
            }
            Err(RecvTimeoutError::Disconnected) => return Err("fetching broke off".into()),
            Err(RecvTimeoutError::Timeout) if interrupt::exit_code().is_some() => return Err("cancelled".into()),
            Err(RecvTimeoutError::Timeout) if end.is_some_and(|end| end <= Instant::now()) => {
                return Err(TimedOut { reference, timeout: args.timeout }.into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    finished.keep()?;
    Ok(ExitCode::SUCCESS)
}

fn write_all(
    fetcher: &Fetcher,
    digests: &[Digest],
    media_type: Option<&MediaType>,
    output: &mut Output,
) -> Result<(), Sent> {
    for digest in digests {
        let (descriptor, content) = fetcher.fetch_by_digest(digest, media_type)?;
        write_content(fetcher, &descriptor, content, output)?;
    }
    Ok(())
}

fn write(fetcher: &Fetcher, descriptor: &Descriptor, output: &mut Output) -> Result<(), Sent> {
    write_content(fetcher, descriptor, fetcher.fetch(descriptor)?, output)
}

/// Wrong bytes are taken back and read from somebody else, as long as nobody has seen them.
fn write_content(
    fetcher: &Fetcher,
    descriptor: &Descriptor,
    mut content: Content,
    output: &mut Output,
) -> Result<(), Sent> {
    let media_type = MediaType::from(descriptor.media_type());
    if output.is_for_people() && !is_for_people(&media_type) {
        let media_type = media_type.to_string();
        return Err(ForTerminal { digest: descriptor.digest().to_string(), media_type }.into());
    }
    let (digest, before) = (Digest::try_from(descriptor.digest()).map_err(source::Error::Digest)?, output.position());
    while let Err(failure) = pour(&mut content, output) {
        // Whoever sent wrong bytes is not asked for them again.
        if !content.is_worth_another_try() || !output.take_back(before)? {
            return Err(failure);
        }
        log::warn!("{}; reading it once more", error::one_line(&*failure));
        // Looked for anew: its size may have been wrong, and no bytes.
        (_, content) = fetcher.fetch_by_digest(&digest, Some(&media_type))?;
    }
    Ok(())
}

fn pour(content: &mut Content, output: &mut Output) -> Result<(), Sent> {
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        // What is read last is only handed out once all of it was verified.
        let count = match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unwrapped(error)),
        };
        output.write(buffer.get(..count).unwrap_or_default())?;
    }
}

/// The error that an [`io::Error`] only carries.
fn unwrapped(error: io::Error) -> Sent {
    match error.downcast::<source::Error>() {
        Ok(error) => error.into(),
        Err(error) => error.into(),
    }
}

/// Texts, and JSON by whatever name.
fn is_for_people(media_type: &MediaType) -> bool {
    let text = media_type.as_str();
    let is_signed = *media_type == MediaType::DOCKER_SCHEMA1_SIGNED;
    is_signed || text == "application/json" || text.ends_with("+json") || text.starts_with("text/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_manifests_and_configs_and_no_layers() {
        for media_type in [
            MediaType::OCI_MANIFEST,
            MediaType::OCI_INDEX,
            MediaType::OCI_CONFIG,
            MediaType::DOCKER_MANIFEST,
            MediaType::DOCKER_LIST,
            MediaType::DOCKER_CONFIG,
            MediaType::DOCKER_SCHEMA1_SIGNED,
            MediaType::from("text/plain"),
            MediaType::from("application/json"),
        ] {
            assert!(is_for_people(&media_type), "{media_type}");
        }
        for media_type in [
            MediaType::OCI_LAYER,
            MediaType::OCI_LAYER_GZIP,
            MediaType::OCI_LAYER_ZSTD,
            MediaType::from("application/octet-stream"),
            MediaType::from(""),
        ] {
            assert!(!is_for_people(&media_type), "{media_type}");
        }
    }
}
