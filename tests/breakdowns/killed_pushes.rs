//! A push that is killed, and the next one: against Debian's `docker-registry`.

use std::process::{Child, Command};

use crate::support::clients::Clients;
use crate::support::command::run;
use crate::support::docker_registry::DockerRegistry;
use crate::support::line::Line;
use crate::support::local::tree;
use crate::support::oci_layout::OciLayout;
use crate::support::peers::peer;
use crate::wait_until;

const POINTS: u64 = 10;
/// The last point is in the middle of the manifest, which comes last and is larger.
const BEFORE_THE_END: u64 = 300;

/// An image of several requests for each layer, and an older one, as directories.
fn images(clients: &Clients) -> [&'static str; 2] {
    let mut layout = OciLayout::create(&clients.path("layout"));
    let layers = [layout.random_layer(1, 9_000_000), layout.random_layer(2, 3_000_000), layout.random_layer(3, 1000)];
    for (name, layers) in [("old", &layers[2..]), ("new", &layers[..])] {
        let descriptor = layout.image("amd64", layers);
        let reference = layout.tag(name, &descriptor);
        run(clients.ours().args(["copy", "-q", "--insecure-policy", &reference, &format!("dir:{name}")]));
    }
    ["dir:old", "dir:new"]
}

fn push(clients: &Clients, from: &str, to: &str) -> Command {
    let mut command = clients.ours();
    command.args(["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", from, to]);
    command
}

/// What the tag names is this image, whole.
fn assert_there(clients: &Clients, image: &str, original: &str) {
    let back = tempfile::tempdir_in(clients.path(".")).unwrap();
    let to = format!("dir:{}", back.path().display());
    run(clients.ours().args(["copy", "-q", "--insecure-policy", "--src-tls-verify=false", image, &to]));
    assert!(tree(back.path()) == tree(&clients.path(original.strip_prefix("dir:").unwrap())), "{image}");
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it was killed");
}

#[test]
fn a_push_that_is_killed_at_ten_points_leaves_the_old_image_and_ends_right_when_repeated() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let [old, new] = images(&clients);
    let image = |authority: &str, repository: &str| format!("docker://{authority}/killed/{repository}:1");
    let undisturbed = Line::cut(registry.host(), u64::MAX);
    run(&mut push(&clients, old, &image(registry.host(), "at-no-point")));
    run(&mut push(&clients, new, &image(&undisturbed.authority, "at-no-point")));
    let last = undisturbed.passed() - BEFORE_THE_END;
    for number in 0..POINTS {
        let point = last * number / (POINTS - 1);
        let repository = format!("at-{point}");
        run(&mut push(&clients, old, &image(registry.host(), &repository)));
        let line = Line::silent(registry.host(), point);
        let mut child = push(&clients, new, &image(&line.authority, &repository)).spawn().unwrap();
        wait_until(&mut child, || line.is_broken());
        kill(child);
        assert_there(&clients, &image(registry.host(), &repository), old);
        run(&mut push(&clients, new, &image(registry.host(), &repository)));
        assert_there(&clients, &image(registry.host(), &repository), new);
    }
}
