//! Which tags a constraint of versions allows.

use transship::sync::VersionConstraint;

/// Tags of which some are versions, and some nearly.
const TAGS: [&str; 22] = [
    "0.0.0",
    "0.0.1",
    "0.1.0",
    "0.1.5",
    "0.2.0",
    "1",
    "1.0.1",
    "1.2",
    "1.2.3-alpha.1",
    "1.2.3",
    "v1.2.5",
    "01.3.0",
    "2.0.0-beta",
    "2.0.0",
    "2.1.0",
    "11.1.0",
    "12",
    "latest",
    "1.2.3.4",
    "1.x",
    "1.2.3-01",
    "V3",
];

fn allowed(constraint: &str) -> Vec<&'static str> {
    let constraint: VersionConstraint = constraint.parse().unwrap();
    TAGS.into_iter().filter(|tag| constraint.allows(tag)).collect()
}

#[test]
fn the_signs_mean_what_they_mean_to_skopeo() {
    let releases = |from: &str, to: &str| {
        let releases = TAGS.into_iter().take(17).filter(|tag| !tag.contains('-'));
        releases.skip_while(|tag| *tag != from).take_while(|tag| *tag != to).collect::<Vec<_>>()
    };
    for (constraint, expected) in [
        ("*", releases("0.0.0", "")),
        (">= 1.2, < 2", releases("1.2", "2.0.0")),
        (">=1.2 <2", releases("1.2", "2.0.0")),
        ("=>1.2,=<1.2", releases("1.2", "01.3.0")),
        ("~1.2", releases("1.2", "01.3.0")),
        ("~>1.2.3", releases("1.2.3", "01.3.0")),
        ("~1", releases("1", "2.0.0")),
        ("^1.2", releases("1.2", "2.0.0")),
        ("^0", releases("0.0.0", "1")),
        ("^0.1", releases("0.1.0", "0.2.0")),
        ("^0.0.1", vec!["0.0.1"]),
        ("1", releases("1", "2.0.0")),
        ("1.2.x", releases("1.2", "01.3.0")),
        ("=1.2.3", vec!["1.2.3"]),
        ("v1.2.3", vec!["1.2.3"]),
        (">11", vec!["12"]),
        (">11.0", vec!["11.1.0", "12"]),
        ("<=1.2", releases("0.0.0", "01.3.0")),
        ("1.0 - 1.2.3", releases("1", "v1.2.5")),
        ("^0.1 || 12", vec!["0.1.0", "0.1.5", "12"]),
        ("!=1.2, ^1", vec!["1", "1.0.1", "01.3.0"]),
        ("~1.2.3-0", vec!["1.2.3-alpha.1", "1.2.3", "v1.2.5"]),
        (">=2.0.0-alpha", vec!["2.0.0-beta", "2.0.0", "2.1.0", "11.1.0", "12"]),
    ] {
        assert_eq!(allowed(constraint), expected, "{constraint}");
    }
}

#[test]
fn a_constraint_that_is_none_is_refused() {
    for text in [
        "",
        " ",
        "latest",
        ">=",
        "1.2.3.4",
        ",1",
        "1,",
        "1,,2",
        "||",
        "1 ||",
        "1.2.3-",
        "1.2.3+",
        "1.2beta",
        "1.2.3-01",
        "~1.2.3 - 2",
        "1 -2",
        "1- 2",
        "1 2 ,",
        "99999999999999999999",
        ">= 1; < 2",
    ] {
        assert!(text.parse::<VersionConstraint>().is_err(), "{text:?}");
    }
}
