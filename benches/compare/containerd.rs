//! The time of `ctr`, with a containerd that has nothing.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::support::containerd::Containerd;

/// The name that the image has for `ctr`; its files say where that is.
const NAME: &str = "registry.example";
/// Nobody waits longer for one run.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Of `ctr content fetch`, from these hosts in their order; `None` when it was not done in time.
pub fn fetch(containerd: &Containerd, ctr: &Path, hosts: &[String], image: &str) -> Option<Duration> {
    let directory = containerd.path("hosts").join(NAME);
    fs::create_dir_all(&directory).expect("a directory");
    let (origin, mirrors) = hosts.split_last().expect("an origin");
    let mirrors = mirrors.iter().map(|host| format!("[host.\"http://{host}\"]\n")).collect::<Vec<_>>().concat();
    // Debian's heeds no file without a `host`.
    let text = format!("server = \"http://{origin}\"\n[host]\n{mirrors}");
    fs::write(directory.join("hosts.toml"), text).expect("a file");
    let mut command = containerd.ctr(ctr);
    command.args(["content", "fetch", "--hosts-dir"]).arg(containerd.path("hosts")).arg(format!("{NAME}/{image}:1"));
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ctr starts");
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "ctr failed");
            return Some(began.elapsed());
        }
        if began.elapsed() > PATIENCE {
            drop(child.kill());
            drop(child.wait());
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
