//! The step of parts that are more than integrate-and-fire neurons and sums.
//!
//! An inbox with a delay shows what it held at the end of the step before. So its part is charged, and the inbox
//! goes on, before any ensemble fires: whatever fires in this step, before or behind its target, adds to what the
//! inbox shows in the next.
//!
//! Nothing here is inlined, so that networks without such parts pay neither time nor stack for it.

use tinyspike_shared::fixed::shifted;
use tinyspike_shared::image::{
    Area, Connection, Drive, Ensemble, Image, Initial, Neurons, Output, Passing, Post, Readout,
    Synapse,
};

use super::{Engine, Later, Layer, Outgoing, Own, Probe, current, cut, state};
use crate::kernels::{Events, Kernels, Population, Potential, Values};

impl<K, const E: usize, const C: usize> Engine<'_, K, E, C>
where
    K: Kernels<u16> + Kernels<u32>,
{
    /// Makes the currents that parts receive in every step out of what their inputs bring, and says whether
    /// there are such parts.
    #[inline(never)]
    pub(super) fn settle_inputs(&mut self) -> bool {
        let image = self.image;
        let network = image.description();
        let layout = image.layout();
        let mut exact = false;
        for (e, area) in network.ensembles.iter().zip(&layout.ensembles) {
            if e.is_direct() || e.pools() || e.current_based().is_some() {
                continue;
            }
            exact = true;
            let alone = e.inbox.is_none();
            let bias = image.biases(e);
            self.settle(area, bias, e.current_shift, |current| match alone {
                true => e.neuron.settle(current),
                false => current,
            });
        }
        for (o, area) in network.outputs.iter().zip(&layout.outputs) {
            if !o.sums_up() {
                exact = true;
                let bias = image.output_biases(o);
                self.settle(area, bias, o.current_shift, |current| current);
            }
        }
        // What is there now must go before other inputs come.
        self.driven |= exact;
        exact
    }

    /// Makes the currents of a part; `settled` is what becomes of each.
    fn settle(&mut self, area: &Area, bias: &[i32], shift: i8, settled: impl Fn(i32) -> i32) {
        let words = self.arena.get_mut(current(area)).unwrap_or(&mut []);
        for words in words.chunks_mut(bias.len().max(1)) {
            for (word, bias) in words.iter_mut().zip(bias) {
                let current = shifted(*word as i32, shift).wrapping_add(*bias);
                *word = settled(current) as u32;
            }
        }
    }

    /// Starts a step: every part whose inbox is delayed takes up what that shows.
    #[inline(never)]
    pub(super) fn charge_delayed(&mut self, more: bool, probe: &mut impl Probe) {
        let image = self.image;
        let network = image.description();
        let layout = image.layout();
        let ensembles = network.ensembles.iter().zip(&layout.ensembles);
        for (at, (e, area)) in ensembles.enumerate() {
            if is_delayed(e)
                && let Some((mut own, mut later)) = cut(self.arena, area)
            {
                charge::<K, E, C>(image, e, &mut own, &mut later, more);
                probe.done(Layer::Ensemble(at));
            }
        }
        for (at, (o, area)) in network.outputs.iter().zip(&layout.outputs).enumerate() {
            if o.inbox.is_some() {
                self.show(o, area, true);
                probe.done(Layer::Output(at));
            }
        }
    }

    /// Shows the values of an output, at the start of a step if they are delayed, else at its end. At the start
    /// its inbox goes on.
    #[inline(never)]
    pub(super) fn show(&mut self, o: &Output, area: &Area, start: bool) {
        if let Some(inbox) = o.inbox
            && start
            && inbox.synapse == Synapse::Through
            && o.readout == (Readout::Shown { delayed: false })
        {
            // It has been shown when the step before ended.
            let from = area.inbox as usize;
            self.clear(from..from.saturating_add(o.size as usize));
            return;
        }
        let bias = self.image.output_biases(o);
        let delayed = o.inbox.is_some() && o.readout == Readout::Shown { delayed: true };
        let Some((own, mut later)) = cut(self.arena, area) else {
            return;
        };
        let currents = currents_or(own.currents, bias);
        let mut inbox = Passing::of(o.inbox, later.from(own.inbox), o.size as usize);
        if delayed == start {
            inbox.read_out(own.state, currents);
        }
        if start {
            inbox.advance(own.state, currents, |_, _| ());
        }
    }

    /// Ends an ensemble's update in a network without end: no potential leaves its limits.
    #[inline(never)]
    pub(super) fn saturate(&mut self, e: &Ensemble, area: &Area) {
        let words = self.arena.get_mut(state(area)).unwrap_or(&mut []);
        let limits = e.potential_min..=e.potential_max;
        match Values::of(words, e.width) {
            Values::Narrow(potentials) => {
                for v in potentials {
                    *v = u16::store(v.value().min(*limits.end()).max(*limits.start()));
                }
            }
            Values::Wide(state) => e.neuron.saturate(state, limits),
        }
    }
}

