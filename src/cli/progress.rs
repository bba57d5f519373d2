//! What a copy shows while it runs: bars for a person, lines for a log, JSON for a program. All on standard error.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::log;
use super::transfer_args::ProgressForm;
use crate::copy::{BlobKind, BlobOutcome, Event, Progress, Silent};
use crate::digest::Digest;
use crate::source::{ImageSource, Served};

/// As much of a digest as people recognise.
const SHORT_DIGEST: usize = 12;
/// In JSON, progress of a blob is told after each of so many bytes, not after each read.
const JSON_STEP: u64 = 4 * 1024 * 1024;

/// Progress in the form that was chosen, or that suits standard error.
pub(super) fn chosen(form: Option<ProgressForm>, quiet: bool, source: &dyn ImageSource) -> Box<dyn Progress> {
    of_form(suitable(form, quiet), source)
}

/// The form that was chosen, or that suits standard error.
pub(super) fn suitable(form: Option<ProgressForm>, quiet: bool) -> ProgressForm {
    let suitable = if io::stderr().is_terminal() { ProgressForm::Bars } else { ProgressForm::Plain };
    form.unwrap_or(if quiet { ProgressForm::None } else { suitable })
}

/// Progress in a form that is known.
pub(super) fn of_form(form: ProgressForm, source: &dyn ImageSource) -> Box<dyn Progress> {
    match form {
        ProgressForm::Bars => {
            Box::new(Bars { main: source.physical().to_string(), screen: log::screen(), of_blobs: Mutex::default() })
        }
        ProgressForm::Plain => Box::new(Lines { main: source.physical().to_string() }),
        ProgressForm::Json => Box::new(Json::new(source)),
        ProgressForm::None => Box::new(Silent),
    }
}

/// A terminal that cannot be written to is no reason to stop a copy.
pub(super) fn say(line: &str) {
    // At once, so that the lines of several threads do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn title(kind: BlobKind, digest: &Digest) -> String {
    let kind = match kind {
        BlobKind::Config => "config",
        BlobKind::Layer => "blob",
    };
    format!("Copying {kind} {}", short(digest))
}

fn short(digest: &Digest) -> &str {
    digest.encoded().get(..SHORT_DIGEST).unwrap_or_default()
}

fn instance_line(digest: &Digest, number: usize, count: usize) -> String {
    format!("Copying image {digest} ({number}/{count})")
}

fn signatures_line(count: usize) -> String {
    format!("Storing {count} signature{}", if count == 1 { "" } else { "s" })
}

const COMMITTING: &str = "Writing manifest to image destination";

/// A line when a blob is done.
struct Lines {
    /// Where everything comes from unless it is said otherwise.
    main: String,
}

impl Lines {
    fn outcome(&self, outcome: &BlobOutcome) -> String {
        match outcome {
            BlobOutcome::AlreadyPresent => "already there".to_owned(),
            BlobOutcome::Mounted { from } => format!("taken over from {from}"),
            BlobOutcome::LeftElsewhere => "foreign layer, left where it is".to_owned(),
            BlobOutcome::Recompressed { served, became, size } => {
                format!("{}, became {} ({size} bytes)", self.served(served, 0), short(became))
            }
            BlobOutcome::Copied { served, resumed_at } => self.served(served, *resumed_at),
        }
    }

    fn served(&self, served: &[Served], resumed_at: u64) -> String {
        let bytes: u64 = served.iter().map(|part| part.bytes).sum();
        let before = if resumed_at > 0 { format!(", {resumed_at} were there") } else { String::new() };
        let elsewhere = served.iter().filter(|part| part.by.to_string() != self.main);
        let places: Vec<_> = elsewhere.map(|part| format!("{} bytes from {}", part.bytes, part.by)).collect();
        if places.is_empty() {
            format!("{bytes} bytes{before}")
        } else {
            format!("{bytes} bytes{before} ({})", places.join(", "))
        }
    }
}

/// Who delivered how much, where that is not one source alone that was named already.
fn summary(served: &[Served], main: &str) -> Option<String> {
    let parts: Vec<_> = served.iter().map(|part| format!("{} bytes from {}", part.bytes, part.by)).collect();
    served.iter().any(|part| part.by.to_string() != main).then(|| format!("Read {}", parts.join(", ")))
}

impl Progress for Lines {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Instance { digest, number, count } => say(&instance_line(digest, *number, *count)),
            Event::Restarted { digest } => say(&format!("Copying blob {}: wrong bytes, once more", short(digest))),
            Event::Finished { digest, kind, outcome } => {
                say(&format!("{}: {}", title(*kind, digest), self.outcome(outcome)));
            }
            Event::Signatures { count, .. } => say(&signatures_line(*count)),
            Event::Served { served } => summary(served, &self.main).iter().for_each(|line| say(line)),
            Event::Committing => say(COMMITTING),
            Event::Started { .. } | Event::Resumed { .. } | Event::Read { .. } => {}
        }
    }
}

/// A bar for each blob.
struct Bars {
    /// Where everything comes from unless it is said otherwise.
    main: String,
    screen: &'static MultiProgress,
    of_blobs: Mutex<HashMap<Digest, ProgressBar>>,
}

impl Bars {
    fn with(&self, digest: &Digest, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.of_blobs.lock().unwrap_or_else(PoisonError::into_inner).get(digest) {
            act(bar);
        }
    }

