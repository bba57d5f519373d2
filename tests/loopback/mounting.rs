//! Blobs that the registry has in another repository: taken over where it lets us, brought where it does not.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use transship::compression::Compression;
use transship::copy::{self, BlobInfoCache, BlobOutcome, Event, LayerCompression, Progress};
use transship::destination::{self, ImageDestination};
use transship::digest::Algorithm;
use transship::manifest::ManifestBytes;
use transship::policy::Policy;
use transship::reference::{Name, Reference};
use transship::{Digest, ImageReference, MediaType};

use crate::machine::{Machine, noise};
use crate::support::image::{Image, descriptor};
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::request::ReceivedRequest;
use crate::support::uploads::{Fault, RunningUploads, Uploads};

fn image() -> Image {
    Image::with_layers(["one", "two"])
}

/// What became of each blob.
#[derive(Default)]
struct Outcomes(Mutex<Vec<BlobOutcome>>);

impl Progress for Outcomes {
    fn event(&self, event: &Event<'_>) {
        if let Event::Finished { outcome, .. } = event {
            self.0.lock().unwrap().push((*outcome).clone());
        }
    }
}

/// Copies `from` into `to`, one blob after the other.
fn copy_with(machine: &Machine, from: &str, to: &str, cache: Option<&BlobInfoCache>) -> Vec<BlobOutcome> {
    let to: ImageReference = format!("docker://{to}").parse().unwrap();
    let destination = destination::open_with(&machine.config(), &to, &machine.options()).unwrap();
    let source = machine.open(from).unwrap();
    let outcomes = Outcomes::default();
    let options = copy::Options {
        instances: copy::Instances::All,
        parallel_copies: NonZeroUsize::MIN,
        blob_info: cache,
        progress: &outcomes,
        ..copy::Options::default()
    };
    copy::image(&*source, &*destination, &Policy::insecure_accept_anything(), &options).unwrap();
    outcomes.0.into_inner().unwrap()
}

fn copy(machine: &Machine, registry: &RunningUploads) -> Vec<BlobOutcome> {
    copy_with(machine, &registry.reference("org/base:1"), &registry.reference("org/app:1"), None)
}

/// Puts an image into `org/base:1`.
fn put(registry: &RunningUploads, image: &Image) {
    let origin = Registry::new().image("org/base", "1", image).serve();
    let both = |place: &str| format!("[[registry]]\nlocation = \"{place}\"\ninsecure = true\n");
    let conf = [both(&origin.authority()), both(&registry.authority())].concat();
    let other = Machine::new().registries_conf(&conf);
    copy_with(&other, &origin.reference("org/base:1"), &registry.reference("org/base:1"), None);
}

fn machine(registry: &RunningUploads) -> Machine {
    Machine::new().insecure(&registry.authority())
}

/// The requests for uploads into `org/app`, in order: `POST from`, `POST`, `PUT`…
fn steps(requests: &[ReceivedRequest]) -> Vec<String> {
    let of_uploads = requests.iter().filter(|request| request.path().starts_with("/v2/org/app/blobs/uploads/"));
    let words = |request: &ReceivedRequest| {
        let from = request.query("from");
        std::iter::once(request.method.clone()).chain(from).collect::<Vec<_>>().join(" ")
    };
    of_uploads.map(words).collect()
}

