//! What a name stands for, and a part of it: the end of a layer, which a reader of archives may want first. Nothing is
//! configured, nothing leaves this machine.

#![allow(clippy::print_stdout, reason = "it is an example")]

use std::error::Error;
use std::io::{Read as _, Seek as _, SeekFrom};

use transship::manifest::{ImageManifest, ManifestBytes};
use transship::source::{self, Options};
use transship::{MediaType, Reference};

mod support;

use support::{Files, Image, Registry, expect};

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let image = Image::with_layers([vec![b'a'; 3000], vec![b'b'; 200_000]]);
    let (layer, path) = (image.layer_digest(1).to_string(), image.layer_digest(1).to_string());
    let origin = Registry::new().image("org/app", "1", &image).serve();
    // It breaks off in the middle of the layer, and then has lost it.
    let mirror = Registry::new()
        .image("org/app", "1", &image)
        .spoil(move |asked| asked.ends_with(&layer), 2..=2, |reply| reply.cut_after(50_000))
        .spoil(move |asked| asked.ends_with(&path), 3.., |reply| reply.status(404))
        .serve();
    let at = |registry: &str| format!("location = \"{registry}/org\"\ninsecure = true\n");
    let (origin, mirror) = (origin.authority(), mirror.authority());
    let conf =
        format!("[[registry]]\nprefix = \"registry.example/org\"\n{}[[registry.mirror]]\n{}", at(&origin), at(&mirror));
    let config = Files { registries_conf: &conf, ..Files::default() }.load(place.path())?;

    println!("1. What a tag names: one HEAD, and nothing is read yet.");
    let asked: Reference = "registry.example/org/app:1".parse()?;
    let resolved = source::resolve(&config, &asked, &Options::default())?;
    println!("   {}\n   from {}\n", resolved.name, resolved.served_by);
    expect(resolved.descriptor.size() == image.manifest().len() as u64, "the descriptor is that of the manifest")?;

    println!("2. Its manifest, read from the descriptor and verified.");
    let mut content = resolved.fetcher.fetch(&resolved.descriptor)?;
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    expect(content.is_verified(), "it was read from the first byte to the last")?;
    let media_type = MediaType::from(resolved.descriptor.media_type());
    let manifest = ImageManifest::parse(&ManifestBytes::new(bytes, media_type))?;
    println!("   {} layers\n", manifest.layers().len());

    println!("3. The last bytes of a layer: asked for by range, and nobody can vouch for a part.");
    let last = manifest.layers().last().ok_or("an image has layers")?;
    let mut content = resolved.fetcher.fetch(last)?;
    content.seek(SeekFrom::End(-5))?;
    let mut end = String::new();
    content.read_to_string(&mut end)?;
    expect(end == "bbbbb" && !content.is_verified(), "a part is what the registry sent")?;
    println!("   {end}\n");

    println!("4. The same layer whole: where the mirror breaks off, the origin goes on.");
    content.rewind()?;
    let read = std::io::copy(&mut content, &mut std::io::sink())?;
    expect(read == 200_000 && content.is_verified(), "all of it came, and it is right")?;
    for served in content.served() {
        println!("   {} bytes from {}", served.bytes, served.by);
    }
    expect(content.served().len() == 2, "both have sent a part")?;
    Ok(())
}
