//! Messages of the library, to standard error.

use std::io::Write as _;
use std::sync::OnceLock;

use indicatif::MultiProgress;
use log::{Level, LevelFilter, Log, Metadata, Record};

struct StderrLog;

/// Where the bars of a copy are, if it shows any.
static SCREEN: OnceLock<MultiProgress> = OnceLock::new();

/// The screen for bars: messages go above them from now on.
pub(super) fn screen() -> &'static MultiProgress {
    SCREEN.get_or_init(MultiProgress::new)
}

/// Shows warnings, and with `debug` everything of ours.
pub(super) fn init(debug: bool) {
    // A second logger in one process is an embedder's; theirs stays.
    if log::set_logger(&StderrLog).is_ok() {
        log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Warn });
    }
}

impl Log for StderrLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("transship")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug | Level::Trace => "debug",
        };
        let line = format!("{level}: {}\n", super::harmless(&record.args().to_string()));
        let write = || drop(std::io::stderr().write_all(line.as_bytes()));
        match SCREEN.get() {
            Some(screen) => screen.suspend(write),
            None => write(),
        }
    }

    fn flush(&self) {}
}