/// What the repositories have is remembered: the source what was read, the destination what was written.
#[test]
fn a_layer_that_changes_is_not_taken_over_and_is_remembered_as_what_it_became() {
    let registry = Uploads::new().mounting().serve();
    let machine = machine(&registry);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, b"one").unwrap();
    let image = Image::with_layers([gzip.finish().unwrap()]);
    let mut config: serde_json::Value = serde_json::from_slice(&image.config()).unwrap();
    config["rootfs"]["diff_ids"][0] = Digest::sha256(b"one").as_str().into();
    let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest()).unwrap();
    let config = config.to_string();
    manifest["config"]["digest"] = Digest::sha256(config.as_bytes()).as_str().into();
    manifest["config"]["size"] = config.len().into();
    put(&registry, &image);
    let to_base = |rest: &str| format!("docker://{}", registry.reference(&format!("org/base:{rest}"))).parse().unwrap();
    let base = destination::open_with(&machine.config(), &to_base("changed"), &machine.options()).unwrap();
    base.put_blob(&descriptor(config.as_bytes(), Algorithm::Sha256), &mut config.as_bytes()).unwrap();
    let manifest = ManifestBytes::new(manifest.to_string().into(), MediaType::OCI_MANIFEST);
    base.put_manifest(&manifest, None).unwrap();
    base.commit().unwrap();

    let to = format!("docker://{}", registry.reference("org/app:1")).parse().unwrap();
    let destination = destination::open_with(&machine.config(), &to, &machine.options()).unwrap();
    let source = machine.open(&registry.reference("org/base:changed")).unwrap();
    let cache = BlobInfoCache::new(machine.root.path().join("cache"));
    let outcomes = Outcomes::default();
    let options = copy::Options {
        layers: LayerCompression::Decompressed,
        blob_info: Some(&cache),
        progress: &outcomes,
        ..copy::Options::default()
    };
    copy::image(&*source, &*destination, &Policy::insecure_accept_anything(), &options).unwrap();
    let outcomes = outcomes.0.into_inner().unwrap();
    assert!(outcomes.iter().any(|outcome| matches!(outcome, BlobOutcome::Recompressed { .. })), "{outcomes:?}");
    let known = |digest: &Digest| cache.repositories(digest, &name(&registry, "org/other"));
    assert_eq!(known(&image.layer_digest(0)), [name(&registry, "org/base")]);
    assert_eq!(known(&Digest::sha256(b"one")), [name(&registry, "org/app")]);
    assert_eq!(cache.variants(&Digest::sha256(b"one")), [(image.layer_digest(0), Some(Compression::Gzip))]);
}

fn name(registry: &RunningUploads, path: &str) -> Name {
    registry.reference(path).parse::<Reference>().unwrap().name().clone()
}

fn assert_whole(registry: &RunningUploads, image: &Image) {
    for (digest, _) in image.blobs() {
        assert!(registry.has("org/app", &digest));
    }
    assert_eq!(registry.manifest("org/app", "1").unwrap().1, image.manifest());
    assert_eq!(registry.open_uploads(), 0);
}

#[test]
fn a_blob_of_the_source_s_repository_is_taken_over_and_not_read() {
    let registry = Uploads::new().mounting().serve();
    let machine = machine(&registry);
    put(&registry, &image());
    let before = registry.requests().len();
    let outcomes = copy(&machine, &registry);
    assert_eq!(outcomes, vec![BlobOutcome::Mounted { from: name(&registry, "org/base") }; 3]);
    let requests = &registry.requests()[before..];
    assert_eq!(steps(requests), ["POST org/base"; 3]);
    assert!(requests.iter().all(|request| request.method != "GET" || !request.path().contains("/blobs/")));
    assert_whole(&registry, &image());
    // What was taken over once is there.
    assert_eq!(copy(&machine, &registry), vec![BlobOutcome::AlreadyPresent; 3]);
}

#[test]
fn an_upload_that_is_begun_instead_is_used() {
    let registry = Uploads::new().serve();
    let machine = machine(&registry);
    let image = Image::with_layers([b"small".to_vec(), noise(8 * 1024 * 1024 + 1)]);
    put(&registry, &image);
    let before = registry.requests().len();
    let outcomes = copy(&machine, &registry);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, BlobOutcome::Copied { .. })), "{outcomes:?}");
    let steps = steps(&registry.requests()[before..]);
    let mount = "POST org/base";
    assert_eq!(steps, [mount, "PUT", mount, "PUT", mount, "PATCH", "PATCH", "PUT"]);
    assert_whole(&registry, &image);
}

