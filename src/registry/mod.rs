//! The distribution API of one endpoint
//! ([OCI distribution specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md)).
//!
//! A [`RegistryClient`] speaks to one repository on one host. It knows nothing of mirrors: when it fails, it says so
//! with a typed [`Error`], and [`source`](crate::source) decides what is next.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::value::RawValue;

use crate::digest::Digest;
use crate::http::{
    self, Clock, HeaderMap, HeaderValue, Redirecting, Request, Response, RetryPolicy, Retrying, StatusCode, Tls, Wire,
    header,
};
use crate::manifest::{MAX_MANIFEST_SIZE, ManifestBytes};
use crate::media_type::MediaType;
use crate::recent::Recent;
use crate::reference::Name;
use crate::safe_url::{self, SafeUrl};

mod address;
mod authorize;
mod blob_range;
mod blob_reader;
mod challenge;
mod delete;
mod error;
mod error_body;
pub(crate) mod external;
mod head;
mod link;
mod login;
mod mount;
mod push;
mod referrers;
mod resolve;
mod scheme;
mod signature_extension;
mod tags;
mod token;
mod upload;
mod warning;

pub use address::Address;
use address::repository;
pub use authorize::Identity;
pub(crate) use blob_range::BlobRange;
pub use blob_reader::BlobStream;
pub use error::{Error, Operation};
pub use error_body::{ErrorEntry, ErrorResponse};
pub use head::ManifestHead;
pub use login::check_login;
pub use mount::Mount;
pub use push::Stored;
pub use referrers::Referrer;
pub use resolve::Resolution;
pub use signature_extension::ExtensionSignature;
pub use token::TokenError;
pub use upload::{BegunUpload, BlobUpload, UPLOAD_CHUNK_SIZE};

/// The domain whose API is elsewhere.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Every manifest type we can make sense of, and schema 1 to be able to say that we cannot.
const ACCEPTED_MANIFESTS: [MediaType; 6] = [
    MediaType::OCI_MANIFEST,
    MediaType::DOCKER_MANIFEST,
    MediaType::DOCKER_SCHEMA1_SIGNED,
    MediaType::DOCKER_SCHEMA1,
    MediaType::DOCKER_LIST,
    MediaType::OCI_INDEX,
];

/// Tokens for so many repositories that blobs are mounted from are kept.
const MOST_MOUNTED_FROM: usize = 64;

/// What a client needs beside the repository's name.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// How bytes travel.
    pub wire: Arc<dyn Wire>,
    /// Time, for back-off and token expiry.
    pub clock: Arc<dyn Clock>,
    /// Certificates.
    pub tls: Arc<Tls>,
    /// Accept any certificate, and plain http where https does not answer.
    pub insecure: bool,
    /// Who we are to this endpoint, and to nobody else.
    pub identity: Identity,
    /// How often to try again.
    pub retry: RetryPolicy,
    /// Where its API is; `None` for `/v2` at the registry that the name begins with.
    pub address: Option<Address>,
}

/// Speaks to one repository of one registry. It can be used from several threads.
pub struct RegistryClient {
    name: Name,
    api_host: String,
    address: Option<Address>,
    tls: Arc<Tls>,
    insecure: bool,
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    /// The wire with retries and without credentials, for uploads that the registry sends elsewhere.
    anonymous: Arc<dyn Wire>,
    /// The wire without retries, for the question whether there is https at all.
    bare: Arc<dyn Wire>,
    authorizer: authorize::Authorizer,
    /// The same, by the path of another repository that blobs are mounted from.
    mounting: Mutex<Recent<String, Arc<authorize::Authorizer>, MOST_MOUNTED_FROM>>,
    /// Where the API is, once that is known.
    base: scheme::KnownBase,
    warnings: warning::Warnings,
    /// Whether the registry keeps signatures of its own accord, once it was asked.
    keeps_signatures: Mutex<Option<bool>>,
}

impl RegistryClient {
    /// A client that reads `name`; nothing is sent yet.
    pub fn new(name: Name, endpoint: Endpoint) -> Self {
        let scope = token::TokenScope::pull(&repository(&name, endpoint.address.as_ref()));
        Self::with_scopes(name, endpoint, vec![scope])
    }

