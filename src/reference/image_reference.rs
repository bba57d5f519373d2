//! Where an image is: a transport and a place.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{DockerArchiveReference, DockerReference, OciReference, ParseError, Reference};

/// Transports of the Go programs that are not built here. Named, so that their error is not "unknown".
const FOREIGN_TRANSPORTS: [&str; 6] = ["atomic", "containers-storage", "docker-daemon", "ostree", "sif", "tarball"];

/// `transport:place`, as on the command line
/// ([containers-transports(5)](https://github.com/containers/image/blob/main/docs/containers-transports.5.md)).
///
/// `Display` and `FromStr` round-trip. Parsing reads no file: a path stays as it was written, so before a policy judges
/// an image on this machine its path must be [resolved](Self::with_path).
///
/// ```
/// use transship::ImageReference;
///
/// let image: ImageReference = "docker://busybox".parse()?;
/// assert_eq!(image.to_string(), "docker://busybox:latest");
/// assert_eq!(image.policy_identity().as_deref(), Some("docker.io/library/busybox:latest"));
/// # Ok::<(), transship::reference::ImageReferenceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImageReference {
    /// `docker://name[:tag|@digest]`: in a registry.
    Docker(DockerReference),
    /// `dir:path`: the files of one image in a directory.
    Dir(PathBuf),
    /// `oci:path[:name|:@index]`: in an OCI layout.
    Oci(OciReference),
    /// `oci-archive:path[:name|:@index]`: in a tar file of an OCI layout.
    OciArchive(OciReference),
    /// `docker-archive:path[:reference|:@index]`: in a file that `docker save` writes.
    DockerArchive(DockerArchiveReference),
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageReferenceError {
    /// No `:` at all.
    #[error("image {text:?} does not begin with a transport; {}", hint(meant.as_ref()))]
    NoTransport {
        /// What was given.
        text: String,
        /// What it would be in a registry, where it is a name.
        meant: Option<Reference>,
    },
    /// What is before the first `:` is no transport.
    #[error("unknown transport {transport:?}; {}", hint(meant.as_ref()))]
    UnknownTransport {
        /// What stands before the first `:`.
        transport: String,
        /// What the whole would be in a registry, where it is a name.
        meant: Option<Reference>,
    },
    /// A transport that podman and skopeo have.
    #[error("transport {0:?} is not supported; docker://, dir:, oci:, oci-archive: and docker-archive: are")]
    UnsupportedTransport(String),
    /// `docker:name`, without `//`.
    #[error("\"docker:\" must be followed by \"//\": write docker://{0}")]
    NoSlashes(String),
    /// The part that must be a reference is none.
    #[error("invalid image name")]
    Reference(#[from] ParseError),
    /// Both a tag and a digest.
    #[error(
        "{0} has both a tag and a digest; write docker://{by_digest} for exactly these bytes, or docker://{by_tag} for \
         what the tag names at the time",
        by_digest = .0.clone().without_tag().familiar(),
        by_tag = .0.clone().without_digest().familiar()
    )]
    TagAndDigest(Reference),
    /// `@@unknown-digest@@` after a tag or a digest.
    #[error("{0} has a tag or a digest, so its digest is not unknown; leave out either that or @@unknown-digest@@")]
    KnownDigest(Reference),
    /// Nothing where a path must be.
    #[error("no path after the transport; write \".\" for the current directory")]
    NoPath,
    /// A `:` in a path that is followed by `:name`.
    #[error("{} has a \":\" in it, which cannot be told from the one before an image's name; use another path", .0.display())]
    Colon(PathBuf),
    /// Not a name by the grammar of `org.opencontainers.image.ref.name`.
    #[error(
        "invalid name {0:?} of an image in an OCI layout: A-Z a-z 0-9 in groups, separated by one of - . _ : @ + / or by --"
    )]
    OciName(String),
    /// Not a position.
    #[error("invalid image index \"@{0}\", expected @ and a number from 0")]
    Index(String),
    /// A digest where an archive knows tags only.
    #[error("{0} has a digest, and images in a docker-archive: have tags only; write {tagged}", tagged = .0.clone().without_digest().with_default_tag())]
    ArchivedDigest(Reference),
}

