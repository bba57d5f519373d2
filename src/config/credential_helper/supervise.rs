//! A child process that cannot outlast its time or flood our memory.

use std::io::{self, Read, Write as _};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::secret::Secret;

/// The most that may come on standard output, in bytes.
pub(super) const MAX_OUTPUT: usize = 1 << 20;

/// The part of standard error that is kept, in bytes; the rest is read and thrown away.
const MAX_ERROR_OUTPUT: usize = 4 << 10;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// What is written is in the pipe when a process ends. Its readers get this long to fetch it where a process that the
/// child left behind keeps the pipe open.
const DRAIN: Duration = Duration::from_millis(500);

/// A running child whose output is being read. Dropped early, it is killed and reaped.
#[derive(Debug)]
pub(super) struct Supervised {
    child: Child,
    events: Receiver<Event>,
}

/// What a child that ended left.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Why a child was stopped.
#[derive(Debug)]
pub(super) enum Stop {
    TimedOut,
    TooLong,
    Io(io::Error),
}

#[derive(Debug)]
enum Event {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
}

impl Supervised {
    /// Begins to read the child's pipes.
    pub(super) fn new(mut child: Child) -> io::Result<Self> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (sender, events) = sync_channel(4);
        let supervised = Self { child, events };
        if let Some(stdout) = stdout {
            pump(stdout, Event::Stdout, sender.clone())?;
        }
        if let Some(stderr) = stderr {
            pump(stderr, Event::Stderr, sender)?;
        }
        Ok(supervised)
    }

    /// Writes the whole input and closes it, in a thread of its own: a child that does not read must not hold us up.
    ///
    /// What could not be written is no error. A child may end without reading, and its status says more than our pipe.
    pub(super) fn feed(&mut self, input: Secret<Vec<u8>>) -> io::Result<()> {
        let Some(mut stdin) = self.child.stdin.take() else { return Ok(()) };
        let write_all = move || {
            if let Err(error) = stdin.write_all(input.expose()) {
                log::debug!("a credential helper did not read what it was given: {error}");
            }
        };
        thread::Builder::new().name("credential-helper".to_owned()).spawn(write_all).map(drop)
    }

    /// Waits for the child to end, at most for `timeout`.
    pub(super) fn finish(mut self, timeout: Duration) -> Result<Output, Stop> {
        let mut deadline = Instant::now().checked_add(timeout);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (mut status, mut pause) = (None, FIRST_PAUSE);
        loop {
            let mut closed = false;
            match self.events.recv_timeout(pause) {
                Ok(Event::Stdout(bytes)) => stdout.extend(bytes),
                Ok(Event::Stderr(bytes)) => {
                    let room = MAX_ERROR_OUTPUT.saturating_sub(stderr.len());
                    stderr.extend(bytes.into_iter().take(room));
                }
                Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(LONGEST_PAUSE),
                Err(RecvTimeoutError::Disconnected) => closed = true,
            }
            if stdout.len() > MAX_OUTPUT {
                return Err(Stop::TooLong);
            }
            if status.is_none() {
                status = self.child.try_wait().map_err(Stop::Io)?;
                if status.is_some() {
                    deadline = Instant::now().checked_add(DRAIN);
                }
            }
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            match status {
                Some(status) if closed || late => return Ok(Output { status, stdout, stderr }),
                None if late => return Err(Stop::TimedOut),
                // No pipe left to wait on.
                None if closed => thread::sleep(LONGEST_PAUSE),
                _ => {}
            }
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // Both do nothing for a child that was already waited for.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            log::debug!("cannot stop process {}: {error}", self.child.id());
        }
    }
}

/// Reads in a thread of its own. Nobody joins it: a process that the child left behind may keep the pipe open for
/// long, and then the thread ends with that process, or with the next output after nobody listens any more.
fn pump(
    mut pipe: impl Read + Send + 'static,
    event: fn(Vec<u8>) -> Event,
    events: SyncSender<Event>,
) -> io::Result<()> {
    let read_all = move || {
        let mut buffer = [0; 8 << 10];
        loop {
            let count = match pipe.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            if events.send(event(buffer.get(..count).unwrap_or_default().to_vec())).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("credential-helper".to_owned()).spawn(read_all).map(drop)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    #[allow(clippy::unwrap_used, reason = "helper of tests")]
    fn supervised(program: &str, argument: &str) -> (Supervised, String) {
        let child = Command::new(program).arg(argument).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let entry = format!("/proc/{}", child.id());
        (Supervised::new(child).unwrap(), entry)
    }

    #[test]
    fn a_child_out_of_time_is_killed_and_reaped() {
        let (child, entry) = supervised("sleep", "1000");
        assert!(Path::new(&entry).exists());
        assert!(matches!(child.finish(Duration::ZERO), Err(Stop::TimedOut)));
        assert!(!Path::new(&entry).exists());
    }

    #[test]
    fn a_child_that_floods_is_killed_and_reaped() {
        let (child, entry) = supervised("yes", "{");
        assert!(matches!(child.finish(Duration::MAX), Err(Stop::TooLong)));
        assert!(!Path::new(&entry).exists());
    }
}
