//! Blobs on their way to a registry: every way in which an upload can break, and what is left of it.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use transship::destination::{self, Error as DestinationError, ImageDestination};
use transship::digest::{Algorithm, Digest};
use transship::error::{find, one_line};
use transship::http::{Cancellable, RetryPolicy};
use transship::manifest::Descriptor;
use transship::registry::{Error, Identity, RegistryClient};
use transship::source::{self, Network};

use crate::machine::{self, Machine};
use crate::support::reply::Reply;
use crate::support::server_tls::ServerTls;
use crate::support::uploads::{Fault, RunningUploads, Uploads};

const MIB: usize = 1024 * 1024;
/// Of one request.
const CHUNK: usize = 8 * MIB;
/// Two whole chunks and some.
const LARGE: usize = 2 * CHUNK + MIB;
const SMALL: usize = 1000;

static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| machine::noise(LARGE));

/// The first bytes of something without a pattern.
fn noise(size: usize) -> Vec<u8> {
    NOISE[..size].to_vec()
}

fn machine(registry: &RunningUploads) -> Machine {
    Machine::new().insecure(&registry.authority())
}

fn open(machine: &Machine, registry: &RunningUploads) -> Box<dyn ImageDestination> {
    let reference = format!("docker://{}", registry.reference("org/app:1")).parse().unwrap();
    destination::open_with(&machine.config(), &reference, &machine.options()).unwrap()
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    crate::support::image::descriptor(bytes, Algorithm::Sha256)
}

/// Pushes bytes to a registry.
fn push(registry: &RunningUploads, bytes: &[u8]) -> Result<(), DestinationError> {
    open(&machine(registry), registry).put_blob(&descriptor(bytes), &mut &*bytes)
}

fn has(registry: &RunningUploads, bytes: &[u8]) -> bool {
    registry.blob(&Digest::sha256(bytes)).is_some_and(|blob| blob == bytes)
}

fn registry_error(error: &DestinationError) -> &Error {
    find(error).unwrap_or_else(|| panic!("{}", one_line(error)))
}

/// The methods of the upload, in order.
fn steps(registry: &RunningUploads) -> String {
    registry.methods("/uploads/").join(" ")
}

#[test]
fn a_blob_of_one_chunk_is_one_put_and_a_larger_one_patches() {
    for (size, expected) in [
        (0, "POST PUT"),
        (1, "POST PUT"),
        (CHUNK, "POST PUT"),
        (CHUNK + 1, "POST PATCH PATCH PUT"),
        (LARGE, "POST PATCH PATCH PATCH PUT"),
    ] {
        let registry = Uploads::new().serve();
        let bytes = noise(size);
        push(&registry, &bytes).unwrap();
        assert!(has(&registry, &bytes), "{size}");
        assert_eq!(steps(&registry), expected, "{size}");
        for request in registry.requests().iter().filter(|request| request.method != "GET") {
            // Proxies and registries turn away what does not say how long it is.
            assert_eq!(request.header("content-length"), Some(&*request.body.len().to_string()), "{}", request.method);
            assert!(request.body.len() <= CHUNK);
        }
    }
}

#[test]
fn chunks_say_where_they_belong() {
    let registry = Uploads::new().serve();
    push(&registry, &noise(LARGE)).unwrap();
    let requests = registry.requests();
    let ranges: Vec<_> = requests.iter().filter_map(|request| request.header("content-range")).collect();
    assert_eq!(ranges, ["0-8388607", "8388608-16777215", "16777216-17825791"]);
}

