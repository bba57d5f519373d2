//! How many parts of an image's blobs are under way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::ranges::{ParallelRanges, Ranges};

/// What the blobs of an image share: how many parts they may have in memory beyond one for each.
///
/// Each blob has its own first one. So none waits for a blob that nobody reads.
pub(super) struct RangeBudget {
    free: AtomicUsize,
    blobs: Mutex<Vec<Weak<Ranges>>>,
}

impl RangeBudget {
    pub(super) fn new(options: Option<ParallelRanges>) -> Self {
        let free = options.map_or(0, |options| options.ranges.get() - 1);
        Self { free: AtomicUsize::new(free), blobs: Mutex::default() }
    }

    /// Tells `blob` whenever there is room again.
    pub(super) fn register(&self, blob: &Arc<Ranges>) {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.retain(|blob| blob.strong_count() > 0);
        blobs.push(Arc::downgrade(blob));
    }

    /// Room for one more part, if there is any.
    pub(super) fn take(&self) -> bool {
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1)).is_ok()
    }

    /// Gives back the room of so many. No blob's lock may be held: all of them look whether they can go on.
    pub(super) fn give_back(&self, count: usize) {
        if count == 0 {
            return;
        }
        self.free.fetch_add(count, Ordering::Relaxed);
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        blobs.iter().filter_map(Weak::upgrade).for_each(|blob| blob.wake());
    }
}
