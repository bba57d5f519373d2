//! Images in directories, made by hand, and the shortest copy that there can be.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use transship::destination::ImageDestination;
use transship::digest::Algorithm;
use transship::manifest::convert::{image_to_oci, list_to_oci};
use transship::manifest::{Descriptor, ImageManifest, Index, ManifestBytes};
use transship::source::ImageSource;
use transship::{Digest, MediaType};

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// Bytes that begin as gzip does, which is all that anybody looks at.
pub(crate) fn layer(seed: &str) -> Vec<u8> {
    [&[0x1f, 0x8b, 8, 0][..], seed.as_bytes()].concat()
}

/// The descriptor of some bytes.
pub(crate) fn descriptor(bytes: &[u8], algorithm: Algorithm) -> Descriptor {
    let digest = Digest::of(algorithm, bytes);
    serde_json::from_value(json!({"mediaType": "a/b", "digest": digest.as_str(), "size": bytes.len()})).unwrap()
}

/// Docker's configuration, with all that conversion changes or drops.
pub(crate) fn docker_config(seed: &str) -> Vec<u8> {
    json!({
        "architecture": "arm", "variant": "v7", "os": "linux", "os.version": "10.0.1", "os.features": ["b", "a"],
        "author": "A <a@b> & \u{2028}\u{2029} é \u{7f} \u{1}\u{8}\u{c}",
        "created": "2016-09-23T23:20:45.789764500+02:00",
        "config": {
            "Hostname": "x", "User": seed, "ExposedPorts": {"90/tcp": {}, "80/tcp": {}}, "Env": ["A=1<2"],
            "Entrypoint": null, "Cmd": ["sh"], "Volumes": {"/z": {}, "/a": {}}, "OnBuild": [], "WorkingDir": "/w",
            "Labels": {"z": "1", "a": "2", "B": "<"}, "StopSignal": "SIGKILL", "ArgsEscaped": true,
            "Healthcheck": {"Test": ["x"]}, "Shell": ["a"],
        },
        "container": "q", "docker_version": "1",
        "history": [
            {"created": "0001-01-01T00:00:00Z", "created_by": "x", "author": "q", "comment": "c", "empty_layer": true},
            {"created_by": "y && z", "empty_layer": false},
            {},
        ],
        "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(b"").as_str()]},
    })
    .to_string()
    .into_bytes()
}

fn put(directory: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = Digest::sha256(bytes);
    fs::write(directory.join(digest.encoded()), bytes).unwrap();
    json!({"mediaType": media_type, "size": bytes.len(), "digest": digest.as_str()})
}

/// Writes the blobs of a Docker schema 2 image into a directory; the manifest is returned.
fn docker_blobs(directory: &Path, seed: &str, layers: &[&str]) -> Vec<u8> {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    let tar_gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let layers: Vec<_> = layers.iter().map(|seed| put(directory, tar_gzip, &layer(seed))).collect();
    let config = put(directory, MediaType::DOCKER_CONFIG.as_str(), &docker_config(seed));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::DOCKER_MANIFEST.as_str(), "config": config, "layers": layers,
    });
    serde_json::to_vec_pretty(&manifest).unwrap()
}

/// A Docker schema 2 image as `dir:` has it.
pub(crate) fn docker_image(directory: &Path, seed: &str, layers: &[&str]) {
    let manifest = docker_blobs(directory, seed, layers);
    fs::write(directory.join("manifest.json"), manifest).unwrap();
}

/// A Docker manifest list of two images as `dir:` has it.
pub(crate) fn docker_list(directory: &Path) {
    let mut entries = Vec::new();
    for (architecture, layers) in [("amd64", &["shared", "one"][..]), ("arm", &["shared"])] {
        let manifest = docker_blobs(directory, architecture, layers);
        let digest = Digest::sha256(&manifest);
        fs::write(directory.join(format!("{}.manifest.json", digest.encoded())), &manifest).unwrap();
        entries.push(json!({
            "mediaType": MediaType::DOCKER_MANIFEST.as_str(), "size": manifest.len(), "digest": digest.as_str(),
            "platform": {
                "architecture": architecture, "os": "linux", "os.version": "1", "os.features": ["f"], "variant": "v7",
                "features": ["sse"],
            },
        }));
    }
    let list =
        json!({"schemaVersion": 2, "mediaType": MediaType::DOCKER_LIST.as_str(), "manifests": entries}).to_string();
    fs::write(directory.join("manifest.json"), list).unwrap();
}

/// Copies an image or an index with all its instances, converted where it must be.
pub(crate) fn copy(source: &dyn ImageSource, destination: &dyn ImageDestination) -> Outcome {
    let top = source.manifest(None)?;
    if !top.media_type().is_index() {
        destination.put_manifest(&copy_blobs(source, destination, &top)?, None)?;
        return Ok(destination.commit()?);
    }
    let mut converted = BTreeMap::new();
    for instance in Index::parse(&top)?.instances() {
        let manifest = source.manifest(Some(instance.digest()))?;
        let new = copy_blobs(source, destination, &manifest)?;
        destination.put_manifest(&new, Some(new.digest()))?;
        converted.insert(instance.digest().clone(), new);
    }
    if destination.accepts(top.media_type()) {
        destination.put_manifest(&top, None)?;
    } else {
        destination.put_manifest(&list_to_oci(&top, &converted)?, None)?;
    }
    Ok(destination.commit()?)
}

fn copy_blobs(
    source: &dyn ImageSource,
    destination: &dyn ImageDestination,
    manifest: &ManifestBytes,
) -> Result<ManifestBytes, Box<dyn Error>> {
    let image = ImageManifest::parse(manifest)?;
    for layer in image.layers() {
        copy_blob(source, destination, layer)?;
    }
    if destination.accepts(manifest.media_type()) {
        copy_blob(source, destination, image.config())?;
        return Ok(manifest.clone());
    }
    let mut config = Vec::new();
    source.blob(image.config())?.read_to_end(&mut config)?;
    let new = image_to_oci(manifest, &config)?;
    destination.put_blob(&new.config_descriptor, &mut &new.config[..])?;
    Ok(new.manifest)
}

pub(crate) fn copy_blob(source: &dyn ImageSource, destination: &dyn ImageDestination, blob: &Descriptor) -> Outcome {
    if !destination.has_blob(blob)? {
        destination.put_blob(blob, &mut source.blob(blob)?)?;
    }
    Ok(())
}

/// Every file below a directory, with its mode and its bytes.
pub(crate) fn tree(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut files = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                let name = path.strip_prefix(directory).unwrap().to_owned();
                files.insert(name, (mode, fs::read(&path).unwrap()));
            }
        }
    }
    files
}

/// The names of the files below a directory.
pub(crate) fn names(directory: &Path) -> BTreeSet<String> {
    tree(directory).into_keys().map(|path| path.to_string_lossy().into_owned()).collect()
}

pub(crate) fn skopeo_copy(skopeo: &Path, arguments: &[&str]) {
    let output = Command::new(skopeo).args(["--insecure-policy", "copy", "-q"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
