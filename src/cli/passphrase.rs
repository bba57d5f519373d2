//! Passphrases of keys: from a file, or from whoever sits at the terminal.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use super::Failure;
use crate::Secret;

/// No passphrase is longer, in bytes.
const MAX_PASSPHRASE_SIZE: u64 = 64 * 1024;

/// The passphrase for a key that has one already.
pub(super) fn existing(file: Option<&Path>, key: &Path) -> Result<Secret<String>, Failure> {
    match file {
        Some(file) => read(file),
        None => ask(&format!("Passphrase for {}: ", key.display())),
    }
}

/// The passphrase for a new key, typed twice.
pub(super) fn new(file: Option<&Path>) -> Result<Secret<String>, Failure> {
    let Some(file) = file else {
        let passphrase = ask("Passphrase for the new key: ")?;
        let again = ask("The same again: ")?;
        return if passphrase == again { Ok(passphrase) } else { Err("the two passphrases differ".into()) };
    };
    read(file)
}

/// The whole file, less the line end behind it.
fn read(path: &Path) -> Result<Secret<String>, Failure> {
    let in_file = |problem: String| Failure::from(format!("passphrase file {}: {problem}", path.display()));
    let mut text = String::new();
    let mut file = File::open(path).map_err(|error| in_file(error.to_string()))?.take(MAX_PASSPHRASE_SIZE + 1);
    file.read_to_string(&mut text).map_err(|error| in_file(error.to_string()))?;
    if text.len() as u64 > MAX_PASSPHRASE_SIZE {
        return Err(in_file(format!("more than {MAX_PASSPHRASE_SIZE} bytes")));
    }
    let line_end = if text.ends_with("\r\n") { 2 } else { usize::from(text.ends_with('\n')) };
    text.truncate(text.len() - line_end);
    Ok(Secret::new(text))
}

fn ask(prompt: &str) -> Result<Secret<String>, Failure> {
    if !io::stdin().is_terminal() {
        return Err("a passphrase is needed, and there is no terminal to ask for it: name a file with it \
                    (--passphrase-file, or --sign-passphrase-file of copy)"
            .into());
    }
    Ok(Secret::new(rpassword::prompt_password(prompt)?))
}
