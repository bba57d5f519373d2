//! Every exchange that containerd was recorded with, run by us against a server that answers the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::exchange::{ours, theirs, without_basic_status};
use crate::scripts;
use crate::support::tables::{containerd_table, text};

const HEADING: &str = "## The exchanges of containerd";

/// The exchanges that docs/differences.md names, each with the reason that stands behind it.
fn differences() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences.md");
    let document = fs::read_to_string(path).unwrap();
    let (_, section) = document.split_once(HEADING).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut differences = BTreeMap::new();
    for item in section.split("\n- ").skip(1) {
        let item = item.split_whitespace().collect::<Vec<_>>().join(" ");
        let (names, reason) = item.split_once("`: ").unwrap();
        for name in names.trim_start_matches('`').split("`, `") {
            assert!(differences.insert(name.to_owned(), reason.to_owned()).is_none(), "{name} is named twice");
        }
    }
    differences
}

#[test]
fn each_exchange_goes_as_with_containerd_or_its_difference_is_written_down() {
    let cases = containerd_table("http_traces");
    let differences = differences();
    let mut wrong = Vec::new();
    for case in &cases {
        let name = text(&case["name"]);
        if scripts::script(&name).is_none() {
            wrong.push(format!("{name}: no script says what the server answers"));
            continue;
        }
        let theirs = theirs(case);
        let ours = without_basic_status(ours(case), &theirs);
        match (ours == theirs, differences.contains_key(&name)) {
            (true, false) | (false, true) => {}
            (true, true) => wrong.push(format!("{name}: is as with containerd; docs/differences.md must not name it")),
            (false, false) => wrong.push(format!("{name}:\n  theirs {theirs:#?}\n  ours {ours:#?}")),
        }
    }
    let is_case = |name: &String| cases.iter().any(|case| text(&case["name"]) == *name);
    let gone = differences.keys().filter(|name| !cases.is_empty() && !is_case(name));
    wrong.extend(gone.map(|name| format!("{name}: docs/differences.md names it, and there is no such exchange")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_script_is_of_an_exchange() {
    let cases: Vec<Value> = containerd_table("http_traces");
    let unused = scripts::names().filter(|name| !cases.is_empty() && !cases.iter().any(|case| case["name"] == *name));
    assert_eq!(unused.collect::<Vec<_>>(), [""; 0]);
}
