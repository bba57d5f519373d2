//! `inspect`, and what is told without an image: `list-tags` and `manifest-digest`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};

use super::args::{Global, InspectArgs, ListTagsArgs};
use super::output::{print, print_bytes, print_json};
use super::template::{self, GoField, Template};
use super::{Failure, settings};
use crate::config::Config;
use crate::manifest::{Descriptor, ImageManifest, MAX_MANIFEST_SIZE, ManifestBytes, convert};
use crate::media_type::MediaType;
use crate::reference::ImageReference;
use crate::source::{self, DockerArchiveSource, ImageSource, Options};
use crate::{Digest, copy, error};

/// Fields of [`Summary`] that a template may name although JSON may be without them.
const SUMMARY_FIELDS: [GoField; 4] = [
    GoField { go: "Name", json: "Name", empty: r#""""# },
    GoField { go: "Tag", json: "Tag", empty: r#""""# },
    GoField { go: "Labels", json: "Labels", empty: "{}" },
    GoField { go: "Env", json: "Env", empty: "[]" },
];

/// The fields of an image configuration, as templates for skopeo call them.
const CONFIG_FIELDS: [GoField; 24] = [
    GoField { go: "Created", json: "created", empty: r#""""# },
    GoField { go: "Author", json: "author", empty: r#""""# },
    GoField { go: "Architecture", json: "architecture", empty: r#""""# },
    GoField { go: "Variant", json: "variant", empty: r#""""# },
    GoField { go: "OS", json: "os", empty: r#""""# },
    GoField { go: "OSVersion", json: "os.version", empty: r#""""# },
    GoField { go: "OSFeatures", json: "os.features", empty: "[]" },
    GoField { go: "Config", json: "config", empty: "{}" },
    GoField { go: "User", json: "User", empty: r#""""# },
    GoField { go: "ExposedPorts", json: "ExposedPorts", empty: "{}" },
    GoField { go: "Env", json: "Env", empty: "[]" },
    GoField { go: "Entrypoint", json: "Entrypoint", empty: "[]" },
    GoField { go: "Cmd", json: "Cmd", empty: "[]" },
    GoField { go: "Volumes", json: "Volumes", empty: "{}" },
    GoField { go: "WorkingDir", json: "WorkingDir", empty: r#""""# },
    GoField { go: "Labels", json: "Labels", empty: "{}" },
    GoField { go: "StopSignal", json: "StopSignal", empty: r#""""# },
    GoField { go: "RootFS", json: "rootfs", empty: "{}" },
    GoField { go: "Type", json: "type", empty: r#""""# },
    GoField { go: "DiffIDs", json: "diff_ids", empty: "[]" },
    GoField { go: "History", json: "history", empty: "[]" },
    GoField { go: "CreatedBy", json: "created_by", empty: r#""""# },
    GoField { go: "Comment", json: "comment", empty: r#""""# },
    GoField { go: "EmptyLayer", json: "empty_layer", empty: "false" },
];

pub(super) fn run(global: &Global, args: &InspectArgs) -> Result<ExitCode, Failure> {
    let format = args.format.as_deref().filter(|format| !template::is_json(format));
    let template = format.map(Template::parse).transpose()?;
    let image = settings::image(&args.image)?;
    let access = args.registry.access();
    let config = settings::config(global, &access)?;
    let options = settings::options(&config, global, access)?;
    if args.raw && !args.config {
        let source = source::open_with(&config, &image, &options)?;
        return print_bytes(source.manifest(None)?.bytes());
    }
    if args.config {
        let described = Described::read(&config, &image, &options, global)?;
        if args.raw {
            return print_bytes(&described.config);
        }
        return show(&described.image_config()?, template.as_ref(), &CONFIG_FIELDS);
    }
    // The tags are asked for while manifest and config are read: neither waits for the other.
    let (described, tags) = std::thread::scope(|scope| {
        let tags = scope.spawn(|| if args.no_tags { Ok(Vec::new()) } else { tags_beside(&config, &image, &options) });
        (Described::read(&config, &image, &options, global), tags.join())
    });
    let described = described?;
    let tags = tags.unwrap_or_else(|_| Ok(Vec::new())).unwrap_or_else(|failure| {
        log::warn!("the tags are left out: {}", error::one_line(&failure));
        Vec::new()
    });
    show(&described.summary(&image, tags)?, template.as_ref(), &SUMMARY_FIELDS)
}

pub(super) fn list_tags(global: &Global, args: &ListTagsArgs) -> Result<ExitCode, Failure> {
    let docker = match settings::image(&args.repository)? {
        ImageReference::Docker(docker) => docker,
        ImageReference::DockerArchive(archive) => {
            let tags = DockerArchiveSource::tags(&archive)?;
            return print_json(&json!({"Tags": tags.iter().map(ToString::to_string).collect::<Vec<_>>()}));
        }
        other => return Err(format!("{other}: tags are listed of docker:// and docker-archive:").into()),
    };
    let access = args.registry.access();
    let config = settings::config(global, &access)?;
    let options = settings::options(&config, global, access)?;
    let client = source::registry_client(&config, docker.reference(), &options)?;
    let tags = client.tags().map_err(source::Error::Registry)?;
    let tags: Vec<_> = tags.iter().map(ToString::to_string).collect();
    print_json(&json!({"Repository": docker.reference().name().to_string(), "Tags": tags}))
}

pub(super) fn manifest_digest(path: &Path) -> Result<ExitCode, Failure> {
    let in_file = |error| Failure::from(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_MANIFEST_SIZE + 1).read_to_end(&mut bytes)).map_err(in_file)?;
    if bytes.len() as u64 > MAX_MANIFEST_SIZE {
        return Err(format!("{}: larger than any manifest ({MAX_MANIFEST_SIZE} bytes)", path.display()).into());
    }
    print(&format!("{}\n", Digest::sha256(&bytes)))
}

fn show(value: &Value, template: Option<&Template>, fields: &[GoField]) -> Result<ExitCode, Failure> {
    match template {
        Some(template) => print(&format!("{}\n", template.render(value, fields)?)),
        None => print_json(value),
    }
}

/// An image's manifest and config.
struct Described {
    /// Of what was asked for, the index where it is one.
    digest: Digest,
    manifest: ImageManifest,
    config: Vec<u8>,
}

/// What skopeo prints, field by field.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    digest: &'a str,
    repo_tags: Vec<String>,
    created: Value,
    docker_version: Value,
    labels: Value,
    architecture: Value,
    os: Value,
    layers: Vec<String>,
    layers_data: Vec<LayerData<'a>>,
    env: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LayerData<'a> {
    #[serde(rename = "MIMEType")]
    media_type: String,
    digest: String,
    size: u64,
    annotations: Option<BTreeMap<&'a String, &'a String>>,
}

impl Described {
    fn read(config: &Config, image: &ImageReference, options: &Options, global: &Global) -> Result<Self, Failure> {
        let source = source::open_with(config, image, options)?;
        let top = source.manifest(None)?;
        let manifest =
            if top.media_type().is_index() { instance(&*source, &top, global)? } else { ImageManifest::parse(&top)? };
        let config = copy::read_config(&*source, manifest.config())?;
        Ok(Self { digest: top.digest().clone(), manifest, config })
    }

    /// In OCI's form, as skopeo shows it; a config of something else than an image, as it is.
    fn image_config(&self) -> Result<Value, Failure> {
        let media_type = MediaType::from(self.manifest.config().media_type());
        if [MediaType::OCI_CONFIG, MediaType::DOCKER_CONFIG].contains(&media_type) {
            return Ok(serde_json::from_slice(&convert::config_to_oci(&self.config)?)?);
        }
        let not_json = |error| format!("the config is a {media_type}, not JSON ({error}); --config --raw prints it");
        Ok(serde_json::from_slice(&self.config).map_err(not_json)?)
    }

    fn summary(&self, image: &ImageReference, tags: Vec<String>) -> Result<Value, Failure> {
        let config = self.image_config()?;
        let field = |name: &str| config.get(name).cloned();
        // Whether a list is empty or missing is told apart here, and not in OCI's form.
        let original: Value = serde_json::from_slice(&self.config)?;
        let execution = |name: &str| original.get("config").and_then(|execution| execution.get(name)).cloned();
        let mut labels = execution("Labels").unwrap_or_default();
        labels.sort_all_objects();
        let name = match image {
            ImageReference::Docker(docker) => docker.reference().name().to_string(),
            _ => String::new(),
        };
        let layers = self.manifest.layers();
        let empty = || Value::String(String::new());
        Ok(serde_json::to_value(Summary {
            name,
            digest: self.digest.as_str(),
            repo_tags: tags,
            created: field("created").unwrap_or_default(),
            docker_version: original.get("docker_version").cloned().unwrap_or_else(empty),
            labels,
            architecture: field("architecture").unwrap_or_else(empty),
            os: field("os").unwrap_or_else(empty),
            layers: layers.iter().map(|layer| layer.digest().to_string()).collect(),
            layers_data: layers.iter().map(LayerData::new).collect(),
            env: execution("Env").unwrap_or_default(),
        })?)
    }
}

impl<'a> LayerData<'a> {
    fn new(layer: &'a Descriptor) -> Self {
        Self {
            media_type: layer.media_type().to_string(),
            digest: layer.digest().to_string(),
            size: layer.size(),
            annotations: layer.annotations().as_ref().map(|annotations| annotations.iter().collect()),
        }
    }
}

fn instance(source: &dyn ImageSource, top: &ManifestBytes, global: &Global) -> Result<ImageManifest, Failure> {
    let digest = copy::system_instance(top, &settings::platform(global))?;
    Ok(ImageManifest::parse(&*source.manifest(Some(&digest))?)?)
}

/// The tags beside an image; none outside of a registry. Some registries do not list them, and a mirror's origin may be
/// away: an error is no reason to say nothing about the image.
fn tags_beside(config: &Config, image: &ImageReference, options: &Options) -> Result<Vec<String>, source::Error> {
    let ImageReference::Docker(docker) = image else { return Ok(Vec::new()) };
    let client = source::registry_client(config, docker.reference(), options)?;
    let tags = client.tags().map_err(source::Error::Registry)?;
    Ok(tags.iter().map(ToString::to_string).collect())
}