/// What comes of an upload that breaks once: the requests, and whether the blob is there.
#[test]
fn an_upload_goes_on_where_it_broke() {
    use Fault::{Answer, Forget, Keep, Mute, Short};
    let status = |status| Answer(Reply::new(status));
    let again = "POST PUT GET DELETE POST PUT";
    for (size, method, nth, fault, expected) in [
        // No byte and one byte cannot be told apart by what the registry says: it is begun anew.
        (SMALL, "PUT", 1, Keep(0), again),
        (SMALL, "PUT", 1, Keep(1), again),
        (SMALL, "PUT", 1, Keep(500), "POST PUT GET PUT"),
        (SMALL, "PUT", 1, Keep(SMALL), "POST PUT GET PUT"),
        (SMALL, "PUT", 1, Mute, "POST PUT GET"),
        (SMALL, "PUT", 1, Forget, "POST PUT GET POST PUT"),
        (SMALL, "PUT", 1, status(500), again),
        (SMALL, "PUT", 1, status(502), again),
        (SMALL, "PUT", 1, status(503), again),
        (SMALL, "POST", 1, status(500), "POST POST PUT"),
        (SMALL, "POST", 1, Mute, "POST POST PUT"),
        (SMALL, "PUT", 1, status(429), "POST PUT PUT"),
        (LARGE, "PATCH", 1, Keep(0), "POST PATCH GET DELETE POST PATCH PATCH PATCH PUT"),
        (LARGE, "PATCH", 1, Keep(MIB), "POST PATCH GET PATCH PATCH PATCH PUT"),
        (LARGE, "PATCH", 1, Forget, "POST PATCH GET POST PATCH PATCH PATCH PUT"),
        (LARGE, "PATCH", 2, Keep(0), "POST PATCH PATCH GET PATCH PATCH PUT"),
        (LARGE, "PATCH", 2, Keep(1), "POST PATCH PATCH GET PATCH PATCH PUT"),
        (LARGE, "PATCH", 2, Mute, "POST PATCH PATCH GET PATCH PUT"),
        (LARGE, "PATCH", 2, status(503), "POST PATCH PATCH GET PATCH PATCH PUT"),
        (LARGE, "PATCH", 2, status(416), "POST PATCH PATCH GET PATCH PATCH PUT"),
        (LARGE, "PATCH", 3, Keep(MIB - 1), "POST PATCH PATCH PATCH GET PATCH PUT"),
        (LARGE, "PATCH", 2, Short(MIB), "POST PATCH PATCH PATCH PATCH PUT"),
        (LARGE, "PUT", 1, Mute, "POST PATCH PATCH PATCH PUT GET"),
        (LARGE, "PUT", 1, Keep(0), "POST PATCH PATCH PATCH PUT GET PUT"),
        (LARGE, "PUT", 1, status(500), "POST PATCH PATCH PATCH PUT GET PUT"),
    ] {
        let case = format!("{size} {method} {nth} {fault:?}");
        let registry = Uploads::new().fault(method, nth, fault).serve();
        let bytes = noise(size);
        push(&registry, &bytes).unwrap_or_else(|error| panic!("{case}: {}", one_line(&error)));
        assert!(has(&registry, &bytes), "{case}");
        assert_eq!(steps(&registry), expected, "{case}");
    }
}

#[test]
fn a_session_that_is_forgotten_with_bytes_that_are_gone_is_a_transient_error() {
    for (method, nth) in [("PATCH", 2), ("PATCH", 3), ("PUT", 1)] {
        let registry = Uploads::new().fault(method, nth, Fault::Forget).serve();
        let error = push(&registry, &noise(LARGE)).unwrap_err();
        assert!(matches!(registry_error(&error), Error::UploadLost { .. }), "{}", one_line(&error));
        assert!(error.is_transient() && !error.is_unauthorized());
        assert!(!has(&registry, &noise(LARGE)));
    }
}

#[test]
fn a_line_that_carries_nothing_is_given_up_after_the_attempts_of_the_policy() {
    let mut uploads = Uploads::new();
    for nth in 1..=20 {
        uploads = uploads.fault("PATCH", nth, Fault::Keep(0));
    }
    let registry = uploads.serve();
    let machine = machine(&registry);
    let bytes = noise(LARGE);
    let error = open(&machine, &registry).put_blob(&descriptor(&bytes), &mut &*bytes).unwrap_err();
    assert!(error.is_transient(), "{}", one_line(&error));
    assert_eq!(registry.methods("/uploads/").iter().filter(|method| *method == "PATCH").count(), 4);
    assert_eq!(machine.clock.sleeps().len(), 3);
}

/// Neither crumbs nor bytes that are forgotten again keep an upload going.
#[test]
fn a_registry_cannot_keep_an_upload_going_for_ever() {
    for (patch, get) in [(Fault::Short(10), None), (Fault::Keep(MIB), Some(Fault::Forget))] {
        let mut uploads = Uploads::new();
        for nth in 1..=50 {
            uploads = uploads.fault("PATCH", nth, patch.clone());
            if let Some(get) = &get {
                uploads = uploads.fault("GET", nth, get.clone());
            }
        }
        let registry = uploads.serve();
        let error = push(&registry, &noise(LARGE)).unwrap_err();
        assert_eq!(registry.methods("/uploads/").iter().filter(|method| *method == "PATCH").count(), 4);
        let is_short = matches!(registry_error(&error), Error::UploadRange { .. });
        assert_eq!(is_short, get.is_none(), "{}", one_line(&error));
    }
}

