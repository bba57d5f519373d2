//! May this image be used?
//!
//! The administrator's
//! [containers-policy.json(5)](https://github.com/containers/image/blob/main/docs/containers-policy.json.5.md) decides,
//! by the *logical* reference. The answer is a type: only an [`AllowedImage`] can be copied, and only
//! [`Policy::allow`] makes one. Why it is so, or why not, is a [`Judgement`].

use std::sync::Arc;
use std::time::SystemTime;

use crate::config::policy_json::{PolicyJson, PolicyScope, Requirement};
use crate::digest::Digest;
use crate::manifest::ManifestBytes;
use crate::reference::ImageReference;
use crate::source::{self, FoundSignature, ImageSource, SignatureDemand};

pub mod identity;
mod judgement;
mod keys;
mod requirement;
mod signed_by;
mod sigstore_signed;

pub use judgement::{JudgedRequirement, Judgement, Refusal, Rejection, SignatureVerdict, Signer, SignerKind, Verdict};
pub use keys::{KeyError, SharedKeyError};

use requirement::Subject;

/// What decides.
#[derive(Debug, Clone)]
pub struct Policy {
    document: PolicyJson,
    require_signatures: bool,
    accept_unnamed: bool,
    now: Option<SystemTime>,
}

/// A manifest that the policy allows to be used: exactly these bytes, of this source.
#[derive(Debug, Clone)]
pub struct AllowedImage<'a> {
    source: &'a dyn ImageSource,
    instance: Option<Digest>,
    manifest: Arc<ManifestBytes>,
    judgement: Judgement,
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

    /// Why it is allowed.
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }
}

/// Why an image may not be used.
#[allow(clippy::large_enum_variant, reason = "boxed, a source would not be found in the chain by its type")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy was asked, and says no.
    #[error("{} is rejected by policy ({}): {}", .0.image, .0.scope, .0)]
    Rejected(Box<Judgement>),
    /// The image was asked for by a digest, and is another one.
    #[error("{image} was asked for, and this is the manifest {found}")]
    OtherDigest {
        /// The logical reference.
        image: ImageReference,
        /// The digest of the manifest that the source has.
        found: Digest,
    },
    /// A requirement could not be looked at, and no other one says no.
    #[error("cannot tell whether {} is allowed by policy ({})", judgement.image, judgement.scope)]
    Undecided {
        /// What is known.
        judgement: Box<Judgement>,
        /// The first thing that stands in the way.
        source: SharedKeyError,
    },
    /// The manifest to judge, or its signatures, could not be read.
    #[error("cannot tell whether {image} is allowed")]
    Unreadable {
        /// The logical reference.
        image: ImageReference,
        /// Why not.
        source: source::Error,
    },
}

impl Error {
    /// True when the answer is no; otherwise nobody can tell.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::OtherDigest { .. })
    }

    /// What is known of the requirements, as far as it came to that.
    pub fn judgement(&self) -> Option<&Judgement> {
        match self {
            Self::Rejected(judgement) | Self::Undecided { judgement, .. } => Some(judgement),
            Self::OtherDigest { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// True when the image is not there.
    pub fn is_not_found(&self) -> bool {
        self.of_source().is_some_and(source::Error::is_not_found)
    }

    /// True when credentials are missing, wrong, or not enough.
    pub fn is_unauthorized(&self) -> bool {
        self.of_source().is_some_and(source::Error::is_unauthorized)
    }

    /// True when the answer may be another one later: nobody could tell, for a reason that may pass.
    pub fn is_transient(&self) -> bool {
        self.of_source().is_some_and(source::Error::is_transient)
    }

    fn of_source(&self) -> Option<&source::Error> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Rejected(_) | Self::OtherDigest { .. } | Self::Undecided { .. } => None,
        }
    }
}

impl Policy {
    /// Decides by a policy.json.
    pub fn new(document: PolicyJson) -> Self {
        Self { document, require_signatures: false, accept_unnamed: false, now: None }
    }

    /// Allows everything, whatever the administrator says: for `--insecure-policy`, and for tests.
    pub fn insecure_accept_anything() -> Self {
        Self::new(PolicyJson::insecure_accept_anything())
    }

    /// Refuses images for which nothing in the policy looks at signatures, such as `insecureAcceptAnything` alone.
    #[must_use]
    pub fn requiring_signatures(self) -> Self {
        Self { require_signatures: true, ..self }
    }

    /// Takes the digest in a sigstore bundle for enough where the bundle names no image.
    ///
    /// cosign 3 writes bundles that way. Whoever serves an image can then serve another one that the same key has signed,
    /// under any name in the same scope of the policy. Where the policy says which name must be signed
    /// (`exactReference`, `exactRepository`), an unnamed bundle is refused all the same.
    #[must_use]
    pub fn accepting_unnamed_bundles(self) -> Self {
        Self { accept_unnamed: true, ..self }
    }

