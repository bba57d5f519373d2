//! JSON as Go's `encoding/json` writes it, so that a document made here has the digest it has elsewhere.
//!
//! Compact; `<`, `>`, `&` and the two line separators of JavaScript as `\u` escapes; maps sorted by key (hence
//! `BTreeMap`); fields in the order of the structure, empty ones left out where Go's say `omitempty`.

use std::io;

use jiff::civil;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::ser::{CharEscape, Formatter};

/// Writes `value` as Go would.
pub(crate) fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, GoFormatter))?;
    Ok(bytes)
}

/// Valid JSON as Go writes one that it did not read: compact and escaped, the rest as it is.
pub(crate) fn compact(json: &str) -> String {
    let mut compacted = String::with_capacity(json.len());
    let (mut is_in_string, mut is_escaped) = (false, false);
    for character in json.chars() {
        match character {
            ' ' | '\t' | '\n' | '\r' if !is_in_string => continue,
            // Only in a string, and there as an escape.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                compacted.push_str("\\u");
                compacted.extend([12, 8, 4, 0].map(|shift| hex_digit(u32::from(character) >> shift)));
            }
            _ => compacted.push(character),
        }
        is_in_string ^= character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
    }
    compacted
}

fn hex_digit(number: u32) -> char {
    char::from_digit(number & 0xf, 16).unwrap_or_default()
}

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut chars = from.chars();
            if let Some(special) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(special))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: io::Write + ?Sized>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::Quote => writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => writer.write_all(b"\\\\"),
            CharEscape::Solidus => writer.write_all(b"/"),
            CharEscape::LineFeed => writer.write_all(b"\\n"),
            CharEscape::CarriageReturn => writer.write_all(b"\\r"),
            CharEscape::Tab => writer.write_all(b"\\t"),
            // Go before 1.22 has no short form of these two, and images are older than that.
            CharEscape::Backspace => writer.write_all(b"\\u0008"),
            CharEscape::FormFeed => writer.write_all(b"\\u000c"),
            CharEscape::AsciiControl(control) => write!(writer, "\\u{control:04x}"),
        }
    }
}

/// For `deserialize_with`: `null` is the empty value, as in Go.
pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// For `skip_serializing_if`: what Go's `omitempty` leaves out.
pub(crate) fn is_empty<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A point in time, written as Go's `time.Time` is: RFC 3339 in the offset it had, no zeros at the end of the fraction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoTime(String);

impl GoTime {
    fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once('T')?;
        let zone_at = rest.find(['Z', '+', '-'])?;
        let (clock, zone) = rest.split_at(zone_at);
        let (seconds, fraction) = clock.split_once('.').map_or((clock, None), |(s, f)| (s, Some(f)));
        if !is_date(date) || !is_time(seconds) || !is_zone(zone) {
            return None;
        }
        let fraction = match fraction {
            Some(digits) if digits.is_empty() || !is_digits(digits) => return None,
            // Nanoseconds are all that Go keeps.
            Some(digits) => digits.get(..9).unwrap_or(digits).trim_end_matches('0'),
            None => "",
        };
        let dot = if fraction.is_empty() { "" } else { "." };
        let zone = if matches!(zone, "+00:00" | "-00:00") { "Z" } else { zone };
        Some(Self(format!("{date}T{seconds}{dot}{fraction}{zone}")))
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Numbers of exactly these widths, with `separator` between them.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i16; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && is_digits(part))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn is_date(text: &str) -> bool {
    let day = |[year, month, day]: [i16; 3]| civil::Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok();
    numbers(text, '-', [4, 2, 2]).and_then(day).is_some()
}

fn is_time(text: &str) -> bool {
    numbers(text, ':', [2, 2, 2]).is_some_and(|[hour, minute, second]| hour < 24 && minute < 60 && second < 60)
}

fn is_zone(text: &str) -> bool {
    let offset = text.strip_prefix(['+', '-']);
    text == "Z" || offset.and_then(|offset| numbers(offset, ':', [2, 2])).is_some_and(|[h, m]| h < 24 && m < 60)
}

impl<'de> Deserialize<'de> for GoTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &"a time such as 2006-01-02T15:04:05Z")
        })
    }
}

impl Serialize for GoTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_controls_are_escaped_and_the_rest_is_not() {
        let text = "<a> & \u{2028}\u{2029} é \u{7f} \u{1}\u{8}\u{c} \" \\ / \n\r\t";
        let json = String::from_utf8(to_vec(&text).unwrap()).unwrap();
        let expected =
            "\"\\u003ca\\u003e \\u0026 \\u2028\\u2029 é \u{7f} \\u0001\\u0008\\u000c \\\" \\\\ / \\n\\r\\t\"";
        assert_eq!(json, expected);
    }

    #[test]
    fn what_was_not_read_is_made_compact_and_keeps_its_words() {
        for (json, expected) in [
            ("{ \"b\" : [ 1.50 , null ],\n\t\"a\": {} }", "{\"b\":[1.50,null],\"a\":{}}"),
            (r#""a \" b \\" "#, r#""a \" b \\""#),
            (r#"[ "\u0041 <&>" , " " ]"#, r#"["\u0041 \u003c\u0026\u003e"," "]"#),
        ] {
            assert_eq!(compact(json), expected);
        }
    }

    #[test]
    fn a_time_keeps_its_offset_and_loses_idle_zeros() {
        for (text, expected) in [
            ("2016-09-23T23:20:45.789764500+02:00", "2016-09-23T23:20:45.7897645+02:00"),
            ("2016-09-23T23:20:45.000Z", "2016-09-23T23:20:45Z"),
            ("2016-09-23T23:20:45+00:00", "2016-09-23T23:20:45Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("2024-02-29T00:00:00.1234567899Z", "2024-02-29T00:00:00.123456789Z"),
        ] {
            assert_eq!(GoTime::parse(text), Some(GoTime(expected.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "2016-09-23",
            "2016-09-23T23:20:45",
            "2016-9-23T23:20:45Z",
            "2023-02-29T00:00:00Z",
            "2016-09-23T24:00:00Z",
            "2016-09-23T23:20:45.Z",
            "2016-09-23T23:20:45.1x2Z",
            "2016-09-23T23:20:45+2:00",
            "2016-09-23t23:20:45z",
        ] {
            assert_eq!(GoTime::parse(text), None, "{text}");
        }
    }
}
