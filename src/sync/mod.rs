//! Bringing many images from one place to another, and leaving alone what is there already.
//!
//! ```no_run
//! use transship::config::Config;
//! use transship::policy::Policy;
//! use transship::sync::{self, Access, Destination, Options, Source};
//!
//! let access = Access::new(Config::load()?, Default::default());
//! let source = Source::Registry("quay.io/podman/hello".parse()?);
//! let destination = Destination::Registry("registry.example/mirror".parse()?);
//! let policy = Policy::new(access.config.policy()?);
//! let report = sync::images(&source, &access, &destination, &access, &policy, &Options::default())?;
//! println!("{} copied, {} unchanged", report.copied, report.unchanged);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whether an image is there already is asked for several images at a time, with one `HEAD` for each registry. What has
//! to be copied is copied one image after the other, each as [`copy::image`] does it, several blobs at a time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::config::Config;
use crate::digest::Digest;
use crate::policy::Policy;
use crate::reference::{ImageReference, ImageReferenceError, Reference};
use crate::{copy, destination, error, source};

mod compare;
mod constraint;
mod directory;
mod found;
mod in_order;
mod list;
mod place;
mod progress;
mod rehearsal;
mod signed;

pub use constraint::{NotAConstraint, VersionConstraint};
pub use found::Source;
pub use list::{ImageList, Invalid, ListError};
pub use place::{Destination, Naming, NotARegistry, RegistryPrefix};
pub use progress::{Event, Image, Outcome, Progress, Silent};

use found::Found;

/// How the registries of one side are asked.
#[derive(Debug, Clone)]
pub struct Access {
    /// What the administrator wrote.
    pub config: Config,
    /// What the caller asks for beside it, of every registry.
    pub options: source::Options,
}

impl Access {
    /// Access whose connections and tokens are kept from image to image, unless the options have their own way.
    pub fn new(config: Config, options: source::Options) -> Self {
        let network =
            options.network.clone().unwrap_or_else(|| source::Network::real(&config, crate::http::Timeouts::default()));
        let clients = options.clients.clone().unwrap_or_default();
        let options = source::Options { network: Some(network), clients: Some(clients), ..options };
        Self { config, options }
    }
}

/// How to synchronise. By default the images keep the last part of their names, the first failure is the end, and nobody
/// hears of it.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// How the images are called at the destination.
    pub naming: Naming,
    /// Write nothing, and say what would be copied.
    pub dry_run: bool,
    /// Go on with the other images after one that failed.
    pub keep_going: bool,
    /// How many images are compared at a time. 6 by default.
    pub parallel_checks: NonZeroUsize,
    /// How each image is copied. Its `progress` is not told anything: [`Progress::of_copy`] says who is. Its `cancelled`
    /// stops the whole.
    pub copy: copy::Options<'a>,
    /// Who hears of the images.
    pub progress: &'a dyn Progress,
}

const SIX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(5);

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            naming: Naming::default(),
            dry_run: false,
            keep_going: false,
            parallel_checks: SIX,
            copy: copy::Options::default(),
            progress: &Silent,
        }
    }
}

impl Options<'_> {
    fn check_cancelled(&self) -> Result<(), Error> {
        if self.copy.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// What became of the images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many were copied.
    pub copied: usize,
    /// How many were there already.
    pub unchanged: usize,
    /// In a dry run: how many would be copied.
    pub would_copy: usize,
}

