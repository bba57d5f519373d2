//! Images under their names in a directory: pulled at the same time, listed, removed, pruned.

#![allow(clippy::print_stdout, reason = "it is an example")]

use std::error::Error;
use std::thread;

use transship::config::{Config, Paths};
use transship::policy::Policy;
use transship::source;
use transship::store::{PullOptions, PullRequest, Store, parse_image};

mod support;

use support::{Image, Registry};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let registry = Registry::new()
        .image("org/app", "1", &Image::with_layers(["base", "one"]))
        .image("org/app", "2", &Image::with_layers(["base", "two"]))
        .serve();
    let directory = tempfile::tempdir()?;
    let config = Config::load_from(Paths::isolated(directory.path()))?;
    let policy = Policy::insecure_accept_anything();
    let options = source::Options { tls_verify: Some(false), ..source::Options::default() };

    let store = Store::at(directory.path().join("images"))?;
    let tags = ["1", "2"].map(|tag| registry.reference(&format!("org/app:{tag}")));
    let pull = |image: &str| -> Result<_, Box<dyn Error + Send + Sync>> {
        let request = PullRequest::new(parse_image(image)?);
        Ok(store.pull(&config, &policy, &request, &options, &PullOptions::default())?)
    };
    thread::scope(|scope| {
        let pulls = tags.each_ref().map(|tag| scope.spawn(|| pull(tag)));
        pulls.into_iter().try_for_each(|pull| pull.join().map_err(|_| "a pull panicked")?.map(drop))
    })?;
    for image in store.images()?.whole {
        println!(
            "{} {} {} bytes",
            image.id,
            image.repo_tags.iter().map(ToString::to_string).collect::<String>(),
            image.size
        );
    }
    let blobs = registry.asked().iter().filter(|asked| asked.contains("/blobs/")).count();
    assert_eq!(blobs, 5, "two configs, two layers, and the layer that both have");

    store.remove(&tags[0])?;
    let pruned = store.prune()?;
    println!("removed {} blobs, {} bytes", pruned.blobs, pruned.bytes);
    assert_eq!((store.images()?.whole.len(), pruned.blobs), (1, 3));
    Ok(())
}