impl ImageReference {
    /// The word before the first `:`.
    pub fn transport(&self) -> &'static str {
        match self {
            Self::Docker(_) => "docker",
            Self::Dir(_) => "dir",
            Self::Oci(_) => "oci",
            Self::OciArchive(_) => "oci-archive",
            Self::DockerArchive(_) => "docker-archive",
        }
    }

    /// The file or directory; `None` for an image in a registry.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Docker(_) => None,
            Self::Dir(path) => Some(path),
            Self::Oci(layout) | Self::OciArchive(layout) => Some(layout.path()),
            Self::DockerArchive(archive) => Some(archive.path()),
        }
    }

    /// The same image by another spelling of its path. An image in a registry has none and stays as it is.
    ///
    /// A policy's scopes are absolute paths without symbolic links. Whoever asks a policy first puts the resolved path
    /// in here; that needs the file system, so it is not done by this type.
    ///
    /// # Errors
    /// When the new path is empty, or is one that [`Display`](fmt::Display) could not write so that it reads back.
    pub fn with_path(self, path: PathBuf) -> Result<Self, ImageReferenceError> {
        Ok(match self {
            Self::Docker(reference) => Self::Docker(reference),
            Self::Dir(_) if path.as_os_str().is_empty() => return Err(ImageReferenceError::NoPath),
            Self::Dir(_) => Self::Dir(path),
            Self::Oci(layout) => Self::Oci(OciReference::new(path, layout.image().clone())?),
            Self::OciArchive(layout) => Self::OciArchive(OciReference::new(path, layout.image().clone())?),
            Self::DockerArchive(archive) => {
                Self::DockerArchive(DockerArchiveReference::new(path, archive.image().clone())?)
            }
        })
    }

    /// The most specific scope of a policy that fits, within [`transport`](Self::transport); `None` where only the
    /// transport's own default can fit.
    ///
    /// For an image on this machine it means something only once its path is [resolved](Self::with_path): no scope
    /// fits a relative path.
    pub fn policy_identity(&self) -> Option<String> {
        match self {
            Self::Docker(docker) => Some(docker.reference().to_string()),
            Self::Dir(path) => Some(path.to_string_lossy().into_owned()),
            Self::Oci(layout) | Self::OciArchive(layout) => Some(layout.path().to_string_lossy().into_owned()),
            Self::DockerArchive(_) => None,
        }
    }

    /// The wider scopes of a policy that fit when [`policy_identity`](Self::policy_identity) is not in it, most specific
    /// first. The transport's own default, the scope `""`, comes after them and is not among them.
    pub fn policy_namespaces(&self) -> Vec<String> {
        match self {
            Self::Docker(docker) if docker.is_unknown_digest() => docker.reference().namespaces().split_off(1),
            Self::Docker(docker) => docker.reference().namespaces(),
            Self::Dir(path) => ancestors(path).skip(1).collect(),
            Self::Oci(layout) | Self::OciArchive(layout) => ancestors(layout.path()).collect(),
            Self::DockerArchive(_) => Vec::new(),
        }
    }
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        let Some((transport, place)) = text.split_once(':') else {
            return Err(ImageReferenceError::NoTransport { text: text.to_owned(), meant: meant(text) });
        };
        match transport {
            "docker" => match place.strip_prefix("//") {
                Some(name) => name.parse().map(Self::Docker),
                None => Err(ImageReferenceError::NoSlashes(place.trim_start_matches('/').to_owned())),
            },
            "dir" if place.is_empty() => Err(ImageReferenceError::NoPath),
            "dir" => Ok(Self::Dir(place.into())),
            "oci" => place.parse().map(Self::Oci),
            "oci-archive" => place.parse().map(Self::OciArchive),
            "docker-archive" => place.parse().map(Self::DockerArchive),
            foreign if FOREIGN_TRANSPORTS.contains(&foreign) => {
                Err(ImageReferenceError::UnsupportedTransport(foreign.to_owned()))
            }
            unknown => Err(ImageReferenceError::UnknownTransport { transport: unknown.to_owned(), meant: meant(text) }),
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.transport())?;
        match self {
            Self::Docker(docker) => write!(f, "//{docker}"),
            Self::Dir(path) => write!(f, "{}", path.display()),
            Self::Oci(layout) | Self::OciArchive(layout) => layout.fmt(f),
            Self::DockerArchive(archive) => archive.fmt(f),
        }
    }
}