/// Why not everything is synchronised.
#[allow(clippy::large_enum_variant, reason = "boxed, a source would not be found in the chain by its type")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tags of a repository could not be listed.
    #[error("{repository}")]
    Tags {
        /// Which one.
        repository: Reference,
        /// Why not.
        source: source::Error,
    },
    /// A directory could not be looked into.
    #[error("{}: cannot look for images", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A directory whose name is no text cannot be an image's.
    #[error("{}: no name for an image, because it is not UTF-8", path.display())]
    NoName {
        /// Which one.
        path: PathBuf,
    },
    /// An image cannot be named at the source.
    #[error("the source names no image")]
    Reference(#[source] ImageReferenceError),
    /// An image cannot be named at the destination.
    #[error("{from} cannot be called {name:?} at the destination")]
    Name {
        /// The image.
        from: ImageReference,
        /// What it would be called.
        name: String,
        /// Why it cannot.
        source: ImageReferenceError,
    },
    /// What is to be put behind tags is none of what tags consist of.
    #[error("the suffix {0:?} makes no tag, which has A-Z a-z 0-9 _ . -")]
    Suffix(String),
    /// Two images have one place. Nothing was copied.
    #[error("{first} and {second} would both be {to}")]
    SamePlace {
        /// One of them.
        first: ImageReference,
        /// The other.
        second: ImageReference,
        /// Their place.
        to: ImageReference,
    },
    /// Images would be copied into the directory that they come from, more of them each time.
    #[error("{}: below the source, {}", destination.display(), from.display())]
    WithinSource {
        /// Where they go.
        destination: PathBuf,
        /// Where they come from.
        from: PathBuf,
    },
    /// There is nothing to synchronise.
    #[error("no images to sync found in the source")]
    NoImages,
    /// An image could not be copied.
    #[error("{from} to {to}")]
    Image {
        /// Which one.
        from: ImageReference,
        /// Where to.
        to: ImageReference,
        /// Why not.
        source: copy::Error,
    },
    /// With [`Options::keep_going`]: some failed, and the others are done.
    #[error("{} of {count} failed{}", failures.len(), listed(failures))]
    Several {
        /// Why, one for each.
        failures: Vec<Error>,
        /// How many were tried.
        count: usize,
    },
    /// [`copy::Options::cancelled`] was set.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// True when an image or a repository is not there; of [`Several`](Self::Several) each is asked by itself.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Tags { source, .. } => source.is_not_found(),
            Self::Image { source, .. } => source.is_not_found(),
            _ => false,
        }
    }

    /// True when credentials are missing, wrong, or not enough; of [`Several`](Self::Several) each is asked by itself.
    pub fn is_unauthorized(&self) -> bool {
        match self {
            Self::Tags { source, .. } => source.is_unauthorized(),
            Self::Image { source, .. } => source.is_unauthorized(),
            _ => false,
        }
    }

    /// True when the same may succeed later: of [`Several`](Self::Several), when each may.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Tags { source, .. } => source.is_transient(),
            Self::Image { source, .. } => source.is_transient(),
            Self::Several { failures, .. } => failures.iter().all(Self::is_transient),
            _ => false,
        }
    }
}

fn listed(failures: &[Error]) -> String {
    let line = |mut text: String, failure: &Error| {
        text.push_str("\n  ");
        text.push_str(&error::one_line(failure));
        text
    };
    failures.iter().fold(String::new(), line)
}

/// Brings the images of `source` to `destination`, as far as they are not there.
///
/// An image is there when the manifest that a copy would write is, with the signatures that would go along; in a
/// directory, its files too. It is not judged and not signed again: the policy and the signers are for what is copied.
///
/// # Errors
/// The first failure, after which nothing more is begun; with [`Options::keep_going`], [`Error::Several`] at the end.
pub fn images(
    source: &Source,
    from: &Access,
    destination: &Destination,
    to: &Access,
    policy: &Policy,
    options: &Options<'_>,
) -> Result<Report, Error> {
    if let (Source::Dir(from), Destination::Dir(to)) = (source, destination)
        && directory::is_within(to, from)
    {
        return Err(Error::WithinSource { destination: to.clone(), from: from.clone() });
    }
    let mut run = Run { to, policy, options, report: Report::default(), failures: Vec::new() };
    let found = source.images(&Arc::new(from.clone()), options, |error| run.fail(error))?;
    let pairs = run.pairs(found, destination)?;
    if pairs.is_empty() && run.failures.is_empty() {
        return Err(Error::NoImages);
    }
    run.all(&pairs)
}

/// An image and its place.
struct Pair {
    from: ImageReference,
    access: Arc<Access>,
    to: ImageReference,
}

/// A synchronisation under way.
struct Run<'a> {
    to: &'a Access,
    policy: &'a Policy,
    options: &'a Options<'a>,
    report: Report,
    failures: Vec<Error>,
}

