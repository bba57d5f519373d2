//! No bytes make the reader of indexes panic, and what is converted keeps its instances, there and back.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use transship::MediaType;
use transship::digest::Digest;
use transship::manifest::convert::{index_to_list, list_to_oci};
use transship::manifest::{Index, ManifestBytes, Platform, PlatformChoice, Preference};

fn instances(index: &ManifestBytes) -> Vec<Digest> {
    let index = Index::parse(index).expect("what was written can be read");
    index.instances().iter().map(|instance| instance.digest().clone()).collect()
}

fuzz_target!(|data: &[u8]| {
    let wanted = PlatformChoice::default().wanted(&Platform::host());
    for stated in [MediaType::from(""), MediaType::OCI_INDEX, MediaType::DOCKER_LIST] {
        let manifest = ManifestBytes::new(data.to_vec(), stated);
        let Ok(index) = Index::parse(&manifest) else { continue };
        for preference in [Preference::Zstd, Preference::Gzip] {
            let _ = index.choose(&wanted, preference);
        }
        if let Ok(oci) = list_to_oci(&manifest, &BTreeMap::new()) {
            assert_eq!(instances(&oci), instances(&manifest));
            let list = index_to_list(&oci).expect("it was a list before");
            assert_eq!(list_to_oci(&list, &BTreeMap::new()).expect("written here"), oci);
        }
        if let Ok(list) = index_to_list(&manifest) {
            assert_eq!(instances(&list), instances(&manifest));
            let oci = list_to_oci(&list, &BTreeMap::new()).expect("written here");
            assert_eq!(index_to_list(&oci).expect("written here"), list);
        }
    }
});