#[test]
fn an_upload_that_failed_is_over() {
    let registry = Uploads::new().fault("PATCH", 2, Fault::Forget).serve();
    let (_, client) = client(&registry);
    let mut upload = client.upload(&Digest::sha256(b""), LARGE as u64).unwrap();
    upload.append(noise(SMALL)).unwrap();
    assert!(matches!(upload.append(noise(SMALL)), Err(Error::UploadLost { .. })));
    assert!(matches!(upload.append(noise(SMALL)), Err(Error::UploadLocation { .. })));
    assert!(matches!(upload.finish(noise(SMALL)), Err(Error::UploadLocation { .. })));
    assert_eq!(registry.methods("/uploads/").iter().filter(|method| *method == "POST").count(), 1);
}

fn client(registry: &RunningUploads) -> (Machine, Arc<RegistryClient>) {
    let machine = machine(registry);
    let reference = registry.reference("org/app:1").parse().unwrap();
    let client = source::registry_client(&machine.config(), &reference, &machine.options()).unwrap();
    (machine, client)
}

#[test]
fn a_line_that_carries_much_may_break_often() {
    let mut uploads = Uploads::new();
    for nth in 1..=7 {
        uploads = uploads.fault("PATCH", nth, Fault::Keep(MIB));
    }
    let registry = uploads.serve();
    push(&registry, &noise(LARGE)).unwrap();
    assert!(has(&registry, &noise(LARGE)));
}

#[test]
fn a_refusal_is_what_it_is_and_leaves_no_upload() {
    for method in ["POST", "PATCH", "PUT"] {
        for (status, is_unauthorized, is_transient) in
            [(401, true, false), (403, true, false), (400, false, false), (413, false, false), (429, false, true)]
        {
            let mut uploads = Uploads::new();
            for nth in 1..=4 {
                uploads = uploads.fault(method, nth, Fault::Answer(Reply::new(status)));
            }
            let registry = uploads.serve();
            let error = push(&registry, &noise(LARGE)).unwrap_err();
            let Error::Response { source, .. } = registry_error(&error) else { panic!("{}", one_line(&error)) };
            assert_eq!(source.status.as_u16(), status);
            assert_eq!((error.is_unauthorized(), error.is_transient()), (is_unauthorized, is_transient), "{status}");
            assert_eq!(registry.open_uploads(), 0, "{method} {status}");
        }
    }
}

/// Gives some bytes, then fails.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the line went dead")),
            count => Ok(count),
        }
    }
}

#[test]
fn bytes_that_were_not_verified_are_never_finished() {
    for size in [SMALL, CHUNK, LARGE] {
        let bytes = noise(size);
        let longer = [&*bytes, b"x"].concat();
        let readers: [Box<dyn Read>; 4] = [
            Box::new(Broken(&bytes)),
            Box::new(Broken(&bytes[..size / 2])),
            Box::new(&bytes[..size - 1]),
            Box::new(&*longer),
        ];
        for mut reader in readers {
            let registry = Uploads::new().serve();
            let to = open(&machine(&registry), &registry);
            let error = to.put_blob(&descriptor(&bytes), &mut reader).unwrap_err();
            assert!(matches!(error, DestinationError::Read { .. }), "{}", one_line(&error));
            assert_eq!(registry.open_uploads(), 0);
            assert!(!registry.methods("/uploads/").contains(&"PUT".to_owned()));
        }
    }
}

#[test]
fn an_upload_that_is_cancelled_between_two_chunks_is_taken_back() {
    let registry = Uploads::new().serve();
    let machine = machine(&registry);
    let (cancelled, mut options) = (Arc::new(AtomicBool::new(false)), machine.options());
    let Some(Network { wire, clock, health }) = options.network else { panic!("a machine has a network") };
    options.network = Some(Network { wire: Arc::new(Cancellable::new(wire, Arc::clone(&cancelled))), clock, health });
    let reference = registry.reference("org/app:1").parse().unwrap();
    let client = source::registry_client(&machine.config(), &reference, &options).unwrap();

    let bytes = noise(LARGE);
    let mut upload = client.upload(&Digest::sha256(&bytes), LARGE as u64).unwrap();
    upload.append(bytes[..CHUNK].to_vec()).unwrap();
    cancelled.store(true, Ordering::Relaxed);
    let error = upload.append(bytes[CHUNK..].to_vec()).unwrap_err();
    assert!(matches!(find(&error), Some(transship::http::Error::Cancelled { .. })), "{}", one_line(&error));
    upload.cancel();
    assert_eq!((steps(&registry).as_str(), registry.open_uploads()), ("POST PATCH DELETE", 0));
}

