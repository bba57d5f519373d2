//! Whatever is wrong with an archive is said, and nothing of it is believed.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::made::{self, OCI, error, open};

const TRANSPORTS: [&str; 2] = ["oci-archive", "docker-archive"];

/// A header of a file, with what `change` makes of it.
fn header(name: &[u8], change: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Regular);
    change(&mut header);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn kind(name: &[u8], kind: tar::EntryType, size: u64) -> Vec<u8> {
    header(name, |header| {
        header.set_entry_type(kind);
        header.set_size(size);
    })
}

/// What opening the bytes says, for each transport.
fn refused(bytes: &[u8]) -> [String; 2] {
    let place = TempDir::new().unwrap();
    let path = made::write(place.path(), "a.tar", bytes);
    TRANSPORTS.map(|transport| {
        let message = error(&open(&format!("{transport}:{path}")).unwrap_err());
        message.strip_prefix(&format!("{path}: ")).unwrap_or(&message).to_owned()
    })
}

#[test]
fn each_way_to_break_an_archive_has_a_message() {
    use tar::EntryType;
    let zeros = vec![0; 2 * 1024 * 1024];
    let too_long = |kind_of: EntryType| [kind(b"long", kind_of, zeros.len() as u64), zeros.clone()].concat();
    let sparse = header(b"sparse", |header| {
        header.set_entry_type(EntryType::GNUSparse);
        header.as_gnu_mut().unwrap().realsize[..3].copy_from_slice(b"777");
    });
    let many = [kind(b"l", EntryType::GNULongName, 1), vec![b'x'; 512]].concat();
    let extended = |record: &[u8]| {
        let mut content = record.to_vec();
        content.resize(512, 0);
        [kind(b"x", EntryType::XHeader, record.len() as u64), content, header(b"file", |_| ())].concat()
    };
    for (bytes, message) in [
        (b"".to_vec(), "there is no "),
        (b"not a tar file".to_vec(), "not a tar archive, or a damaged one"),
        (vec![b'x'; 4096], "not a tar archive, or a damaged one"),
        (b"BZh9".to_vec(), "compressed with bzip2, which is not read here"),
        (b"\xfd7zXZ\0\0".to_vec(), "compressed with xz, which is not read here"),
        (b"\x1f\x8b\x08\0".to_vec(), "not a tar archive, or a damaged one"),
        (b"\x28\xb5\x2f\xfd".to_vec(), "not a tar archive, or a damaged one"),
        (header(b"/etc/passwd", |_| ()), "the archive has a file named \"/etc/passwd\", which leads out of it"),
        (header(b"blobs/../../x", |_| ()), "the archive has a file named \"blobs/../../x\", which leads out of it"),
        (extended(b"16 path=/a/b/c/\n"), "the archive has a file named \"/a/b/c/\", which leads out of it"),
        (
            header(b"large", |header| header.set_size(1 << 40)),
            "the archive is cut off: the file \"large\" does not end",
        ),
        (header(b"huge", |header| header.set_size(u64::MAX)), "not a tar archive, or a damaged one"),
        (header(b"huge", |header| header.set_size(u64::MAX / 2)), "seek position out of bounds"),
        (extended(b"29 size=18446744073709551615\n"), "not a tar archive, or a damaged one"),
        (too_long(EntryType::GNULongName), "a file has more than 1 MiB of headers"),
        (too_long(EntryType::GNULongLink), "a file has more than 1 MiB of headers"),
        (too_long(EntryType::XHeader), "a file has more than 1 MiB of headers"),
        (many, "not a tar archive, or a damaged one"),
        (sparse, "not a tar archive, or a damaged one"),
    ] {
        for refusal in refused(&bytes) {
            assert!(refusal.contains(message), "{refusal:?} instead of {message:?}");
        }
        // Wherever there is a header, the same inside of a compressed archive.
        if bytes.len() >= 512 {
            for compressed in [made::gzip(&bytes), made::zstd(&bytes)] {
                for refusal in refused(&compressed) {
                    assert!(refusal.contains(message), "compressed: {refusal:?} instead of {message:?}");
                }
            }
        }
    }
}

