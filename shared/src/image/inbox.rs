//! Inboxes: what takes up the events for a part of the network before its neurons see them.
//!
//! Sums and products of a step wrap, for the host has proven that they never leave their words.

use serde::{Deserialize, Serialize};

use super::reader::Reader;
use crate::fixed::scaled;

/// The most bits by which an event's count is shifted.
pub const MAX_FRACTION: u8 = 14;

/// A filter on all events that reach an ensemble or an output. An event of count n brings n · 2^`fraction` times
/// its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Inbox {
    /// Synapse on the events of a step.
    pub synapse: Synapse,
    /// Bits behind the weights' point, at most [`MAX_FRACTION`].
    pub fraction: u8,
}

/// A linear filter of first or second order with a gain that the host has put into thresholds and
/// biases. p takes up events; y is what the filter shows. Products are rounded to nearest, ties up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Synapse {
    /// Events reach their target in the same step: y = p, of this step alone.
    Through,
    /// y\[t\] = p\[t\]; p\[t\] = decay p\[t-1\] + events.
    Lowpass {
        /// Decay in parts of 2^16.
        decay: u16,
    },
    /// y\[t\] = q\[t\] + p\[t\]; q\[t\] = decay y\[t-1\] + feed p\[t-1\]; p as a lowpass's.
    Alpha {
        /// Decay in parts of 2^16.
        decay: u16,
        /// Decay in parts of 2^16.
        feed: u16,
    },
}

impl Synapse {
    /// Tells whether neurons see what it showed at the end of the step before. Events may come from any
    /// ensemble then.
    #[must_use]
    pub const fn is_delayed(self) -> bool {
        !matches!(self, Self::Through)
    }

    /// Words of state for each neuron or value: p, and q of an alpha synapse.
    #[must_use]
    pub const fn words(self) -> u32 {
        match self {
            Self::Through | Self::Lowpass { .. } => 1,
            Self::Alpha { .. } => 2,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        match reader.variant(3) {
            0 => Self::Through,
            1 => Self::Lowpass {
                decay: reader.u16(),
            },
            _ => Self::Alpha {
                decay: reader.u16(),
                feed: reader.u16(),
            },
        }
    }
}

impl Inbox {
    /// An inbox, or none.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        (reader.flag() && reader.exact()).then(|| Self {
            synapse: Synapse::read(reader),
            fraction: reader.u8(),
        })
    }
}

/// An inbox at work: the state of a filter, which goes on step by step.
#[derive(Debug)]
pub struct Passing<'a> {
    /// p of each neuron or value, which takes up events; empty if there is no inbox.
    p: &'a mut [u32],
    /// q of each; empty unless the synapse is an alpha synapse.
    q: &'a mut [u32],
    /// Change of p and q in a step; `None` if there is no inbox.
    synapse: Option<Synapse>,
}

impl<'a> Passing<'a> {
    /// The inbox of a part with so many neurons or values, at the start of `words`.
    pub fn of(inbox: Option<Inbox>, words: &'a mut [u32], size: usize) -> Self {
        let synapse = inbox.map(|inbox| inbox.synapse);
        let all = synapse.map_or(0, |synapse| size.wrapping_mul(synapse.words() as usize));
        let words = words.get_mut(..all).unwrap_or(&mut []);
        let (p, q) = words.split_at_mut(size.min(words.len()));
        Self { p, q, synapse }
    }

    /// Value of the filter at `at`.
    fn shown(&self, at: usize) -> i32 {
        let p = self.p.get(at).map_or(0, |p| *p as i32);
        let q = self.q.get(at).map_or(0, |q| *q as i32);
        p.wrapping_add(q)
    }

    /// Value of the filter at `at`, which then goes on by a step.
    pub fn step(&mut self, at: usize) -> i32 {
        let shown = self.shown(at);
        if let (Some(synapse), Some(p)) = (self.synapse, self.p.get_mut(at)) {
            let input = *p as i32;
            match synapse {
                Synapse::Through => *p = 0,
                Synapse::Lowpass { decay } => *p = scaled(input, decay) as u32,
                Synapse::Alpha { decay, feed } => {
                    *p = scaled(input, decay) as u32;
                    if let Some(q) = self.q.get_mut(at) {
                        *q = fed(shown, input, decay, feed);
                    }
                }
            }
        }
        shown
    }

    /// Calls `each` with every neuron, and its current and what the filter shows, which then goes on by a step.
    /// Currents repeat as often as needed.
    // Inlined, so that the compiler can unroll each loop for what `each` does.
    #[inline(always)]
    pub fn advance(
        &mut self,
        neurons: &mut [u32],
        currents: &[i32],
        mut each: impl FnMut(&mut u32, i32),
    ) {
        let row = currents.len().max(1);
        let rows = neurons.chunks_mut(row);
        let (mut p, mut q) = (&mut *self.p, &mut *self.q);
        match self.synapse {
            None => {
                for neurons in rows {
                    for (neuron, &current) in neurons.iter_mut().zip(currents) {
                        each(neuron, current);
                    }
                }
            }
            Some(Synapse::Through) => {
                for neurons in rows {
                    let p = first(&mut p, neurons.len());
                    for ((neuron, p), current) in neurons.iter_mut().zip(p).zip(currents) {
                        let shown = *p as i32;
                        *p = 0;
                        each(neuron, current.wrapping_add(shown));
                    }
                }
            }
            Some(Synapse::Lowpass { decay }) => {
                for neurons in rows {
                    let p = first(&mut p, neurons.len());
                    for ((neuron, p), current) in neurons.iter_mut().zip(p).zip(currents) {
                        let shown = *p as i32;
                        *p = scaled(shown, decay) as u32;
                        each(neuron, current.wrapping_add(shown));
                    }
                }
            }
            Some(Synapse::Alpha { decay, feed }) => {
                for neurons in rows {
                    let filters = first(&mut p, neurons.len()).iter_mut();
                    let filters = filters.zip(first(&mut q, neurons.len()));
                    for ((neuron, (p, q)), current) in neurons.iter_mut().zip(filters).zip(currents)
                    {
                        let input = *p as i32;
                        let shown = (*q as i32).wrapping_add(input);
                        *p = scaled(input, decay) as u32;
                        *q = fed(shown, input, decay, feed);
                        each(neuron, current.wrapping_add(shown));
                    }
                }
            }
        }
    }

    /// Shows an output's values: its currents and what the filter shows now.
    pub fn read_out(&self, values: &mut [u32], currents: &[i32]) {
        if self.q.is_empty() && self.p.len() >= values.len() {
            for ((value, current), p) in values.iter_mut().zip(currents).zip(&*self.p) {
                *value = current.wrapping_add(*p as i32) as u32;
            }
            return;
        }
        for ((at, value), current) in values.iter_mut().enumerate().zip(currents) {
            *value = current.wrapping_add(self.shown(at)) as u32;
        }
    }
}

/// The first values of a list, which keeps the others; none if it has fewer.
// Two iterators of chunks, zipped, would divide by the chunks' length, with a panic that is not always left out.
#[inline(always)]
fn first<'a>(list: &mut &'a mut [u32], count: usize) -> &'a mut [u32] {
    list.split_off_mut(..count).unwrap_or_default()
}

/// q of an alpha synapse in the next step.
#[inline]
fn fed(shown: i32, input: i32, decay: u16, feed: u16) -> u32 {
    scaled(shown, decay).wrapping_add(scaled(input, feed)) as u32
}
