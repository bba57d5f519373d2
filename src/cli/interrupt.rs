//! Ctrl-C, SIGTERM, and SIGHUP of a terminal that is closed: what a command does ends cleanly, and soon.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::Failure;

/// A command has so long to end by itself; then a server that is silent is not waited for.
const GRACE: Duration = Duration::from_secs(2);

/// What shells add to the number of a signal.
const BY_SIGNAL: u8 = 128;

static CANCELLED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// Which signal it was; 0 for none.
static SIGNAL: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// Set by the signals, once they are [watched](watch).
pub(super) fn cancelled() -> &'static Arc<AtomicBool> {
    &CANCELLED
}

/// From here on SIGHUP, SIGINT and SIGTERM set the flag, and a second one ends the process at once. Before, they end it
/// anyway: questions of a person are asked before.
pub(super) fn watch() -> Result<(), Failure> {
    let (told, teller) = UnixStream::pair()?;
    let ignored = ignored_signals();
    for (signal, number) in [(SIGHUP, 1_u8), (SIGINT, 2), (SIGTERM, 15)] {
        if ignored & (1 << (number - 1)) != 0 {
            continue;
        }
        // In this order: the first signal must not find the flag set.
        flag::register_conditional_shutdown(signal, i32::from(BY_SIGNAL + number), Arc::clone(&CANCELLED))?;
        flag::register_usize(signal, Arc::clone(&SIGNAL), number.into())?;
        flag::register(signal, Arc::clone(&CANCELLED))?;
        low_level::pipe::register(signal, teller.try_clone()?)?;
    }
    thread::Builder::new().spawn(|| end_in_time(told))?;
    Ok(())
}

/// Those that whoever started the program had ignored, as shells do for what runs in the background: they stay so. The
/// first signal is the lowest bit.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// A read that nothing comes of cannot be called back. What is in the way then is removed by the next copy.
fn end_in_time(mut told: UnixStream) {
    if told.read_exact(&mut [0]).is_ok() {
        thread::sleep(GRACE);
        say();
        std::process::exit(code().unwrap_or(1).into());
    }
}

/// The exit code of a command that was interrupted; `None` for one that was not.
pub(super) fn exit_code() -> Option<ExitCode> {
    code().map(ExitCode::from)
}

/// All that there is to say of it: whoever interrupts a command knows why it failed.
pub(super) fn say() {
    let _ = io::stderr().write_all(b"error: cancelled\n");
}

fn code() -> Option<u8> {
    let number = u8::try_from(SIGNAL.load(Ordering::Relaxed)).ok().filter(|number| *number > 0)?;
    Some(BY_SIGNAL.saturating_add(number))
}
