//! The origin, the bystanders, and the client between them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use tempfile::TempDir;
use transship::ImageReference;
use transship::config::{Config, Paths};
use transship::copy;
use transship::error::find;
use transship::manifest::ImageManifest;
use transship::registry::{self, ErrorResponse};
use transship::source::{self, Error, Options, SignatureDemand};

use crate::Case;
use crate::origin::{Access, BACK, Origin, Trap, serve_blob};
use crate::place::Place;
use crate::support::helpers::Helpers;
use crate::support::reply::Reply;
use crate::support::server::{ReceivedRequest, Server, ServerTls};

/// Somebody who should learn nothing, or only what is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bystander {
    /// A mirror on another host, with an account of its own, that asks for Basic and is never content.
    MirrorElsewhere,
    /// A mirror on the origin's host and another port, without an account, that asks in every way.
    MirrorOnOtherPort,
    /// A mirror with an account of its own that names somebody else's realm.
    MirrorNamingRealm,
    /// That realm; it stands behind [`MirrorNamingRealm`](Self::MirrorNamingRealm).
    MirrorsRealm,
    /// Delivers blobs.
    Cdn,
    /// Delivers blobs over plain http.
    HttpCdn,
    /// Redirects to where it is told.
    CdnSendingBack,
    /// Asks in every way.
    NosyCdn,
    /// The same over plain http.
    NosyHttp,
    /// Gives a token to everybody, over plain http.
    HttpRealm,
}

impl Bystander {
    /// `next` is the URL of the bystander behind this one.
    fn open(self, tls: &ServerTls, next: &str) -> Server {
        let realm = format!("Bearer realm=\"{next}/token\",service=\"mirror\"");
        match self {
            Self::MirrorElsewhere => Server::https(|_| unauthorized("Basic realm=\"mirror\""), tls),
            Self::MirrorNamingRealm => Server::https(move |_| unauthorized(&realm), tls),
            Self::Cdn => Server::https(|request| serve_blob(request.path()), tls),
            Self::HttpCdn => Server::http(|request| serve_blob(request.path())),
            Self::CdnSendingBack => Server::https(|request| Reply::redirect(307, &request.query("n")[0]), tls),
            Self::MirrorOnOtherPort | Self::MirrorsRealm | Self::NosyCdn => {
                Server::https(|request| ask("https", request), tls)
            }
            Self::NosyHttp => Server::http(|request| ask("http", request)),
            Self::HttpRealm => Server::http(|_| Reply::json(&json!({"token": "for everybody"}))),
        }
    }

    /// The host in the name of a mirror; it is another one than the origin's where that matters.
    fn mirror(self, server: &Server) -> Option<String> {
        match self {
            Self::MirrorElsewhere | Self::MirrorNamingRealm => {
                Some(server.authority().replace("127.0.0.1", "localhost"))
            }
            Self::MirrorOnOtherPort => Some(server.authority()),
            _ => None,
        }
    }

    fn may_hold(self) -> &'static [&'static str] {
        match self {
            Self::MirrorElsewhere | Self::MirrorNamingRealm | Self::MirrorsRealm => &["canary-mirror"],
            _ => &[],
        }
    }
}

fn unauthorized(challenge: &str) -> Reply {
    Reply::new(401).header("WWW-Authenticate", challenge)
}

fn ask(scheme: &str, request: &ReceivedRequest) -> Reply {
    let realm = format!("{scheme}://{}/token", request.header("host").unwrap());
    unauthorized(&format!("Basic realm=\"tell me\", Bearer realm=\"{realm}\",service=\"tell me\""))
}

/// One run of one case.
pub(crate) struct World {
    origin: Server,
    bystanders: Vec<(Bystander, Server)>,
    /// Where registries.d says that all signatures are.
    lookaside: Server,
    config: Config,
    options: Options,
    _home: TempDir,
    _helpers: Option<Helpers>,
}

impl World {
    pub(crate) fn new(trap: Trap, bystanders: &[Bystander], place: Place, access: Access) -> Self {
        let tls = ServerTls::signed_by_ca();
        let mut opened: Vec<(Bystander, Server)> = Vec::new();
        for bystander in bystanders.iter().rev() {
            let next = opened.first().map_or_else(String::new, |(_, server)| server.url(""));
            opened.insert(0, (*bystander, bystander.open(&tls, &next)));
        }
        let script = Origin { access, trap, elsewhere: opened[0].1.url("") };
        let origin = Server::https(move |request| script.answer(request), &tls);

        let home = tempfile::tempdir().unwrap();
        let certs = home.path().join("certs");
        tls.write_certs_d(&certs);
        let mut paths = Paths::isolated(home.path());
        paths.cert_dir = Some(certs);
        let mirrors: Vec<String> = opened.iter().filter_map(|(bystander, server)| bystander.mirror(server)).collect();
        let accounts: Vec<String> = mirrors.iter().filter(|mirror| mirror.starts_with("localhost")).cloned().collect();
        let helpers = place.plant(&origin.authority(), &accounts, home.path(), &mut paths);
        let conf = home.path().join("registries.conf");
        fs::write(&conf, registries_conf(place, &origin.authority(), &mirrors)).unwrap();
        paths.registries_conf = Some(conf);
        let lookaside = Server::http(|request| ask("http", request));
        paths.registries_d = Some(registries_d(home.path(), &lookaside));

        let config = Config::load_from(paths).unwrap();
        let options = Options { identity: place.identity(), ..Options::default() };
        Self { origin, bystanders: opened, lookaside, config, options, _home: home, _helpers: helpers }
    }

