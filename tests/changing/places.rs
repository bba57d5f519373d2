//! Images and places in memory, and the copy between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use transship::config::{Config, Paths};
use transship::copy::{self, Event, Options, Progress};
use transship::destination::{self, BlobInput, ImageDestination};
use transship::http::{StatusCode, TestClock, Timeouts};
use transship::manifest::{Descriptor, ImageManifest, ManifestBytes};
use transship::policy::Policy;
use transship::registry::{self, ErrorResponse, Operation};
use transship::signature::UntrustedSignature;
use transship::source::{self, BlobBody, BlobReader, FoundSignature, ImageSource, Network, Served, SignatureDemand};
use transship::{Digest, ImageReference, MediaType, Reference};

use crate::support::uploads::RunningUploads;

pub const KINDS: [MediaType; 4] =
    [MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST, MediaType::OCI_INDEX, MediaType::DOCKER_LIST];

/// A place in memory that takes the kinds of manifest that it is told to take, and refuses those that it is told to refuse
/// as a registry does.
pub struct Place {
    reference: ImageReference,
    pub accepts: Vec<MediaType>,
    pub refuses: Vec<MediaType>,
    /// Leaves foreign layers where they are.
    pub is_registry: bool,
    pub blobs: Mutex<BTreeMap<Digest, Vec<u8>>>,
    pub instances: Mutex<BTreeMap<Digest, ManifestBytes>>,
    pub top: Mutex<Option<ManifestBytes>>,
}

impl Place {
    pub fn new() -> Self {
        Self::named("dir:/a/place")
    }

    pub fn named(reference: &str) -> Self {
        Self {
            reference: reference.parse().unwrap(),
            accepts: KINDS.to_vec(),
            refuses: Vec::new(),
            is_registry: false,
            blobs: Mutex::default(),
            instances: Mutex::default(),
            top: Mutex::default(),
        }
    }

    pub fn accepting(kinds: &[MediaType]) -> Self {
        Self { accepts: kinds.to_vec(), ..Self::new() }
    }

    pub fn refusing(mut self, kinds: &[MediaType]) -> Self {
        self.refuses = kinds.to_vec();
        self
    }

    pub fn blob(&self, digest: &str) -> Vec<u8> {
        self.blobs.lock().unwrap()[&digest.parse::<Digest>().unwrap()].clone()
    }

    pub fn is_untouched(&self) -> bool {
        let has_manifest = self.top.lock().unwrap().is_some() || !self.instances.lock().unwrap().is_empty();
        self.blobs.lock().unwrap().is_empty() && !has_manifest
    }
}

impl ImageDestination for Place {
    fn reference(&self) -> &ImageReference {
        &self.reference
    }

    fn accepts_foreign_layers(&self) -> bool {
        self.is_registry
    }

    fn accepts(&self, media_type: &MediaType) -> bool {
        self.accepts.contains(media_type)
    }

    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, destination::Error> {
        let digest = Digest::try_from(descriptor.digest()).unwrap();
        Ok(self.blobs.lock().unwrap().contains_key(&digest))
    }

    fn put_blob(&self, descriptor: &Descriptor, input: &mut dyn BlobInput) -> Result<(), destination::Error> {
        let digest = Digest::try_from(descriptor.digest()).unwrap();
        let mut bytes = Vec::new();
        let read = input.read_to_end(&mut bytes);
        read.map_err(|source| destination::Error::Read { digest: digest.clone(), source })?;
        self.blobs.lock().unwrap().insert(digest, bytes);
        Ok(())
    }

    fn put_manifest(&self, manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), destination::Error> {
        let media_type = manifest.media_type().clone();
        if self.refuses.contains(&media_type) {
            let operation = Operation::PuttingManifest {
                selector: "1".to_owned(),
                name: "r.example/app".parse::<Reference>().unwrap().name().clone(),
            };
            let source = ErrorResponse {
                status: StatusCode::BAD_REQUEST,
                url: "https://r.example".parse().unwrap(),
                entries: Vec::new(),
                body_start: String::new(),
            };
            let source = registry::Error::Response { operation, source };
            return Err(destination::Error::ManifestRefused { media_type, source });
        }
        match instance {
            Some(digest) => drop(self.instances.lock().unwrap().insert(digest.clone(), manifest.clone())),
            None => *self.top.lock().unwrap() = Some(manifest.clone()),
        }
        Ok(())
    }

