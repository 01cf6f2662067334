//! The converter against NengoDL 3.6's golden listings and edge cases, and on its own.

mod edge_cases;
mod evaluate;
mod keras;
mod listings;
mod malformed;
mod native;
mod nested;
mod registry;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The cases of a golden file, by name.
fn golden(name: &str) -> BTreeMap<String, Value> {
    let path = root().join("tests/fixtures/golden").join(name);
    let file = std::fs::File::open(path).expect("the fixture exists");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("the fixture is text");
    serde_json::from_str(&text).expect("the fixture is JSON")
}

/// A text of Python's without what says something of Python alone: addresses, NumPy's types of
/// numbers, and line breaks in arrays.
fn without_python(text: &str) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    while let Some(at) = text.find(" at 0x") {
        let digits = text[at + 6..]
            .find(|c: char| !c.is_ascii_hexdigit())
            .expect("an address ends");
        text.replace_range(at..at + 6 + digits, "");
    }
    for (from, to) in [
        ("[[ ", "[["),
        (" ]]", "]]"),
        ("negative_slope=array(", "negative_slope="),
        ("'voltage': array(", "'voltage': "),
        (", dtype=float32)", ""),
        (" ,", ","),
    ] {
        text = text.replace(from, to);
    }
    text
}

/// Warnings of a conversion.
fn messages(conversion: &tinyspike::convert::Conversion) -> Vec<String> {
    conversion
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect()
}
