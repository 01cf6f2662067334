//! Prose that reads at first sight: doc comments begin with their subject, sentences are short, words are plain.

use std::fs;

use tinyspike_board::shell::{self, Failure};

use crate::tree;

/// First words that hide the subject of a doc comment.
const HIDING: [&str; 20] = [
    "what", "how", "where", "of", "as", "whether", "which", "why", "when", "who", "whose", "by",
    "it", "such", "there", "for", "in", "from", "at", "if",
];
/// Phrases, and the plain words for them. The escapes keep this file from containing the phrases.
const PHRASES: [(&str, &str); 5] = [
    ("but\u{20}for", "except"),
    ("\u{61}new", "again"),
    ("`none`\u{20}where", "`None` if"),
    ("of one's\u{20}own", "custom"),
    ("of one’s\u{20}own", "custom"),
];
/// Words in the longest sentence of a page.
const LONGEST: usize = 25;

/// Checks the doc comments and texts of all Rust files, and the sentences of all Markdown pages.
///
/// # Errors
/// [`Failure::Argument`] with each place that needs other words; [`Failure::File`] if a file cannot be read.
pub(crate) fn check() -> Result<(), Failure> {
    let root = shell::root();
    let mut faults = Vec::new();
    for (extension, find) in [
        ("rs", source as fn(&str) -> Vec<(usize, String)>),
        ("md", page),
    ] {
        for path in tree::files(&root, extension)? {
            let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
            let name = tree::name(&root, &path);
            let found = find(&text).into_iter().chain(phrases(&text));
            faults.extend(found.map(|(line, fault)| format!("{name}:{line}: {fault}")));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::Argument(format!(
        "{} places need other words (CONTRIBUTING.md, Prose):\n  {}",
        faults.len(),
        faults.join("\n  ")
    )))
}

/// Finds doc comments that begin with a word that hides the subject. Lines count from 1.
fn source(text: &str) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    let mut inside = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let doc = line.strip_prefix("///").or(line.strip_prefix("//!"));
        if let (Some(doc), false) = (doc.map(str::trim), inside) {
            let word: String = doc.chars().take_while(|c| c.is_alphabetic()).collect();
            if HIDING.contains(&word.to_lowercase().as_str()) {
                faults.push((
                    at + 1,
                    format!("begin with a noun or a verb, not with {word}: {doc}"),
                ));
            }
        }
        inside = doc.is_some();
    }
    faults
}

/// Finds the sentences of a page that are too long. Code, tables and headings do not count.
fn page(text: &str) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (line, paragraph) in paragraphs(text) {
        for sentence in sentences(&plain(&paragraph)) {
            let words = sentence.split_whitespace();
            let count = words
                .filter(|word| word.contains(char::is_alphanumeric))
                .count();
            if count > LONGEST {
                faults.push((
                    line,
                    format!("{count} words, at most {LONGEST}: {sentence}"),
                ));
            }
        }
    }
    faults
}

/// The paragraphs and list items of a page, each with its first line.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut paragraphs: Vec<(usize, String)> = Vec::new();
    let mut code = false;
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        let fence = line.starts_with("```");
        code ^= fence;
        let skipped = code || fence || line.is_empty() || line.starts_with(['|', '#', '<']);
        if skipped {
            open = false;
            continue;
        }
        let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let item = (line.strip_prefix("- ").or(line.strip_prefix("* ")))
            .or((number.len() < line.len())
                .then_some(number)
                .and_then(|rest| rest.strip_prefix(". ")));
        match (item, paragraphs.last_mut()) {
            (None, Some((_, paragraph))) if open => {
                paragraph.push(' ');
                paragraph.push_str(line);
            }
            _ => paragraphs.push((at + 1, item.unwrap_or(line).to_owned())),
        }
        open = true;
    }
    paragraphs
}