    fn check_signatures(&self, _signatures: &[UntrustedSignature]) -> Result<(), destination::Error> {
        Ok(())
    }

    fn put_signatures(
        &self,
        _signatures: &[UntrustedSignature],
        _instance: Option<&Digest>,
    ) -> Result<(), destination::Error> {
        Ok(())
    }

    fn commit(&self) -> Result<(), destination::Error> {
        Ok(())
    }
}

/// An image in memory: its manifests under their digests, and its blobs.
pub struct Sketch {
    reference: ImageReference,
    top: Arc<ManifestBytes>,
    manifests: BTreeMap<Digest, Arc<ManifestBytes>>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    /// What is there for an instance that is nowhere else.
    stand_in: Option<Arc<ManifestBytes>>,
    pub is_signed: bool,
}

impl Sketch {
    pub fn new(top: ManifestBytes) -> Self {
        let (manifests, blobs) = (BTreeMap::new(), BTreeMap::new());
        let reference = "dir:/an/image".parse().unwrap();
        Self { reference, top: Arc::new(top), manifests, blobs, stand_in: None, is_signed: false }
    }

    /// An image of these layers, each with a media type; its config has these diff ids.
    pub fn image(kind: &MediaType, layers: &[(&str, &[u8])], diff_ids: &[Digest]) -> Self {
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids.iter().map(Digest::as_str).collect::<Vec<_>>()}});
        let layers: Vec<_> = layers.iter().map(|(media_type, bytes)| (described(media_type, bytes), *bytes)).collect();
        Self::of_descriptors(kind, &config, &layers)
    }

    /// The same of whole descriptors.
    pub fn of_descriptors(kind: &MediaType, config: &Value, layers: &[(Value, &[u8])]) -> Self {
        let config_type =
            if *kind == MediaType::OCI_MANIFEST { MediaType::OCI_CONFIG } else { MediaType::DOCKER_CONFIG };
        let config = config.to_string().into_bytes();
        let descriptors: Vec<_> = layers.iter().map(|(descriptor, _)| descriptor).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind.as_str(),
            "config": described(config_type.as_str(), &config), "layers": descriptors,
        });
        let sketch = Self::new(ManifestBytes::new(manifest.to_string().into_bytes(), kind.clone()));
        let blobs: Vec<_> = layers.iter().map(|(_, bytes)| *bytes).chain([&*config]).collect();
        sketch.with_blobs(&blobs)
    }

    pub fn with_blobs(mut self, blobs: &[&[u8]]) -> Self {
        self.blobs.extend(blobs.iter().map(|bytes| (Digest::sha256(bytes), bytes.to_vec())));
        self
    }

    /// What is read where the blob with this digest should be.
    pub fn with_damaged(mut self, digest: Digest, bytes: Vec<u8>) -> Self {
        self.blobs.insert(digest, bytes);
        self
    }

    /// The top-level manifest of another image, as an instance of this index.
    pub fn with_instance(mut self, image: &Self) -> Self {
        self.manifests.insert(image.top.digest().clone(), Arc::clone(&image.top));
        self.blobs.extend(image.blobs.clone());
        self
    }

    /// Every instance that is nowhere else is an empty image.
    pub fn with_stand_in(self) -> Self {
        let empty = Self::image(&MediaType::OCI_MANIFEST, &[], &[]);
        let mut sketch = self.with_instance(&empty);
        sketch.stand_in = Some(empty.top);
        sketch
    }

    /// An index of images, each in an entry with these members too.
    pub fn index(kind: &MediaType, instances: &[(&Self, Value)]) -> Self {
        let entry = |(image, members): &(&Self, Value)| {
            let mut entry = described(image.top.media_type().as_str(), image.top.bytes());
            entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            entry
        };
        let entries: Vec<_> = instances.iter().map(entry).collect();
        let index = json!({"schemaVersion": 2, "mediaType": kind.as_str(), "manifests": entries});
        let sketch = Self::new(ManifestBytes::new(index.to_string().into_bytes(), kind.clone()));
        instances.iter().fold(sketch, |sketch, (image, _)| sketch.with_instance(image))
    }

    pub fn signed(mut self) -> Self {
        self.is_signed = true;
        self
    }

    pub fn top(&self) -> &ManifestBytes {
        &self.top
    }

    pub fn digest(&self) -> &Digest {
        self.top.digest()
    }
}

