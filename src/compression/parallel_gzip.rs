//! gzip by several threads: pieces are compressed by themselves, each with the end of the piece before it as its
//! dictionary, and are one stream together.
//!
//! The pieces have one size, whatever the machine, so the result does not depend on the number of threads.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};
use std::num::NonZeroUsize;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

const PIECE_SIZE: usize = 1024 * 1024;

/// How far back deflate looks.
const WINDOW_SIZE: usize = 32 * 1024;

/// No name, no time, nothing about the system (RFC 1952).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The compressed form of what `input` gives. It is made while it is read.
pub(super) struct ParallelGzip<R> {
    input: R,
    /// The piece to be handed out next, once something was read; what follows it decides whether it is the last.
    next: Option<Vec<u8>>,
    is_ended: bool,
    /// The end of the piece that was handed out last.
    dictionary: Vec<u8>,
    workers: Sender<Piece>,
    /// How many pieces may be on their way.
    in_flight: usize,
    deflating: VecDeque<Receiver<io::Result<Deflated>>>,
    crc: Crc,
    /// What is read now.
    output: Cursor<Vec<u8>>,
    has_trailer: bool,
}

struct Piece {
    bytes: Vec<u8>,
    dictionary: Vec<u8>,
    is_last: bool,
    done: Sender<io::Result<Deflated>>,
}

struct Deflated {
    bytes: Vec<u8>,
    crc: Crc,
}

impl<R: Read> ParallelGzip<R> {
    /// Starts the threads; they end with the result.
    pub(super) fn new(input: R, level: Compression, threads: NonZeroUsize) -> io::Result<Self> {
        let (workers, pieces) = mpsc::channel::<Piece>();
        let pieces = Arc::new(Mutex::new(pieces));
        for _ in 0..threads.get() {
            let pieces = Arc::clone(&pieces);
            thread::Builder::new().name("gzip".to_owned()).spawn(move || work(&pieces, level))?;
        }
        Ok(Self {
            input,
            next: None,
            is_ended: false,
            dictionary: Vec::new(),
            workers,
            in_flight: threads.get().saturating_add(1),
            deflating: VecDeque::new(),
            crc: Crc::new(),
            output: Cursor::new(HEADER.to_vec()),
            has_trailer: false,
        })
    }

    /// Keeps the threads busy.
    fn hand_out(&mut self) -> io::Result<()> {
        while !self.is_ended && self.deflating.len() < self.in_flight {
            let bytes = match self.next.take() {
                Some(bytes) => bytes,
                None => read_piece(&mut self.input)?,
            };
            let following = read_piece(&mut self.input)?;
            self.is_ended = following.is_empty();
            self.next = Some(following);
            let window = bytes.len().saturating_sub(WINDOW_SIZE);
            let dictionary = std::mem::replace(&mut self.dictionary, bytes.get(window..).unwrap_or_default().to_vec());
            let (done, deflated) = mpsc::channel();
            let piece = Piece { bytes, dictionary, is_last: self.is_ended, done };
            self.workers.send(piece).map_err(|_| gone())?;
            self.deflating.push_back(deflated);
        }
        Ok(())
    }

    /// The next bytes of the stream; none at its end.
    fn advance(&mut self) -> io::Result<()> {
        self.hand_out()?;
        let bytes = if let Some(deflated) = self.deflating.pop_front() {
            let Deflated { bytes, crc } = deflated.recv().map_err(|_| gone())??;
            self.crc.combine(&crc);
            bytes
        } else if std::mem::replace(&mut self.has_trailer, true) {
            Vec::new()
        } else {
            [self.crc.sum().to_le_bytes(), self.crc.amount().to_le_bytes()].concat()
        };
        self.output = Cursor::new(bytes);
        Ok(())
    }
}

impl<R: Read> Read for ParallelGzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.output.read(buffer)?;
            let is_over = self.has_trailer && self.output.get_ref().is_empty();
            if count > 0 || buffer.is_empty() || is_over {
                return Ok(count);
            }
            self.advance()?;
        }
    }
}

fn read_piece(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE_SIZE);
    input.take(PIECE_SIZE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

fn work(pieces: &Mutex<Receiver<Piece>>, level: Compression) {
    let mut compress = Compress::new(level, false);
    loop {
        let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(piece) = next else { return };
        // Nobody waits for it where reading was given up.
        let _ = piece.done.send(deflate(&mut compress, &piece));
    }
}

fn deflate(compress: &mut Compress, piece: &Piece) -> io::Result<Deflated> {
    compress.reset();
    if !piece.dictionary.is_empty() {
        compress.set_dictionary(&piece.dictionary)?;
    }
    // A piece ends at the boundary of a byte, so that the next one can follow.
    let flush = if piece.is_last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut bytes = Vec::with_capacity(PIECE_SIZE / 2);
    let mut rest = piece.bytes.as_slice();
    loop {
        let before = compress.total_in();
        let status = compress.compress_vec(rest, &mut bytes, flush)?;
        let taken = usize::try_from(compress.total_in() - before).unwrap_or(usize::MAX);
        rest = rest.get(taken..).unwrap_or_default();
        let is_flushed = rest.is_empty() && bytes.len() < bytes.capacity();
        if status == Status::StreamEnd || (is_flushed && !piece.is_last) {
            break;
        }
        bytes.reserve(PIECE_SIZE / 2);
    }
    let mut crc = Crc::new();
    crc.update(&piece.bytes);
    Ok(Deflated { bytes, crc })
}

fn gone() -> io::Error {
    io::Error::other("a thread that compresses is gone")
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;

    use super::*;

    fn content(size: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(1);
        // Some of it can be compressed, some cannot, and some repeats what is a piece away.
        (0..size).map(|at| if at % 3 == 0 { random.u8(..) } else { (at / 1000).to_le_bytes()[0] }).collect()
    }

    #[test]
    fn pieces_are_one_member_at_each_level_and_boundary() {
        for size in [0, 1, PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1, 3 * PIECE_SIZE + 7] {
            for level in [0, 1, 4, 9] {
                let (bytes, threads) = (content(size), NonZeroUsize::new(2).unwrap());
                let made = ParallelGzip::new(&*bytes, Compression::new(level), threads).unwrap();
                let (mut read, mut decoder) = (Vec::new(), GzDecoder::new(made));
                decoder.read_to_end(&mut read).unwrap();
                assert!(read == bytes, "{size} bytes at level {level}");
                let mut rest = Vec::new();
                decoder.into_inner().read_to_end(&mut rest).unwrap();
                assert_eq!(rest, b"");
            }
        }
    }

    #[test]
    fn an_error_of_the_input_is_not_an_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let bytes = content(PIECE_SIZE + 5);
        let mut made = ParallelGzip::new(bytes.chain(Broken), Compression::new(4), NonZeroUsize::MIN).unwrap();
        let error = made.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
