//! The arena map: where the engine keeps its state.
//!
//! The arena is a slice of 32-bit words. Each ensemble in turn has an area for the current of its inputs (if an
//! input feeds it and the current is needed again) and one for the state of its neurons; then come the outputs'
//! currents and sums, then all inboxes, then what a coder keeps. An ensemble's area lies before those of all targets that its events
//! reach directly, and before all inboxes, so that a slice can be split between them.
//!
//! A network of one step that is not exact reuses memory, unless its image states the size of an arena that does not.
//! An ensemble's state is needed from when its first source fires, or from the start if an input reaches it, until it
//! has fired itself. One after another takes the first place that nothing else needs at the same time, in order or the
//! largest first; outputs are needed all the time, and come last. The arena's size tells which of both it is: the smaller
//! one, and in order if they are equal.

use heapless::Vec;

use super::description::{Description, Ensemble, MAX_OUTPUTS, Network, Output, Post, Pre, Width};
use super::inbox::Inbox;
use super::neuron::Neuron;

/// A run of values in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Area {
    /// Start of the input current, in words.
    pub current: u32,
    /// Start of the neurons' state (or the sums), in words. The current, if there is one, ends here.
    pub state: u32,
    /// Start of the next area, in words.
    pub end: u32,
    /// Start of the inbox, in words; 0 if there is none.
    pub inbox: u32,
}

impl Area {
    /// Tells whether it keeps the current of its inputs.
    #[must_use]
    pub const fn has_current(&self) -> bool {
        self.state > self.current
    }

    /// Bytes of the area and of an inbox for so many neurons or values.
    pub(super) fn ram(&self, inbox: Option<Inbox>, size: u32) -> u32 {
        let inbox = inbox.map_or(0, |inbox| size * inbox.synapse.words());
        4 * (self.end - self.current + inbox)
    }
}

/// The areas of all ensembles and outputs.
#[derive(Clone, Debug, Default)]
pub struct Layout<const E: usize> {
    /// Area of each ensemble.
    pub ensembles: Vec<Area, E>,
    /// Area of each output.
    pub outputs: Vec<Area, MAX_OUTPUTS>,
    /// Start of the coder's state, in words; it ends with the arena.
    pub coder: u32,
    /// `true` if areas that are not needed at the same time may overlap: an ensemble is brought to rest when its first
    /// source fires.
    pub reuses: bool,
}

/// Placing of ensembles in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placing {
    /// One behind another.
    Apart,
    /// One by one in their order, beside those that are needed at the same time.
    InOrder,
    /// The same, the largest first.
    LargestFirst,
}

impl<const E: usize> Layout<E> {
    /// The length of a network's arena in bytes; `None` if it exceeds 32-bit addresses.
    #[must_use]
    pub fn arena_bytes<const C: usize>(network: &Description<'_, E, C>) -> Option<u32> {
        let network = network.network();
        let of = |placing| Self::default().fill(&network, placing);
        if !network.may_reuse() {
            return of(Placing::Apart);
        }
        of(Placing::InOrder)?.min(of(Placing::LargestFirst)?).into()
    }

    /// Fills the layout with a network's, and returns the arena's length in bytes.
    pub(super) fn fill(&mut self, network: &Network<'_>, placing: Placing) -> Option<u32> {
        self.reuses = placing != Placing::Apart;
        self.ensembles.clear();
        self.outputs.clear();
        let (ensembles, outputs) = (self.ensembles.as_mut_view(), self.outputs.as_mut_view());
        let mut place = Place { network, next: 0 };
        let mut times: Vec<Option<[u16; 2]>, E> = Vec::new();
        for (index, e) in (0u8..).zip(network.ensembles) {
            ensembles
                .push(place.ensemble(e, Post::Ensemble(index))?)
                .ok()?;
            if self.reuses {
                times.push(None).ok()?;
                place.next = 0;
            }
        }
        let times = times.as_mut_slice();
        for next in 0..times.len() {
            let next = match placing {
                Placing::LargestFirst => largest(times, ensembles)?,
                _ => next,
            };
            let time = needed(network, next as u8);
            let area = lowest(times, ensembles, time, *ensembles.get(next)?)?;
            *ensembles.get_mut(next)? = area;
            *times.get_mut(next)? = Some(time);
        }
        place.next = ensembles.iter().fold(place.next, |end, a| end.max(a.end));
        for (index, o) in (0u8..).zip(network.outputs) {
            let area = place.output(o, Post::Output(index))?;
            outputs.push(area).ok()?;
        }
        if cfg!(feature = "exact") {
            for (area, e) in ensembles.iter_mut().zip(network.ensembles) {
                area.inbox = place.inbox(e.inbox, e.neurons)?;
            }
            for (area, o) in outputs.iter_mut().zip(network.outputs) {
                area.inbox = place.inbox(o.inbox, o.size)?;
            }
        }
        self.coder = place.next;
        if cfg!(feature = "current-based") {
            let places = network.inputs.first().map_or(0, |input| input.size);
            place.take(network.coder.words(places))?;
        }
        place.next.checked_mul(4)
    }