#[test]
fn a_document_that_is_too_large_or_none_is_not_read() {
    let large = vec![b' '; 33 * 1024 * 1024];
    let config = made::config(&[]);
    let list = |config: &str| format!(r#"[{{"Config": "{config}", "RepoTags": [], "Layers": []}}]"#);
    for (bytes, oci, docker) in [
        (
            made::tar(&[("index.json", &large), ("manifest.json", &large)]),
            "\"index.json\" in the archive has 34603008 bytes, no more than 33554432 are read",
            "\"manifest.json\" in the archive has 34603008 bytes, no more than 4194304 are read",
        ),
        (
            made::tar(&[("index.json", b"[]"), ("manifest.json", list("c").as_bytes()), ("c", &large)]),
            "not the index of an OCI layout",
            "\"c\" in the archive has 34603008 bytes, no more than 4194304 are read",
        ),
        (
            made::tar(&[
                ("index.json", b"{\"manifests\": 1}"),
                ("manifest.json", list("../c").as_bytes()),
                ("c", &config),
            ]),
            "not the index of an OCI layout",
            "there is no \"../c\" in the archive",
        ),
        (
            made::tar(&[("index.json", b"{}"), ("manifest.json", list("/c").as_bytes()), ("c", &config)]),
            "not the index of an OCI layout",
            "there is no \"/c\" in the archive",
        ),
        (
            [kind(b"index.json", tar::EntryType::Directory, 0), kind(b"manifest.json", tar::EntryType::Fifo, 0)]
                .concat(),
            "\"index.json\" in the archive is not a regular file",
            "\"manifest.json\" in the archive is not a regular file",
        ),
    ] {
        let [by_oci, by_docker] = refused(&bytes);
        assert!(by_oci.contains(oci), "{by_oci:?} instead of {oci:?}");
        assert!(by_docker.contains(docker), "{by_docker:?} instead of {docker:?}");
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let place = TempDir::new().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("directory")).unwrap();
    // Nobody writes into it: opening it would take for ever.
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    for transport in TRANSPORTS {
        for name in ["directory", "pipe"] {
            let message = error(&open(&format!("{transport}:{}", at(name))).unwrap_err());
            assert_eq!(message, format!("{}: not a regular file", at(name)));
        }
        let missing = open(&format!("{transport}:{}", at("missing"))).unwrap_err();
        assert!(missing.is_not_found(), "{missing}");
    }
}

/// An image in both kinds of archive.
fn archives(place: &TempDir) -> [(&'static str, Vec<u8>); 2] {
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let layers = [made::layer(1, 2000)];
    let manifest =
        made::blobs(at("from").as_ref(), &OCI, &made::config(&layers), &[(layers[0].clone(), made::Form::Plain)]);
    fs::write(at("from/manifest.json"), manifest).unwrap();
    TRANSPORTS.map(|transport| {
        made::copy(&format!("dir:{}", at("from")), &format!("{transport}:{}", at(transport))).unwrap();
        (transport, fs::read(at(transport)).unwrap())
    })
}

/// True when all could be read, with the digests it should have.
fn is_read(place: &TempDir, transport: &str, bytes: &[u8]) -> bool {
    let path = made::write(place.path(), "changed.tar", bytes);
    open(&format!("{transport}:{path}")).is_ok_and(|source| made::read_all(&*source).is_ok())
}

#[test]
fn an_archive_that_is_cut_is_never_taken_for_the_whole() {
    let place = TempDir::new().unwrap();
    for (transport, whole) in archives(&place) {
        // The zeros at the end may be missing, for Go too.
        let end = whole.len() - whole.iter().rev().take_while(|byte| **byte == 0).count();
        for length in (0..end).step_by(211) {
            assert!(!is_read(&place, transport, &whole[..length]), "{transport}: {length} of {end} bytes");
        }
        assert!(is_read(&place, transport, &whole));
        for compressed in [made::gzip(&whole), made::zstd(&whole)] {
            for length in (6..compressed.len() - 1).step_by(53) {
                assert!(!is_read(&place, transport, &compressed[..length]), "{transport}: {length} compressed bytes");
            }
            assert!(is_read(&place, transport, &compressed));
        }
    }
}

#[test]
fn a_blob_that_was_changed_is_found_out() {
    let place = TempDir::new().unwrap();
    let layer = made::layer(1, 2000);
    for (transport, whole) in archives(&place) {
        let at = whole.windows(layer.len()).position(|window| window == layer).unwrap();
        for offset in [600, layer.len() / 2, 2500] {
            let mut changed = whole.clone();
            changed[at + offset] ^= 1;
            assert!(!is_read(&place, transport, &changed), "{transport}: byte {offset} of the layer");
        }
    }
}

#[test]
fn whatever_the_bytes_are_there_is_no_panic() {
    let place = TempDir::new().unwrap();
    let mut rng = fastrand::Rng::with_seed(7);
    for (transport, whole) in archives(&place) {
        for bytes in [made::gzip(&whole), made::zstd(&whole), whole] {
            for _ in 0..100 {
                let mut changed = bytes.clone();
                for _ in 0..rng.usize(1..4) {
                    let at = rng.usize(..changed.len());
                    changed[at] = rng.u8(..);
                }
                is_read(&place, transport, &changed);
            }
        }
    }
}