    /// A client that also writes `name`: it asks for tokens that allow it. Nothing is sent yet.
    pub fn for_pushing(name: Name, endpoint: Endpoint) -> Self {
        let scope = token::TokenScope::push(&repository(&name, endpoint.address.as_ref()));
        Self::with_scopes(name, endpoint, vec![scope])
    }

    /// A client that also deletes from `name`. Nothing is sent yet.
    pub fn for_deleting(name: Name, endpoint: Endpoint) -> Self {
        let scope = token::TokenScope::everything(&repository(&name, endpoint.address.as_ref()));
        Self::with_scopes(name, endpoint, vec![scope])
    }

    fn with_scopes(name: Name, endpoint: Endpoint, scopes: Vec<token::TokenScope>) -> Self {
        let Endpoint { wire, clock, tls, insecure, identity, retry, address } = endpoint;
        let api_host = if name.domain() == DOCKER_HUB.0 { DOCKER_HUB.1 } else { name.domain() }.to_owned();
        // Outermost first: who we are, where it went, try again, the wire.
        let retrying = Retrying::new(Arc::clone(&wire), Arc::clone(&clock), retry);
        let stack: Arc<dyn Wire> = Arc::new(Redirecting::new(retrying));
        let anonymous = Arc::clone(&stack);
        let authorizer = authorize::Authorizer::new(stack, Arc::clone(&clock), identity, scopes, insecure)
            .with_additions(address.as_ref());
        Self {
            name,
            api_host,
            address,
            tls,
            insecure,
            clock,
            retry,
            anonymous,
            bare: wire,
            authorizer,
            mounting: Mutex::default(),
            base: scheme::KnownBase::default(),
            warnings: warning::Warnings::default(),
            keeps_signatures: Mutex::default(),
        }
    }

    /// The repository.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The manifest or index behind a tag or a digest, at most 4 MiB.
    ///
    /// # Errors
    /// Beside what any request can fail with: the bytes have another digest than was asked for or than the registry
    /// states, or what came for a tag is not even a JSON object.
    pub fn manifest(&self, selector: &Selector) -> Result<ManifestBytes, Error> {
        self.manifest_accepting(selector, accepting_manifests())
    }

    fn manifest_accepting(&self, selector: &Selector, accepted: HeaderMap) -> Result<ManifestBytes, Error> {
        let operation = Operation::ReadingManifest { selector: selector.to_string(), name: self.name.clone() };
        let response = self.get(&operation, &format!("manifests/{selector}"), accepted)?;
        let response = expect_status(&operation, response, &[StatusCode::OK])?;
        let response = http::decoded_json(response, MAX_MANIFEST_SIZE)
            .map_err(|source| Error::Http { operation: operation.clone(), source })?;
        let media_type = stated_media_type(&response);
        let stated = response.single_header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        let bytes = response
            .into_bytes(MAX_MANIFEST_SIZE)
            .map_err(|source| Error::Http { operation: operation.clone(), source })?;
        let stated = match selector {
            Selector::Digest(digest) => Some(digest),
            Selector::Tag(_) => {
                expect_object(&operation, &bytes)?;
                stated.as_ref()
            }
        };
        match stated {
            Some(stated) => ManifestBytes::verified(bytes, media_type, stated)
                .map_err(|source| Error::Mismatch { operation, source }),
            None => Ok(ManifestBytes::new(bytes, media_type)),
        }
    }

    /// The bytes of a blob from `offset` on, resumed when the connection is cut; not verified yet.
    pub fn blob(self: &Arc<Self>, digest: &Digest, size: u64, offset: u64) -> Result<BlobStream, Error> {
        BlobStream::open(Arc::clone(self) as _, digest.clone(), size, offset)
    }

    /// `GET /v2/<path>/<rest>`, authorised; any status.
    fn get(&self, operation: &Operation, rest: &str, headers: HeaderMap) -> Result<Response, Error> {
        self.get_url(operation, &self.url(operation, rest)?, headers)
    }

    fn get_url(&self, operation: &Operation, url: &SafeUrl, headers: HeaderMap) -> Result<Response, Error> {
        let mut request = Request::get(url.clone(), Arc::clone(&self.tls));
        request.headers = headers;
        self.send(operation, &mut request)
    }

