//! Where the engine keeps its state in the arena.
//!
//! The arena is a slice of 32-bit words. Each ensemble in turn has an area for the current of its
//! inputs (where an input feeds it, and
//! there is more than one step) and one for its potentials; then come the outputs' currents and sums.
//! Where parts have [records](super::dynamics), every current is kept, and behind a part's potentials
//! (or sums) lie its filter and the refractory times, each with a word for each neuron (or value).
//! An ensemble's area lies before those of all its targets, so that a slice can be split between them.

use heapless::Vec;

use super::description::{Description, MAX_OUTPUTS, Post, Pre};
use super::dynamics::Records;

/// A run of values in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Area {
    /// Where the input current starts, in words.
    pub current: u32,
    /// Where the potentials (or sums) start, in words. The current, if there is one, ends here.
    pub state: u32,
    /// Where the next area starts, in words.
    pub end: u32,
}

impl Area {
    /// Whether it keeps the current of its inputs.
    #[must_use]
    pub const fn has_current(&self) -> bool {
        self.state > self.current
    }
}

/// The areas of all ensembles and outputs.
#[derive(Clone, Debug, Default)]
pub struct Layout<const E: usize> {
    /// Of each ensemble.
    pub ensembles: Vec<Area, E>,
    /// Of each output.
    pub outputs: Vec<Area, MAX_OUTPUTS>,
}

impl<const E: usize> Layout<E> {
    /// The layout of a network; `None` where it exceeds 32-bit addresses.
    #[must_use]
    pub fn of<const C: usize>(
        network: &Description<'_, E, C>,
        dynamics: Records<'_>,
    ) -> Option<Self> {
        let mut layout = Self::default();
        layout.fill(network, dynamics)?;
        Some(layout)
    }

    /// Fills an empty layout with a network's.
    pub(super) fn fill<const C: usize>(
        &mut self,
        network: &Description<'_, E, C>,
        dynamics: Records<'_>,
    ) -> Option<()> {
        // In a single step the current goes straight to the potential.
        let kept = network.steps > 1 || !dynamics.is_empty();
        let driven = |post: Post| {
            kept && network
                .connections
                .iter()
                .any(|c| matches!(c.pre, Pre::Input(_)) && c.post == post)
        };
        let mut next = 0u32;
        let mut place = |part: usize, count: u32, bytes: usize, driven: bool| {
            let words = count.checked_mul(bytes as u32)?.checked_add(3)? / 4;
            let all = if dynamics.is_empty() {
                words
            } else {
                words.checked_mul(dynamics.get(part)?.words())?
            };
            let current = next;
            let state = current.checked_add(if driven { words } else { 0 })?;
            next = state.checked_add(all)?;
            // The whole arena must be addressable in bytes.
            next.checked_mul(4)?;
            Some(Area {
                current,
                state,
                end: next,
            })
        };
        for (i, e) in network.ensembles.iter().enumerate() {
            let area = place(
                i,
                e.neurons,
                e.width.bytes(),
                driven(Post::Ensemble(i as u8)),
            )?;
            self.ensembles.push(area).ok()?;
        }
        for (i, o) in network.outputs.iter().enumerate() {
            let part = network.ensembles.len() + i;
            let area = place(part, o.size, 4, driven(Post::Output(i as u8)))?;
            self.outputs.push(area).ok()?;
        }
        Some(())
    }

    /// The arena's length in 32-bit words.
    #[must_use]
    pub fn words(&self) -> u32 {
        match (self.outputs.last(), self.ensembles.last()) {
            (Some(area), _) | (None, Some(area)) => area.end,
            (None, None) => 0,
        }
    }

    /// The arena's length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        self.words().saturating_mul(4)
    }
}
