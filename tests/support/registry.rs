//! A registry in memory, scripted in words:
//!
//! ```ignore
//! let image = Image::with_layers(["one", "two"]);
//! let registry = Registry::new()
//!     .image("org/app", "1", &image)
//!     .requiring_token("registry.example")
//!     .spoil(|path| path.contains("/blobs/"), 1..=1, |reply| reply.cut_after(2))
//!     .serve();
//! let reference = registry.reference("org/app:1");
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::{Bound, Deref, RangeBounds};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use transship::digest::Digest;

use super::image::Image;
use super::reply::Reply;
use super::request::ReceivedRequest;
use super::server::Server;
use super::server_tls::ServerTls;
use super::token::{TOKEN_PATH, TokenService, is_basic};

pub mod signatures;

/// Where blobs are on a server that others redirect to.
const CDN_PATH: &str = "/cdn/";

/// The script.
#[derive(Default)]
pub struct Registry {
    repositories: BTreeMap<String, Repository>,
    access: Access,
    missing: HashSet<String>,
    rules: Vec<Rule>,
    page_size: Option<usize>,
    without_ranges: bool,
    without_referrers: bool,
    keeps_signatures: bool,
    blobs_elsewhere: Option<String>,
}

#[derive(Default)]
enum Access {
    #[default]
    Everybody,
    Basic {
        user: String,
        password: String,
    },
    Token(TokenService),
}

#[derive(Default)]
struct Repository {
    tags: BTreeMap<String, String>,
    manifests: HashMap<String, (&'static str, Vec<u8>)>,
    blobs: HashMap<String, Vec<u8>>,
    /// Descriptors, by the digest that they refer to.
    referrers: BTreeMap<String, Vec<Value>>,
    /// What the signature extension lists, by digest.
    signatures: BTreeMap<String, Vec<Value>>,
}

struct Rule {
    applies: Box<dyn Fn(&str) -> bool + Send + Sync>,
    nth: (Bound<usize>, Bound<usize>),
    spoil: Box<dyn Fn(Reply) -> Reply + Send + Sync>,
    seen: AtomicUsize,
}

impl Registry {
    /// Empty, and open to everybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an image, or an index with its images, into a repository and tags it.
    #[must_use]
    pub fn image(mut self, repository: &str, tag: &str, image: &Image) -> Self {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.put(image);
        repository.tags.insert(tag.to_owned(), image.digest().to_string());
        self
    }

    /// Puts a manifest of any kind under a tag, as it is: a broken one, or schema 1.
    #[must_use]
    pub fn manifest(
        mut self,
        repository: &str,
        tag: &str,
        media_type: &'static str,
        bytes: impl Into<Vec<u8>>,
    ) -> Self {
        let (repository, bytes) = (self.repositories.entry(repository.to_owned()).or_default(), bytes.into());
        let digest = Digest::sha256(&bytes).to_string();
        repository.tags.insert(tag.to_owned(), digest.clone());
        repository.manifests.insert(digest, (media_type, bytes));
        self
    }

    /// Lets in only who shows this account.
    #[must_use]
    pub fn requiring_basic(mut self, user: &str, password: &str) -> Self {
        self.access = Access::Basic { user: user.to_owned(), password: password.to_owned() };
        self
    }

    /// Lets in only who has a token of its own token service. Until an account or a refresh token is added, everybody gets one.
    #[must_use]
    pub fn requiring_token(mut self, service: &str) -> Self {
        self.access = Access::Token(TokenService::new(service));
        self
    }

    /// Gives tokens to who shows this account; after [`requiring_token`](Self::requiring_token).
    #[must_use]
    pub fn token_account(self, user: &str, password: &str) -> Self {
        self.with_token_service(|service| service.accounts.push((user.to_owned(), password.to_owned())))
    }

    /// Gives tokens to who posts this refresh token (an "identity token").
    #[must_use]
    pub fn refresh_token(self, token: &str) -> Self {
        self.with_token_service(|service| service.refresh_tokens.push(token.to_owned()))
    }

    /// Refuses a token after so many requests, as if it had expired.
    #[must_use]
    pub fn tokens_good_for(self, requests: usize) -> Self {
        self.with_token_service(|service| service.uses = Some(requests))
    }

    /// What the token service states as `expires_in`. Nothing expires by it here.
    #[must_use]
    pub fn tokens_expire_in(self, seconds: u64) -> Self {
        self.with_token_service(|service| service.expires_in = Some(seconds))
    }

    fn with_token_service(mut self, change: impl FnOnce(&mut TokenService)) -> Self {
        let Access::Token(service) = &mut self.access else { panic!("first say requiring_token") };
        change(service);
        self
    }

    /// Answers 404 to this blob, although manifests name it.
    #[must_use]
    pub fn without_blob(mut self, digest: &Digest) -> Self {
        self.missing.insert(digest.to_string());
        self
    }

    /// Lists at most so many tags at once, with a `Link` to the next.
    #[must_use]
    pub fn page_size(mut self, tags: usize) -> Self {
        self.page_size = Some(tags);
        self
    }

