//! A large blob in several parts at a time.
//!
//! Threads fetch the parts in their order into a bounded window; the reader takes their bytes in order, while they come.
//! The digest is checked above, over the whole, as with any other body. Where parts cannot be had, the rest comes as one
//! stream: so nothing fails that would not fail without them.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::failover::FailoverBody;
use super::places::Places;
use super::range_worker::{FirstPart, Worker};
use super::told_size::PlacedBody;
use super::{BlobBody, Error, Remedy, Served, ServedBy};
use crate::digest::{Digest, Mismatch};
use crate::http::HeaderValue;

/// How a large blob is fetched in several parts at a time, each with a connection of its own.
///
/// Of one blob there are at most [`ranges`](Self::ranges) parts in memory and under way. The blobs of one image together
/// have at most `ranges - 1` more than one each: with six blobs at a time and four ranges, that is nine connections and
/// nine times [`size`](Self::size) of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParallelRanges {
    /// How many parts of one blob at a time.
    pub ranges: NonZeroUsize,
    /// The size of a part, in bytes. A blob of less than two parts is fetched in one stream.
    pub size: NonZeroU64,
    /// Whether all pull sources that have the blob are asked, in turn. Otherwise the others are asked only for what the
    /// one that works does not deliver.
    pub spread: bool,
}

impl ParallelRanges {
    /// The size of a part unless something else is said: 8 MiB.
    pub const SIZE: NonZeroU64 = NonZeroU64::MIN.saturating_add(8 * 1024 * 1024 - 1);

    /// So many parts of the usual size, all from one source.
    pub fn new(ranges: NonZeroUsize) -> Self {
        Self { ranges, size: Self::SIZE, spread: false }
    }
}

/// The bytes of a blob from `start` on, in several parts at a time where that is wanted and worth it.
pub(super) fn open(places: &Arc<Places>, digest: &Digest, size: u64, start: u64) -> Result<Box<dyn PlacedBody>, Error> {
    let is_worth_it = |options: &ParallelRanges| {
        options.ranges.get() > 1 && size.saturating_sub(start) >= options.size.get().saturating_mul(2)
    };
    let options = places.settings.parallel_ranges().filter(is_worth_it);
    let options = options.filter(|_| !places.ranges_distrusted.load(Ordering::Relaxed));
    if let Some(options) = options {
        match RangesBody::open(places, digest, size, start, options) {
            Ok(Some(body)) => return Ok(Box::new(body)),
            Ok(None) => {}
            Err(error) if error.is_not_found() || error.is_unauthorized() || error.is_transient() => return Err(error),
            // It may be the question that is not understood.
            Err(error) => log::debug!("{}; as one stream", crate::error::one_line(&error)),
        }
    }
    Ok(Box::new(FailoverBody::open(Arc::clone(places), digest.clone(), size, start)?))
}

/// Bytes that come in smaller pieces are put together up to this.
const MAX_CHUNK: usize = 64 * 1024;

/// What the reader and the threads have in common.
pub(super) struct Ranges {
    pub(super) places: Arc<Places>,
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) options: ParallelRanges,
    /// Of each place, whether it refuses parts of this blob.
    pub(super) refusing: Vec<AtomicBool>,
    /// Of each place, how it calls the state of the blob that parts were taken of.
    pub(super) etags: Mutex<Vec<Option<HeaderValue>>>,
    window: Mutex<Window>,
    /// There may be room for another part, or no need of it: the threads wait here.
    room: Condvar,
    /// The first part has got bytes, or will get no more: the reader waits here.
    arrived: Condvar,
}

/// The parts between what was read and what nobody has asked for yet.
struct Window {
    parts: VecDeque<Part>,
    /// The number of the first of them, from 0.
    first: usize,
    /// Where the next part begins.
    next: u64,
    /// Nobody reads any more, or a part could not be had: no more of them are begun.
    is_closed: bool,
}

struct Part {
    range: Range<u64>,
    /// What came and was not taken yet, each from one place.
    chunks: VecDeque<(usize, Vec<u8>)>,
    /// It will not be completed.
    has_failed: bool,
}