    /// A line that stays below the bars so far.
    fn line(&self, text: String) {
        let bar = self.screen.add(ProgressBar::new(0));
        bar.set_style(Self::style("{msg}"));
        bar.finish_with_message(text);
    }

    fn style(template: &str) -> ProgressStyle {
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
    }
}

impl Progress for Bars {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Instance { digest, number, count } => self.line(instance_line(digest, *number, *count)),
            Event::Started { digest, kind, size } => {
                let bar = self.screen.add(ProgressBar::new(*size));
                bar.set_style(Self::style("{msg} [{wide_bar}] {bytes} / {total_bytes} {bytes_per_sec}"));
                bar.set_message(title(*kind, digest));
                self.of_blobs.lock().unwrap_or_else(PoisonError::into_inner).insert((*digest).clone(), bar);
            }
            Event::Resumed { digest, offset } => self.with(digest, |bar| {
                bar.set_position(*offset);
                // What was there is not what comes in a second.
                bar.reset_eta();
            }),
            Event::Read { digest, bytes } => self.with(digest, |bar| bar.inc(*bytes)),
            Event::Restarted { digest } => self.with(digest, ProgressBar::reset),
            Event::Finished { digest, outcome, .. } => self.with(digest, |bar| {
                let text = match outcome {
                    BlobOutcome::Copied { .. } | BlobOutcome::Recompressed { .. } => "done",
                    BlobOutcome::AlreadyPresent => "skipped: already there",
                    BlobOutcome::Mounted { .. } => "skipped: taken over from another repository",
                    BlobOutcome::LeftElsewhere => "skipped: foreign layer",
                };
                bar.set_style(Self::style(&format!("{{msg}} {text}")));
                bar.finish();
            }),
            Event::Signatures { count, .. } => self.line(signatures_line(*count)),
            Event::Served { served } => summary(served, &self.main).into_iter().for_each(|text| self.line(text)),
            Event::Committing => self.line(COMMITTING.to_owned()),
        }
    }
}

/// A JSON object a line.
struct Json {
    /// Bytes of each blob so far, and how many of them were told.
    read: Mutex<HashMap<Digest, (u64, u64)>>,
}

impl Json {
    fn new(source: &dyn ImageSource) -> Self {
        let (logical, physical) = (source.logical().to_string(), source.physical().to_string());
        say(&json!({"event": "source", "logical": logical, "physical": physical}).to_string());
        Self { read: Mutex::default() }
    }

    fn read(&self) -> MutexGuard<'_, HashMap<Digest, (u64, u64)>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes to tell of after `bytes` more, if it is time.
    fn count(&self, digest: &Digest, bytes: u64) -> Option<u64> {
        let mut read = self.read();
        let (so_far, told) = read.entry(digest.clone()).or_default();
        *so_far += bytes;
        (*so_far - *told >= JSON_STEP).then(|| {
            *told = *so_far;
            *so_far
        })
    }
}

fn served(parts: &[Served]) -> Vec<serde_json::Value> {
    parts.iter().map(|part| json!({"by": part.by.to_string(), "bytes": part.bytes})).collect()
}

fn finished(digest: &Digest, outcome: &BlobOutcome) -> serde_json::Value {
    let digest = digest.as_str();
    let object = |word: &str, parts: &[Served]| json!({"event": "finished", "digest": digest, "outcome": word, "served": served(parts)});
    match outcome {
        BlobOutcome::Copied { served, .. } => object("copied", served),
        BlobOutcome::AlreadyPresent => object("already-present", &[]),
        BlobOutcome::LeftElsewhere => object("left-elsewhere", &[]),
        BlobOutcome::Mounted { from } => {
            let from = from.to_string();
            json!({"event": "finished", "digest": digest, "outcome": "mounted", "served": [], "from": from})
        }
        BlobOutcome::Recompressed { served: parts, became, size } => {
            let (word, parts) = ("recompressed", served(parts));
            let became = json!({"digest": became.as_str(), "size": size});
            json!({"event": "finished", "digest": digest, "outcome": word, "served": parts, "became": became})
        }
    }
}

impl Progress for Json {
    fn event(&self, event: &Event<'_>) {
        let object = match event {
            Event::Instance { digest, number, count } => {
                json!({"event": "instance", "digest": digest.as_str(), "number": number, "count": count})
            }
            Event::Started { digest, kind, size } => {
                let kind = if *kind == BlobKind::Config { "config" } else { "layer" };
                json!({"event": "started", "digest": digest.as_str(), "kind": kind, "size": size})
            }
            Event::Resumed { digest, offset } => {
                self.read().insert((*digest).clone(), (*offset, *offset));
                json!({"event": "resumed", "digest": digest.as_str(), "offset": offset})
            }
            Event::Read { digest, bytes } => match self.count(digest, *bytes) {
                Some(offset) => json!({"event": "read", "digest": digest.as_str(), "offset": offset}),
                None => return,
            },
            Event::Restarted { digest } => {
                self.read().remove(*digest);
                json!({"event": "restarted", "digest": digest.as_str()})
            }
            Event::Finished { digest, outcome, .. } => finished(digest, outcome),
            Event::Signatures { manifest, count } => {
                json!({"event": "signatures", "manifest": manifest.as_str(), "count": count})
            }
            Event::Served { served: parts } => json!({"event": "served", "served": served(parts)}),
            Event::Committing => json!({"event": "committing"}),
        };
        say(&object.to_string());
    }
}
