//! What is remembered of blobs, from one copy to the next.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use transship::compression::Compression;
use transship::config::{Config, Paths};
use transship::copy::{self, BlobInfo, BlobInfoCache};
use transship::manifest::{ImageManifest, PlatformChoice};
use transship::policy::Policy;
use transship::reference::{Name, Reference};
use transship::{Digest, destination, source};

#[allow(dead_code, unreachable_pub, reason = "support is shared by several crates of tests")]
mod support {
    pub mod command;
    pub mod oci_layout;
    pub(crate) mod shared;
    pub(crate) mod tables;
}
use support::oci_layout::OciLayout;
use support::tables::{table, text};

const TO: &str = "quay.io/org/to";

fn name(text: &str) -> Name {
    text.parse::<Reference>().unwrap().name().clone()
}

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

/// A cache in a directory of its own.
struct Cache {
    root: tempfile::TempDir,
    cache: BlobInfoCache,
}

impl Cache {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let cache = BlobInfoCache::new(root.path().join("a/b"));
        Self { root, cache }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let encoded = digest.encoded();
        self.root.path().join(format!("a/b/sha256/{}/{encoded}.json", &encoded[..2]))
    }

    fn write(&self, digest: &Digest, bytes: impl AsRef<[u8]>) {
        let path = self.path(digest);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn repositories(&self, digest: &Digest) -> Vec<String> {
        self.cache.repositories(digest, &name(TO)).iter().map(ToString::to_string).collect()
    }

    fn record(&self, digest: &Digest, names: &[&str]) {
        let names: Vec<_> = names.iter().map(|text| name(text)).collect();
        self.cache.record_repositories(digest, &names.iter().collect::<Vec<_>>());
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_repository_of_the_same_registry_is_remembered_and_no_other() {
    let cache = Cache::new();
    assert!(!cache.root.path().join("a").exists(), "nothing is made before there is something to write");
    cache.record(&digest("blob"), &[]);
    assert!(!cache.root.path().join("a").exists());
    cache.record(&digest("blob"), &["quay.io/org/one", TO, "quay.io:443/org/port", "docker.io/library/x"]);
    assert_eq!(cache.repositories(&digest("blob")), ["quay.io/org/one"]);
    assert!(cache.repositories(&digest("another")).is_empty());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let path = cache.path(&digest("blob"));
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn the_one_that_was_seen_last_is_asked_first_and_five_at_most() {
    let cache = Cache::new();
    let blob = digest("blob");
    for number in 0..12 {
        cache.record(&blob, &[&format!("quay.io/org/n{number}"), &format!("other.example/org/n{number}")]);
    }
    assert_eq!(cache.repositories(&blob), [11, 10, 9, 8, 7].map(|number| format!("quay.io/org/n{number}")));
    cache.record(&blob, &["quay.io/org/n9"]);
    assert_eq!(cache.repositories(&blob)[..3], [9, 11, 10].map(|number| format!("quay.io/org/n{number}")));
    let document: Value = serde_json::from_slice(&fs::read(cache.path(&blob)).unwrap()).unwrap();
    assert_eq!(document["repositories"].as_array().unwrap().len(), 10, "whatever the registry");
}

#[test]
fn what_was_seen_today_is_not_written_again() {
    let cache = Cache::new();
    let blob = digest("blob");
    let with_age = |age: u64| json!({"repositories": [{"name": "quay.io/org/a", "seen": now() - age}]}).to_string();
    for (age, is_written) in [(0, false), (60 * 60, false), (25 * 60 * 60, true)] {
        let before = with_age(age);
        cache.write(&blob, &before);
        cache.record(&blob, &["quay.io/org/a"]);
        assert_eq!(fs::read_to_string(cache.path(&blob)).unwrap() != before, is_written, "{age}");
    }
    // Of the future: another clock.
    let future = json!({"repositories": [{"name": "quay.io/org/a", "seen": u64::MAX}]}).to_string();
    cache.write(&blob, future);
    cache.record(&blob, &["quay.io/org/a"]);
    let document: Value = serde_json::from_slice(&fs::read(cache.path(&blob)).unwrap()).unwrap();
    assert!(document["repositories"][0]["seen"].as_u64().unwrap() <= now());
}

#[test]
fn what_is_broken_is_nothing_and_is_written_anew() {
    let large = format!("{{\"x\": \"{}\"}}", "x".repeat(64 * 1024));
    for broken in ["", "{", "[]", "null", "{\"repositories\": 1}", "\u{0}", &large] {
        let cache = Cache::new();
        let blob = digest("blob");
        cache.write(&blob, broken);
        assert!(cache.repositories(&blob).is_empty(), "{broken:.20}");
        assert!(cache.cache.variants(&blob).is_empty() && cache.cache.uncompressed(&blob).is_none());
        cache.record(&blob, &["quay.io/org/a"]);
        assert_eq!(cache.repositories(&blob), ["quay.io/org/a"], "{broken:.20}");
    }
}

#[test]
fn of_a_file_only_what_can_be_understood_is_read() {
    let document = json!({
        "of a later version": [1],
        "repositories": [
            {"name": "quay.io/org/a", "seen": 1}, {"name": "quay.io/org/a:tag", "seen": 1}, {"name": "a", "seen": 1},
            {"name": "quay.io/../a", "seen": 1}, {"name": "", "seen": 1}, {"name": "quay.io/UPPER", "seen": 1},
        ],
        "uncompressed": {"digest": "sha256:1"},
        "variants": [
            {"digest": digest("a").as_str(), "compression": "gzip"}, {"digest": digest("b").as_str(), "compression": "new"},
            {"digest": "x", "compression": "gzip"},
        ],
    });
    let info = BlobInfo::parse(document.to_string().as_bytes()).unwrap();
    assert_eq!(info.repositories().map(ToString::to_string).collect::<Vec<_>>(), ["quay.io/org/a"]);
    assert_eq!(info.uncompressed(), None);
    assert_eq!(info.variants().len(), 1);
    assert_eq!(BlobInfo::parse(&info.to_json()).unwrap(), info);
}

#[test]
fn a_place_that_cannot_be_written_is_no_error() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let cache = BlobInfoCache::new(root.path().join("file/cache"));
    cache.record_repositories(&digest("blob"), &[&name("quay.io/org/a")]);
    cache.record_compressed(&digest("layer"), &digest("blob"), None);
    assert!(cache.repositories(&digest("blob"), &name(TO)).is_empty());
}

#[test]
fn what_a_layer_is_without_compression_is_known_both_ways() {
    let cache = Cache::new();
    let (layer, one, two) = (digest("layer"), digest("one"), digest("two"));
    cache.cache.record_compressed(&layer, &one, Some(Compression::Gzip));
    cache.cache.record_compressed(&layer, &two, Some(Compression::Zstd));
    cache.cache.record_compressed(&layer, &layer, None);
    assert_eq!(cache.cache.uncompressed(&one), Some((layer.clone(), Some(Compression::Gzip))));
    assert_eq!(cache.cache.uncompressed(&layer), Some((layer.clone(), None)));
    let mut variants = cache.cache.variants(&layer);
    variants.sort_by_key(|(digest, _)| *digest == two);
    assert_eq!(variants, [(one.clone(), Some(Compression::Gzip)), (two, Some(Compression::Zstd))]);
    // Both are kept beside where the blob is.
    cache.record(&one, &["quay.io/org/a"]);
    assert_eq!(cache.cache.uncompressed(&one), Some((layer.clone(), Some(Compression::Gzip))));
    for number in 0..20 {
        cache.cache.record_compressed(&layer, &digest(&format!("{number}")), Some(Compression::Gzip));
    }
    assert_eq!(cache.cache.variants(&layer).len(), 10);
}

/// Where a blob is can be tried. Of a layer in its new form there is only the word of whoever wrote the file.
#[test]
fn of_a_file_that_others_can_write_no_layer_is_taken_for_another() {
    let (layer, blob) = (digest("layer"), digest("blob"));
    for level in 0..4 {
        let cache = Cache::new();
        cache.record(&layer, &["quay.io/org/a"]);
        cache.cache.record_compressed(&layer, &blob, Some(Compression::Gzip));
        let path = cache.path(&layer);
        let path = path.ancestors().nth(level).unwrap();
        let mode = fs::metadata(path).unwrap().permissions().mode();
        for others in [0o020, 0o002] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode | others)).unwrap();
            assert!(cache.cache.variants(&layer).is_empty(), "{}", path.display());
            assert_eq!(cache.repositories(&layer), ["quay.io/org/a"]);
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(cache.cache.variants(&layer), [(blob.clone(), Some(Compression::Gzip))]);
        // Only root can give files away.
        if std::os::unix::fs::chown(path, Some(65534), None).is_ok() {
            assert!(cache.cache.variants(&layer).is_empty(), "{}", path.display());
        }
    }
}

