//! Which files an archive has, and where.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::io::{self, Read, Seek, SeekFrom};

use tar::EntryType;

use super::ArchiveError;
use super::data::{Data, FileAt, Stream};

/// What the headers of one file may have, long names and extensions included: as much as Go's reader takes.
const MAX_HEADERS_SIZE: u64 = 1024 * 1024;

/// What the index may take in memory: some hundred thousand files.
const MAX_INDEX_SIZE: usize = 64 * 1024 * 1024;

/// What the index takes for a file beside its name.
const ENTRY_SIZE: usize = 128;

/// Which of several files with one name counts. The readers of Go differ, so their archives do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Duplicates {
    /// As for a reader that looks for a name from the beginning on.
    FirstCounts,
    /// As when all is unpacked, one over the other.
    LastCounts,
}

/// What has a name in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    File {
        offset: u64,
        size: u64,
    },
    /// Where a link leads to; `None` for out of the archive.
    Link(Option<String>),
    /// A directory, a device, a file with holes.
    Other,
}

/// The names in an archive, `a/b` also where the archive has `./a//b`.
#[derive(Debug)]
pub(super) struct Index(HashMap<String, Content>);

impl Index {
    pub(super) fn read(data: &Data, duplicates: Duplicates) -> Result<Self, ArchiveError> {
        let allowance = Cell::new(MAX_HEADERS_SIZE);
        let mut archive = tar::Archive::new(Scanner::new(data, &allowance).map_err(ArchiveError::Tar)?);
        let mut names = HashMap::new();
        let mut room = MAX_INDEX_SIZE;
        let mut last = String::new();
        for entry in archive.entries_with_seek().map_err(ArchiveError::Tar)? {
            let entry = entry.map_err(|error| unreadable(error, &last))?;
            allowance.set(MAX_HEADERS_SIZE);
            if entry.header().entry_type() == EntryType::XGlobalHeader {
                // About all files, none by itself, whatever its name.
                continue;
            }
            let name = entry_name(&entry.path_bytes())?;
            let content = content(&entry, &name);
            room = room.checked_sub(name.len() + ENTRY_SIZE).ok_or(ArchiveError::TooManyFiles)?;
            last.clone_from(&name);
            match (names.entry(name), duplicates) {
                (Place::Vacant(place), _) => drop(place.insert(content)),
                (Place::Occupied(mut place), Duplicates::LastCounts) => drop(place.insert(content)),
                (Place::Occupied(_), Duplicates::FirstCounts) => {}
            }
        }
        archive.into_inner().end().map_err(ArchiveError::Tar)?;
        Ok(Self(names))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Content> {
        self.0.get(&clean(name)?)
    }
}

fn unreadable(error: io::Error, last: &str) -> ArchiveError {
    // Whoever looks for the next header has to get over the last file.
    if error.kind() == io::ErrorKind::UnexpectedEof && !last.is_empty() {
        return ArchiveError::CutOff { name: last.to_owned() };
    }
    ArchiveError::Tar(error)
}

fn entry_name(bytes: &[u8]) -> Result<String, ArchiveError> {
    // A name that is not UTF-8 belongs to nothing that is looked for.
    let name = String::from_utf8_lossy(bytes);
    clean(&name).ok_or_else(|| ArchiveError::Outside { name: name.into_owned() })
}

fn content<R: Read>(entry: &tar::Entry<'_, R>, name: &str) -> Content {
    let target = || entry.link_name_bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            Content::File { offset: entry.raw_file_position(), size: entry.size() }
        }
        EntryType::Symlink => {
            let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
            Content::Link(target().and_then(|target| resolve(directory, &target)))
        }
        EntryType::Link => Content::Link(target().and_then(|target| clean(&target))),
        _ => Content::Other,
    }
}

/// A name without `.` and empty components; `None` for one that leads out of the archive.
fn clean(name: &str) -> Option<String> {
    let is_said = |component: &&str| !matches!(*component, "" | ".");
    let components: Vec<_> = name.split('/').filter(is_said).collect();
    let leads_out = name.starts_with('/') || components.contains(&"..");
    (!leads_out).then(|| components.join("/"))
}

/// Where a symbolic link in `directory` leads to; `None` for out of the archive.
fn resolve(directory: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut components: Vec<&str> = directory.split('/').filter(|component| !component.is_empty()).collect();
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()?),
            name => components.push(name),
        }
    }
    Some(components.join("/"))
}

/// The archive for whoever reads its headers, with a limit on what is read between two files: contents are passed over.
struct Scanner<'a> {
    bytes: Bytes,
    allowance: &'a Cell<u64>,
}

enum Bytes {
    Plain { file: FileAt, length: u64 },
    Stream(Stream),
}

impl<'a> Scanner<'a> {
    fn new(data: &Data, allowance: &'a Cell<u64>) -> io::Result<Self> {
        let bytes = match data {
            Data::Plain { file, length } => Bytes::Plain { file: FileAt::new(file), length: *length },
            Data::Compressed(archive) => Bytes::Stream(archive.stream_at(0)?),
        };
        Ok(Self { bytes, allowance })
    }
}

impl Scanner<'_> {
    /// A compressed archive ends with checksums, behind its last file.
    fn end(self) -> io::Result<()> {
        match self.bytes {
            Bytes::Plain { .. } => Ok(()),
            Bytes::Stream(mut stream) => io::copy(&mut stream, &mut io::sink()).map(drop),
        }
    }
}

impl Read for Scanner<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.bytes {
            Bytes::Plain { file, .. } => file.read(buffer),
            Bytes::Stream(stream) => stream.read(buffer),
        }?;
        let too_much = || io::Error::other("a file has more than 1 MiB of headers");
        self.allowance.set(self.allowance.get().checked_sub(count as u64).ok_or_else(too_much)?);
        Ok(count)
    }
}

/// Forward only, and never behind the end: a file would be taken for one that is whole.
impl Seek for Scanner<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Current(distance) = to else { return Err(io::ErrorKind::Unsupported.into()) };
        let position = match &self.bytes {
            Bytes::Plain { file, .. } => file.position(),
            Bytes::Stream(stream) => stream.position(),
        };
        let target = position.checked_add_signed(distance).ok_or(io::ErrorKind::InvalidInput)?;
        match &mut self.bytes {
            Bytes::Plain { length, .. } if target > *length => return Err(io::ErrorKind::UnexpectedEof.into()),
            Bytes::Plain { file, .. } => file.set_position(target),
            Bytes::Stream(stream) => stream.advance_to(target)?,
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_however_it_is_spelled_and_never_leads_out() {
        for (name, cleaned) in [
            ("a/b", Some("a/b")),
            ("./a//./b/", Some("a/b")),
            ("./", Some("")),
            ("..a/b..", Some("..a/b..")),
            ("/a", None),
            ("../a", None),
            ("a/../b", None),
        ] {
            assert_eq!(clean(name).as_deref(), cleaned, "{name:?}");
        }
    }

    #[test]
    fn a_symbolic_link_is_followed_from_its_directory_and_not_out_of_the_archive() {
        for (directory, target, resolved) in [
            ("id", "../layer.tar", Some("layer.tar")),
            ("id", "layer.tar", Some("id/layer.tar")),
            ("a/b", ".././../c", Some("c")),
            ("", "layer.tar", Some("layer.tar")),
            ("", "../layer.tar", None),
            ("a", "../../layer.tar", None),
            ("a", "/layer.tar", None),
        ] {
            assert_eq!(resolve(directory, target).as_deref(), resolved, "{directory:?} {target:?}");
        }
    }
}
