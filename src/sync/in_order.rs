//! Work on many things at a time, whose results come in the order of the things.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Does `work` for each of `items` in up to `workers` threads, and gives the results to `take`, one after the other in
/// the order of the items, on the thread of the caller. An error of `take` stops the work and is returned.
pub(super) fn in_order<'a, T: Sync, R: Send, E>(
    items: &'a [T],
    workers: NonZeroUsize,
    work: impl Fn(&'a T) -> R + Sync,
    mut take: impl FnMut(&'a T, R) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    let work_on = |sender: mpsc::Sender<(usize, R)>| {
        while !stopped.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            // Nobody listens any more: the work is stopped.
            if sender.send((index, work(item))).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers.get().min(items.len()) {
            let (sender, work_on) = (sender.clone(), &work_on);
            scope.spawn(move || work_on(sender));
        }
        drop(sender);
        // Gone with the first error, so that nobody works on for nobody.
        let receiver = receiver;
        let mut early = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let result = loop {
                if let Some(result) = early.remove(&index) {
                    break result;
                }
                // Only a worker that panicked owes a result; the scope passes its panic on.
                let Ok((index, result)) = receiver.recv() else { return Ok(()) };
                early.insert(index, result);
            };
            if let Err(error) = take(item, result) {
                stopped.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    const THREE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

    #[test]
    fn results_come_in_the_order_of_the_items_whatever_is_done_first() {
        let items: Vec<usize> = (0..20).collect();
        // The first is done only when the second is.
        let (is_second_done, done) = (Mutex::new(false), Condvar::new());
        let work = |item: &usize| {
            if *item == 0 {
                drop(done.wait_while(is_second_done.lock().unwrap(), |is_done| !*is_done).unwrap());
            } else if *item == 1 {
                *is_second_done.lock().unwrap() = true;
                done.notify_all();
            }
            item * 10
        };
        let mut taken = Vec::new();
        let outcome = in_order(&items, THREE, work, |item, result| {
            taken.push((*item, result));
            Ok::<_, ()>(())
        });
        assert_eq!(outcome, Ok(()));
        assert_eq!(taken, items.iter().map(|item| (*item, item * 10)).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_taken_after_an_error() {
        let items: Vec<usize> = (0..100).collect();
        let mut taken = Vec::new();
        let take = |item: &usize, ()| {
            taken.push(*item);
            if *item == 2 { Err("two") } else { Ok(()) }
        };
        assert_eq!(in_order(&items, THREE, |_| (), take), Err("two"));
        assert_eq!(taken, [0, 1, 2]);
    }

    #[test]
    fn of_nothing_nothing_is_done() {
        let none: [u8; 0] = [];
        assert_eq!(in_order(&none, THREE, |_| panic!("work"), |_, ()| Err(())), Ok(()));
    }
}
