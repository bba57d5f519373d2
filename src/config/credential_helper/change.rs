//! Keeping and forgetting credentials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Error, HelperRunner, Output, Ran};
use crate::config::credentials::Credentials;
use crate::secret::Secret;

const LIST_FORM: &str = r#"{"<server>": "<user name>"}"#;

/// How many characters of a password tell it from other words.
const BEGINNING: usize = 16;

/// What a helper is to keep.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Login<'a> {
    #[serde(rename = "ServerURL")]
    server: &'a str,
    username: &'a str,
    secret: &'a str,
}

impl HelperRunner {
    /// Has `docker-credential-<name>` keep user name and password for `server`.
    pub fn store(&self, name: &str, server: &str, credentials: &Credentials) -> Result<(), Error> {
        let password = credentials.password().expose();
        let login = Login { server, username: credentials.username(), secret: password };
        // Three strings are always JSON.
        let input = serde_json::to_vec(&login).unwrap_or_default();
        let mut ran = self.run(name, "store", server, Secret::new(input))?;
        if ran.output.status.success() {
            return Ok(());
        }
        if repeats(&ran.output, password) {
            (ran.output.stdout, ran.output.stderr) = (b"its words hold the password".to_vec(), Vec::new());
        }
        Err(ran.failed(server))
    }

    /// Has `docker-credential-<name>` forget the credentials for `server`; false when it says that it had none.
    pub fn erase(&self, name: &str, server: &str) -> Result<bool, Error> {
        let ran = self.run(name, "erase", server, Secret::new(server.as_bytes().to_vec()))?;
        match ran.output.status.success() {
            true => Ok(true),
            false if ran.has_nothing() => Ok(false),
            false => Err(ran.failed(server)),
        }
    }

    /// The servers that `docker-credential-<name>` has credentials for.
    pub fn list(&self, name: &str) -> Result<Vec<String>, Error> {
        const ALL: &str = "all servers";
        let ran = self.run(name, "list", ALL, Secret::default())?;
        if !ran.output.status.success() {
            return if ran.has_nothing() { Ok(Vec::new()) } else { Err(ran.failed(ALL)) };
        }
        let Ran { program, output } = ran;
        let mut document = serde_json::Deserializer::from_slice(&output.stdout);
        match Option::<BTreeMap<String, String>>::deserialize(&mut document) {
            Ok(users) => Ok(users.unwrap_or_default().into_keys().collect()),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                Err(Error::Answer { program, server: ALL.to_owned(), expected: LIST_FORM, line, column })
            }
        }
    }
}

/// Whether a failing helper repeats the password that it was given, as it is or as JSON has it.
///
/// Its words are kept up to a limit only, so the beginning of a long password is enough.
fn repeats(output: &Output, password: &str) -> bool {
    let quoted = serde_json::Value::from(password).to_string();
    let beginnings = [password, quoted.trim_matches('"')].map(|form| form.chars().take(BEGINNING).collect::<String>());
    [&output.stdout, &output.stderr].into_iter().any(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        beginnings.iter().any(|beginning| !beginning.is_empty() && text.contains(beginning))
    })
}
