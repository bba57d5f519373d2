//! Names that go.

use std::collections::BTreeSet;
use std::path::Path;

use super::Error;
use super::entry::{holds, id, is_called};
use super::names::{classify, parse_image};
use crate::digest::Digest;
use crate::manifest::document::{Descriptor, Index};

/// What a name stands for.
enum Meant {
    /// This name alone.
    Name(String),
    /// All names of an image.
    Image(Digest),
}

pub(super) fn remove(store: &Path, index: &mut Index, name: &str) -> Result<Vec<String>, Error> {
    let doomed = match meant(store, index, name)? {
        Meant::Image(image) => BTreeSet::from([image]),
        Meant::Name(name) => {
            let image = index.manifests.iter().find(|entry| is_called(entry, &name)).and_then(id);
            index.manifests.retain(|entry| !is_called(entry, &name));
            let is_named = |image: &Digest| {
                let of_image = index.manifests.iter().filter(|entry| id(entry).as_ref() == Some(image));
                let (tags, digests) = classify(of_image.filter_map(|entry| entry.name()));
                !tags.is_empty() || !digests.is_empty()
            };
            let nameless = image.filter(|image| !is_named(image)).into_iter().collect();
            return Ok([name].into_iter().chain(take_out(index, &nameless)).collect());
        }
    };
    Ok(take_out(index, &doomed))
}

/// Takes out the images that no name holds, and returns their ids.
pub(super) fn forget_unheld(index: &mut Index) -> Vec<Digest> {
    let ids = |of: &dyn Fn(&Descriptor) -> bool| -> BTreeSet<Digest> {
        index.manifests.iter().filter(|entry| of(entry)).filter_map(id).collect()
    };
    let (all, held) = (ids(&|_| true), ids(&holds));
    let doomed: BTreeSet<Digest> = all.difference(&held).cloned().collect();
    take_out(index, &doomed);
    doomed.into_iter().collect()
}

fn take_out(index: &mut Index, images: &BTreeSet<Digest>) -> Vec<String> {
    let is_doomed = |entry: &_| id(entry).is_some_and(|image| images.contains(&image));
    let (doomed, kept) = std::mem::take(&mut index.manifests).into_iter().partition::<Vec<_>, _>(is_doomed);
    index.manifests = kept;
    doomed.iter().filter_map(|entry| entry.name()).map(str::to_owned).collect()
}

/// A whole id comes first, then a name, then the beginning of an id.
fn meant(store: &Path, index: &Index, name: &str) -> Result<Meant, Error> {
    let ids: BTreeSet<Digest> = index.manifests.iter().filter_map(id).collect();
    if let Some(image) = name.parse::<Digest>().ok().filter(|digest| ids.contains(digest)) {
        return Ok(Meant::Image(image));
    }
    if let Ok(reference) = parse_image(name) {
        let full = reference.to_string();
        if index.manifests.iter().any(|entry| is_called(entry, &full)) {
            return Ok(Meant::Name(full));
        }
    }
    let prefix = name.strip_prefix("sha256:").unwrap_or(name);
    let is_hex = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut begun = ids.into_iter().filter(|image| is_hex && image.encoded().starts_with(prefix));
    match (begun.next(), begun.count()) {
        (None, _) => Err(Error::NoSuchImage { path: store.to_owned(), name: name.to_owned() }),
        (Some(image), 0) => Ok(Meant::Image(image)),
        (Some(_), more) => {
            Err(Error::AmbiguousId { path: store.to_owned(), prefix: name.to_owned(), count: more.saturating_add(1) })
        }
    }
}
