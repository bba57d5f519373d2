//! The images of a source.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::in_order::in_order;
use super::list::{ImageList, ListedRepository, Wanted};
use super::{Access, Error, Options, directory};
use crate::reference::{DockerReference, ImageReference, Reference, Tag};
use crate::source;

/// Where images come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A repository with all its tags, or one image of it where there is a tag or a digest.
    Registry(Reference),
    /// An image directory (`dir:`), or all those in a directory and below it.
    Dir(PathBuf),
    /// What a file lists.
    List(ImageList),
}

/// An image of a source.
pub(super) struct Found {
    pub(super) image: ImageReference,
    /// What it is called, with all that is before it.
    pub(super) name: String,
    pub(super) access: Arc<Access>,
}

/// The images of one repository, or why they are not known.
type OfRepository = Result<Vec<Found>, Error>;

impl Source {
    /// The images, in order. What cannot be listed is given to `failed`, which says whether to go on.
    pub(super) fn images(
        &self,
        access: &Arc<Access>,
        options: &Options<'_>,
        mut failed: impl FnMut(Error) -> Result<(), Error>,
    ) -> Result<Vec<Found>, Error> {
        let listed = match self {
            Self::Dir(root) => return in_directory(root, access, failed),
            Self::Registry(reference) => vec![(listed_alone(reference)?, Arc::clone(access))],
            Self::List(list) => of_list(list, access),
        };
        let mut found = Vec::new();
        let work = |(repository, access): &(ListedRepository, Arc<Access>)| {
            options.check_cancelled().and_then(|()| of_repository(repository, access))
        };
        in_order(&listed, options.parallel_checks, work, |_, images: OfRepository| match images {
            Ok(images) => {
                found.extend(images);
                Ok(())
            }
            Err(error) => failed(error),
        })?;
        Ok(found)
    }
}

fn listed_alone(reference: &Reference) -> Result<ListedRepository, Error> {
    if reference.tag().is_none() && reference.digest().is_none() {
        return Ok(ListedRepository { repository: reference.clone(), wanted: Wanted::AllTags });
    }
    let image = DockerReference::try_from(reference.clone()).map_err(Error::Reference)?;
    let wanted = Wanted::These(vec![image.reference().clone()]);
    Ok(ListedRepository { repository: reference.clone().without_tag_and_digest(), wanted })
}

fn of_list(list: &ImageList, access: &Arc<Access>) -> Vec<(ListedRepository, Arc<Access>)> {
    let mut listed = Vec::new();
    for registry in &list.registries {
        let options = registry.options(&access.options);
        let access = Arc::new(Access { config: access.config.clone(), options });
        listed.extend(registry.repositories.iter().map(|repository| (repository.clone(), Arc::clone(&access))));
    }
    listed
}

fn of_repository(listed: &ListedRepository, access: &Arc<Access>) -> OfRepository {
    let tags = |wanted: &dyn Fn(&Tag) -> bool| {
        let tags = tags(&listed.repository, access)?;
        let tags: Vec<_> = tags.into_iter().filter(wanted).map(|tag| listed.repository.clone().with_tag(tag)).collect();
        if tags.is_empty() {
            log::warn!("no tag of {} is wanted", listed.repository);
        }
        Ok(tags)
    };
    let references = match &listed.wanted {
        Wanted::These(references) => references.clone(),
        Wanted::AllTags => tags(&|_| true)?,
        Wanted::Matching(pattern) => tags(&|tag| pattern.is_match(tag.as_str()))?,
        Wanted::Versions(constraint) => tags(&|tag| constraint.allows(tag.as_str()))?,
    };
    let found = |reference: Reference| {
        let name = reference.to_string();
        let image = DockerReference::try_from(reference).map(ImageReference::Docker).map_err(Error::Reference)?;
        Ok(Found { image, name, access: Arc::clone(access) })
    };
    references.into_iter().map(found).collect()
}

fn tags(repository: &Reference, access: &Access) -> Result<Vec<Tag>, Error> {
    let unlisted = |source| Error::Tags { repository: repository.clone(), source };
    let client = source::registry_client(&access.config, repository, &access.options).map_err(unlisted)?;
    client.tags().map_err(|error| unlisted(source::Error::Registry(error)))
}

/// An image is called by its path below the root; the root itself by its last part.
fn in_directory(
    root: &Path,
    access: &Arc<Access>,
    mut failed: impl FnMut(Error) -> Result<(), Error>,
) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for path in directory::images(root, &mut failed)? {
        let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
        let name = below.map_or_else(|| last_part(root), |below| below.to_str().map(str::to_owned));
        match name {
            Some(name) => found.push(Found { image: ImageReference::Dir(path), name, access: Arc::clone(access) }),
            None => failed(Error::NoName { path })?,
        }
    }
    Ok(found)
}

fn last_part(root: &Path) -> Option<String> {
    let resolved = if root.file_name().is_some() { root.to_owned() } else { root.canonicalize().ok()? };
    Some(resolved.file_name()?.to_str()?.to_owned())
}