#[test]
fn what_others_have_written_is_not_made_our_own() {
    let cache = Cache::new();
    let (layer, blob) = (digest("layer"), digest("blob"));
    let planted = json!({"variants": [{"digest": blob.as_str(), "compression": "gzip"}]});
    cache.write(&layer, planted.to_string());
    fs::set_permissions(cache.path(&layer), fs::Permissions::from_mode(0o666)).unwrap();
    cache.record(&layer, &["quay.io/org/a"]);
    assert_eq!(cache.repositories(&layer), ["quay.io/org/a"]);
    assert!(cache.cache.variants(&layer).is_empty());
}

/// Repositories of one digest by time; forms of a layer by time, then by digest.
#[test]
fn the_order_is_that_of_containers_image() {
    for case in table("blob_info_cache", "sort_time") {
        let (one, other) = (&case["p0"], &case["p1"]);
        let expected = case["res"].as_i64().unwrap();
        if one[0] == other[0] {
            let seen = |name: &str, place: &Value| json!({"name": format!("quay.io/org/{name}"), "seen": place[1]});
            let document = json!({"repositories": [seen("other", other), seen("one", one)]});
            let info = BlobInfo::parse(document.to_string().as_bytes()).unwrap();
            let first = info.repositories().next().unwrap().path().to_owned();
            // What is equal stays as it is.
            assert_eq!(first, if expected < 0 { "org/one" } else { "org/other" }, "{case}");
        } else {
            let form = |form: &Value| json!({"digest": form[0], "compression": "gzip", "learned": form[1]});
            let document = json!({"variants": [form(other), form(one)]});
            let info = BlobInfo::parse(document.to_string().as_bytes()).unwrap();
            assert!(expected < 0);
            assert_eq!(info.variants()[0].digest.as_str(), text(&one[0]), "{case}");
        }
    }
}