impl ImageSource for Sketch {
    fn logical(&self) -> &ImageReference {
        &self.reference
    }

    fn physical(&self) -> &ImageReference {
        &self.reference
    }

    fn manifest(&self, instance: Option<&Digest>) -> Result<Arc<ManifestBytes>, source::Error> {
        let Some(digest) = instance else { return Ok(Arc::clone(&self.top)) };
        Ok(Arc::clone(self.manifests.get(digest).or(self.stand_in.as_ref()).unwrap()))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, source::Error> {
        let digest = Digest::try_from(descriptor.digest()).unwrap();
        let body = Body(std::io::Cursor::new(self.blobs[&digest].clone()));
        Ok(BlobReader::new(Box::new(body), digest, descriptor.size()))
    }

    fn signatures(
        &self,
        instance: Option<&Digest>,
        _demand: SignatureDemand,
    ) -> Result<Vec<FoundSignature>, source::Error> {
        let signature = UntrustedSignature::SimpleSigning(b"\xa3 of the image".to_vec());
        let place = source::SignaturePlace::Other("here".to_owned());
        let is_there = self.is_signed && instance.is_none();
        Ok(is_there.then_some(FoundSignature::new(signature, place)).into_iter().collect())
    }
}

struct Body(std::io::Cursor<Vec<u8>>);

impl std::io::Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BlobBody for Body {
    fn served(&self) -> Vec<Served> {
        Vec::new()
    }
}

/// A descriptor of these bytes.
pub fn described(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(bytes).as_str(), "size": bytes.len()})
}

pub fn copy(
    from: &dyn ImageSource,
    to: &dyn ImageDestination,
    options: &Options<'_>,
) -> Result<ManifestBytes, copy::Error> {
    copy::image(from, to, &Policy::insecure_accept_anything(), options)
}

/// The layers of an image: media type and digest.
pub fn layers(manifest: &ManifestBytes) -> Vec<(String, String)> {
    let image = ImageManifest::parse(manifest).unwrap();
    image.layers().iter().map(|layer| (layer.media_type().to_string(), layer.digest().to_string())).collect()
}

/// A document as JSON.
pub fn document(manifest: &ManifestBytes) -> Value {
    serde_json::from_slice(manifest.bytes()).unwrap()
}

/// A registry at the end of a push, which nobody waits for.
pub fn open(registry: &RunningUploads) -> Box<dyn ImageDestination> {
    let home = tempfile::tempdir().unwrap();
    let conf = home.path().join("registries.conf");
    let text = format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.authority());
    std::fs::write(&conf, text).unwrap();
    let mut paths = Paths::isolated(home.path());
    paths.registries_conf = Some(conf);
    let config = Config::load_from(paths).unwrap();
    let network = Network { clock: Arc::new(TestClock::default()), ..Network::real(&config, Timeouts::default()) };
    let reference: ImageReference = format!("docker://{}", registry.reference("org/app:1")).parse().unwrap();
    let options = source::Options { network: Some(network), ..source::Options::default() };
    destination::open_with(&config, &reference, &options).unwrap()
}

/// The instances that were copied, in order.
#[derive(Default)]
pub struct Copied(pub Mutex<Vec<Digest>>);

impl Progress for Copied {
    fn event(&self, event: &Event<'_>) {
        if let Event::Instance { digest, .. } = event {
            self.0.lock().unwrap().push((*digest).clone());
        }
    }
}
