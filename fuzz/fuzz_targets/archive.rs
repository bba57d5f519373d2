//! A tar file with images in it, whatever it is: opened as either kind, and all that is in the image read.
#![no_main]

use std::fs;
use std::io;

use libfuzzer_sys::fuzz_target;
use transship::ImageReference;
use transship::manifest::ImageManifest;
use transship::source::{DockerArchiveSource, ImageSource, OciArchiveSource};

fuzz_target!(|bytes: &[u8]| {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), bytes).expect("a temporary file");
    for transport in ["oci-archive", "docker-archive"] {
        match format!("{transport}:{}", file.path().display()).parse().expect("a path without a colon") {
            ImageReference::OciArchive(reference) => OciArchiveSource::open(reference).iter().for_each(read),
            ImageReference::DockerArchive(reference) => DockerArchiveSource::open(reference).iter().for_each(read),
            other => unreachable!("{other}"),
        }
    }
});

fn read(source: &impl ImageSource) {
    let Ok(manifest) = source.manifest(None) else { return };
    let Ok(image) = ImageManifest::parse(&manifest) else { return };
    for blob in image.layers().iter().chain([image.config()]) {
        let _ = source.blob(blob).map(|mut reader| io::copy(&mut reader, &mut io::sink()));
    }
}
