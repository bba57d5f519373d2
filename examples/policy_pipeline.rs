//! A pipeline that lets images through by policy: each is judged, each verdict has its reasons, and the pipeline has one
//! answer. An image is signed for it, and tampered with. Nothing is configured, nothing leaves this machine.

#![allow(clippy::print_stdout, reason = "it is an example")]

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::json;
use transship::config::PolicyJson;
use transship::copy::{self, Options};
use transship::policy::{self, Judgement, Policy, SignatureVerdict, Verdict as Of};
use transship::signature::ImageSigner;
use transship::signature::sigstore::PrivateKey;
use transship::source::DirSource;
use transship::{ImageReference, destination};

mod support;

use support::{Image, expect};

const NAME: &str = "docker://registry.example/org/app:1";

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let (unsigned, signed) = (place.path().join("unsigned"), place.path().join("signed"));

    println!("1. An image in a directory, and a key that signs.");
    make_image(&unsigned)?;
    let key = PrivateKey::generate()?;
    let public_key = place.path().join("release.pub");
    fs::write(&public_key, key.public_key().to_pem())?;
    println!("   {}\n", key.public_key());

    println!("2. It is copied, and signed for {NAME} on the way.");
    sign(&unsigned, &signed, key)?;
    println!("   The signature stands in {}.\n", signed.join("signature-1").display());

    println!("3. The policy: everything below registry.example/org must be signed by that key.\n");
    let policy = policy(&public_key)?;
    println!("4. A pipeline with that image alone goes on.\n");
    expect(pipeline(&policy, &[(&signed, NAME)])? == [Verdict::Allowed], "an image that is allowed")?;

    println!("5. One image that is refused stops it: the same bytes under another name, a byte more, no signature.\n");
    let tampered = place.path().join("tampered");
    make_tampered(&signed, &tampered)?;
    let other_name = "docker://registry.example/org/app:2";
    let images = [(&*signed, NAME), (&signed, other_name), (&tampered, NAME), (&unsigned, NAME)];
    let verdicts = pipeline(&policy, &images)?;
    let [refused, allowed] = [Verdict::Refused, Verdict::Allowed];
    expect(verdicts == [allowed, refused, refused, refused], "one of four allowed")?;

    println!("6. The policy's key is gone: that is no refusal, and no permission either.\n");
    fs::remove_file(public_key)?;
    expect(pipeline(&policy, &[(&signed, NAME)])? == [Verdict::Undecided], "nobody can tell")
}

/// What is said of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Refused,
    /// Nobody can tell: a key or a store of signatures cannot be read.
    Undecided,
}

/// Judges directories under the names that their images have in a registry: all must be allowed.
fn pipeline(policy: &Policy, images: &[(&Path, &str)]) -> Result<Vec<Verdict>, Box<dyn Error>> {
    let verdicts = images.iter().map(|image| judge(policy, *image)).collect::<Result<Vec<_>, _>>()?;
    let goes_on = verdicts.iter().all(|verdict| *verdict == Verdict::Allowed);
    println!("   the pipeline {}\n", if goes_on { "goes on" } else { "stops" });
    Ok(verdicts)
}

fn judge(policy: &Policy, (directory, name): (&Path, &str)) -> Result<Verdict, Box<dyn Error>> {
    let source = DirSource::open(directory)?.standing_for(name.parse()?);
    let (verdict, judgement) = match policy.allow(&source, None) {
        // A pipeline that copies as well hands this very value on: nothing else can be copied.
        Ok(allowed) => (Verdict::Allowed, allowed.judgement().clone()),
        Err(policy::Error::Rejected(judgement)) => (Verdict::Refused, *judgement),
        Err(policy::Error::Undecided { judgement, .. }) => (Verdict::Undecided, *judgement),
        Err(other) => return Err(other.into()),
    };
    println!("   {name}: {verdict:?}, by {}", judgement.scope);
    report(&judgement);
    Ok(verdict)
}

fn make_tampered(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    let manifest = to.join("manifest.json");
    Ok(fs::write(&manifest, [fs::read(&manifest)?, b"\n".to_vec()].concat())?)
}

/// As `dir:` has it: a manifest, and blobs under their digests.
fn make_image(directory: &Path) -> Result<(), Box<dyn Error>> {
    let image = Image::with_layers(["a layer", "another"]);
    fs::create_dir(directory)?;
    fs::write(directory.join("manifest.json"), image.manifest())?;
    for (digest, bytes) in image.blobs() {
        fs::write(directory.join(digest.encoded()), bytes)?;
    }
    Ok(())
}

/// A copy of one's own image asks no policy; of anybody else's, it should.
fn sign(from: &Path, to: &Path, key: PrivateKey) -> Result<(), Box<dyn Error>> {
    let source = DirSource::open(from)?;
    let destination = destination::open(&ImageReference::Dir(to.to_owned()))?;
    let signers = [ImageSigner::Sigstore(key)];
    let sign_identity = Some(NAME.trim_start_matches("docker://").parse()?);
    let options = Options { signers: &signers, sign_identity, ..Options::default() };
    copy::image(&source, &*destination, &Policy::insecure_accept_anything(), &options)?;
    Ok(())
}

fn policy(public_key: &Path) -> Result<Policy, Box<dyn Error>> {
    let document = json!({
        "default": [{"type": "reject"}],
        "transports": {"docker": {"registry.example/org": [{"type": "sigstoreSigned", "keyPath": public_key}]}},
    });
    Ok(Policy::new(PolicyJson::parse(document.to_string().as_bytes(), Path::new("policy.json"))?))
}

/// Each requirement, and what it makes of each signature.
fn report(judgement: &Judgement) {
    for judged in &judgement.requirements {
        let verdict = match &judged.verdict {
            Of::Met => "met".to_owned(),
            Of::Refused(refusal) => refusal.to_string(),
            Of::Undecided(error) => transship::error::one_line(error),
            other => format!("{other:?}"),
        };
        println!("   {}: {verdict}", judged.requirement);
        for (found, verdict) in judgement.signatures.iter().zip(&judged.signatures) {
            let verdict = match verdict {
                SignatureVerdict::Accepted(signer) => format!("accepted, {}", signer.kind),
                SignatureVerdict::Rejected(rejection) => transship::error::one_line(&**rejection),
                other => format!("{other:?}"),
            };
            println!("   {}: {verdict}", found.place);
        }
    }
    println!();
}
