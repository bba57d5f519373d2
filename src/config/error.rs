//! Why the configuration cannot be used.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{containerd, registries_conf, registries_d};

/// A place in a file: `/etc/containers/registries.conf:12:3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    file: Arc<Path>,
    /// Zero where it is not known.
    line: u32,
    column: u32,
}

impl Place {
    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line, counted from 1, where it is known.
    pub fn line(&self) -> Option<u32> {
        (self.line > 0).then_some(self.line)
    }

    /// The column, counted from 1, where it is known.
    pub fn column(&self) -> Option<u32> {
        (self.column > 0).then_some(self.column)
    }

    pub(crate) fn of_file(file: &Path) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }

    pub(crate) fn of_line(file: &Path, line: impl TryInto<u32>, column: impl TryInto<u32>) -> Self {
        let (line, column) = (line.try_into().unwrap_or(u32::MAX), column.try_into().unwrap_or(u32::MAX));
        Self { file: file.into(), line, column }
    }

    /// Where the byte `offset` of `text` is.
    pub(in crate::config) fn of_offset(file: &Path, text: &[u8], offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let lines = before.split(|byte| *byte == b'\n');
        let last = String::from_utf8_lossy(lines.clone().next_back().unwrap_or_default()).into_owned();
        Self::of_line(file, lines.count(), last.chars().count() + 1)
    }

    /// Where `span` of `text` begins.
    pub(super) fn of_span(file: &Path, text: &str, span: &Range<usize>) -> Self {
        Self::of_offset(file, text.as_bytes(), span.start)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        for number in [self.line(), self.column()].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        Ok(())
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or a directory cannot be read, or a file is longer than [`MAX_FILE_SIZE`].
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not TOML, YAML or JSON, or a value of the wrong type.
    #[error("invalid configuration at {place}")]
    Syntax {
        /// Where.
        place: Place,
        /// What was expected.
        source: SyntaxError,
    },
    /// Against a rule of registries.conf.
    #[error("invalid registries configuration at {place}")]
    RegistriesConf {
        /// Where.
        place: Place,
        /// Which rule.
        source: registries_conf::Invalid,
    },
    /// Against a rule of registries.d.
    #[error("invalid signature storage configuration at {place}")]
    RegistriesD {
        /// Where.
        place: Place,
        /// Which rule.
        source: registries_d::Invalid,
    },
    /// Against a rule of containerd's files, or of k3s'.
    #[error("invalid registry host configuration at {place}")]
    Containerd {
        /// Where.
        place: Place,
        /// Which rule.
        source: containerd::Invalid,
    },
    /// policy.json is needed, and there is none.
    #[error(
        "no policy.json found at any of {}; create one (see containers-policy.json(5)) or name one",
        .searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoPolicy {
        /// Where it may be.
        searched: Vec<PathBuf>,
    },
}

/// The most that is read of one file, in bytes.
pub const MAX_FILE_SIZE: u64 = 4 << 20;

/// What a parser of TOML, YAML or JSON said, in one line and without the place.
#[derive(Debug)]
pub struct SyntaxError(Box<Parser>);

#[derive(Debug)]
enum Parser {
    Utf8(std::str::Utf8Error),
    Toml(toml::de::Error),
    Json(serde_json::Error),
    Yaml(serde_saphyr::Error),
}

impl Error {
    pub(crate) fn utf8(file: &Path, bytes: &[u8], error: std::str::Utf8Error) -> Self {
        let place = Place::of_offset(file, bytes, error.valid_up_to());
        Self::Syntax { place, source: SyntaxError(Box::new(Parser::Utf8(error))) }
    }

    pub(super) fn toml(file: &Path, text: &str, error: toml::de::Error) -> Self {
        let place = error.span().map_or_else(|| Place::of_file(file), |span| Place::of_span(file, text, &span));
        Self::Syntax { place, source: SyntaxError(Box::new(Parser::Toml(error))) }
    }

    pub(super) fn json(file: &Path, error: serde_json::Error) -> Self {
        let place = Place::of_line(file, error.line(), error.column());
        Self::Syntax { place, source: SyntaxError(Box::new(Parser::Json(error))) }
    }

    pub(crate) fn yaml(file: &Path, error: serde_saphyr::Error) -> Self {
        let place = error
            .location()
            .map_or_else(|| Place::of_file(file), |location| Place::of_line(file, location.line(), location.column()));
        Self::Syntax { place, source: SyntaxError(Box::new(Parser::Yaml(error))) }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_ref() {
            Parser::Utf8(error) => error.fmt(f),
            Parser::Toml(error) => f.write_str(error.message().lines().next().unwrap_or_default()),
            Parser::Json(error) => {
                let place = format!(" at line {} column {}", error.line(), error.column());
                write_without(&place, &error.to_string(), f)
            }
            Parser::Yaml(error) => {
                let text = error.without_snippet().to_string();
                let place = error.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
                write_without(&place.unwrap_or_default(), text.lines().next().unwrap_or_default(), f)
            }
        }
    }
}

fn write_without(suffix: &str, text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(text.strip_suffix(suffix).unwrap_or(text))
}

impl std::error::Error for SyntaxError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let file = Path::new("f");
        for (offset, expected) in [(0, "f:1:1"), (3, "f:1:3"), (4, "f:2:1"), (5, "f:2:2"), (99, "f:2:3")] {
            assert_eq!(Place::of_offset(file, "né\nxy".as_bytes(), offset).to_string(), expected);
        }
        assert_eq!(Place::of_file(file).to_string(), "f");
    }

    #[test]
    fn a_syntax_error_is_one_line_that_does_not_repeat_the_place() {
        let json = serde_json::from_str::<u8>("\n x").unwrap_err();
        let toml = toml::from_str::<toml::Table>("a = [").unwrap_err();
        let yaml = serde_saphyr::from_str::<Vec<u8>>("a: {").unwrap_err();
        let file = Path::new("f");
        for (error, place) in [
            (Error::json(file, json), "f:2:2"),
            (Error::toml(file, "a = [", toml), "f:1:6"),
            (Error::yaml(file, yaml), "f:1:1"),
        ] {
            assert_eq!(error.to_string(), format!("invalid configuration at {place}"));
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(!source.is_empty() && !source.contains('\n') && !source.contains("line"), "{source}");
        }
    }
}
