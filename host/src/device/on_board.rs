//! The chip of a board.

use super::boards::{Board, Runs};
use super::chip::{Chip, ChipError};
use super::chips::Chips;
use crate::advice::{Advice, Advised};

/// Reasons why there is no chip of a board to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoardError {
    /// The application does not run on its core.
    #[error("the application does not run on {board}: its core is {core}")]
    NoApplication {
        /// The board.
        board: &'static str,
        /// Its core.
        core: &'static str,
        /// The core whose library in C runs on it.
        library: &'static str,
    },
    /// Its chip is not as it should be.
    #[error(transparent)]
    Chip(#[from] ChipError),
}

impl Advised for BoardError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::NoApplication { library, .. } => vec![Advice::Library(library)],
            Self::Chip(e) => e.advice(),
        }
    }
}

impl Board {
    /// Its chip, with the flash that programs get on this board.
    ///
    /// # Errors
    /// [`BoardError::NoApplication`], if firmware that is built here does not run on it.
    pub fn chip(&'static self, chips: &Chips) -> Result<Chip, BoardError> {
        match self.runs {
            Runs::Application { probe_rs, .. } => Ok(chips.find(probe_rs)?.on(self)),
            Runs::Library(library) => Err(BoardError::NoApplication {
                board: self.title,
                core: self.core,
                library,
            }),
        }
    }
}
