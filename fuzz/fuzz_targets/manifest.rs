//! No bytes make the reader of manifests panic, and what converts to OCI is then read as OCI.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transship::MediaType;
use transship::manifest::convert::image_to_oci;
use transship::manifest::{ImageManifest, ManifestBytes};

fuzz_target!(|data: &[u8]| {
    for stated in [MediaType::from(""), MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST] {
        let manifest = ManifestBytes::new(data.to_vec(), stated);
        let _ = ImageManifest::parse(&manifest);
        if let Ok(image) = image_to_oci(&manifest, br#"{"rootfs": {"type": "layers", "diff_ids": []}}"#) {
            assert!(ImageManifest::parse(&image.manifest).is_ok());
        }
        // The same bytes as the configuration.
        let docker = br#"{"config": {"mediaType": "", "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0}}"#;
        let docker = ManifestBytes::new(docker.to_vec(), MediaType::DOCKER_MANIFEST);
        if let Ok(once) = image_to_oci(&docker, data) {
            let twice = image_to_oci(&docker, &once.config).expect("what was written can be read");
            assert_eq!(twice.config, once.config);
        }
    }
});
