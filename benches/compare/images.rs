//! The images that are copied, made once for each target directory: layers of random bytes, which nobody can compress again.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::command::run;
use super::support::docker_registry::DockerRegistry;
use super::support::oci_layout::OciLayout;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Changes when the images would be made otherwise.
const RECIPE: &str = "bench-images-1";

/// An image `NAME:1` of so many layers of so many bytes.
pub struct Image {
    pub name: &'static str,
    /// Whether the policy wants a signature of it.
    pub signed: bool,
    layers: u64,
    layer_size: usize,
}

pub const SMALL: Image = Image { name: "small", signed: false, layers: 3, layer_size: 75 * 1000 };
pub const SIGNED: Image = Image { name: "signed", signed: true, layers: 3, layer_size: 75 * 1000 };
pub const MANY: Image = Image { name: "many", signed: false, layers: 100, layer_size: 75 * 1000 };
pub const LARGE: Image = Image { name: "large", signed: false, layers: 4, layer_size: 256 * MIB };

impl Image {
    /// Puts it into a registry; `transport_options` as for `skopeo copy`.
    pub fn push(&self, skopeo: &Path, registry: &DockerRegistry, transport_options: &[String]) {
        let mut command = Command::new(skopeo);
        command.args(["copy", "--insecure-policy"]).args(transport_options);
        run(command.args([self.layout(), registry.image(&format!("{}:1", self.name))]));
    }

    /// Where it is made, as the programs name it.
    pub fn layout(&self) -> String {
        format!("oci:{}:{}", self.cached(), self.name)
    }

    /// What is there is whole: it was renamed into place.
    fn cached(&self) -> String {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join(RECIPE);
        let layout = parent.join(self.name);
        if !layout.is_dir() {
            fs::create_dir_all(&parent).expect("a directory");
            let work = tempfile::tempdir_in(&parent).expect("a directory");
            self.make(&work.path().join("layout"));
            fs::rename(work.path().join("layout"), &layout).expect("a rename");
        }
        layout.display().to_string()
    }

    fn make(&self, root: &Path) {
        let mut layout = OciLayout::create(root);
        let layers: Vec<_> = (0..self.layers).map(|seed| layout.random_layer(seed, self.layer_size)).collect();
        let image = layout.image("amd64", &layers);
        layout.tag(self.name, &image);
    }
}
