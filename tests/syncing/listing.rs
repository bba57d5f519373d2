//! The file that lists images.

use std::path::Path;

use transship::error::one_line;
use transship::sync::ImageList;

fn error(text: &[u8]) -> String {
    one_line(&ImageList::parse(text, Path::new("list.yaml")).expect_err(&String::from_utf8_lossy(text)))
}

#[test]
fn what_the_manual_of_skopeo_shows_is_read() {
    let text = "registry.example.com:\n    images:\n        busybox: []\n        redis:\n            - \"1.0\"\n            - \
                2.0\n            - \"sha256:0000000000000000000000000000000011111111111111111111111111111111\"\n        \
                empty:\n    images-by-tag-regex:\n        nginx: ^1\\.13\\.[12]-alpine-perl$\n    images-by-semver:\n        \
                alpine: \">= 3.12.0\"\n    credentials:\n        username: john\n        password: this is a secret\n    \
                tls-verify: true\n    cert-dir: /home/john/certs\nquay.io:\n    tls-verify: false\n    images:\n        \
                coreos/etcd:\n            - latest\n";
    let list = ImageList::parse(text.as_bytes(), Path::new("list.yaml")).unwrap();
    let shown = format!("{list:?}");
    assert!(!shown.contains("this is a secret"), "{shown}");
    for text in ["", "quay.io:\n", "quay.io: {}\n", "quay.io: {images: {}}", "quay.io/org: {images: {app: [1]}}"] {
        ImageList::parse(text.as_bytes(), Path::new("list.yaml")).unwrap();
    }
}

#[test]
fn an_error_names_the_file_the_line_and_what_was_expected() {
    for (text, place, words) in [
        ("quay.io:\n  imges: {}\n", "2:3", &["`imges`", "images-by-semver"][..]),
        ("quay.io:\n  images: {}\nquay.io: {}\n", "3:1", &["duplicate", "quay.io"]),
        ("quay.io:\n  images:\n    a: [1]\n    a: [2]\n", "4:5", &["duplicate"]),
        ("quay.io:\n  images: [a]\n", "2:11", &["expected mapping"]),
        ("quay.io:\n  images:\n    a: {b: c}\n", "3:8", &["expected sequence"]),
        ("quay.io:\n  tls-verify: perhaps\n", "2:15", &["boolean"]),
        ("quay.io:\n  credentials: {user: a}\n", "2:17", &["`user`", "username"]),
        ("- quay.io\n", "1:1", &["expected mapping"]),
        ("quay.io:\n  images:\n    a: [\"b:c\"]\n", "3:9", &["\"b:c\" is neither a digest nor a tag"]),
        ("quay.io:\n  images:\n    a: [null]\n", "3:9", &["null"]),
        ("quay.io:\n  images:\n    Upper: []\n", "3:5", &["\"Upper\" is not a repository"]),
        ("quay.io:\n  images:\n    a:1: []\n", "3:5", &["\"a:1\" is not a repository"]),
        ("quay:\n  images: {}\n", "1:1", &["\"quay\" is not a registry", "quay.io"]),
        ("https://quay.io:\n  images: {}\n", "1:1", &["is not a registry"]),
        ("quay.io:1:\n  images: {}\nquay.io/org:2: {}\n", "3:1", &["\"quay.io/org:2\" is not a registry"]),
        ("quay.io:\n  images-by-tag-regex:\n    a: (\n", "3:8", &["the pattern \"(\"", "unclosed group"]),
        ("quay.io:\n  images-by-semver:\n    a: \">= one\"\n", "3:8", &["\">= one\"", "expected such as"]),
        ("quay.io:\n  images: {a: [b]\n", "", &["list.yaml"]),
    ] {
        let error = error(text.as_bytes());
        assert!(error.contains(&format!("list.yaml:{place}")), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    assert!(error(b"quay.io:\n  images: {a: [\"\xff\"]}\n").contains("list.yaml:2:"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = one_line(&ImageList::load(Path::new("/no/such/list.yaml")).unwrap_err());
    assert!(error.contains("cannot read /no/such/list.yaml"), "{error}");
}

#[test]
fn the_list_of_the_page_is_read_and_its_keys_are_all_there_are() {
    let page = include_str!("../../docs/transship.md");
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (list, _) = rest.split_once("```").unwrap();
    ImageList::parse(list.as_bytes(), Path::new("transship.md")).unwrap();
    let expected = error(b"quay.io: {imges: {}}");
    let (_, keys) = expected.split_once("expected one of ").unwrap();
    for key in keys.split(", ") {
        assert!(list.contains(&format!("{key}:")) || key == "cert-dir" && list.contains("cert-dir"), "{key}");
    }
}
