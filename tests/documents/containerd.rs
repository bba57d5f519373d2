//! `docs/configuration.md`: the files of containerd and k3s, and what is shown of them.

use std::path::Path;

use crate::console;
use crate::page::{blocks, document};
use crate::support::clients::isolated;
use crate::support::peers::peer;

#[test]
fn the_files_of_the_configuration_page_come_to_what_it_shows() {
    if peer("jq").is_none() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let page = document("docs/configuration.md");
    let (toml, yaml) = (blocks(&page, "toml"), blocks(&page, "yaml"));
    write("certs.d/docker.io/hosts.toml", toml[1]);
    write("certs.d/docker.io/docker-mirror.crt", "-----BEGIN CERTIFICATE-----\n");
    write("config.toml", toml[2]);
    write("registries.yaml", yaml[0]);
    write("registries.conf", "");
    write(".config/containers/policy.json", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#);
    for block in blocks(&page, "console") {
        let mut shell = isolated(Path::new("/bin/bash"), home.path());
        let program = Path::new(env!("CARGO_BIN_EXE_transship")).parent().unwrap();
        shell.env("PATH", format!("{}:/usr/bin:/bin", program.display()));
        console::run(block, &mut shell);
    }
}
