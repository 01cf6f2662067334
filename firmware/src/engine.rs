//! The step loop: which kernel runs on which part of the arena, and in which order.

mod coder;
mod counts;
mod current_based;
mod exact;
mod pool;

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use tinyspike_shared::Event;
use tinyspike_shared::image::{
    Area, Coder, Connection, CubaLif, Ensemble, Image, NOWHERE, Post, Pre, SourceMap, Transform,
    Width,
};
use tinyspike_shared::weights::Weights;

use crate::kernels::{Events, Kernels, NATIVE, Native, Population, Potential, Values};
use crate::output::Output;
use crate::parts::{Part, Parts};

const EXACT: bool = Part::Exact.is_built();
const CONVOLUTIONS: bool = Part::Convolutions.is_built();
const INPUT_MATRICES: bool = Part::InputMatrices.is_built();
const SOURCE_MAPS: bool = Part::SourceMaps.is_built();
const STEPS: bool = Part::Steps.is_built();
const MAX_POOLING: bool = Part::MaxPooling.is_built();
const CURRENT_BASED: bool = Part::CurrentBased.is_built();
const WIDE: bool = Part::Wide.is_built();
const DENSE: bool = Part::Dense.is_built();

/// Watches a network at work.
pub trait Probe {
    /// `true` if [`spikes`](Self::spikes) does anything.
    const SPIKES: bool = true;

    /// Called with some of the spikes of an ensemble, in the order of its neurons; once or more a
    /// step if the ensemble spikes at all.
    fn spikes(&mut self, ensemble: usize, events: &[Event]);

    /// Called when some work on a layer is over: all that was done since the call before, or since the inputs
    /// began to be set or the step began, was done for it, except for the few instructions that choose the next.
    /// A layer may have several turns.
    fn done(&mut self, layer: Layer) {
        let _ = layer;
    }
}

/// A part of a network that work is done for, by its place in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// An input: it is checked, and what it brings to its targets is computed. What all inputs share, which
    /// is to take back what the last ones have brought, and in exact networks to make up the currents of a step,
    /// is done for one of them.
    Input(usize),
    /// An ensemble: its neurons are updated, and their spikes sent over all its connections.
    Ensemble(usize),
    /// An output: its step's current is added to its sums, or its values are shown.
    Output(usize),
}

/// Watches nothing, and costs nothing.
impl Probe for () {
    const SPIKES: bool = false;

    fn spikes(&mut self, _ensemble: usize, _events: &[Event]) {}
}

/// Reason why a network cannot run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EngineError {
    /// The arena is smaller than the image needs.
    ArenaTooSmall {
        /// Bytes that the image needs.
        needed: usize,
        /// Bytes that the caller gave.
        given: usize,
    },
    /// Need of a part that this engine was built without.
    NotBuilt(Part),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArenaTooSmall { needed, given } => write!(
                f,
                "the network needs an arena of {needed} bytes, {given} were given"
            ),
            Self::NotBuilt(part) => write!(
                f,
                "the network needs {part}; build the firmware with the feature `{}`",
                part.feature()
            ),
        }
    }
}

impl core::error::Error for EngineError {}

/// The inputs do not fit the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InputError {
    /// Wrong number of inputs.
    Count {
        /// Number that the network has.
        expected: usize,
        /// Number that the caller gave.
        found: usize,
    },
    /// An input of another length.
    Length {
        /// Index of the input.
        input: usize,
        /// Its length in the network, in bytes.
        expected: usize,
        /// The length that the caller gave.
        found: usize,
    },
    /// An event at a place that the input does not have, or at an input that the network does not have.
    Place {
        /// Index of the input.
        input: usize,
        /// Place that the caller gave.
        place: u16,
    },
    /// An event at an input that keeps its values until they are set again.
    Held {
        /// Index of the input.
        input: usize,
    },
    /// A byte above the largest that the network's bounds are proven for.
    Range {
        /// Index of the input.
        input: usize,
        /// The largest byte.
        max: u8,
        /// The byte that the caller gave.
        found: u8,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { expected, found } => {
                write!(f, "the network has {expected} inputs, {found} were given")
            }
            Self::Length {
                input,
                expected,
                found,
            } => write!(
                f,
                "input {input} has {expected} places, {found} values were given"
            ),
            Self::Place { input, place } => write!(f, "input {input} has no place {place}"),
            Self::Held { input } => write!(
                f,
                "input {input} keeps its values and takes no events; set it as a whole"
            ),
            Self::Range { input, max, found } => write!(
                f,
                "input {input} takes bytes up to {max}, one of {found} was given"
            ),
        }
    }
}

impl core::error::Error for InputError {}

/// A network at work: an image, the arena that holds its state, and the kernels that run it.
#[derive(Debug)]
pub struct Engine<'a, K = Native, const E: usize = 16, const C: usize = 24> {
    image: &'a Image<'a, E, C>,
    arena: &'a mut [u32],
    /// Steps since the last reset.
    taken: u16,
    /// `true` if an input has been set since the last reset.
    driven: bool,
    /// `true` if the network [is exact](tinyspike_shared::image::Description::is_exact).
    exact: bool,
    /// `true` if a part keeps what its inputs bring.
    keeps_currents: bool,
    kernels: PhantomData<K>,
}

