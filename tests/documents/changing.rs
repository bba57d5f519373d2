//! `docs/transship.md`: its examples are run, in a home with an image of Docker's and an index, and with a registry on the
//! loopback that stands for the one of the examples.

use std::path::Path;

use crate::console;
use crate::made::{DOCKER, Form, OCI, blobs, config, index, layer};
use crate::page::{blocks, document};
use crate::support::clients::isolated;
use crate::support::image::Image;
use crate::support::peers::peer;
use crate::support::registry::Registry;

#[test]
fn the_examples_do_what_the_manual_shows() {
    if peer("jq").is_none() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let registry = Registry::new().image("podman/hello", "latest", &Image::with_layers(["one", "two"])).serve();
    let (prefix, location) = ("quay.io/podman", registry.reference("podman"));
    let conf = format!("[[registry]]\nprefix = \"{prefix}\"\nlocation = \"{location}\"\ninsecure = true\n");
    std::fs::write(path("registries.conf"), conf).unwrap();
    let policy = path(".config/containers/policy.json");
    std::fs::create_dir_all(policy.parent().unwrap()).unwrap();
    std::fs::write(policy, r#"{"default": [{"type": "insecureAcceptAnything"}]}"#).unwrap();
    let layers = [layer(1, 1000), layer(2, 1000)];
    let manifest = blobs(&path("app"), &DOCKER, &config(&layers), &layers.clone().map(|layer| (layer, Form::Gzip)));
    std::fs::write(path("app/manifest.json"), manifest).unwrap();
    index(&path("index"), &OCI, "application/vnd.oci.image.index.v1+json");

    let ours = Path::new(env!("CARGO_BIN_EXE_transship")).parent().unwrap();
    for block in blocks(&document("docs/transship.md"), "console") {
        let mut shell = isolated(Path::new("/bin/sh"), home.path());
        shell.env("PATH", format!("{}:/usr/bin:/bin", ours.display()));
        console::run(block, &mut shell);
    }
}
