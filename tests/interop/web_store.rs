//! A lookaside store that nginx serves over https.

use std::fs;

use crate::nginx::Nginx;
use crate::support::docker_registry::DockerRegistry;
use crate::support::peers::peer;
use crate::support::signature_store::directory;
use crate::world::Verdict::{Allowed, Refused, Undecided};
use crate::world::{World, match_repo_digest_or_exact, signed_by};

/// A registry with TLS that everybody trusts, with an image `org/app:1` that is signed in nginx's files.
struct Store {
    world: World,
    nginx: Nginx,
}

impl Store {
    fn new() -> Option<Self> {
        let program = peer("nginx")?;
        let world = World::with(DockerRegistry::tls)?;
        let store = Self { nginx: Nginx::start(&program), world };
        let (world, root) = (&store.world, store.nginx.root());
        let ca = fs::read(world.registry.certs_dir().join("ca.crt")).unwrap();
        world.write(&store.certs_d("registry.crt"), ca);
        // Signatures are read from elsewhere than where they are written, as registries with a web server do it.
        let (read, write) = (store.nginx.url("store"), root.join("store"));
        world.registries_d(&format!(
            "default-docker: {{lookaside: '{read}', lookaside-staging: 'file://{}'}}\n",
            write.display()
        ));
        let fingerprint = world.gpg.key("good", "ed25519");
        world.output_of_skopeo(&["copy", "-q", "--sign-by", &fingerprint, "dir:image", &world.image("org/app:1")]);
        world.require(&signed_by(&world.gpg.public("good"), &match_repo_digest_or_exact()));
        Some(store)
    }

    /// A file in the registry's certs.d directory.
    fn certs_d(&self, name: &str) -> String {
        format!(".config/containers/certs.d/{}/{name}", self.world.registry.host())
    }

    fn trusted(self) -> Self {
        self.world.write(&self.certs_d("nginx.crt"), self.nginx.ca());
        self
    }

    fn image(&self) -> String {
        self.world.image("org/app:1")
    }

    fn signature(&self, number: usize) -> String {
        format!("/store/{}signature-{number}", directory("org/app", &self.world.digest()))
    }
}

#[test]
fn a_store_whose_authority_is_the_registry_s_is_read_up_to_the_first_that_is_missing() {
    let Some(store) = Store::new().map(Store::trusted) else { return };
    store.nginx.take_answered();
    store.world.assert_verdict("signed", &store.image(), Allowed);
    // Each of the three runs: the one that is there, and the one that is not.
    let each = [format!("{} 200", store.signature(1)), format!("{} 404", store.signature(2))];
    assert_eq!(store.nginx.take_answered(), [&each[..], &each, &each].concat());

    let file = store.nginx.root().join(store.signature(1).trim_start_matches('/'));
    fs::rename(&file, file.with_file_name("signature-2")).unwrap();
    store.world.assert_verdict("behind a gap", &store.image(), Refused);
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
    store.world.assert_verdict("removed", &store.image(), Refused);
}

#[test]
fn a_server_whom_nobody_vouches_for_decides_nothing_and_we_say_what_to_do() {
    let Some(store) = Store::new() else { return };
    let image = store.image();
    assert_eq!(store.world.our_verdict(&image), Undecided);
    assert_ne!(store.world.skopeo_verdict(&image), Allowed);
    let words = ["cannot tell whether", &store.signature(1), "put the CA certificate into certs.d/HOST:PORT/ca.crt, "];
    store.world.run(&["copy", "-q", &image, "dir:copy"]).assert_fails(6, &words);
    let page = store.world.run(&["verify", &image]);
    assert!(words.iter().all(|word| page.stdout.contains(word)), "{page:?}");
    // Nobody got as far as asking for a signature.
    let answered = store.nginx.take_answered();
    assert!(answered.is_empty(), "{answered:?}");

    // The authority for the store alone is what we say should be there.
    let host = store.nginx.url("").replace("https://", "");
    let place = format!(".config/containers/certs.d/{}/ca.crt", host.trim_end_matches('/'));
    store.world.write(&place, store.nginx.ca());
    assert_eq!(store.world.our_verdict(&image), Allowed);
}

#[test]
fn a_server_that_forbids_to_look_decides_nothing() {
    let Some(store) = Store::new().map(Store::trusted) else { return };
    let url = store.nginx.url("forbidden/store");
    store.world.registries_d(&format!("default-docker: {{lookaside: '{url}'}}\n"));
    assert_eq!(store.world.our_verdict(&store.image()), Undecided);
    assert_ne!(store.world.skopeo_verdict(&store.image()), Allowed);
    store.world.run(&["copy", "-q", &store.image(), "dir:copy"]).assert_fails(6, &["/forbidden/", "403"]);
    assert!(!store.world.path("copy/manifest.json").exists());
}

#[test]
fn a_store_on_a_web_server_cannot_be_written() {
    let Some(store) = Store::new().map(Store::trusted) else { return };
    let url = store.nginx.url("store");
    store.world.registries_d(&format!("default-docker: {{lookaside: '{url}'}}\n"));
    store.world.accept_anything();
    let secret = store.world.gpg.secret("good", &[]);
    let sign = format!("--sign-by={}", secret.display());
    let new = store.world.image("org/new:1");
    let words = ["copy", "-q", &sign, "dir:image", &new];
    store.world.run(&words).assert_fails(1, &[&url, "lookaside-staging"]);
    store.world.run(&["inspect", &new]).assert_fails(3, &[]);
}
