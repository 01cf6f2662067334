//! A step of neurons and filters that run as Nengo's do: plain Rust for all processors.
//!
//! Sums and products wrap, for the host has proven that they never leave their words.

use tinyspike_shared::Event;
use tinyspike_shared::fixed::round_shift;
use tinyspike_shared::image::dynamics::{LEAK_BITS, LEAK_PIECES, Leak, STEP, Synapse};

use super::{EVENTS, Events, Potential};

/// Units of a refractory time in one piece of a leak's table.
const PIECE: u32 = STEP / LEAK_PIECES as u32;

/// `x` · `factor` / 2^16, rounded to nearest, ties up: exact.
#[inline]
#[must_use]
pub fn scaled(x: i32, factor: u16) -> i32 {
    let factor = u32::from(factor);
    // At most (2^16 - 1)^2 + 2^15: no carry is lost.
    let low = (x as u32 & 0xffff)
        .wrapping_mul(factor)
        .wrapping_add(1 << 15);
    let high = (x >> 16).wrapping_mul(factor as i32);
    high.wrapping_add((low >> 16) as i32)
}

/// `x` · 2^`shift`, rounded to nearest, ties up, where the shift is below zero.
#[inline]
#[must_use]
pub fn shifted(x: i32, shift: i8) -> i32 {
    if shift < 0 {
        round_shift(x, shift.unsigned_abs())
    } else {
        x.wrapping_shl(shift.unsigned_abs().into())
    }
}

/// What current does to a potential: all of it above zero, a share of it below.
#[inline]
#[must_use]
pub fn rectified(current: i32, negative_slope: u16) -> i32 {
    let below = scaled(current.min(0).wrapping_neg(), negative_slope);
    current.max(0).wrapping_sub(below)
}

/// The filter of a population: what its events reach, and what stands behind that.
#[derive(Debug)]
pub struct Filter<'a> {
    /// p of each neuron; empty without a synapse.
    pub p: &'a mut [u32],
    /// q of each neuron; empty but for an alpha synapse.
    pub q: &'a mut [u32],
    /// How p and q go on; `None` where no events come.
    pub synapse: Option<Synapse>,
}

