//! Compressed streams, told by their first bytes as every reader of images tells them: media types do not say it of all.

use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

const BUFFER_SIZE: usize = 64 * 1024;

/// As many bytes as tell every form.
const MAGIC_SIZE: u64 = 6;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// That of a stream which begins with these bytes; `None` for one that is not compressed.
    pub(crate) fn of(beginning: &[u8]) -> Option<Self> {
        [
            (&[0x1f, 0x8b, 8][..], Self::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Self::Zstd),
            (b"BZh", Self::Bzip2),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Self::Xz),
        ]
        .into_iter()
        .find_map(|(magic, compression)| beginning.starts_with(magic).then_some(compression))
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        })
    }
}

/// A stream in a form that is not read here.
#[derive(Debug, thiserror::Error)]
#[error("compressed with {0}, which is not read here (gzip and zstd are); compress it anew, or not at all")]
struct Unsupported(Compression);

/// A stream without its compression, whatever that is.
///
/// Its end is that of the stream below too: what is behind the compressed data is an error, or more of them.
pub(crate) struct Decompressed<R: Read> {
    compression: Option<Compression>,
    form: Form<Input<R>>,
}

/// What was read to tell the form, then the rest.
type Input<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

enum Form<R: BufRead> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(Box<Zstd<R>>),
}

impl<R: Read> Decompressed<R> {
    /// Reads the first bytes of the stream.
    pub(crate) fn new(mut stream: R) -> io::Result<Self> {
        let mut beginning = Vec::new();
        stream.by_ref().take(MAGIC_SIZE).read_to_end(&mut beginning)?;
        let compression = Compression::of(&beginning);
        let input = BufReader::with_capacity(BUFFER_SIZE, Cursor::new(beginning).chain(stream));
        let form = match compression {
            None => Form::Plain(input),
            Some(Compression::Gzip) => Form::Gzip(Box::new(MultiGzDecoder::new(input))),
            Some(Compression::Zstd) => Form::Zstd(Box::new(Zstd::new(input))),
            Some(other @ (Compression::Bzip2 | Compression::Xz)) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, Unsupported(other)));
            }
        };
        Ok(Self { compression, form })
    }

    /// How the stream is compressed; `None` where it is not.
    pub(crate) fn compression(&self) -> Option<Compression> {
        self.compression
    }
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.form {
            Form::Plain(reader) => reader.read(buffer),
            Form::Gzip(reader) => reader.read(buffer),
            Form::Zstd(reader) => reader.read(buffer),
        }
    }
}

impl<R: Read> fmt::Debug for Decompressed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressed").field("compression", &self.compression).finish_non_exhaustive()
    }
}

/// The frames of a zstd stream, one after the other. A window has a limit, so the memory has one.
struct Zstd<R> {
    input: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(input: R) -> Self {
        Self { input, decoder: FrameDecoder::new(), is_in_frame: false }
    }

    /// Begins the next frame; false at the end of the stream. Frames that say nothing to a decompressor are skipped:
    /// zstd:chunked has its table of contents in one.
    fn begin_frame(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    skip(&mut self.input, length.into())?;
                }
                Err(error) => return Err(invalid(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.is_in_frame && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.input, one).map_err(invalid)?;
                continue;
            }
            self.is_in_frame = self.begin_frame()?;
            if !self.is_in_frame {
                return Ok(0);
            }
        }
    }
}

/// Reads `count` bytes and forgets them.
pub(crate) fn skip(reader: &mut impl Read, count: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.take(count), &mut io::sink())?;
    if skipped == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn invalid(error: FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        Decompressed::new(bytes)?.read_to_end(&mut read)?;
        Ok(read)
    }

    #[test]
    fn each_form_is_told_by_its_first_bytes_and_read_to_the_end() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        for (compressed, compression) in [
            (text.clone(), None),
            (gzip(&text), Some(Compression::Gzip)),
            (zstd(&text), Some(Compression::Zstd)),
            (Vec::new(), None),
            (b"BZ".to_vec(), None),
        ] {
            let expected = if compression.is_some() { &text } else { &compressed };
            assert_eq!(Decompressed::new(&*compressed).unwrap().compression(), compression);
            assert!(read(&compressed).unwrap() == *expected, "{compression:?}");
        }
    }

    #[test]
    fn several_members_or_frames_are_one_stream() {
        let skipped = [&0x184d_2a50_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"any"].concat();
        let frames = [zstd(b"one"), skipped, zstd(b""), zstd(b"two")].concat();
        assert_eq!(read(&frames).unwrap(), b"onetwo");
        assert_eq!(read(&[gzip(b"one"), gzip(b"two")].concat()).unwrap(), b"onetwo");
    }

    #[test]
    fn a_stream_that_is_cut_or_continued_with_something_else_is_an_error() {
        for whole in [gzip(&[7; 1000]), zstd(&[7; 1000])] {
            for length in 6..whole.len() {
                assert!(read(&whole[..length]).is_err(), "{length} bytes of {}", whole.len());
            }
            assert!(read(&[&whole[..], b"something"].concat()).is_err());
        }
    }

    #[test]
    fn a_form_that_is_not_read_is_named() {
        for (bytes, name) in [(&b"BZh91AY"[..], "bzip2"), (&[0xfd, b'7', b'z', b'X', b'Z', 0, 0], "xz")] {
            assert!(read(bytes).unwrap_err().to_string().contains(name));
        }
    }
}