    /// Ignores `Range`.
    #[must_use]
    pub fn without_ranges(mut self) -> Self {
        self.without_ranges = true;
        self
    }

    /// Redirects blobs to another scripted registry (its [`url("")`](Server::url)), with a signature in the query. That one
    /// refuses requests with an `Authorization`, as content delivery networks do.
    #[must_use]
    pub fn redirecting_blobs_to(mut self, base: &str) -> Self {
        self.blobs_elsewhere = Some(base.to_owned());
        self
    }

    /// Answers the nth request (`1..=1`: only the first; `2..`: all but the first) for a path with `reply` instead. Requests
    /// that are turned away for want of authorisation do not count.
    #[must_use]
    pub fn fault(
        self,
        path: impl Fn(&str) -> bool + Send + Sync + 'static,
        nth: impl RangeBounds<usize>,
        reply: Reply,
    ) -> Self {
        self.spoil(path, nth, move |_| reply.clone())
    }

    /// Changes the answer to the nth request for a path: `|reply| reply.cut_after(100)`.
    #[must_use]
    pub fn spoil(
        mut self,
        path: impl Fn(&str) -> bool + Send + Sync + 'static,
        nth: impl RangeBounds<usize>,
        spoil: impl Fn(Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let nth = (nth.start_bound().cloned(), nth.end_bound().cloned());
        self.rules.push(Rule { applies: Box::new(path), nth, spoil: Box::new(spoil), seen: AtomicUsize::new(0) });
        self
    }

    /// Opens it, over plain HTTP.
    pub fn serve(self) -> RunningRegistry {
        RunningRegistry(Server::http(move |request| self.answer(request, "http")))
    }

    /// Opens it, over HTTPS.
    pub fn serve_tls(self, tls: &ServerTls) -> RunningRegistry {
        RunningRegistry(Server::https(move |request| self.answer(request, "https"), tls))
    }
}

/// A registry that answers until it is dropped; what it received is asked of its [`Server`].
pub struct RunningRegistry(Server);

impl RunningRegistry {
    /// `127.0.0.1:port/org/app:1`
    pub fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.authority())
    }

    /// Every request for a token so far.
    pub fn token_requests(&self) -> Vec<ReceivedRequest> {
        self.requests().into_iter().filter(|request| request.path() == TOKEN_PATH).collect()
    }
}

impl Deref for RunningRegistry {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl Registry {
    fn answer(&self, request: &ReceivedRequest, scheme: &str) -> Reply {
        if let Err(refusal) = self.check(request, scheme) {
            return refusal;
        }
        let reply = self.answer_allowed(request);
        self.rules.iter().fold(reply, |reply, rule| rule.apply(request.path(), reply))
    }

    fn check(&self, request: &ReceivedRequest, scheme: &str) -> Result<(), Reply> {
        let extended = request.path().strip_prefix(signatures::EXTENSION_PATH);
        let Some(rest) = request.path().strip_prefix("/v2/").or(extended) else { return Ok(()) };
        match &self.access {
            Access::Everybody => Ok(()),
            Access::Basic { user, password } if is_basic(request, user, password) => Ok(()),
            Access::Basic { .. } => Err(unauthorized("Basic realm=\"scripted\"")),
            Access::Token(service) => {
                let realm = format!("{scheme}://{}{TOKEN_PATH}", request.header("host").unwrap_or_default());
                let scope = Item::parse(rest).map(|(repository, _)| format!("repository:{repository}:pull"));
                service.check(request, scope.as_deref(), &realm)
            }
        }
    }

    fn answer_allowed(&self, request: &ReceivedRequest) -> Reply {
        if let (TOKEN_PATH, Access::Token(service)) = (request.path(), &self.access) {
            return service.answer(request);
        }
        if !["GET", "HEAD"].contains(&request.method.as_str()) {
            return error(405, "UNSUPPORTED", "this registry can only be read");
        }
        if let Some(digest) = request.path().strip_prefix(CDN_PATH) {
            return self.answer_cdn(request, digest);
        }
        match request.path().strip_prefix("/v2/") {
            None => self.answer_extension(request.path()),
            Some("") => self.answer_ping(),
            Some(rest) => self.answer_item(request, rest),
        }
    }

    fn answer_item(&self, request: &ReceivedRequest, rest: &str) -> Reply {
        let Some((name, item)) = Item::parse(rest) else { return error(404, "NOT_FOUND", "not a path of a registry") };
        let Some(repository) = self.repositories.get(name) else {
            return error(404, "NAME_UNKNOWN", "repository name not known to registry");
        };
        match item {
            Item::Manifest(reference) => self.answer_manifest(repository, reference),
            Item::Referrers(digest) => self.answer_referrers(request, name, repository, digest),
            Item::Tags => self.answer_tags(request, name, repository),
            Item::Signatures => error(404, "NOT_FOUND", "not a path of a registry"),
            Item::Blob(digest) if self.missing.contains(digest) => blob_unknown(),
            Item::Blob(digest) => match (&self.blobs_elsewhere, repository.blobs.get(digest)) {
                (_, None) => blob_unknown(),
                (None, Some(blob)) => self.answer_blob(request, digest, blob),
                (Some(base), Some(_)) => {
                    Reply::redirect(307, &format!("{base}{CDN_PATH}{digest}?X-Signature=signed-for-you"))
                }
            },
        }
    }