    /// Reads all of the image, and its signatures as far as their store lets us.
    pub(crate) fn pull(&self) -> Result<(), Error> {
        let image: ImageReference = format!("docker://{}/org/app:1", self.origin.authority()).parse().unwrap();
        let source = source::open_with(&self.config, &image, &self.options)?;
        let manifest = ImageManifest::parse(&*source.manifest(None)?).unwrap();
        for blob in std::iter::once(manifest.config()).chain(manifest.layers()) {
            match copy::read_config(&*source, blob) {
                Ok(_) => {}
                Err(copy::Error::Source(error)) => return Err(error),
                Err(other) => panic!("{other:?}"),
            }
        }
        let refusal = source.signatures(None, SignatureDemand::Judged).unwrap_err();
        assert_eq!(cause::<ErrorResponse>(&refusal).status.as_u16(), 401, "the store is not told who we are");
        assert!(!refusal.is_unauthorized(), "and no login would help");
        Ok(())
    }

    pub(crate) fn tags(&self) -> Result<usize, registry::Error> {
        let repository = format!("{}/org/app", self.origin.authority()).parse().unwrap();
        let client = source::registry_client(&self.config, &repository, &self.options).unwrap();
        client.tags().map(|tags| tags.len())
    }

    pub(crate) fn assert_nobody_holds_what_is_not_its_own(&self, case: Case) {
        for (bystander, server) in &self.bystanders {
            for request in server.requests() {
                let foreign = canaries(&request).into_iter().find(|canary| !bystander.may_hold().contains(canary));
                assert_eq!(foreign, None, "{case:?}: {bystander:?} was asked {request:?}");
            }
        }
        for request in self.lookaside.requests() {
            assert!(canaries(&request).is_empty(), "{case:?}: the lookaside was asked {request:?}");
        }
        for request in self.origin.requests() {
            assert!(!canaries(&request).contains("canary-mirror"), "{case:?}: the origin was asked {request:?}");
        }
    }

    pub(crate) fn origin_holds_its_own(&self) -> bool {
        self.origin.requests().iter().any(|request| canaries(request).contains("canary-origin"))
    }

    pub(crate) fn mirror_holds_its_own(&self) -> bool {
        self.bystanders[0].1.requests().iter().any(|request| canaries(request).contains("canary-mirror"))
    }

    pub(crate) fn assert_all_were_asked(&self, case: Case) {
        for (bystander, server) in &self.bystanders {
            assert!(!server.requests().is_empty(), "{case:?}: {bystander:?} was not asked anything");
        }
    }

    pub(crate) fn assert_the_lookaside_was_asked(&self, case: Case) {
        let asked = self.lookaside.asked();
        assert!(matches!(asked.as_slice(), [once] if once.starts_with("GET /signatures/org/app@sha256=")), "{case:?}");
    }

    pub(crate) fn assert_none_was_asked(&self, case: Case) {
        for (bystander, server) in &self.bystanders {
            assert!(server.requests().is_empty(), "{case:?}: {bystander:?} was asked {:?}", server.asked());
        }
    }

    /// What the origin was asked at the end of a redirect that had left it.
    pub(crate) fn requests_led_back(&self) -> Vec<ReceivedRequest> {
        self.origin.requests().into_iter().filter(|request| request.path().starts_with(BACK)).collect()
    }
}

fn registries_conf(place: Place, origin: &str, mirrors: &[String]) -> String {
    let mirror = |host: &String| format!("[[registry.mirror]]\nlocation = \"{host}\"\n");
    let mirrors: String = mirrors.iter().map(mirror).collect();
    format!("{}[[registry]]\nlocation = \"{origin}\"\n{mirrors}", place.registries_conf())
}

/// A registries.d in which every signature is at that server.
fn registries_d(home: &Path, lookaside: &Server) -> PathBuf {
    let directory = home.join("registries.d");
    fs::create_dir(&directory).unwrap();
    let text = format!("default-docker:\n  lookaside: {}\n", lookaside.url("/signatures"));
    fs::write(directory.join("default.yaml"), text).unwrap();
    directory
}

/// Whose secrets are in a request: in its target, a header or its body, plain or in base64.
pub(crate) fn canaries(request: &ReceivedRequest) -> BTreeSet<&'static str> {
    let mut texts = vec![request.target.clone(), String::from_utf8_lossy(&request.body).into_owned()];
    for (name, value) in &request.headers {
        texts.push(format!("{name}: {value}"));
        let decoded = value.split(' ').filter_map(|word| BASE64.decode(word).ok());
        texts.extend(decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    }
    let holds = |canary: &&str| texts.iter().any(|text| text.contains(*canary));
    ["canary-origin", "canary-mirror"].into_iter().filter(holds).collect()
}

/// The typed error somewhere in the chain.
pub(crate) fn cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> &'a T {
    find(error).unwrap_or_else(|| panic!("no such cause: {}", transship::error::one_line(error)))
}
