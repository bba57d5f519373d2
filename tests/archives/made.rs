//! Images whose layers are real and have true diff ids, archives of whatever files, and the copy between them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use transship::copy::{self, Instances, Options};
use transship::manifest::ManifestBytes;
use transship::policy::Policy;
use transship::source::{self, DirSource, DockerArchiveSource, ImageSource, OciArchiveSource, OciLayoutSource};
use transship::{Digest, ImageReference, destination};

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Plain,
    Gzip,
    Zstd,
}

pub const FORMS: [Form; 3] = [Form::Plain, Form::Gzip, Form::Zstd];

/// The words of a kind of image.
pub struct Words {
    manifest: &'static str,
    config: &'static str,
    layers: [&'static str; 3],
}

pub const OCI: Words = Words {
    manifest: "application/vnd.oci.image.manifest.v1+json",
    config: "application/vnd.oci.image.config.v1+json",
    layers: [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
    ],
};

pub const DOCKER: Words = Words {
    manifest: "application/vnd.docker.distribution.manifest.v2+json",
    config: "application/vnd.docker.container.image.v1+json",
    layers: [
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ],
};

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

pub fn compressed(bytes: &[u8], form: Form) -> Vec<u8> {
    match form {
        Form::Plain => bytes.to_vec(),
        Form::Gzip => gzip(bytes),
        Form::Zstd => zstd(bytes),
    }
}

/// What is inside, whatever the form; told by the first bytes.
pub fn uncompressed(bytes: &[u8]) -> Vec<u8> {
    let mut inside = Vec::new();
    match bytes {
        [0x1f, 0x8b, ..] => MultiGzDecoder::new(bytes).read_to_end(&mut inside).unwrap(),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut inside).unwrap(),
        plain => return plain.to_vec(),
    };
    inside
}

/// A tar file with one file of `size` bytes in it.
pub fn layer(seed: u64, size: usize) -> Vec<u8> {
    let mut content = vec![0; size];
    fastrand::Rng::with_seed(seed).fill(&mut content);
    tar(&[("file", &content)])
}

/// A tar file with these files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

pub fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::sha256(layer).to_string()).collect();
    let history: Vec<_> = layers.iter().map(|_| json!({"created_by": "a < b"})).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "docker_version": "20.10",
        "config": {"Env": ["A=<&>"], "Cmd": ["sh"]}, "history": history,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    serde_json::to_vec_pretty(&config).unwrap()
}

fn put(directory: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = Digest::sha256(bytes);
    fs::write(directory.join(digest.encoded()), bytes).unwrap();
    json!({"mediaType": media_type, "size": bytes.len(), "digest": digest.as_str()})
}

/// The blobs of an image in a directory; its manifest is returned.
pub fn blobs(directory: &Path, words: &Words, config: &[u8], layers: &[(Vec<u8>, Form)]) -> Vec<u8> {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    let layer =
        |(layer, form): &(Vec<u8>, Form)| put(directory, words.layers[*form as usize], &compressed(layer, *form));
    let layers: Vec<_> = layers.iter().map(layer).collect();
    let config = put(directory, words.config, config);
    let manifest = json!({"schemaVersion": 2, "mediaType": words.manifest, "config": config, "layers": layers});
    serde_json::to_vec_pretty(&manifest).unwrap()
}

/// An image with a layer in each form, as `dir:` has it. The layers without compression are returned.
pub fn image(directory: &Path, words: &Words) -> Vec<Vec<u8>> {
    let layers: Vec<_> = [(1, 300), (2, 2_500_000), (3, 70_000)].map(|(seed, size)| layer(seed, size)).into();
    let in_forms: Vec<_> = layers.iter().cloned().zip(FORMS).collect();
    let manifest = blobs(directory, words, &config(&layers), &in_forms);
    fs::write(directory.join("manifest.json"), manifest).unwrap();
    layers
}

/// An index of two images whose layers are compressed with gzip, as `dir:` has it.
pub fn index(directory: &Path, words: &Words, media_type: &str) {
    index_of(directory, words, media_type, Form::Gzip, 4);
}

/// An index of two images with layers in this form, as `dir:` has it. Other seeds make other layers.
pub fn index_of(directory: &Path, words: &Words, media_type: &str, form: Form, seed: u64) {
    let mut entries = Vec::new();
    for (architecture, own_seed) in [("amd64", seed + 1), ("arm64", seed + 2)] {
        let layers = [(layer(seed, 1000), form), (layer(own_seed, 1000), form)];
        let config = config(&layers.clone().map(|(layer, _)| layer));
        let manifest = blobs(directory, words, &config, &layers);
        let digest = Digest::sha256(&manifest);
        fs::write(directory.join(format!("{}.manifest.json", digest.encoded())), &manifest).unwrap();
        entries.push(json!({
            "mediaType": words.manifest, "size": manifest.len(), "digest": digest.as_str(),
            "platform": {"architecture": architecture, "os": "linux"},
        }));
    }
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).to_string();
    fs::write(directory.join("manifest.json"), index).unwrap();
}

/// A file of `docker save` with one image, `app:1`, of these layers, which are in it under these names.
pub fn docker_save(layers: &[(&str, &[u8])], config: &[u8]) -> Vec<u8> {
    let names: Vec<_> = layers.iter().map(|(name, _)| name).collect();
    let list = json!([{"Config": "config.json", "RepoTags": ["app:1"], "Layers": names}]).to_string();
    let documents = [("config.json", config), ("manifest.json", list.as_bytes())];
    tar(&[layers, &documents[..]].concat())
}

/// What is written to a file under this name.
pub fn write(place: &Path, name: &str, bytes: &[u8]) -> String {
    let path = place.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

pub fn open(image: &str) -> Result<Box<dyn ImageSource>, source::Error> {
    Ok(match image.parse().unwrap() {
        ImageReference::Dir(path) => Box::new(DirSource::open(path)?),
        ImageReference::Oci(layout) => Box::new(OciLayoutSource::open(layout)?),
        ImageReference::OciArchive(archive) => Box::new(OciArchiveSource::open(archive)?),
        ImageReference::DockerArchive(archive) => Box::new(DockerArchiveSource::open(archive)?),
        other => panic!("{other} is not on this machine"),
    })
}

/// The program's copy, with all instances of an index.
pub fn copy(from: &str, to: &str) -> Result<ManifestBytes, copy::Error> {
    let destination = destination::open(&to.parse().unwrap())?;
    let options = Options { instances: Instances::All, ..Options::default() };
    copy::image(&*open(from)?, &*destination, &Policy::insecure_accept_anything(), &options)
}

/// Reads all that an image has.
pub fn read_all(source: &dyn ImageSource) -> Result<(), Box<dyn std::error::Error>> {
    let manifest = source.manifest(None)?;
    let image = transship::manifest::ImageManifest::parse(&manifest)?;
    for blob in image.layers().iter().rev().chain([image.config()]) {
        io::copy(&mut source.blob(blob)?, &mut io::sink())?;
    }
    Ok(())
}

/// The entries of an archive in order: mode, size, name, target of a link.
pub fn entries(archive: &Path) -> Vec<(u32, u64, String, String)> {
    let mut archive = tar::Archive::new(File::open(archive).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let target = entry.link_name_bytes().map(|target| text(&target)).unwrap_or_default();
        (entry.header().mode().unwrap(), entry.size(), text(&entry.path_bytes()), target)
    });
    entries.collect()
}

pub fn error(error: &(dyn std::error::Error + 'static)) -> String {
    transship::error::one_line(error)
}
