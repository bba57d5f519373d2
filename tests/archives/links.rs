//! Links in an archive: old ones of `docker save` have layers behind them.

use tempfile::TempDir;
use transship::source::{ArchiveError, Error};

use crate::made::{self, error, open};

fn file(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content).unwrap();
}

fn link(archive: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    archive.append(&header, &[][..]).unwrap();
}

/// An archive of `docker save` whose one layer is `d/l`, which `add` makes.
fn archive_of(place: &TempDir, add: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> String {
    let layer = made::layer(1, 10);
    let config = made::config(&[layer]);
    let list = serde_json::json!([{"Config": "c", "RepoTags": [], "Layers": ["d/l"]}]).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive);
    file(&mut archive, "c", &config);
    file(&mut archive, "manifest.json", list.as_bytes());
    format!("docker-archive:{}", made::write(place.path(), "a.tar", &archive.into_inner().unwrap()))
}

#[test]
fn a_layer_behind_links_is_found() {
    use tar::EntryType::{Link, Symlink};
    let layer = made::layer(1, 10);
    for links in [
        &[(Symlink, "d/l", "../layer.tar")][..],
        &[(Symlink, "d/l", "./.././layer.tar")],
        &[(Link, "d/l", "layer.tar")],
        &[(Link, "d/l", "./layer.tar")],
        &[(Symlink, "d/l", "../e/m"), (Link, "e/m", "n"), (Symlink, "n", "layer.tar")],
    ] {
        let place = TempDir::new().unwrap();
        let image = archive_of(&place, |archive| {
            for (kind, name, target) in links {
                link(archive, *kind, name, target);
            }
            file(archive, "layer.tar", &layer);
        });
        made::read_all(&*open(&image).unwrap()).unwrap();
    }
}

#[test]
fn a_link_that_leads_to_no_file_is_an_error() {
    use tar::EntryType::{Directory, Link, Symlink};
    for links in [
        &[(Symlink, "d/l", "l")][..],
        &[(Symlink, "d/l", "m"), (Symlink, "d/m", "l")],
        &[(Link, "d/l", "d/l")],
        &[(Symlink, "d/l", "nowhere")],
        &[(Symlink, "d/l", "/etc/passwd")],
        &[(Symlink, "d/l", "../../etc/passwd")],
        &[(Link, "d/l", "../etc/passwd")],
        &[(Link, "d/l", "/etc/passwd")],
    ] {
        let place = TempDir::new().unwrap();
        let refused = open(&archive_of(&place, |archive| {
            for (kind, name, target) in links {
                link(archive, *kind, name, target);
            }
        }))
        .unwrap_err();
        assert!(matches!(&refused, Error::Archive { source: ArchiveError::Link { .. }, .. }), "{links:?}: {refused}");
        assert!(error(&refused).ends_with("\"d/l\" in the archive is a link that leads to no file"));
    }
    let place = TempDir::new().unwrap();
    let refused = open(&archive_of(&place, |archive| link(archive, Directory, "d/l", ""))).unwrap_err();
    assert!(error(&refused).ends_with("\"d/l\" in the archive is not a regular file"), "{}", error(&refused));
}
