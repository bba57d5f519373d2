//! The entries of a store in the index of its layout: one for each name.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{Names, classify};
use crate::digest::Digest;
use crate::manifest::ManifestBytes;
use crate::manifest::document::{Descriptor, Index, REF_NAME};
use crate::reference::Reference;

/// Says that an entry is a store's, with containerd's word for that. Others are other tools', and stay as they are.
const MANAGED: (&str, &str) = ("io.cri-containerd.image", "managed");
/// Says that the image is not to be removed by whoever makes room.
const PINNED: (&str, &str) = ("io.cri-containerd.pinned", "pinned");
/// The id of the image: the digest of its config.
const ID: &str = "transship.image.id";
/// The digest of what was pulled under the name: that of the index where there is one.
const TARGET: &str = "transship.image.target";
/// On a digest that was asked for itself, and did not only come with a tag.
const ASKED_FOR: (&str, &str) = ("transship.image.asked-for", "true");
/// Followed by a registry: the repositories there that the image came from, with commas between them.
const DISTRIBUTION_SOURCE: &str = "containerd.io/distribution.source.";

/// The labels of an image that was pulled as `image`: pinned only where one of `pinned_images` is exactly that, spelled
/// out in full.
pub fn labels(image: &Reference, pinned_images: &[String]) -> Vec<(&'static str, &'static str)> {
    let name = image.to_string();
    let is_pinned = pinned_images.contains(&name);
    [MANAGED].into_iter().chain(is_pinned.then_some(PINNED)).collect()
}

/// Repositories of one registry, sorted, each once, with commas between them; `more` is added to what is there.
pub(super) fn merged_repositories(existing: &str, more: &str) -> String {
    let all: BTreeSet<&str> = existing.split(',').chain([more]).filter(|name| !name.is_empty()).collect();
    all.into_iter().collect::<Vec<_>>().join(",")
}

/// An image that was pulled.
pub(super) struct Pulled<'a> {
    pub(super) id: &'a Digest,
    pub(super) names: &'a Names,
    pub(super) manifest: &'a ManifestBytes,
    pub(super) pinned_images: &'a [String],
}

impl Pulled<'_> {
    /// Gives the image its names: id, tag and digest. Where one names another image, it moves; where all is as it should
    /// be, nothing changes.
    pub(super) fn enter(&self, index: &mut Index) {
        let tag = self.names.repo_tag.as_ref();
        let wanted = tag.unwrap_or(&self.names.repo_digest);
        let repositories = self.repositories(index);
        self.put(index, &self.id.to_string(), wanted, &repositories, false);
        if let Some(tag) = tag {
            self.put(index, &tag.to_string(), wanted, &repositories, false);
        }
        self.put(index, &self.names.repo_digest.to_string(), wanted, &repositories, tag.is_none());
    }

    fn repositories(&self, index: &Index) -> (String, String) {
        let name = self.names.repo_digest.name();
        let key = format!("{DISTRIBUTION_SOURCE}{}", name.domain());
        let known = index.manifests.iter().find(|entry| id(entry).as_ref() == Some(self.id));
        let known = known.and_then(|entry| entry.annotations.get(&key)).map_or("", String::as_str);
        let value = merged_repositories(known, name.path());
        (key, value)
    }

    fn put(&self, index: &mut Index, name: &str, wanted: &Reference, repositories: &(String, String), asked_for: bool) {
        let at = index.manifests.iter().position(|entry| is_called(entry, name));
        let old = at.and_then(|at| index.manifests.get(at)).cloned();
        // What another tool has put under the name keeps its place without one.
        for entry in index.manifests.iter_mut().filter(|entry| id(entry).is_none() && entry.name() == Some(name)) {
            entry.annotations.remove(REF_NAME);
        }
        let is_same = |old: &Descriptor| id(old).as_ref() == Some(self.id);
        let mut annotations = match &old {
            Some(old) if is_same(old) => old.annotations.clone(),
            // What was said of another image is not true of this one, but for what people said.
            Some(old) => {
                let stays = |key: &str| [PINNED.0, ASKED_FOR.0].contains(&key) || !is_ours(key);
                old.annotations.clone().into_iter().filter(|(key, _)| stays(key)).collect()
            }
            None => BTreeMap::default(),
        };
        annotations.extend([(REF_NAME.to_owned(), name.to_owned()), (ID.to_owned(), self.id.to_string())]);
        let target = self.names.repo_digest.digest();
        annotations.extend(target.map(|target| (TARGET.to_owned(), target.to_string())));
        let labels = labels(wanted, self.pinned_images).into_iter().chain(asked_for.then_some(ASKED_FOR));
        annotations.extend(labels.map(|(key, value)| (key.to_owned(), value.to_owned())));
        annotations.insert(repositories.0.clone(), repositories.1.clone());
        let new = Descriptor {
            media_type: self.manifest.media_type().to_string(),
            digest: self.manifest.digest().to_string(),
            size: self.manifest.size(),
            annotations,
            ..Descriptor::default()
        };
        match at.and_then(|at| index.manifests.get_mut(at)) {
            Some(entry) => *entry = new,
            None => index.manifests.push(new),
        }
    }
}

fn is_ours(key: &str) -> bool {
    [MANAGED.0, PINNED.0, ID, TARGET, ASKED_FOR.0].contains(&key) || key.starts_with(DISTRIBUTION_SOURCE)
}

/// The id of the image that an entry of a store leads to; `None` for another tool's entry.
pub(super) fn id(entry: &Descriptor) -> Option<Digest> {
    let is_managed = entry.annotations.get(MANAGED.0).is_some_and(|value| value == MANAGED.1);
    entry.annotations.get(ID).filter(|_| is_managed)?.parse().ok()
}

/// True for an entry of a store under this name; false for another tool's entry.
pub(super) fn is_called(entry: &Descriptor, name: &str) -> bool {
    entry.name() == Some(name) && id(entry).is_some()
}

/// The digest of what was pulled under the name of an entry.
pub(super) fn target(entry: &Descriptor) -> Option<Digest> {
    entry.annotations.get(TARGET)?.parse().ok()
}

pub(super) fn is_pinned(entry: &Descriptor) -> bool {
    entry.annotations.get(PINNED.0).is_some_and(|value| value == PINNED.1)
}

/// True for an entry that holds its image: a name that somebody asked for.
pub(super) fn holds(entry: &Descriptor) -> bool {
    let Some(name) = entry.name() else { return false };
    let (tags, digests) = classify([name]);
    let is_asked_for = entry.annotations.get(ASKED_FOR.0).is_some_and(|value| value == ASKED_FOR.1);
    !tags.is_empty() || (!digests.is_empty() && is_asked_for) || is_pinned(entry)
}
