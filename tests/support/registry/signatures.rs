//! Signatures that a registry keeps beside its images: attachments, referrers, and those of the signature extension.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use transship::digest::Digest;

use super::{ReceivedRequest, Registry, Reply, Repository, error};

pub(super) const EXTENSION_PATH: &str = "/extensions/v2/";
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub const COSIGN_PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");

/// An image manifest that holds signatures, and the blobs that it names.
#[derive(Debug, Clone)]
pub struct Artifact {
    manifest: Value,
    listed: Value,
    blobs: Vec<Vec<u8>>,
}

impl Artifact {
    /// What cosign attaches under a tag: payloads, each with its annotations.
    pub fn attachments<'a>(layers: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let mut artifact = Self::of_type("");
        for (payload, annotations) in layers {
            artifact = artifact.layer(COSIGN_PAYLOAD, payload, annotations);
        }
        artifact
    }

    /// What cosign 3 has refer to an image: a bundle. The list repeats what the manifest says of itself.
    pub fn bundle(subject: &Digest, bundle: &str) -> Self {
        let annotations = json!({"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"});
        let mut artifact = Self::of_type(BUNDLE).layer(BUNDLE, bundle, json!({}));
        artifact.manifest["artifactType"] = json!(BUNDLE);
        artifact.manifest["subject"] = json!({"mediaType": MANIFEST, "digest": subject.as_str(), "size": 2});
        artifact.manifest["annotations"] = annotations.clone();
        artifact.listed["annotations"] = annotations;
        artifact
    }

    fn of_type(artifact_type: &str) -> Self {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(EMPTY.0, EMPTY.1), "layers": []
        });
        let listed = json!({"mediaType": MANIFEST, "artifactType": artifact_type});
        Self { manifest, listed, blobs: vec![EMPTY.1.to_vec()] }
    }

    #[must_use]
    fn layer(mut self, media_type: &str, bytes: &str, annotations: Value) -> Self {
        let mut layer = descriptor(media_type, bytes.as_bytes());
        layer["annotations"] = annotations;
        self.manifest["layers"].as_array_mut().unwrap().push(layer);
        self.blobs.push(bytes.as_bytes().to_vec());
        self
    }

    /// The same with something else in its manifest.
    #[must_use]
    pub fn with_manifest(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.manifest);
        self
    }

    /// The same, listed otherwise than it is.
    #[must_use]
    pub fn listed_as(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.listed);
        self
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.bytes())
    }

    fn bytes(&self) -> Vec<u8> {
        self.manifest.to_string().into_bytes()
    }

    fn listed(&self) -> Value {
        let mut listed = self.listed.clone();
        (listed["digest"], listed["size"]) = (json!(self.digest().as_str()), json!(self.bytes().len()));
        listed
    }
}

impl Registry {
    /// Attaches signatures to a manifest, under the tag that is made of its digest.
    #[must_use]
    pub fn attachments(mut self, repository: &str, signed: &Digest, attachments: &Artifact) -> Self {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.put_artifact(attachments);
        repository.tags.insert(tag(signed) + ".sig", attachments.digest().to_string());
        self
    }

    /// Lists an artifact among the referrers of a manifest.
    #[must_use]
    pub fn referrer(mut self, repository: &str, subject: &Digest, artifact: &Artifact) -> Self {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.put_artifact(artifact);
        repository.referrers.entry(subject.to_string()).or_default().push(artifact.listed());
        self
    }

    /// Does not know the referrers API: what refers to a manifest is listed under a tag, if anything does.
    #[must_use]
    pub fn without_referrers_api(mut self) -> Self {
        self.without_referrers = true;
        self
    }

    /// Says that it has the signature extension.
    #[must_use]
    pub fn keeping_signatures(mut self) -> Self {
        self.keeps_signatures = true;
        self
    }

    /// Keeps a signature of its own accord.
    #[must_use]
    pub fn kept_signature(self, repository: &str, signed: &Digest, name: &str, content: &[u8]) -> Self {
        let content = BASE64_STANDARD.encode(content);
        let entry = json!({"schemaVersion": 2, "name": name, "type": "atomic", "content": content});
        self.kept_signature_entry(repository, signed, entry)
    }

    /// The same, as it stands in the list.
    #[must_use]
    pub fn kept_signature_entry(mut self, repository: &str, signed: &Digest, entry: Value) -> Self {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.signatures.entry(signed.to_string()).or_default().push(entry);
        self
    }

    pub(super) fn answer_ping(&self) -> Reply {
        let reply = Reply::json(&json!({}));
        if self.keeps_signatures { reply.header("X-Registry-Supports-Signatures", "1") } else { reply }
    }

    pub(super) fn answer_extension(&self, path: &str) -> Reply {
        let named = path.strip_prefix(EXTENSION_PATH).and_then(|rest| rest.rsplit_once("/signatures/"));
        let found = named.and_then(|(name, digest)| Some((self.repositories.get(name)?, digest)));
        match found.filter(|_| self.keeps_signatures) {
            None => error(404, "NOT_FOUND", "not a path of a registry"),
            Some((repository, digest)) => Reply::json(&json!({"signatures": repository.signatures.get(digest)})),
        }
    }

    pub(super) fn answer_manifest(&self, repository: &Repository, reference: &str) -> Reply {
        let mut subjects = repository.referrers.iter().filter(|_| self.without_referrers);
        let is_tag = |subject: &str| tag(&subject.parse().unwrap()) == reference;
        match subjects.find(|(subject, _)| is_tag(subject)) {
            Some((_, listed)) => index(listed),
            None => repository.answer_manifest(reference),
        }
    }

    /// Pages are counted from 0; there is no filter.
    pub(super) fn answer_referrers(
        &self,
        request: &ReceivedRequest,
        name: &str,
        repository: &Repository,
        digest: &str,
    ) -> Reply {
        if self.without_referrers {
            return error(404, "NOT_FOUND", "not a path of a registry");
        }
        let listed = repository.referrers.get(digest).map(Vec::as_slice).unwrap_or_default();
        let mut pages = listed.chunks(self.page_size.unwrap_or(usize::MAX));
        let number = request.query("page").first().map_or(0, |page| page.parse().unwrap());
        let reply = index(pages.nth(number).unwrap_or_default());
        if pages.next().is_none() {
            return reply;
        }
        let next = format!("/v2/{name}/referrers/{digest}?page={}", number + 1);
        reply.header("Link", &format!("<{next}>; rel=\"next\""))
    }
}

impl Repository {
    fn put_artifact(&mut self, artifact: &Artifact) {
        self.manifests.insert(artifact.digest().to_string(), (MANIFEST, artifact.bytes()));
        self.blobs.extend(artifact.blobs.iter().map(|blob| (Digest::sha256(blob).to_string(), blob.clone())));
    }
}

fn tag(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), &digest.encoded()[..64])
}

fn index(listed: &[Value]) -> Reply {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
    Reply::ok(index.to_string()).header("Content-Type", INDEX)
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(bytes).as_str(), "size": bytes.len()})
}
