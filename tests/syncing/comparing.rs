//! What is left alone, and at which cost.

use std::fs;

use transship::copy::{self, Instances};
use transship::http::StatusCode;
use transship::manifest::PlatformChoice;
use transship::source;
use transship::sync::Options;

use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::server_tls::ServerTls;
use crate::support::uploads::Uploads;
use crate::world::{World, image, registry, repository, tagged};

fn tags(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("t{number:02}")).collect()
}

/// The requests for manifests by method, and all the others.
fn requests(server: &Server) -> (usize, Vec<String>) {
    let (heads, others): (Vec<_>, _) =
        server.asked().into_iter().partition(|asked| asked.starts_with("HEAD ") && asked.contains("/manifests/"));
    (heads.len(), others)
}

#[test]
fn fifty_unchanged_images_cost_one_request_each_and_few_connections() {
    let tls = ServerTls::signed_by_ca();
    let tags = tags(50);
    let tags: Vec<_> = tags.iter().map(String::as_str).collect();
    let source = tagged(Registry::new(), "org/app", &tags).serve_tls(&tls);
    let mirror = tagged(Registry::new(), "mirror/app", &tags).serve_tls(&tls);
    let world = World::trusting(&tls);
    let told = world.synced(&repository(&source.reference("org/app")), &registry(&mirror.reference("mirror")));
    let expected: Vec<_> = (0..50).map(|number| format!("{}/50 app:{} unchanged", number + 1, tags[number])).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    assert_eq!(requests(&source), (50, vec!["GET /v2/org/app/tags/list".to_owned()]));
    assert_eq!(requests(&mirror), (50, Vec::new()));
    for server in [&source, &mirror] {
        assert!(server.connections() <= 7, "{}", server.connections());
    }
}

#[test]
fn all_tags_of_a_repository_share_one_token() {
    let tags = tags(20);
    let tags: Vec<_> = tags.iter().map(String::as_str).collect();
    let source = tagged(Registry::new(), "org/app", &tags).requiring_token("source").serve();
    let mirror = tagged(Registry::new(), "org/app", &tags).requiring_token("mirror").serve();
    let world = World::new();
    world.synced(&repository(&source.reference("org/app")), &registry(&mirror.reference("org")));
    assert_eq!(source.token_requests().len(), 1);
    assert_eq!(mirror.token_requests().len(), 1);
    let copied = world.synced(&repository(&source.reference("org/app")), &world.dir("copy"));
    assert_eq!(copied.matches(" copied\n").count(), 20);
    assert_eq!(source.token_requests().len(), 2);
}

#[test]
fn clients_are_kept_for_whoever_would_have_got_the_same() {
    let served = tagged(Registry::new(), "org/app", &["1"]).requiring_token("service").token_account("alice", "secret");
    let served = served.serve();
    let world = World::new();
    let credentials = transship::config::credentials::Credentials::basic("alice", "secret");
    let alice = transship::registry::Identity { credentials: Some(credentials), token: None };
    let clients = Some(source::Clients::default());
    let options = source::Options { identity: Some(alice), clients, ..world.from.clone() };
    let image = format!("docker://{}", served.reference("org/app:1")).parse().unwrap();
    for _ in 0..3 {
        source::open_with(&world.config(), &image, &options).unwrap();
    }
    assert_eq!(served.token_requests().len(), 1);
    // The same set of clients, and nobody's token.
    let anonymous = source::Options { identity: None, anonymous: true, ..options };
    assert!(source::open_with(&world.config(), &image, &anonymous).unwrap_err().is_unauthorized());
}

#[test]
fn what_the_destination_lacks_is_not_compared() {
    let source = tagged(Registry::new(), "org/app", &["1"]).serve();
    let to = Uploads::new().serve();
    let world = World::new();
    let dry = Options { dry_run: true, ..Options::default() };
    let (told, _) = world.sync(&repository(&source.reference("org/app:1")), &registry(&to.authority()), &dry);
    assert_eq!(told, "1/1 app:1 would copy\n");
    assert_eq!(source.asked(), [""; 0]);
    assert_eq!(to.asked(), ["HEAD /v2/app/manifests/1"]);
}

