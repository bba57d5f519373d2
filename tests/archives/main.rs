//! Images in tar files, `oci-archive:` and `docker-archive:`, read and written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should panic")]
#![allow(unreachable_pub, reason = "the modules of a test are no library")]

mod broken;
mod docker;
mod links;
mod made;
mod oci;
mod skopeo;
mod writing;

#[path = "../support"]
mod support {
    #![allow(dead_code, unreachable_pub, reason = "each test uses its own part of it")]

    pub mod local;
    pub mod peers;
    pub mod shared;
    pub mod tables;
}
