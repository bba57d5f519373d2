//! `dir:path`: an image written into a directory, for [`DirSource`](crate::source::DirSource).

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::staging::{self, Staging, write_error};
use super::{BlobInput, Error, ImageDestination, NewBlob, partial};
use crate::digest::Digest;
use crate::manifest::{Descriptor, ManifestBytes};
use crate::media_type::MediaType;
use crate::reference::ImageReference;
use crate::signature::UntrustedSignature;
use crate::source::dir::{MAX_VERSION_SIZE, VERSION_FILE, Version, blob_name, manifest_name};
use crate::source::local;

/// A directory that takes one image.
///
/// The image that was there stays whole until [`commit`](ImageDestination::commit): blobs are added beside its own,
/// then the manifest is replaced, then what the new image has not is removed. After an interrupted copy the next one
/// finds the blobs that are there. The directory is locked (its own file descriptor) as long as this exists.
#[derive(Debug)]
pub struct DirDestination {
    reference: ImageReference,
    path: PathBuf,
    staging: Staging,
    state: Mutex<State>,
    _lock: File,
}

#[derive(Debug)]
struct State {
    /// The file names of the new image.
    names: HashSet<OsString>,
    version: Version,
    manifest: Option<ManifestBytes>,
    /// The files of signatures, which may have the names of the old image's.
    signatures: BTreeMap<Option<Digest>, Vec<Vec<u8>>>,
}

impl DirDestination {
    /// Opens the directory, and makes it where there is none.
    ///
    /// A directory that has files and no valid version file is somebody else's, and refused.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        staging::create_directory(&path)?;
        let lock = staging::try_lock_directory(&path)?.ok_or_else(|| Error::Busy { path: path.clone() })?;
        let is_ours = has_version(&path)?;
        if !is_ours && !is_empty(&path)? {
            return Err(Error::NotAnImageDirectory { path });
        }
        let staging = Staging::open(path.clone())?;
        if !is_ours {
            // Before the first blob, so that an interrupted copy leaves a directory that the next one may use.
            staging.put(&path.join(VERSION_FILE), Version::V1_1.to_string().as_bytes())?;
        }
        let (names, version, signatures) = (HashSet::new(), Version::V1_1, BTreeMap::new());
        let state = State { names, version, manifest: None, signatures };
        Ok(Self { reference: ImageReference::Dir(path.clone()), path, staging, state: Mutex::new(state), _lock: lock })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn belongs(&self, name: &str, digest: &Digest) {
        let mut state = self.state();
        state.version = state.version.max(Version::for_algorithm(digest.algorithm()));
        state.names.insert(name.into());
    }

    fn put_version(&self, version: Version) -> Result<(), Error> {
        self.staging.put(&self.path.join(VERSION_FILE), version.to_string().as_bytes())
    }

    fn put_signature_files(&self, state: &mut State) -> Result<(), Error> {
        for (instance, signatures) in std::mem::take(&mut state.signatures) {
            for (index, bytes) in signatures.into_iter().enumerate() {
                let name = signature_name(instance.as_ref(), index);
                self.staging.put(&self.path.join(&name), &bytes)?;
                state.names.insert(name.into());
            }
        }
        Ok(())
    }

    fn remove_all_but(&self, names: &HashSet<OsString>) -> Result<(), Error> {
        for entry in fs::read_dir(&self.path).map_err(write_error(&self.path))? {
            let entry = entry.map_err(write_error(&self.path))?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name();
            // The directory is locked: what is left of other images' blobs is nobody's.
            let is_used = names.contains(&name) || (staging::is_staged(&name) && !partial::is_partial(&name));
            if !is_directory && !is_used {
                fs::remove_file(entry.path()).map_err(write_error(&entry.path()))?;
            }
        }
        Ok(())
    }
}

impl ImageDestination for DirDestination {
    fn reference(&self) -> &ImageReference {
        &self.reference
    }

