//! Current-based leaky neurons in steps, as networks that were trained with spikes have them.
//!
//! Events reach the current I of a neuron, or if it has none its potential V, without an inbox. A neuron is updated
//! once a step, and its state decays at once for the step that follows. So an event that comes before the update is
//! seen in this step, one that comes behind it in the next: recurrent connections are ordinary ones.
//!
//! V and I are cut off at 16 bits when a neuron is updated, and nowhere else. Events of a step are added in 32 bits.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use super::Neurons;
use crate::event::{EVENTS, Event, Events};
use crate::image::error::Fault;
use crate::image::reader::Reader;

/// The most bits by which the value of an event is shifted.
pub const MAX_EVENT_SHIFT: u8 = 14;
/// The most spikes of a neuron in a step.
pub const MAX_SPIKES: u8 = 127;

/// The mark of a neuron that lost its input, or that is above its threshold after a reset.
const MARK: u8 = 1 << 7;
/// The most words of constants for a channel.
const MOST_ROWS: usize = 5;

/// Current-based leaky integrate-and-fire neurons. In a step
/// - I takes up the step's events, or V does if there is no I, and V takes up I as `charge` says;
/// - the neuron fires as `firing` says: n = V / θ, rounded down, and at most `max_count`;
/// - it is reset as `reset` says;
/// - V and I decay. V takes the leak of the next step, and what events reach takes the bias of the next step.
///
/// V is no smaller than a floor, if there is one, when the neuron fires. A product with a decay is rounded to nearest, ties up. Constants
/// are rows of a word for each channel:
/// - the decay of V, and in the upper half that of I: `u16` in parts of 2^16;
/// - the reset potential, and in the upper half the floor: `i16`;
/// - what events reach at the start, less the bias: `i32`;
/// - and if there is an I, V at the start, less the leak, and the leak: `i32` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CubaLif {
    /// Value of an event from an ensemble: its count times 2^this. That of an input is shifted by `current_shift`.
    pub event_shift: u8,
    /// Current that V takes up.
    pub charge: Charge,
    /// Comparison with the threshold.
    pub firing: Firing,
    /// Potential after a spike.
    pub reset: Reset,
    /// Properties that they have.
    pub traits: Traits,
}

/// Properties of current-based neurons, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Traits(u8);

impl Traits {
    /// V decays; else it keeps all that it has.
    pub const LEAKS: Self = Self(1);
    /// The neurons' spikes reach themselves.
    pub const RECURRENT: Self = Self(2);
    /// The constants of one channel are those of all.
    pub const SHARED: Self = Self(4);
    /// Floors are above the least number of 16 bits.
    pub const FLOORED: Self = Self(8);
    /// All there are.
    pub const ALL: Self = Self(15);

    /// These, and others if `there` says so.
    #[must_use]
    pub const fn and(self, other: Self, there: bool) -> Self {
        Self(self.0 | if there { other.0 } else { 0 })
    }

    /// Tells whether all of some others are among these.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Current that the potential takes up in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Charge {
    /// Events themselves: there is no I.
    #[default]
    Direct,
    /// I, with the events of this step.
    Now,
    /// I as it was in the step before.
    Last,
    /// I, with the events of this step, behind its decay.
    Decayed,
}

/// Comparison of a potential with the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Firing {
    /// Neurons that never spike: the value of their event is V.
    Never,
    /// A spike above the threshold.
    #[default]
    Above,
    /// A spike above the threshold, and at it.
    From,
}

/// Potential after a spike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reset {
    /// The reset potential.
    #[default]
    To,
    /// The reset potential in the step after, whatever comes in.
    Losing,
    /// That before, less a threshold for each spike.
    Subtract,
    /// The same behind the decay.
    Late,
    /// The same as subtracting; a neuron that is still above its threshold needs twice as much in the next step.
    Blocking,
    /// That before.
    Nothing,
}

