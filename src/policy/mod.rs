//! May this image be used?
//!
//! The administrator's
//! [containers-policy.json(5)](https://github.com/containers/image/blob/main/docs/containers-policy.json.5.md) decides,
//! by the *logical* reference. The answer is a type: only an [`AllowedImage`] can be copied, and only
//! [`Policy::allow`] makes one.

use std::sync::Arc;

use crate::config::policy_json::{PolicyJson, PolicyScope, Requirement};
use crate::digest::Digest;
use crate::manifest::ManifestBytes;
use crate::reference::ImageReference;
use crate::source::{self, ImageSource};

/// What decides.
#[derive(Debug, Clone)]
pub struct Policy {
    document: PolicyJson,
}

/// A manifest that the policy allows to be used: exactly these bytes, of this source.
#[derive(Debug, Clone)]
pub struct AllowedImage<'a> {
    source: &'a dyn ImageSource,
    instance: Option<Digest>,
    manifest: Arc<ManifestBytes>,
}

impl<'a> AllowedImage<'a> {
    /// Where the image's blobs are.
    pub fn source(&self) -> &'a dyn ImageSource {
        self.source
    }

    /// Which instance of an index this is; `None` for the top-level manifest.
    pub fn instance(&self) -> Option<&Digest> {
        self.instance.as_ref()
    }

    /// The manifest that was judged.
    pub fn manifest(&self) -> &Arc<ManifestBytes> {
        &self.manifest
    }
}

/// Why an image may not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy was asked, and says no.
    #[error("{image} is rejected by policy ({scope}): requirement {requirement}: {reason}")]
    Rejected {
        /// The logical reference.
        image: ImageReference,
        /// Which part of the policy decided.
        scope: PolicyScope,
        /// The type of the requirement that is not met.
        requirement: &'static str,
        /// Why not.
        reason: Reason,
    },
    /// The manifest to judge could not be read.
    #[error("cannot tell whether {image} is allowed")]
    Unreadable {
        /// The logical reference.
        image: ImageReference,
        /// Why not.
        source: source::Error,
    },
}

/// Why a requirement is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// `reject` refuses everything.
    RejectsEverything,
    /// This version cannot verify what the requirement demands, so the image is refused.
    NotVerifiable,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RejectsEverything => "everything in this scope is rejected",
            Self::NotVerifiable => "this version of transship cannot verify signatures, so the image is refused",
        })
    }
}

impl Policy {
    /// Decides by a policy.json.
    pub fn new(document: PolicyJson) -> Self {
        Self { document }
    }

    /// Allows everything, whatever the administrator says: for `--insecure-policy`, and for tests.
    pub fn insecure_accept_anything() -> Self {
        Self { document: PolicyJson::insecure_accept_anything() }
    }

    /// The part of the policy that is responsible for an image, and its requirements: every one must be met.
    pub fn requirements(&self, image: &ImageReference) -> (PolicyScope, &[Requirement]) {
        let place = resolved(image);
        self.document.requirements_for(
            image.transport(),
            place.policy_identity().as_deref(),
            &place.policy_namespaces(),
        )
    }

    /// Judges an image, or one instance of an index, by its manifest and its logical reference.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the policy says no, [`Error::Unreadable`] when it could not be asked.
    pub fn allow<'a>(&self, source: &'a dyn ImageSource, instance: Option<&Digest>) -> Result<AllowedImage<'a>, Error> {
        let (scope, requirements) = self.requirements(source.logical());
        for requirement in requirements {
            if let Some(reason) = refusal(requirement) {
                return Err(Error::Rejected {
                    image: source.logical().clone(),
                    scope,
                    requirement: requirement.type_name(),
                    reason,
                });
            }
        }
        let manifest = source
            .manifest(instance)
            .map_err(|source_error| Error::Unreadable { image: source.logical().clone(), source: source_error })?;
        Ok(AllowedImage { source, instance: instance.cloned(), manifest })
    }
}

/// What a policy looks at: an image on this machine is judged by its real path, without symbolic links, whatever way
/// leads there. That path may have a `:`, which only a `dir:` can write down.
pub fn resolved(image: &ImageReference) -> ImageReference {
    match image.path().and_then(crate::config::paths::real_path) {
        Some(path) => image.clone().with_path(path.clone()).unwrap_or(ImageReference::Dir(path)),
        None => image.clone(),
    }
}

/// Every type is named, so that a new one has to be thought about.
fn refusal(requirement: &Requirement) -> Option<Reason> {
    match requirement {
        Requirement::InsecureAcceptAnything => None,
        Requirement::Reject => Some(Reason::RejectsEverything),
        Requirement::SignedBy(_) | Requirement::SignedBaseLayer { .. } | Requirement::SigstoreSigned(_) => {
            Some(Reason::NotVerifiable)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_link_does_not_lead_around_the_scope_of_where_it_leads() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap();
        let policy = |transport: &str| {
            let rejected = root.join("rejected");
            let json = serde_json::json!({
                "default": [{"type": "insecureAcceptAnything"}],
                "transports": {transport: {rejected.to_str().unwrap(): [{"type": "reject"}]}},
            });
            Policy::new(PolicyJson::parse(json.to_string().as_bytes(), Path::new("policy.json")).unwrap())
        };
        for (index, name) in ["plain", "with:colon"].into_iter().enumerate() {
            let directory = root.join("rejected").join(name);
            fs::create_dir_all(&directory).unwrap();
            let link = root.join(format!("link{index}"));
            symlink(&directory, &link).unwrap();
            for transport in ["dir", "oci"] {
                let image = format!("{transport}:{}", link.display()).parse().unwrap();
                let policy = policy(transport);
                let (scope, requirements) = policy.requirements(&image);
                assert_eq!(requirements, [Requirement::Reject], "{image} is judged by {scope}");
            }
        }
    }
}
