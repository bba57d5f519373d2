//! What `sync` shows of each image, in the form that its copies have, and the file of digests.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::progress::{of_form, say, suitable};
use super::sync_args::SyncArgs;
use super::transfer_args::ProgressForm;
use super::{Failure, harmless, log};
use crate::copy;
use crate::digest::Digest;
use crate::error::one_line;
use crate::reference::ImageReference;
use crate::source::ImageSource;
use crate::sync::{Error, Event, Image, Outcome, Progress};

/// Shows a line for each image, and counts them.
pub(super) struct Shown {
    form: ProgressForm,
    /// Otherwise a failure is the end, and told there.
    tells_failures: bool,
    digests: Option<DigestFile>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    copied: usize,
    unchanged: usize,
    would_copy: usize,
    failed: usize,
}

struct DigestFile {
    path: PathBuf,
    file: File,
    failure: Mutex<Option<std::io::Error>>,
}

impl Shown {
    /// In a dry run there is no file of digests: nothing is written.
    pub(super) fn new(args: &SyncArgs) -> Result<Self, Failure> {
        let digests = args.digestfile.clone().filter(|_| !args.dry_run).map(DigestFile::create).transpose()?;
        let (form, tells_failures) = (suitable(args.transfer.progress, args.transfer.quiet), args.keep_going);
        Ok(Self { form, tells_failures, digests, counts: Mutex::default() })
    }

    /// Says how many became what.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        let counts = self.counts();
        self.tell(|| counts.sentence(), || counts.json());
        self.digests.as_ref().map_or(Ok(()), DigestFile::finish)
    }

    fn tell(&self, line: impl FnOnce() -> String, object: impl FnOnce() -> Value) {
        match self.form {
            ProgressForm::None => {}
            ProgressForm::Json => say(&object().to_string()),
            ProgressForm::Plain => say(&harmless(&line())),
            // Above or between the bars of the copies.
            ProgressForm::Bars => log::screen().suspend(|| say(&harmless(&line()))),
        }
    }

    fn tell_failure(&self, error: &Error, object: impl FnOnce() -> Value) {
        self.counts().failed += 1;
        if self.tells_failures || self.form == ProgressForm::Json {
            self.tell(|| format!("Failed: {}", one_line(error)), object);
        }
    }

    fn done(&self, image: &Image<'_>, outcome: &Outcome<'_>) {
        let mut counts = self.counts();
        let (counted, line, word, digest) = match outcome {
            Outcome::Copied { digest } => (&mut counts.copied, "Copied", "copied", Some(digest)),
            Outcome::Unchanged { digest } => (&mut counts.unchanged, "Unchanged", "unchanged", Some(digest)),
            Outcome::WouldCopy => (&mut counts.would_copy, "Would copy", "would-copy", None),
            Outcome::Failed { .. } => return,
        };
        *counted += 1;
        if let (Some(file), Some(digest)) = (&self.digests, digest) {
            file.add(digest, image.to);
        }
        self.tell(|| of_image(line, image), || done_json(image, word, digest, None));
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Shown {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Copying(image) => {
                self.tell(|| of_image("Copying", image), || object("copying", image));
            }
            Event::Done { image, outcome: Outcome::Failed { error } } => {
                self.tell_failure(error, || done_json(image, "failed", None, Some(error)));
            }
            Event::Done { image, outcome } => self.done(image, outcome),
            Event::Failed { error } => {
                self.tell_failure(error, || json!({"event": "failed", "error": one_line(*error)}));
            }
        }
    }

    fn of_copy(&self, source: &dyn ImageSource) -> Box<dyn copy::Progress + '_> {
        of_form(self.form, source)
    }
}

fn of_image(what: &str, image: &Image<'_>) -> String {
    format!("{what} image {}/{}: {} to {}", image.number, image.count, image.from, image.to)
}

fn object(event: &str, image: &Image<'_>) -> Value {
    let (from, to) = (image.from.to_string(), image.to.to_string());
    json!({"event": event, "number": image.number, "count": image.count, "from": from, "to": to})
}

fn done_json(image: &Image<'_>, outcome: &str, digest: Option<&Digest>, error: Option<&Error>) -> Value {
    let mut object = object("image", image);
    if let Value::Object(members) = &mut object {
        members.insert("outcome".to_owned(), outcome.into());
        members.extend(digest.map(|digest| ("digest".to_owned(), digest.as_str().into())));
        members.extend(error.map(|error| ("error".to_owned(), one_line(error).into())));
    }
    object
}

impl Counts {
    /// Of what there are none, nothing is said.
    fn sentence(&self) -> String {
        let parts = [
            (self.copied, "copied"),
            (self.would_copy, "would be copied"),
            (self.unchanged, "unchanged"),
            (self.failed, "failed"),
        ];
        let parts: Vec<_> = parts.iter().filter(|part| part.0 > 0).map(|(n, what)| format!("{n} {what}")).collect();
        format!("Synchronised: {}", if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") })
    }

    fn json(&self) -> Value {
        json!({
            "event": "summary", "copied": self.copied, "unchanged": self.unchanged, "would-copy": self.would_copy,
            "failed": self.failed,
        })
    }
}

impl DigestFile {
    fn create(path: PathBuf) -> Result<Self, Failure> {
        let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, file, failure: Mutex::default() })
    }

    /// At once, so that what was done is told whatever comes next.
    fn add(&self, digest: &Digest, place: &ImageReference) {
        if let Err(error) = (&self.file).write_all(format!("{digest} {place}\n").as_bytes()) {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    fn finish(&self) -> Result<(), Failure> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), |error| Err(format!("{}: {error}", self.path.display()).into()))
    }
}
