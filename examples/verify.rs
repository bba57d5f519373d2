//! The policy of an embedder, in one file: an image is signed, verified, and tampered with. Nothing is configured,
//! nothing leaves this machine.

#![allow(clippy::print_stdout, reason = "it is a tour")]

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::json;
use transship::config::PolicyJson;
use transship::copy::{self, Options};
use transship::policy::{self, Judgement, Policy, SignatureVerdict, Verdict};
use transship::signature::ImageSigner;
use transship::signature::sigstore::PrivateKey;
use transship::source::DirSource;
use transship::{ImageReference, destination};

#[path = "../tests/support/mod.rs"]
mod support;

use support::image::Image;

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

    println!("3. The policy: everything below registry.example/org must be signed by that key.");
    let policy = policy(&public_key)?;
    expect("allowed", verify(&policy, &signed, NAME)?)?;

    println!("4. The same bytes under another name.");
    expect("refused", verify(&policy, &signed, "docker://registry.example/org/app:2")?)?;

    println!("5. The same name, and a byte more in the manifest.");
    let manifest = signed.join("manifest.json");
    fs::write(&manifest, [fs::read(&manifest)?, b"\n".to_vec()].concat())?;
    expect("refused", verify(&policy, &signed, NAME)?)?;

    println!("6. The image without its signature.");
    expect("refused", verify(&policy, &unsigned, NAME)?)?;

    println!("7. The policy's key is gone: that is no refusal, and no permission either.");
    fs::remove_file(public_key)?;
    expect("undecided", verify(&policy, &signed, NAME)?)
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

/// Judges a directory under the name that its image had in a registry.
fn verify(policy: &Policy, directory: &Path, name: &str) -> Result<&'static str, Box<dyn Error>> {
    let source = DirSource::open(directory)?.standing_for(name.parse()?);
    let (answer, judgement) = match policy.allow(&source, None) {
        Ok(allowed) => ("allowed", allowed.judgement().clone()),
        Err(policy::Error::Rejected(judgement)) => ("refused", *judgement),
        Err(policy::Error::Undecided { judgement, .. }) => ("undecided", *judgement),
        Err(other) => return Err(other.into()),
    };
    println!("   {answer}, by {}", judgement.scope);
    report(&judgement);
    Ok(answer)
}

/// Each requirement, and what it makes of each signature.
fn report(judgement: &Judgement) {
    for judged in &judgement.requirements {
        let verdict = match &judged.verdict {
            Verdict::Met => "met".to_owned(),
            Verdict::Refused(refusal) => refusal.to_string(),
            Verdict::Undecided(error) => transship::error::one_line(error),
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

fn expect(expected: &str, answer: &str) -> Result<(), Box<dyn Error>> {
    if answer == expected { Ok(()) } else { Err(format!("{answer}, expected {expected}").into()) }
}
