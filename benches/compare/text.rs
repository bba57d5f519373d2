//! Text of no meaning that compresses as files do: gzip makes a bit more than a third of it.

use std::iter::repeat_with;

/// The vocabulary is this power of two.
const VOCABULARY_BITS: u32 = 14;
const WORDS_A_LINE: u32 = 12;

/// The same for the same seed. A word's frequency goes down with its rank as in a language (Zipf's law).
pub fn text(seed: u64, size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let vocabulary: Vec<Vec<u8>> = (0..1 << VOCABULARY_BITS).map(|_| word(&mut random)).collect();
    let mut text = Vec::with_capacity(size);
    while text.len() < size {
        let bits = random.u32(0..=VOCABULARY_BITS);
        text.extend_from_slice(&vocabulary[random.usize(0..1 << bits)]);
        text.push(if random.u32(0..WORDS_A_LINE) == 0 { b'\n' } else { b' ' });
    }
    text.truncate(size);
    text
}

fn word(random: &mut fastrand::Rng) -> Vec<u8> {
    let length = random.usize(2..=10);
    repeat_with(|| random.u8(b'a'..=b'z')).take(length).collect()
}