#[test]
fn the_number_of_files_has_a_limit_and_the_oldest_go() {
    let cache = Cache::new();
    let in_bucket =
        (0..).map(|number| digest(&format!("{number}"))).filter(|digest| digest.encoded().starts_with("00"));
    let blobs: Vec<Digest> = in_bucket.take(65).collect();
    for (age, blob) in blobs.iter().take(64).enumerate() {
        cache.record(blob, &["quay.io/org/a"]);
        let time = SystemTime::now() - Duration::from_secs(1000 - age as u64);
        fs::File::options().write(true).open(cache.path(blob)).unwrap().set_modified(time).unwrap();
    }
    let count = || fs::read_dir(cache.path(&blobs[0]).parent().unwrap()).unwrap().count();
    assert_eq!(count(), 64);
    // One that is there does not count again.
    cache.record(&blobs[0], &["quay.io/org/b"]);
    assert_eq!(count(), 64);
    // A file that somebody left when they were killed goes with the others.
    let left = cache.path(&blobs[0]).with_file_name(".transship-left");
    fs::write(&left, "").unwrap();
    fs::File::options().write(true).open(&left).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let theirs = left.with_file_name("a.json");
    fs::write(&theirs, "").unwrap();
    fs::File::options().write(true).open(&theirs).unwrap().set_modified(UNIX_EPOCH).unwrap();
    cache.record(&blobs[64], &["quay.io/org/a"]);
    assert_eq!(count(), 48 + 1);
    assert!(theirs.exists(), "what is not ours stays");
    assert!(!left.exists() && cache.path(&blobs[0]).exists() && cache.path(&blobs[64]).exists());
    assert!(!cache.path(&blobs[1]).exists() && !cache.path(&blobs[17]).exists() && cache.path(&blobs[18]).exists());
}