/// Place of a network in its inference, while no engine holds its image and arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paused {
    taken: u16,
    driven: bool,
    exact: bool,
    keeps_currents: bool,
}

impl<'a, K, const E: usize, const C: usize> Engine<'a, K, E, C>
where
    K: Kernels<u16> + Kernels<u32>,
{
    /// Lets go of image and arena between two calls, so that both may move or have another owner meanwhile.
    #[must_use]
    pub fn pause(self) -> Paused {
        Paused {
            taken: self.taken,
            driven: self.driven,
            exact: self.exact,
            keeps_currents: self.keeps_currents,
        }
    }

    /// Takes up a network where [`pause`](Self::pause) has left it, with the same image and the same words of arena.
    /// With others it gives wrong numbers.
    ///
    /// # Errors
    /// The arena is smaller than [`Image::arena_bytes`].
    pub fn resume(
        image: &'a Image<'a, E, C>,
        arena: &'a mut [u32],
        paused: Paused,
    ) -> Result<Self, EngineError> {
        let Paused {
            taken,
            driven,
            exact,
            keeps_currents,
        } = paused;
        Ok(Self {
            image,
            arena: own_part(image, arena)?,
            taken,
            driven,
            exact: EXACT && exact,
            keeps_currents,
            kernels: PhantomData,
        })
    }

    /// Number of steps since the last reset; a network without end counts to 65,535.
    #[must_use]
    pub const fn taken(&self) -> u16 {
        self.taken
    }

    /// Readies a network, at rest.
    ///
    /// # Errors
    /// The arena is smaller than [`Image::arena_bytes`], or this engine was built without a
    /// [part](crate::parts) that the network needs.
    pub fn new(image: &'a Image<'a, E, C>, arena: &'a mut [u32]) -> Result<Self, EngineError> {
        if Parts::BUILT != Parts::ALL
            && let Some(part) = Parts::needed(image, NATIVE).beyond(Parts::BUILT)
        {
            return Err(EngineError::NotBuilt(part));
        }
        let mut engine = Self {
            image,
            arena: own_part(image, arena)?,
            taken: 0,
            driven: false,
            exact: EXACT && image.description().is_exact(),
            keeps_currents: keeps_currents(image),
            kernels: PhantomData,
        };
        engine.reset();
        Ok(engine)
    }

    /// Brings the network to rest: every potential where it starts, every sum and inbox zero, every input
    /// at its zero point. The steps of an inference begin again.
    pub fn reset(&mut self) {
        self.taken = 0;
        self.driven = false;
        let layout = self.image.layout();
        if layout.reuses {
            // Others rest when their first source fires.
            for c in &self.image.description().connections {
                if let (Pre::Input(_), Post::Ensemble(e)) = (c.pre, c.post) {
                    self.rest(e.into());
                }
            }
        } else {
            for index in 0..layout.ensembles.len() {
                self.rest(index);
            }
        }
        for area in &layout.outputs {
            self.clear(whole(area));
        }
        if EXACT && self.exact {
            self.clear(layout.inboxes() as usize..self.arena.len());
            if self.keeps_currents {
                self.settle_inputs();
            }
        }
    }

    /// Brings those ensembles to rest whose first source is the one of this index, and this one if it has no source.
    /// `earlier` are the connections of all sources before it, and lead forward.
    fn rest_targets(&mut self, index: u8, earlier: &[Connection], outgoing: &[Connection]) {
        let reached = |e: u8| earlier.iter().any(|c| c.post == Post::Ensemble(e));
        if !reached(index) {
            self.rest(index.into());
        }
        for c in outgoing {
            if let Post::Ensemble(e) = c.post
                && !reached(e)
            {
                self.rest(e.into());
            }
        }
    }

    fn clear(&mut self, range: Range<usize>) {
        if let Some(words) = self.arena.get_mut(range) {
            words.fill(0);
        }
    }

    /// Brings one ensemble to rest, without input.
    fn rest(&mut self, index: usize) {
        let image = self.image;
        let (Some(e), Some(area)) = (
            image.description().ensembles.get(index),
            image.layout().ensembles.get(index),
        ) else {
            return;
        };
        self.clear(current(area));
        let words = self.arena.get_mut(state(area)).unwrap_or(&mut []);
        if MAX_POOLING && e.pools() {
            words.fill(0);
            return;
        }
        if CURRENT_BASED && let Some(kind) = e.current_based() {
            return current_based::rest(image, e, kind, words);
        }
        if EXACT && self.exact && !e.is_direct() {
            exact::rest(image, e, words);
            return;
        }
        match e.width {
            Width::I16 => rest::<K, u16>(words, e, image.thresholds(e), image.biases(e)),
            Width::I32 if WIDE => rest::<K, u32>(words, e, image.thresholds(e), image.biases(e)),
            Width::I32 => {}
        }
    }

    /// Sets the input of a network that has one, and computes the current that it brings.
    ///
    /// # Errors
    /// As [`set_inputs`](Self::set_inputs).
    pub fn set_input(&mut self, input: &[u8]) -> Result<(), InputError> {
        self.set_inputs(&[input])
    }

    /// Sets all inputs, in the image's order, and computes the current that they bring. They stay
    /// until they are set again. Bytes of an input with a [`Coder`] are its samples, and become events here.
    ///
    /// # Errors
    /// [`InputError`] if the number of inputs or a length is not the network's, or a byte is above the
    /// largest that the input takes; nothing has changed then.
    pub fn set_inputs(&mut self, inputs: &[&[u8]]) -> Result<(), InputError> {
        self.set_inputs_probed(inputs, &mut ())
    }

    /// Sets all inputs, as [`set_inputs`](Self::set_inputs) does, and tells `probe` what was done for each.
    ///
    /// # Errors
    /// As [`set_inputs`](Self::set_inputs).
    pub fn set_inputs_probed(
        &mut self,
        inputs: &[&[u8]],
        probe: &mut impl Probe,
    ) -> Result<(), InputError> {
        let image = self.image;
        let network = image.description();
        if inputs.len() != network.inputs.len() {
            return Err(InputError::Count {
                expected: network.inputs.len(),
                found: inputs.len(),
            });
        }
        let coded = CURRENT_BASED && network.coder != Coder::None;
        for (index, (given, input)) in inputs.iter().zip(&network.inputs).enumerate() {
            if given.len() != input.size as usize {
                return Err(InputError::Length {
                    input: index,
                    expected: input.size as usize,
                    found: given.len(),
                });
            }
            if !coded && let Some(found) = above(given, input.max) {
                return Err(InputError::Range {
                    input: index,
                    max: input.max,
                    found,
                });
            }
            probe.done(Layer::Input(index));
        }
        if self.driven {
            self.clear_inputs();
        }
        if coded {
            coder::code(self, inputs, self.driven);
            probe.done(Layer::Input(0));
            self.driven = true;
            return Ok(());
        }
        self.driven = true;
        for c in &network.connections {
            let Pre::Input(index) = c.pre else { break };
            let index = usize::from(index);
            let (Some(values), Some(input)) = (inputs.get(index), network.inputs.get(index)) else {
                continue;
            };
            self.drive(c, values, input.zero_point);
            probe.done(Layer::Input(index));
        }
        if EXACT && self.exact && self.keeps_currents && self.settle_inputs() {
            probe.done(Layer::Input(inputs.len().saturating_sub(1)));
        }
        Ok(())
    }

    /// Adds an event to what an input of current-based neurons brings in the next step: so often its place, as a byte
    /// less the input's zero point. It costs its weights alone.
    ///
    /// # Errors
    /// [`InputError`], if there is no such place, if the count is more than the network's bounds are proven for, or if
    /// the input leads to other parts than current-based neurons; nothing has changed then. That the events of a step
    /// at one place are together no more than one may have is left to the caller; more give wrong numbers.
    pub fn push_event(&mut self, input: usize, place: u16, count: i16) -> Result<(), InputError> {
        let image = self.image;
        let network = image.description();
        let there = network.inputs.get(input);
        let there = there.filter(|i| u32::from(place) < i.size);
        let Some(properties) = there else {
            return Err(InputError::Place { input, place });
        };
        let zero = i16::from(properties.zero_point);
        let byte = zero.saturating_add(count);
        if byte > i16::from(properties.max) || byte < 0 {
            return Err(InputError::Range {
                input,
                max: properties.max,
                found: byte.clamp(0, u8::MAX.into()) as u8,
            });
        }
        let own = |c: &&Connection| matches!(c.pre, Pre::Input(i) if usize::from(i) == input);
        let mut connections = network.connections.iter().filter(own);
        if !CURRENT_BASED || !connections.all(|c| current_based_target(image, c.post).is_some()) {
            return Err(InputError::Held { input });
        }
        let event = Event {
            source: place,
            value: count,
        };
        for c in network.connections.iter().filter(own) {
            self.feed(c, &[event]);
        }
        Ok(())
    }

    /// Sends events of an input to current-based neurons.
    fn feed(&mut self, c: &Connection, events: &[Event]) {
        let image = self.image;
        if let (Some((e, _)), Some((area, ..))) =
            (current_based_target(image, c.post), target(image, c.post))
        {
            let words = self.arena.get_mut(state(area)).unwrap_or(&mut []);
            let words = words.get_mut(..e.neurons as usize).unwrap_or(&mut []);
            let shift = e.current_shift.unsigned_abs();
            deliver_shifted::<K, E, C>(image, c, events, shift, words);
        }
    }

    /// The whole state of a network without end, to be put aside, as through a deep sleep.
    #[must_use]
    pub fn state(&self) -> &[u32] {
        self.arena
    }

    /// Brings back a state that [`state`](Self::state) has given, of this image; `false`, and nothing has changed, if its
    /// length is another or the network has an end.
    pub fn restore(&mut self, state: &[u32]) -> bool {
        let fits = self.image.description().steps == 0 && state.len() == self.arena.len();
        if fits {
            self.arena.copy_from_slice(state);
            self.driven = true;
        }
        fits
    }

    /// Tells whether steps without events change nothing until the next event: a core may sleep for so long, and leave
    /// the steps out. Of networks with other parts than current-based neurons and outputs it tells `false`.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let image = self.image;
        let ensembles = image.description().ensembles.iter();
        ensembles.zip(&image.layout().ensembles).all(|(e, area)| {
            let state = self.arena.get(state(area)).unwrap_or(&[]);
            let kind = if CURRENT_BASED {
                e.current_based()
            } else {
                None
            };
            kind.is_some_and(|kind| current_based::is_idle(image, e, kind, state))
        })
    }

    /// Takes back what inputs have brought.
    fn clear_inputs(&mut self) {
        let image = self.image;
        let network = image.description();
        for c in &network.connections {
            let Pre::Input(_) = c.pre else { break };
            let Some((area, ..)) = target(image, c.post) else {
                continue;
            };
            if CURRENT_BASED && current_based_target(image, c.post).is_some() {
                // What inputs bring is gone after a step.
            } else if STEPS && area.has_current() {
                self.clear(current(area));
            } else if let Post::Ensemble(e) = c.post {
                self.rest(usize::from(e));
            } else {
                self.clear(state(area));
            }
        }
    }

    /// Adds the current that one connection brings from an input.
    fn drive(&mut self, c: &Connection, values: &[u8], zero_point: u8) {
        let image = self.image;
        if CURRENT_BASED && current_based_target(image, c.post).is_some() {
            in_buffers(nonzero(values, zero_point), |events| self.feed(c, events));
            return;
        }
        let weights = image.weights(c);
        let Some((area, width, shift)) = target(image, c.post) else {
            return;
        };
        let range = if STEPS && area.has_current() {
            current(area)
        } else {
            state(area)
        };
        let Some(words) = self.arena.get_mut(range) else {
            return;
        };
        let convolution = match &c.transform {
            Transform::Convolution(conv) if CONVOLUTIONS && c.source == SourceMap::Direct => conv,
            // Sums over a whole input stay undivided; parsing has made sure that 32 bits are there.
            Transform::Dense(dense) if INPUT_MATRICES && c.source == SourceMap::Direct => {
                let (first, outputs) = (dense.first as usize, dense.outputs as usize);
                let sums = words.get_mut(first..).unwrap_or(&mut []);
                return <K as Kernels<u32>>::drive_dense(
                    weights, outputs, values, zero_point, sums,
                );
            }
            // So do those that go event by event.
            _ if SOURCE_MAPS => {
                let mut sums = Values::Wide(words);
                in_buffers(nonzero(values, zero_point), |events| {
                    deliver::<K, E, C>(image, c, weights, events, &mut sums);
                });
                return;
            }
            _ => return,
        };
        match Values::of(words, width) {
            Values::Narrow(currents) => <K as Kernels<u16>>::drive_convolution(
                convolution,
                weights,
                values,
                zero_point,
                shift,
                currents,
            ),
            Values::Wide(currents) if WIDE => <K as Kernels<u32>>::drive_convolution(
                convolution,
                weights,
                values,
                zero_point,
                shift,
                currents,
            ),
            Values::Wide(_) => {}
        }
    }

    /// Runs one step through the whole network, and says whether it did: after as many steps as the
    /// image states it does nothing until the next reset, for the bounds of the potentials are proven
    /// for no more. A network without end always goes on.
    pub fn step(&mut self) -> bool {
        self.step_probed(&mut ())
    }

    /// Runs one step, as [`step`](Self::step) does, and shows its spikes and layers to `probe`.
    pub fn step_probed(&mut self, probe: &mut impl Probe) -> bool {
        let image = self.image;
        let network = image.description();
        if !network.goes_on(self.taken) {
            return false;
        }
        self.taken = self.taken.saturating_add(1);
        let more = STEPS && network.goes_on(self.taken);
        // At rest, potentials hold the bias of the first step.
        let first = !STEPS || self.taken == 1;
        let exact = EXACT && self.exact;
        if exact {
            self.charge_delayed(more, probe);
        }
        let layout = image.layout();
        // Connections from inputs come first; those of each ensemble follow in order.
        let mut rest = network.connections.as_slice();
        while let [
            Connection {
                pre: Pre::Input(_), ..
            },
            tail @ ..,
        ] = rest
        {
            rest = tail;
        }
        for (index, (e, area)) in (0u8..).zip(network.ensembles.iter().zip(&layout.ensembles)) {
            let count = rest
                .iter()
                .take_while(|c| c.pre.ensemble() == Some(index))
                .count();
            let earlier = network.connections.len() - rest.len();
            let (outgoing, tail) = rest.split_at_checked(count).unwrap_or((&[], &[]));
            rest = tail;
            let outgoing = Outgoing {
                image,
                ensemble: usize::from(index),
                connections: outgoing,
                exact,
            };
            let neurons = e.neurons as usize;
            if layout.reuses {
                let earlier = network.connections.get(..earlier).unwrap_or(&[]);
                self.rest_targets(index, earlier, outgoing.connections);
            }
            if CURRENT_BASED && let Some(kind) = e.current_based() {
                current_based::fire::<K, E, C>(e, kind, area, self.arena, &outgoing, probe);
                probe.done(Layer::Ensemble(usize::from(index)));
                continue;
            }
            let Some((own, later)) = cut(self.arena, area) else {
                continue;
            };
            if MAX_POOLING && e.pools() {
                pool::fire::<K, E, C>(e, own.state, &outgoing, later, probe);
            } else if exact && !e.is_direct() {
                exact::fire::<K, E, C>(e, own, &outgoing, later, more, probe);
            } else {
                let currents = own.currents;
                let population = match Values::of(own.state, e.width) {
                    Values::Narrow(potentials) => Neurons::Narrow(Population {
                        potentials: potentials.get_mut(..neurons).unwrap_or_default(),
                        currents: bytemuck::cast_slice(currents),
                        bias: if first { &[] } else { image.biases(e) },
                        threshold: image.thresholds(e),
                        max_count: e.max_count,
                        more,
                    }),
                    Values::Wide(_) if !WIDE => continue,
                    Values::Wide(potentials) => Neurons::Wide(Population {
                        potentials: potentials.get_mut(..neurons).unwrap_or_default(),
                        currents,
                        bias: if first { &[] } else { image.biases(e) },
                        threshold: image.thresholds(e),
                        max_count: e.max_count,
                        more,
                    }),
                };
                fire::<K, E, C>(population, neurons, &outgoing, later, probe);
            }
            if exact && network.steps == 0 {
                self.saturate(e, area);
            }
            probe.done(Layer::Ensemble(usize::from(index)));
        }
        for (at, (o, area)) in network.outputs.iter().zip(&layout.outputs).enumerate() {
            if exact && !o.sums_up() {
                self.show(o, area, false);
                probe.done(Layer::Output(at));
                continue;
            }
            let Some((own, _)) = cut(self.arena, area) else {
                continue;
            };
            let sums: &mut [i32] = bytemuck::try_cast_slice_mut(own.state).unwrap_or_default();
            for (sum, bias) in sums.iter_mut().zip(image.output_biases(o)) {
                *sum = sum.wrapping_add(*bias);
            }
            for (sum, current) in sums
                .iter_mut()
                .zip(bytemuck::try_cast_slice(own.currents).unwrap_or_default())
            {
                *sum = sum.wrapping_add(*current);
            }
            probe.done(Layer::Output(at));
        }
        true
    }

    /// Steps to the end of an inference, shows its spikes to `probe`, and returns how many steps it
    /// took since the last reset: the image's, or fewer if the outputs are [decided](Self::decided)
    /// early. A network without end takes one step, and counts to 65,535.
    pub fn infer(&mut self, probe: &mut impl Probe) -> u16 {
        let endless = self.image.description().steps == 0;
        while self.step_probed(probe) && !self.decided() && !endless {}
        self.taken
    }

    /// Tells whether more steps on the same input change nothing: every output has an exit margin, and its
    /// largest value leads by it.
    #[must_use]
    pub fn decided(&self) -> bool {
        let outputs = &self.image.description().outputs;
        outputs
            .iter()
            .enumerate()
            .all(|(at, o)| o.exit_margin > 0 && self.output(at).margin() >= o.exit_margin)
    }

    /// The values that an output shows, or has summed up since the last reset; empty if there is no such output.
    #[must_use]
    pub fn output(&self, index: usize) -> Output<'_> {
        let image = self.image;
        let o = image.description().outputs.get(index);
        let area = image.layout().outputs.get(index);
        let sums = area
            .zip(o)
            .and_then(|(area, o)| {
                let from = area.state as usize;
                self.arena.get(from..from.checked_add(o.size as usize)?)
            })
            .unwrap_or(&[]);
        Output {
            sums: bytemuck::try_cast_slice(sums).unwrap_or_default(),
            multiplier: o.map_or(&[], |o| image.multipliers(o)),
            shift: o.map_or(0, |o| o.shift),
            scale: o.map_or(
                tinyspike_shared::fixed::Scale {
                    mantissa: 1,
                    exponent: 0,
                },
                |o| o.scale,
            ),
            steps: match o.is_none_or(tinyspike_shared::image::Output::sums_up) {
                true => self.taken,
                false => 1,
            },
        }
    }

    /// V - θ of a neuron (V of a LIF neuron), for a debugger's eye; `None` if there is no such neuron, or it pools.
    /// At rest it holds the bias of the first step already, if events reach the ensemble directly;
    /// after the last step it need not be kept. In a network of one step that reuses memory it is there from when the first
    /// source of its ensemble has fired until the ensemble does.
    #[must_use]
    pub fn potential(&self, ensemble: usize, neuron: usize) -> Option<i32> {
        let e = self.image.description().ensembles.get(ensemble)?;
        let area = self.image.layout().ensembles.get(ensemble)?;
        let words = self.arena.get(state(area))?;
        if neuron >= e.neurons as usize || e.pools() {
            return None;
        }
        match e.width {
            Width::I16 => bytemuck::try_cast_slice::<u32, u16>(words)
                .unwrap_or_default()
                .get(neuron)
                .map(|v| v.value()),
            Width::I32 if CURRENT_BASED && let Some(kind) = e.current_based() => {
                let at = kind.potentials(e.neurons as usize).checked_add(neuron)?;
                words.get(at).map(|v| *v as i32)
            }
            Width::I32 if EXACT => {
                let stored = words.get(neuron).copied();
                stored.map(|stored| e.neuron.potential(stored))
            }
            Width::I32 => words.get(neuron).map(|v| v.value()),
        }
    }
}

