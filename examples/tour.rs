//! A pull through mirrors, on loopback: nothing is configured, nothing leaves this machine.
//!
//! The administrator of this tour has three places for `registry.example/tour`: a mirror that is dead, a mirror that
//! lacks a layer, and the origin, which asks for a token.

#![allow(clippy::print_stdout, reason = "it is a tour")]

use std::error::Error;
use std::fs;
use std::sync::Mutex;

use transship::copy::{self, BlobOutcome, Event, Progress};
use transship::policy::Policy;
use transship::{Digest, ImageReference, destination, source};

mod support;

use support::{Files, Image, Registry, indented, unused_address};

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let image = Image::with_layers([vec![b'a'; 300_000], vec![b'b'; 200_000], vec![b'c'; 100_000]]);

    println!("1. Three registries on loopback hold, or should hold, the image {}.", image.digest());
    let origin = Registry::new()
        .image("tour/app", "1", &image)
        .requiring_token("registry.example")
        .token_account("tourist", "a password that nobody else sees")
        .serve();
    let lacking = Registry::new().image("mirror/app", "1", &image).without_blob(&image.layer_digest(1)).serve();
    let dead = unused_address()?;

    println!("2. The administrator writes where registry.example/tour is:\n");
    let registries_conf = format!(
        "[[registry]]
prefix = \"registry.example/tour\"
location = \"{origin}/tour\"
insecure = true

[[registry.mirror]]    # dead
location = \"{dead}/mirror\"
insecure = true

[[registry.mirror]]    # lacks a layer
location = \"{lacking}/mirror\"
insecure = true
",
        origin = origin.authority(),
        lacking = lacking.authority(),
    );
    println!("{}", indented(&registries_conf));
    // tourist:a password that nobody else sees
    let auth = "dG91cmlzdDphIHBhc3N3b3JkIHRoYXQgbm9ib2R5IGVsc2Ugc2Vlcw==";
    let files = Files {
        registries_conf: &registries_conf,
        policy_json: r#"{"default": [{"type": "insecureAcceptAnything"}]}"#,
        auth_json: &format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, origin.authority()),
    };
    let config = files.load(place.path())?;

    let asked: ImageReference = "docker://registry.example/tour/app:1".parse()?;
    println!("3. We ask for {asked}.");
    let source = source::open(&config, &asked)?;
    println!("   The manifest came from {}.\n", source.physical());

    println!("4. We copy it into an OCI layout.");
    let layout = place.path().join("layout");
    let copy: ImageReference = format!("oci:{}:app", layout.display()).parse()?;
    let told = Told::default();
    let options = copy::Options { progress: &told, ..copy::Options::default() };
    let policy = Policy::new(config.policy()?);
    copy::image(&*source, &*destination::open(&copy)?, &policy, &options)?;
    let mut lines = told.0.into_inner()?;
    lines.sort();
    println!("{}\n", lines.join("\n"));

    println!("5. What was asked of whom:");
    println!("   the lacking mirror answered {} requests, and saw no credentials: {}", lacking.requests().len(), {
        lacking.requests().iter().all(|request| request.header("authorization").is_none())
    });
    println!(
        "   the origin answered {} requests, {} of them for a token\n",
        origin.requests().len(),
        origin.token_requests().len()
    );

    println!("6. The proof: what is on disk has the digests that the image had when it was made.");
    let read_back = source::open(&config, &copy)?;
    prove("manifest", &image.digest(), read_back.manifest(None)?.bytes())?;
    for (number, layer) in image.layers().iter().enumerate() {
        let digest = image.layer_digest(number);
        let file = layout.join("blobs").join("sha256").join(digest.encoded());
        let bytes = fs::read(file)?;
        prove(&format!("layer {}", number + 1), &digest, &bytes)?;
        assert_eq!(&bytes, layer);
    }
    Ok(())
}

/// Collects who served what.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn event(&self, event: &Event<'_>) {
        let Event::Finished { digest, outcome: BlobOutcome::Copied { served, .. }, .. } = event else { return };
        for part in served {
            let line = format!("   {digest}: {} bytes from {}", part.bytes, part.by);
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
        }
    }
}

fn prove(what: &str, expected: &Digest, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let found = Digest::sha256(bytes);
    println!("   {what:<9} {found}  {}", if found == *expected { "as it should be" } else { "WRONG" });
    if found == *expected { Ok(()) } else { Err(format!("{what}: expected {expected}").into()) }
}
