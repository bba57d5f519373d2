//! Signatures without an image around them: `standalone-sign`, `standalone-verify`, `untrusted-signature-dump`, and
//! `generate-sigstore-key`.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::output::{print, print_json};
use super::signature_args::{GenerateSigstoreKeyArgs, StandaloneSignArgs, StandaloneVerifyArgs};
use super::{Failure, Usage, passphrase};
use crate::manifest::MAX_MANIFEST_SIZE;
use crate::reference::Reference;
use crate::signature::openpgp::{Keyring, SignedMessage, SigningError, SigningKey};
use crate::signature::sigstore::PrivateKey;
use crate::signature::{ImageSigner, MAX_SIGNATURE_SIZE, Payload, PayloadKind, UntrustedSignature};
use crate::{Digest, error};

/// A file of keys is never larger.
const MAX_KEY_SIZE: u64 = 4 * 1024 * 1024;

pub(super) fn sign(args: &StandaloneSignArgs) -> Result<ExitCode, Failure> {
    let manifest = read(&args.manifest, MAX_MANIFEST_SIZE)?;
    let reference = named(&args.reference)?;
    let signer = openpgp_signer(&args.key, args.passphrase_file.as_deref())?;
    let signature = signer.sign(&Digest::sha256(&manifest), &reference.to_string(), SystemTime::now())?;
    write_whole(&args.output, &signature.to_stored())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn verify(args: &StandaloneVerifyArgs) -> Result<ExitCode, Failure> {
    let manifest = read(&args.manifest, MAX_MANIFEST_SIZE)?;
    let expected = named(&args.reference)?;
    let mut keyring = Keyring::default();
    keyring.add(&read(&args.public_key_file, MAX_KEY_SIZE)?);
    if keyring.fingerprints().is_empty() {
        let file = args.public_key_file.display();
        return Err(format!("{file}: there is no OpenPGP public key in it; export one with: gpg --export KEY").into());
    }
    if args.fingerprints.trim().is_empty() {
        return Err(Usage("KEY-FINGERPRINTS is empty; \"any\" accepts every key of the file".to_owned()).into());
    }
    let message = read(&args.signature, MAX_SIGNATURE_SIZE)?;
    let verified = keyring.verify(&message, SystemTime::now())?;
    let is_wanted = |fingerprint: &str| {
        let wanted = fingerprint.trim().replace(' ', "");
        wanted.eq_ignore_ascii_case(&verified.certificate) || wanted.eq_ignore_ascii_case(&verified.key)
    };
    if args.fingerprints != "any" && !args.fingerprints.split(',').any(is_wanted) {
        return Err(format!("signed by {}, expected {}", verified.certificate, args.fingerprints).into());
    }
    let payload = Payload::parse(&verified.content, PayloadKind::SimpleSigning)?;
    let digest = Digest::of(payload.manifest_digest.algorithm(), &manifest);
    if digest != payload.manifest_digest {
        return Err(format!("the signature is for the manifest {}, not for {digest}", payload.manifest_digest).into());
    }
    if payload.docker_reference.parse::<Reference>().as_ref() != Ok(&expected) {
        return Err(format!("the signature is for {:?}, not for {expected}", payload.docker_reference).into());
    }
    print(&format!("Signature verified using fingerprint {}, digest {digest}\n", verified.certificate))
}

pub(super) fn dump(path: &Path) -> Result<ExitCode, Failure> {
    let message = match UntrustedSignature::from_stored(&read(path, MAX_SIGNATURE_SIZE)?)? {
        UntrustedSignature::SimpleSigning(message) => message,
        UntrustedSignature::Sigstore(signature) => {
            let text = String::from_utf8_lossy(&signature.payload).into_owned();
            return Err(
                format!("{}: a sigstore signature, not an OpenPGP one; its payload is {text}", path.display()).into()
            );
        }
    };
    let signed = SignedMessage::parse(&message)?;
    let payload = Payload::parse(&signed.content, PayloadKind::SimpleSigning)?;
    let timestamp = payload.timestamp.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    print_json(&json!({
        "UntrustedDockerManifestDigest": payload.manifest_digest.as_str(),
        "UntrustedDockerReference": payload.docker_reference,
        "UntrustedCreatorID": payload.creator,
        "UntrustedTimestamp": timestamp.map_or(Value::Null, |timestamp| Value::String(timestamp.to_string())),
        "UntrustedShortKeyIdentifier": signed.issuer,
    }))
}

pub(super) fn generate_sigstore_key(args: &GenerateSigstoreKeyArgs) -> Result<ExitCode, Failure> {
    let [private, public] = [".private", ".pub"].map(|suffix| {
        let mut path = args.output_prefix.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    });
    for path in [&private, &public] {
        if path.symlink_metadata().is_ok() {
            return Err(format!("{}: there is a file already, and it is not overwritten", path.display()).into());
        }
    }
    let passphrase = passphrase::new(args.passphrase_file.as_deref())?;
    let key = PrivateKey::generate()?;
    create_new(&private, 0o600, key.to_encrypted_pem(&passphrase)?.as_bytes())?;
    create_new(&public, 0o644, key.public_key().to_pem().as_bytes())?;
    print(&format!("Key written to {:?} and {:?}\n", private.display().to_string(), public.display().to_string()))
}

/// A key that signs, its passphrase asked for only when it has one.
pub(super) fn openpgp_signer(key: &Path, passphrase_file: Option<&Path>) -> Result<ImageSigner, Failure> {
    let not_a_file = |failure: Failure| {
        Failure::from(format!("{failure}; a key file is wanted, write one with: gpg --export-secret-keys KEY > FILE"))
    };
    let bytes = read(key, MAX_KEY_SIZE).map_err(not_a_file)?;
    let in_file = |error: SigningError| Failure::from(format!("{}: {}", key.display(), error::one_line(&error)));
    let open = |passphrase| SigningKey::from_file(&bytes, passphrase, SystemTime::now());
    let opened = match open(None) {
        Err(SigningError::PassphraseNeeded { .. }) => open(Some(&passphrase::existing(passphrase_file, key)?)),
        outcome => outcome,
    };
    Ok(ImageSigner::SimpleSigning(opened.map_err(in_file)?))
}

/// A sigstore key always has a passphrase, if only an empty one.
pub(super) fn sigstore_signer(key: &Path, passphrase_file: Option<&Path>) -> Result<ImageSigner, Failure> {
    let bytes = read(key, MAX_KEY_SIZE)?;
    let passphrase = passphrase::existing(passphrase_file, key)?;
    let opened = PrivateKey::from_pem(&bytes, &passphrase);
    Ok(ImageSigner::Sigstore(opened.map_err(|error| format!("{}: {}", key.display(), error::one_line(&error)))?))
}

/// A name that can be signed: one that says which image of the repository is meant.
pub(super) fn named(text: &str) -> Result<Reference, Failure> {
    let reference: Reference = text.parse()?;
    if reference.tag().is_none() && reference.digest().is_none() {
        return Err(format!("{text}: a name to sign needs a tag or a digest, such as {reference}:latest").into());
    }
    Ok(reference)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let in_file = |error| Failure::from(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(in_file)?;
    if bytes.len() as u64 > limit {
        return Err(format!("{}: more than {limit} bytes", path.display()).into());
    }
    Ok(bytes)
}

/// Replaces a file by the whole of another one, or leaves it as it was. What is no file, such as `/dev/stdout`, is
/// written to as it is.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let in_file = |error: io::Error| Failure::from(format!("{}: {error}", path.display()));
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, bytes).map_err(in_file);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(|error| in_file(without_path(error)))?;
    file.write_all(bytes).map_err(in_file)?;
    file.persist(path).map(drop).map_err(|failed| in_file(failed.error))
}

/// The system's reason alone: the name of a temporary file tells nobody anything.
fn without_path(error: io::Error) -> io::Error {
    let system = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
    let code = error.raw_os_error().or_else(|| system.and_then(io::Error::raw_os_error));
    code.map_or(error, io::Error::from_raw_os_error)
}

fn create_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Failure> {
    let in_file = |error: io::Error| Failure::from(format!("{}: {error}", path.display()));
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path).map_err(in_file)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(in_file)
}
