//! A NIR graph, read by some semantics.

use super::convert::{Choices, Conversion};
use super::error::Problem;
use super::graph::Graph;
use super::origin::guessed;
use super::semantics::{Guess, guess};

/// A graph, the semantics that it was read by, and its network.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The graph.
    pub graph: Graph,
    /// Its likely writer.
    pub guess: Guess,
    /// The semantics of its nodes.
    pub choices: Choices,
    /// The network.
    pub conversion: Conversion,
    /// The choices that matter and rest on the guess.
    pub open: Vec<&'static str>,
    /// Semantics that the user gave.
    given: Vec<String>,
}

impl Reading {
    /// Reads a graph by the semantics that a user gave, and by those of its likely writer where these leave something open.
    ///
    /// # Errors
    /// [`Problem`], if semantics are not known, or the graph has no network.
    pub fn new(graph: Graph, given: &[String]) -> Result<Self, Problem> {
        let choices = Choices::parse(&graph, given)?;
        let conversion = graph.convert(&choices)?;
        let guess = guess(&graph);
        let open = guessed(&graph, &choices, &guess, given)?;
        Ok(Self {
            graph,
            guess,
            choices,
            conversion,
            open,
            given: given.to_vec(),
        })
    }

    /// The semantics in words: what the user gave, or the likely writer and what betrays it.
    #[must_use]
    pub fn semantics(&self) -> String {
        match self.given.as_slice() {
            [] => format!("{} ({})", self.guess.preset.name, self.guess.reason),
            given => given.join(", "),
        }
    }

    /// The words that say what rests on a guess, for a front end whose users give semantics by such an option; `None` if
    /// nothing does.
    #[must_use]
    pub fn remark(&self, option: &str) -> Option<String> {
        if self.open.is_empty() {
            return None;
        }
        let open = match self.given.is_empty() {
            true => String::new(),
            false => format!(" in {}, which {option} leaves open", self.open.join(", ")),
        };
        Some(format!(
            "NIR does not say how a step is taken; taken for semantics {}{open} ({})",
            self.guess.preset.name, self.guess.reason
        ))
    }
}
