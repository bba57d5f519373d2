//! Layers given another compression on their way into every kind of place.

use std::fs;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use transship::compression::{Compression, Compressor};
use transship::copy::{BlobOutcome, Error, Event, Instances, LayerCompression, Options, Progress};
use transship::destination::{self, DirDestination};
use transship::error::one_line;
use transship::{Digest, MediaType};

use crate::made::{Form, OCI, blobs, compressed, config, gzip, layer};
use crate::places::{Place, Sketch, copy, described, layers, open};
use crate::support::clients::Clients;
use crate::support::command::run;
use crate::support::docker_registry::DockerRegistry;
use crate::support::listing::{assert_same, contents};
use crate::support::peers::peer;
use crate::support::reply::Reply;
use crate::support::uploads::{Fault, Uploads};

/// A registry gets this much at a time.
const CHUNK: usize = 8 * 1024 * 1024;
/// What a tar file of one file has beside it.
const TAR: usize = 1536;

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn recompressed(compression: Compression) -> LayerCompression {
    LayerCompression::Recompressed(Compressor::new(compression, None).unwrap())
}

/// An image with a small layer, one that is one chunk, and one that is more, whatever becomes of them: they are random.
fn large_image(clients: &Clients) -> Vec<Digest> {
    let layers = [(1, 3000), (2, CHUNK - TAR), (3, CHUNK + 1_000_000)].map(|(seed, size)| layer(seed, size));
    assert_eq!(layers[1].len(), CHUNK);
    let in_forms: Vec<_> = layers.iter().cloned().zip([Form::Plain, Form::Gzip, Form::Zstd]).collect();
    let manifest = blobs(&clients.path("image"), &OCI, &config(&layers), &in_forms);
    fs::write(clients.path("image/manifest.json"), manifest).unwrap();
    layers.iter().map(|layer| Digest::sha256(layer)).collect()
}

fn layers_in(clients: &Clients, directory: &str) -> Vec<(String, String)> {
    let manifest = fs::read(clients.path(directory).join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| (text(&layer["mediaType"]), text(&layer["digest"])))
        .collect()
}

#[test]
fn every_place_takes_every_form_and_both_programs_read_it() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let diff_ids = large_image(&clients);
    let flags = ["copy", "--insecure-policy", "-q", "--src-tls-verify=false"];
    for (wish, suffix) in
        [("--dest-compress-format=gzip", "+gzip"), ("--dest-compress-format=zstd", "+zstd"), ("--dest-decompress", "")]
    {
        let mut places = vec![
            "dir:there".to_owned(),
            "oci:layout:there".to_owned(),
            "oci-archive:there.oci.tar:there".to_owned(),
            registry.image(&format!("org/app:{}", suffix.trim_start_matches('+'))),
        ];
        if suffix.is_empty() {
            places[3].push_str("plain");
            places.push("docker-archive:there.docker.tar:there:1".to_owned());
        }
        for place in places {
            run(clients.ours().args(flags).args(["--dest-tls-verify=false", wish, "dir:image", &place]));
            for directory in ["as-it-is", "ours", "skopeo"] {
                drop(fs::remove_dir_all(clients.path(directory)));
            }
            run(clients.skopeo().args(flags).args([&place, "dir:as-it-is"]));
            let is_docker_archive = place.starts_with("docker-archive:");
            if !is_docker_archive {
                let kinds: Vec<_> = layers_in(&clients, "as-it-is").into_iter().map(|(kind, _)| kind).collect();
                assert_eq!(kinds, vec![format!("application/vnd.oci.image.layer.v1.tar{suffix}"); 3], "{place}");
            }
            run(clients.ours().args(flags).args(["--dest-decompress", &place, "dir:ours"]));
            run(clients.skopeo().args(flags).args(["--dest-decompress", &place, "dir:skopeo"]));
            let [ours, skopeos] = ["ours", "skopeo"].map(|name| {
                let lines = contents(&clients.path(name));
                // Skopeo calls the plain layers of a docker-archive gzip.
                let is_same = |line: &&str| !(is_docker_archive && line.starts_with("manifest.json "));
                lines.lines().filter(is_same).collect::<Vec<_>>().join("\n")
            });
            assert_same(&ours, &skopeos);
            let plain = layers_in(&clients, "ours").into_iter().map(|(_, digest)| digest);
            assert_eq!(
                plain.collect::<Vec<_>>(),
                diff_ids.iter().map(Digest::to_string).collect::<Vec<_>>(),
                "{place}"
            );
        }
    }
}

fn large(kind: &MediaType, seed: u64, diff_id: Option<Digest>) -> (Sketch, Digest) {
    let plain = layer(seed, CHUNK + 1_000_000);
    let bytes = gzip(&plain);
    let diff_id = diff_id.unwrap_or_else(|| Digest::sha256(&plain));
    (Sketch::image(kind, &[(GZIP, &bytes)], &[diff_id]), Digest::sha256(&bytes))
}

