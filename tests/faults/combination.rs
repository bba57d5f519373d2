//! One fault, at one position, in one set of sources: a pull, and what came of it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use transship::Digest;
use transship::config::{Config, Paths};
use transship::error::one_line;
use transship::http::{Error, Request, Response, RetryPolicy, SystemClock, TestClock, Wire};
use transship::source::{self, Network, Options};
use transship::{copy, destination};

use crate::fault::Fault;
use crate::position::{Position, Spot};
use crate::proxy;
use crate::support::docker_registry::DockerRegistry;
use crate::support::impatient::{Impatient, Part, Towards};
use crate::support::local::tree;
use crate::support::server::Server;
use crate::world::{TLS, Transport, World, copy_image};

pub(crate) const LOGICAL: &str = "docker://registry.example/org/app:1";

/// The longest that the test clock may be made to show: the last source is tried three times more, and may ask for 7 s each
/// time.
const LONGEST_WAIT: Duration = Duration::from_secs(3 * 7 + 1);

/// Who is faulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sources {
    OneMirror,
    TwoMirrors,
    /// Two mirrors and the origin.
    All,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Combination {
    pub(crate) fault: Fault,
    pub(crate) position: Position,
    pub(crate) sources: Sources,
    pub(crate) transport: Transport,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The copy is the image, and the first source has delivered all of it.
    EndsItself,
    /// The copy is the image, thanks to another source.
    Ends,
    /// There is no copy, and an error that names every source with its fault.
    Fails,
}

impl Sources {
    /// The number of sources, and how many of them are faulty.
    fn counts(self) -> (usize, usize) {
        match self {
            Self::OneMirror => (2, 1),
            Self::TwoMirrors => (3, 2),
            Self::All => (3, 3),
        }
    }
}

impl Combination {
    /// # Errors
    /// Whatever must never be.
    pub(crate) fn run(self, world: &World) -> Result<Outcome, String> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("copy");
        let (servers, asked, waited) = (self.servers(world), Arc::default(), Arc::default());
        let outcome = self.pull(&self.machine(world, home.path(), &servers, &asked, &waited), &path);
        let (asked, waited) = (asked.lock().unwrap().clone(), TestClock::sleeps(&waited).iter().sum::<Duration>());
        if waited > LONGEST_WAIT {
            return Err(format!("it waited for {waited:?}"));
        }
        self.check_reached(&servers, &asked, outcome.is_ok())?;
        match outcome {
            Ok(()) if tree(&path) != *world.undisturbed(self.transport) => Err("the copy is not the image".to_owned()),
            Ok(()) if is_asked(&asked, &servers[1], "/v2/") => Ok(Outcome::Ends),
            Ok(()) => Ok(Outcome::EndsItself),
            Err(error) => {
                check_names(&one_line(&error), &servers, self.fault.words())?;
                check_remains(&path)?;
                self.check_repair(world, &path)?;
                Ok(Outcome::Fails)
            }
        }
    }

    fn spot(self) -> Spot {
        self.position.spot()
    }

    /// Mirrors, then the origin.
    fn servers(self, world: &World) -> Vec<Server> {
        let (count, faulty) = self.sources.counts();
        let server = |(index, registry): (usize, &str)| match index {
            _ if index < faulty => proxy::faulty(registry, self.fault, self.spot(), self.is_verified()),
            _ => proxy::healthy(registry),
        };
        world.registries.iter().map(DockerRegistry::host).take(count).enumerate().map(server).collect()
    }

    /// Only an insecure registry is pinged.
    fn is_verified(self) -> bool {
        self.position != Position::Ping
    }

    fn machine(
        self,
        world: &World,
        root: &Path,
        servers: &[Server],
        asked: &Arc<Mutex<Vec<String>>>,
        clock: &Arc<TestClock>,
    ) -> (Config, Options) {
        let (_, faulty) = self.sources.counts();
        let config = configure(root, servers, self.is_verified());
        let (patient, hasty) = (Arc::clone(&world.patient), Arc::clone(&world.hasty));
        // Where nobody answers the ping, nobody answers anything.
        let is_deaf = self.position == Position::Ping && self.fault.door(false).is_some();
        let part = if is_deaf { Part::Anywhere(String::new()) } else { Part::End(self.spot().path) };
        let towards = servers[..faulty].iter().filter(|_| self.fault.is_silence());
        let towards = towards.map(|server| Towards { authority: server.authority(), part: part.clone() }).collect();
        let inner = Impatient { patient, hasty, towards };
        let wire = Arc::new(Noting { inner, asked: Arc::clone(asked) });
        let network = Some(Network::new(wire, Arc::clone(clock) as _));
        (config, Options { network, retry: Some(RetryPolicy::PATIENT), ..Options::default() })
    }

    fn pull(self, (config, options): &(Config, Options), path: &Path) -> Result<(), copy::Error> {
        let source = source::open_with(config, &LOGICAL.parse().unwrap(), options)?;
        let destination = destination::open(&self.transport.reference(path)).unwrap();
        copy_image(&*source, &*destination)
    }

    /// A fault that nobody has met proves nothing.
    fn check_reached(self, servers: &[Server], asked: &[String], has_ended: bool) -> Result<(), String> {
        let (_, faulty) = self.sources.counts();
        // Where the first one delivers in spite of it, nobody is asked behind it.
        let is_needed = |index: usize| index == 0 || !has_ended || is_asked(asked, &servers[1], "/v2/");
        let met = |index: &usize| is_asked(asked, &servers[*index], &self.spot().path);
        match (0..faulty).filter(|index| is_needed(*index)).find(|index| !met(index)) {
            Some(index) => Err(format!("source {index} was never asked for {}", self.spot().path)),
            None => Ok(()),
        }
    }

    /// Whatever is left, the next pull makes the image of it.
    fn check_repair(self, world: &World, path: &Path) -> Result<(), String> {
        let home = tempfile::tempdir().unwrap();
        let servers = [proxy::healthy(world.registries[0].host())];
        let network = Network::new(Arc::clone(&world.patient), Arc::new(SystemClock));
        let options = Options { network: Some(network), ..Options::default() };
        let machine = (configure(home.path(), &servers, true), options);
        self.pull(&machine, path).map_err(|error| format!("the next pull fails: {}", one_line(&error)))?;
        let is_image = tree(path) == *world.undisturbed(self.transport);
        if is_image { Ok(()) } else { Err("the next pull does not make the image".to_owned()) }
    }
}