/// Tells whether a part keeps what its inputs bring.
fn keeps_currents<const E: usize, const C: usize>(image: &Image<'_, E, C>) -> bool {
    let layout = image.layout();
    let mut areas = layout.ensembles.iter().chain(&layout.outputs);
    areas.any(Area::has_current)
}

/// The words of an arena that an image takes.
fn own_part<'a, const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    arena: &'a mut [u32],
) -> Result<&'a mut [u32], EngineError> {
    let needed = image.arena_bytes();
    let given = core::mem::size_of_val(arena);
    arena
        .get_mut(..needed / 4)
        .ok_or(EngineError::ArenaTooSmall { needed, given })
}

/// The first byte above `max`.
fn above(bytes: &[u8], max: u8) -> Option<u8> {
    if max == u8::MAX {
        return None;
    }
    // Most inputs take every byte that has no more bits than the largest: whole words of them are passed at once.
    if max & max.wrapping_add(1) == 0 {
        let others = u32::from_ne_bytes([!max; 4]);
        let (before, words, behind) = bytemuck::pod_align_to::<u8, u32>(bytes);
        let bits = words.iter().fold(0, |bits, word| bits | word);
        let ends = before
            .iter()
            .chain(behind)
            .fold(0, |bits, byte| bits | byte);
        if bits & others == 0 && ends & !max == 0 {
            return None;
        }
    }
    bytes.iter().copied().find(|&byte| byte > max)
}