impl CubaLif {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            event_shift: reader.u8(),
            charge: match reader.variant(4) {
                0 => Charge::Direct,
                1 => Charge::Now,
                2 => Charge::Last,
                _ => Charge::Decayed,
            },
            firing: match reader.variant(3) {
                0 => Firing::Never,
                1 => Firing::Above,
                _ => Firing::From,
            },
            reset: match reader.variant(6) {
                0 => Reset::To,
                1 => Reset::Losing,
                2 => Reset::Subtract,
                3 => Reset::Late,
                4 => Reset::Blocking,
                _ => Reset::Nothing,
            },
            traits: Traits(reader.u8()),
        }
    }

    /// Words of constants of so many channels.
    pub(in super::super) const fn constants(self, channels: u32) -> u32 {
        self.rows() as u32 * if self.shared() { 1 } else { channels }
    }

    /// Words of constants for each channel.
    #[must_use]
    pub const fn rows(self) -> usize {
        if self.has_current() { MOST_ROWS } else { 3 }
    }

    /// Words of state: what events reach for each neuron, then V if there is an I, then a byte for each neuron if
    /// spikes or marks are kept.
    pub(in super::super) fn words(self, neurons: u32) -> Option<u32> {
        let both = if self.has_current() { 2 } else { 1 };
        let marks = if self.keeps() { neurons.div_ceil(4) } else { 0 };
        neurons.checked_mul(both)?.checked_add(marks)
    }

    const fn has_current(self) -> bool {
        !matches!(self.charge, Charge::Direct)
    }

    /// Tells whether V decays.
    #[must_use]
    pub const fn leaks(self) -> bool {
        self.traits.has(Traits::LEAKS)
    }

    /// Tells whether its spikes reach it.
    #[must_use]
    pub const fn recurrent(self) -> bool {
        self.traits.has(Traits::RECURRENT)
    }

    /// Tells whether the constants of one channel are those of all.
    #[must_use]
    pub const fn shared(self) -> bool {
        self.traits.has(Traits::SHARED)
    }

    /// Tells whether neurons that do not fire need nothing but sums and decays: the current of this step, no
    /// floor, and no marks.
    #[must_use]
    pub const fn is_simple(self) -> bool {
        let leaks = matches!(self.charge, Charge::Direct) || self.leaks();
        matches!(self.charge, Charge::Direct | Charge::Now)
            && leaks
            && !self.traits.has(Traits::FLOORED)
            && !matches!(self.firing, Firing::Never)
            && !self.marks()
    }

    /// Tells whether the spikes of so many neurons are kept until all of them have been updated: they reach the neurons
    /// themselves, and are more than a buffer of events holds.
    #[must_use]
    pub const fn defers(self, count: usize) -> bool {
        self.recurrent() && count > EVENTS
    }

    /// Tells whether neurons are marked.
    const fn marks(self) -> bool {
        matches!(self.reset, Reset::Losing | Reset::Blocking)
    }

    /// Tells whether there is room to keep a byte for each neuron.
    #[must_use]
    pub const fn keeps(self) -> bool {
        self.recurrent() || self.marks()
    }

    /// Checks what the kind asks of its ensemble, which has an inbox or not.
    pub(in super::super) fn validate(
        self,
        current_shift: i8,
        max_count: u8,
        inbox: bool,
    ) -> Result<(), Fault> {
        let shift = current_shift;
        let counts = max_count > MAX_SPIKES;
        if self.event_shift > MAX_EVENT_SHIFT || shift < 0 || shift > MAX_EVENT_SHIFT as i8 {
            return Err(Fault::Shift);
        }
        let still = self.firing == Firing::Never && self.keeps();
        if counts || still || inbox || !Traits::ALL.has(self.traits) {
            return Err(Fault::Neuron);
        }
        Ok(())
    }

    /// Brings neurons to rest. `bias` is that of each channel.
    pub fn rest(self, neurons: Neurons<'_>, bias: &[i32]) {
        let constants = Constants::of(self, neurons.constants);
        neurons.state.fill(0);
        let cells = self.cells(neurons.state, neurons.count);
        let row = bias.len().max(1);
        for targets in cells.targets.chunks_mut(row) {
            for (at, (target, bias)) in targets.iter_mut().zip(bias).enumerate() {
                *target = constants.at(2, at).wrapping_add(*bias as u32);
            }
        }
        for potentials in cells.potentials.chunks_mut(row) {
            for (at, v) in potentials.iter_mut().enumerate() {
                *v = constants.at(3, at).wrapping_add(constants.at(4, at));
            }
        }
    }

    /// Updates the neurons of `range`, and emits their spikes, until all are done or `events` has no room for
    /// more; returns the first neuron that is not done. If spikes are [deferred](Self::defers), all neurons are updated,
    /// and [`emit`](Self::emit) has their spikes. `bias` is that of each channel.
    pub fn update(
        self,
        neurons: &mut Neurons<'_>,
        bias: &[i32],
        range: Range<usize>,
        events: &mut Events,
    ) -> usize {
        // The same loop for each that the compiler can do without the questions.
        let kept = self.marks() || self.defers(neurons.count);
        match (kept || self.firing == Firing::Never, self.charge) {
            (false, Charge::Direct) => {
                let charge = Charge::Direct;
                Self { charge, ..self }.sweep::<false>(neurons, bias, range, events)
            }
            (false, Charge::Now) => {
                let charge = Charge::Now;
                Self { charge, ..self }.sweep::<false>(neurons, bias, range, events)
            }
            _ => self.sweep::<true>(neurons, bias, range, events),
        }
    }

    /// Updates one neuron, and emits its spikes, for which `events` has room, or keeps those that are [deferred](Self::defers).
    pub fn update_one(
        self,
        neurons: &mut Neurons<'_>,
        bias: &[i32],
        neuron: usize,
        events: &mut Events,
    ) {
        let channel = neuron.checked_rem(neurons.threshold.len()).unwrap_or(0);
        let row = neurons.constants.len() / self.rows();
        let first = if self.shared() { 0 } else { channel };
        let word = |at: usize| {
            let at = row.wrapping_mul(at).wrapping_add(first);
            neurons.constants.get(at).copied().unwrap_or(0)
        };
        let threshold = neurons.threshold.get(channel).copied().unwrap_or(1);
        let bias = bias.get(channel).copied().unwrap_or(0);
        let parameters = Parameters::of(self, threshold, bias, word);
        let most = neurons.max_count.into();
        let deferred = self.defers(neurons.count);
        let cells = self.cells(neurons.state, neurons.count);
        let Some(target) = cells.targets.get_mut(neuron) else {
            return;
        };
        let cell = Cell {
            target,
            potential: cells.potentials.get_mut(neuron),
            kept: cells.kept.get_mut(neuron),
        };
        let value = self.step::<true>(cell, most, &parameters);
        if value != 0 && !deferred {
            // There is room: whoever calls has looked.
            let _ = events.push(Event {
                source: neuron as u16,
                value: value as i16,
            });
        }
    }

    /// Forgets the spikes that are deferred.
    pub fn forget(self, neurons: &mut Neurons<'_>) {
        self.cells(neurons.state, neurons.count).kept.fill(0);
    }

    #[inline(always)]
    fn sweep<const ALL: bool>(
        self,
        neurons: &mut Neurons<'_>,
        bias: &[i32],
        range: Range<usize>,
        events: &mut Events,
    ) -> usize {
        let (count, most) = (neurons.count, i32::from(neurons.max_count));
        let constants = Constants::of(self, neurons.constants);
        let channels = neurons.threshold.len();
        let deferred = self.defers(count);
        let cells = self.cells(neurons.state, count);
        let mut neuron = range.start;
        let end = range.end.min(count);
        while neuron < end {
            // The neurons up to the last channel.
            let channel = neuron.checked_rem(channels).unwrap_or(0);
            let mut at = channel;
            let targets = cells.targets.get_mut(neuron..end).unwrap_or_default();
            let mut potentials = cells
                .potentials
                .get_mut(neuron..)
                .unwrap_or_default()
                .iter_mut();
            let mut kept = cells.kept.get_mut(neuron..).unwrap_or_default().iter_mut();
            let thresholds = neurons.threshold.get(channel..).unwrap_or_default();
            let biases = bias.get(channel..).unwrap_or_default();
            for ((target, &threshold), &bias) in targets.iter_mut().zip(thresholds).zip(biases) {
                let word = |row| constants.at(row, at);
                let parameters = Parameters::of(self, threshold, bias, word);
                let cell = Cell {
                    target,
                    potential: if self.has_current() {
                        potentials.next()
                    } else {
                        None
                    },
                    kept: if ALL { kept.next() } else { None },
                };
                let value = self.step::<ALL>(cell, most, &parameters);
                if value != 0 && !(ALL && deferred) {
                    // There is room: a full buffer ends the loop.
                    let _ = events.push(Event {
                        source: neuron as u16,
                        value: value as i16,
                    });
                    if events.len() == EVENTS {
                        return neuron.wrapping_add(1);
                    }
                }
                neuron = neuron.wrapping_add(1);
                at = at.wrapping_add(1);
            }
            if at == channel {
                break;
            }
        }
        end
    }

    /// Emits the spikes that were deferred until all neurons were updated, as [`update`](Self::update) does others.
    pub fn emit(self, neurons: &mut Neurons<'_>, from: usize, events: &mut Events) -> usize {
        let cells = self.cells(neurons.state, neurons.count);
        let mut neuron = from;
        for &mut kept in cells.kept.iter_mut().skip(from) {
            let spikes = kept & !MARK;
            if spikes != 0 {
                // There is room: a full buffer ends the loop.
                let _ = events.push(Event {
                    source: neuron as u16,
                    value: spikes.into(),
                });
            }
            neuron = neuron.wrapping_add(1);
            if events.len() == EVENTS {
                break;
            }
        }
        neuron
    }

    /// Tells whether a step without events changes nothing of so many neurons.
    #[must_use]
    pub fn is_idle(
        self,
        state: &[u32],
        count: usize,
        thresholds: &[i32],
        bias: &[i32],
        constants: &[u32],
    ) -> bool {
        let constants = Constants::of(self, constants);
        let (targets, rest) = state.split_at(count.min(state.len()));
        let potentials = if self.has_current() {
            count.min(rest.len())
        } else {
            0
        };
        let (potentials, rest) = rest.split_at(potentials);
        let kept: &[u8] = bytemuck::cast_slice(rest);
        let parameters = thresholds.iter().zip(bias).enumerate().cycle();
        let mut potentials = potentials.iter().copied();
        let mut kept = kept.iter().copied();
        targets
            .iter()
            .zip(parameters)
            .all(|(&target, (at, (&threshold, &bias)))| {
                let word = |row| constants.at(row, at);
                let parameters = Parameters::of(self, threshold, bias, word);
                let before = (target, potentials.next(), kept.next());
                let (mut target, mut potential, mut kept) = before;
                let cell = Cell {
                    target: &mut target,
                    potential: potential.as_mut(),
                    kept: kept.as_mut().filter(|_| self.marks() || self.defers(count)),
                };
                self.step::<true>(cell, 1, &parameters) == 0 && (target, potential, kept) == before
            })
    }

    /// A step of one neuron: its spikes, or V of one that never spikes. Without `ALL` neurons keep nothing, and spike.
    #[inline(always)]
    fn step<const ALL: bool>(self, cell: Cell<'_>, most: i32, p: &Parameters) -> i32 {
        let arrived = *cell.target as i32;
        let of_current = p.decays >> 16;
        let mut v = cell.potential.as_ref().map_or(arrived, |v| **v as i32);
        let mut current = 0;
        if self.has_current() {
            current = cut(arrived, i16::MIN.into());
            if self.charge == Charge::Decayed {
                current = decayed(current, of_current);
            }
            if self.charge != Charge::Last {
                v = v.wrapping_add(current);
            }
        }
        let (reset, floor) = (p.bounds as i16, (p.bounds >> 16) as i16);
        let floored = self.traits.has(Traits::FLOORED);
        v = cut(v, if floored { floor } else { i16::MIN }.into());
        let marked = ALL && cell.kept.as_ref().is_some_and(|kept| **kept & MARK != 0);
        if marked && self.reset == Reset::Losing {
            v = reset.into();
        }
        let mut late = 0;
        let value = if ALL && self.firing == Firing::Never {
            v
        } else {
            let over = match marked && self.reset == Reset::Blocking {
                true => v.wrapping_sub(p.threshold),
                false => v,
            };
            let fires = match self.firing {
                Firing::From => over >= p.threshold,
                _ => over > p.threshold,
            };
            if fires {
                let spikes = match most {
                    1 => 1,
                    _ => over.checked_div(p.threshold).unwrap_or(0).min(most),
                };
                let taken = p.threshold.wrapping_mul(spikes);
                match self.reset {
                    Reset::To => v = reset.into(),
                    Reset::Late => late = taken,
                    Reset::Subtract | Reset::Blocking => v = v.wrapping_sub(taken),
                    Reset::Losing | Reset::Nothing => {}
                }
                spikes
            } else {
                0
            }
        };
        if let Some(kept) = cell.kept {
            let mark = match self.reset {
                Reset::Losing => value > 0,
                Reset::Blocking => v > p.threshold,
                _ => false,
            };
            *kept = value as u8 & !MARK | if mark { MARK } else { 0 };
        }
        if self.leaks() {
            // Without an I the word has nothing else.
            let decay = if self.has_current() {
                p.decays & 0xffff
            } else {
                p.decays
            };
            v = decayed(v, decay);
        }
        v = v.wrapping_sub(late);
        if let Some(potential) = cell.potential {
            v = v.wrapping_add(p.leak);
            if self.charge == Charge::Last {
                v = v.wrapping_add(current);
            }
            if self.charge != Charge::Decayed {
                current = decayed(current, of_current);
            }
            *potential = v as u32;
            *cell.target = current.wrapping_add(p.bias) as u32;
        } else {
            *cell.target = v.wrapping_add(p.bias) as u32;
        }
        value
    }

    /// The state of so many neurons.
    fn cells(self, state: &mut [u32], count: usize) -> Cells<'_> {
        let (targets, rest) = state.split_at_mut(count.min(state.len()));
        let potentials = if self.has_current() {
            count.min(rest.len())
        } else {
            0
        };
        let (potentials, rest) = rest.split_at_mut(potentials);
        let kept: &mut [u8] = bytemuck::cast_slice_mut(rest);
        let bytes = if self.marks() || self.defers(count) {
            count.min(kept.len())
        } else {
            0
        };
        let kept = kept.get_mut(..bytes).unwrap_or_default();
        Cells {
            targets,
            potentials,
            kept,
        }
    }

    /// Word of state at which V of so many neurons begins.
    #[must_use]
    pub const fn potentials(self, count: usize) -> usize {
        if self.has_current() { count } else { 0 }
    }
}