impl Run<'_> {
    fn pairs(&mut self, found: Vec<Found>, destination: &Destination) -> Result<Vec<Pair>, Error> {
        let mut pairs: Vec<Pair> = Vec::new();
        let mut taken: BTreeMap<String, ImageReference> = BTreeMap::new();
        for Found { image, name, access } in found {
            let to = match destination.place(&image, &name, &self.options.naming) {
                Ok(to) => to,
                Err(error) => {
                    self.fail(error)?;
                    continue;
                }
            };
            match taken.entry(to.to_string()) {
                // Listed twice, which is no harm.
                Entry::Occupied(before) if *before.get() == image => {}
                Entry::Occupied(before) => {
                    return Err(Error::SamePlace { first: before.get().clone(), second: image, to });
                }
                Entry::Vacant(free) => {
                    free.insert(image.clone());
                    pairs.push(Pair { from: image, access, to });
                }
            }
        }
        Ok(pairs)
    }

    /// The main loop: the comparisons run ahead, the copies are one after the other.
    fn all(mut self, pairs: &[Pair]) -> Result<Report, Error> {
        let (to, options) = (self.to, self.options);
        let policy = self.policy;
        let numbered: Vec<_> = pairs.iter().enumerate().collect();
        let compare = |(_, pair): &(usize, &Pair)| {
            options.check_cancelled()?;
            let failed = |error| pair.failed(error);
            policy.check_beforehand(&pair.from).map_err(copy::Error::from).map_err(failed)?;
            compare::unchanged(pair, to, &options.copy).map_err(failed)
        };
        in_order::in_order(&numbered, options.parallel_checks, compare, |(index, pair), unchanged| {
            let image = Image { number: index + 1, count: pairs.len(), from: &pair.from, to: &pair.to };
            self.image(image, pair, unchanged)
        })?;
        let count = pairs.len() + self.failures.iter().filter(|error| !matches!(error, Error::Image { .. })).count();
        if self.failures.is_empty() {
            return Ok(self.report);
        }
        Err(Error::Several { failures: self.failures, count })
    }

    fn image(&mut self, image: Image<'_>, pair: &Pair, unchanged: Result<Option<Digest>, Error>) -> Result<(), Error> {
        self.options.check_cancelled()?;
        let outcome = match unchanged {
            Ok(Some(digest)) => Ok(Outcome::Unchanged { digest }),
            Ok(None) if self.options.dry_run => Ok(Outcome::WouldCopy),
            Ok(None) => {
                self.options.progress.event(&Event::Copying(image));
                self.copy(pair).map(|digest| Outcome::Copied { digest }).map_err(|error| pair.failed(error))
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(outcome) => {
                self.count(&outcome);
                self.options.progress.event(&Event::Done { image, outcome: &outcome });
                Ok(())
            }
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Err(error) => {
                self.options.progress.event(&Event::Done { image, outcome: &Outcome::Failed { error: &error } });
                self.keep(error)
            }
        }
    }

    fn copy(&self, pair: &Pair) -> Result<Digest, copy::Error> {
        // Nothing is made at the destination for an image that is gone.
        let source = source::open_with(&pair.access.config, &pair.from, &pair.access.options)?;
        let destination = destination::open_with(&self.to.config, &pair.to, &self.to.options)?;
        let progress = self.options.progress.of_copy(&*source);
        let options = copy::Options { progress: &*progress, ..self.options.copy.clone() };
        Ok(copy::image(&*source, &*destination, self.policy, &options)?.digest().clone())
    }

    fn count(&mut self, outcome: &Outcome<'_>) {
        match outcome {
            Outcome::Copied { .. } => self.report.copied += 1,
            Outcome::Unchanged { .. } => self.report.unchanged += 1,
            Outcome::WouldCopy => self.report.would_copy += 1,
            Outcome::Failed { .. } => {}
        }
    }

    /// Of what is no image: told here.
    fn fail(&mut self, error: Error) -> Result<(), Error> {
        if !matches!(error, Error::Cancelled) {
            self.options.progress.event(&Event::Failed { error: &error });
        }
        self.keep(error)
    }

    fn keep(&mut self, error: Error) -> Result<(), Error> {
        if !self.options.keep_going || matches!(error, Error::Cancelled) {
            return Err(error);
        }
        self.failures.push(error);
        Ok(())
    }
}

impl Pair {
    fn failed(&self, source: copy::Error) -> Error {
        if matches!(source, copy::Error::Cancelled) {
            return Error::Cancelled;
        }
        Error::Image { from: self.from.clone(), to: self.to.clone(), source }
    }
}
