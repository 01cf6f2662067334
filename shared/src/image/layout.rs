//! Where the engine keeps its state in the arena.
//!
//! The arena is a slice of 32-bit words. Each ensemble in turn has an area for the current of its
//! inputs (where an input feeds it, and
//! there is more than one step) and one for its potentials; then come the outputs' currents and sums.
//! Where parts have [records](super::dynamics), every current is kept, and behind a part's potentials
//! (or sums) lie its filter and the refractory times, each with a word for each neuron (or value).
//! An ensemble's area lies before those of all its targets, so that a slice can be split between them.

use heapless::Vec;

use super::description::{Description, MAX_OUTPUTS, Network, Post, Pre, Width};
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
        layout.fill(&network.network(), dynamics)?;
        Some(layout)
    }

    /// Fills an empty layout with a network's.
    pub(super) fn fill(&mut self, network: &Network<'_>, dynamics: Records<'_>) -> Option<()> {
        let (ensembles, outputs) = (self.ensembles.as_mut_view(), self.outputs.as_mut_view());
        let mut place = Place {
            network,
            dynamics,
            next: 0,
            part: 0,
        };
        for (index, e) in (0u8..).zip(network.ensembles) {
            let area = place.area(e.neurons, e.width, Post::Ensemble(index))?;
            ensembles.push(area).ok()?;
        }
        for (index, o) in (0u8..).zip(network.outputs) {
            let area = place.area(o.size, Width::I32, Post::Output(index))?;
            outputs.push(area).ok()?;
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

/// Where the next area starts.
struct Place<'n> {
    network: &'n Network<'n>,
    dynamics: Records<'n>,
    /// In words.
    next: u32,
    /// Of all ensembles and outputs, the one whose area it is.
    part: usize,
}

impl Place<'_> {
    /// The area of so many values of a width; `None` where it exceeds 32-bit addresses.
    #[inline(never)]
    fn area(&mut self, count: u32, width: Width, post: Post) -> Option<Area> {
        let words = match width {
            Width::I16 => count.div_ceil(2),
            Width::I32 => count,
        };
        let all = if self.dynamics.is_empty() {
            words
        } else {
            words.checked_mul(self.dynamics.get(self.part)?.words())?
        };
        // In a single step the current goes straight to the potential.
        let kept = self.network.steps > 1 || !self.dynamics.is_empty();
        let mut connections = self.network.connections.iter();
        let driven = kept && connections.any(|c| matches!(c.pre, Pre::Input(_)) && c.post == post);
        let current = self.next;
        let state = current.checked_add(if driven { words } else { 0 })?;
        let end = state.checked_add(all)?;
        // The whole arena must be addressable in bytes.
        end.checked_mul(4)?;
        self.next = end;
        self.part += 1;
        Some(Area {
            current,
            state,
            end,
        })
    }
}
