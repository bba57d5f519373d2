//! PEM: the only text form of keys and certificates that the field's configuration and annotations have.

/// The most blocks in one text. Chains have three, bundles of certificate authorities some more.
const MAX_BLOCKS: usize = 64;

/// The largest text.
const MAX_SIZE: usize = 1024 * 1024;

pub(super) const CERTIFICATE: &str = "CERTIFICATE";
pub(super) const PUBLIC_KEY: &str = "PUBLIC KEY";

/// Why a text is not the PEM that was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// Not PEM.
    #[error("invalid PEM")]
    Syntax(#[source] pem::PemError),
    /// Some other number of blocks.
    #[error("{found} PEM blocks, expected one {expected}")]
    NotOne {
        /// The label that the one must have.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// Nothing in it.
    #[error("no PEM block, expected {0}")]
    None(&'static str),
    /// A block of something else.
    #[error("a PEM block {found:?}, expected {expected}")]
    Label {
        /// The label that was expected.
        expected: &'static str,
        /// The label found.
        found: String,
    },
    /// Too much.
    #[error("more than {MAX_BLOCKS} PEM blocks, or {MAX_SIZE} bytes")]
    TooLarge,
}

/// All blocks of a text, at least one.
pub(super) fn blocks(text: &[u8], label: &'static str) -> Result<Vec<Vec<u8>>, PemError> {
    let blocks = parse(text)?;
    if blocks.is_empty() {
        return Err(PemError::None(label));
    }
    blocks.into_iter().map(|block| contents(block, label)).collect()
}

/// The only block of a text.
pub(super) fn block(text: &[u8], label: &'static str) -> Result<Vec<u8>, PemError> {
    contents(only_block(text, label)?, label)
}

/// The only block of a text, whatever its label is; `expected` is for the error.
pub(super) fn only_block(text: &[u8], expected: &'static str) -> Result<pem::Pem, PemError> {
    let mut blocks = parse(text)?;
    match (blocks.pop(), blocks.len()) {
        (Some(block), 0) => Ok(block),
        (None, _) => Err(PemError::None(expected)),
        (Some(_), others) => Err(PemError::NotOne { expected, found: others + 1 }),
    }
}

pub(super) fn encode(label: &str, contents: impl Into<Vec<u8>>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, contents), config)
}

fn parse(text: &[u8]) -> Result<Vec<pem::Pem>, PemError> {
    if text.len() > MAX_SIZE {
        return Err(PemError::TooLarge);
    }
    let blocks = pem::parse_many(text).map_err(PemError::Syntax)?;
    if blocks.len() > MAX_BLOCKS { Err(PemError::TooLarge) } else { Ok(blocks) }
}

fn contents(block: pem::Pem, label: &'static str) -> Result<Vec<u8>, PemError> {
    if block.tag() == label {
        Ok(block.into_contents())
    } else {
        Err(PemError::Label { expected: label, found: block.tag().to_owned() })
    }
}