/// A part that is being fetched. Dropped before it is complete, it has failed.
pub(super) struct Claim {
    ranges: Arc<Ranges>,
    pub(super) number: usize,
    /// What is missing.
    pub(super) missing: Range<u64>,
}

impl Ranges {
    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the threads look again.
    pub(super) fn wake(&self) {
        // With the lock, so that nobody is between looking and waiting.
        drop(self.window());
        self.room.notify_all();
    }

    /// The next part, as soon as there is room for it; `None` when there is none.
    pub(super) fn claim(self: &Arc<Self>) -> Option<Claim> {
        let mut window = self.window();
        loop {
            if window.is_closed || window.next >= self.size {
                return None;
            }
            let count = window.parts.len();
            if count == 0 || (count < self.options.ranges.get() && self.places.ranges.take()) {
                return Some(self.begin(&mut window));
            }
            window = self.room.wait(window).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn begin(self: &Arc<Self>, window: &mut Window) -> Claim {
        let range = window.next..window.next.saturating_add(self.options.size.get()).min(self.size);
        let (number, missing) = (window.first + window.parts.len(), range.clone());
        window.next = range.end;
        window.parts.push_back(Part { range, chunks: VecDeque::new(), has_failed: false });
        Claim { ranges: Arc::clone(self), number, missing }
    }

    /// The first part was read.
    fn forget_first(&self) {
        let mut window = self.window();
        window.parts.pop_front();
        window.first += 1;
        let is_extra = !window.parts.is_empty();
        drop(window);
        self.room.notify_all();
        self.places.ranges.give_back(usize::from(is_extra));
    }

    /// Ends the threads, as soon as they notice, and gives the memory back.
    fn close(&self) {
        let mut window = self.window();
        let parts = std::mem::take(&mut window.parts);
        window.is_closed = true;
        drop(window);
        self.room.notify_all();
        self.places.ranges.give_back(parts.len().saturating_sub(1));
    }
}

impl Claim {
    pub(super) fn ranges(&self) -> &Arc<Ranges> {
        &self.ranges
    }

    /// Takes in the next bytes; false when nobody wants them any more.
    pub(super) fn append(&mut self, place: usize, bytes: Vec<u8>) -> bool {
        let count = bytes.len() as u64;
        let mut window = self.ranges.window();
        let Some(part) = self.part(&mut window) else { return false };
        match part.chunks.back_mut() {
            // A server that sends byte by byte must not make a piece of memory of each.
            Some((from, last)) if *from == place && last.len() + bytes.len() <= MAX_CHUNK => last.extend(bytes),
            _ => part.chunks.push_back((place, bytes)),
        }
        let is_first = self.number == window.first;
        drop(window);
        self.missing.start += count;
        if is_first {
            self.ranges.arrived.notify_one();
        }
        true
    }

    fn part<'a>(&self, window: &'a mut Window) -> Option<&'a mut Part> {
        let position = self.number.checked_sub(window.first)?;
        window.parts.get_mut(position)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.missing.is_empty() {
            return;
        }
        let mut window = self.ranges.window();
        if let Some(part) = self.part(&mut window) {
            part.has_failed = true;
            window.is_closed = true;
        }
        drop(window);
        self.ranges.arrived.notify_one();
        self.ranges.room.notify_all();
    }
}

/// Bytes of one part, from one place.
#[derive(Default)]
struct Chunk {
    place: usize,
    bytes: Vec<u8>,
    /// Where the next one of them is.
    position: usize,
    /// Where the part ends, in the blob.
    part_end: u64,
}

/// Reads the parts in their order.
struct RangesBody {
    ranges: Arc<Ranges>,
    /// Where the next byte is.
    offset: u64,
    /// What was taken out of the first part last.
    chunk: Chunk,
    /// Which place delivered how much, in the order of their first bytes.
    served: Vec<(usize, u64)>,
    /// The rest as one stream.
    rest: Option<FailoverBody>,
}