/// A value in 16 bits, no smaller than a floor.
#[inline(always)]
fn cut(value: i32, floor: i32) -> i32 {
    value.min(i16::MAX.into()).max(floor)
}

/// A value of 16 bits, decayed.
#[inline(always)]
const fn decayed(value: i32, decay: u32) -> i32 {
    // At most 2^15 (2^16 - 1) + 2^15.
    value.wrapping_mul(decay as i32).wrapping_add(1 << 15) >> 16
}

/// State of the neurons.
struct Cells<'s> {
    /// Word that events reach for each neuron: I, or V.
    targets: &'s mut [u32],
    /// V of each neuron, if it has an I.
    potentials: &'s mut [u32],
    /// Spikes and mark of each neuron, if they are kept.
    kept: &'s mut [u8],
}

/// State of a neuron.
struct Cell<'s> {
    target: &'s mut u32,
    potential: Option<&'s mut u32>,
    kept: Option<&'s mut u8>,
}

/// Parameters of a neuron.
struct Parameters {
    threshold: i32,
    bias: i32,
    /// Decays of V and of I.
    decays: u32,
    /// Reset and floor.
    bounds: u32,
    leak: i32,
}

impl Parameters {
    /// Those of a neuron of a kind, whose constants are `word` of each row.
    #[inline(always)]
    fn of(kind: CubaLif, threshold: i32, bias: i32, word: impl Fn(usize) -> u32) -> Self {
        Self {
            threshold,
            bias,
            decays: word(0),
            bounds: word(1),
            leak: if kind.has_current() {
                word(4) as i32
            } else {
                0
            },
        }
    }
}

/// Constants of all channels.
struct Constants<'c> {
    /// Rows of words, a word for each channel; of constants that are shared, empty ones.
    rows: [&'c [u32]; MOST_ROWS],
    /// Constants that are shared.
    common: [u32; MOST_ROWS],
}

impl<'c> Constants<'c> {
    fn of(kind: CubaLif, constants: &'c [u32]) -> Self {
        let mut all = Self {
            rows: [&[]; MOST_ROWS],
            common: [0; MOST_ROWS],
        };
        if kind.shared() {
            for (common, word) in all.common.iter_mut().zip(constants) {
                *common = *word;
            }
        } else {
            let row = (constants.len() / kind.rows()).max(1);
            for (row, words) in all.rows.iter_mut().zip(constants.chunks(row)) {
                *row = words;
            }
        }
        all
    }

    /// The word of a row for a channel.
    #[inline(always)]
    fn at(&self, row: usize, channel: usize) -> u32 {
        let words = self.rows.get(row).copied().unwrap_or_default();
        let common = self.common.get(row).copied().unwrap_or(0);
        words.get(channel).copied().unwrap_or(common)
    }
}