#[test]
fn the_same_layer_is_the_same_blob_with_any_number_of_threads() {
    let plain = layer(1, 300_000).repeat(30);
    let from = Sketch::image(&MediaType::OCI_MANIFEST, &[(GZIP, &gzip(&plain))], &[Digest::sha256(&plain)]);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let wish = LayerCompression::Recompressed(Compressor::new(compression, Some(9)).unwrap());
        let digests = [1, 2, 64].map(|count| {
            let parallel_copies = NonZeroUsize::new(count).unwrap();
            let options = Options { layers: wish, parallel_copies, ..Options::default() };
            copy(&from, &Place::new(), &options).unwrap().digest().clone()
        });
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    }
}

/// What became of each layer.
#[derive(Default)]
struct Outcomes(Mutex<Vec<BlobOutcome>>);

impl Progress for Outcomes {
    fn event(&self, event: &Event<'_>) {
        if let Event::Finished { outcome, kind: transship::copy::BlobKind::Layer, .. } = event {
            self.0.lock().unwrap().push((*outcome).clone());
        }
    }
}

#[test]
fn a_layer_of_two_instances_is_made_once() {
    let (shared, own) = (layer(1, 1000), layer(2, 1000));
    let diff_ids = [&shared, &own].map(|layer| Digest::sha256(layer));
    let (shared, own) = (gzip(&shared), gzip(&own));
    let one = Sketch::image(&MediaType::OCI_MANIFEST, &[(GZIP, &shared)], &diff_ids[..1]);
    // Once more in the same image.
    let repeated = [diff_ids[0].clone(), diff_ids[1].clone(), diff_ids[0].clone()];
    let other = Sketch::image(&MediaType::OCI_MANIFEST, &[(GZIP, &shared), (GZIP, &own), (GZIP, &shared)], &repeated);
    let platform = |architecture: &str| json!({"platform": {"os": "linux", "architecture": architecture}});
    let from = Sketch::index(&MediaType::OCI_INDEX, &[(&one, platform("amd64")), (&other, platform("arm64"))]);
    let outcomes = Outcomes::default();
    let options = Options {
        instances: Instances::All,
        layers: recompressed(Compression::Zstd),
        progress: &outcomes,
        parallel_copies: NonZeroUsize::MIN,
        ..Options::default()
    };
    let to = Place::new();
    copy(&from, &to, &options).unwrap();
    let made = |outcome: &BlobOutcome| matches!(outcome, BlobOutcome::Recompressed { .. });
    let outcomes = outcomes.0.into_inner().unwrap();
    assert_eq!(outcomes.iter().map(made).collect::<Vec<_>>(), [true, false, true], "{outcomes:?}");
    let instances: Vec<_> = to.instances.lock().unwrap().values().cloned().collect();
    let longest = instances.iter().map(layers).max_by_key(Vec::len).unwrap();
    assert_eq!((longest.len(), &longest[0]), (3, &longest[2]));
}

#[test]
fn what_is_at_the_place_in_the_wanted_form_is_not_read() {
    let home = tempfile::tempdir().unwrap();
    let (from, _) = large(&MediaType::OCI_MANIFEST, 1, None);
    let registry = Uploads::new().serve();
    let path = home.path().join("there");
    for _ in 0..2 {
        let outcomes = Outcomes::default();
        let options = Options { layers: LayerCompression::Decompressed, progress: &outcomes, ..Options::default() };
        let manifests = [
            copy(&from, &DirDestination::open(&path).unwrap(), &options).unwrap(),
            copy(&from, &*open(&registry), &options).unwrap(),
        ];
        assert_eq!(manifests[0], manifests[1]);
        let size = crate::places::document(&manifests[0])["layers"][0]["size"].as_u64().unwrap();
        assert_eq!(size, layer(1, CHUNK + 1_000_000).len() as u64);
        let is_new = registry.methods("/uploads/").iter().filter(|method| *method == "PATCH").count() == 2;
        assert!(is_new, "sent once, in two chunks: {:?}", registry.methods("/uploads/"));
    }
}

