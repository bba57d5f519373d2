//! `copy` between places of this machine.

use crate::program::{Program, files};
use crate::support::local::{docker_image, docker_list, tree};

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
