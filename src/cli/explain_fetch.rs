//! `explain --fetch`: an image is read to its end and kept nowhere, to see who delivers what.

use std::io::{self, Read as _};

use serde_json::{Value, json};

use super::Failure;
use crate::config::Config;
use crate::manifest::{Descriptor, ImageManifest, Index, MAX_MANIFEST_SIZE, ManifestBytes, PlatformChoice};
use crate::media_type::MediaType;
use crate::reference::Reference;
use crate::source::{self, Content, Fetcher, Options, Served};
use crate::{copy, error};

/// Who delivered which part of an image; of an index, the instance for the platform. Where it fails, why, and what was
/// delivered before.
pub(super) fn fetched(config: &Config, reference: &Reference, options: &Options, platform: &PlatformChoice) -> Value {
    let mut parts = Parts(Vec::new());
    let outcome = fetch(config, reference, options, platform, &mut parts);
    let error = outcome.err().map(|failure| error::one_line(&*failure));
    let mut in_all = Vec::new();
    parts.0.iter().flat_map(|part| &part.served).for_each(|served| served.clone().add_to(&mut in_all));
    let parts: Vec<_> = parts.0.iter().map(Part::value).collect();
    json!({"parts": parts, "served": values(&in_all), "error": error})
}

fn fetch(
    config: &Config,
    reference: &Reference,
    options: &Options,
    platform: &PlatformChoice,
    parts: &mut Parts,
) -> Result<(), Failure> {
    let resolved = source::resolve(config, &reference.clone().with_default_tag(), options)?;
    let fetcher = &resolved.fetcher;
    let mut manifest = parts.manifest(fetcher, &resolved.descriptor)?;
    if manifest.media_type().is_index() {
        let wanted = copy::system_instance(&manifest, platform)?;
        let index = Index::parse(&manifest)?;
        let instance = index.instances().iter().find(|instance| *instance.digest() == wanted);
        let descriptor = instance.ok_or("the chosen instance is none of the index")?.descriptor();
        manifest = parts.manifest(fetcher, descriptor)?;
    }
    let image = ImageManifest::parse(&manifest)?;
    parts.blob("config", fetcher, image.config())?;
    image.layers().iter().try_for_each(|layer| parts.blob("layer", fetcher, layer))
}

/// What was fetched so far.
struct Parts(Vec<Part>);

/// A manifest or a blob, and who delivered it.
struct Part {
    kind: &'static str,
    descriptor: Descriptor,
    served: Vec<Served>,
}

impl Parts {
    fn manifest(&mut self, fetcher: &Fetcher, descriptor: &Descriptor) -> Result<ManifestBytes, Failure> {
        // By its digest alone it may be any blob.
        if descriptor.size() > MAX_MANIFEST_SIZE {
            return Err(format!("{}: {} bytes are no manifest", descriptor.digest(), descriptor.size()).into());
        }
        let mut bytes = Vec::new();
        let served = read(fetcher, descriptor, |content| {
            bytes.clear();
            content.read_to_end(&mut bytes).map(drop)
        })?;
        let manifest = ManifestBytes::new(bytes, MediaType::from(descriptor.media_type()));
        let kind = if manifest.media_type().is_index() { "index" } else { "manifest" };
        self.0.push(Part { kind, descriptor: descriptor.clone(), served });
        Ok(manifest)
    }

    /// Of layers that are the same, one is enough.
    fn blob(&mut self, kind: &'static str, fetcher: &Fetcher, descriptor: &Descriptor) -> Result<(), Failure> {
        if self.0.iter().all(|part| part.descriptor.digest() != descriptor.digest()) {
            let served = read(fetcher, descriptor, |content| io::copy(content, &mut io::sink()).map(drop))?;
            self.0.push(Part { kind, descriptor: descriptor.clone(), served });
        }
        Ok(())
    }
}

/// Wrong bytes are asked for again, and of somebody else.
fn read(
    fetcher: &Fetcher,
    descriptor: &Descriptor,
    mut to_end: impl FnMut(&mut Content) -> io::Result<()>,
) -> Result<Vec<Served>, Failure> {
    loop {
        let mut content = fetcher.fetch(descriptor)?;
        match to_end(&mut content) {
            Ok(()) => return Ok(content.served()),
            Err(error) if content.is_worth_another_try() => log::warn!("{}; once more", error::one_line(&error)),
            Err(error) => return Err(error.into()),
        }
    }
}

impl Part {
    fn value(&self) -> Value {
        let (digest, size) = (self.descriptor.digest().to_string(), self.descriptor.size());
        json!({"kind": self.kind, "digest": digest, "size": size, "served": values(&self.served)})
    }
}

fn values(served: &[Served]) -> Vec<Value> {
    served.iter().map(|served| json!({"by": served.by.to_string(), "bytes": served.bytes})).collect()
}

/// The lines for a person: a part each, and the sum where more than one delivered.
pub(super) fn lines(fetched: &Value) -> Vec<(&'static str, String)> {
    let list = |pointer: &str| fetched.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let by = |value: &Value| {
        let bytes = value.get("bytes").and_then(Value::as_u64).unwrap_or_default();
        format!("{bytes} bytes from {}", text(value, "by"))
    };
    let of_part = |part: Value| {
        let served = part.get("served").and_then(Value::as_array).cloned().unwrap_or_default();
        let served: Vec<_> = served.iter().map(by).collect();
        format!("{} {}: {}", text(&part, "kind"), text(&part, "digest"), served.join(", "))
    };
    let parts = list("/parts").into_iter().map(|part| ("fetched", of_part(part)));
    let sums = list("/served");
    let sum = (sums.len() > 1).then(|| ("in all", sums.iter().map(by).collect::<Vec<_>>().join(", ")));
    let error = fetched.get("error").and_then(Value::as_str).map(|error| ("error", error.to_owned()));
    parts.chain(sum).chain(error).collect()
}
