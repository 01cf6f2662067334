//! Names that are like one that does not exist.

/// The least likeness of a name that is shown.
const LEAST: f64 = 0.75;

/// The names that are the most like another, the nearest first, and at most so many; each is given with its likeness.
pub(super) fn likest<'n>(names: impl Iterator<Item = (f64, &'n str)>, most: usize) -> Vec<&'n str> {
    let mut names: Vec<(f64, &str)> = names.filter(|(likeness, _)| *likeness > LEAST).collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    names.dedup_by_key(|(_, name)| *name);
    names.into_iter().take(most).map(|(_, name)| name).collect()
}

/// The end of an error that says that nothing has a name.
pub(super) fn nearest<S: AsRef<str>>(suggestions: &[S]) -> String {
    let names: Vec<&str> = suggestions.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => String::new(),
        some => format!("; the nearest are {}", some.join(", ")),
    }
}
