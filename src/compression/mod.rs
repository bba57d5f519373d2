//! Compressed streams, told by their first bytes as every reader of images tells them: media types do not say it of all.

use std::fmt;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::num::NonZeroUsize;

use flate2::bufread::MultiGzDecoder;
use zstd::stream::raw::CParameter;
use zstd::stream::read::{Decoder as ZstdDecoder, Encoder as ZstdEncoder};

mod parallel_gzip;

use parallel_gzip::ParallelGzip;

const BUFFER_SIZE: usize = 64 * 1024;

/// As many bytes as tell every form.
const MAGIC_SIZE: u64 = 6;

/// A zstd stream that wants a larger window than this many bits (128 MiB, what zstd itself takes) is refused: it is what
/// bounds the memory.
pub(crate) const ZSTD_WINDOW_LOG: u32 = 27;

/// A zstd stream is made in pieces of this size, one for each thread, whatever the machine: equal layers become equal
/// blobs everywhere.
const ZSTD_PIECE_SIZE: u32 = 2 * 1024 * 1024;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878; zstd:chunked is one too.
    Zstd,
    /// bzip2, which is recognised and not read.
    Bzip2,
    /// xz, which is recognised and not read.
    Xz,
}

impl Compression {
    /// The one that is printed so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Gzip, Self::Zstd, Self::Bzip2, Self::Xz].into_iter().find(|compression| compression.to_string() == name)
    }

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
type Input<R> = BufReader<Beginning<R>>;
type Beginning<R> = Chain<Cursor<Vec<u8>>, R>;

enum Form<R: io::BufRead> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(Box<ZstdDecoder<'static, R>>),
}

/// Tells how a stream is compressed, and gives it back from its beginning.
pub(crate) fn tell<R: Read>(mut stream: R) -> io::Result<(Option<Compression>, Beginning<R>)> {
    let mut beginning = Vec::new();
    stream.by_ref().take(MAGIC_SIZE).read_to_end(&mut beginning)?;
    Ok((Compression::of(&beginning), Cursor::new(beginning).chain(stream)))
}

impl<R: Read> Decompressed<R> {
    /// Reads the first bytes of the stream.
    pub(crate) fn new(stream: R) -> io::Result<Self> {
        let (compression, stream) = tell(stream)?;
        let input = BufReader::with_capacity(BUFFER_SIZE, stream);
        let form = match compression {
            None => Form::Plain(input),
            Some(Compression::Gzip) => Form::Gzip(Box::new(MultiGzDecoder::new(input))),
            Some(Compression::Zstd) => {
                let mut decoder = ZstdDecoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Form::Zstd(Box::new(decoder))
            }
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

/// A form that layers can be given, and how hard to try.
///
/// ```
/// use transship::compression::{Compression, Compressor};
///
/// assert_eq!(Compressor::new(Compression::Zstd, Some(19))?.compression(), Compression::Zstd);
/// assert!(Compressor::new(Compression::Gzip, Some(19)).is_err());
/// # Ok::<(), transship::compression::CompressorError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressor {
    form: Made,
    level: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Gzip,
    Zstd,
}

/// What is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompressorError {
    /// Layers are made with gzip or zstd.
    #[error("layers are compressed with gzip or zstd, not with {0}")]
    NotMade(Compression),
    /// A level beyond those of the form.
    #[error("{compression} has the levels {} to {}, not {level}", levels.0, levels.1)]
    Level {
        /// The form.
        compression: Compression,
        /// The first and the last of its levels.
        levels: (u8, u8),
        /// What was asked for.
        level: u8,
    },
}

impl Compressor {
    /// gzip has the levels 0 to 9, zstd 1 to 22. Without one it is 4, which makes smaller layers than skopeo's usual gzip,
    /// or 3, which is zstd's own.
    pub fn new(compression: Compression, level: Option<u8>) -> Result<Self, CompressorError> {
        let (form, levels) = match compression {
            Compression::Gzip => (Made::Gzip, (0, 9)),
            Compression::Zstd => (Made::Zstd, (1, 22)),
            other => return Err(CompressorError::NotMade(other)),
        };
        if let Some(level) = level.filter(|level| !(levels.0..=levels.1).contains(level)) {
            return Err(CompressorError::Level { compression, levels, level });
        }
        Ok(Self { form, level })
    }

    /// The form.
    pub fn compression(self) -> Compression {
        match self.form {
            Made::Gzip => Compression::Gzip,
            Made::Zstd => Compression::Zstd,
        }
    }

    /// True when no level was asked for.
    pub(crate) fn is_usual(self) -> bool {
        self.level.is_none()
    }

    /// The stream, compressed as it is read, by as many threads as there are to spare. Equal streams have equal results
    /// with any number of them.
    pub(crate) fn compress<'a, R: Read + 'a>(self, stream: R, threads: NonZeroUsize) -> io::Result<Box<dyn Read + 'a>> {
        let level = |usual: u8| self.level.unwrap_or(usual);
        match self.form {
            Made::Gzip => Ok(Box::new(ParallelGzip::new(stream, flate2::Compression::new(level(4).into()), threads)?)),
            Made::Zstd => {
                let input = BufReader::with_capacity(BUFFER_SIZE, stream);
                let mut encoder = ZstdEncoder::with_buffer(input, level(3).into())?;
                encoder
                    .set_parameter(CParameter::NbWorkers(u32::try_from(threads.get()).unwrap_or(u32::MAX).min(16)))?;
                encoder.set_parameter(CParameter::JobSize(ZSTD_PIECE_SIZE))?;
                Ok(Box::new(encoder))
            }
        }
    }
}

/// Reads `count` bytes and forgets them.
pub(crate) fn skip(reader: &mut impl Read, count: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.take(count), &mut io::sink())?;
    if skipped == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use flate2::write::GzEncoder;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
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

    fn compressed(compressor: Compressor, bytes: &[u8], threads: usize) -> Vec<u8> {
        let mut read = Vec::new();
        let threads = NonZeroUsize::new(threads).unwrap();
        compressor.compress(bytes, threads).unwrap().read_to_end(&mut read).unwrap();
        read
    }

    #[test]
    fn what_is_compressed_reads_back_and_is_the_same_with_any_number_of_threads() {
        let text: Vec<u8> = (0..2_000_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        for compression in [Compression::Gzip, Compression::Zstd] {
            let compressor = Compressor::new(compression, None).unwrap();
            let alone = compressed(compressor, &text, 1);
            assert_eq!(Compression::of(&alone), Some(compression));
            assert!(alone.len() < text.len() / 2);
            assert!(read(&alone).unwrap() == text);
            assert!(compressed(compressor, &text, 3) == alone, "{compression}");
            assert_eq!(read(&compressed(compressor, b"", 1)).unwrap(), b"");
        }
    }

    #[test]
    fn levels_are_those_of_the_form() {
        for (compression, good, bad) in [(Compression::Gzip, [0, 9], [10, 255]), (Compression::Zstd, [1, 22], [0, 23])]
        {
            for level in good {
                let compressor = Compressor::new(compression, Some(level)).unwrap();
                assert_eq!(read(&compressed(compressor, b"text", 1)).unwrap(), b"text");
            }
            for level in bad {
                assert!(
                    Compressor::new(compression, Some(level)).unwrap_err().to_string().contains(&level.to_string())
                );
            }
        }
        assert_eq!(Compressor::new(Compression::Xz, None).unwrap_err(), CompressorError::NotMade(Compression::Xz));
    }
}
