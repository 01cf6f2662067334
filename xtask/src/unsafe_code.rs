//! Unsafe code stands where docs/safety.md says, and nowhere else.
//!
//! Its table names every file with unsafe code, how often the keyword `unsafe` stands in it, and why. A
//! file that is not in the table has none, and a crate without any forbids it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{LexError, TokenStream, TokenTree};
use tinyspike_board::shell::{self, Failure};

use crate::tree;

/// The page with the table, from the workspace's root.
const PAGE: &str = "docs/safety.md";
/// The attribute that a crate without unsafe code has.
const FORBID: &str = "#![forbid(unsafe_code)]";

/// Compares the sources with the table.
///
/// # Errors
/// [`Failure::Argument`] with every file that differs from the table, and every crate that could
/// forbid unsafe code and does not; [`Failure::File`] if a file cannot be read.
pub(crate) fn check() -> Result<(), Failure> {
    let root = shell::root();
    let page = root.join(PAGE);
    let listed = listed(&fs::read_to_string(&page).map_err(Failure::file(&page))?);
    let mut found = BTreeMap::new();
    let mut faults = Vec::new();
    for path in sources(&root)? {
        let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
        let name = tree::name(&root, &path);
        let count = keywords(&text)
            .map_err(|e| Failure::Argument(format!("{name} is no Rust source: {e}")))?;
        if count > 0 {
            found.insert(name.clone(), count);
        }
    }
    for (name, count) in &found {
        match listed.get(name) {
            Some(listed) if listed == count => {}
            Some(listed) => faults.push(format!("{name}: {count} unsafe, {PAGE} lists {listed}")),
            None => faults.push(format!("{name}: {count} unsafe, {PAGE} does not list it")),
        }
    }
    for name in listed.keys().filter(|name| !found.contains_key(*name)) {
        faults.push(format!("{name}: no unsafe, but {PAGE} lists it"));
    }
    for crate_root in sources(&root)?.iter().filter(|path| is_root(path)) {
        let folder = crate_root.parent().unwrap_or(&root);
        let folder = folder.strip_prefix(&root).unwrap_or(folder);
        let safe = !found.keys().any(|name| Path::new(name).starts_with(folder));
        let text = fs::read_to_string(crate_root).map_err(Failure::file(crate_root))?;
        if safe && !text.contains(FORBID) {
            faults.push(format!("{}: {FORBID} is missing", crate_root.display()));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::Argument(format!(
        "unsafe code and {PAGE} do not agree; list each block there with its argument:\n  {}",
        faults.join("\n  ")
    )))
}

/// Tells whether the file is the root of a library, or of a program with more than one file.
fn is_root(path: &Path) -> bool {
    path.ends_with("lib.rs")
        || path.ends_with("main.rs") && path.components().any(|part| part.as_os_str() == "src")
}

/// The files of the table and their counts: lines such as ``| `path` | 3 | why |``.
fn listed(page: &str) -> BTreeMap<String, usize> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        let count = cells.next()?.parse().ok()?;
        Some((name.to_owned(), count))
    };
    page.lines().filter_map(row).collect()
}

/// Every Rust file of the workspace, in order. Examples are workspaces of their own.
fn sources(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let examples = root.join("examples");
    let mut sources = tree::files(root, "rs")?;
    sources.retain(|path| !path.starts_with(&examples));
    Ok(sources)
}

/// Counts the keyword in a source, comments and texts aside.
fn keywords(source: &str) -> Result<usize, LexError> {
    fn count(tokens: TokenStream) -> usize {
        let each = tokens.into_iter().map(|token| match token {
            TokenTree::Group(group) => count(group.stream()),
            TokenTree::Ident(word) => usize::from(word == "unsafe"),
            TokenTree::Punct(_) | TokenTree::Literal(_) => 0,
        });
        each.sum()
    }
    source.parse().map(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_do_not_count() {
        let source = r##"
            // unsafe
            /* unsafe unsafe */
            let a = "unsafe \" unsafe"; let q = '"'; let e = '\''; let s = '\\';
            let b = r#"unsafe " unsafe"#;
            #[unsafe(no_mangle)]
            unsafe { unsafe_code() } // unsafe
        "##;
        assert_eq!(keywords(source).unwrap(), 2);
        assert_eq!(keywords("'\"' unsafe '\"'").unwrap(), 1);
        assert_eq!(keywords("a 'b unsafe").unwrap(), 1);
        assert!(keywords("\"open unsafe").is_err());
    }

    #[test]
    fn rows_of_the_table_are_found() {
        let page = "| file | unsafe | why |\n|---|---|---|\n| `a/b.rs` | 3 | registers |\ntext";
        assert_eq!(listed(page), BTreeMap::from([("a/b.rs".to_owned(), 3)]));
    }

    #[test]
    fn the_sources_agree_with_the_table() {
        if let Err(failure) = check() {
            panic!("{failure}");
        }
    }
}