fn whole(area: &Area) -> Range<usize> {
    area.current as usize..area.end as usize
}

fn state(area: &Area) -> Range<usize> {
    area.state as usize..area.end as usize
}

fn current(area: &Area) -> Range<usize> {
    area.current as usize..area.state as usize
}

/// Puts every potential at half its threshold.
fn rest<K: Kernels<P>, P: Potential>(
    words: &mut [u32],
    e: &Ensemble,
    threshold: &[P::Param],
    bias: &[P::Param],
) {
    let potentials: &mut [P] = bytemuck::try_cast_slice_mut(words).unwrap_or_default();
    let potentials = potentials.get_mut(..e.neurons as usize).unwrap_or(&mut []);
    for ((v, &threshold), &bias) in potentials.iter_mut().zip(threshold).zip(bias) {
        let threshold: i32 = threshold.into();
        *v = P::store((threshold / 2 - threshold).wrapping_add(bias.into()));
    }
    K::repeat(potentials, threshold.len());
}

/// The current-based neurons that a connection leads to.
fn current_based_target<'a, const E: usize, const C: usize>(
    image: &'a Image<'_, E, C>,
    post: Post,
) -> Option<(&'a Ensemble, CubaLif)> {
    let Post::Ensemble(e) = post else {
        return None;
    };
    let e = image.description().ensembles.get(usize::from(e))?;
    Some((e, e.current_based()?))
}

