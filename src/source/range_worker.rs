//! The threads that fetch parts of a blob.

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;

use super::Error;
use super::places::Place;
use super::ranges::{Claim, Ranges};
use crate::http::HeaderValue;
use crate::registry::{self, BlobRange};

const BUFFER: usize = 64 * 1024;
/// A place that delivered some of a part and broke off gets this many tries at it in all.
const TRIES: u32 = 3;

/// The part that the others wait for: whoever answers it has the blob, in parts.
pub(super) struct FirstPart {
    claim: Claim,
    index: usize,
    answer: BlobRange,
}

impl FirstPart {
    /// Asks each place until one has the part. `None` when that one refuses to give parts.
    pub(super) fn ask(claim: Claim) -> Result<Option<Self>, Error> {
        let ranges = Arc::clone(claim.ranges());
        let places = &ranges.places;
        let mut failures = Vec::new();
        for index in places.trusted().1 {
            let Some(place) = places.all.get(index) else { continue };
            let began = places.now();
            match ranges.ask(index, place, &claim) {
                Ok(answer) => {
                    places.delivered(index, began);
                    return Ok(Some(Self { claim, index, answer }));
                }
                Err(error) if is_refusal(&error) => {
                    log::debug!("{}: as one stream", crate::error::one_line(&error));
                    return Ok(None);
                }
                Err(error) => {
                    places.note_failure(place, began, &error);
                    failures.push((index, error));
                }
            }
        }
        Err(places.nobody_left(failures))
    }
}

/// Fetches one part after the other.
pub(super) struct Worker {
    ranges: Arc<Ranges>,
    buffer: Vec<u8>,
}

/// How a part went at one place.
enum Fetched {
    Whole,
    /// Nobody wants it any more.
    Unwanted,
    Failed(Box<Error>),
}

impl Worker {
    /// Works in a thread of its own until there is nothing left to do. With a part of its own it begins the next of
    /// `threads` in all: so there is only one more of them than there were parts at a time.
    pub(super) fn start(ranges: Arc<Ranges>, threads: usize, first: Option<FirstPart>) {
        let digest = ranges.digest.clone();
        let run = move || {
            let mut worker = Self { ranges: Arc::clone(&ranges), buffer: vec![0; BUFFER] };
            let first = first.map(|FirstPart { claim, index, answer }| (claim, Some((index, answer))));
            let mut next = first.or_else(|| ranges.claim().map(|claim| (claim, None)));
            let mut others = threads.saturating_sub(1);
            while let Some((claim, answered)) = next {
                if others > 0 {
                    Self::start(Arc::clone(&ranges), std::mem::take(&mut others), None);
                }
                worker.fetch(claim, answered);
                next = ranges.claim().map(|claim| (claim, None));
            }
        };
        if let Err(error) = thread::Builder::new().name("range".to_owned()).spawn(run) {
            log::debug!("{digest}: no thread for parts: {error}");
        }
    }

    /// Fetches a part from the places in turn, each from the byte where the one before broke off.
    fn fetch(&mut self, mut claim: Claim, mut answered: Option<(usize, BlobRange)>) {
        let ranges = Arc::clone(&self.ranges);
        let first = answered.as_ref().map(|(index, _)| *index);
        let order =
            first.into_iter().chain(ranges.order(claim.number).into_iter().filter(|index| Some(*index) != first));
        for index in order.collect::<Vec<_>>() {
            let Some(place) = ranges.places.all.get(index) else { continue };
            for _ in 0..TRIES {
                let (began, before) = (ranges.places.now(), claim.missing.start);
                let answer = match answered.take().filter(|(answered, _)| *answered == index) {
                    Some((_, answer)) => Ok(answer),
                    None => ranges.ask(index, place, &claim),
                };
                let error = match answer.map(|answer| self.read(index, answer, &mut claim)) {
                    Ok(Fetched::Whole | Fetched::Unwanted) => return ranges.places.answered(index, began),
                    Ok(Fetched::Failed(error)) => *error,
                    Err(error) => error,
                };
                if is_refusal(&error) {
                    log::debug!("{}: no more parts of it", crate::error::one_line(&error));
                    if let Some(refusing) = ranges.refusing.get(index) {
                        refusing.store(true, Ordering::Relaxed);
                    }
                    break;
                }
                ranges.places.note_failure(place, began, &error);
                let is_cut = !super::health::is_of_endpoint(&error) && claim.missing.start > before;
                if !is_cut {
                    break;
                }
            }
        }
    }

    fn read(&mut self, index: usize, mut answer: BlobRange, claim: &mut Claim) -> Fetched {
        let cut = |claim: &Claim, source| {
            let digest = claim.ranges().digest.clone();
            log::debug!("{digest}: a part broke off at byte {}", claim.missing.start);
            Fetched::Failed(Box::new(Error::Body { digest, source }))
        };
        while !claim.missing.is_empty() {
            let missing = usize::try_from(claim.missing.end - claim.missing.start).unwrap_or(usize::MAX);
            let most = missing.min(self.buffer.len());
            let Some(buffer) = self.buffer.get_mut(..most) else { return Fetched::Unwanted };
            match answer.body.read(buffer) {
                Ok(0) => return cut(claim, io::ErrorKind::UnexpectedEof.into()),
                // As large as it is, and made before anybody has to wait.
                Ok(count) if claim.append(index, buffer.get(..count).unwrap_or_default().to_vec()) => {}
                Ok(_) => return Fetched::Unwanted,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return cut(claim, error),
            }
        }
        if answer.is_exact {
            // The end that is known already frees the connection for the next part.
            let _ = answer.body.read(&mut [0]);
        }
        Fetched::Whole
    }
}

impl Ranges {
    /// Asks a place for what is missing of a part.
    fn ask(&self, index: usize, place: &Place, claim: &Claim) -> Result<BlobRange, Error> {
        let client = self.places.client(index, place)?;
        let answer = client.blob_range(&self.digest, self.size, &claim.missing).map_err(Error::Registry)?;
        if self.is_same_state(index, answer.etag.as_ref()) {
            return Ok(answer);
        }
        let operation = registry::Operation::ReadingBlob { digest: self.digest.clone(), name: client.name().clone() };
        let found = "a part of another state (ETag)".to_owned();
        Err(Error::Registry(registry::Error::WrongRange { operation, offset: claim.missing.start, found }))
    }

    /// True unless the place says that parts were taken of another state of the blob.
    fn is_same_state(&self, index: usize, etag: Option<&HeaderValue>) -> bool {
        let mut etags = self.etags.lock().unwrap_or_else(PoisonError::into_inner);
        match (etags.get_mut(index), etag) {
            (Some(Some(known)), Some(etag)) => known == etag,
            (Some(known), Some(etag)) => {
                *known = Some(etag.clone());
                true
            }
            _ => true,
        }
    }

    /// Whom to ask for a part. Where parts are spread, each is asked of another one first.
    fn order(&self, number: usize) -> Vec<usize> {
        let gives_parts =
            |index: &usize| self.refusing.get(*index).is_some_and(|refusing| !refusing.load(Ordering::Relaxed));
        let (healthy, order) = self.places.trusted();
        let mut healthy: Vec<usize> = order.iter().take(healthy).copied().filter(gives_parts).collect();
        let aside = order.into_iter().filter(gives_parts).filter(|index| !healthy.contains(index)).collect::<Vec<_>>();
        if self.options.spread && !healthy.is_empty() {
            let first = number % healthy.len();
            healthy.rotate_left(first);
        }
        healthy.into_iter().chain(aside).collect()
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Registry(error) if error.is_range_refused())
}
