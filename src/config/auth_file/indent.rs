//! JSON laid out as Go's `MarshalIndent` does with a tab.

/// Lays out valid JSON, whatever spaces it has. `None` when that takes more than `limit` bytes: a text can be nested so
/// deeply that its tabs alone would fill the disk.
pub(super) fn with_tabs(json: &str, limit: usize) -> Option<Vec<u8>> {
    let mut writer = Writer { bytes: Vec::with_capacity(json.len().saturating_mul(2)), depth: 0, is_new: false };
    let mut in_string = false;
    let mut escaped = false;
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            writer.put_in_string(character);
        } else {
            in_string = character == '"';
            writer.put(character);
        }
        if writer.bytes.len() > limit {
            return None;
        }
    }
    Some(writer.bytes)
}

struct Writer {
    bytes: Vec<u8>,
    depth: usize,
    /// Behind the opening bracket, where it is not known yet whether there is anything in it.
    is_new: bool,
}

impl Writer {
    fn put(&mut self, character: char) {
        match character {
            ' ' | '\t' | '\r' | '\n' => {}
            ']' | '}' => {
                self.depth = self.depth.saturating_sub(1);
                if !std::mem::take(&mut self.is_new) {
                    self.break_line();
                }
                self.push(character);
            }
            _ => {
                if std::mem::take(&mut self.is_new) {
                    self.break_line();
                }
                self.push(character);
                self.after(character);
            }
        }
    }

    fn after(&mut self, character: char) {
        match character {
            '[' | '{' => {
                self.depth = self.depth.saturating_add(1);
                self.is_new = true;
            }
            ',' => self.break_line(),
            ':' => self.push(' '),
            _ => {}
        }
    }

    /// Go escapes what could end a script in HTML, and leaves the escapes that are there.
    fn put_in_string(&mut self, character: char) {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                self.bytes.extend(format!("\\u{:04x}", u32::from(character)).into_bytes());
            }
            _ => self.push(character),
        }
    }

    fn break_line(&mut self) {
        self.bytes.push(b'\n');
        self.bytes.extend(std::iter::repeat_n(b'\t', self.depth));
    }

    fn push(&mut self, character: char) {
        self.bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indented(json: &str) -> String {
        String::from_utf8(with_tabs(json, 1000).unwrap()).unwrap()
    }

    #[test]
    fn json_is_laid_out_as_go_does() {
        assert_eq!(indented("{}"), "{}");
        assert_eq!(
            indented(r#"{"a" :{ }, "b":[ ],"c":[1, -2.5e3 ,null]}"#),
            "{\n\t\"a\": {},\n\t\"b\": [],\n\t\"c\": [\n\t\t1,\n\t\t-2.5e3,\n\t\tnull\n\t]\n}"
        );
        assert_eq!(indented(r#"{"[\"{,:\\": " é\t<&>"}"#), "{\n\t\"[\\\"{,:\\\\\": \" é\\t\\u003c\\u0026\\u003e\"\n}");
    }

    #[test]
    fn depth_does_not_fill_the_disk() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(with_tabs(&deep, 1 << 20), None);
    }
}
