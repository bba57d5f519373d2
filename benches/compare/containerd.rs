//! containerd, for one fetch of `ctr`: with nothing in it, and gone afterwards.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The name that the image has for `ctr`; its files say where that is.
const NAME: &str = "registry.example";
/// Nobody waits longer for one run.
pub const PATIENCE: Duration = Duration::from_secs(240);

pub struct Containerd {
    child: Child,
    home: TempDir,
}

impl Containerd {
    pub fn start(program: &Path) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let path = |name: &str| home.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
            path("root"),
            path("state"),
            path("socket")
        );
        fs::write(home.path().join("config.toml"), config).expect("a file");
        let mut command = Command::new(program);
        command.arg("--config").arg(home.path().join("config.toml")).stdout(Stdio::null()).stderr(Stdio::null());
        let containerd = Self { child: command.spawn().expect("containerd starts"), home };
        for _ in 0..1000 {
            if containerd.home.path().join("socket").exists() {
                return containerd;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("containerd does not listen");
    }

    /// The time of `ctr content fetch`, from these hosts in their order; `None` when it was not done in time.
    pub fn fetch(&self, ctr: &Path, hosts: &[String], image: &str) -> Option<Duration> {
        let directory = self.home.path().join("hosts").join(NAME);
        fs::create_dir_all(&directory).expect("a directory");
        let (origin, mirrors) = hosts.split_last().expect("an origin");
        let mirrors = mirrors.iter().map(|host| format!("[host.\"http://{host}\"]\n")).collect::<Vec<_>>().concat();
        // Debian's heeds no file without a `host`.
        let text = format!("server = \"http://{origin}\"\n[host]\n{mirrors}");
        fs::write(directory.join("hosts.toml"), text).expect("a file");
        let mut command = Command::new(ctr);
        command.arg("--address").arg(self.home.path().join("socket")).args(["-n", "bench", "content", "fetch"]);
        command.arg("--hosts-dir").arg(self.home.path().join("hosts")).arg(format!("{NAME}/{image}:1"));
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
}

impl Drop for Containerd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
