//! The pull sources of one image: in which order they are asked, and what was learned of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::range_budget::RangeBudget;
use super::settings::Settings;
use super::{Error, FailedAttempt, health};
use crate::config::PullSource;
use crate::digest::{Digest, Mismatch};
use crate::reference::{DockerReference, ImageReference};
use crate::registry::{self, Operation, RegistryClient, Selector};

/// The pull sources of one image, and what was learned of them.
pub(super) struct Places {
    pub(super) all: Vec<Place>,
    pub(super) settings: Settings,
    /// The one that delivered last: it is asked first.
    working: AtomicUsize,
    /// External URLs of layers delivered wrong bytes, and are not asked any more.
    pub(super) externals_distrusted: AtomicBool,
    /// For blobs that are fetched in several parts at a time.
    pub(super) ranges: Arc<RangeBudget>,
    /// Parts did not make the blob that they were of: there are no more of them.
    pub(super) ranges_distrusted: AtomicBool,
}

pub(super) struct Place {
    pub(super) pull_source: PullSource,
    /// Made when it is first needed: a mirror that is never asked costs nothing.
    client: OnceLock<Arc<RegistryClient>>,
    /// It delivered bytes that were not what they should be: of which blob, and how.
    wrong: OnceLock<(Digest, Mismatch)>,
}

/// Why a place did not deliver. Two places may have the same reference, so each goes by its number.
pub(super) type Failure = (usize, Error);

impl Places {
    pub(super) fn new(pull_sources: Vec<PullSource>, settings: Settings) -> Self {
        let place = |pull_source| Place { pull_source, client: OnceLock::new(), wrong: OnceLock::new() };
        let ranges = Arc::new(RangeBudget::new(settings.parallel_ranges()));
        Self {
            all: pull_sources.into_iter().filter(PullSource::can_pull).map(place).collect(),
            settings,
            ranges,
            ranges_distrusted: AtomicBool::new(false),
            working: AtomicUsize::new(0),
            externals_distrusted: AtomicBool::new(false),
        }
    }

    /// Asks each place that may say what a tag names, where that is the question. The others are in the error too.
    pub(super) fn first_resolved<T>(
        &self,
        selector: &Selector,
        ask: impl Fn(&Arc<RegistryClient>) -> Result<T, Error>,
    ) -> Result<(usize, T), Error> {
        let is_fit = |place: &Place| matches!(selector, Selector::Digest(_)) || place.pull_source.can_resolve();
        let (fit, unfit): (Vec<_>, Vec<_>) =
            self.order().into_iter().partition(|index| self.all.get(*index).is_some_and(is_fit));
        if let Some(last) = self.all.last().filter(|_| fit.is_empty()) {
            return Err(Error::NoResolver { reference: last.pull_source.physical.clone() });
        }
        self.first_of(&fit, ask).map_err(|failures| {
            // Whoever was asked comes last: what it says is what the error is.
            let unasked = unfit.iter().map(|index| (*index, Error::MayNotResolve));
            self.error_of(unasked.chain(self.primary_last(failures)))
        })
    }

    /// Asks each place until one succeeds, and remembers that one.
    pub(super) fn first_success<T>(
        &self,
        ask: impl Fn(&Arc<RegistryClient>) -> Result<T, Error>,
    ) -> Result<(usize, T), Error> {
        self.first_of(&self.order(), ask).map_err(|failures| self.all_failed(failures))
    }

    /// The same without those that have told or delivered what is wrong.
    pub(super) fn first_trusted<T>(
        &self,
        ask: impl Fn(&Arc<RegistryClient>) -> Result<T, Error>,
    ) -> Result<(usize, T), Error> {
        self.first_of(&self.trusted().1, ask).map_err(|failures| self.nobody_left(failures))
    }

    fn first_of<T>(
        &self,
        order: &[usize],
        ask: impl Fn(&Arc<RegistryClient>) -> Result<T, Error>,
    ) -> Result<(usize, T), Vec<Failure>> {
        let mut failures = Vec::new();
        for index in order {
            let Some(place) = self.all.get(*index) else { continue };
            let began = self.now();
            match self.client(*index, place).and_then(|client| ask(&client)) {
                Ok(value) => {
                    self.delivered(*index, began);
                    return Ok((*index, value));
                }
                Err(error) => {
                    self.note_failure(place, began, &error);
                    failures.push((*index, error));
                }
            }
        }
        Err(failures)
    }

    /// Those that may be asked for blobs in their [`order`](Self::order), and how many of the first of them are not set
    /// aside.
    pub(super) fn trusted(&self) -> (usize, Vec<usize>) {
        self.in_order(Place::is_trusted)
    }

    /// The place that works, then those behind it, then those before it; last those that are set aside.
    fn order(&self) -> Vec<usize> {
        self.in_order(|_| true).1
    }