    /// Start of the inboxes of all parts, in words; the coder's state follows them.
    #[must_use]
    pub fn inboxes(&self) -> u32 {
        match (self.outputs.last(), self.ensembles.last()) {
            (Some(area), _) | (None, Some(area)) => area.end,
            (None, None) => 0,
        }
    }
}

/// The times at which an ensemble's state is needed: when its first source fires, or 0 for what inputs bring; and when it
/// fires itself, which the ensemble of index i does at i + 1.
fn needed(network: &Network<'_>, index: u8) -> [u16; 2] {
    let fires = u16::from(index) + 1;
    let mut connections = network.connections.iter();
    let first = connections.find(|c| c.post == Post::Ensemble(index));
    let from = first.map_or(fires, |c| c.pre.ensemble().map_or(0, |e| u16::from(e) + 1));
    [from, fires]
}

/// The first of the largest ensembles that have no time and place yet.
fn largest(times: &[Option<[u16; 2]>], areas: &[Area]) -> Option<usize> {
    let mut largest: Option<(usize, u32)> = None;
    for (at, (time, area)) in times.iter().zip(areas).enumerate() {
        if time.is_none() && largest.is_none_or(|(_, words)| area.end > words) {
            largest = Some((at, area.end));
        }
    }
    largest.map(|(at, _)| at)
}

/// The lowest place for an ensemble, whose area starts at 0, beside those with a time that are needed while it is.
fn lowest(
    times: &[Option<[u16; 2]>],
    areas: &[Area],
    [from, to]: [u16; 2],
    mut area: Area,
) -> Option<Area> {
    let words = area.end;
    // Each round leaves one more of the others behind.
    for _ in 0..=areas.len() {
        let mut others = times.iter().zip(areas);
        let in_the_way = others.find(|(time, placed)| {
            let at_once = time.is_some_and(|[begins, ends]| begins <= to && from <= ends);
            at_once && placed.current < area.end && area.current < placed.end
        });
        let Some((_, placed)) = in_the_way else {
            return Some(area);
        };
        area.current = placed.end;
        area.state = placed.end;
        area.end = placed.end.checked_add(words)?;
        area.end.checked_mul(4)?;
    }
    None
}

/// Start of the next area.
struct Place<'n> {
    network: &'n Network<'n>,
    /// Next free word.
    next: u32,
}

impl Place<'_> {
    fn ensemble(&mut self, e: &Ensemble, post: Post) -> Option<Area> {
        let words = match e.width {
            Width::I16 => e.neurons.div_ceil(2),
            Width::I32 => e.neurons,
        };
        let state = match e.neuron {
            Neuron::Pool(pool) if e.pools() => pool.words(e.neurons)?,
            Neuron::CubaLif(kind) if e.current_based().is_some() => kind.words(e.neurons)?,
            _ => words.checked_mul(e.neuron.words())?,
        };
        // What comes into current-based neurons is theirs at once.
        let words = if e.current_based().is_some() {
            0
        } else {
            words
        };
        self.area(words, state, post, !e.is_direct())
    }

    fn output(&mut self, o: &Output, post: Post) -> Option<Area> {
        self.area(o.size, o.size, post, !o.sums_up())
    }

    /// The area of a part with so many words of current, if it has any, and of state.
    #[inline(never)]
    fn area(&mut self, words: u32, all: u32, post: Post, exact: bool) -> Option<Area> {
        // In a single step the current goes straight to a potential or a sum.
        let kept = self.network.steps != 1 || exact;
        let mut connections = self.network.connections.iter();
        let driven = kept && connections.any(|c| matches!(c.pre, Pre::Input(_)) && c.post == post);
        let current = self.next;
        let state = current.checked_add(if driven { words } else { 0 })?;
        let end = self.take(state.checked_sub(current)?.checked_add(all)?)?;
        Some(Area {
            current,
            state,
            end,
            inbox: 0,
        })
    }

    /// Places the inbox of a part with so many neurons or values, and returns its start; 0 if it has none.
    fn inbox(&mut self, inbox: Option<Inbox>, size: u32) -> Option<u32> {
        let Some(inbox) = inbox else {
            return Some(0);
        };
        let start = self.next;
        self.take(size.checked_mul(inbox.synapse.words())?)?;
        Some(start)
    }

    /// Takes some words, and returns where they end.
    fn take(&mut self, words: u32) -> Option<u32> {
        let end = self.next.checked_add(words)?;
        // The whole arena must be addressable in bytes.
        end.checked_mul(4)?;
        self.next = end;
        Some(end)
    }
}
