//! The tags of a repository, page by page.

use std::collections::HashSet;

use serde::Deserialize;

use super::{Error, Operation, RegistryClient, expect_status, link};
use crate::digest::Digest;
use crate::http::{HeaderMap, StatusCode};
use crate::reference::Tag;

/// One page of the list.
const MAX_PAGE_SIZE: u64 = 16 * 1024 * 1024;
/// Tags in all: far beyond any repository, and an end to a list that has none.
const MAX_TAGS: usize = 5_000_000;

#[derive(Deserialize)]
struct Page {
    /// Some registries say `null` for none.
    tags: Option<Vec<Option<String>>>,
}

impl RegistryClient {
    /// All tags, in the registry's order.
    ///
    /// Empty entries and names of the shape of a digest, which some registries list, are left out; any other name that
    /// is not a tag is an error. So is a list without end.
    pub fn tags(&self) -> Result<Vec<Tag>, Error> {
        let operation = Operation::ListingTags { name: self.name.clone() };
        let problem = |problem: String| Error::Tags { operation: operation.clone(), problem };
        let mut url = self.url(&operation, "tags/list")?;
        let mut tags = Vec::new();
        let mut visited = HashSet::from([url.clone()]);
        loop {
            let response = self.get_url(&operation, &url, HeaderMap::new())?;
            let response = expect_status(&operation, response, &[StatusCode::OK])?;
            let next = link::next_page(&response).map(|target| url.join(target));
            let body = response
                .into_bytes(MAX_PAGE_SIZE)
                .map_err(|source| Error::Http { operation: operation.clone(), source })?;
            let page: Page = serde_json::from_slice(&body)
                .map_err(|error| problem(format!("the answer is not a list of tags: {error}")))?;
            let before = tags.len();
            for text in page.tags.unwrap_or_default().into_iter().flatten() {
                if text.is_empty() || text.parse::<Digest>().is_ok() {
                    continue;
                }
                tags.push(text.parse().map_err(|_| problem(format!("the registry lists an invalid tag {text:?}")))?);
            }
            if tags.len() > MAX_TAGS {
                return Err(problem("the list has no end".to_owned()));
            }
            match next {
                None => return Ok(tags),
                Some(Ok(next)) if next.same_origin(&url) && tags.len() > before && visited.insert(next.clone()) => {
                    url = next;
                }
                Some(Ok(_)) => {
                    let text = "the list does not go on: this page is empty, or the next one was seen or is elsewhere";
                    return Err(problem(text.to_owned()));
                }
                Some(Err(error)) => return Err(problem(format!("the next page is not usable: {error}"))),
            }
        }
    }
}
