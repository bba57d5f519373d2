//! A started containerd: `ctr images pull` and our pull into a store, by the same tree.

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::support::clients::isolated;
use crate::support::command::run;
use crate::support::containerd::Containerd;
use crate::support::image::Image;
use crate::support::peers::{peer, skip};
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::tree::{LOGICAL, Tree};

/// Who was asked what the tag names, by `HEAD` or by `GET`, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// A host that has the image, or nothing.
fn host(log: &Log, name: &'static str, image: Option<&Image>) -> Server {
    let (log, image) = (Arc::clone(log), image.cloned());
    Server::http(move |request| {
        if request.path().ends_with("/manifests/1") {
            log.lock().unwrap().push(format!("{name} {}", request.target));
        }
        image.as_ref().and_then(|image| content(image, request.path())).unwrap_or_else(|| Reply::new(404))
    })
}

fn content(image: &Image, path: &str) -> Option<Reply> {
    let digest = image.digest().to_string();
    if path.ends_with("/manifests/1") || path.ends_with(&format!("/manifests/{digest}")) {
        let reply = Reply::ok(image.manifest()).header("Content-Type", image.media_type());
        return Some(reply.header("Docker-Content-Digest", &digest));
    }
    let blob = image.blobs().into_iter().find(|(digest, _)| path.ends_with(&format!("/blobs/{digest}")));
    blob.map(|(_, bytes)| Reply::ok(bytes))
}

#[test]
fn a_started_containerd_asks_the_same_hosts_and_pulls_the_same_image() {
    let (Some(daemon), Some(ctr)) = (peer("containerd"), peer("ctr")) else { return };
    if !Containerd::may_start() {
        return skip("containerd is started by root alone");
    }
    // A tar file without anything in it, which is unpacked.
    let image = Image::with_layers([vec![0; 1024]]);
    let log = Log::default();
    let hosts = [("empty", None), ("pull", Some(&image)), ("full", Some(&image)), ("server", Some(&image))];
    let hosts = hosts.map(|(name, image)| host(&log, name, image));
    let [empty, pull, full, server] = hosts.each_ref().map(|host| host.url(""));
    let tree = Tree::of(&format!(
        "server = '{server}'\n[host.'{empty}']\n[host.'{pull}']\ncapabilities = ['pull']\n[host.'{full}']\n"
    ));
    let asked = || {
        let mut asked = std::mem::take(&mut *log.lock().unwrap());
        asked.dedup();
        asked
    };
    let containerd = Containerd::start(&daemon);
    let pulling = ["images", "pull", "--platform", "linux/amd64", "--snapshotter", "native", "--hosts-dir"];
    run(containerd.ctr(&ctr).args(pulling).arg(tree.path()).arg(LOGICAL));
    let listed = String::from_utf8(run(containerd.ctr(&ctr).args(["images", "list"]))).unwrap();
    assert!(listed.contains(image.digest().as_str()), "{listed}");
    let its = asked();

    tree.write("registries.conf", "");
    let mut ours = isolated(Path::new(env!("CARGO_BIN_EXE_transship")), tree.path());
    let pulling = ["pull", "--insecure-policy", "--platform", "linux/amd64", "--hosts-dir"];
    ours.args(pulling).arg(tree.path()).arg("--store").arg(tree.path().join("store")).arg(LOGICAL);
    run(&mut ours);
    let mut list = isolated(Path::new(env!("CARGO_BIN_EXE_transship")), tree.path());
    let listed =
        String::from_utf8(run(list.args(["images", "--json", "--store"]).arg(tree.path().join("store")))).unwrap();
    assert!(listed.contains(image.digest().as_str()), "{listed}");
    let ours = asked();
    assert_eq!(ours, its);
    let who: Vec<_> = ours.iter().map(|asked| asked.split(' ').next().unwrap()).collect();
    assert_eq!(who, ["empty", "full"]);
}
