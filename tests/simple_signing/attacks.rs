//! Messages that verify, and those that must not, each with the reason that is given.

use std::time::{Duration, SystemTime};

use sequoia_openpgp::cert::CipherSuite;
use sequoia_openpgp::types::{HashAlgorithm, KeyFlags};
use transship::Secret;
use transship::signature::openpgp::{Keyring, MessageError, SigningError, SigningKey, VerifyError};
use transship::signature::{MAX_SIGNATURE_SIZE, Payload, PayloadKind};

use crate::signing_keys::{
    DAY, Signing, builder, certificate, compressed, literal, public, revoked, secret, sign, subkey,
};

const CONTENT: &[u8] = b"{\"critical\": 1}";

fn keyring(files: &[Vec<u8>]) -> Keyring {
    let mut keyring = Keyring::default();
    for file in files {
        keyring.add(file);
    }
    keyring
}

#[test]
fn a_signature_by_a_key_of_the_keyring_is_good_compressed_or_not() {
    let (alice, bob) = (certificate("alice", DAY), certificate("bob", DAY));
    let keyring = keyring(&[public(&bob), public(&alice)]);
    for compress in [false, true] {
        let message = Signing { compress, ..Signing::new(&alice) }.sign(CONTENT);
        let verified = keyring.verify(&message, SystemTime::now()).unwrap();
        assert_eq!(verified.content, CONTENT);
        assert_eq!(verified.certificate, alice.fingerprint().to_hex());
        assert_eq!(verified.user_id.as_deref(), Some("alice <alice@example.com>"));
    }
}

#[test]
fn a_key_file_may_hold_several_keys_armored_or_not() {
    let (alice, bob) = (certificate("alice", DAY), certificate("bob", DAY));
    let armored = |certificate: &sequoia_openpgp::Cert| {
        use sequoia_openpgp::serialize::SerializeInto as _;
        certificate.clone().strip_secret_key_material().armored().to_vec().unwrap()
    };
    let expected = [alice.fingerprint().to_hex(), bob.fingerprint().to_hex()];
    assert_eq!(keyring(&[[armored(&alice), armored(&bob)].concat()]).fingerprints(), expected);
    assert_eq!(keyring(&[[public(&alice), public(&bob)].concat()]).fingerprints(), expected);
    let garbage = keyring(&[b"no key at all".to_vec()]);
    assert!(garbage.fingerprints().is_empty() && garbage.skipped().len() == 1, "{garbage:?}");
}

#[test]
fn a_revocation_in_one_copy_of_a_key_holds_for_every_copy() {
    let alice = certificate("alice", DAY);
    let message = sign(&alice, CONTENT);
    for files in [[public(&alice), public(&revoked(&alice))], [public(&revoked(&alice)), public(&alice)]] {
        let keyring = keyring(&files);
        assert_eq!(keyring.fingerprints().len(), 1);
        let error = keyring.verify(&message, SystemTime::now()).unwrap_err();
        assert!(error.to_string().contains("revoked"), "{error}");
    }
}

#[test]
fn the_form_of_a_message_is_one_signature_around_one_content() {
    let alice = certificate("alice", DAY);
    let signing = Signing::new(&alice);
    let twice = Signing { keys: signing.keys.iter().cycle().take(2).cloned().collect(), ..Signing::new(&alice) };
    let good = sign(&alice, CONTENT);
    let armored = [b"-----BEGIN PGP MESSAGE-----\n\n".as_slice(), CONTENT].concat();
    let zeros = vec![0; usize::try_from(MAX_SIGNATURE_SIZE).unwrap() + 1];
    let unexpected = |name: &str| MessageError::Unexpected(name.to_owned());
    let keyring = keyring(&[public(&alice)]);
    for (name, message, expected) in [
        ("nothing", Vec::new(), MessageError::Empty),
        ("two signatures", twice.sign(CONTENT), MessageError::SeveralSignatures),
        ("two messages", good.repeat(2), MessageError::SeveralSignatures),
        ("a cleartext message", signing.cleartext(CONTENT), MessageError::Cleartext),
        ("a detached signature", signing.detached(CONTENT), MessageError::Detached),
        ("a signature first", [signing.detached(CONTENT), literal(CONTENT)].concat(), MessageError::SignatureFirst),
        ("a signature twice", signing.detached(CONTENT).repeat(2), MessageError::SeveralSignatures),
        ("an armored message", armored, MessageError::Armored),
        ("content alone", literal(CONTENT), MessageError::Unsigned),
        ("a second content", [good.clone(), literal(CONTENT)].concat(), unexpected("Literal Data Packet")),
        ("compressed twice", compressed(&compressed(&good)), unexpected("Compressed Data Packet")),
        ("behind compression", [compressed(&good), literal(b"")].concat(), unexpected("Literal Data Packet")),
        ("a compression bomb", compressed(&zeros), MessageError::TooLarge),
        ("a bomb of content", compressed(&sign(&alice, &zeros)), MessageError::TooLarge),
        ("a long message", sign(&alice, &zeros), MessageError::TooLarge),
    ] {
        assert_eq!(keyring.verify(&message, SystemTime::now()), Err(VerifyError::Message(expected)), "{name}");
    }
}