#[test]
fn a_directory_costs_one_request_at_the_registry() {
    let source = tagged(Registry::new(), "org/app", &["1", "2"]).serve();
    let world = World::new();
    let from = repository(&source.reference("org/app"));
    assert_eq!(world.synced(&from, &world.dir("d")), "1/2 app:1 copied\n2/2 app:2 copied\n");
    let before = source.asked().len();
    assert_eq!(world.synced(&from, &world.dir("d")), "1/2 app:1 unchanged\n2/2 app:2 unchanged\n");
    let mut asked = source.asked().split_off(before);
    asked.sort();
    let expected = ["GET /v2/org/app/tags/list", "HEAD /v2/org/app/manifests/1", "HEAD /v2/org/app/manifests/2"];
    assert_eq!(asked, expected);

    let to = tagged(Registry::new(), "mirror/app", &["1", "2"]).serve();
    let from = transship::sync::Source::Dir(world.path("d"));
    assert_eq!(world.synced(&from, &registry(&to.reference("mirror"))), "1/2 app:1 unchanged\n2/2 app:2 unchanged\n");
    assert_eq!(requests(&to), (2, Vec::new()));
}

#[test]
fn a_registry_that_says_no_digest_is_asked_for_the_manifest() {
    let image = image("1");
    let source = Registry::new().image("org/app", "1", &image);
    let answer = Reply::ok(image.manifest()).header("Content-Type", image.media_type());
    let source = source.fault(|path| path.contains("/manifests/"), .., answer).serve();
    let to = Uploads::new().serve();
    let world = World::new();
    let (from, to_place) = (repository(&source.reference("org/app:1")), registry(&to.reference("mirror")));
    assert_eq!(world.synced(&from, &to_place), "1/1 app:1 copied\n");
    let (asked_source, asked_to) = (source.asked().len(), to.asked().len());
    assert_eq!(world.synced(&from, &to_place), "1/1 app:1 unchanged\n");
    let both = |repository: &str| ["HEAD", "GET"].map(|method| format!("{method} /v2/{repository}/manifests/1"));
    assert_eq!(source.asked()[asked_source..], both("org/app"));
    assert_eq!(to.asked()[asked_to..], both("mirror/app"));
}

#[test]
fn a_registry_that_answers_no_head_is_asked_for_the_manifest() {
    for status in [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED] {
        let manifest = image("1");
        let server = Server::http(move |request| match request.method.as_str() {
            "HEAD" => Reply::new(status.as_u16()),
            _ => Reply::ok(manifest.manifest()).header("Content-Type", manifest.media_type()),
        });
        let world = World::new();
        world.write_image("d/app:1", &image("1"));
        let from = repository(&format!("{}/org/app:1", server.authority()));
        assert_eq!(world.synced(&from, &world.dir("d")), "1/1 app:1 unchanged\n");
    }
}

#[test]
fn an_image_that_changed_is_copied() {
    let source = Registry::new().image("org/app", "1", &image("new")).serve();
    let world = World::new();
    world.write_image("d/app:1", &image("old"));
    let from = repository(&source.reference("org/app:1"));
    assert_eq!(world.synced(&from, &world.dir("d")), "1/1 app:1 copied\n");
    assert_eq!(fs::read(world.path("d/app:1/manifest.json")).unwrap(), image("new").manifest());
}

#[test]
fn an_image_by_its_digest_is_compared_like_any_other() {
    let (source, image) = (Registry::new().image("org/app", "1", &image("1")).serve(), image("1"));
    let to = Registry::new().image("mirror/app", "1", &image).serve();
    let world = World::new();
    let from = repository(&source.reference(&format!("org/app@{}", image.digest())));
    let told = world.synced(&from, &registry(&to.reference("mirror")));
    assert_eq!(told, format!("1/1 app@{} unchanged\n", image.digest()));
    assert_eq!((requests(&source), requests(&to)), ((1, Vec::new()), (1, Vec::new())));
}

fn index() -> Image {
    Image::index(["linux/amd64", "linux/arm64"].map(|platform| image(platform).platform(platform)))
}

fn for_arm<'a>(all: bool) -> Options<'a> {
    let instances = if all { Instances::All } else { Instances::System };
    let platform = PlatformChoice {
        os: Some("linux".to_owned()),
        architecture: Some("arm64".to_owned()),
        ..PlatformChoice::default()
    };
    Options { copy: copy::Options { instances, platform, ..copy::Options::default() }, ..Options::default() }
}