impl RangesBody {
    /// `None` where the first place that answers refuses the part that it is asked for.
    fn open(
        places: &Arc<Places>,
        digest: &Digest,
        size: u64,
        start: u64,
        options: ParallelRanges,
    ) -> Result<Option<Self>, Error> {
        let ranges = Arc::new(Ranges {
            places: Arc::clone(places),
            digest: digest.clone(),
            size,
            options,
            refusing: places.all.iter().map(|_| AtomicBool::new(false)).collect(),
            etags: Mutex::new(vec![None; places.all.len()]),
            window: Mutex::new(Window { parts: VecDeque::new(), first: 0, next: start, is_closed: false }),
            room: Condvar::new(),
            arrived: Condvar::new(),
        });
        let body = Self { ranges, offset: start, chunk: Chunk::default(), served: Vec::new(), rest: None };
        let Some(claim) = body.ranges.claim() else { return Ok(None) };
        let Some(first) = FirstPart::ask(claim)? else { return Ok(None) };
        places.ranges.register(&body.ranges);
        let parts = (size - start).div_ceil(options.size.get());
        let threads = usize::try_from(parts).unwrap_or(usize::MAX).min(options.ranges.get());
        // Without any thread, the first part has failed, and the whole comes as one stream.
        Worker::start(Arc::clone(&body.ranges), threads, Some(first));
        Ok(Some(body))
    }

    /// The next bytes; `None` when they will not come in a part.
    fn take(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if self.offset >= self.ranges.size || buffer.is_empty() {
            return Some(0);
        }
        if self.chunk.position == self.chunk.bytes.len() {
            self.chunk = self.next_chunk()?;
        }
        let mut bytes = self.chunk.bytes.get(self.chunk.position..).unwrap_or_default();
        // To read memory does not fail.
        let count = bytes.read(buffer).unwrap_or_default();
        self.chunk.position += count;
        self.offset += count as u64;
        match self.served.iter_mut().find(|(known, _)| *known == self.chunk.place) {
            Some((_, sum)) => *sum += count as u64,
            None => self.served.push((self.chunk.place, count as u64)),
        }
        if self.offset == self.chunk.part_end {
            self.ranges.forget_first();
        }
        Some(count)
    }

    /// Waits for the next bytes of the first part.
    fn next_chunk(&self) -> Option<Chunk> {
        let mut window = self.ranges.window();
        loop {
            let is_over = match window.parts.front_mut() {
                Some(part) => {
                    let part_end = part.range.end;
                    if let Some((place, bytes)) = part.chunks.pop_front() {
                        return Some(Chunk { place, bytes, position: 0, part_end });
                    }
                    part.has_failed
                }
                None => window.is_closed,
            };
            if is_over {
                return None;
            }
            window = self.ranges.arrived.wait(window).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Read for RangesBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(rest) = &mut self.rest {
            return rest.read(buffer);
        }
        if let Some(count) = self.take(buffer) {
            return Ok(count);
        }
        let Ranges { places, digest, size, .. } = &*self.ranges;
        log::debug!("{digest}: no more parts from byte {} on, the rest as one stream", self.offset);
        self.ranges.close();
        let rest = FailoverBody::open(Arc::clone(places), digest.clone(), *size, self.offset);
        self.rest.insert(rest.map_err(io::Error::other)?).read(buffer)
    }
}

impl BlobBody for RangesBody {
    fn served(&self) -> Vec<Served> {
        let place = |(index, bytes): &(usize, u64)| {
            Some(Served { by: ServedBy::Image(self.ranges.places.reference_of(*index)?), bytes: *bytes })
        };
        let mut all: Vec<Served> = self.served.iter().filter_map(place).collect();
        for part in self.rest.as_ref().map(FailoverBody::served).unwrap_or_default() {
            part.add_to(&mut all);
        }
        all
    }

    /// Nobody can tell which part was wrong. As one stream it has one source, which can be judged.
    fn reject(&mut self, _mismatch: &Mismatch) -> Remedy {
        log::warn!("the parts of {} do not make it; it is fetched as one stream", self.ranges.digest);
        self.ranges.places.ranges_distrusted.store(true, Ordering::Relaxed);
        Remedy::AskAgain
    }
}

impl PlacedBody for RangesBody {
    fn is_from_only(&self, place: usize) -> bool {
        self.served.iter().all(|(by, _)| *by == place) && self.rest.as_ref().is_none_or(|rest| rest.is_from_only(place))
    }
}

impl Drop for RangesBody {
    fn drop(&mut self) {
        self.ranges.close();
    }
}
