//! What is at a place already.

use super::Error;
use super::error::failed;
use crate::config::Config;
use crate::reference::DockerReference;
use crate::registry::{ManifestHead, Selector};
use crate::source::{self, Options};

/// What a registry says of the image that is at a place; `None` where there is none, or none can be asked for. One
/// `HEAD`, where the registry answers it as it should.
///
/// The registry itself is asked, never a mirror, and as somebody who is about to write there.
pub fn head(config: &Config, place: &DockerReference, options: &Options) -> Result<Option<ManifestHead>, Error> {
    let (client, physical) = source::push_client(config, place.reference(), options).map_err(Error::Registry)?;
    let selector = match (physical.tag(), physical.digest()) {
        (Some(tag), _) => Selector::Tag(tag.clone()),
        (None, Some(digest)) => Selector::Digest(digest.clone()),
        (None, None) => return Ok(None),
    };
    match client.manifest_head(&selector) {
        Ok(head) => Ok(Some(head)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