#[test]
fn of_a_layer_that_is_not_what_the_config_says_nothing_is_left() {
    let (from, digest) = large(&MediaType::OCI_MANIFEST, 1, Some(Digest::sha256(b"another")));
    let home = tempfile::tempdir().unwrap();
    for wish in [LayerCompression::Decompressed, recompressed(Compression::Zstd)] {
        let options = Options { layers: wish, ..Options::default() };
        let registry = Uploads::new().serve();
        let path = home.path().join("there");
        let to: [Box<dyn destination::ImageDestination>; 2] =
            [open(&registry), Box::new(DirDestination::open(&path).unwrap())];
        for to in to {
            let error = copy(&from, &*to, &options).unwrap_err();
            assert!(matches!(&error, Error::Layer { digest: of, .. } if *of == digest), "{error:?}");
        }
        // How much a compressor has given by then is its own affair.
        let is_begun = registry.methods("/uploads/").contains(&"PATCH".to_owned());
        assert!(is_begun || wish != LayerCompression::Decompressed);
        assert_eq!((registry.open_uploads(), registry.manifest("org/app", "1")), (0, None));
        // The config, and what says that it is a directory for images.
        assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
        fs::remove_dir_all(&path).unwrap();
    }
}

/// Stops a copy when more than a chunk was read.
struct Stop<'a> {
    cancelled: &'a AtomicBool,
    read: AtomicU64,
}

impl Progress for Stop<'_> {
    fn event(&self, event: &Event<'_>) {
        if let Event::Read { bytes, .. } = event
            && self.read.fetch_add(*bytes, Ordering::Relaxed) + bytes > (CHUNK + 500_000) as u64
        {
            self.cancelled.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_copy_that_is_cancelled_while_a_layer_is_made_leaves_nothing_of_it() {
    let (from, _) = large(&MediaType::OCI_MANIFEST, 1, None);
    let home = tempfile::tempdir().unwrap();
    for wish in [LayerCompression::Decompressed, recompressed(Compression::Zstd)] {
        let registry = Uploads::new().serve();
        for to in [open(&registry), Box::new(DirDestination::open(home.path().join("there")).unwrap()) as _] {
            let cancelled = AtomicBool::new(false);
            let stop = Stop { cancelled: &cancelled, read: AtomicU64::new(0) };
            let options = Options { layers: wish, cancelled: &cancelled, progress: &stop, ..Options::default() };
            assert!(matches!(copy(&from, &*to, &options), Err(Error::Cancelled)));
        }
        assert!(registry.methods("/uploads/").contains(&"POST".to_owned()));
        assert_eq!((registry.open_uploads(), registry.manifest("org/app", "1")), (0, None));
        // The config, and what says that it is a directory for images.
        assert_eq!(fs::read_dir(home.path().join("there")).unwrap().count(), 2);
    }
}

#[test]
fn an_error_of_one_side_is_not_the_other_s() {
    let (from, digest) = large(&MediaType::OCI_MANIFEST, 1, None);
    for wish in [LayerCompression::Decompressed, recompressed(Compression::Zstd)] {
        let options = Options { layers: wish, ..Options::default() };
        for nth in [1, 2] {
            let registry = Uploads::new().fault("PATCH", nth, Fault::Answer(Reply::new(413))).serve();
            let error = copy(&from, &*open(&registry), &options).unwrap_err();
            assert!(matches!(error, Error::Destination(destination::Error::Registry(_))), "{error:?}");
            assert_eq!(registry.open_uploads(), 0);
        }
    }
    // Bytes that are not the layer's: it is the digest that says so, be they readable or not.
    let descriptor = described(GZIP, &gzip(&layer(1, CHUNK + 1_000_000)));
    for wrong in [gzip(&layer(2, 1000)), compressed(&layer(2, 1000), Form::Zstd), b"\x1f\x8b\x08 and so on".to_vec()] {
        let config = json!({"rootfs": {"diff_ids": [Digest::sha256(&layer(1, CHUNK + 1_000_000)).as_str()]}});
        let from = Sketch::of_descriptors(&MediaType::OCI_MANIFEST, &config, &[(descriptor.clone(), b"")]);
        let from = from.with_damaged(digest.clone(), wrong);
        let options = Options { layers: LayerCompression::Decompressed, ..Options::default() };
        let error = copy(&from, &Place::new(), &options).unwrap_err();
        assert!(matches!(&error, Error::Read { digest: of, .. } if *of == digest), "{}", one_line(&error));
    }
}

#[test]
fn a_broken_line_while_a_layer_is_made_costs_a_chunk() {
    let (from, _) = large(&MediaType::OCI_MANIFEST, 1, None);
    let options = Options { layers: LayerCompression::Decompressed, ..Options::default() };
    for fault in [Fault::Keep(100_000), Fault::Mute] {
        for method in ["PATCH", "PUT"] {
            let registry = Uploads::new().fault(method, 1, fault.clone()).serve();
            let written = copy(&from, &*open(&registry), &options).unwrap();
            let digest = layers(&written)[0].1.parse().unwrap();
            assert_eq!(Digest::sha256(&registry.blob(&digest).unwrap()), digest, "{method} {fault:?}");
        }
    }
}