#[test]
fn several_at_once_leave_files_that_are_whole() {
    let cache = Cache::new();
    let blobs = ["a", "b", "c"].map(digest);
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (cache, blobs) = (&cache, &blobs);
            scope.spawn(move || {
                // As another process has it.
                let own = BlobInfoCache::new(cache.root.path().join("a/b"));
                for round in 0..50 {
                    let blob = &blobs[round % 3];
                    own.record_repositories(blob, &[&name(&format!("quay.io/org/w{writer}r{round}"))]);
                    own.record_compressed(&blobs[0], blob, Some(Compression::Gzip));
                    let bytes = fs::read(cache.path(blob)).unwrap();
                    assert!(BlobInfo::parse(&bytes).is_ok_and(|info| info.repositories().count() > 0));
                }
            });
        }
    });
    for blob in &blobs {
        assert_eq!(cache.repositories(blob).len(), 5);
        assert_eq!(fs::read_dir(cache.path(blob).parent().unwrap()).unwrap().count(), 1, "no file is left over");
    }
}

#[test]
fn a_digest_of_another_algorithm_has_a_file_of_its_own() {
    let cache = Cache::new();
    let blob = Digest::of(transship::digest::Algorithm::Sha512, b"blob");
    cache.cache.record_repositories(&blob, &[&name("quay.io/org/a")]);
    assert_eq!(cache.cache.repositories(&blob, &name(TO)), [name("quay.io/org/a")]);
    assert!(cache.root.path().join("a/b/sha512").exists());
}

/// Of bytes that were hashed with and without their compression.
#[test]
fn a_layer_that_loses_its_compression_on_the_way_is_learned() {
    let cache = Cache::new();
    let root = cache.root.path();
    let mut layout = OciLayout::create(&root.join("layout"));
    let layer = layout.random_layer(1, 1000);
    let descriptor = layout.image("amd64", std::slice::from_ref(&layer));
    let source = source::open(
        &Config::load_from(Paths::isolated(root)).unwrap(),
        &layout.tag("image", &descriptor).parse().unwrap(),
    )
    .unwrap();
    let archive = format!("docker-archive:{}:app:1", root.join("archive.tar").display()).parse().unwrap();
    let destination = destination::open(&archive).unwrap();
    let platform = PlatformChoice { architecture: Some("amd64".to_owned()), ..PlatformChoice::default() };
    let options = copy::Options { blob_info: Some(&cache.cache), platform, ..copy::Options::default() };
    copy::image(&*source, &*destination, &Policy::insecure_accept_anything(), &options).unwrap();
    let image = ImageManifest::parse(&source.manifest(None).unwrap()).unwrap();
    let digest = Digest::try_from(image.layers()[0].digest()).unwrap();
    let (diff_id, compression) = cache.cache.uncompressed(&digest).unwrap();
    assert_eq!(compression, Some(Compression::Gzip));
    let mut variants = cache.cache.variants(&diff_id);
    variants.retain(|(variant, _)| *variant != diff_id);
    assert_eq!(variants, [(digest, compression)]);
    assert_eq!(cache.cache.uncompressed(&diff_id), Some((diff_id.clone(), None)));
    let mut config = Vec::new();
    source.blob(image.config()).unwrap().read_to_end(&mut config).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"][0], diff_id.as_str());
}