/// Brings an ensemble to rest.
#[inline(never)]
pub(super) fn rest<const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    e: &Ensemble,
    state: &mut [u32],
) {
    let half = match e.initial {
        Initial::Half => 1 << 15,
        _ => 0,
    };
    let neurons = neurons(image, e, state);
    e.neuron.rest(neurons, image.shares(e), half);
}

/// Updates an ensemble, and sends its spikes on.
#[inline(never)]
pub(super) fn fire<K, const E: usize, const C: usize>(
    e: &Ensemble,
    mut own: Own<'_>,
    outgoing: &Outgoing<'_, E, C>,
    mut later: Later<'_>,
    more: bool,
    probe: &mut impl Probe,
) where
    K: Kernels<u16> + Kernels<u32>,
{
    let image = outgoing.image;
    // What is delayed has been charged when the step began.
    if !is_delayed(e) {
        charge::<K, E, C>(image, e, &mut own, &mut later, more);
    }
    let mut neurons = neurons(image, e, own.state);
    let by_kernels = e.neuron.fires_above();
    let mut events = Events::new();
    let mut next = 0;
    while next < neurons.count {
        events.clear();
        let reached = if by_kernels {
            K::fire(&mut population(&mut neurons, &[], more), next, &mut events)
        } else {
            e.neuron.fire(&mut neurons, next, &mut events)
        };
        if reached <= next {
            break;
        }
        next = reached;
        if !events.is_empty() {
            probe.spikes(outgoing.ensemble, &events);
            outgoing.send::<K>(&events, &mut later);
        }
    }
}

/// Adds a step's current to an ensemble's neurons; its inbox goes on.
#[inline(never)]
fn charge<K, const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    e: &Ensemble,
    own: &mut Own<'_>,
    later: &mut Later<'_>,
    more: bool,
) where
    K: Kernels<u16> + Kernels<u32>,
{
    let mut neurons = neurons(image, e, own.state);
    if e.inbox.is_none() && !own.currents.is_empty() && e.neuron.adds() {
        return K::settle(&mut population(&mut neurons, own.currents, more));
    }
    let drive = Drive {
        currents: currents_or(own.currents, image.biases(e)),
        inbox: Passing::of(e.inbox, later.from(own.inbox), neurons.count),
    };
    e.neuron.charge(&mut neurons, drive);
}

/// The inbox to which a connection leads, and the bits by which it counts events finer; `None` if there is none.
#[inline(never)]
pub(super) fn inbox<'w, const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    c: &Connection,
    later: &'w mut Later<'_>,
) -> Option<(&'w mut [u32], u8)> {
    let (network, layout) = (image.description(), image.layout());
    let post = match c.post {
        Post::Ensemble(e) => {
            let ensemble = network.ensembles.get(usize::from(e));
            let part = ensemble.map(|e| (e.inbox, e.neurons));
            part.zip(layout.ensembles.get(usize::from(e)))
        }
        Post::Output(o) => {
            let output = network.outputs.get(usize::from(o));
            let part = output.map(|o| (o.inbox, o.size));
            part.zip(layout.outputs.get(usize::from(o)))
        }
    };
    let ((inbox, size), area) = post?;
    let words = later.from(area.inbox as usize);
    let words = words.get_mut(..size as usize).unwrap_or(&mut []);
    Some((words, inbox?.fraction))
}

fn is_delayed(e: &Ensemble) -> bool {
    e.inbox.is_some_and(|inbox| inbox.synapse.is_delayed())
}

/// The currents that are kept for each neuron, or if there are none, the biases.
fn currents_or<'a>(kept: &'a [u32], bias: &'a [i32]) -> &'a [i32] {
    if kept.is_empty() {
        bias
    } else {
        bytemuck::cast_slice(kept)
    }
}

/// The neurons of an ensemble, with what its image says of them.
pub(super) fn neurons<'a, const E: usize, const C: usize>(
    image: &Image<'a, E, C>,
    e: &Ensemble,
    state: &'a mut [u32],
) -> Neurons<'a> {
    Neurons {
        state,
        count: e.neurons as usize,
        threshold: image.thresholds(e),
        max_count: e.max_count,
        constants: image.constants(e),
    }
}

/// The neurons as kernels see them.
fn population<'a>(
    neurons: &'a mut Neurons<'_>,
    currents: &'a [u32],
    more: bool,
) -> Population<'a, u32> {
    Population {
        potentials: neurons.state,
        currents,
        bias: &[],
        threshold: neurons.threshold,
        max_count: neurons.max_count,
        more,
    }
}
