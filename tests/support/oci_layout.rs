//! OCI layouts made by hand: images and indexes of whatever is needed, for a peer to push.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::command::run;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A directory being filled.
pub struct OciLayout {
    root: PathBuf,
    tagged: Vec<Value>,
}

/// A layer in the layout.
#[derive(Clone)]
pub struct Layer {
    descriptor: Value,
    diff_id: String,
}

impl OciLayout {
    /// An empty one in a directory that is made here.
    pub fn create(root: &Path) -> Self {
        fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { root: root.to_owned(), tagged: Vec::new() }
    }

    /// A gzipped tar with one file of `size` random bytes, which no compression makes smaller.
    pub fn random_layer(&self, seed: u64, size: usize) -> Layer {
        let mut bytes = vec![0; size];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        self.layer(&bytes, Some(1))
    }

    /// A tar with one file of this content, gzipped if there is a level for it.
    pub fn layer(&self, content: &[u8], gzip_level: Option<u8>) -> Layer {
        let work = tempfile::tempdir_in(&self.root).unwrap();
        fs::write(work.path().join("file"), content).unwrap();
        let tar = work.path().join("layer.tar");
        let attributes = ["--owner=0", "--group=0", "--numeric-owner", "--mode=0644", "--mtime=@0"];
        run(Command::new("tar").arg("-C").arg(work.path()).args(attributes).arg("-cf").arg(&tar).arg("file"));
        let diff_id = digest(&tar);
        let (media_type, blob) = match gzip_level {
            Some(level) => {
                run(Command::new("gzip").arg(format!("-n{level}")).arg(&tar));
                (format!("{LAYER}+gzip"), work.path().join("layer.tar.gz"))
            }
            None => (LAYER.to_owned(), tar),
        };
        let digest = digest(&blob);
        let size = fs::metadata(&blob).unwrap().len();
        fs::rename(&blob, self.blob_path(&digest)).unwrap();
        Layer { descriptor: json!({"mediaType": media_type, "digest": digest, "size": size}), diff_id }
    }

    /// The descriptor, with platform, of an image for Linux on this architecture.
    pub fn image(&self, architecture: &str, layers: &[Layer]) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        let config = json!({
            "created": "2024-05-06T07:08:09Z", "architecture": architecture, "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Labels": {"org.example.architecture": architecture}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.document(CONFIG, &config);
        let layers: Vec<_> = layers.iter().map(|layer| &layer.descriptor).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let mut descriptor = self.document(MANIFEST, &manifest);
        descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
        descriptor
    }

    /// The descriptor of a manifest whose only layer is whatever the descriptor names.
    pub fn artifact(&self, layer: &Value) -> Value {
        let config = self.document(CONFIG, &json!({}));
        self.document(
            MANIFEST,
            &json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}),
        )
    }

    /// The descriptor of an index.
    pub fn index(&self, manifests: &[Value]) -> Value {
        self.document(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))
    }

    /// Gives it a name: `oci:root:name`.
    pub fn tag(&mut self, name: &str, descriptor: &Value) -> String {
        let mut descriptor = descriptor.clone();
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        self.tagged.push(descriptor);
        let index = json!({"schemaVersion": 2, "manifests": self.tagged});
        fs::write(self.root.join("index.json"), index.to_string()).unwrap();
        format!("oci:{}:{name}", self.root.display())
    }

    fn document(&self, media_type: &str, document: &Value) -> Value {
        let bytes = document.to_string();
        let digest = of_hash(Sha256::new_with_prefix(&bytes));
        fs::write(self.blob_path(&digest), &bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn blob_path(&self, digest: &str) -> PathBuf {
        self.root.join("blobs").join(digest.replace(':', "/"))
    }
}

/// The sha256 digest of a file.
pub fn digest(path: &Path) -> String {
    of_hash(Sha256::new_with_prefix(fs::read(path).unwrap()))
}

fn of_hash(hash: Sha256) -> String {
    use std::fmt::Write as _;
    let mut digest = String::from("sha256:");
    for byte in hash.finalize() {
        write!(digest, "{byte:02x}").unwrap();
    }
    digest
}
