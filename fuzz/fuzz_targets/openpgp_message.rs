//! No bytes make the reader of OpenPGP messages panic; no content is longer than what was read, and compression, which
//! is allowed once, changes nothing.
#![no_main]

mod compressed;

use compressed::compressed;
use libfuzzer_sys::fuzz_target;
use transship::signature::MAX_SIGNATURE_SIZE;
use transship::signature::openpgp::SignedMessage;

fuzz_target!(|message: &[u8]| {
    let Ok(plain) = SignedMessage::parse(message) else { return };
    assert!(plain.content.len() as u64 <= MAX_SIGNATURE_SIZE);
    let wrapped = SignedMessage::parse(&compressed(message));
    if is_compressed(message) {
        wrapped.expect_err("compressed twice");
    } else {
        assert!(plain.content.len() < message.len());
        let wrapped = wrapped.expect("a message is one when it is compressed");
        assert_eq!((wrapped.content, wrapped.issuer), (plain.content, plain.issuer));
    }
});

/// With either form of a packet's header.
fn is_compressed(message: &[u8]) -> bool {
    message.first().is_some_and(|first| matches!(first, 0xc8 | 0xa0..=0xa3))
}