/// A paragraph with one word for each piece of code, and without the addresses of links.
fn plain(paragraph: &str) -> String {
    let mut plain = String::new();
    for (at, part) in paragraph.split('`').enumerate() {
        plain.push_str(if at % 2 == 0 { part } else { "code" });
    }
    while let Some((start, end)) = plain
        .find("](")
        .and_then(|at| Some((at, at + plain.get(at..)?.find(')')?)))
    {
        plain.replace_range(start..=end, "");
    }
    plain
}

/// Splits a paragraph behind each full stop, question mark and exclamation mark that white space follows.
fn sentences(paragraph: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (at, _) in paragraph.match_indices(' ') {
        let sentence = paragraph[start..at].trim_end_matches([')', '*', '"', '”']);
        let abbreviated = ["e.g.", "i.e.", "vs."]
            .iter()
            .any(|word| sentence.ends_with(word));
        if sentence.ends_with(['.', '?', '!']) && !abbreviated {
            sentences.push(&paragraph[start..at]);
            start = at + 1;
        }
    }
    sentences.push(&paragraph[start..]);
    sentences
}

/// Finds phrases that have a plainer word. A phrase may run over the end of a line, in a comment too.
fn phrases(text: &str) -> Vec<(usize, String)> {
    let mut flat = String::new();
    let mut ends = Vec::new();
    for line in text.lines() {
        let line = line.trim().trim_start_matches(['/', '!']).trim_start();
        flat.push_str(&line.to_lowercase());
        flat.push(' ');
        ends.push(flat.len());
    }
    let mut faults = Vec::new();
    for (phrase, better) in PHRASES {
        for (at, _) in flat.match_indices(phrase) {
            let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let before = flat.get(..at).and_then(|text| text.chars().next_back());
            let after = flat
                .get(at + phrase.len()..)
                .and_then(|text| text.chars().next());
            if !letter(before) && !letter(after) {
                let line = ends.partition_point(|&end| end <= at) + 1;
                faults.push((line, format!("write \"{better}\" for \"{phrase}\"")));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(faults: &[(usize, String)]) -> Vec<usize> {
        faults.iter().map(|&(line, _)| line).collect()
    }

    #[test]
    fn doc_comments_begin_with_their_subject() {
        let text = "//! What it is.\n\n/// A thing.\n/// What follows is free.\nstruct A;\n    /// how\n\
                    // Where a plain comment stands\n/// Whatever it is\n/// Of\n";
        assert_eq!(lines(&source(text)), [1, 6]);
        assert_eq!(
            lines(&source("fn a() {}\n/// Whose it is.\nfn b() {}")),
            [2]
        );
        assert_eq!(
            lines(&source(
                "/// If so.\nfn a() {}\n/// Information.\nfn b() {}"
            )),
            [1]
        );
    }

    #[test]
    fn long_sentences_are_found_in_prose_alone() {
        let words = |n: usize| vec!["word"; n].join(" ");
        let (fits, long) = (words(LONGEST), words(LONGEST + 1));
        for good in [
            format!("{fits}. {fits}"),
            format!("{fits}\n\n{fits}"),
            format!("- {fits}\n- {fits}\n1. {fits}"),
            format!("# {long}"),
            format!("| {long} |"),
            format!("```sh\n{long}\n```\n{fits}"),
            format!("{} `{long}` + - ", words(LONGEST - 1)),
            format!("{} [a](b \"{long}\")", words(LONGEST - 1)),
        ] {
            assert_eq!(page(&good), [], "{good}");
        }
        for (bad, line) in [
            (format!("{fits} e.g. word"), 1),
            (format!("text\n\n{fits}\nword"), 3),
            (format!("- a\n- {fits}\n  word"), 2),
            (format!("```\ncode\n```\n{long}"), 4),
        ] {
            assert_eq!(lines(&page(&bad)), [line], "{bad}");
        }
    }

    #[test]
    fn phrases_are_found_over_the_end_of_a_line() {
        let text =
            "/// All but\n/// for it.\nlet anew_one = \"made \u{61}new\";\n// Of one's\n// own";
        assert_eq!(lines(&phrases(text)), [1, 3, 4]);
    }

    #[test]
    fn the_prose_passes() {
        if let Err(failure) = check() {
            panic!("{failure}");
        }
    }
}
