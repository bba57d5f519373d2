//! No bytes make the reader of OpenPGP keys panic, nor do any keys together with any message. The two are divided by
//! the length in the first two bytes.
#![no_main]

use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use transship::signature::openpgp::{Keyring, SignedMessage};

/// In 2023, when keys and signatures of the corpus are good.
const NOW: Duration = Duration::from_secs(1_700_000_000);

fuzz_target!(|data: &[u8]| {
    let Some((length, rest)) = data.split_first_chunk() else { return };
    let (keys, message) = rest.split_at_checked(u16::from_be_bytes(*length).into()).unwrap_or((rest, &[]));
    let mut keyring = Keyring::default();
    keyring.add(keys);
    let verified = keyring.verify(message, SystemTime::UNIX_EPOCH + NOW);

    let once = keyring.fingerprints();
    if let Ok(verified) = &verified {
        assert!(once.contains(&verified.certificate), "a signer that was not given");
        assert_eq!(verified.content, SignedMessage::parse(message).expect("it was verified").content);
    }
    // A key that is there twice is one, and changes nothing.
    keyring.add(keys);
    assert_eq!(keyring.fingerprints(), once);
    assert_eq!(keyring.verify(message, SystemTime::UNIX_EPOCH + NOW).ok(), verified.ok());
});
