//! Walking an error's chain of causes.
//!
//! Each layer keeps the error of the layer below as its `source()`. Questions about an error are answered by finding
//! the typed cause in that chain, never by reading its text.

use std::error::Error;
use std::io;

/// The error itself, then each of its causes, outermost first.
///
/// An [`io::Error`] that carries an error of ours is followed into that error: `io::Error::source` would skip it.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}

/// The first error of type `T` in the chain.
///
/// ```
/// use std::io;
/// use transship::error::find;
///
/// let outer = io::Error::other("not found".parse::<u16>().unwrap_err());
/// assert!(find::<std::num::ParseIntError>(&outer).is_some());
/// ```
pub fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref::<T>())
}

/// The whole chain in one line, `outer: cause: cause`, as Go programs print it.
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    for error in chain(error) {
        let text = error.to_string();
        // A wrapper such as io::Error prints what it carries; saying it once is enough.
        if line.ends_with(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line
}

/// The reason of an error that draws where it is: its last line.
pub(crate) fn last_line(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Outside words for one line of a message: they neither command a terminal nor begin a line of their own, nor turn the
/// direction of what follows.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_bidi_control(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// True for the characters that change the direction in which text is shown.
pub(crate) fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("carried")]
    struct Carried(#[source] std::num::ParseIntError);

    fn outer() -> Outer {
        Outer(io::Error::other(Carried("x".parse::<u16>().unwrap_err())))
    }

    #[test]
    fn a_chain_goes_through_what_an_io_error_carries() {
        assert!(find::<Outer>(&outer()).is_some());
        assert!(find::<Carried>(&outer()).is_some());
        assert!(find::<std::num::ParseIntError>(&outer()).is_some());
        assert!(find::<fmt::Error>(&outer()).is_none());
        assert_eq!(chain(&outer()).count(), 4);
    }

    #[test]
    fn outside_words_stay_on_their_line() {
        assert_eq!(printable("a\nverdict: allowed\t\u{1b}[2J\u{202e}é"), "a\\nverdict: allowed\\t\\u{1b}[2J\\u{202e}é");
    }

    #[test]
    fn one_line_says_each_thing_once() {
        assert_eq!(one_line(&outer()), "outer: carried: invalid digit found in string");
        assert_eq!(one_line(&fmt::Error), fmt::Error.to_string());
    }
}