/// Area and width of a target, and the bits by which kernels divide an input's currents over a convolution.
fn target<'a, const E: usize, const C: usize>(
    image: &'a Image<'_, E, C>,
    post: Post,
) -> Option<(&'a Area, Width, u8)> {
    let network = image.description();
    let layout = image.layout();
    match post {
        Post::Ensemble(e) => {
            let ensemble = network.ensembles.get(usize::from(e))?;
            let shift = if ensemble.is_direct() {
                ensemble.current_shift.unsigned_abs()
            } else {
                0
            };
            let area = layout.ensembles.get(usize::from(e))?;
            Some((area, ensemble.width, shift))
        }
        Post::Output(o) => Some((layout.outputs.get(usize::from(o))?, Width::I32, 0)),
    }
}

/// The part of the arena behind an ensemble, where all inboxes lie and, unless memory is reused, all its targets; and the part
/// before it.
struct Later<'a> {
    before: &'a mut [u32],
    words: &'a mut [u32],
    /// Start in the arena, in words.
    start: usize,
}

impl Later<'_> {
    /// Words by their places in the whole arena.
    fn range(&mut self, range: Range<usize>) -> &mut [u32] {
        if range.end <= self.before.len() {
            return self.before.get_mut(range).unwrap_or(&mut []);
        }
        let (Some(from), Some(to)) = (
            range.start.checked_sub(self.start),
            range.end.checked_sub(self.start),
        ) else {
            return &mut [];
        };
        self.words.get_mut(from..to).unwrap_or(&mut [])
    }

    /// Words from a place in the whole arena on.
    fn from(&mut self, start: usize) -> &mut [u32] {
        let from = start.wrapping_sub(self.start);
        self.words.get_mut(from..).unwrap_or(&mut [])
    }
}

