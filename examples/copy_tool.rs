//! A copy tool of one's own: progress through the trait, a flag that stops it from another thread, and an exit code for
//! each kind of failure. Nothing is configured, nothing leaves this machine.
//!
//! The tool is `Tool`, `Lines` and `exit_code`; `main` runs it as its users would.

#![allow(clippy::print_stdout, reason = "it is an example")]

use std::error::Error;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use transship::config::Config;
use transship::copy::{self, BlobKind, BlobOutcome, Event, Progress};
use transship::policy::Policy;
use transship::{Digest, ImageReference, destination, source};

mod support;

use support::{Files, Image, Registry, expect};

/// Read once; used for any number of copies, from any number of threads.
struct Tool {
    config: Config,
    policy: Policy,
}

impl Tool {
    /// Copies an image that the policy allows, and tells the digest of what was written.
    fn copy(
        &self,
        from: &ImageReference,
        to: &ImageReference,
        progress: &dyn Progress,
        cancelled: &AtomicBool,
    ) -> Result<Digest, copy::Error> {
        let source = source::open(&self.config, from)?;
        let destination = destination::open_with(&self.config, to, &source::Options::default())?;
        let options = copy::Options { progress, cancelled, ..copy::Options::default() };
        let written = copy::image(&*source, &*destination, &self.policy, &options)?;
        Ok(written.digest().clone())
    }
}

/// What went wrong is asked of the error: nobody reads its text.
fn exit_code(error: &copy::Error) -> u8 {
    match error {
        copy::Error::Cancelled => 130,
        copy::Error::Policy(error) if error.is_refused() => 5,
        error if error.is_not_found() => 3,
        error if error.is_unauthorized() => 4,
        // EX_TEMPFAIL of sysexits.h: whoever runs the tool may run it again.
        error if error.is_transient() => 75,
        _ => 1,
    }
}

/// Progress, a line for each blob. The calls come from several threads.
struct Lines;

impl Progress for Lines {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Finished { digest, kind, outcome } => {
                let kind = if *kind == BlobKind::Config { "config" } else { "layer" };
                let outcome = match outcome {
                    BlobOutcome::Copied { served, .. } => {
                        let parts = served.iter().map(|part| format!("{} bytes from {}", part.bytes, part.by));
                        parts.collect::<Vec<_>>().join(", ")
                    }
                    BlobOutcome::AlreadyPresent => "is there already".to_owned(),
                    other => format!("{other:?}"),
                };
                println!("   {kind:<6} {}: {outcome}", short(digest));
            }
            Event::Committing => println!("   all is there, and becomes visible now"),
            // There are more, and there will be.
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let image = Image::with_layers([vec![b'a'; 300_000], vec![b'b'; 200_000]]);
    let open = Registry::new().image("free/app", "1", &image).image("strange/app", "1", &image).serve();
    let closed = Registry::new().image("app", "1", &image).requiring_basic("alice", "her password").serve();
    let tool = tool(place.path(), &open.authority(), &closed.authority())?;
    let layout = |name: &str| format!("oci:{}:app", place.path().join(name).display());
    let never = AtomicBool::new(false);

    println!("1. An image that the policy allows.");
    let free = format!("docker://{}", open.reference("free/app:1"));
    let digest = tool.copy(&free.parse()?, &layout("copied").parse()?, &Lines, &never)?;
    println!("   wrote {digest}\n");
    expect(digest == image.digest(), "the digest that the image had")?;

    println!("2. The same again: only the manifest is fetched.");
    let before = open.requests().len();
    tool.copy(&free.parse()?, &layout("copied").parse()?, &Lines, &never)?;
    expect(open.requests().iter().skip(before).all(|request| !request.path().contains("/blobs/")), "no blob fetched")?;
    println!();

    for (number, what, from, code) in [
        (3, "An image that is not there.", open.reference("free/app:2"), 3),
        (4, "A registry that wants a login.", closed.reference("app:1"), 4),
        (5, "An image that the policy does not allow.", open.reference("strange/app:1"), 5),
    ] {
        println!("{number}. {what}");
        let outcome = tool.copy(&format!("docker://{from}").parse()?, &layout("none").parse()?, &Lines, &never);
        expect_failure(outcome, code)?;
    }
    expect(!place.path().join("none").join("index.json").exists(), "no image where all copies failed")?;

    println!("6. Somebody presses Ctrl-C while a blob is read.");
    let (from, to) = (free.parse()?, layout("half").parse()?);
    let outcome = interrupted(|progress, cancelled| tool.copy(&from, &to, progress, cancelled));
    expect_failure(outcome, 130)?;
    expect(!place.path().join("half").join("index.json").exists(), "no image where the copy was stopped")
}

/// Two registries without certificates, and a policy with three rules.
fn tool(root: &Path, open: &str, closed: &str) -> Result<Tool, Box<dyn Error>> {
    let registries_conf = format!(
        "[[registry]]\nlocation = \"{open}\"\ninsecure = true\n[[registry]]\nlocation = \"{closed}\"\ninsecure = true\n"
    );
    let anything = r#"[{"type": "insecureAcceptAnything"}]"#;
    let policy_json = format!(
        r#"{{"default": [{{"type": "reject"}}],
            "transports": {{"docker": {{"{open}/free": {anything}, "{closed}": {anything}}}}}}}"#
    );
    let files = Files { registries_conf: &registries_conf, policy_json: &policy_json, ..Files::default() };
    let config = files.load(root)?;
    let policy = Policy::new(config.policy()?);
    Ok(Tool { config, policy })
}

/// Runs a copy, and stops it from another thread once it has begun. A tool would set the flag where it hears of a signal.
fn interrupted<T>(copy: impl FnOnce(&dyn Progress, &AtomicBool) -> T) -> T {
    let (cancelled, meeting, has_begun) = (AtomicBool::new(false), Barrier::new(2), AtomicBool::new(false));
    let waits = Waits { meeting: &meeting, has_begun: &has_begun };
    thread::scope(|scope| {
        scope.spawn(|| {
            meeting.wait();
            cancelled.store(true, Ordering::Relaxed);
            meeting.wait();
        });
        copy(&waits, &cancelled)
    })
}

/// Holds the copy at its first blob until the flag is set, so that the example goes the same way each time.
struct Waits<'a> {
    meeting: &'a Barrier,
    has_begun: &'a AtomicBool,
}

impl Progress for Waits<'_> {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Started { .. }) && !self.has_begun.swap(true, Ordering::Relaxed) {
            self.meeting.wait();
            self.meeting.wait();
        }
    }
}

fn expect_failure(outcome: Result<Digest, copy::Error>, code: u8) -> Result<(), Box<dyn Error>> {
    let Err(error) = outcome else { return Err("expected: a failure".into()) };
    println!("   {}", transship::error::one_line(&error));
    println!("   exit code {}\n", exit_code(&error));
    expect(exit_code(&error) == code, &format!("exit code {code}"))
}

fn short(digest: &Digest) -> &str {
    digest.encoded().get(..12).unwrap_or_default()
}