impl Filter<'_> {
    /// What the filter shows of value `at`.
    fn shown(&self, at: usize) -> i32 {
        let p = self.p.get(at).map_or(0, |p| *p as i32);
        let q = self.q.get(at).map_or(0, |q| *q as i32);
        p.wrapping_add(q)
    }

    /// What the filter shows of value `at`, which then goes on by a step.
    fn step(&mut self, at: usize) -> i32 {
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

    /// Calls `each` with every neuron, its current and what its filter shows, which then goes on by a
    /// step. Currents repeat as often as needed.
    // Inlined, so that the compiler can unroll each loop for what `each` does.
    #[inline(always)]
    fn advance(
        &mut self,
        neurons: &mut [u32],
        currents: &[i32],
        mut each: impl FnMut(&mut u32, i32),
    ) {
        let row = currents.len().max(1);
        let rows = neurons.chunks_mut(row);
        match self.synapse {
            None => {
                for neurons in rows {
                    for (neuron, &current) in neurons.iter_mut().zip(currents) {
                        each(neuron, current);
                    }
                }
            }
            Some(Synapse::Through) => {
                for (neurons, p) in rows.zip(self.p.chunks_mut(row)) {
                    for ((neuron, p), current) in neurons.iter_mut().zip(p).zip(currents) {
                        let shown = *p as i32;
                        *p = 0;
                        each(neuron, current.wrapping_add(shown));
                    }
                }
            }
            Some(Synapse::Lowpass { decay }) => {
                for (neurons, p) in rows.zip(self.p.chunks_mut(row)) {
                    for ((neuron, p), current) in neurons.iter_mut().zip(p).zip(currents) {
                        let shown = *p as i32;
                        *p = scaled(shown, decay) as u32;
                        each(neuron, current.wrapping_add(shown));
                    }
                }
            }
            Some(Synapse::Alpha { decay, feed }) => {
                let filters = self.p.chunks_mut(row).zip(self.q.chunks_mut(row));
                for (neurons, (p, q)) in rows.zip(filters) {
                    let filters = p.iter_mut().zip(q);
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
}

/// q of an alpha synapse in the next step.
#[inline]
fn fed(shown: i32, input: i32, decay: u16, feed: u16) -> u32 {
    scaled(shown, decay).wrapping_add(scaled(input, feed)) as u32
}

/// Adds a step's current to potentials less their thresholds. `currents` has one for each neuron, or for
/// each channel.
pub fn charge(
    potentials: &mut [u32],
    currents: &[i32],
    filter: &mut Filter<'_>,
    negative_slope: u16,
) {
    if negative_slope == 0 {
        filter.advance(potentials, currents, |v, j| {
            *v = v.wrapping_add(j.max(0) as u32);
        });
    } else {
        filter.advance(potentials, currents, |v, j| {
            *v = v.wrapping_add(rectified(j, negative_slope) as u32);
        });
    }
}

/// Fires neurons that count spikes below zero as well, from `from` on, until all are done or `events`
/// has no room for more, and returns the first neuron that is not done.
pub fn fire_signed(
    potentials: &mut [u32],
    threshold: &[i32],
    max_count: u8,
    from: usize,
    events: &mut Events,
) -> usize {
    let thresholds = threshold
        .iter()
        .cycle()
        .skip(from.checked_rem(threshold.len()).unwrap_or(0));
    let mut neuron = from;
    for (v, &threshold) in potentials.iter_mut().skip(from).zip(thresholds) {
        let potential = v.value().wrapping_add(threshold);
        let most = i32::from(max_count);
        let count = potential.checked_div(threshold).unwrap_or(0);
        let count = count.clamp(most.wrapping_neg(), most);
        if count != 0 {
            *v = v.plus(threshold.wrapping_mul(count).wrapping_neg());
            // There is room: a full buffer ends the loop.
            let _ = events.push(Event {
                source: neuron as u16,
                value: count as i16,
            });
        }
        neuron += 1;
        if events.len() == EVENTS {
            break;
        }
    }
    neuron
}

/// Leaky integrate-and-fire neurons, as a step sees them.
#[derive(Debug)]
pub struct Lif<'a> {
    /// V and refractory time of each neuron.
    pub voltages: &'a mut [u32],
    /// What is left of each neuron's refractory time at the start of the step, in parts of [`STEP`].
    pub refractory: &'a mut [u32],
    /// The current of each neuron, or of each channel.
    pub currents: &'a [i32],
    /// θ of each channel, in units of the current.
    pub threshold: &'a [i32],
    /// The filter on events.
    pub filter: Filter<'a>,
    /// The leak.
    pub leak: Leak,
    /// Its table.
    pub table: &'a [u32],
}

impl Lif<'_> {
    /// Runs neurons from `from` on, until all are done or `events` has no room for more, and returns
    /// the first neuron that is not done.
    pub fn fire(&mut self, from: usize, events: &mut Events) -> usize {
        let neurons = self.voltages.len();
        let (Some(mut channel), Some(mut row)) = (
            from.checked_rem(self.threshold.len()),
            from.checked_rem(self.currents.len()),
        ) else {
            return neurons;
        };
        for neuron in from..neurons {
            let current = self.currents.get(row).map_or(0, |&current| current);
            let current = current.wrapping_add(self.filter.step(neuron));
            let threshold = self
                .threshold
                .get(channel)
                .map_or(0, |&threshold| threshold);
            if self.step(neuron, current, threshold) {
                // There is room: a full buffer ends the loop.
                let _ = events.push(Event {
                    source: neuron as u16,
                    value: 1,
                });
                if events.len() == EVENTS {
                    return neuron.wrapping_add(1);
                }
            }
            channel = following(channel, self.threshold.len());
            row = following(row, self.currents.len());
        }
        neurons
    }

    /// Runs one neuron, and says whether it spikes.
    fn step(&mut self, neuron: usize, current: i32, threshold: i32) -> bool {
        let (Some(voltage), Some(left)) = (
            self.voltages.get_mut(neuron),
            self.refractory.get_mut(neuron),
        ) else {
            return false;
        };
        let bits = u32::from(self.leak.voltage_bits.min(31));
        let drive = i64::from(current) << bits;
        let threshold = i64::from(threshold) << bits;
        let before = i64::from(*voltage as i32);
        let share = leaked(self.table, STEP.saturating_sub(*left));
        let rise = drive.wrapping_sub(before).wrapping_mul(share.into());
        let rounded = rise.wrapping_add(1 << (LEAK_BITS - 1)) >> LEAK_BITS;
        let after = before.wrapping_add(rounded);
        if after > threshold {
            let over = after.wrapping_sub(threshold).wrapping_shl(LEAK_BITS);
            let above = drive.wrapping_sub(threshold);
            let since = over.checked_div(above).unwrap_or(0);
            let since = elapsed(self.table, since.clamp(0, 1 << LEAK_BITS) as u32);
            *left = self.leak.refractory.saturating_sub(since);
            *voltage = 0;
            true
        } else {
            *left = left.saturating_sub(STEP);
            let least = threshold.wrapping_mul(self.leak.minimum.into()) >> 16;
            *voltage = after.max(least) as u32;
            false
        }
    }
}

/// The index after `at` in a cycle.
fn following(at: usize, length: usize) -> usize {
    let next = at.wrapping_add(1);
    if next == length { 0 } else { next }
}

/// E of a part of a step.
fn leaked(table: &[u32], part: u32) -> u32 {
    let at = (part / PIECE) as usize;
    let from = table.get(at).copied().unwrap_or(0);
    let to = table.get(at.wrapping_add(1)).copied().unwrap_or(from);
    let rise = u64::from(to.wrapping_sub(from)).wrapping_mul((part % PIECE).into());
    from.wrapping_add((rise / u64::from(PIECE)) as u32)
}

/// The part of a step in which `share` leaks: the inverse of [`leaked`].
fn elapsed(table: &[u32], share: u32) -> u32 {
    let at = table.partition_point(|&entry| entry <= share);
    let before = at.saturating_sub(1);
    let (Some(&from), Some(&to)) = (table.get(before), table.get(at)) else {
        return STEP;
    };
    let into = u64::from(share.wrapping_sub(from)).wrapping_mul(PIECE.into());
    let into = into.checked_div(to.wrapping_sub(from).into()).unwrap_or(0);
    (before as u32)
        .wrapping_mul(PIECE)
        .wrapping_add(into as u32)
}

/// Shows an output's values: its currents and what its filter shows now.
pub fn read_out(sums: &mut [u32], currents: &[i32], filter: &Filter<'_>) {
    for ((at, sum), current) in sums.iter_mut().enumerate().zip(currents) {
        *sum = current.wrapping_add(filter.shown(at)) as u32;
    }
}

/// Takes an output's filter on by a step.
pub fn advance(filter: &mut Filter<'_>, currents: &[i32], sums: &mut [u32]) {
    filter.advance(sums, currents, |_, _| ());
}
