//! `copy` between places of this machine.

use crate::program::{Program, files};
use crate::support::local::{docker_image, docker_list, tree};
use crate::support::reply::Reply;
use crate::support::server::Server;

#[test]
fn a_copy_and_its_copy_are_the_same_files() {
    let program = Program::new();
    docker_list(&program.path("list"));
    for (from, to) in [("dir:list", "dir:a"), ("dir:a", "dir:b"), ("dir:b", "oci:c:x"), ("oci:c:x", "oci:d:x")] {
        program.output(&["copy", "-q", "--all", from, to]);
    }
    assert!(tree(&program.path("a")) == tree(&program.path("b")));
    assert!(tree(&program.path("c")) == tree(&program.path("d")));
}

#[test]
fn the_digest_that_was_written_goes_to_a_file_as_it_is() {
    let program = Program::new();
    docker_image(&program.path("image"), "seed", &["one"]);
    for to in ["dir:copy", "oci:layout:copy"] {
        program.output(&["copy", "-q", "--digestfile=digest", "dir:image", to]);
        let written = std::fs::read_to_string(program.path("digest")).unwrap();
        std::fs::write(program.path("manifest"), program.output(&["inspect", "--raw", to])).unwrap();
        assert_eq!(program.output(&["manifest-digest", "manifest"]), format!("{written}\n"));
    }
    let outcome = program.run(&["copy", "-q", "--digestfile=no/such/place", "dir:image", "dir:copy"]);
    outcome.assert_fails(1, &["no/such/place: No such file"]);
}

#[test]
fn an_image_can_be_copied_onto_itself() {
    let program = Program::new();
    docker_image(&program.path("image"), "seed", &["one"]);
    let before = tree(&program.path("image"));
    program.output(&["copy", "-q", "dir:image", "dir:image"]);
    assert!(before == tree(&program.path("image")), "{:?}", files(&program.path("image")));
}

#[test]
fn a_registry_that_takes_nothing_is_a_failure_and_no_missing_image() {
    let program = Program::new();
    docker_image(&program.path("image"), "seed", &["one"]);
    for (status, code) in [(404, 1), (405, 1), (413, 1), (401, 4), (403, 4), (503, 1)] {
        let server = Server::http(move |_| Reply::new(status));
        let to = format!("docker://{}/org/app:1", server.authority());
        let words = ["copy", "-q", "--dest-tls-verify=false", "--retry-times=0", "dir:image", &to];
        program.run(&words).assert_fails(code, &["writing the image", &format!("status {status}")]);
        assert!(server.asked().iter().all(|asked| !asked.starts_with("PUT ")));
    }
}

#[test]
fn a_destination_needs_a_transport_and_a_registry_that_may_be_contacted() {
    let program = Program::new();
    docker_image(&program.path("image"), "seed", &["one"]);
    program
        .run(&["copy", "dir:image", "quay.io/app"])
        .assert_fails(1, &["write dir:quay.io/app", "docker://quay.io/app for a registry"]);
    program.registries_conf("[[registry]]\nlocation = \"blocked.example\"\nblocked = true\n");
    program.run(&["copy", "dir:image", "docker://blocked.example/app"]).assert_fails(1, &["blocked"]);
    for flags in [["--dest-creds=a:b", "--dest-no-creds"], ["--dest-creds=a:b", "--dest-registry-token=t"]] {
        let words = [&["copy", "dir:image", "docker://r.example/app"][..], &flags].concat();
        assert_eq!(program.run(&words).code, 2, "{flags:?}");
    }
}
