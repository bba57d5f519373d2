//! No bytes make the reader of indexes panic, and a list that converts to OCI keeps its instances.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use transship::MediaType;
use transship::manifest::convert::list_to_oci;
use transship::manifest::{Index, ManifestBytes, Platform, PlatformChoice, Preference};

fuzz_target!(|data: &[u8]| {
    let wanted = PlatformChoice::default().wanted(&Platform::host());
    for stated in [MediaType::from(""), MediaType::OCI_INDEX, MediaType::DOCKER_LIST] {
        let manifest = ManifestBytes::new(data.to_vec(), stated);
        let Ok(index) = Index::parse(&manifest) else { continue };
        for preference in [Preference::Zstd, Preference::Gzip] {
            let _ = index.choose(&wanted, preference);
        }
        if let Ok(converted) = list_to_oci(&manifest, &BTreeMap::new()) {
            let converted = Index::parse(&converted).expect("what was written can be read");
            assert_eq!(converted.instances().len(), index.instances().len());
        }
    }
});
