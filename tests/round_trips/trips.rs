//! The trips.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::images::Kind;
use crate::kept::Kept;
use crate::made::Form;
use crate::support::clients::Clients;
use crate::support::command::run;
use crate::support::docker_registry::DockerRegistry;
use crate::support::peers::peer;
use crate::table::{Place, Who};

const BOTH: [Who; 2] = [Who::We, Who::Skopeo];
const SEEDS: &str = "seeds";

/// Sends every kind of image there and back, in every combination of programs.
pub fn by_way_of(place: Place) {
    let (Some(clients), Some(newer_skopeo), Some(registry)) = (Clients::new(), peer("skopeo-sigstore"), registry())
    else {
        return;
    };
    let trip = Trip { clients, newer_skopeo, registry, place };
    let mut wrong = Vec::new();
    for kind in Kind::all().into_iter().filter(|kind| place.takes(*kind)) {
        let seed = trip.seed(kind);
        for first in BOTH {
            trip.out(first, kind);
            for second in BOTH {
                let back = trip.back(first, second, kind);
                wrong.extend(trip.wrong(first, second, kind, &seed, &back));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The one registry of all tests that run at this time; it ends with the last of them.
fn registry() -> Option<Arc<DockerRegistry>> {
    static SHARED: Mutex<Weak<DockerRegistry>> = Mutex::new(Weak::new());
    let program = peer("docker-registry")?;
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let registry = shared.upgrade().unwrap_or_else(|| Arc::new(DockerRegistry::anonymous(&program)));
    *shared = Arc::downgrade(&registry);
    Some(registry)
}

struct Trip {
    clients: Clients,
    newer_skopeo: PathBuf,
    registry: Arc<DockerRegistry>,
    place: Place,
}

impl Trip {
    /// Has the image in the registry, with the bytes that it was made of.
    fn seed(&self, kind: Kind) -> Kept {
        let made = self.clients.path(&kind.name());
        kind.write(&made);
        let repository = self.repository(SEEDS);
        let to = self.registry.image(&format!("{repository}:{}", kind.name()));
        self.copy(Who::We, kind, &format!("dir:{}", made.display()), &to);
        let kept = Kept::read(&self.registry, &repository, &kind.name());
        let digest = transship::Digest::sha256(&std::fs::read(made.join("manifest.json")).unwrap());
        assert_eq!(kept.digest, digest.as_str(), "{}", kind.name());
        kept
    }

    fn out(&self, who: Who, kind: Kind) {
        let from = self.registry.image(&format!("{}:{}", self.repository(SEEDS), kind.name()));
        self.copy(who, kind, &from, &self.local(who, kind));
    }

    /// Into a repository of its own, where nothing is there already, of a registry with another name: skopeo takes layers
    /// from other repositories of what it knows as one registry, and then does not compress them.
    fn back(&self, first: Who, second: Who, kind: Kind) -> Kept {
        let repository = self.repository(&format!("{first:?}-{second:?}-{}", kind.name()).to_lowercase());
        let registry = self.registry.host().replace("127.0.0.1", "localhost");
        self.copy(second, kind, &self.local(first, kind), &format!("docker://{registry}/{repository}:back"));
        Kept::read(&self.registry, &repository, "back")
    }

    /// What is not as the table says.
    fn wrong(&self, first: Who, second: Who, kind: Kind, seed: &Kept, back: &Kept) -> Vec<String> {
        let expected = self.place.expected(kind, first, second);
        let mut checks = vec![
            ("manifest", (back.digest == seed.digest) == expected.same_manifest),
            ("media type", back.media_type == Kind { types: expected.types, ..kind }.media_type()),
            ("number of images", back.images.len() == seed.images.len()),
        ];
        for (back, seed) in back.images.iter().zip(&seed.images) {
            checks.extend([
                ("digest of the config", (back.config_digest == seed.config_digest) == expected.same_config),
                ("meaning of the config", back.meaning() == seed.meaning()),
                ("diff ids", back.diff_ids() == seed.diff_ids()),
                ("layers", back.layers == seed.layers && back.layers == back.diff_ids()),
            ]);
        }
        let (name, place) = (kind.name(), self.place);
        let wrong = checks.into_iter().filter(|(_, holds)| !holds);
        wrong
            .map(|(what, _)| format!("{name} by way of {place:?}, out by {first:?}, back by {second:?}: {what}"))
            .collect()
    }

    /// Tests do not share blobs: each has repositories below a name of its own.
    fn repository(&self, name: &str) -> String {
        format!("{:?}/{name}", self.place).to_lowercase()
    }

    /// Where the image stays after it was brought by `who`.
    fn local(&self, who: Who, kind: Kind) -> String {
        let path = self.clients.path(&format!("{who:?}-{}", kind.name()));
        let path = path.display();
        match self.place {
            Place::Dir => format!("dir:{path}"),
            Place::Oci => format!("oci:{path}:app"),
            Place::OciArchive => format!("oci-archive:{path}:app"),
            Place::DockerArchive => format!("docker-archive:{path}:app:1"),
        }
    }

    fn copy(&self, who: Who, kind: Kind, from: &str, to: &str) {
        run(self
            .program(who, kind)
            .args(["copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"])
            .args(kind.is_index.then_some("--all"))
            .args([from, to]));
    }

    fn program(&self, who: Who, kind: Kind) -> Command {
        match who {
            Who::We => self.clients.ours(),
            // The skopeo of Debian 12 looks for a name of a layer that is about to lose its compression.
            Who::Skopeo if self.place == Place::DockerArchive && kind.form == Form::Zstd => {
                self.clients.this_skopeo(&self.newer_skopeo)
            }
            Who::Skopeo => self.clients.skopeo(),
        }
    }
}
