//! What is known of one blob, as a file has it.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::compression::Compression;
use crate::digest::Digest;
use crate::reference::{Name, Reference};

/// So many repositories of a blob are known, and so many forms of a layer.
const MAX_ENTRIES: usize = 10;

/// What is known of a blob. It was true once, and is only ever tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlobInfo {
    /// The one that was seen last first.
    seen_in: Vec<Seen>,
    uncompressed: Option<(Digest, Option<Compression>)>,
    /// The one that was learned last first.
    variants: Vec<LayerVariant>,
}

/// A blob that is a layer when it is decompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerVariant {
    /// The blob.
    pub digest: Digest,
    /// How it is compressed; `None` where it is not.
    pub compression: Option<Compression>,
    /// When this was learned, in seconds since 1970.
    pub learned: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    name: Name,
    /// In seconds since 1970.
    at: u64,
}

/// The file. Whatever in it cannot be understood is left out.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    repositories: Vec<Repository>,
    uncompressed: Option<Form>,
    variants: Vec<Form>,
}

#[derive(Serialize, Deserialize)]
struct Repository {
    name: String,
    seen: u64,
}

#[derive(Serialize, Deserialize)]
struct Form {
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compression: Option<String>,
    #[serde(default)]
    learned: u64,
}

impl BlobInfo {
    /// Reads a file. What is not a name, a digest or a form of compression is left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(bytes)?;
        let mut info = Self {
            seen_in: document.repositories.iter().filter_map(Seen::parse).collect(),
            uncompressed: document.uncompressed.as_ref().and_then(LayerVariant::parse).map(LayerVariant::into_pair),
            variants: document.variants.iter().filter_map(LayerVariant::parse).collect(),
        };
        info.sort();
        Ok(info)
    }

    /// The bytes of such a file.
    pub fn to_json(&self) -> Vec<u8> {
        let form = |digest: &Digest, compression: Option<Compression>, learned| {
            let compression = compression.map(|compression| compression.to_string());
            Form { digest: digest.to_string(), compression, learned }
        };
        let document = Document {
            repositories: self
                .seen_in
                .iter()
                .map(|seen| Repository { name: seen.name.to_string(), seen: seen.at })
                .collect(),
            uncompressed: self.uncompressed.as_ref().map(|(digest, compression)| form(digest, *compression, 0)),
            variants: self
                .variants
                .iter()
                .map(|variant| form(&variant.digest, variant.compression, variant.learned))
                .collect(),
        };
        // Texts and numbers always have a JSON form.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The repositories that have had the blob: the one that was seen last first.
    pub fn repositories(&self) -> impl Iterator<Item = &Name> {
        self.seen_in.iter().map(|seen| &seen.name)
    }

    /// The blob without its compression, and how it is compressed (`None`: not at all).
    pub fn uncompressed(&self) -> Option<&(Digest, Option<Compression>)> {
        self.uncompressed.as_ref()
    }

    /// The blobs that are this one when they are decompressed: the one that was learned last first, then by digest.
    pub fn variants(&self) -> &[LayerVariant] {
        &self.variants
    }

    /// Puts repositories first. False when they are first already, and have been for less than `fresh` seconds.
    pub(super) fn see_in(&mut self, names: &[&Name], now: u64, fresh: u64) -> bool {
        let first = self.seen_in.iter().take(names.len());
        let is_known = |seen: &Seen| names.contains(&&seen.name) && is_fresh(seen.at, now, fresh);
        if first.filter(|seen| is_known(seen)).count() == names.len() {
            return false;
        }
        self.seen_in.retain(|seen| !names.contains(&&seen.name));
        let new = names.iter().map(|name| Seen { name: (*name).clone(), at: now });
        self.seen_in.splice(0..0, new);
        self.sort();
        true
    }

    /// What cannot be tried before it is used.
    pub(super) fn forget_forms(&mut self) {
        self.uncompressed = None;
        self.variants.clear();
    }

    /// False when it is known already.
    pub(super) fn is_without_compression(&mut self, diff_id: &Digest, compression: Option<Compression>) -> bool {
        let new = Some((diff_id.clone(), compression));
        let is_changed = self.uncompressed != new;
        self.uncompressed = new;
        is_changed
    }

    /// False when it is known already, and has been for less than `fresh` seconds.
    pub(super) fn has_variant(
        &mut self,
        digest: &Digest,
        compression: Option<Compression>,
        now: u64,
        fresh: u64,
    ) -> bool {
        let is_same = |variant: &LayerVariant| variant.digest == *digest && variant.compression == compression;
        if self.variants.iter().any(|variant| is_same(variant) && is_fresh(variant.learned, now, fresh)) {
            return false;
        }
        self.variants.retain(|variant| variant.digest != *digest);
        self.variants.insert(0, LayerVariant { digest: digest.clone(), compression, learned: now });
        self.sort();
        true
    }

    /// In the order that containers/image tries them in.
    fn sort(&mut self) {
        self.seen_in.sort_by_key(|seen| Reverse(seen.at));
        self.variants
            .sort_by(|one, other| (Reverse(one.learned), &one.digest).cmp(&(Reverse(other.learned), &other.digest)));
        self.seen_in.truncate(MAX_ENTRIES);
        self.variants.truncate(MAX_ENTRIES);
    }
}

/// What is of the future was written under another clock, and is written anew.
fn is_fresh(at: u64, now: u64, fresh: u64) -> bool {
    now.checked_sub(at).is_some_and(|age| age < fresh)
}

impl Seen {
    fn parse(repository: &Repository) -> Option<Self> {
        let reference = Reference::parse_canonical(&repository.name).ok()?;
        let is_name = reference.tag().is_none() && reference.digest().is_none();
        is_name.then(|| Self { name: reference.name().clone(), at: repository.seen })
    }
}

impl LayerVariant {
    fn parse(form: &Form) -> Option<Self> {
        let compression = match &form.compression {
            None => None,
            Some(name) => Some(Compression::named(name)?),
        };
        Some(Self { digest: form.digest.parse().ok()?, compression, learned: form.learned })
    }

    fn into_pair(self) -> (Digest, Option<Compression>) {
        (self.digest, self.compression)
    }
}
