//! A home for both programs and gpg.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::gpg::Gpg;
use crate::program::Outcome;
use crate::support::clients::Clients;
use crate::support::docker_registry::DockerRegistry;
use crate::support::local::docker_image;
use crate::support::peers::peer;
use crate::support::signature_store::directory;

/// What the two programs have in common: one home with one policy, one registries.d, one registries.conf.
pub(crate) struct World {
    /// Ends before its home does.
    pub(crate) gpg: Gpg,
    clients: Clients,
    pub(crate) registry: DockerRegistry,
}

/// What a program says of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Refused,
    /// It failed for another reason.
    Undecided,
}

impl World {
    /// An empty registry without TLS, a policy that accepts anything, and an image `dir:image`. `None` where a program is
    /// missing.
    pub(crate) fn new() -> Option<Self> {
        let world = Self::with(DockerRegistry::anonymous)?;
        world.insecure(world.registry.host());
        Some(world)
    }

    /// The same with another registry, which no registries.conf knows.
    pub(crate) fn with(registry: impl FnOnce(&Path) -> DockerRegistry) -> Option<Self> {
        let (clients, program) = (Clients::new()?, peer("docker-registry")?);
        let gpg = Gpg::new(&clients.path("."))?;
        let world = Self { gpg, clients, registry: registry(&program) };
        fs::create_dir_all(world.path(".config/containers/registries.d")).unwrap();
        world.accept_anything();
        docker_image(&world.path("image"), "seed", &["one", "two"]);
        Some(world)
    }

    /// A path in the home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.clients.path(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn registries_conf(&self, text: &str) {
        self.clients.registries_conf(text);
    }

    fn insecure(&self, host: &str) {
        self.registries_conf(&format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n"));
    }

    pub(crate) fn registries_d(&self, yaml: &str) {
        self.write(".config/containers/registries.d/all.yaml", yaml);
    }

    /// Simple signatures are below `store` in the home; [`stored`](Self::stored) says where.
    pub(crate) fn file_store(&self) {
        let store = self.path("store");
        self.registries_d(&format!(
            "default-docker: {{lookaside: 'file://{0}', lookaside-staging: 'file://{0}'}}\n",
            store.display()
        ));
    }

    /// The file of a signature of `dir:image`, in the store of [`file_store`](Self::file_store).
    pub(crate) fn stored(&self, repository: &str, number: usize) -> PathBuf {
        self.path("store").join(directory(repository, &self.digest())).join(format!("signature-{number}"))
    }

    /// The digest of `dir:image`.
    pub(crate) fn digest(&self) -> transship::Digest {
        transship::Digest::sha256(&fs::read(self.path("image/manifest.json")).unwrap())
    }

    pub(crate) fn policy(&self, policy: &Value) {
        self.write(".config/containers/policy.json", policy.to_string());
    }

    pub(crate) fn accept_anything(&self) {
        self.policy(&json!({"default": [{"type": "insecureAcceptAnything"}]}));
    }

    /// Everything must meet these requirements.
    pub(crate) fn require(&self, requirements: &Value) {
        self.policy(&json!({"default": requirements}));
    }

    /// `host:port/path`
    pub(crate) fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.registry.host())
    }

    /// `docker://host:port/path`
    pub(crate) fn image(&self, path: &str) -> String {
        self.registry.image(path)
    }

    pub(crate) fn ours(&self) -> Command {
        self.clients.ours()
    }

    pub(crate) fn skopeo(&self) -> Command {
        self.clients.skopeo()
    }

    /// A skopeo that makes and judges sigstore signatures, in the same home.
    pub(crate) fn run_newer_skopeo(&self, words: &[&str]) -> Option<Outcome> {
        let program = peer("skopeo-sigstore")?;
        Some(Outcome::of(self.clients.this_skopeo(&program).args(words)))
    }

    pub(crate) fn run(&self, words: &[&str]) -> Outcome {
        Outcome::of(self.ours().args(words))
    }

    pub(crate) fn run_skopeo(&self, words: &[&str]) -> Outcome {
        Outcome::of(self.skopeo().args(words))
    }

    /// What must succeed.
    pub(crate) fn output(&self, words: &[&str]) -> String {
        succeeded(self.run(words), words)
    }

    /// What must succeed with skopeo.
    pub(crate) fn output_of_skopeo(&self, words: &[&str]) -> String {
        succeeded(self.run_skopeo(words), words)
    }

    /// What we say of an image when it is to be copied, which is what `verify` says of it.
    pub(crate) fn our_verdict(&self, image: &str) -> Verdict {
        let copied = self.run(&["copy", "-q", image, "dir:judged by us"]);
        let verified = self.run(&["verify", "--json", image]);
        assert_eq!(copied.code, verified.code, "{image}: copy and verify differ\n{copied:?}\n{verified:?}");
        match copied.code {
            0 => Verdict::Allowed,
            5 => Verdict::Refused,
            6 => Verdict::Undecided,
            _ => panic!("{image}: {copied:?}"),
        }
    }

    /// What skopeo says of it. Whatever stops it from judging is a rejection too.
    pub(crate) fn skopeo_verdict(&self, image: &str) -> Verdict {
        let copied = self.run_skopeo(&["copy", "-q", image, "dir:judged by skopeo"]);
        match copied.code {
            0 => Verdict::Allowed,
            _ if copied.stderr.contains("Source image rejected") => Verdict::Refused,
            _ => Verdict::Undecided,
        }
    }

    /// Both allow it, or both refuse it.
    pub(crate) fn assert_verdict(&self, row: &str, image: &str, expected: Verdict) {
        let verdicts = [self.our_verdict(image), self.skopeo_verdict(image)];
        assert_eq!(verdicts, [expected; 2], "{row}: ours and skopeo's for {image}");
    }
}

fn succeeded(outcome: Outcome, words: &[&str]) -> String {
    assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.stderr);
    outcome.stdout
}

/// `signedBy` one key file, for the name that `identity` says.
pub(crate) fn signed_by(key: &Path, identity: &Value) -> Value {
    json!([{"type": "signedBy", "keyType": "GPGKeys", "keyPath": key, "signedIdentity": identity}])
}

/// The default of the policy, in its own words.
pub(crate) fn match_repo_digest_or_exact() -> Value {
    json!({"type": "matchRepoDigestOrExact"})
}
