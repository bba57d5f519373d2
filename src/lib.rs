//! Container images from registries, through the administrator's mirrors, verified: what a copy tool, a policy pipeline
//! or a test suite embeds instead of running skopeo.

pub mod config;
pub mod copy;
pub mod destination;
pub mod digest;
pub mod error;
pub mod http;
pub mod manifest;
pub mod media_type;
pub mod policy;
pub mod reference;
pub mod registry;
pub mod safe_url;
pub mod secret;
pub mod source;

pub use digest::Digest;
pub use media_type::MediaType;
pub use reference::{ImageReference, Reference};
pub use safe_url::SafeUrl;
pub use secret::Secret;
