//! A message with a good signature is bent as the input says: it verifies with the content that was signed, or not.
#![no_main]

mod compressed;

use std::io::Write as _;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use compressed::compressed;
use libfuzzer_sys::fuzz_target;
use openpgp::packet::key::{Key4, PrimaryRole, SecretParts};
use openpgp::packet::{Key, UserID, signature::SignatureBuilder};
use openpgp::serialize::SerializeInto as _;
use openpgp::serialize::stream::{LiteralWriter, Message, Signer};
use openpgp::types::{KeyFlags, SignatureType};
use openpgp::{Cert, Packet};
use sequoia_openpgp as openpgp;
use transship::signature::openpgp::{Keyring, VerifyError};

const MADE: Duration = Duration::from_secs(1_600_000_000);
const NOW: Duration = Duration::from_secs(1_700_000_000);
const CONTENT: &[u8] = br#"{"critical": {"identity": {"docker-reference": "quay.io/org/app:1"}}}"#;

/// The keyring, and the message.
static SIGNED: LazyLock<(Keyring, Vec<u8>)> = LazyLock::new(|| sign().expect("a signed message"));

fuzz_target!(|data: &[u8]| {
    let Some((form, edits)) = data.split_first() else { return };
    let (keyring, message) = &*SIGNED;
    let bent = edits.chunks_exact(4).fold(message.clone(), edited);
    let changed = bent != *message;
    let bent = if form & 1 == 0 { bent } else { compressed(&bent) };
    match keyring.verify(&bent, SystemTime::UNIX_EPOCH + NOW) {
        Ok(verified) => assert_eq!(verified.content, CONTENT, "nobody signed this"),
        Err(VerifyError::NoKeys) => panic!("there is a key"),
        Err(error) => assert!(changed, "{error}"),
    }
});

/// A position of two bytes, what to do there, and with what.
fn edited(mut message: Vec<u8>, edit: &[u8]) -> Vec<u8> {
    let [high, low, action, byte] = *edit else { return message };
    if message.is_empty() {
        return message;
    }
    let at = usize::from(u16::from_be_bytes([high, low])) % message.len();
    match action % 4 {
        0 => message[at] = byte,
        1 => message.insert(at, byte),
        2 => drop(message.remove(at)),
        _ => {
            let end = message.len().min(at + usize::from(byte));
            message.extend_from_within(at..end);
        }
    }
    message
}

fn sign() -> openpgp::Result<(Keyring, Vec<u8>)> {
    let made = SystemTime::UNIX_EPOCH + MADE;
    let key: Key<SecretParts, PrimaryRole> = Key4::import_secret_ed25519(&[7; 32], made)?.into();
    let mut pair = key.clone().into_keypair()?;
    let certificate = Cert::try_from(Packet::from(key))?;
    let user = UserID::from("fuzz");
    let may = SignatureBuilder::new(SignatureType::PositiveCertification)
        .set_signature_creation_time(made)?
        .set_key_flags(KeyFlags::empty().set_certification().set_signing())?;
    let binding = user.bind(&mut pair, &certificate, may)?;
    let (certificate, _) = certificate.insert_packets([Packet::from(user), binding.into()])?;
    let mut keyring = Keyring::default();
    keyring.add(&certificate.to_vec()?);

    let mut message = Vec::new();
    let signer = Signer::new(Message::new(&mut message), pair)?.creation_time(made).build()?;
    let mut literal = LiteralWriter::new(signer).build()?;
    literal.write_all(CONTENT)?;
    literal.finalize()?;
    Ok((keyring, message))
}
