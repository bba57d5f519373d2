//! A copy that is told to stop.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::program::{Program, files};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::uploads::Uploads;

/// Longer than a test may take: what ends earlier was ended.
const FOR_EVER: &str = "--idle-timeout=86400";
/// As many bytes as the program tells of.
const TOLD: usize = 4 << 20;
/// One chunk of an upload, and more.
const LARGE: usize = (12 << 20) + 1;

fn image() -> Image {
    Image::with_layers([(0..=250_u8).cycle().take(LARGE).collect::<Vec<u8>>()])
}

/// Has an image whose layer comes so.
fn sending_layer(image: &Image, so: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> RunningRegistry {
    let layer = image.layer_digest(0).to_string();
    Registry::new().image("org/app", "1", image).spoil(move |path| path.ends_with(&layer), .., so).serve()
}

/// A copy under way.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn copy(program: &Program, words: &[&str]) -> Self {
        Self::begin(program.command(), words)
    }

    fn begin(mut command: Command, words: &[&str]) -> Self {
        command.args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false", FOR_EVER]).args(words);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for a line with this in it.
    fn wait_for(&mut self, text: &str) {
        let is_told = self.lines.any(|line| line.unwrap().contains(text));
        assert!(is_told, "the copy ended and did not say {text:?}");
    }

    fn signal(&self, name: &str) {
        self.signals(&[name]);
    }

    /// Without a pause between them.
    fn signals(&self, names: &[&str]) {
        let script = r#"process="$0"; for name; do kill "$name" "$process"; done"#;
        let status = Command::new("/bin/sh").args(["-c", script, &self.child.id().to_string()]).args(names).status();
        assert!(status.unwrap().success());
    }

    /// The exit code, and the last lines.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        for line in self.lines {
            rest = rest + &line.unwrap() + "\n";
        }
        (self.child.wait().unwrap().code(), rest)
    }
}

fn unfinished(program: &Program, directory: &str) -> Vec<String> {
    let names = files(&program.path(directory)).into_iter();
    names.filter(|name| Path::new(name).file_name().unwrap().to_string_lossy().starts_with(".transship-")).collect()
}

