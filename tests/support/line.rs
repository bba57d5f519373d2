//! A line to a server that breaks.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Leads to a server, and breaks once, after so many bytes of one direction.
pub struct Line {
    pub authority: String,
    state: Arc<State>,
}

struct State {
    passed: AtomicU64,
    limit: u64,
    /// What comes after the limit is swallowed, and the connection stays.
    is_silent: bool,
    is_broken: AtomicBool,
    is_over: AtomicBool,
}

impl Line {
    /// Cuts the connection on which clients go over the limit. Others, and later ones, are not disturbed.
    pub fn cut(target: &str, bytes: u64) -> Self {
        Self::start(target, bytes, false, false)
    }

    /// Goes dead when clients reach the limit, for all connections and without a word.
    pub fn silent(target: &str, bytes: u64) -> Self {
        Self::start(target, bytes, true, false)
    }

    /// The same when the server's answers reach it.
    pub fn silent_answers(target: &str, bytes: u64) -> Self {
        Self::start(target, bytes, true, true)
    }

    fn start(target: &str, limit: u64, is_silent: bool, are_answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (passed, is_broken) = (AtomicU64::new(0), AtomicBool::new(false));
        let state = Arc::new(State { passed, limit, is_silent, is_broken, is_over: AtomicBool::new(false) });
        let (shared, target) = (Arc::clone(&state), target.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&target) else { return };
                let (from, to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let state = Arc::clone(&shared);
                let [(from, to), (other_from, other_to)] =
                    if are_answers { [(far, near), (from, to)] } else { [(from, to), (far, near)] };
                thread::spawn(move || pump(&from, &to, |count| state.pass(count)));
                thread::spawn(move || pump(&other_from, &other_to, Some));
            }
        });
        Self { authority, state }
    }

    /// How many bytes came of the direction that is counted.
    pub fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::SeqCst)
    }

    pub fn is_broken(&self) -> bool {
        self.state.is_broken.load(Ordering::SeqCst)
    }
}

impl State {
    /// How many pass of the bytes that came; `None` where the connection breaks.
    fn pass(&self, count: usize) -> Option<usize> {
        if self.is_over.load(Ordering::SeqCst) {
            return Some(count);
        }
        let before = self.passed.fetch_add(count as u64, Ordering::SeqCst);
        let left = self.limit.saturating_sub(before);
        if left > count as u64 {
            return Some(count);
        }
        self.is_broken.store(true, Ordering::SeqCst);
        if self.is_silent {
            return Some(usize::try_from(left).unwrap());
        }
        self.is_over.store(true, Ordering::SeqCst);
        None
    }
}

/// Until one end closes.
fn pump(mut from: &TcpStream, mut to: &TcpStream, may_pass: impl Fn(usize) -> Option<usize>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let Some(count) = may_pass(count) else { break };
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