/// `registry.example` is at these servers, the last one its origin.
pub(crate) fn configure(root: &Path, servers: &[Server], is_verified: bool) -> Config {
    let (origin, mirrors) = servers.split_last().unwrap();
    let mut conf = String::new();
    let mut put = |head: &str, server: &Server| {
        let authority = server.authority();
        write!(conf, "{head}\nlocation = \"{authority}\"\ninsecure = {}\n", !is_verified).unwrap();
        TLS.write_certs_d(&root.join("certs.d").join(authority));
    };
    put("[[registry]]\nprefix = \"registry.example\"", origin);
    for mirror in mirrors {
        put("[[registry.mirror]]", mirror);
    }
    fs::write(root.join("registries.conf"), conf).unwrap();
    let mut paths = Paths::isolated(root);
    paths.registries_conf = Some(root.join("registries.conf"));
    paths.certs_dir = Some(root.join("certs.d"));
    Config::load_from(paths).unwrap()
}

/// Writes down what is asked.
struct Noting {
    inner: Impatient,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Wire for Noting {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        self.asked.lock().unwrap().push(request.url.expose().to_owned());
        self.inner.send(request)
    }
}

fn is_asked(asked: &[String], server: &Server, path: &str) -> bool {
    asked.iter().any(|url| url.contains(&server.authority()) && url.contains(path))
}

/// Behind the name of each source is a word of its fault, before that of another one.
fn check_names(text: &str, servers: &[Server], words: &[&str]) -> Result<(), String> {
    let authorities: Vec<_> = servers.iter().map(Server::authority).collect();
    let mut places: Vec<_> =
        authorities.iter().flat_map(|name| text.match_indices(name.as_str()).map(move |(at, _)| (at, name))).collect();
    places.sort();
    let ends = places.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
    let said: Vec<_> = places.iter().zip(ends).map(|((at, name), end)| (*name, &text[*at..end])).collect();
    for authority in &authorities {
        let mut of_source = said.iter().filter(|(name, _)| *name == authority);
        if !of_source.any(|(_, said)| words.iter().any(|word| said.contains(word))) {
            return Err(format!("{authority} is not named with {words:?} in: {text}"));
        }
    }
    Ok(())
}

/// A file with the name of a digest has those bytes, and nothing names an image.
pub(crate) fn check_remains(path: &Path) -> Result<(), String> {
    if !path.exists() {
        return Ok(());
    }
    for (file, (_, bytes)) in tree(path) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let is_blob = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_blob && Digest::sha256(&bytes).encoded() != name {
            return Err(format!("{name} has other bytes"));
        }
        let names_image = match name {
            "manifest.json" => true,
            "index.json" => String::from_utf8_lossy(&bytes).contains("sha256:"),
            _ => false,
        };
        if names_image {
            return Err(format!("{name} names an image"));
        }
    }
    Ok(())
}
