//! The one form of OpenPGP message that is a signature of an image: content with one signature around it.

use std::io::Read as _;

use openpgp::KeyID;
use openpgp::packet::{Literal, Packet};
use openpgp::parse::{Dearmor, PacketParserBuilder, PacketParserResult, Parse as _};
use openpgp::serialize::Serialize as _;
use sequoia_openpgp as openpgp;

use super::reason;
use crate::signature::MAX_SIGNATURE_SIZE;

/// What is between the markers of a cleartext-signed message, and before those of a binary one in ASCII armor.
const CLEARTEXT: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const ARMOR: &[u8] = b"-----BEGIN PGP ";

/// A signature names its key by id and by fingerprint; more is only work.
const MAX_ISSUERS: usize = 8;

/// Why an OpenPGP message is not one that signs an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Nothing.
    #[error("the OpenPGP message is empty")]
    Empty,
    /// A text with its signature below it.
    #[error("a cleartext-signed message; sign inline instead (gpg --sign)")]
    Cleartext,
    /// Encoded as text.
    #[error("an OpenPGP message in ASCII armor, expected a binary one (gpg --sign without --armor)")]
    Armored,
    /// Not OpenPGP.
    #[error("not an OpenPGP message: {0}")]
    Malformed(String),
    /// A signature without what it signs.
    #[error("a detached signature, expected one with its content inside (gpg --sign)")]
    Detached,
    /// The signature comes first, and a reader cannot know what it will have to compute.
    #[error("a signature before its content, as PGP 2 wrote it; sign again (gpg --sign)")]
    SignatureFirst,
    /// Content without a signature.
    #[error("an OpenPGP message without a signature")]
    Unsigned,
    /// Encrypted content.
    #[error("an encrypted OpenPGP message")]
    Encrypted,
    /// More than one signature, so nobody can say which one counts.
    #[error("more than one signature in one message")]
    SeveralSignatures,
    /// More or less than one content, or packets in another order.
    #[error("not a signature around one content: unexpected {0} packet")]
    Unexpected(String),
    /// A signature that names more keys than one signature can be by.
    #[error("a signature that names {0} keys, expected no more than {MAX_ISSUERS}")]
    Issuers(usize),
    /// Longer than anything sensible, perhaps only after it is unpacked.
    #[error("an OpenPGP message of more than {MAX_SIGNATURE_SIZE} bytes")]
    TooLarge,
}

/// A message of that form. Nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMessage {
    /// What the message says it signs.
    pub content: Vec<u8>,
    /// The id (16 hexadecimal digits) of the key that the message says it is signed with; only zeros name none.
    pub issuer: String,
    /// The same packets, written anew: the two readings of a message, for its form and for its signature, must be of bytes
    /// that can only be read in one way.
    pub(super) canonical: Vec<u8>,
}

impl SignedMessage {
    /// Takes a message apart. The work is bounded by [`MAX_SIGNATURE_SIZE`], however the message is compressed.
    pub fn parse(message: &[u8]) -> Result<Self, MessageError> {
        if message.starts_with(CLEARTEXT) {
            return Err(MessageError::Cleartext);
        }
        if message.starts_with(ARMOR) {
            return Err(MessageError::Armored);
        }
        if message.len() as u64 > MAX_SIGNATURE_SIZE {
            return Err(MessageError::TooLarge);
        }
        taken_apart(&uncompressed(message)?)
    }
}

/// gpg compresses what it signs, signature included. All of it is unpacked here, once and with a limit: below this,
/// nothing is compressed.
fn uncompressed(message: &[u8]) -> Result<Vec<u8>, MessageError> {
    let PacketParserResult::Some(mut parser) = packets(message)? else {
        return Err(MessageError::Empty);
    };
    if !matches!(parser.packet, Packet::CompressedData(_)) {
        return Ok(message.to_vec());
    }
    let mut plain = Vec::new();
    let read = parser.by_ref().take(MAX_SIGNATURE_SIZE + 1).read_to_end(&mut plain);
    read.map_err(|error| MessageError::Malformed(error.to_string()))?;
    if plain.len() as u64 > MAX_SIGNATURE_SIZE {
        return Err(MessageError::TooLarge);
    }
    match parser.next().map_err(malformed)? {
        (_, PacketParserResult::EOF(_)) => Ok(plain),
        (_, PacketParserResult::Some(next)) => Err(MessageError::Unexpected(next.packet.tag().to_string())),
    }
}

