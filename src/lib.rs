//! Container images from registries, through the administrator's mirrors, verified: what a copy tool, a policy pipeline
//! or a test suite embeds instead of running skopeo.
//!
//! Every call blocks; there is no runtime. The files that decide are podman's: registries.conf, registries.d,
//! policy.json, auth.json and certs.d.
//!
//! ```no_run
//! use transship::config::Config;
//! use transship::policy::Policy;
//! use transship::{ImageReference, copy, destination, source};
//!
//! let config = Config::load()?;
//! let image: ImageReference = "docker://quay.io/podman/hello".parse()?;
//! let source = source::open(&config, &image)?;
//! println!("asked for {}, read from {}", source.logical(), source.physical());
//!
//! let destination = destination::open(&"dir:hello".parse()?)?;
//! let policy = Policy::new(config.policy()?);
//! copy::image(&*source, &*destination, &policy, &copy::Options::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The way through
//!
//! | to | look at |
//! |---|---|
//! | name an image | [`ImageReference`], [`Reference`], [`Digest`] |
//! | read the administrator's files, or others | [`config::Config`], [`config::Paths`] |
//! | open an image, through mirrors | [`source::open`], [`source::Options`], [`source::ImageSource`] |
//! | read its manifest | [`manifest::ImageManifest`], [`manifest::Index`] |
//! | know what a name stands for, without opening an image | [`source::resolve`], [`source::Resolved`] |
//! | read any content of a repository, or a part of it | [`source::Fetcher`], [`source::Content`] |
//! | ask whether it may be used | [`policy::Policy`], whose answer is an [`policy::AllowedImage`] or an error with a [`policy::Judgement`] |
//! | look at its signatures | [`source::ImageSource::signatures`], [`signature::UntrustedSignature`] |
//! | verify one signature by itself | [`signature::openpgp::Keyring`], [`signature::sigstore::verify`] |
//! | verify a directory under the name of an image | [`source::DirSource::standing_for`] |
//! | copy it | [`copy::image`], [`destination::open`], [`destination::open_with`] for a registry |
//! | give layers another compression | [`copy::Options::layers`], [`compression::Compressor`] |
//! | keep images in a place of one's own | [`source::ImageSource`], [`destination::ImageDestination`] |
//! | copy several into one archive | [`destination::DockerArchiveWriter`] |
//! | copy many, but for those that are there | [`sync::images`] |
//! | keep images under their names on a machine | [`store::Store`] |
//! | sign it | [`copy::Options::signers`], or [`signature::ImageSigner::sign`] without a copy |
//! | delete it | [`destination::delete`] |
//! | log in to a registry, and out | [`source::check_login`], [`config::Config::store_login`], [`config::Config::remove_login`] |
//! | speak to one registry | [`source::registry_client`], [`registry::RegistryClient`] |
//! | test with recorded traffic | [`http::Recorder`], [`http::Replay`], [`http::TestClock`] |
//!
//! # Errors
//!
//! Each layer has one error type and keeps the cause below it as `source()`. Questions are asked of the error
//! ([`source::Error::is_not_found`] and its like), or of its chain with [`error::find`]; nobody has to match on text.
//!
//! # Features
//!
//! `cli` (on by default) builds the program. Embedders turn it off: `default-features = false`.
//!
//! Exactly one of these computes OpenPGP; without any, the crate does not build:
//!
//! | feature | needs on Debian 12 |
//! |---|---|
//! | `openpgp-rust` (on by default) | nothing; the time that *signing* takes depends on the secret key |
//! | `openpgp-openssl` | `libssl-dev pkg-config libclang-common-14-dev` |
//! | `openpgp-nettle` | `nettle-dev pkg-config libclang-common-14-dev` |

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod compression;
pub mod config;
pub mod copy;
pub mod destination;
pub mod digest;
pub mod error;
pub mod http;
pub mod manifest;
pub mod media_type;
pub mod policy;
mod recent;
pub mod reference;
pub mod registry;
pub mod safe_url;
pub mod secret;
pub mod signature;
pub mod source;
pub mod store;
mod strict_json;
pub mod sync;

pub use digest::Digest;
pub use media_type::MediaType;
/// The crate whose [`Descriptor`](manifest::Descriptor) stands in the interface, for who makes one.
pub use oci_spec;
pub use reference::{ImageReference, Reference};
pub use safe_url::SafeUrl;
pub use secret::Secret;

/// The examples of the documents beside the code are run as tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
}
