//! A manifest with other layers, an index with other instances: new documents of the same kind.
//!
//! What the document kinds have no word for is lost, as it is by Go programs.

use std::collections::{BTreeMap, HashSet};

use super::convert::Error;
use super::document::{self, DockerList, DockerManifest, Manifest};
use super::layer_type::LayerType;
use super::{ImageManifest, Index, ManifestBytes, go_json};
use crate::compression::Compression;
use crate::digest::Digest;
use crate::media_type::MediaType;

/// On an instance of an index: its layers are zstd.
pub(super) const ZSTD_ANNOTATION: &str = "io.github.containers.compression.zstd";

/// Annotations that speak of the bytes of a layer as they were compressed: those of zstd:chunked, and of estargz.
const COMPRESSED_BYTES: [&str; 3] =
    ["io.github.containers.zstd-chunked.", "containerd.io/snapshot/stargz/", "io.containers.estargz."];

/// A layer in another form: the same tar file, other bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewLayer {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) compression: Option<Compression>,
}

/// The manifest with other layers. `changes` has an entry for each of its layers, `None` for one that stays.
pub(crate) fn with_layers(manifest: &ManifestBytes, changes: &[Option<NewLayer>]) -> Result<ManifestBytes, Error> {
    if changes.iter().all(Option::is_none) {
        return Ok(manifest.clone());
    }
    let media_type = manifest.media_type();
    let allowed = ["config", "layers"];
    let bytes = if *media_type == MediaType::DOCKER_MANIFEST {
        let mut document: DockerManifest = manifest.document(&allowed)?;
        for (layer, change) in changed(&mut document.layers, changes) {
            layer.media_type = renamed(&layer.media_type, change)?;
            (layer.digest, layer.size) = (change.digest.to_string(), change.size);
            layer.urls.clear();
        }
        go_json::to_vec(&document)
    } else {
        let mut document: Manifest = manifest.document(&allowed)?;
        for (layer, change) in changed(&mut document.layers, changes) {
            layer.media_type = renamed(&layer.media_type, change)?;
            (layer.digest, layer.size) = (change.digest.to_string(), change.size);
            layer.annotations.retain(|key, _| !COMPRESSED_BYTES.iter().any(|prefix| key.starts_with(prefix)));
            // They are, and are elsewhere, what the layer was.
            (layer.data, layer.urls) = <_>::default();
        }
        go_json::to_vec(&document)
    };
    Ok(ManifestBytes::new(bytes.map_err(Error::Write)?, media_type.clone()))
}

fn changed<'a, L>(
    layers: &'a mut [L],
    changes: &'a [Option<NewLayer>],
) -> impl Iterator<Item = (&'a mut L, &'a NewLayer)> {
    layers.iter_mut().zip(changes).filter_map(|(layer, change)| Some((layer, change.as_ref()?)))
}

/// The media type of a layer for its new compression.
fn renamed(media_type: &str, change: &NewLayer) -> Result<String, Error> {
    let new = LayerType::of(media_type).map(|kind| LayerType { compression: change.compression, ..kind });
    let missing = || Error::LayerType { digest: change.digest.to_string(), media_type: media_type.to_owned() };
    new.and_then(LayerType::media_type).map(str::to_owned).ok_or_else(missing)
}

/// The index with other manifests for some of its instances, which are under their old digests in `replaced`; and with
/// no others than `kept`, where that is given.
pub(crate) fn with_instances(
    index: &ManifestBytes,
    replaced: &BTreeMap<Digest, ManifestBytes>,
    kept: Option<&HashSet<Digest>>,
) -> Result<ManifestBytes, Error> {
    let view = Index::parse(index)?;
    let is_kept = |digest: &Digest| kept.is_none_or(|kept| kept.contains(digest));
    let is_same = |digest: &Digest| is_kept(digest) && !replaced.contains_key(digest);
    if view.instances().iter().all(|instance| is_same(instance.digest())) {
        return Ok(index.clone());
    }
    let digests = view.instances().iter().map(|instance| instance.digest().clone());
    let fate = |digest| match replaced.get(&digest) {
        _ if !is_kept(&digest) => Fate::Left,
        Some(new) => Fate::Replaced(new),
        None => Fate::Kept,
    };
    let instances: Vec<_> = digests.map(fate).collect();
    let media_type = index.media_type();
    let bytes = if *media_type == MediaType::DOCKER_LIST {
        let mut document: DockerList = index.document(&["manifests"])?;
        document.manifests = with_entries(document.manifests, &instances, |entry, new| {
            (entry.media_type, entry.digest) = (new.media_type().to_string(), new.digest().to_string());
            entry.size = new.size();
            entry.urls.clear();
            Ok(())
        })?;
        go_json::to_vec(&document)
    } else {
        let mut document: document::Index = index.document(&["manifests"])?;
        document.manifests = with_entries(document.manifests, &instances, |entry, new| {
            (entry.media_type, entry.digest) = (new.media_type().to_string(), new.digest().to_string());
            entry.size = new.size();
            (entry.data, entry.urls) = <_>::default();
            entry.annotations.remove(ZSTD_ANNOTATION);
            if is_zstd(new)? {
                entry.annotations.insert(ZSTD_ANNOTATION.to_owned(), "true".to_owned());
            }
            Ok(())
        })?;
        go_json::to_vec(&document)
    };
    Ok(ManifestBytes::new(bytes.map_err(Error::Write)?, media_type.clone()))
}

/// What becomes of an instance.
enum Fate<'a> {
    Left,
    Kept,
    Replaced(&'a ManifestBytes),
}

fn with_entries<E>(
    entries: Vec<E>,
    fates: &[Fate<'_>],
    change: impl Fn(&mut E, &ManifestBytes) -> Result<(), Error>,
) -> Result<Vec<E>, Error> {
    let mut kept = Vec::new();
    for (mut entry, fate) in entries.into_iter().zip(fates) {
        match fate {
            Fate::Left => continue,
            Fate::Kept => {}
            Fate::Replaced(new) => change(&mut entry, new)?,
        }
        kept.push(entry);
    }
    Ok(kept)
}

/// True for an image with layers that are all zstd.
fn is_zstd(manifest: &ManifestBytes) -> Result<bool, Error> {
    let image = ImageManifest::parse(manifest)?;
    let compression = |media_type: &str| LayerType::of(media_type).and_then(|kind| kind.compression);
    let mut layers = image.layers().iter().map(|layer| compression(layer.media_type().as_ref()));
    Ok(!image.layers().is_empty() && layers.all(|compression| compression == Some(Compression::Zstd)))
}