#[test]
fn of_an_index_it_is_the_instance_that_is_compared_unless_all_are_copied() {
    let source = Registry::new().image("org/app", "1", &index()).serve();
    let from = repository(&source.reference("org/app:1"));
    let arm = index().instances()[1].clone();
    for (there, all, expected) in [
        (&arm, false, "unchanged"),
        (&index(), true, "unchanged"),
        (&index(), false, "copied"),
        (&arm, true, "copied"),
        (&index().instances()[0], false, "copied"),
    ] {
        let world = World::new();
        world.write_image("d/app:1", there);
        let to_registry = Registry::new().image("mirror/app", "1", there).serve();
        let (told, outcome) = world.sync(&from, &world.dir("d"), &for_arm(all));
        assert!(outcome.is_ok());
        assert_eq!(told, format!("1/1 app:1 {expected}\n"), "{all}");
        let dry = Options { dry_run: true, ..for_arm(all) };
        let (told, _) = world.sync(&from, &registry(&to_registry.reference("mirror")), &dry);
        assert_eq!(told.contains(" unchanged\n"), expected == "unchanged", "{told} {all}");
    }
}

#[test]
fn of_an_index_in_a_directory_it_is_the_same() {
    let world = World::new();
    world.write_image("d/app:1", &index());
    let from = transship::sync::Source::Dir(world.path("d"));
    for (there, all, expected) in [
        (&index().instances()[1], false, "unchanged"),
        (&index(), true, "unchanged"),
        (&index(), false, "would copy"),
        (&index().instances()[1], true, "would copy"),
    ] {
        let to = Registry::new().image("mirror/app", "1", there).serve();
        let dry = Options { dry_run: true, ..for_arm(all) };
        let (told, _) = world.sync(&from, &registry(&to.reference("mirror")), &dry);
        assert_eq!(told, format!("1/1 app:1 {expected}\n"), "{all}");
        assert_eq!(requests(&to), (1, Vec::new()));
    }
}

#[test]
fn a_directory_that_is_not_whole_is_made_whole() {
    let source = Registry::new().image("org/app", "1", &index()).serve();
    let from = repository(&source.reference("org/app:1"));
    let all = for_arm(true);
    let arm = index().instances()[1].clone();
    let layer = arm.layer_digest(0).encoded().to_owned();
    let config = arm.blobs()[0].0.encoded().to_owned();
    let instance = format!("{}.manifest.json", arm.digest().encoded());
    for missing in [layer.clone(), config, instance, "manifest.json".to_owned()] {
        let world = World::new();
        world.sync(&from, &world.dir("d"), &all).1.unwrap();
        let path = world.path("d/app:1").join(&missing);
        fs::remove_file(&path).unwrap();
        assert_eq!(world.sync(&from, &world.dir("d"), &all).0, "1/1 app:1 copied\n", "{missing}");
        assert!(path.exists());
        assert_eq!(world.sync(&from, &world.dir("d"), &all).0, "1/1 app:1 unchanged\n", "{missing}");
    }
    let world = World::new();
    world.sync(&from, &world.dir("d"), &all).1.unwrap();
    let path = world.path("d/app:1").join(&layer);
    fs::write(&path, b"cut").unwrap();
    assert_eq!(world.sync(&from, &world.dir("d"), &all).0, "1/1 app:1 copied\n");
    assert_eq!(fs::read(&path).unwrap(), arm.layers()[0]);
}

#[test]
fn a_mirror_is_asked_first_as_it_is_for_a_copy() {
    let origin = tagged(Registry::new(), "org/app", &["1"]).serve();
    let mirror = tagged(Registry::new(), "org/app", &["1"]).serve();
    let world = World::new();
    let conf = format!(
        "[[registry]]\nprefix = \"app.example/org\"\nlocation = \"{}/org\"\n[[registry.mirror]]\nlocation = \"{}/org\"\n",
        origin.authority(),
        mirror.authority()
    );
    let path = world.path("registries.conf");
    fs::write(&path, conf).unwrap();
    let mut paths = transship::config::Paths::isolated(&world.path(""));
    paths.registries_conf = Some(path);
    let config = transship::config::Config::load_from(paths).unwrap();
    let image = "app.example/org/app:1".parse::<transship::Reference>().unwrap().try_into().unwrap();
    let head = source::head(&config, &image, &world.from).unwrap();
    assert_eq!(head.digest, crate::world::image("1").digest());
    assert_eq!((mirror.asked(), origin.asked().len()), (vec!["HEAD /v2/org/app/manifests/1".to_owned()], 0));
}