/// The state of an ensemble or an output.
struct Own<'a> {
    /// The current of its inputs; empty if none is kept.
    currents: &'a [u32],
    state: &'a mut [u32],
    /// Start of its inbox in the arena, in words.
    inbox: usize,
}

/// The state of a part, and what lies behind it.
fn cut<'a>(arena: &'a mut [u32], area: &Area) -> Option<(Own<'a>, Later<'a>)> {
    let start = area.end as usize;
    let (own, words) = arena.split_at_mut_checked(start)?;
    let (rest, state) = own.split_at_mut_checked(area.state as usize)?;
    let (before, currents) = rest.split_at_mut_checked(area.current as usize)?;
    let own = Own {
        currents,
        state,
        inbox: area.inbox as usize,
    };
    let later = Later {
        before,
        words,
        start,
    };
    Some((own, later))
}

/// Connections over which an ensemble's spikes go.
struct Outgoing<'a, const E: usize, const C: usize> {
    image: &'a Image<'a, E, C>,
    ensemble: usize,
    connections: &'a [Connection],
    /// `true` if the network is exact.
    exact: bool,
}

impl<const E: usize, const C: usize> Outgoing<'_, E, C> {
    /// Sends events over all connections.
    fn send<K>(&self, events: &Events, later: &mut Later<'_>)
    where
        K: Kernels<u16> + Kernels<u32>,
    {
        for c in self.connections {
            if DENSE && (matches!(c.pre, Pre::Counts(_)) || self.sums(c).is_some()) {
                continue;
            }
            if CURRENT_BASED
                && let Some((e, kind)) = current_based_target(self.image, c.post)
                && let Some((area, ..)) = target(self.image, c.post)
            {
                let words = later.range(state(area));
                let words = words.get_mut(..e.neurons as usize).unwrap_or(&mut []);
                deliver_shifted::<K, E, C>(self.image, c, events, kind.event_shift, words);
                continue;
            }
            if EXACT
                && self.exact
                && let Some((words, shift)) = exact::inbox(self.image, c, later)
            {
                deliver_shifted::<K, E, C>(self.image, c, events, shift, words);
                continue;
            }
            let Some((area, width, _)) = target(self.image, c.post) else {
                continue;
            };
            let weights = self.image.weights(c);
            let mut values = Values::of(later.range(state(area)), width);
            deliver::<K, E, C>(self.image, c, weights, events, &mut values);
        }
    }
}

