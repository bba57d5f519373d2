//! What the examples share: registries on loopback, and a configuration in a directory of its own.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each example uses its own part of it")]

#[path = "../../tests/support/mod.rs"]
mod loopback;

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use transship::config::{Config, Paths};

pub use loopback::image::Image;
pub use loopback::registry::Registry;

/// What the administrator of an example wrote, as text. Nothing of this machine is read beside it.
#[derive(Default)]
pub struct Files<'a> {
    pub registries_conf: &'a str,
    pub policy_json: &'a str,
    pub auth_json: &'a str,
}

impl Files<'_> {
    /// Writes the files into a directory, and reads them as a program would read those of its machine.
    pub fn load(&self, root: &Path) -> Result<Config, Box<dyn Error>> {
        let mut paths = Paths::isolated(root);
        paths.registries_conf = write(root, "registries.conf", self.registries_conf)?;
        paths.policy_json = write(root, "policy.json", self.policy_json)?;
        paths.auth_file = write(root, "auth.json", self.auth_json)?;
        Ok(Config::load_from(paths)?)
    }
}

fn write(root: &Path, name: &str, text: &str) -> Result<Option<PathBuf>, Box<dyn Error>> {
    if text.is_empty() {
        return Ok(None);
    }
    let path = root.join(name);
    fs::write(&path, text)?;
    Ok(Some(path))
}

/// An address where nobody listens.
pub fn unused_address() -> Result<String, Box<dyn Error>> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// An example fails when what it shows is not so.
pub fn expect(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(format!("expected: {what}").into()) }
}

pub fn indented(text: &str) -> String {
    text.lines().map(|line| ["   ", line, "\n"].concat()).collect()
}