    /// Judges as if it were `time`, instead of by the system's clock: keys and certificates end.
    #[must_use]
    pub fn at(self, time: SystemTime) -> Self {
        Self { now: Some(time), ..self }
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
    /// An image that is asked for by its digest must have it, whatever the policy says: of an index, that is the digest of
    /// the index.
    ///
    /// # Errors
    /// [`Error::Rejected`] and [`Error::OtherDigest`] when the answer is no; [`Error::Undecided`] and
    /// [`Error::Unreadable`] when the policy could not be asked.
    pub fn allow<'a>(&self, source: &'a dyn ImageSource, instance: Option<&Digest>) -> Result<AllowedImage<'a>, Error> {
        let unreadable = |error| Error::Unreadable { image: source.logical().clone(), source: error };
        let (mut judgement, requirements) = self.judge_beforehand(source.logical(), instance);
        if judgement.is_refused() {
            return Err(Error::Rejected(Box::new(judgement)));
        }
        check_pin(source)?;
        let manifest = source.manifest(instance).map_err(unreadable)?;
        judgement.manifest = Some(manifest.digest().clone());
        if !judgement.is_allowed() {
            let signatures = source.signatures(instance, SignatureDemand::Judged).map_err(unreadable)?;
            self.judge_signatures(&mut judgement, requirements, &manifest, signatures);
        }
        if judgement.is_refused() {
            return Err(Error::Rejected(Box::new(judgement)));
        }
        if let Some(source) = judgement.requirements.iter().find_map(undecided) {
            return Err(Error::Undecided { judgement: Box::new(judgement), source });
        }
        Ok(AllowedImage { source, instance: instance.cloned(), manifest, judgement })
    }

    /// Refuses what the policy refuses whatever the image is, such as by `reject`: before anybody is asked for it.
    ///
    /// # Errors
    /// [`Error::Rejected`]; there is no answer yet when there is no error.
    pub fn check_beforehand(&self, image: &ImageReference) -> Result<(), Error> {
        let (judgement, _) = self.judge_beforehand(image, None);
        if judgement.is_refused() { Err(Error::Rejected(Box::new(judgement))) } else { Ok(()) }
    }

    /// What is clear from the policy alone.
    fn judge_beforehand(&self, image: &ImageReference, instance: Option<&Digest>) -> (Judgement, &[Requirement]) {
        let (scope, requirements) = self.requirements(image);
        let judged = |requirement: &Requirement| JudgedRequirement {
            requirement: requirement.type_name(),
            verdict: requirement::beforehand(requirement).unwrap_or(Verdict::NotAsked),
            signatures: Vec::new(),
        };
        let mut judgement = Judgement {
            image: image.clone(),
            instance: instance.cloned(),
            manifest: None,
            scope,
            requirements: requirements.iter().map(judged).collect(),
            signatures: Arc::default(),
            has_asked: false,
        };
        if self.require_signatures && judgement.is_allowed() {
            for judged in &mut judgement.requirements {
                judged.verdict = Verdict::Refused(Refusal::NothingVerified);
            }
        }
        (judgement, requirements)
    }

    fn judge_signatures(
        &self,
        judgement: &mut Judgement,
        requirements: &[Requirement],
        manifest: &ManifestBytes,
        signatures: Vec<FoundSignature>,
    ) {
        let image = &judgement.image;
        let now = self.now.unwrap_or_else(SystemTime::now);
        let subject = Subject { image, manifest, now, accept_unnamed: self.accept_unnamed };
        for (requirement, judged) in requirements.iter().zip(&mut judgement.requirements) {
            if matches!(judged.verdict, Verdict::NotAsked) {
                *judged = requirement::judge(requirement, &subject, &signatures);
            }
        }
        judgement.signatures = signatures.into();
        judgement.has_asked = true;
    }
}

/// A source in a registry checks it too; a directory that stands for an image does not.
fn check_pin(source: &dyn ImageSource) -> Result<(), Error> {
    let image = source.logical();
    let ImageReference::Docker(docker) = image else { return Ok(()) };
    let Some(wanted) = docker.reference().digest() else { return Ok(()) };
    let unreadable = |error| Error::Unreadable { image: image.clone(), source: error };
    let found = Digest::of(wanted.algorithm(), source.manifest(None).map_err(unreadable)?.bytes());
    if found == *wanted { Ok(()) } else { Err(Error::OtherDigest { image: image.clone(), found }) }
}

fn undecided(judged: &JudgedRequirement) -> Option<SharedKeyError> {
    match &judged.verdict {
        Verdict::Undecided(error) => Some(error.clone()),
        Verdict::Met | Verdict::Refused(_) | Verdict::NotAsked => None,
    }
}

/// What a policy looks at: an image on this machine is judged by its real path, without symbolic links, whatever way
/// leads there. That path may have a `:`, which only a `dir:` can write down.
pub fn resolved(image: &ImageReference) -> ImageReference {
    match image.path().and_then(crate::config::paths::real_path) {
        // No path is looked at, so none can be in the way.
        Some(_) if matches!(image, ImageReference::DockerArchive(_)) => image.clone(),
        Some(path) => image.clone().with_path(path.clone()).unwrap_or(ImageReference::Dir(path)),
        None => image.clone(),
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
