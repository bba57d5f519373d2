//! `oci:`, `oci-archive:` and `docker-archive:`: one of several images at a path.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{ImageReferenceError, Reference};

/// An image in an [OCI layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md), or in a tar file
/// of one: `path[:name|:@index]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OciReference {
    path: PathBuf,
    image: OciImage,
}

/// Which image of an OCI layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OciImage {
    /// The only one there is; written without a name.
    Only,
    /// The one with this `org.opencontainers.image.ref.name`.
    Named(OciName),
    /// The one at this position of `index.json`, counted from 0. Only to read.
    Index(usize),
}

/// The value of `org.opencontainers.image.ref.name`, by the
/// [grammar of the annotation](https://github.com/opencontainers/image-spec/blob/main/annotations.md#pre-defined-annotation-keys).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OciName(String);

/// An image in a file that `docker save` writes: `path[:reference|:@index]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DockerArchiveReference {
    path: PathBuf,
    image: ArchivedImage,
}

/// Which image of a file that `docker save` writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ArchivedImage {
    /// The only one there is; written without a reference.
    Only,
    /// The one with this tag among its `RepoTags`.
    Tagged(Reference),
    /// The one at this position of `manifest.json`, counted from 0. Only to read.
    Index(usize),
}

impl OciReference {
    /// An image of the layout at `path`.
    ///
    /// # Errors
    /// When the path is empty or has a `:` in it.
    pub fn new(path: impl Into<PathBuf>, image: OciImage) -> Result<Self, ImageReferenceError> {
        Ok(Self { path: checked(path.into())?, image })
    }

    /// The directory, or the archive.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which of its images.
    pub fn image(&self) -> &OciImage {
        &self.image
    }
}

impl FromStr for OciReference {
    type Err = ImageReferenceError;

    /// Reads what stands after `oci:` or `oci-archive:`.
    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        let (path, image) = text.split_once(':').unwrap_or((text, ""));
        let image = match image.strip_prefix('@') {
            Some(index) => OciImage::Index(parse_index(index)?),
            None if image.is_empty() => OciImage::Only,
            None => OciImage::Named(image.parse()?),
        };
        Self::new(path, image)
    }
}

impl fmt::Display for OciReference {
    /// Writes the `:` even where no name follows, as skopeo does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        match &self.image {
            OciImage::Only => Ok(()),
            OciImage::Named(name) => name.fmt(f),
            OciImage::Index(index) => write!(f, "@{index}"),
        }
    }
}

impl OciName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OciName {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        let is_word = |c: char| c.is_ascii_alphanumeric();
        let is_separator = |run: &str| matches!(run, "" | "-" | "." | "_" | ":" | "@" | "+" | "--");
        let is_component = |component: &str| {
            component.starts_with(is_word) && component.ends_with(is_word) && component.split(is_word).all(is_separator)
        };
        if text.split('/').all(is_component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ImageReferenceError::OciName(text.to_owned()))
        }
    }
}

impl fmt::Display for OciName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl DockerArchiveReference {
    /// An image of the archive at `path`. A reference without a tag gets `:latest`.
    ///
    /// # Errors
    /// When the path is empty or has a `:` in it, or the reference has a digest.
    pub fn new(path: impl Into<PathBuf>, image: ArchivedImage) -> Result<Self, ImageReferenceError> {
        let image = match image {
            ArchivedImage::Tagged(reference) if reference.digest().is_some() => {
                return Err(ImageReferenceError::ArchivedDigest(reference));
            }
            ArchivedImage::Tagged(reference) => ArchivedImage::Tagged(reference.with_default_tag()),
            other => other,
        };
        Ok(Self { path: checked(path.into())?, image })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which of its images.
    pub fn image(&self) -> &ArchivedImage {
        &self.image
    }
}

impl FromStr for DockerArchiveReference {
    type Err = ImageReferenceError;

    /// Reads what stands after `docker-archive:`.
    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        let Some((path, image)) = text.split_once(':') else { return Self::new(text, ArchivedImage::Only) };
        let image = match image.strip_prefix('@') {
            Some(index) => ArchivedImage::Index(parse_index(index)?),
            None => ArchivedImage::Tagged(image.parse()?),
        };
        Self::new(path, image)
    }
}

impl fmt::Display for DockerArchiveReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.image {
            ArchivedImage::Only => Ok(()),
            ArchivedImage::Tagged(reference) => write!(f, ":{reference}"),
            ArchivedImage::Index(index) => write!(f, ":@{index}"),
        }
    }
}

fn checked(path: PathBuf) -> Result<PathBuf, ImageReferenceError> {
    if path.as_os_str().is_empty() {
        return Err(ImageReferenceError::NoPath);
    }
    if path.as_os_str().as_encoded_bytes().contains(&b':') {
        return Err(ImageReferenceError::Colon(path));
    }
    Ok(path)
}

fn parse_index(text: &str) -> Result<usize, ImageReferenceError> {
    let invalid = || ImageReferenceError::Index(text.to_owned());
    // A sign would be accepted by the number's own parser.
    if text.starts_with(|c: char| c.is_ascii_digit()) { text.parse().map_err(|_| invalid()) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_layout_follows_the_annotation_s_grammar() {
        for good in ["latest", "v1.0", "a--b", "docker.io/library/busybox:latest", "a@b+c", "A/B_9"] {
            assert_eq!(good.parse::<OciName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "a---b", "a..b", "a/", "/a", "a//b", "a b", "é", "a.-b"] {
            assert_eq!(bad.parse::<OciName>(), Err(ImageReferenceError::OciName(bad.to_owned())), "{bad:?}");
        }
    }

    #[test]
    fn an_index_is_a_number_from_zero_without_sign() {
        for (text, index) in [("0", Some(0)), ("007", Some(7)), ("+1", None), ("-1", None), ("", None), ("1x", None)] {
            assert_eq!(parse_index(text).ok(), index, "{text:?}");
        }
        assert!(parse_index("99999999999999999999999").is_err());
    }

    #[test]
    fn a_path_must_be_there() {
        for text in ["", ":name", ":@0"] {
            assert_eq!(text.parse::<OciReference>(), Err(ImageReferenceError::NoPath), "{text:?}");
            assert_eq!(text.parse::<DockerArchiveReference>(), Err(ImageReferenceError::NoPath), "{text:?}");
        }
    }
}
