//! What skopeo writes beside an image in Debian's `docker-registry` and in a lookaside store is what is found there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use transship::MediaType;
use transship::signature::{SigstoreSignature, UntrustedSignature};
use transship::source::{DirSource, FoundSignature, ImageSource as _, SignatureDemand, SignaturePlace};

use crate::machine::{Machine, image, judged, simple};
use crate::support::command::run;
use crate::support::docker_registry::DockerRegistry;
use crate::support::peers::peer;

/// Nobody verifies them here.
fn signatures() -> Vec<UntrustedSignature> {
    let sigstore = |payload: &str| {
        let annotations = BTreeMap::from([("dev.cosignproject.cosign/signature".to_owned(), payload.to_owned())]);
        UntrustedSignature::Sigstore(SigstoreSignature {
            media_type: MediaType::COSIGN_PAYLOAD,
            payload: payload.as_bytes().to_vec(),
            annotations,
        })
    };
    vec![UntrustedSignature::SimpleSigning(simple("simple")), sigstore("one"), sigstore("two")]
}

fn write_dir(directory: &Path) {
    fs::create_dir(directory).unwrap();
    fs::write(directory.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    fs::write(directory.join("manifest.json"), image().manifest()).unwrap();
    for (digest, bytes) in image().blobs() {
        fs::write(directory.join(digest.encoded()), bytes).unwrap();
    }
    for (index, signature) in signatures().iter().enumerate() {
        fs::write(directory.join(format!("signature-{}", index + 1)), signature.to_stored()).unwrap();
    }
}

fn only_signatures(found: Vec<FoundSignature>) -> Vec<UntrustedSignature> {
    found.into_iter().map(|found| found.signature).collect()
}

#[test]
fn what_skopeo_writes_is_found() {
    let (Some(skopeo), Some(program)) = (peer("skopeo"), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let text = format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.host());
    let machine = Machine::new().registries_conf(&text);
    let (home, store) = (machine.root.path().to_owned(), machine.root.path().join("store"));
    let machine = machine.registries_d(&format!(
        "default-docker: {{lookaside: 'file://{}', use-sigstore-attachments: true}}",
        store.display()
    ));
    let skopeo = || {
        let mut command = Command::new(&skopeo);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &home).env("XDG_RUNTIME_DIR", &home);
        command.arg("--registries.d").arg(home.join("registries.d"));
        command.args(["copy", "--insecure-policy"]);
        command
    };
    let (from, back) = (home.join("from"), home.join("back"));
    write_dir(&from);
    let image = registry.image("org/app:1");
    run(skopeo().arg("--dest-tls-verify=false").arg(format!("dir:{}", from.display())).arg(&image));

    let source = machine.open(image.trim_start_matches("docker://"));
    let found = judged(&*source).unwrap();
    let is_attached = |found: &&FoundSignature| matches!(found.place, SignaturePlace::Attachment { .. });
    let attached = found.iter().filter(is_attached).cloned().collect();
    assert_eq!(only_signatures(attached), signatures()[1..]);
    assert!(matches!(&found[0].place, SignaturePlace::File(path) if path.starts_with(&store)), "{found:?}");
    assert_eq!(found[0].signature, signatures()[0]);

    run(skopeo().arg("--src-tls-verify=false").arg(&image).arg(format!("dir:{}", back.display())));
    let beside = DirSource::open(&back).unwrap().signatures(None, SignatureDemand::Judged).unwrap();
    assert_eq!(only_signatures(found), only_signatures(beside), "skopeo finds the same in the same order");
}
