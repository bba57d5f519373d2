//! A test without a registry: traffic is recorded once, and answers for ever after. Nothing is configured, nothing leaves
//! this machine.
//!
//! `size` is what is tested: a program's own function, which takes the network that it is given.

#![allow(clippy::print_stdout, reason = "it is an example")]

use std::error::Error;
use std::fs;
use std::sync::Arc;

use transship::config::Config;
use transship::http::{HarError, Recorder, Replay, TestClock, Timeouts};
use transship::manifest::{Descriptor, ImageManifest};
use transship::source::{self, Network};
use transship::{ImageReference, copy};

mod support;

use support::{Files, Image, Registry, expect};

/// `alice:open sesame`, as it stands in auth files and requests.
const SENT: &str = "YWxpY2U6b3BlbiBzZXNhbWU=";

/// How many bytes the layers of an image have, once its config was found to be whole: manifest and config are asked for.
fn size(config: &Config, network: Network, image: &ImageReference) -> Result<u64, Box<dyn Error>> {
    let options = source::Options { network: Some(network), ..source::Options::default() };
    let source = source::open_with(config, image, &options)?;
    let manifest = source.manifest(None)?;
    let image = ImageManifest::parse(&manifest)?;
    copy::read_config(&*source, image.config())?;
    Ok(image.layers().iter().map(Descriptor::size).sum())
}

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let image = Image::with_layers([vec![b'a'; 3000], vec![b'b'; 2000]]);
    let registry = Registry::new()
        .image("org/app", "1", &image)
        .requiring_token("registry.example")
        .token_account("alice", "open sesame")
        .serve();
    let asked: ImageReference = format!("docker://{}", registry.reference("org/app:1")).parse()?;
    let config = Files {
        registries_conf: &format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.authority()),
        auth_json: &format!(r#"{{"auths": {{"{}": {{"auth": "{SENT}"}}}}}}"#, registry.authority()),
        ..Files::default()
    }
    .load(place.path())?;

    println!("1. Once, with a registry: what passes through the wire is written down.");
    let file = place.path().join("size.har");
    let Network { wire, clock, .. } = Network::real(&config, Timeouts::default());
    let recorder = Arc::new(Recorder::new(wire, &file));
    let live = size(&config, Network::new(Arc::clone(&recorder) as _, clock), &asked)?;
    recorder.finish()?;
    let text = fs::read_to_string(&file)?;
    println!("   {live} bytes, after {} requests", registry.requests().len());
    println!(
        "   the password is in the file: {}; its stand-in: {}\n",
        text.contains(SENT),
        text.contains("redacted-1")
    );
    expect(live == 5000 && !text.contains(SENT), "5000 bytes, and no password in the file")?;

    println!("2. The registry is switched off.\n");
    drop(registry);

    println!("3. In every test: the file answers, and nobody waits.");
    let replayed = with_replay(&file, |network| size(&config, network, &asked))?;
    println!("   {replayed} bytes\n");
    expect(replayed == live, "the same as with the registry")?;

    println!("4. A program that asks for more than was recorded fails.");
    let other: ImageReference = asked.to_string().replace(":1", ":2").parse()?;
    let error = with_replay(&file, |network| size(&config, network, &other)).err().ok_or("expected: an error")?;
    println!("   {}\n", transship::error::one_line(&*error));
    expect(is(&*error, |error| matches!(error, HarError::Unmatched { .. })), "a request without an answer")?;

    println!("5. So does one that asks for less.");
    let less = |network| {
        let options = source::Options { network: Some(network), ..source::Options::default() };
        Ok(source::open_with(&config, &asked, &options)?.manifest(None)?.size())
    };
    let error = with_replay(&file, less).err().ok_or("expected: an error")?;
    println!("   {}", transship::error::one_line(&*error));
    expect(is(&*error, |error| matches!(error, HarError::Unused { .. })), "an answer that nobody asked for")
}

/// Runs a test on recorded traffic: nothing is sent, nothing else may be asked, all must be asked, and nothing may be
/// tried a second time.
fn with_replay<T>(
    file: &std::path::Path,
    test: impl FnOnce(Network) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let (replay, clock) = (Arc::new(Replay::from_file(file)?), Arc::new(TestClock::default()));
    let outcome = test(Network::new(Arc::clone(&replay) as _, Arc::clone(&clock) as _))?;
    replay.finish()?;
    expect(clock.sleeps().is_empty(), "no waiting")?;
    Ok(outcome)
}

fn is(error: &(dyn Error + 'static), question: impl Fn(&HarError) -> bool) -> bool {
    transship::error::find::<HarError>(error).is_some_and(question)
}