    fn answer_cdn(&self, request: &ReceivedRequest, digest: &str) -> Reply {
        if request.header("authorization").is_some() {
            return Reply::new(400).body("only one authentication mechanism is allowed");
        }
        if request.query("X-Signature") != ["signed-for-you"] {
            return Reply::new(403).body("the signature does not match");
        }
        let blob = self.repositories.values().find_map(|repository| repository.blobs.get(digest));
        match blob.filter(|_| !self.missing.contains(digest)) {
            Some(blob) => self.answer_blob(request, digest, blob),
            None => blob_unknown(),
        }
    }

    fn answer_blob(&self, request: &ReceivedRequest, digest: &str, blob: &[u8]) -> Reply {
        let reply = Reply::new(200)
            .header("Content-Type", "application/octet-stream")
            .header("Docker-Content-Digest", digest)
            .header("Accept-Ranges", if self.without_ranges { "none" } else { "bytes" });
        match request.header("range").filter(|_| !self.without_ranges) {
            None => reply.body(blob),
            Some(range) => partial(reply, range, blob),
        }
    }

    fn answer_tags(&self, request: &ReceivedRequest, name: &str, repository: &Repository) -> Reply {
        let asked = request.query("n").first().and_then(|n| n.parse::<usize>().ok());
        let size = asked.into_iter().chain(self.page_size).min().unwrap_or(usize::MAX);
        let last = request.query("last").first().cloned().unwrap_or_default();
        let mut rest = repository.tags.keys().filter(|tag| **tag > last);
        let page: Vec<&String> = rest.by_ref().take(size).collect();
        let reply = Reply::json(&json!({"name": name, "tags": page}));
        match (rest.next(), page.last()) {
            (Some(_), Some(last)) => {
                reply.header("Link", &format!("</v2/{name}/tags/list?n={size}&last={last}>; rel=\"next\""))
            }
            _ => reply,
        }
    }
}

/// What a path of the distribution API names inside a repository.
enum Item<'a> {
    Manifest(&'a str),
    Blob(&'a str),
    Referrers(&'a str),
    Signatures,
    Tags,
}

impl<'a> Item<'a> {
    /// Splits what follows `/v2/` into repository and item.
    fn parse(rest: &'a str) -> Option<(&'a str, Self)> {
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Some((name, Self::Tags));
        }
        if let Some((name, reference)) = rest.rsplit_once("/manifests/") {
            return Some((name, Self::Manifest(reference)));
        }
        if let Some((name, digest)) = rest.rsplit_once("/referrers/") {
            return Some((name, Self::Referrers(digest)));
        }
        if let Some((name, _)) = rest.rsplit_once("/signatures/") {
            return Some((name, Self::Signatures));
        }
        rest.rsplit_once("/blobs/").map(|(name, digest)| (name, Self::Blob(digest)))
    }
}

impl Repository {
    fn put(&mut self, image: &Image) {
        self.manifests.insert(image.digest().to_string(), (image.media_type(), image.manifest()));
        self.blobs.extend(image.blobs().into_iter().map(|(digest, blob)| (digest.to_string(), blob)));
        image.instances().iter().for_each(|instance| self.put(instance));
    }

    fn answer_manifest(&self, reference: &str) -> Reply {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        match self.manifests.get(digest) {
            None => error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            Some((media_type, bytes)) => {
                Reply::ok(bytes.clone()).header("Content-Type", media_type).header("Docker-Content-Digest", digest)
            }
        }
    }
}

impl Rule {
    fn apply(&self, path: &str, reply: Reply) -> Reply {
        if !(self.applies)(path) {
            return reply;
        }
        let nth = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if self.nth.contains(&nth) { (self.spoil)(reply) } else { reply }
    }
}

/// `bytes=first-` or `bytes=first-last`
fn partial(reply: Reply, range: &str, blob: &[u8]) -> Reply {
    let size = blob.len();
    let bounds = range.strip_prefix("bytes=").and_then(|bounds| bounds.split_once('-'));
    let first = bounds.and_then(|(first, _)| first.parse::<usize>().ok());
    let last =
        bounds.and_then(|(_, last)| last.parse::<usize>().ok()).unwrap_or(usize::MAX).min(size.saturating_sub(1));
    match first.filter(|first| *first < size && *first <= last) {
        None => Reply::new(416).header("Content-Range", &format!("bytes */{size}")),
        Some(first) => {
            let reply = reply.header("Content-Range", &format!("bytes {first}-{last}/{size}"));
            reply.status(206).body(&blob[first..=last])
        }
    }
}

pub(super) fn unauthorized(challenge: &str) -> Reply {
    error(401, "UNAUTHORIZED", "authentication required").header("WWW-Authenticate", challenge)
}

fn blob_unknown() -> Reply {
    error(404, "BLOB_UNKNOWN", "blob unknown to registry")
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(&json!({"errors": [{"code": code, "message": message}]})).status(status)
}