#[test]
fn a_signal_ends_a_copy_from_a_silent_registry_and_keeps_what_came() {
    let interrupt = |signal: &str, code, to: &str| {
        let (program, image) = (Program::new(), image());
        fs::create_dir(program.path("copy")).unwrap();
        let registry = sending_layer(&image, |reply| reply.stall_after(TOLD));
        let from = format!("docker://{}", registry.reference("org/app:1"));
        let mut copy = Running::copy(&program, &["--progress=json", &from, to]);
        copy.wait_for(r#""event":"read""#);
        copy.signal(signal);
        let (found, rest) = copy.end();
        assert_eq!(found, Some(code), "{rest}");
        assert!(rest.ends_with("error: cancelled\n"), "{rest}");
        let left = unfinished(&program, "copy");
        assert_eq!(left.len(), usize::from(!to.contains(".tar")), "{left:?}");
        assert!(left.iter().all(|name| name.starts_with(".transship-partial-")), "{left:?}");
    };
    // Each takes as long as a silent server is waited for.
    thread::scope(|scope| {
        for (signal, code, to) in [
            ("-INT", 130, "dir:copy"),
            ("-TERM", 143, "oci:copy:app"),
            ("-INT", 130, "oci-archive:copy/a.tar:app"),
            ("-HUP", 129, "docker-archive:copy/a.tar:app"),
        ] {
            scope.spawn(move || interrupt(signal, code, to));
        }
    });
}

#[test]
fn a_signal_leaves_nothing_of_what_is_fetched() {
    for (signal, code) in [("-HUP", 129), ("-INT", 130), ("-TERM", 143)] {
        let (program, image) = (Program::new(), image());
        let registry = sending_layer(&image, |reply| reply.stall_after(TOLD));
        let (name, digest) = (registry.reference("org/app"), image.layer_digest(0).to_string());
        let mut command = program.command();
        command.args(["fetch-blob", "--tls-verify=false", FOR_EVER, &name, &digest, "--output", "fetched/layer"]);
        command.current_dir(program.path(""));
        fs::create_dir(program.path("fetched")).unwrap();
        let fetch = Running::spawn(command);
        while files(&program.path("fetched")).is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        fetch.signal(signal);
        assert_eq!(fetch.end().0, Some(code));
        assert_eq!(files(&program.path("fetched")), [""; 0], "{signal}");
    }
}

#[test]
fn a_signal_takes_the_upload_back() {
    let (program, image) = (Program::new(), image());
    let registry = sending_layer(&image, |reply| reply.drip(16 << 10, Duration::from_millis(5)));
    let to = Uploads::new().serve();
    let places = [registry.reference("org/app:1"), to.reference("org/copy:1")].map(|place| format!("docker://{place}"));
    let mut copy = Running::copy(&program, &["--progress=json", &places[0], &places[1]]);
    copy.wait_for(r#""event":"read""#);
    copy.signal("-INT");
    let (code, rest) = copy.end();
    assert_eq!((code, rest.lines().last()), (Some(130), Some("error: cancelled")), "{rest}");
    let asked = to.asked();
    assert!(asked.last().unwrap().starts_with("DELETE "), "{asked:?}");
    assert!(!asked.iter().any(|asked| asked.contains("/manifests/")), "{asked:?}");
}

#[test]
fn a_signal_ends_a_wait_and_nothing_more_is_asked() {
    let (program, image) = (Program::new(), image());
    let busy = Reply::new(503).header("Retry-After", "50");
    let registry = Registry::new().image("org/app", "1", &image).fault(|path| path.contains("/manifests/"), .., busy);
    let registry = registry.serve();
    let from = format!("docker://{}", registry.reference("org/app:1"));
    let mut copy = Running::copy(&program, &[&from, "dir:copy"]);
    copy.wait_for("trying again");
    let asked = registry.asked();
    copy.signal("-INT");
    let (code, rest) = copy.end();
    assert_eq!((code, rest.as_str()), (Some(130), "error: cancelled\n"));
    assert_eq!(registry.asked(), asked);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let (program, image) = (Program::new(), image());
    let silent = Reply::stalling();
    let registry = Registry::new().image("org/app", "1", &image).fault(|path| path.contains("/manifests/"), .., silent);
    let registry = registry.serve();
    let from = format!("docker://{}", registry.reference("org/app:1"));
    let copy = Running::copy(&program, &[&from, "dir:copy"]);
    // From then on it looks at nothing before there is an answer.
    while !registry.asked().iter().any(|asked| asked.contains("/manifests/")) {
        thread::sleep(Duration::from_millis(1));
    }
    // While it stands still, so that the time between the two cannot be longer than it takes to give up; and one more,
    // for two threads that are each given one do not see each other's.
    copy.signals(&["-STOP", "-INT", "-TERM", "-CONT", "-TERM"]);
    let (code, rest) = copy.end();
    // Those that come at once are served in any order.
    assert!([Some(130), Some(143)].contains(&code), "{code:?}");
    assert!(!rest.contains("cancelled"), "{rest}");
}

#[test]
fn a_signal_that_is_ignored_from_the_beginning_stays_so() {
    let (program, image) = (Program::new(), image());
    let busy = Reply::new(503).header("Retry-After", "1");
    let registry = Registry::new().image("org/app", "1", &image).fault(|path| path.contains("/manifests/"), ..=1, busy);
    let registry = registry.serve();
    let from = format!("docker://{}", registry.reference("org/app:1"));
    let mut ignoring = program.by("/bin/sh");
    ignoring.args(["-c", r#"trap "" INT; exec "$0" "$@""#, Program::PATH]);
    let mut copy = Running::begin(ignoring, &[&from, "dir:copy"]);
    copy.wait_for("trying again");
    copy.signal("-INT");
    let (code, rest) = copy.end();
    assert_eq!(code, Some(0), "{rest}");
}