#[test]
fn no_cut_or_bent_message_verifies_or_panics() {
    let alice = certificate("alice", DAY);
    let keyring = keyring(&[public(&alice)]);
    let good = Signing { compress: true, ..Signing::new(&alice) }.sign(CONTENT);
    for length in 0..good.len() {
        assert!(keyring.verify(&good[..length], SystemTime::now()).is_err(), "{length} bytes");
    }
    let plain = sign(&alice, CONTENT);
    for position in 0..plain.len() {
        let mut bent = plain.clone();
        bent[position] ^= 1 << (position % 8);
        // Some bits, such as the date of the content, are not signed; the content is.
        if let Ok(verified) = keyring.verify(&bent, SystemTime::now()) {
            assert_eq!(verified.content, CONTENT, "byte {position}");
        }
    }
}

/// What is wrong, the key file, the message, and words of the reason.
type Refused = (&'static str, Vec<u8>, Vec<u8>, &'static str);

fn refused_for_their_keys() -> Vec<Refused> {
    let (alice, mallory) = (certificate("alice", 2 * DAY), certificate("mallory", DAY));
    let expired = builder("expired", 3 * DAY).set_validity_period(2 * DAY).generate().unwrap().0;
    let yesterday = SystemTime::now() - DAY;
    let before_it_expired = Signing { created: Some(SystemTime::now() - 2 * DAY), ..Signing::new(&expired) };
    let by_wrong_subkey = Signing { keys: vec![ecdsa_key()], ..Signing::new(&alice) };
    let certifying = builder("alice", DAY)
        .set_primary_key_flags(KeyFlags::empty().set_certification())
        .add_authentication_subkey()
        .generate()
        .unwrap()
        .0;
    let old_hash = Signing { hash: HashAlgorithm::SHA1, created: Some(yesterday), ..Signing::new(&alice) };
    let premature = Signing { created: Some(SystemTime::now() + DAY), ..Signing::new(&alice) };
    let before_the_key = Signing { created: Some(SystemTime::now() - 4 * DAY), ..Signing::new(&alice) };
    vec![
        ("another key", public(&alice), sign(&mallory, CONTENT), "not one of those that may sign"),
        ("a key of nobody", public(&alice), by_wrong_subkey.sign(CONTENT), "not one of those that may sign"),
        ("no key", Vec::new(), sign(&alice, CONTENT), "there is no public key"),
        ("an expired key", public(&expired), sign(&expired, CONTENT), "Expired on"),
        ("a key expired since", public(&expired), before_it_expired.sign(CONTENT), "Expired on"),
        ("a revoked key", public(&revoked(&alice)), sign(&alice, CONTENT), "revoked"),
        ("a certifying key", public(&certifying), sign(&certifying, CONTENT), "not signing capable"),
        (
            "an authentication subkey",
            public(&certifying),
            Signing { keys: vec![subkey(&certifying)], ..Signing::new(&certifying) }.sign(CONTENT),
            "not signing capable",
        ),
        ("SHA-1", public(&alice), old_hash.sign(CONTENT), "SHA1"),
        ("a signature from tomorrow", public(&alice), premature.sign(CONTENT), "Not live until"),
        ("older than the key", public(&alice), before_the_key.sign(CONTENT), "No binding signature"),
    ]
}

