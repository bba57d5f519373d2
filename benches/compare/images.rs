//! The images that are copied, made once for each target directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::command::run;
use super::support::docker_registry::DockerRegistry;
use super::support::oci_layout::{Layer, OciLayout};
use super::text::text;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Changes when the images would be made otherwise.
const RECIPE: &str = "bench-images-2";

/// An image `NAME:1` of so many layers of so many bytes, or more of its kind.
pub struct Image {
    pub name: &'static str,
    /// How many there are, with the tags 1, 2 and so on; no two share a layer.
    count: u64,
    /// Whether the policy wants a signature of it.
    pub signed: bool,
    layers: u64,
    /// Before compression.
    layer_size: usize,
    content: Content,
}

enum Content {
    /// Gzipped bytes that nobody can compress again.
    Random,
    /// Gzipped as most builders do it.
    Text,
    /// The same text, not compressed.
    PlainText,
}

pub const SMALL: Image =
    Image { name: "small", count: 1, signed: false, layers: 3, layer_size: 75 * 1000, content: Content::Random };
pub const SIGNED: Image = Image { name: "signed", signed: true, ..SMALL };
pub const MANY: Image = Image { name: "many", layers: 100, ..SMALL };
pub const LARGE: Image = Image { name: "large", layers: 4, layer_size: 256 * MIB, ..SMALL };
pub const ONE: Image = Image { name: "one", layers: 1, layer_size: 1024 * MIB, ..SMALL };
pub const FIFTY: Image = Image { name: "fifty", count: 50, layers: 1, ..SMALL };
pub const TEXT: Image = Image { name: "text", layers: 4, layer_size: 64 * MIB, content: Content::Text, ..SMALL };
pub const PLAIN_TEXT: Image = Image { name: "plain-text", content: Content::PlainText, ..TEXT };

impl Image {
    /// Puts it, or all of them, into a registry; `transport_options` as for `skopeo copy`.
    pub fn push(&self, skopeo: &Path, registry: &DockerRegistry, transport_options: &[String]) {
        let layout = self.cached();
        for tag in 1..=self.count {
            let mut command = Command::new(skopeo);
            command.args(["copy", "--insecure-policy"]).args(transport_options);
            run(command.args([format!("oci:{layout}:{tag}"), registry.image(&format!("{}:{tag}", self.name))]));
        }
    }

    /// Where it, or the first one, is made, as the programs name it.
    pub fn layout(&self) -> String {
        format!("oci:{}:1", self.cached())
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
        for tag in 1..=self.count {
            let seeds = (tag - 1) * self.layers..tag * self.layers;
            let layers: Vec<_> = seeds.map(|seed| self.layer(&layout, seed)).collect();
            let image = layout.image("amd64", &layers);
            layout.tag(&tag.to_string(), &image);
        }
    }

    fn layer(&self, layout: &OciLayout, seed: u64) -> Layer {
        match self.content {
            Content::Random => layout.random_layer(seed, self.layer_size),
            Content::Text => layout.layer(&text(seed, self.layer_size), Some(6)),
            Content::PlainText => layout.layer(&text(seed, self.layer_size), None),
        }
    }
}