/// A population of whichever width.
enum Neurons<'a> {
    Narrow(Population<'a, u16>),
    Wide(Population<'a, u32>),
}

impl Neurons<'_> {
    /// The bytes of all potentials.
    fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::Narrow(p) => bytemuck::cast_slice_mut(p.potentials),
            Self::Wide(p) => bytemuck::cast_slice_mut(p.potentials),
        }
    }
}

/// Updates a population and sends its spikes on, a buffer at a time.
fn fire<K, const E: usize, const C: usize>(
    mut population: Neurons<'_>,
    neurons: usize,
    outgoing: &Outgoing<'_, E, C>,
    mut later: Later<'_>,
    probe: &mut impl Probe,
) where
    K: Kernels<u16> + Kernels<u32>,
{
    match &mut population {
        Neurons::Narrow(p) if STEPS && p.receives() => K::settle(p),
        Neurons::Wide(p) if STEPS && WIDE && p.receives() => K::settle(p),
        _ => {}
    }
    let dense = DENSE && outgoing.takes_counts();
    if dense && <K as Kernels<u16>>::COUNTS && outgoing.takes_counts_alone() {
        match &mut population {
            Neurons::Narrow(p) => K::fire_counts(p),
            Neurons::Wide(p) if WIDE => K::fire_counts(p),
            Neurons::Wide(_) => return,
        }
        counts::show(population.bytes(), neurons, outgoing.ensemble, probe);
        counts::send::<K, E, C>(population.bytes(), neurons, outgoing, &mut later);
        return;
    }
    let mut events = Events::new();
    let mut next = 0;
    while next < neurons {
        events.clear();
        let reached = match &mut population {
            Neurons::Narrow(p) => K::fire(p, next, &mut events),
            Neurons::Wide(p) if WIDE => K::fire(p, next, &mut events),
            Neurons::Wide(_) => break,
        };
        if reached <= next {
            break;
        }
        if dense {
            counts::note(population.bytes(), next..reached, &events);
        }
        next = reached;
        if events.is_empty() {
            continue;
        }
        probe.spikes(outgoing.ensemble, &events);
        outgoing.send::<K>(&events, &mut later);
    }
    if dense {
        counts::send::<K, E, C>(population.bytes(), neurons, outgoing, &mut later);
    }
}

