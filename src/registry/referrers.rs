//! The manifests that say that they refer to another one
//! ([OCI distribution specification, listing referrers](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers)).

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use serde::Deserialize;

use super::{Error, Operation, RegistryClient, Selector, expect_status, link};
use crate::digest::Digest;
use crate::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use crate::manifest::MAX_MANIFEST_SIZE;
use crate::media_type::MediaType;
use crate::reference::Tag;
use crate::safe_url::SafeUrl;

/// So many pages are read at most. One page has room for some ten thousand referrers.
const MAX_PAGES: usize = 100;
/// How much of a digest is in the tag that stands in for the API.
const ENCODED_IN_TAG: usize = 64;
/// What registries say to a path that they do not know.
const NO_SUCH_API: [StatusCode; 5] = [
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::NOT_IMPLEMENTED,
];

/// A manifest that is said to refer to another one. Only the manifest itself can tell whether it does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Referrer {
    /// The manifest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// What kind of artifact it is; empty where the list does not say.
    pub artifact_type: MediaType,
    /// The manifest's annotations, where the list repeats them.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Page {
    // Go programs write an empty list as null.
    manifests: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: Option<String>,
    digest: String,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

impl RegistryClient {
    /// Shows `each` referrer of a manifest, in the registry's order, until it breaks off or the list ends.
    ///
    /// The registry is asked for `artifact_type`, but it may list all: to filter is its option. Where it does not have
    /// the API, the tag is read that stands in for it. A list without end is an error.
    pub fn referrers(
        &self,
        digest: &Digest,
        artifact_type: &MediaType,
        mut each: impl FnMut(Referrer) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let operation = Operation::ListingReferrers { digest: digest.clone(), name: self.name.clone() };
        let first =
            self.url(&operation, &format!("referrers/{digest}"))?.with_query("artifactType", artifact_type.as_str());
        let Some(mut response) = self.referrers_page(&operation, &first)? else {
            return self.tagged_referrers(&operation, digest, each);
        };
        let (mut url, mut visited) = (first.clone(), HashSet::from([first]));
        loop {
            let next = next_page(&operation, &response, &url)?;
            if show(&operation, &read_page(&operation, response)?, &mut each)?.is_break() {
                return Ok(());
            }
            let Some(next) = next else { return Ok(()) };
            if visited.len() == MAX_PAGES || !visited.insert(next.clone()) {
                return Err(problem(&operation, "the list has no end"));
            }
            let page = self.referrers_page(&operation, &next)?;
            response = page.ok_or_else(|| problem(&operation, "a page of the list is missing"))?;
            url = next;
        }
    }

    /// `None` where the registry does not know what is asked: it says so, or answers with something else, a page for
    /// people, say.
    fn referrers_page(&self, operation: &Operation, url: &SafeUrl) -> Result<Option<Response>, Error> {
        let mut headers = HeaderMap::new();
        headers.extend(HeaderValue::from_str(MediaType::OCI_INDEX.as_str()).map(|value| (header::ACCEPT, value)));
        let response = self.get_url(operation, url, headers)?;
        if NO_SUCH_API.contains(&response.status) {
            response.drain();
            return Ok(None);
        }
        let response = expect_status(operation, response, &[StatusCode::OK])?;
        let media_type = response.single_header(header::CONTENT_TYPE).map(MediaType::from_content_type);
        if media_type == Some(MediaType::OCI_INDEX) {
            return Ok(Some(response));
        }
        response.drain();
        Ok(None)
    }

    fn tagged_referrers(
        &self,
        operation: &Operation,
        digest: &Digest,
        mut each: impl FnMut(Referrer) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        // Every such text is a tag.
        let Some(tag) = tag_of(digest) else { return Ok(()) };
        let index = match self.manifest(&Selector::Tag(tag)) {
            Err(error) if error.is_not_found() => return Ok(()),
            outcome => outcome?,
        };
        if *index.media_type() != MediaType::OCI_INDEX {
            let text = format!("under their tag is no index, but {:?}", index.media_type().as_str());
            return Err(problem(operation, &text));
        }
        show(operation, index.bytes(), &mut each).map(drop)
    }
}

fn tag_of(digest: &Digest) -> Option<Tag> {
    let encoded = digest.encoded();
    format!("{}-{}", digest.algorithm(), encoded.get(..ENCODED_IN_TAG).unwrap_or(encoded)).parse().ok()
}

fn next_page(operation: &Operation, response: &Response, url: &SafeUrl) -> Result<Option<SafeUrl>, Error> {
    let Some(target) = link::next_page(response) else { return Ok(None) };
    match url.join(target) {
        Ok(next) if next.same_origin(url) => Ok(Some(next)),
        Ok(_) => Err(problem(operation, "the next page of the list is elsewhere")),
        Err(error) => Err(problem(operation, &format!("the next page of the list is not usable: {error}"))),
    }
}

fn read_page(operation: &Operation, response: Response) -> Result<Vec<u8>, Error> {
    response.into_bytes(MAX_MANIFEST_SIZE).map_err(|source| Error::Http { operation: operation.clone(), source })
}

fn show(
    operation: &Operation,
    bytes: &[u8],
    each: &mut impl FnMut(Referrer) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    let page: Page = serde_json::from_slice(bytes)
        .map_err(|error| problem(operation, &format!("the answer is not an index: {error}")))?;
    for entry in page.manifests.unwrap_or_default() {
        let digest = entry.digest.parse();
        let digest = digest.map_err(|error| problem(operation, &format!("unusable digest in the list: {error}")))?;
        let text = |text: Option<String>| MediaType::from(text.unwrap_or_default().as_str());
        let (media_type, artifact_type) = (text(entry.media_type), text(entry.artifact_type));
        let annotations = entry.annotations.unwrap_or_default();
        if each(Referrer { digest, media_type, artifact_type, annotations }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn problem(operation: &Operation, problem: &str) -> Error {
    Error::Referrers { operation: operation.clone(), problem: problem.to_owned() }
}