/// A one-pass signature packet, the content, the signature.
#[derive(Clone, Copy)]
enum Expect {
    Beginning,
    Content,
    Signature,
    End,
    /// The end too: a signature came first.
    Nothing,
}

fn taken_apart(plain: &[u8]) -> Result<SignedMessage, MessageError> {
    let mut signed = SignedMessage { content: Vec::new(), issuer: String::new(), canonical: Vec::new() };
    let mut expect = Expect::Beginning;
    let mut next = packets(plain)?;
    while let PacketParserResult::Some(mut parser) = next {
        expect = match (expect, &parser.packet) {
            (Expect::Beginning, Packet::OnePassSig(one_pass)) => {
                signed.issuer = KeyID::from(one_pass.issuer()).to_hex();
                Expect::Content
            }
            (Expect::Beginning, Packet::Signature(_)) => Expect::Nothing,
            (Expect::Content, Packet::Literal(literal)) => {
                let mut canonical = Literal::new(literal.format());
                let read = parser.read_to_end(&mut signed.content);
                read.map_err(|error| MessageError::Malformed(error.to_string()))?;
                canonical.set_body(signed.content.clone());
                write(&Packet::from(canonical), &mut signed.canonical)?;
                Expect::Signature
            }
            (Expect::Signature, Packet::Signature(signature)) => {
                expect_few_issuers(signature.get_issuers().len())?;
                Expect::End
            }
            (_, packet) => return Err(unexpected(expect, packet)),
        };
        let (packet, rest) = parser.next().map_err(malformed)?;
        if !matches!(packet, Packet::Literal(_)) {
            write(&packet, &mut signed.canonical)?;
        }
        next = rest;
    }
    match expect {
        Expect::End => Ok(signed),
        Expect::Beginning => Err(MessageError::Empty),
        Expect::Nothing => Err(MessageError::Detached),
        Expect::Content | Expect::Signature => Err(MessageError::Malformed("it ends before its signature".to_owned())),
    }
}

fn expect_few_issuers(count: usize) -> Result<(), MessageError> {
    if count > MAX_ISSUERS { Err(MessageError::Issuers(count)) } else { Ok(()) }
}

/// sequoia would look for ASCII armor anywhere in what is no packet.
fn packets(bytes: &[u8]) -> Result<PacketParserResult<'_>, MessageError> {
    let builder = PacketParserBuilder::from_bytes(bytes).map_err(malformed)?;
    builder.dearmor(Dearmor::Disabled).build().map_err(malformed)
}

fn write(packet: &Packet, into: &mut Vec<u8>) -> Result<(), MessageError> {
    packet.serialize(into).map_err(malformed)
}

fn unexpected(expect: Expect, packet: &Packet) -> MessageError {
    match (expect, packet) {
        (_, Packet::PKESK(_) | Packet::SKESK(_) | Packet::SEIP(_)) => MessageError::Encrypted,
        (Expect::Beginning, Packet::Literal(_)) => MessageError::Unsigned,
        (Expect::Nothing, Packet::Literal(_)) => MessageError::SignatureFirst,
        (Expect::Content | Expect::End | Expect::Nothing, Packet::Signature(_) | Packet::OnePassSig(_)) => {
            MessageError::SeveralSignatures
        }
        (_, packet) => MessageError::Unexpected(packet.tag().to_string()),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn malformed(error: openpgp::anyhow::Error) -> MessageError {
    MessageError::Malformed(reason(&error))
}
