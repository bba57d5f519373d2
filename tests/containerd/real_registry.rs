//! Debian's `docker-registry` with images under rewritten names only.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::clients::Clients;
use crate::support::closed_port::ClosedPort;
use crate::support::command::{finish, run};
use crate::support::docker_registry::{DockerRegistry, PASSWORD, USER};
use crate::support::listing::{assert_same, contents};
use crate::support::oci_layout::OciLayout;
use crate::support::peers::peer;

/// An image of skopeo's making, as `oci:…`.
fn image(clients: &Clients) -> String {
    let mut layout = OciLayout::create(&clients.path("image"));
    let layers = [layout.layer(b"a layer", Some(6)), layout.layer(b"another", Some(6))];
    let image = layout.image("amd64", &layers);
    layout.tag("1", &image)
}

fn copy(clients: &Clients, words: &[&str], from: &str, to: &Path) -> Command {
    let mut command = clients.ours();
    command.args(["copy", "--insecure-policy"]).args(words).args([from, &format!("dir:{}", to.display())]);
    command
}

#[test]
fn the_example_of_k3s_pulls_what_is_under_the_rewritten_name_alone() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::token(&program);
    let auth = clients.auth_file(registry.host(), USER, PASSWORD);
    let authfile = ["--authfile", auth.to_str().unwrap()];
    clients.push(&authfile, &image(&clients), &registry.image("my-org/alpine:3.13"));
    fs::remove_file(&auth).unwrap();
    let written = clients.path("registries.yaml");
    let host = registry.host();
    let yaml = |rewrite: &str| {
        format!(
            "mirrors:\n  docker.io:\n    endpoint:\n      - \"http://{host}\"\n{rewrite}\
             configs:\n  \"{host}\":\n    auth:\n      username: {USER}\n      password: {PASSWORD}\n"
        )
    };
    fs::write(&written, yaml("    rewrite:\n      \"^library/(.*)\": \"my-org/$1\"\n")).unwrap();

    let server = registry.token_server();
    server.refuse_all_but("repository:my-org/alpine:pull");
    server.take_asked();
    let flags = ["--k3s-registries", written.to_str().unwrap()];
    let to = clients.path("ours");
    run(&mut copy(&clients, &flags, "docker://alpine:3.13", &to));
    let asked = server.take_asked();
    assert!(!asked.is_empty());
    for asked in asked {
        assert_eq!(asked.scopes, ["repository:my-org/alpine:pull"], "and nothing else");
        assert!(asked.authenticated);
    }
    run(clients.skopeo().args([
        "copy",
        "--insecure-policy",
        &image(&clients),
        &format!("dir:{}", clients.path("its").display()),
    ]));
    assert_same(&contents(&to), &contents(&clients.path("its")));
    assert!(registry.log().contains("ns=docker.io"), "{}", registry.log());

    let name =
        run(clients.ours().args(["inspect", "-n", "--format", "{{.Name}}"]).args(flags).arg("docker://alpine:3.13"));
    assert_eq!(String::from_utf8(name).unwrap().trim_end(), "docker.io/library/alpine", "the user's name for it");

    fs::write(&written, yaml("")).unwrap();
    assert_eq!(
        finish(&mut copy(&clients, &flags, "docker://alpine:3.13", &clients.path("none"))).status.code(),
        Some(1)
    );
}

/// The example of containerd's manual: a public mirror that has not got it, and an internal one with an authority of its
/// own, which may say what tags are, and has the image under a rewritten name and for tokens of just that scope. The server
/// itself cannot be reached.
#[test]
fn the_example_of_containerd_pulls_from_the_mirror_with_its_own_authority() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let (public, internal) = (DockerRegistry::anonymous(&program), DockerRegistry::token_over_tls(&program));
    let auth = clients.auth_file(internal.host(), USER, PASSWORD);
    clients.push(&["--authfile", auth.to_str().unwrap()], &image(&clients), &internal.image("public/alpine:3.13"));
    let server = internal.token_server();
    server.refuse_all_but("repository:public/alpine:pull");
    server.take_asked();
    let tree = clients.path("hosts/docker.io");
    fs::create_dir_all(&tree).unwrap();
    fs::copy(internal.certs_dir().join("ca.crt"), tree.join("docker-mirror.crt")).unwrap();
    let closed = ClosedPort::new();
    let hosts_toml = format!(
        "server = \"https://{}\"\n\n\
         [host.\"http://{}\"]\n  capabilities = [\"pull\"]\n\
         [host.\"https://{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"docker-mirror.crt\"\n\
         [host.\"https://{}\".rewrite]\n  \"^library/(.*)\" = \"public/$1\"\n",
        closed.address(),
        public.host(),
        internal.host(),
        internal.host(),
    );
    fs::write(tree.join("hosts.toml"), hosts_toml).unwrap();
    let hosts = clients.path("hosts");
    let flags = ["--hosts-dir", hosts.to_str().unwrap()];
    let to = clients.path("ours");
    run(&mut copy(&clients, &flags, "docker://alpine:3.13", &to));
    let asked = server.take_asked();
    assert!(
        !asked.is_empty() && asked.iter().all(|asked| asked.scopes == ["repository:public/alpine:pull"]),
        "and nothing else"
    );
    run(clients.skopeo().args([
        "copy",
        "--insecure-policy",
        &image(&clients),
        &format!("dir:{}", clients.path("its").display()),
    ]));
    assert_same(&contents(&to), &contents(&clients.path("its")));
    let digest = crate::support::oci_layout::digest(&to.join("manifest.json"));
    run(&mut copy(&clients, &flags, &format!("docker://alpine@{digest}"), &clients.path("by-digest")));
    assert!(public.log().contains("library/alpine/manifests/sha256"), "content may come from the public mirror");
    assert!(!public.log().contains("library/alpine/manifests/3.13"), "but not what a tag names");
}
