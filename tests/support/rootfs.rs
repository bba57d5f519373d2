//! A real Debian as an image of three layers, made once for each machine and target directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use super::command::run;
use super::listing::listing;
use super::peers::peer;

/// Changes when the image would be made otherwise: what is cached for another recipe is not ours.
const RECIPE: &str = "debian-1";

/// The image, and what must be in it.
pub struct DebianImage {
    directory: PathBuf,
}

impl DebianImage {
    /// `oci:…:debian`.
    pub fn reference(&self) -> String {
        format!("oci:{}:debian", self.directory.join("layout").display())
    }

    /// The [`listing`] of all layers applied, from `tar` and not from the image.
    pub fn listing(&self) -> String {
        fs::read_to_string(self.directory.join("listing")).unwrap()
    }
}

/// `None` where mmdebstrap or umoci is missing.
pub fn debian_image() -> Option<DebianImage> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let directory = MADE.get_or_init(|| Some(cached(&peer("mmdebstrap")?, &peer("umoci")?)));
    directory.clone().map(|directory| DebianImage { directory })
}

/// What is there is whole: it was renamed into place.
fn cached(mmdebstrap: &Path, umoci: &Path) -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = parent.join(RECIPE);
    if !directory.is_dir() {
        let work = tempfile::tempdir_in(parent).unwrap();
        make(work.path(), mmdebstrap, umoci);
        let made = fs::rename(work.path().join("done"), &directory);
        assert!(made.is_ok() || directory.is_dir(), "{made:?}");
    }
    directory
}

fn make(work: &Path, mmdebstrap: &Path, umoci: &Path) {
    let done = work.join("done");
    let layout = done.join("layout");
    let image = format!("{}:debian", layout.display());
    fs::create_dir(&done).unwrap();
    let tar = work.join("rootfs.tar");
    bootstrap(mmdebstrap, &tar);

    run(Command::new(umoci).args(["init", "--layout"]).arg(&layout));
    run(Command::new(umoci).args(["new", "--image", &image]));
    run(Command::new(umoci).args(["raw", "add-layer", "--image", &image]).arg(&tar));
    let bundle = work.join("bundle");
    unpack(umoci, &image, &bundle);
    for change in [first_change, second_change] {
        change(&bundle.join("rootfs"));
        run(Command::new(umoci).args(["repack", "--refresh-bundle", "--image", &image]).arg(&bundle));
    }
    run(Command::new(umoci).args(["gc", "--layout"]).arg(&layout));

    let expected = work.join("expected");
    fs::create_dir(&expected).unwrap();
    run(Command::new("tar").args(["--numeric-owner", "-xpf"]).arg(&tar).arg("-C").arg(&expected));
    first_change(&expected);
    second_change(&expected);
    fs::write(done.join("listing"), listing(&expected)).unwrap();
}

/// `umoci unpack` into a new directory; the files are in its `rootfs`.
pub fn unpack(umoci: &Path, image: &str, bundle: &Path) {
    run(Command::new(umoci).args(["unpack", "--image", image]).arg(bundle));
}

/// The packages that every Debian has, from where this machine has its own. Without device nodes, which not every root may make.
fn bootstrap(mmdebstrap: &Path, tar: &Path) {
    let sources = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"].map(Path::new);
    let sources = sources.into_iter().filter(|path| path.is_file());
    run(Command::new(mmdebstrap)
        .args(["--quiet", "--variant=essential", "--skip=output/dev,output/mknod"])
        .arg("")
        .arg(tar)
        .args(sources));
}

/// Files, directories and modes that come, change and go, as the layers of real images have them.
fn first_change(root: &Path) {
    fs::remove_dir_all(root.join("usr/share/doc/bash")).unwrap();
    fs::remove_file(root.join("etc/issue.net")).unwrap();
    fs::set_permissions(root.join("home"), PermissionsExt::from_mode(0o1770)).unwrap();
    write(&root.join("etc/motd"), "Cargo transshipped.\n");
    write(&root.join("srv/größe"), "");
    symlink("../etc/motd", root.join("srv/motd")).unwrap();
}

/// What was a directory becomes a file, what the layer before made is changed or removed again.
fn second_change(root: &Path) {
    fs::remove_dir_all(root.join("usr/share/doc/sed")).unwrap();
    write(&root.join("usr/share/doc/sed"), "a file now\n");
    fs::remove_file(root.join("srv/größe")).unwrap();
    write(&root.join("etc/motd"), "And again.\n");
    fs::set_permissions(root.join("etc/motd"), PermissionsExt::from_mode(0o4755)).unwrap();
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}
