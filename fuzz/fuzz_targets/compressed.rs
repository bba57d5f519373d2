//! OpenPGP's compressed data, without the work of compressing.

/// The tag of compressed data in the new form, and a length of four bytes behind it.
const HEADER: [u8; 2] = [0xc8, 0xff];
/// Deflate, without a frame around it.
const ZIP: u8 = 1;

/// A packet of compressed data around some packets.
pub fn compressed(packets: &[u8]) -> Vec<u8> {
    let body = [&[ZIP], deflated(packets).as_slice()].concat();
    let length = u32::try_from(body.len()).expect("short inputs");
    [&HEADER, length.to_be_bytes().as_slice(), &body].concat()
}

/// Blocks that are stored as they are, and an empty last one.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut blocks: Vec<u8> = bytes.chunks(usize::from(u16::MAX)).flat_map(|chunk| stored(0, chunk)).collect();
    blocks.extend(stored(1, &[]));
    blocks
}

fn stored(last: u8, chunk: &[u8]) -> Vec<u8> {
    let length = u16::try_from(chunk.len()).expect("a chunk of that size");
    [&[last], length.to_le_bytes().as_slice(), &(!length).to_le_bytes(), chunk].concat()
}
