//! A real Debian out of Debian's `docker-registry`, by pulls that are killed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::clients::Clients;
use crate::support::command::run;
use crate::support::docker_registry::DockerRegistry;
use crate::support::line::Line;
use crate::support::local::tree;
use crate::support::peers::peer;
use crate::support::rootfs::debian_image;
use crate::wait_until;

const POINTS: u64 = 10;
/// A read of the program at most: so much of a layer may come twice.
const CHUNK: u64 = 256 * 1024;
const LAYERS: u64 = 3;

fn pull(clients: &Clients, authority: &str, to: &str) -> Command {
    let mut command = clients.ours();
    let from = format!("docker://{authority}/os/debian:12");
    command.args(["copy", "-q", "--insecure-policy", "--src-tls-verify=false", &from, to]);
    command
}

/// The bytes of blobs, whole or not.
fn written(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let sizes = entries.flatten().map(|entry| entry.path());
    sizes.map(|path| if path.is_dir() { written(&path) } else { size(&path) }).sum()
}

#[test]
fn debian_is_pulled_whole_by_pulls_that_are_killed_at_ten_points_and_little_comes_twice() {
    let (Some(clients), Some(program), Some(debian)) = (Clients::new(), peer("docker-registry"), debian_image()) else {
        return;
    };
    let registry = DockerRegistry::anonymous(&program);
    clients.push(&[], &debian.reference(), &registry.image("os/debian:12"));
    let undisturbed = Line::silent_answers(registry.host(), u64::MAX);
    run(&mut pull(&clients, &undisturbed.authority, "oci:whole:debian"));
    let all = undisturbed.passed();
    let whole = tree(&clients.path("whole"));
    // What comes beside the blobs: heads of answers, and the manifest, which is a file only at the end.
    let manifest = run(clients.ours().args(["inspect", "--raw", "oci:whole:debian"])).len() as u64;
    let beside = all - (written(&clients.path("whole/blobs")) - manifest);
    for number in 0..POINTS {
        let (point, name) = (all * (number + 1) / (POINTS + 1), format!("copy-{number}"));
        let (line, to) = (Line::silent_answers(registry.host(), point), format!("oci:{name}:debian"));
        let mut child = pull(&clients, &line.authority, &to).spawn().unwrap();
        // What has come is on the disk when it is killed: otherwise nobody knows how much has.
        wait_until(&mut child, || line.is_broken() && written(&clients.path(&name)) + beside >= point);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "it was killed");

        let rest = Line::silent_answers(registry.host(), u64::MAX);
        run(&mut pull(&clients, &rest.authority, &to));
        assert!(tree(&clients.path(&name)) == whole, "killed after {point} bytes");
        let twice = (point + rest.passed()).saturating_sub(all);
        assert!(twice <= LAYERS * CHUNK + beside, "{twice} bytes came twice, killed after {point} of {all}");
    }
}
