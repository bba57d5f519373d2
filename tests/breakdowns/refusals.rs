//! Registries that do not take what they are given.

use crate::noise;
use crate::program::{Outcome, Program};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::uploads::{Fault, RunningUploads, Uploads};

/// One layer that is sent at once, and one that takes two requests.
fn image() -> Image {
    Image::with_layers([noise(1000), noise((8 << 20) + 1000)])
}

/// A program with `dir:image`.
fn with_image() -> Program {
    let program = Program::new();
    let registry = Registry::new().image("org/app", "1", &image()).serve();
    let from = format!("docker://{}", registry.reference("org/app:1"));
    program.output(&["copy", "-q", "--src-tls-verify=false", &from, "dir:image"]);
    program
}

fn push(program: &Program, authority: &str) -> Outcome {
    let to = format!("docker://{authority}/org/app:1");
    let patience = "--retry-times=1";
    program.run(&["copy", "-q", patience, "--dest-tls-verify=false", "dir:image", &to])
}

fn refusing(method: &'static str, reply: &Reply) -> RunningUploads {
    let requests = 1..100;
    requests.fold(Uploads::new(), |registry, nth| registry.fault(method, nth, Fault::Answer(reply.clone()))).serve()
}

fn denied(message: &str) -> Reply {
    Reply::json(&serde_json::json!({"errors": [{"code": "DENIED", "message": message}]})).status(403)
}

#[test]
fn what_a_registry_refuses_is_told_with_what_can_be_done_and_leaves_no_upload() {
    let program = with_image();
    let too_large = Reply::new(413).body("<html>413 Request Entity Too Large</html>");
    let storm = Reply::new(429).header("Retry-After", "0");
    for (methods, reply, code, words) in [
        (&["PATCH", "PUT"][..], too_large, 1, &["413", "hint: ", "client_max_body_size"][..]),
        (&["POST", "PATCH", "PUT"], storm, 1, &["429", "hint: ", "--image-parallel-copies"]),
        (&["POST", "PUT"], denied("quota exceeded: 10 GiB"), 4, &["quota exceeded: 10 GiB", "hint: ", "quota"]),
        (&["PATCH", "PUT"], Reply::new(507), 1, &["507", "hint: ", "room"]),
    ] {
        for method in methods {
            let registry = refusing(method, &reply);
            let outcome = push(&program, &registry.authority());
            outcome.assert_fails(code, words);
            assert_eq!(registry.open_uploads(), 0, "{method} {words:?}");
            assert!(registry.manifest("org/app", "1").is_none(), "{method} {words:?}");
        }
    }
}

#[test]
fn a_line_that_is_cut_again_and_again_is_an_error_and_the_next_copy_goes_on() {
    let program = with_image();
    let registry = (1..=2).fold(Uploads::new(), |registry, nth| registry.fault("PATCH", nth, Fault::Keep(0))).serve();
    let outcome = push(&program, &registry.authority());
    outcome.assert_fails(1, &["the server closed the connection", "hint: copy again"]);
    assert!(registry.manifest("org/app", "1").is_none());
    assert_eq!(push(&program, &registry.authority()).code, 0);
    assert!(registry.manifest("org/app", "1").is_some());
    let small = image().layer_digest(0).to_string();
    let begun = registry.asked().iter().filter(|asked| asked.contains("PUT") && asked.contains(&small[7..])).count();
    assert_eq!(begun, 1, "what was there is not sent again");
}
