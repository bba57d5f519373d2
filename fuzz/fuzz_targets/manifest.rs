//! No bytes make the reader of manifests panic, and what is converted is read as what it became, and back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transship::MediaType;
use transship::manifest::convert::{image_to_docker, image_to_oci};
use transship::manifest::{ImageManifest, ManifestBytes};

const CONFIG: &[u8] = br#"{"rootfs": {"type": "layers", "diff_ids": []}}"#;

fuzz_target!(|data: &[u8]| {
    for stated in [MediaType::from(""), MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST] {
        let manifest = ManifestBytes::new(data.to_vec(), stated);
        let _ = ImageManifest::parse(&manifest);
        if let Ok(image) = image_to_oci(&manifest, CONFIG) {
            assert!(ImageManifest::parse(&image.manifest).is_ok());
            // Docker has no zstd; all else comes back.
            if let Ok(docker) = image_to_docker(&image.manifest) {
                assert_eq!(image_to_oci(&docker, CONFIG).expect("it was Docker's before").manifest, image.manifest);
            }
        }
        if let Ok(docker) = image_to_docker(&manifest) {
            let (read, before) = (ImageManifest::parse(&docker), ImageManifest::parse(&manifest));
            let (read, before) = (read.expect("what was written can be read"), before.expect("it was converted"));
            assert_eq!(read.config().digest(), before.config().digest());
            let digests = |image: &ImageManifest| image.layers().iter().map(|l| l.digest().clone()).collect::<Vec<_>>();
            assert_eq!(digests(&read), digests(&before));
            let oci = image_to_oci(&docker, CONFIG).expect("Docker's layers have names in OCI").manifest;
            let twice = image_to_docker(&oci).expect("it was Docker's before");
            assert_eq!(digests(&ImageManifest::parse(&twice).expect("written here")), digests(&before));
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
