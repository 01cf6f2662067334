//! The front end for NIR, the format in which frameworks for spiking networks exchange what they have trained.
//!
//! A `.nir` file states differential equations. It says neither the time step nor the order of a step; these
//! [`Semantics`] decide which spikes a network has. They are chosen by name, guessed from what a file betrays of its
//! writer, or found by a recorded sample ([`matching`]).

mod convert;
mod error;
mod file;
mod graph;
pub mod matching;
mod origin;
mod reading;
mod semantics;

pub use convert::{Choices, Conversion};
pub use error::{NirError, Problem};
pub use file::{NirFile, from_bytes, load};
pub use graph::{Conv, Graph, NeuronKind, Neurons, Node, Values};
pub use origin::{Origin, guessed, origin};
pub use reading::Reading;
pub use semantics::{
    Choice, Gain, Guess, Preset, Scheme, Semantics, Start, Traits, guess, presets,
};