    fn in_order(&self, is_asked: impl Fn(&Place) -> bool) -> (usize, Vec<usize>) {
        let (count, first) = (self.all.len(), self.working.load(Ordering::Relaxed));
        let asked =
            (0..count).map(|step| (first + step) % count).filter(|index| self.all.get(*index).is_some_and(&is_asked));
        // Each is looked at once: it may change at any time.
        let (mut order, aside): (Vec<_>, Vec<_>) = asked.partition(|index| !self.is_aside(*index));
        let healthy = order.len();
        order.extend(aside);
        (healthy, order)
    }

    fn is_aside(&self, index: usize) -> bool {
        let is_aside = |place: &Place| self.settings.health.is_aside(&health::endpoint(&place.pull_source), self.now());
        self.all.get(index).is_some_and(is_aside)
    }

    pub(super) fn now(&self) -> SystemTime {
        self.settings.clock.now()
    }

    /// Remembers who works.
    pub(super) fn delivered(&self, index: usize, began: SystemTime) {
        self.working.store(index, Ordering::Relaxed);
        self.answered(index, began);
    }

    /// Remembers that it answered, of whoever is asked beside the one that works.
    pub(super) fn answered(&self, index: usize, began: SystemTime) {
        if let Some(place) = self.all.get(index) {
            self.settings.health.delivered(&health::endpoint(&place.pull_source), began, self.now());
        }
    }

    /// Remembers who does not, where that says something about it.
    pub(super) fn note_failure(&self, place: &Place, began: SystemTime, error: &Error) {
        let PullSource { physical, mirror, .. } = &place.pull_source;
        log::debug!("{physical}: {}", crate::error::one_line(error));
        if health::is_of_endpoint(error) {
            let endpoint = health::endpoint(&place.pull_source);
            let time = self.settings.health.failed(&endpoint, began, self.now());
            if let Some(time) = time.filter(|_| *mirror) {
                let (reason, seconds) = (crate::error::one_line(error), time.as_secs());
                log::warn!("{reason}; {endpoint} is asked last for {seconds} s");
            }
        }
    }

    pub(super) fn client(&self, index: usize, place: &Place) -> Result<Arc<RegistryClient>, Error> {
        if let Some(client) = place.client.get() {
            return Ok(Arc::clone(client));
        }
        let is_last = index + 1 == self.all.len();
        let client = self.settings.client(&place.pull_source, is_last)?;
        Ok(Arc::clone(place.client.get_or_init(|| client)))
    }

    pub(super) fn reference_of(&self, index: usize) -> Option<ImageReference> {
        let reference = self.all.get(index)?.pull_source.physical.clone();
        DockerReference::try_from(reference).ok().map(ImageReference::Docker)
    }

    /// The error when a blob cannot be had: those that are not asked any more are named too, unless they were asked for
    /// this one and have failed since.
    pub(super) fn nobody_left(&self, mut failures: Vec<Failure>) -> Error {
        let distrusted = self.all.iter().enumerate().filter_map(|(index, place)| Some((index, place.distrusted()?)));
        let others: Vec<_> =
            distrusted.filter(|(index, _)| failures.iter().all(|(failed, _)| failed != index)).collect();
        failures.splice(0..0, others);
        self.all_failed(failures)
    }

    /// The error of a failed round.
    fn all_failed(&self, failures: Vec<Failure>) -> Error {
        self.error_of(self.primary_last(failures).into_iter())
    }

    /// The primary is the last pull source, in whatever order they were asked.
    fn primary_last(&self, mut failures: Vec<Failure>) -> Vec<Failure> {
        if let Some(position) = failures.iter().position(|(index, _)| index + 1 == self.all.len()) {
            let failure = failures.remove(position);
            failures.push(failure);
        }
        failures
    }

    fn error_of(&self, failures: impl Iterator<Item = Failure>) -> Error {
        let attempt = |(index, error): Failure| {
            let reference = self.all.get(index)?.pull_source.physical.clone();
            Some(FailedAttempt { reference, error: Box::new(error) })
        };
        // There is always a pull source: the reference itself, if nothing is configured.
        Error::of_attempts(failures.filter_map(attempt).collect()).unwrap_or(Error::NoPullSource)
    }
}

impl Place {
    pub(super) fn is_trusted(&self) -> bool {
        self.wrong.get().is_none()
    }

    /// It is not asked for blobs of this image any more, for it delivered what is wrong.
    pub(super) fn distrust(&self, digest: &Digest, mismatch: &Mismatch) {
        log::warn!("{} delivered wrong bytes for {digest}", self.pull_source.physical);
        self.wrong.get_or_init(|| (digest.clone(), mismatch.clone()));
    }

    /// The same, for it said a size that the blob does not have at others.
    pub(super) fn distrust_size(&self, digest: &Digest, mismatch: &Mismatch) {
        log::warn!("{} has told a wrong size of {digest}", self.pull_source.physical);
        self.wrong.get_or_init(|| (digest.clone(), mismatch.clone()));
    }

    /// Why it is not asked, if that is so.
    fn distrusted(&self) -> Option<Error> {
        let (digest, source) = self.wrong.get()?.clone();
        let operation = Operation::ReadingBlob { digest, name: self.pull_source.physical.name().clone() };
        Some(Error::Registry(registry::Error::Mismatch { operation, source }))
    }
}
