//! What goes to standard output: data, for a person or the next program.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize as _;
use serde_json::Value;

use super::Failure;

pub(super) fn print(text: &str) -> Result<ExitCode, Failure> {
    print_bytes(text.as_bytes())
}

/// Prints what was done. Who closed the pipe has seen enough; what is left to do is done all the same.
pub(super) fn print_done(text: &str) -> Result<(), Failure> {
    match print(text) {
        Err(failure) if !super::is_broken_pipe(&*failure) => Err(failure),
        _ => Ok(()),
    }
}

pub(super) fn print_bytes(bytes: &[u8]) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // The main loop knows this one by its type.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(error.into()),
        Err(error) => Err(format!("standard output: {error}").into()),
    }
}

/// Prints JSON with the bytes that skopeo prints: four spaces, and Go's escapes of markup.
pub(super) fn print_json(value: &Value) -> Result<ExitCode, Failure> {
    print(&go_json(value)?)
}

/// The text of [`print_json`].
pub(super) fn go_json(value: &Value) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    bytes.push(b'\n');
    let mut text = String::from_utf8(bytes)?;
    // None of these can stand in JSON but in a string.
    for special in ['<', '>', '&', '\u{2028}', '\u{2029}'] {
        text = text.replace(special, &format!("\\u{:04x}", u32::from(special)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_escaped_as_go_does() {
        let value = serde_json::json!({"a": "<b> & \u{2028} \"é\"", "list": [], "map": {}, "n": [1]});
        let expected = "{\n    \"a\": \"\\u003cb\\u003e \\u0026 \\u2028 \\\"é\\\"\",\n    \"list\": [],\n    \"map\": {},\n    \
                        \"n\": [\n        1\n    ]\n}\n";
        assert_eq!(go_json(&value).unwrap(), expected);
    }
}