/// The path and the directories above it, but not `/`: that scope is spelled `""`.
fn ancestors(path: &Path) -> impl Iterator<Item = String> {
    path.ancestors()
        .filter(|ancestor| ancestor.file_name().is_some())
        .map(|ancestor| ancestor.to_string_lossy().into_owned())
}

/// The registry reference that somebody probably meant who left `docker://` out, or wrote a scheme instead.
fn meant(text: &str) -> Option<Reference> {
    let name = text.split_once("://").map_or(text, |(_, name)| name);
    name.parse().ok()
}

fn hint(meant: Option<&Reference>) -> String {
    match meant {
        Some(reference) => format!("for an image in a registry write docker://{}", reference.familiar()),
        None => "write docker://name, dir:path, oci:path, oci-archive:path or docker-archive:path".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        crate::error::one_line(&text.parse::<ImageReference>().unwrap_err())
    }

    #[test]
    fn a_name_without_transport_is_told_how_to_write_it() {
        for text in ["quay.io/org/app:1", "localhost:5000/app", "https://quay.io/org/app:1", "Docker://busybox"] {
            let name = text.split_once("://").map_or(text, |(_, name)| name);
            assert!(error(text).ends_with(&format!("; for an image in a registry write docker://{name}")), "{text}");
        }
        assert!(
            error("").ends_with("; write docker://name, dir:path, oci:path, oci-archive:path or docker-archive:path")
        );
        assert_eq!(error("docker:busybox"), r#""docker:" must be followed by "//": write docker://busybox"#);
        assert_eq!(error("docker:/busybox"), r#""docker:" must be followed by "//": write docker://busybox"#);
    }

    #[test]
    fn a_transport_of_podman_that_is_not_here_is_not_called_unknown() {
        for transport in FOREIGN_TRANSPORTS {
            assert!(error(&format!("{transport}:x")).contains("is not supported"), "{transport}");
        }
    }

    #[test]
    fn tag_and_digest_together_are_refused_with_both_ways_out() {
        let digest = crate::Digest::sha256(b"");
        let text = error(&format!("docker://busybox:1@{digest}"));
        assert!(text.contains(&format!("; write docker://busybox@{digest} for exactly")), "{text}");
        assert!(text.contains(", or docker://busybox:1 for"), "{text}");
    }

    #[test]
    fn a_place_may_be_named_by_its_resolved_path() {
        for (text, resolved) in [
            ("dir:x", "dir:/srv/x"),
            ("oci:x:name", "oci:/srv/x:name"),
            ("oci-archive:x:@3", "oci-archive:/srv/x:@3"),
            ("docker-archive:x:app", "docker-archive:/srv/x:docker.io/library/app:latest"),
            ("docker://x", "docker://x:latest"),
        ] {
            let image: ImageReference = text.parse().unwrap();
            assert_eq!(image.with_path("/srv/x".into()).unwrap().to_string(), resolved);
        }
    }

    #[test]
    fn a_path_that_could_not_be_read_back_is_refused() {
        let layout: ImageReference = "oci:x".parse().unwrap();
        assert_eq!(layout.clone().with_path("/a:b".into()), Err(ImageReferenceError::Colon("/a:b".into())));
        assert_eq!(layout.with_path(PathBuf::new()), Err(ImageReferenceError::NoPath));
        let directory: ImageReference = "dir:x".parse().unwrap();
        assert_eq!(directory.clone().with_path("/a:b".into()).unwrap().to_string(), "dir:/a:b");
        assert_eq!(directory.with_path(PathBuf::new()), Err(ImageReferenceError::NoPath));
    }

    #[test]
    fn the_root_directory_is_no_namespace() {
        let namespaces = |text: &str| text.parse::<ImageReference>().unwrap().policy_namespaces();
        assert_eq!(namespaces("dir:/srv/images/app"), ["/srv/images", "/srv"]);
        assert_eq!(namespaces("oci:/srv/images:app"), ["/srv/images", "/srv"]);
        assert_eq!(namespaces("dir:/"), [""; 0]);
        assert_eq!(namespaces("oci:/"), [""; 0]);
    }
}