#[test]
fn a_registry_that_stored_something_else_is_not_believed() {
    let other = Digest::sha256(b"other").to_string();
    let registry = Uploads::new().fault("PUT", 1, Fault::Header("Docker-Content-Digest", other)).serve();
    let error = push(&registry, &noise(SMALL)).unwrap_err();
    assert!(matches!(registry_error(&error), Error::Mismatch { .. }), "{}", one_line(&error));
    // One that hashes otherwise says nothing that could be compared.
    let other = Digest::of(Algorithm::Sha512, b"other").to_string();
    let registry = Uploads::new().fault("PUT", 1, Fault::Header("Docker-Content-Digest", other)).serve();
    push(&registry, &noise(SMALL)).unwrap();
}

#[test]
fn a_registry_that_has_less_than_it_was_sent_is_an_error() {
    for range in ["0-0", "0-10"] {
        let registry = Uploads::new().fault("PATCH", 2, Fault::Header("Range", range.to_owned())).serve();
        let error = push(&registry, &noise(LARGE)).unwrap_err();
        assert!(matches!(registry_error(&error), Error::UploadRange { .. }), "{}", one_line(&error));
        assert_eq!(registry.open_uploads(), 0);
    }
    // Words that say nothing, and words of some registries.
    for range in ["", "bytes 0-10", "1-16777215", "bytes=0-16777215", "0-16777216", "0-x"] {
        let registry = Uploads::new().fault("PATCH", 2, Fault::Header("Range", range.to_owned())).serve();
        push(&registry, &noise(LARGE)).unwrap_or_else(|error| panic!("{range}: {}", one_line(&error)));
    }
}

#[test]
fn a_registry_may_want_larger_chunks() {
    let registry = Uploads::new().fault("POST", 1, Fault::Header("OCI-Chunk-Min-Length", "9000000".to_owned())).serve();
    push(&registry, &noise(LARGE)).unwrap();
    let sizes: Vec<_> = registry.requests().iter().map(|request| request.body.len()).filter(|size| *size > 0).collect();
    assert_eq!(sizes, [9_000_000, LARGE - 9_000_000]);
    // Smaller ones it only allows.
    let registry = Uploads::new().fault("POST", 1, Fault::Header("OCI-Chunk-Min-Length", "5".to_owned())).serve();
    push(&registry, &noise(LARGE)).unwrap();
    assert_eq!(registry.requests().iter().map(|request| request.body.len()).max(), Some(CHUNK));
}

#[test]
fn an_upload_that_goes_elsewhere_goes_without_credentials() {
    let store = Uploads::new().serve();
    let registry = Uploads::new().with_uploads_at(&store).requiring_basic("alice", "canary").serve();
    let mut machine = machine(&registry);
    let credentials = Some(transship::config::credentials::Credentials::basic("alice", "canary"));
    machine.options.identity = Some(Identity { credentials, token: None });
    for bytes in [noise(SMALL), noise(LARGE)] {
        open(&machine, &registry).put_blob(&descriptor(&bytes), &mut &*bytes).unwrap();
        assert!(has(&registry, &bytes));
    }
    assert!(!store.requests().is_empty());
    for request in store.requests() {
        assert!(request.header("authorization").is_none(), "{}", request.target);
    }
}

#[test]
fn an_upload_must_say_where_it_goes_and_does_not_leave_tls() {
    let registry = Uploads::new().fault("POST", 1, Fault::Answer(Reply::new(202))).serve();
    let error = push(&registry, &noise(SMALL)).unwrap_err();
    assert!(matches!(registry_error(&error), Error::UploadLocation { .. }), "{}", one_line(&error));

    let plain = Uploads::new().serve();
    let tls = ServerTls::signed_by_ca();
    for location in [plain.url("/v2/org/app/blobs/uploads/1"), "https://u:canary@x.example/".to_owned()] {
        let registry = Uploads::new().fault("POST", 1, Fault::Header("Location", location)).serve_tls(&tls);
        let machine = Machine::new().trusting(&registry.authority(), &tls);
        let to = open(&machine, &registry);
        let error = to.put_blob(&descriptor(b"x"), &mut &b"x"[..]).unwrap_err();
        assert!(matches!(registry_error(&error), Error::UploadLocation { .. }), "{}", one_line(&error));
        assert!(!one_line(&error).contains("canary"));
    }
    assert!(plain.requests().is_empty());
}

#[test]
fn a_registry_that_is_gone_is_given_up_after_its_attempts() {
    let registry = Uploads::new().serve();
    let mut machine = machine(&registry);
    machine.options.retry = Some(RetryPolicy { attempts: 2, ..RetryPolicy::PATIENT });
    let to = open(&machine, &registry);
    to.has_blob(&descriptor(b"x")).unwrap();
    drop(registry);
    let error = to.put_blob(&descriptor(b"x"), &mut &b"x"[..]).unwrap_err();
    assert!(error.is_transient(), "{}", one_line(&error));
    assert_eq!(machine.clock.sleeps().len(), 1);
}
