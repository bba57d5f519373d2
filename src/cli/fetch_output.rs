//! Where fetched content goes.

use std::fs::{File, Permissions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Failure;

/// Standard output, or a file that nobody sees yet.
pub(super) enum Output {
    Stdout {
        is_terminal: bool,
        written: u64,
        /// What a control character may have begun with.
        last: u8,
    },
    File {
        path: PathBuf,
        file: File,
        written: u64,
    },
    /// What has a name and is no file: a pipe, a device.
    Stream {
        path: PathBuf,
        file: File,
        written: u64,
    },
}

/// What makes the file appear; dropped, it is gone.
pub(super) struct Finished(Option<(NamedTempFile, PathBuf)>);

impl Output {
    /// `-` is standard output whatever that is. Without a path a terminal is for people.
    pub(super) fn open(path: Option<&Path>, is_terminal: bool) -> Result<(Self, Finished), Failure> {
        let stdout = |is_terminal| (Self::Stdout { is_terminal, written: 0, last: b' ' }, Finished(None));
        let path = match path {
            None => return Ok(stdout(is_terminal)),
            Some(path) if path == Path::new("-") => return Ok(stdout(false)),
            Some(path) => path,
        };
        let in_file = |error: io::Error| format!("{}: {error}", path.display());
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                return Err(format!("{}: a directory; name a file in it", path.display()).into());
            }
            Ok(metadata) if !metadata.is_file() => {
                let file = File::options().write(true).open(path).map_err(in_file)?;
                return Ok((Self::Stream { path: path.to_owned(), file, written: 0 }, Finished(None)));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(in_file(error).into()),
            _ => {}
        }
        // A link stays, and what it leads to is replaced; one that leads nowhere is replaced itself.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new()
            .prefix(".transship-")
            // What the umask leaves of it, as for any new file.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)
            .map_err(in_file)?;
        let file = temporary.as_file().try_clone().map_err(in_file)?;
        let output = Self::File { path: path.to_owned(), file, written: 0 };
        Ok((output, Finished(Some((temporary, path.to_owned())))))
    }

    /// True where a person will see the bytes.
    pub(super) fn is_for_people(&self) -> bool {
        matches!(self, Self::Stdout { is_terminal: true, .. })
    }

    /// How much was written.
    pub(super) fn position(&self) -> u64 {
        match self {
            Self::Stdout { written, .. } | Self::File { written, .. } | Self::Stream { written, .. } => *written,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout { is_terminal, written, last } => {
                if *is_terminal && has_controls(*last, bytes) {
                    let text = "what comes has control characters, and is not written to a terminal: see --output";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                io::stdout().lock().write_all(bytes).map_err(|error| named("standard output", error))?;
                *written += bytes.len() as u64;
                *last = bytes.last().copied().unwrap_or(*last);
            }
            Self::File { path, file, written } | Self::Stream { path, file, written } => {
                file.write_all(bytes).map_err(|error| named(&path.display().to_string(), error))?;
                *written += bytes.len() as u64;
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout { .. } => io::stdout().lock().flush().map_err(|error| named("standard output", error)),
            Self::File { .. } | Self::Stream { .. } => Ok(()),
        }
    }

    /// Forgets what was written behind `position`; false where somebody has read it.
    pub(super) fn take_back(&mut self, position: u64) -> io::Result<bool> {
        match self {
            Self::Stdout { written, .. } | Self::Stream { written, .. } => Ok(*written == position),
            Self::File { file, written, .. } => {
                file.set_len(position)?;
                file.seek(SeekFrom::Start(position))?;
                *written = position;
                Ok(true)
            }
        }
    }
}

/// What a terminal takes for more than letters and lines; of Latin-1's controls, their form in UTF-8. `last` is what was
/// written before.
fn has_controls(last: u8, bytes: &[u8]) -> bool {
    let is_control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t');
    let mut pairs = std::iter::once(&last).chain(bytes).zip(bytes);
    bytes.iter().any(is_control) || pairs.any(|pair| matches!(pair, (0xc2, 0x80..=0x9f)))
}

/// The main loop knows a closed pipe by its type.
fn named(what: &str, error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        error
    } else {
        io::Error::new(error.kind(), format!("{what}: {error}"))
    }
}

impl Finished {
    /// Gives the file its name.
    pub(super) fn keep(self) -> Result<(), Failure> {
        if let Some((temporary, path)) = self.0 {
            // Its bytes first, so that there is no empty file under this name after a power cut.
            temporary.as_file().sync_data().map_err(|error| format!("{}: {error}", path.display()))?;
            temporary.persist(&path).map_err(|error| format!("{}: {}", path.display(), error.error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_appears_when_it_is_whole_and_wrong_bytes_can_be_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blob");
        let (mut output, finished) = Output::open(Some(&path), true).unwrap();
        output.write(b"one").unwrap();
        output.write(b"wrong").unwrap();
        assert!(output.take_back(3).unwrap());
        output.write(b"two").unwrap();
        assert!(!path.exists() && !output.is_for_people());
        finished.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"onetwo");

        let (mut output, finished) = Output::open(Some(&path), true).unwrap();
        output.write(b"three").unwrap();
        drop((output, finished));
        assert_eq!(fs::read(&path).unwrap(), b"onetwo");
        assert!(Output::open(Some(directory.path()), true).is_err());
        assert!(Output::open(Some(&path.join("below")), true).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_and_what_is_no_file_stay_what_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "old").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        let (mut output, finished) = Output::open(Some(&path("link")), true).unwrap();
        output.write(b"new").unwrap();
        finished.keep().unwrap();
        assert!(path("link").is_symlink());
        assert_eq!(fs::read(path("file")).unwrap(), b"new");

        let (mut output, finished) = Output::open(Some(Path::new("/dev/null")), true).unwrap();
        output.write(b"gone").unwrap();
        assert!(!output.take_back(0).unwrap());
        finished.keep().unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        for good in ["{\n\t\"a\": \"é\"\r\n}", ""] {
            assert!(!has_controls(b' ', good.as_bytes()), "{good:?}");
        }
        assert!(has_controls(0xc2, b"\x9b31m") && !has_controls(0xc3, b"\xa9"), "also where it comes in two");
        for bad in ["\u{1b}]0;x\u{7}", "\u{9b}31m", "\u{7f}", "\0"] {
            assert!(has_controls(b' ', bad.as_bytes()), "{bad:?}");
            let (mut output, _) = Output::open(None, true).unwrap();
            assert!(output.write(bad.as_bytes()).is_err());
        }
    }

    #[test]
    fn a_terminal_is_for_people_unless_it_is_named() {
        assert!(Output::open(None, true).unwrap().0.is_for_people());
        assert!(!Output::open(None, false).unwrap().0.is_for_people());
        assert!(!Output::open(Some(Path::new("-")), true).unwrap().0.is_for_people());
    }
}
