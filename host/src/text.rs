//! Foreign text → text that a terminal shows as it is: names and messages come from files and devices.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// `text` on one line: control characters, line breaks and marks of direction become `\u001b` and the like.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, "")
}

/// A path on one line.
#[must_use]
pub fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy()).into_owned()
}

/// An error and its causes, each only if it says something new.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{}: {text}", message.trim_end_matches('.'));
        }
        cause = error.source();
    }
    message
}

/// `text` with its line breaks. Each line but the first is indented, so that none passes for a line of the program.
#[must_use]
pub fn paragraph(text: &str) -> String {
    escape(text, "\n\t").replace('\n', "\n  ")
}

fn escape<'t>(text: &'t str, kept: &str) -> Cow<'t, str> {
    let harmful = |c: char| (c.is_control() && !kept.contains(c)) || turns(c);
    if !text.contains(harmful) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if harmful(c) {
            // All of them have 16 bits. Writing to a string does not fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

/// Tells whether a character breaks a line or turns the direction of those behind it.
const fn turns(c: char) -> bool {
    matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// A stream of text on which nothing but line breaks and tabs controls a terminal.
#[derive(Debug)]
pub struct Plain<W> {
    stream: W,
    /// The beginning of a character whose rest is yet to come.
    begun: Vec<u8>,
}

impl<W: io::Write> Plain<W> {
    /// Writes to `stream`.
    pub const fn new(stream: W) -> Self {
        Self {
            stream,
            begun: Vec::new(),
        }
    }
}

impl<W: io::Write> io::Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        let mut shown = String::new();
        let mut rest = 0;
        for chunk in self.begun.utf8_chunks() {
            shown.push_str(chunk.valid());
            let invalid = chunk.invalid();
            let last = chunk.valid().len() + invalid.len() + rest == self.begun.len();
            rest += chunk.valid().len();
            // Three bytes at most wait for their character's last.
            if last && std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none()) {
                break;
            }
            rest += invalid.len();
            if !invalid.is_empty() {
                shown.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.begun.drain(..rest);
        self.stream.write_all(escape(&shown, "\n\t").as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The most bytes of a message: names in a damaged file may be as long as it is.
const MESSAGE: usize = 2048;

/// A message of bounded length: what is wrong at its start, and what to do at its end, stay.
#[must_use]
pub fn brief(text: &str) -> String {
    if text.len() <= MESSAGE {
        return text.to_owned();
    }
    let half = MESSAGE / 2 - 8;
    let boundary = |at: &usize| text.is_char_boundary(*at);
    let start = (0..=half).rev().find(boundary).unwrap_or(0);
    let end = (text.len() - half..=text.len()).find(boundary);
    let end = end.unwrap_or(text.len());
    format!("{} ... {}", &text[..start], &text[end..])
}

#[cfg(test)]
mod tests {
    use io::Write as _;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_moves_a_terminal() {
        assert_eq!(escaped("dense_1 ü 层"), "dense_1 ü 层");
        assert_eq!(
            escaped("a\x1b[2Jb\n\u{202e}c\u{9b}"),
            r"a\u001b[2Jb\u000a\u202ec\u009b"
        );
        assert_eq!(paragraph("a\nerror: b\r"), "a\n  error: b\\u000d");
    }

    proptest! {
        #[test]
        fn a_stream_is_escaped_however_it_is_cut(text in "\\PC*[\u{0}-\u{a0}\u{2020}-\u{2070}]*", cuts: Vec<prop::sample::Index>) {
            let mut plain = Plain::new(Vec::new());
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|at| at.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                plain.write_all(&bytes[pair[0]..pair[1]]).unwrap();
            }
            let shown = String::from_utf8(plain.stream).unwrap();
            prop_assert_eq!(&shown, &*escape(&text, "\n\t"));
            prop_assert!(!shown.contains(|c: char| (c.is_control() && c != '\n' && c != '\t') || turns(c)));
        }

        #[test]
        fn bytes_that_are_no_text_are_shown_as_text(bytes: Vec<u8>) {
            let mut plain = Plain::new(Vec::new());
            plain.write_all(&bytes).unwrap();
            prop_assert!(plain.begun.len() < 4);
            let whole = String::from_utf8_lossy(&bytes[..bytes.len() - plain.begun.len()]);
            prop_assert_eq!(String::from_utf8(plain.stream).unwrap(), escape(&whole, "\n\t"));
        }
    }
}
