//! What is done, by both.

use super::images::{FIFTY, Image, LARGE, MANY, PLAIN_TEXT, SIGNED, SMALL, TEXT};

/// Something to do for both.
pub struct Work {
    pub name: &'static str,
    pub words: Words,
    pub image: &'static Image,
    pub shape: Shape,
    pub runs: usize,
}

/// Where the image is, and where it goes if it goes anywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Out of a registry.
    Pull(Way),
    /// Out of a layout into a registry on loopback that has nothing.
    Push,
    /// Out of a layout into a file or a directory of this transport.
    Local(&'static str),
    /// Out of a registry into another one that has all of them already.
    Sync,
}

/// How a registry is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Near,
    Far,
    FarOverTls,
}

impl Shape {
    pub fn way(self) -> Way {
        match self {
            Self::Pull(way) => way,
            Self::Push | Self::Local(_) | Self::Sync => Way::Near,
        }
    }
}

/// Theirs, and ours.
pub type Words = [&'static [&'static str]; 2];

const COPY: Words = [&["copy", "--insecure-policy"]; 2];
const COPY_SIGNED: Words = [&["copy"]; 2];
const COPY_TO_ZSTD: Words = [&["copy", "--insecure-policy", "--dest-compress-format=zstd"]; 2];
const COPY_TO_GZIP: Words = [&["copy", "--insecure-policy", "--dest-compress"]; 2];
const SYNC: Words = [&["sync", "--insecure-policy", "--src=docker", "--dest=docker"]; 2];
/// skopeo has no word for it, and copies.
const VERIFY: Words = [&["copy"], &["verify"]];
const INSPECT: Words = [&["inspect"]; 2];
const INSPECT_NO_TAGS: Words = [&["inspect", "--no-tags"]; 2];

const NEAR: Shape = Shape::Pull(Way::Near);
const FAR: Shape = Shape::Pull(Way::Far);
const FAR_OVER_TLS: Shape = Shape::Pull(Way::FarOverTls);
const LAYOUT: Shape = Shape::Local("oci");
const OCI_ARCHIVE: Shape = Shape::Local("oci-archive");
const DOCKER_ARCHIVE: Shape = Shape::Local("docker-archive");

#[rustfmt::skip]
pub const WORKS: &[Work] = &[
    Work { name: "copy 3 small layers", words: COPY, image: &SMALL, shape: NEAR, runs: 20 },
    Work { name: "copy 100 layers of 75 KB", words: COPY, image: &MANY, shape: NEAR, runs: 20 },
    Work { name: "copy 4 layers, 1 GiB", words: COPY, image: &LARGE, shape: NEAR, runs: 5 },
    Work { name: "copy 3 small layers, signed", words: COPY_SIGNED, image: &SIGNED, shape: NEAR, runs: 20 },
    Work { name: "verify 3 small layers, signed", words: VERIFY, image: &SIGNED, shape: NEAR, runs: 20 },
    Work { name: "push 3 small layers", words: COPY, image: &SMALL, shape: Shape::Push, runs: 20 },
    Work { name: "push 4 layers, 1 GiB", words: COPY, image: &LARGE, shape: Shape::Push, runs: 5 },
    Work { name: "write oci-archive, 100 layers", words: COPY, image: &MANY, shape: OCI_ARCHIVE, runs: 20 },
    Work { name: "write oci-archive, 1 GiB", words: COPY, image: &LARGE, shape: OCI_ARCHIVE, runs: 5 },
    Work { name: "write docker-archive, 100 layers", words: COPY, image: &MANY, shape: DOCKER_ARCHIVE, runs: 20 },
    Work { name: "write docker-archive, 1 GiB", words: COPY, image: &LARGE, shape: DOCKER_ARCHIVE, runs: 5 },
    Work { name: "copy 4 layers, 256 MiB, gzip to zstd", words: COPY_TO_ZSTD, image: &TEXT, shape: LAYOUT, runs: 5 },
    Work { name: "copy 4 layers, 256 MiB, plain to gzip", words: COPY_TO_GZIP, image: &PLAIN_TEXT, shape: LAYOUT, runs: 5 },
    Work { name: "sync 50 unchanged images", words: SYNC, image: &FIFTY, shape: Shape::Sync, runs: 20 },
    Work { name: "inspect, far", words: INSPECT, image: &SMALL, shape: FAR, runs: 10 },
    Work { name: "inspect without tags, far", words: INSPECT_NO_TAGS, image: &SMALL, shape: FAR, runs: 10 },
    Work { name: "inspect without tags, far, over TLS", words: INSPECT_NO_TAGS, image: &SMALL, shape: FAR_OVER_TLS, runs: 10 },
    Work { name: "copy 3 small layers, far", words: COPY, image: &SMALL, shape: FAR, runs: 10 },
    Work { name: "copy 3 small layers, far, over TLS", words: COPY, image: &SMALL, shape: FAR_OVER_TLS, runs: 10 },
    Work { name: "copy 100 layers of 75 KB, far", words: COPY, image: &MANY, shape: FAR, runs: 5 },
];
