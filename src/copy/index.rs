//! An index, and those of its instances that go along.

use std::collections::{BTreeMap, HashSet};

use super::error::{Change, Unchangeable};
use super::plan::{self, Kinds};
use super::signatures::Carried;
use super::{ChosenInstances, Error, Event, Instances, Run, image};
use crate::digest::Digest;
use crate::manifest::edit::with_instances;
use crate::manifest::{Index, Instance, ManifestBytes, Platform, convert};
use crate::media_type::MediaType;
use crate::policy::AllowedImage;

/// Copies the instances first, then the index, which becomes another one where they did or where some stay behind.
pub(super) fn copy(allowed: &AllowedImage<'_>, run: &Run<'_>) -> Result<ManifestBytes, Error> {
    let original = allowed.manifest();
    let index = Index::parse(original)?;
    let selection = Selection::of(&index, &run.options.instances)?;
    let carried = Carried::read(allowed, run.destination, run.options)?;
    let unchangeable = plan::unchangeable(run.options, run.destination.reference(), carried.is_some());
    if let (Some(reason), true) = (unchangeable, selection.is_thinned(&index)) {
        return Err(Error::CannotChange { manifest: original.digest().clone(), change: Change::Thinned, reason });
    }
    // Before the first blob.
    let kinds = plan::kinds(
        original.digest(),
        &Kinds {
            own: original.media_type(),
            accepts: &|kind| run.destination.accepts(kind),
            forced: run.options.format.map(super::ManifestFormat::index),
            needs_oci: run.layers.makes_zstd(),
            unchangeable,
        },
    )?;
    if let Some(reason) = unchangeable.filter(|_| run.may_change_images()) {
        for instance in &selection.copied {
            image::check_unchanged(allowed.source(), instance, run, reason)?;
        }
    }
    let replaced = copy_instances(allowed, run, &selection.copied, unchangeable)?;
    let edited =
        with_instances(original, &replaced, selection.kept.as_ref()).map_err(image::cannot_convert(original))?;
    run.publish(&kinds, &carried, false, |kind| written(&edited, kind))
}

/// Copies instances; those that became other ones are returned under their old digests.
fn copy_instances(
    index: &AllowedImage<'_>,
    run: &Run<'_>,
    digests: &[Digest],
    unchangeable: Option<Unchangeable>,
) -> Result<BTreeMap<Digest, ManifestBytes>, Error> {
    let mut replaced = BTreeMap::new();
    for (number, digest) in digests.iter().enumerate() {
        let (number, count) = (number.saturating_add(1), digests.len());
        run.options.progress.event(&Event::Instance { digest, number, count });
        let allowed = run.policy.allow(index.source(), Some(digest))?;
        let written = image::copy(&allowed, run, Some(image::InIndex { unchangeable }))?;
        if written.digest() != digest {
            replaced.insert(digest.clone(), written);
        }
    }
    Ok(replaced)
}

fn written(index: &ManifestBytes, kind: &MediaType) -> Result<ManifestBytes, Error> {
    let own = index.media_type();
    let converted = match kind {
        kind if kind == own => Ok(index.clone()),
        kind if *kind == MediaType::OCI_INDEX => convert::list_to_oci(index, &BTreeMap::new()),
        _ => convert::index_to_list(index),
    };
    converted.map_err(image::cannot_convert(index))
}

/// The instances of a copy.
struct Selection {
    /// Those that are copied, each once, in the order of the index.
    copied: Vec<Digest>,
    /// Those that the new index has; `None` where it has all.
    kept: Option<HashSet<Digest>>,
}

impl Selection {
    fn of(index: &Index, instances: &Instances) -> Result<Self, Error> {
        let mut seen = HashSet::new();
        let all = index.instances().iter().map(|instance| instance.digest().clone());
        let mut copied: Vec<_> = all.filter(|digest| seen.insert(digest.clone())).collect();
        let kept = match instances {
            Instances::Chosen(chosen) => Some(chosen.digests_in(index)?),
            Instances::IndexOnly => {
                copied.clear();
                None
            }
            Instances::System | Instances::All => None,
        };
        copied.retain(|digest| kept.as_ref().is_none_or(|kept| kept.contains(digest)));
        Ok(Self { copied, kept })
    }

    fn is_thinned(&self, index: &Index) -> bool {
        let is_kept = |instance: &Instance| self.kept.as_ref().is_none_or(|kept| kept.contains(instance.digest()));
        !index.instances().iter().all(is_kept)
    }
}

impl ChosenInstances {
    fn digests_in(&self, index: &Index) -> Result<HashSet<Digest>, Error> {
        if self.digests.is_empty() && self.platforms.is_empty() {
            return Err(Error::NothingChosen);
        }
        let mut chosen = HashSet::new();
        let by_digest = self.digests.iter().map(|digest| (digest.to_string(), Choice::Digest(digest)));
        let by_platform = self.platforms.iter().map(|platform| (platform.to_string(), Choice::Platform(platform)));
        for (wanted, choice) in by_digest.chain(by_platform) {
            let found = index.instances().iter().filter(|instance| choice.is_met_by(instance));
            let mut found = found.map(|instance| instance.digest().clone()).peekable();
            if found.peek().is_none() {
                return Err(Error::NoSuchInstance { wanted, available: described(index) });
            }
            chosen.extend(found);
        }
        Ok(chosen)
    }
}

enum Choice<'a> {
    Digest(&'a Digest),
    Platform(&'a Platform),
}

impl Choice<'_> {
    fn is_met_by(&self, instance: &Instance) -> bool {
        match self {
            Self::Digest(digest) => instance.digest() == *digest,
            Self::Platform(wanted) => instance.platform().is_some_and(|platform| wanted.includes(platform)),
        }
    }
}

/// Each instance for a message.
fn described(index: &Index) -> Vec<String> {
    let describe = |instance: &Instance| match instance.platform() {
        Some(platform) => format!("{} ({platform})", instance.digest()),
        None => instance.digest().to_string(),
    };
    index.instances().iter().map(describe).collect()
}
