//! No bytes make the reader of payloads panic; what it reads can be written and read again, and is what any other
//! reader of JSON reads. One that reads what nobody asks for may refuse a text for that: for half a character, say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use transship::signature::{Payload, PayloadKind};

fuzz_target!(|bytes: &[u8]| {
    let read = [PayloadKind::SimpleSigning, PayloadKind::Sigstore].map(|kind| (kind, Payload::parse(bytes, kind)));
    assert!(read.iter().filter(|(_, payload)| payload.is_ok()).count() < 2, "of two kinds at once");
    for (kind, payload) in read {
        let Ok(payload) = payload else { continue };
        assert_eq!(Payload::parse(&payload.to_json(), kind).expect("what was written can be read"), payload);
        let Ok(document) = serde_json::from_slice::<Value>(bytes) else { continue };
        let text = |pointer| document.pointer(pointer).and_then(Value::as_str);
        assert_eq!(text("/critical/type"), Some(kind.type_name()));
        assert_eq!(text("/critical/image/docker-manifest-digest"), Some(payload.manifest_digest.as_str()));
        assert_eq!(text("/critical/identity/docker-reference"), Some(payload.docker_reference.as_str()));
        assert_eq!(text("/optional/creator"), payload.creator.as_deref());
    }
});