#[test]
fn whoever_refuses_gets_the_bytes_and_is_not_asked_again() {
    let other = Digest::sha256(b"something else").to_string();
    for refusal in [
        Fault::Answer(Reply::new(400)),
        Fault::Answer(Reply::new(401)),
        Fault::Answer(Reply::new(403)),
        Fault::Answer(Reply::new(404)),
        Fault::Answer(Reply::new(405)),
        Fault::Answer(Reply::new(204)),
        // Who begins an upload must say where; who took a blob over must not say that it was another.
        Fault::Answer(Reply::new(202)),
        Fault::Answer(Reply::new(202).header("Location", "ftp://elsewhere.example/")),
        Fault::Header("Docker-Content-Digest", other),
    ] {
        // Three blobs are put with a POST each.
        let registry = Uploads::new().mounting().fault("POST", 4, refusal.clone()).serve();
        let machine = machine(&registry);
        put(&registry, &image());
        let before = registry.requests().len();
        let outcomes = copy(&machine, &registry);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, BlobOutcome::Copied { .. })), "{refusal:?}");
        let expected = ["POST org/base", "POST", "PUT", "POST", "PUT", "POST", "PUT"];
        assert_eq!(steps(&registry.requests()[before..]), expected, "{refusal:?}");
        assert_whole(&registry, &image());
    }
}

#[test]
fn candidates_are_asked_in_order_and_uploads_that_are_not_needed_are_given_up() {
    let registry = Uploads::new().mounting().serve();
    let machine = machine(&registry);
    put(&registry, &image());
    let blob = descriptor(b"one", Algorithm::Sha256);
    let names = |paths: &[&str]| paths.iter().map(|path| name(&registry, path)).collect::<Vec<_>>();
    let open = || -> Box<dyn ImageDestination> {
        let reference = format!("docker://{}", registry.reference("org/app:1")).parse().unwrap();
        destination::open_with(&machine.config(), &reference, &machine.options()).unwrap()
    };
    for (candidates, expected, mounted) in [
        (&[][..], &[][..], false),
        (&["org/app"], &[], false),
        (&["org/empty"], &["POST org/empty"], false),
        (&["org/empty", "org/none"], &["POST org/empty", "POST org/none", "DELETE"], false),
        (&["org/empty", "org/base", "org/none"], &["POST org/empty", "POST org/base", "DELETE"], true),
    ] {
        let before = registry.requests().len();
        let from = open().reuse_blob(&blob, &names(candidates)).unwrap();
        assert_eq!(from, mounted.then(|| name(&registry, "org/base")), "{candidates:?}");
        assert_eq!(steps(&registry.requests()[before..]), expected, "{candidates:?}");
    }
    let open = open();
    assert_eq!(open.reuse_blob(&blob, &names(&["org/empty"])).unwrap(), None);
    open.put_blob(&blob, &mut &b"one"[..]).unwrap();
    assert_eq!(registry.open_uploads(), 2, "those of the third and the fourth try, which nobody went on with");
}

#[test]
fn nothing_is_taken_over_from_another_registry() {
    let (registry, other) =
        (Uploads::new().mounting().serve(), Registry::new().image("org/base", "1", &image()).serve());
    let place = |place: &str| format!("[[registry]]\nlocation = \"{place}\"\ninsecure = true\n");
    let conf = [place(&registry.authority()), place(&other.authority())].concat();
    let machine = Machine::new().registries_conf(&conf);
    let cache = BlobInfoCache::new(machine.root.path().join("cache"));
    let elsewhere: Reference = other.reference("org/base").parse().unwrap();
    cache.record_repositories(&image().layer_digest(0), &[elsewhere.name()]);
    copy_with(&machine, &other.reference("org/base:1"), &registry.reference("org/app:1"), Some(&cache));
    assert_eq!(steps(&registry.requests()), ["POST", "PUT", "POST", "PUT", "POST", "PUT"]);
    let to = destination::open_with(
        &machine.config(),
        &format!("docker://{}", registry.reference("org/new:1")).parse().unwrap(),
        &machine.options(),
    );
    let blob = descriptor(b"one", Algorithm::Sha256);
    assert_eq!(to.unwrap().reuse_blob(&blob, &[elsewhere.name().clone()]).unwrap(), None);
    assert!(registry.requests().iter().all(|request| request.query("from").is_empty()));
}

