//! Who logs in, from the terminal or from standard input.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use super::Failure;
use crate::Secret;

/// No password is longer, in bytes.
const MAX_PASSWORD_SIZE: u64 = 64 * 1024;
/// No user name is longer, in bytes.
const MAX_USERNAME_SIZE: u64 = 4 * 1024;

/// Asks for the user name; an empty answer is the one that is known.
pub(super) fn username(known: Option<&str>) -> Result<String, Failure> {
    expect_terminal()?;
    let known = known.filter(|known| !known.is_empty());
    let prompt =
        known.map_or_else(|| "Username: ".to_owned(), |known| format!("Username ({}): ", super::harmless(known)));
    let mut stderr = io::stderr();
    stderr.write_all(prompt.as_bytes())?;
    stderr.flush()?;
    let mut line = String::new();
    io::stdin().lock().take(MAX_USERNAME_SIZE).read_line(&mut line)?;
    let typed = line.trim_end_matches(['\r', '\n']);
    Ok(if typed.is_empty() { known.unwrap_or_default().to_owned() } else { typed.to_owned() })
}

/// Asks for the password without showing it.
pub(super) fn typed() -> Result<Secret<String>, Failure> {
    expect_terminal()?;
    Ok(Secret::new(rpassword::prompt_password("Password: ")?))
}

/// All of standard input, without line ends: podman and skopeo take keys of several lines for one.
pub(super) fn of_stdin() -> Result<Secret<String>, Failure> {
    let mut text = String::new();
    io::stdin().lock().take(MAX_PASSWORD_SIZE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_PASSWORD_SIZE {
        return Err(format!("the password on standard input is longer than {MAX_PASSWORD_SIZE} bytes").into());
    }
    Ok(Secret::new(text.lines().collect()))
}

fn expect_terminal() -> Result<(), Failure> {
    if io::stdin().is_terminal() {
        return Ok(());
    }
    Err("there is no terminal to ask for user name and password: give --username and --password-stdin".into())
}