    fn accepts_foreign_layers(&self) -> bool {
        false
    }

    fn accepts(&self, _media_type: &MediaType) -> bool {
        true
    }

    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let name = blob_name(&digest);
        let is_known = self.state().names.contains(OsStr::new(&name));
        let is_whole = is_known || staging::is_whole(&self.path.join(&name), &digest, descriptor.size());
        if is_whole {
            self.belongs(&name, &digest);
        }
        Ok(is_whole)
    }

    fn put_blob(&self, descriptor: &Descriptor, input: &mut dyn BlobInput) -> Result<(), Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let name = blob_name(&digest);
        self.staging.put_blob(&self.path.join(&name), &digest, descriptor.size(), input)?;
        self.belongs(&name, &digest);
        Ok(())
    }

    fn put_new_blob(&self, reader: &mut dyn Read) -> Result<NewBlob, Error> {
        let blob = self.staging.put_new(reader, |digest| Ok(self.path.join(blob_name(digest))))?;
        self.belongs(&blob_name(&blob.digest), &blob.digest);
        Ok(blob)
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let name = blob_name(digest);
        let size = staging::whole_size(&self.path.join(&name), digest);
        Ok(size.inspect(|_| self.belongs(&name, digest)))
    }

    fn put_manifest(&self, manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), Error> {
        super::check_instance(manifest, instance)?;
        if let Some(digest) = instance {
            let name = manifest_name(Some(digest));
            self.staging.put(&self.path.join(&name), manifest.bytes())?;
            self.belongs(&name, digest);
        } else {
            self.state().manifest = Some(manifest.clone());
        }
        Ok(())
    }

    fn check_signatures(&self, _signatures: &[UntrustedSignature]) -> Result<(), Error> {
        Ok(())
    }

    fn put_signatures(&self, signatures: &[UntrustedSignature], instance: Option<&Digest>) -> Result<(), Error> {
        let files = signatures.iter().map(UntrustedSignature::to_stored).collect();
        self.state().signatures.insert(instance.cloned(), files);
        Ok(())
    }

    fn commit(&self) -> Result<(), Error> {
        let mut state = self.state();
        let manifest = state.manifest.clone().ok_or_else(|| Error::NoManifest { image: self.reference.clone() })?;
        let name = manifest_name(None);
        // A reader that knows the higher version also finds the files of the lower one, so that is the one in between.
        if state.version > Version::V1_1 {
            self.put_version(state.version)?;
        }
        // What the new manifest needs is there before it.
        self.put_signature_files(&mut state)?;
        self.staging.put(&self.path.join(&name), manifest.bytes())?;
        if state.version == Version::V1_1 {
            self.put_version(state.version)?;
        }
        // The new image must be on the disk before the old one goes.
        staging::sync_directory(&self.path)?;
        state.names.extend([name.into(), VERSION_FILE.into()]);
        self.remove_all_but(&state.names)
    }
}

/// The file of the signature `index`, counted from 0.
fn signature_name(instance: Option<&Digest>, index: usize) -> String {
    let name = format!("signature-{}", index.saturating_add(1));
    instance.map_or_else(|| name.clone(), |digest| format!("{}.{name}", blob_name(digest)))
}

fn has_version(directory: &Path) -> Result<bool, Error> {
    let path = directory.join(VERSION_FILE);
    let text = local::read_if_there(&path, MAX_VERSION_SIZE).map_err(Error::Existing)?;
    let version = text.and_then(|text| std::str::from_utf8(&text).ok()?.parse::<Version>().ok());
    Ok(version.is_some_and(Version::is_known))
}

fn is_empty(directory: &Path) -> Result<bool, Error> {
    let mut entries = fs::read_dir(directory).map_err(write_error(directory))?;
    Ok(entries.all(|entry| entry.is_ok_and(|entry| staging::is_staged(&entry.file_name()))))
}