#[test]
fn what_is_contacted_counts_and_not_what_it_is_called() {
    let registry = Uploads::new().mounting().serve();
    put(&registry, &image());
    let place = |prefix: &str, path: &str| {
        format!("[[registry]]\nprefix = \"{prefix}\"\nlocation = \"{}\"\ninsecure = true\n", registry.reference(path))
    };
    let conf = [place("one.example/theirs", "org"), place("other.example/ours", "org")].concat();
    let machine = Machine::new().registries_conf(&conf);
    let outcomes = copy_with(&machine, "one.example/theirs/base:1", "other.example/ours/app:1", None);
    assert_eq!(outcomes, vec![BlobOutcome::Mounted { from: name(&registry, "org/base") }; 3]);
    assert_whole(&registry, &image());
}

/// The scopes of each request for a token to write into `org/app`.
fn scopes(requests: &[ReceivedRequest]) -> Vec<Vec<String>> {
    let of_tokens = requests.iter().filter(|request| request.path() == "/token");
    let scopes = of_tokens.map(|request| request.query("scope"));
    scopes.filter(|scopes| scopes.iter().any(|scope| scope.starts_with("repository:org/app:"))).collect()
}

#[test]
fn a_token_for_both_repositories_is_asked_for_once_and_used_for_mounts_only() {
    let registry = Uploads::new().mounting().requiring_token().serve();
    let machine = machine(&registry);
    put(&registry, &image());
    let before = registry.requests().len();
    assert_eq!(copy(&machine, &registry).len(), 3);
    let requests = &registry.requests()[before..];
    assert_eq!(steps(requests), ["POST org/base"; 3]);
    let (push, pull) = ("repository:org/app:pull,push", "repository:org/base:pull");
    assert_eq!(scopes(requests), [vec![push.to_owned()], vec![push.to_owned(), pull.to_owned()]]);
    let tokens = |is_mount: bool| {
        let to = requests.iter().filter(|request| request.path().starts_with("/v2/org/app/"));
        let sent = to.filter(|request| request.query("mount").is_empty() != is_mount);
        let mut tokens: Vec<_> = sent.filter_map(|request| request.header("authorization")).collect();
        tokens.dedup();
        tokens.iter().map(|token| (*token).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((tokens(true).len(), tokens(false).len()), (1, 1));
    assert_ne!(tokens(true), tokens(false));
    assert_whole(&registry, &image());
}

#[test]
fn where_no_token_is_given_for_the_other_repository_the_bytes_are_brought() {
    let cached = "repository:org/secret:pull";
    let registry = Uploads::new().requiring_token().denying(cached).serve();
    let machine = machine(&registry);
    put(&registry, &image());
    let cache = BlobInfoCache::new(machine.root.path().join("cache"));
    let secret = name(&registry, "org/secret");
    for (digest, _) in image().blobs() {
        cache.record_repositories(&digest, &[&secret]);
    }
    let directory = ImageReference::Dir(machine.destination());
    let source = machine.open(&registry.reference("org/base:1")).unwrap();
    crate::machine::copy_to(&*source, &directory, &copy::Options::default()).unwrap();
    let source = transship::source::open(&machine.config(), &directory).unwrap();
    let to = format!("docker://{}", registry.reference("org/app:1")).parse().unwrap();
    let destination = destination::open_with(&machine.config(), &to, &machine.options()).unwrap();
    let before = registry.requests().len();
    let options = copy::Options { blob_info: Some(&cache), ..copy::Options::default() };
    copy::image(&*source, &*destination, &Policy::insecure_accept_anything(), &options).unwrap();
    assert!(scopes(&registry.requests()[before..]).iter().any(|scopes| scopes.contains(&cached.to_owned())));
    assert_whole(&registry, &image());
}
