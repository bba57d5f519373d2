//! Debian's containerd, in a directory of its own and without what Kubernetes needs, for as long as the value lives.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// How long a start may take: tries, and the pause between two of them.
const TRIES: usize = 2000;
const PAUSE: Duration = Duration::from_millis(5);

pub struct Containerd {
    child: Child,
    home: TempDir,
}

impl Containerd {
    /// True for root: nobody else can start it.
    pub fn may_start() -> bool {
        fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
    }

    pub fn start(program: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
            path("root"),
            path("state"),
            path("socket")
        );
        fs::write(home.path().join("config.toml"), config).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(home.path().join("config.toml")).stdout(Stdio::null()).stderr(Stdio::null());
        let mut containerd = Self { child: command.spawn().unwrap(), home };
        containerd.wait_until_it_listens();
        containerd
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `ctr`, as a client of this one.
    pub fn ctr(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("--address").arg(self.path("socket")).args(["--namespace", "test"]);
        command
    }

    fn wait_until_it_listens(&mut self) {
        for _ in 0..TRIES {
            if self.path("socket").exists() {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "containerd ended");
            thread::sleep(PAUSE);
        }
        panic!("containerd does not listen");
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