fn ecdsa_key() -> sequoia_openpgp::crypto::KeyPair {
    let stranger = builder("nobody", DAY).set_cipher_suite(CipherSuite::P256).generate().unwrap().0;
    crate::signing_keys::primary(&stranger)
}

#[test]
fn a_key_must_be_one_of_ours_good_then_and_good_now() {
    for (name, keys, message, words) in refused_for_their_keys() {
        let error = keyring(&[keys]).verify(&message, SystemTime::now()).unwrap_err();
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}

#[test]
fn a_signature_counts_until_its_key_expires() {
    let short = builder("short", DAY).set_validity_period(2 * DAY).generate().unwrap().0;
    let (keyring, message) = (keyring(&[public(&short)]), sign(&short, CONTENT));
    let later = |days: u32| SystemTime::now() + days * DAY;
    assert!(keyring.verify(&message, later(0) + Duration::from_secs(3600)).is_ok());
    assert!(keyring.verify(&message, later(2)).is_err());
}

#[test]
fn our_signature_verifies_and_is_by_the_newest_key_that_may_sign() {
    let alice = builder("alice", DAY).add_signing_subkey().generate().unwrap().0;
    let key = SigningKey::from_file(&secret(&alice), None, SystemTime::now()).unwrap();
    assert_eq!(key.certificate(), alice.fingerprint().to_hex());
    let payload = Payload::new(PayloadKind::SimpleSigning, transship::Digest::sha256(b"manifest"), "quay.io/org/app:1");
    let verified = keyring(&[public(&alice)]).verify(&key.sign(&payload).unwrap(), SystemTime::now()).unwrap();
    assert_eq!(Payload::parse(&verified.content, PayloadKind::SimpleSigning).unwrap(), payload);
    assert_eq!(verified.certificate, alice.fingerprint().to_hex());
}

#[test]
fn a_protected_key_needs_its_passphrase() {
    let alice = builder("alice", DAY).set_password(Some("correct horse".into())).generate().unwrap().0;
    let open = |passphrase: Option<&str>| {
        let passphrase = passphrase.map(|text| Secret::new(text.to_owned()));
        SigningKey::from_file(&secret(&alice), passphrase.as_ref(), SystemTime::now()).map(drop)
    };
    let key = alice.fingerprint().to_hex();
    assert_eq!(open(None), Err(SigningError::PassphraseNeeded { key: key.clone() }));
    assert_eq!(open(Some("wrong")), Err(SigningError::WrongPassphrase { key }));
    assert_eq!(open(Some("correct horse")), Ok(()));
}

#[test]
fn a_key_that_cannot_sign_says_why() {
    let open = |file: &[u8]| SigningKey::from_file(file, None, SystemTime::now()).map(drop).unwrap_err();
    let (alice, bob) = (certificate("alice", DAY), certificate("bob", DAY));
    assert!(matches!(open(b"no key"), SigningError::Malformed(_)));
    assert_eq!(open(b""), SigningError::NoSecretKey);
    assert_eq!(open(&public(&alice)), SigningError::NoSecretKey);
    let both = [secret(&alice), secret(&bob)].concat();
    assert_eq!(open(&both), SigningError::SeveralKeys(vec![alice.fingerprint().to_hex(), bob.fingerprint().to_hex()]));
    let old = builder("old", 3 * DAY).set_validity_period(DAY).generate().unwrap().0;
    assert!(matches!(open(&secret(&old)), SigningError::Unusable { reason, .. } if reason.contains("Expired on")));
    let revoked = open(&secret(&revoked(&alice)));
    assert!(matches!(revoked, SigningError::Unusable { reason, .. } if reason.contains("revoked")));
}

/// What a release key signs in public is a text, and a text is no signature of an image, however it is dressed up. In the
/// lines above a clear-signed text there is room for another message, which a careless reader takes for the content.
#[test]
fn a_public_text_of_an_accepted_key_signs_no_image() {
    let (alice, mallory) = (certificate("alice", DAY), certificate("mallory", DAY));
    let text = String::from_utf8(Signing::new(&alice).cleartext(b"checksums\n")).unwrap();
    let forged = String::from_utf8(armored(&sign(&mallory, CONTENT))).unwrap();
    let forged: String = forged.lines().filter(|line| !line.is_empty()).map(|line| line.to_owned() + "\n").collect();
    let (head, rest) = text.split_once("\n\n").unwrap();
    let head = if head.contains("Hash: ") { head.to_owned() } else { format!("{head}\nHash: SHA512") };
    let hidden = format!("\n{head}\n{forged}\n{rest}").into_bytes();
    let keyring = keyring(&[public(&alice)]);
    for (name, message) in [
        ("behind a line end", hidden.clone()),
        ("compressed", compressed(&hidden)),
        ("behind a good beginning", [&sign(&mallory, CONTENT)[..], &hidden].concat()),
        ("the text alone", [b"\n".as_slice(), text.as_bytes()].concat()),
        ("the text compressed", compressed(text.as_bytes())),
    ] {
        let outcome = keyring.verify(&message, SystemTime::now());
        assert!(matches!(outcome, Err(VerifyError::Message(_))), "{name}: {outcome:?}");
    }
}

fn armored(message: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut writer = sequoia_openpgp::armor::Writer::new(Vec::new(), sequoia_openpgp::armor::Kind::Message).unwrap();
    writer.write_all(message).unwrap();
    writer.finalize().unwrap()
}

/// Anybody may certify a key, and write into that whatever they like.
#[test]
fn an_armored_key_inside_of_a_binary_one_is_not_trusted() {
    use sequoia_openpgp::Packet;
    use sequoia_openpgp::packet::signature::SignatureBuilder;
    use sequoia_openpgp::packet::signature::subpacket::NotationDataFlags;
    use sequoia_openpgp::serialize::SerializeInto as _;
    use sequoia_openpgp::types::SignatureType;
    let (alice, mallory) = (certificate("alice", DAY), certificate("mallory", DAY));
    let hidden = mallory.clone().strip_secret_key_material().armored().to_vec().unwrap();
    let user_id = alice.userids().next().unwrap().userid().clone();
    let certification = SignatureBuilder::new(SignatureType::GenericCertification)
        .add_notation("note@example.com", &hidden, NotationDataFlags::empty().set_human_readable(), false)
        .unwrap()
        .sign_userid_binding(&mut crate::signing_keys::primary(&mallory), alice.primary_key().key(), &user_id)
        .unwrap();
    let certified = alice.clone().insert_packets(vec![Packet::from(user_id), certification.into()]).unwrap().0;
    assert_eq!(keyring(&[public(&certified)]).fingerprints(), [alice.fingerprint().to_hex()]);
}

#[test]
fn a_revocation_beside_a_key_holds_for_it_before_or_behind() {
    use sequoia_openpgp::serialize::SerializeInto as _;
    let alice = certificate("alice", DAY);
    let message = sign(&alice, CONTENT);
    let revocation = revoked(&alice).primary_key().self_revocations().next().unwrap().clone();
    let revocation = sequoia_openpgp::Packet::from(revocation).to_vec().unwrap();
    let as_gpg_writes_it = {
        use std::io::Write as _;
        let kind = sequoia_openpgp::armor::Kind::PublicKey;
        let mut writer = sequoia_openpgp::armor::Writer::new(Vec::new(), kind).unwrap();
        writer.write_all(&revocation).unwrap();
        writer.finalize().unwrap()
    };
    for revocation in [revocation, as_gpg_writes_it] {
        for files in [[public(&alice), revocation.clone()], [revocation.clone(), public(&alice)]] {
            let keyring = keyring(&files);
            assert!(keyring.skipped().is_empty(), "{:?}", keyring.skipped());
            let error = keyring.verify(&message, SystemTime::now()).unwrap_err();
            assert!(error.to_string().contains("revoked"), "{error}");
        }
        // Nobody can revoke the key of another.
        let bob = certificate("bob", DAY);
        let keyring = keyring(&[public(&bob), revocation]);
        assert!(keyring.verify(&sign(&bob, CONTENT), SystemTime::now()).is_ok());
    }
}