    /// Sends a request to the endpoint itself, authorised; any status.
    fn send(&self, operation: &Operation, request: &mut Request) -> Result<Response, Error> {
        let outcome = self.authorizer.send(request).map_err(|failure| unanswered(operation, failure));
        let response = self.or_neither(operation, &request.method, outcome)?;
        self.warnings.tell(&self.name, &response);
        Ok(response)
    }

    /// `/v2/<path>/<rest>`
    fn url(&self, operation: &Operation, rest: &str) -> Result<SafeUrl, Error> {
        self.join(operation, &format!("{}/{rest}", self.name.path()))
    }

    /// A URL relative to `/v2/`, wherever the endpoint has that.
    fn join(&self, operation: &Operation, target: &str) -> Result<SafeUrl, Error> {
        let unusable = |source| Error::Host { operation: operation.clone(), host: self.api_host.clone(), source };
        let url = self.base(operation)?.url.join(target).map_err(unusable)?;
        Ok(match self.address.as_ref().and_then(|address| address.namespace.as_ref()) {
            Some(namespace) => url.with_query("ns", namespace),
            None => url,
        })
    }

    fn root(&self) -> Result<SafeUrl, safe_url::ParseError> {
        match &self.address {
            Some(address) => Ok(address.root()),
            // Without a host, a URL's parser takes the first word of the path for one.
            None if self.api_host.is_empty() => Err(safe_url::ParseError::Syntax(url::ParseError::EmptyHost)),
            None => format!("https://{}/v2/", self.api_host).parse(),
        }
    }
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryClient").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The headers of a request for a manifest: a registry that is not told may convert it.
fn accepting_manifests() -> HeaderMap {
    let values = ACCEPTED_MANIFESTS.iter().filter_map(|media_type| HeaderValue::from_str(media_type.as_str()).ok());
    let mut headers = HeaderMap::new();
    headers.extend(values.map(|value| (header::ACCEPT, value)));
    headers
}

fn stated_media_type(response: &Response) -> MediaType {
    response.single_header(header::CONTENT_TYPE).map_or(MediaType::from(""), MediaType::from_content_type)
}

/// Nothing vouches for what comes for a tag. A page of a proxy or of a wireless network must not pass for a manifest, or
/// no other pull source would be asked.
fn expect_object(operation: &Operation, bytes: &[u8]) -> Result<(), Error> {
    serde_json::from_slice::<BTreeMap<String, &RawValue>>(bytes)
        .map(drop)
        .map_err(|source| Error::NotAManifest { operation: operation.clone(), source })
}

/// Which manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// By tag.
    Tag(crate::reference::Tag),
    /// By digest.
    Digest(Digest),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

fn unanswered(operation: &Operation, failure: authorize::Failure) -> Error {
    let operation = operation.clone();
    match failure {
        authorize::Failure::Http(source) => Error::Http { operation, source },
        authorize::Failure::Token(source) => Error::Token { operation, source },
    }
}

fn expect_status(operation: &Operation, response: Response, expected: &[StatusCode]) -> Result<Response, Error> {
    if expected.contains(&response.status) {
        return Ok(response);
    }
    Err(Error::Response { operation: operation.clone(), source: ErrorResponse::read(response) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{self, SystemClock};
    use crate::reference::Reference;

    struct NoRequests;

    impl Wire for NoRequests {
        fn send(&self, request: &Request) -> Result<Response, http::Error> {
            panic!("asked {:?}", request.url)
        }
    }

    #[test]
    fn a_name_without_a_registry_is_asked_of_nobody() {
        let reference: Reference = "my_host.example/app:1".parse().unwrap();
        assert_eq!(reference.domain(), "");
        for insecure in [false, true] {
            let endpoint = Endpoint {
                wire: Arc::new(NoRequests),
                clock: Arc::new(SystemClock),
                tls: Arc::default(),
                insecure,
                identity: Identity::default(),
                retry: RetryPolicy::PATIENT,
                address: None,
            };
            let client = RegistryClient::new(reference.name().clone(), endpoint);
            let outcome = client.manifest(&Selector::Tag("1".parse().unwrap()));
            assert!(matches!(outcome, Err(Error::Host { .. })), "{outcome:?}");
        }
    }
}