/// Sends events over a connection into wide words, each value times 2^`shift`. It is not inlined, so that networks
/// without such words pay no stack for its buffer.
#[inline(never)]
fn deliver_shifted<K, const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    c: &Connection,
    events: &[Event],
    shift: u8,
    words: &mut [u32],
) where
    K: Kernels<u16> + Kernels<u32>,
{
    let weights = image.weights(c);
    if let (SourceMap::Direct, Transform::Dense(dense)) = (&c.source, &c.transform)
        && dense.outputs > 0
    {
        let (first, outputs) = (dense.first as usize, dense.outputs as usize);
        let post = words.get_mut(first..first.saturating_add(outputs));
        return K::dense(weights, outputs, events, shift, post.unwrap_or(&mut []));
    }
    shift_and_deliver::<K, E, C>(image, c, weights, events, shift, words);
}

/// Sends events, each value times 2^`shift`, over a connection that is no plain matrix. It is not inlined, so that
/// others pay no stack for its buffer.
#[inline(never)]
fn shift_and_deliver<K, const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    c: &Connection,
    weights: Weights<'_>,
    events: &[Event],
    shift: u8,
    words: &mut [u32],
) where
    K: Kernels<u16> + Kernels<u32>,
{
    let mut values = Values::Wide(words);
    if shift == 0 {
        return deliver::<K, E, C>(image, c, weights, events, &mut values);
    }
    let mut shifted = Events::new();
    for event in events {
        // There is room: events come in buffers of this size.
        let _ = shifted.push(Event {
            source: event.source,
            value: event.value.wrapping_shl(shift.into()),
        });
    }
    deliver::<K, E, C>(image, c, weights, &shifted, &mut values);
}

/// Sends events over a connection, through the map of its source.
fn deliver<K, const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    c: &Connection,
    weights: Weights<'_>,
    events: &[Event],
    post: &mut Values<'_>,
) where
    K: Kernels<u16> + Kernels<u32>,
{
    match &c.source {
        SourceMap::Direct => scatter::<K>(c, weights, events, post),
        SourceMap::Window(window) if SOURCE_MAPS => {
            let seen = events.iter().flat_map(|event| {
                let value = event.value;
                let places = window.places(event.source);
                places.map(move |source| Event { source, value })
            });
            in_buffers(seen, |events| scatter::<K>(c, weights, events, post));
        }
        SourceMap::Table(table) if SOURCE_MAPS => {
            let table = image.table(*table);
            let seen = events.iter().filter_map(|event| {
                let source = *table.get(usize::from(event.source))?;
                let value = event.value;
                (source != NOWHERE).then_some(Event { source, value })
            });
            in_buffers(seen, |events| scatter::<K>(c, weights, events, post));
        }
        _ => {}
    }
}

/// The events of an input: a place for each byte that is not the zero point.
fn nonzero(values: &[u8], zero_point: u8) -> impl Iterator<Item = Event> {
    (0..=u16::MAX)
        .zip(values)
        .filter_map(move |(source, &byte)| {
            let value = i16::from(byte) - i16::from(zero_point);
            (value != 0).then_some(Event { source, value })
        })
}

/// Hands events over, a buffer at a time.
fn in_buffers(events: impl Iterator<Item = Event>, mut hand_over: impl FnMut(&[Event])) {
    let mut buffer = Events::new();
    events.for_each(|event| {
        // There is room: the buffer is emptied when it is full.
        let _ = buffer.push(event);
        if buffer.is_full() {
            hand_over(&buffer);
            buffer.clear();
        }
    });
    if !buffer.is_empty() {
        hand_over(&buffer);
    }
}

/// Sends events that name places of the transform's source.
fn scatter<K>(c: &Connection, weights: Weights<'_>, events: &[Event], post: &mut Values<'_>)
where
    K: Kernels<u16> + Kernels<u32>,
{
    match &c.transform {
        Transform::Dense(dense) if MAX_POOLING && dense.outputs == 0 => {
            for event in events {
                post.add(event.source.into(), event.value.into());
            }
        }
        Transform::Dense(dense) => {
            let (first, outputs) = (dense.first as usize, dense.outputs as usize);
            match post.part(first..first.saturating_add(outputs)) {
                Values::Narrow(post) => K::dense(weights, outputs, events, 0, post),
                Values::Wide(post) => K::dense(weights, outputs, events, 0, post),
            }
        }
        Transform::Convolution(conv) if CONVOLUTIONS => match post {
            Values::Narrow(post) => K::convolution(conv, weights, events, post),
            Values::Wide(post) if WIDE => K::convolution(conv, weights, events, post),
            Values::Wide(_) => {}
        },
        Transform::Convolution(_) => {}
    }
}
