//! Origin of the choices that a NIR file leaves open: what the user said, the file's numbers, or a guess at its writer.

use super::convert::Choices;
use super::error::Problem;
use super::graph::Graph;
use super::semantics::{Choice, Guess, Traits};

/// Origin of a choice's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A single choice of the user's.
    User,
    /// The file's own numbers.
    File,
    /// The preset of this name, which the user chose.
    Preset(&'a str),
    /// The file's likely writer.
    Guess,
}

/// The origin of a choice of all nodes, by what the user gave ([`Choices::parse`]).
#[must_use]
pub fn origin<'a>(choice: &Choice, guess: &Guess, given: &'a [String]) -> Origin<'a> {
    let all = given.iter().filter(|text| !text.contains(':'));
    let mut parts = all.flat_map(|text| text.split(',')).map(str::trim);
    let (changes, presets): (Vec<&str>, Vec<&str>) =
        parts.by_ref().partition(|part| part.contains('='));
    let mut keys = changes.iter().filter_map(|change| change.split_once('='));
    if keys.any(|(key, _)| key == choice.key) {
        return Origin::User;
    }
    if choice.key == "dt" && guess.fixed.contains(&"dt") {
        return Origin::File;
    }
    presets
        .last()
        .map_or(Origin::Guess, |preset| Origin::Preset(preset))
}

/// The choices of all nodes that matter in a graph and rest on a guess.
///
/// # Errors
/// [`Problem`], if the graph's nodes cannot be told apart.
pub fn guessed(
    graph: &Graph,
    choices: &Choices,
    guess: &Guess,
    given: &[String],
) -> Result<Vec<&'static str>, Problem> {
    let all = choices.all.choices(Some(&Traits::of(graph)?));
    let guessed = all
        .iter()
        .filter(|choice| choice.matters && origin(choice, guess, given) == Origin::Guess);
    Ok(guessed.map(|choice| choice.key).collect())
}
