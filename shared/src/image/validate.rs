//! The checks that make a parsed description safe to run.

use super::coder::Coder;
use super::description::{
    Channel, Connection, Ensemble, NOWHERE, Network, Output, Post, Pre, Readout, SourceMap, Width,
};
use super::error::{Fault, ImageError};
use super::header::{ALIGN, HEADER_LEN, Header};
use super::inbox::{Inbox, MAX_FRACTION};
use super::neuron::{Initial, Neuron};
use super::section::Section;
use crate::transform::{Convolution, Transform, volume};

/// An event names its source in 16 bits.
const MAX_SOURCES: u32 = 1 << 16;
/// The most bits by which the current of inputs is shifted, to either side.
const MAX_SHIFT: i8 = 31;

/// The bytes that sections may lie in.
struct Bytes<'a> {
    image: &'a [u8],
    data_start: u32,
}

impl<'a> Bytes<'a> {
    /// The section, if it lies behind the description, is aligned and has `len` bytes.
    fn section(&self, section: Section, len: Option<u32>) -> Result<&'a [u8], Fault> {
        if len == Some(section.len) {
            self.at(section.offset, section.len)
        } else {
            Err(Fault::Section {
                offset: section.offset,
            })
        }
    }

    /// So many bytes from an offset on, if they lie behind the description and are aligned.
    fn at(&self, offset: u32, len: u32) -> Result<&'a [u8], Fault> {
        let fault = Fault::Section { offset };
        if offset < self.data_start || !(offset as usize).is_multiple_of(ALIGN) {
            return Err(fault);
        }
        Section { offset, len }.of(self.image).ok_or(fault)
    }
}

/// Checks everything that [`Image`](super::Image) promises.
pub(super) fn validate(
    network: &Network<'_>,
    image: &[u8],
    header: &Header,
) -> Result<(), ImageError> {
    let bytes = Bytes {
        image,
        data_start: (HEADER_LEN as u32).saturating_add(header.description_len),
    };
    if network.inputs.is_empty() || network.outputs.is_empty() {
        return Err(ImageError::Empty);
    }
    let parts = network.inputs.len() + network.ensembles.len() + network.outputs.len();
    let labels = network.labels;
    let ends = labels.iter().filter(|&&byte| byte == b'\n').count();
    if ends != parts || labels.last() != Some(&b'\n') {
        return Err(ImageError::Labels);
    }
    for (index, input) in (0u8..).zip(network.inputs) {
        if input.size == 0 || input.size > MAX_SOURCES || input.zero_point > input.max {
            return Err(ImageError::Input { index });
        }
        // Empty, or one for each channel.
        let Section { offset, len } = input.channels;
        let whole = len.is_multiple_of(Channel::BYTES as u32)
            && input
                .size
                .is_multiple_of((len / Channel::BYTES as u32).max(1));
        if !whole || len > 0 && bytes.at(offset, len).is_err() {
            return Err(ImageError::Input { index });
        }
    }
    if cfg!(feature = "current-based") && network.coder != Coder::None {
        coder(network, &bytes)?;
    }
    for (index, e) in (0u8..).zip(network.ensembles) {
        ensemble(e, network.steps, &bytes)
            .map_err(|fault| ImageError::Ensemble { index, fault })?;
    }
    for (index, o) in (0u8..).zip(network.outputs) {
        output(o, network.steps, &bytes).map_err(|fault| ImageError::Output { index, fault })?;
    }
    let mut last = Pre::Input(0);
    for (index, c) in (0u8..).zip(network.connections) {
        (counts(c, network))
            .and_then(|()| connection(c, last, network, &bytes))
            .map_err(|fault| ImageError::Connection { index, fault })?;
        last = c.pre;
    }
    Ok(())
}

/// Checks a coder: it is that of the only input. What it makes is no more than the bounds allow, and goes to current-based neurons.
fn coder(network: &Network<'_>, bytes: &Bytes<'_>) -> Result<(), ImageError> {
    let fault = ImageError::Input { index: 0 };
    let [input] = network.inputs else {
        return Err(fault);
    };
    let fits = match network.coder {
        Coder::None => true,
        Coder::Delta { thresholds, most } => {
            let thresholds = bytes.section(thresholds, Some(input.size)).unwrap_or(&[]);
            let mut thresholds = thresholds.as_chunks::<2>().0.iter();
            most > 0
                && input.size.is_multiple_of(2)
                && thresholds.len() > 0
                && thresholds.all(|threshold| *threshold != [0, 0])
        }
        Coder::Rate { full } => full > 0,
    };
    let mut own = (network.connections.iter()).filter(|c| c.pre == Pre::Input(0));
    let fed = own.all(|c| match c.post {
        Post::Ensemble(e) => {
            (network.ensembles.get(usize::from(e))).is_some_and(|e| e.current_based().is_some())
        }
        Post::Output(_) => false,
    });
    let bounded = input.zero_point == 0 && network.coder.most(input.max) <= input.max;
    if fits && fed && bounded && network.steps == 0 && input.channels.len == 0 {
        Ok(())
    } else {
        Err(fault)
    }
}

fn ensemble(e: &Ensemble, steps: u16, bytes: &Bytes<'_>) -> Result<(), Fault> {
    if e.neurons == 0
        || e.neurons > MAX_SOURCES
        || e.channels == 0
        || !e.neurons.is_multiple_of(e.channels)
    {
        return Err(Fault::Size);
    }
    if e.max_count == 0 {
        return Err(Fault::MaxCount);
    }
    let direct = e.is_direct();
    if !(-MAX_SHIFT..=if direct { 0 } else { MAX_SHIFT }).contains(&e.current_shift) {
        return Err(Fault::Shift);
    }
    let max = e.width.max();
    if e.potential_min > e.potential_max || e.potential_max > max || e.potential_min < -max - 1 {
        return Err(Fault::Bounds);
    }
    let pools = e.pools();
    if (direct || pools) && e.initial != Initial::Half {
        return Err(Fault::Neuron);
    }
    if pools && (e.inbox.is_some() || e.current_shift != 0 || steps == 0) {
        return Err(Fault::Neuron);
    }
    if !direct && (e.width == Width::I32) == pools {
        return Err(Fault::Width);
    }
    inbox(e.inbox)?;
    let params = bytes.at(e.params, e.params_len())?;
    let thresholds = params.get(..e.channels as usize * e.width.bytes());
    let thresholds = thresholds.unwrap_or(&[]);
    let positive = match e.width {
        Width::I16 => thresholds
            .chunks_exact(2)
            .all(|t| t.first_chunk().is_some_and(|t| i16::from_le_bytes(*t) > 0)),
        Width::I32 => thresholds
            .chunks_exact(4)
            .all(|t| t.first_chunk().is_some_and(|t| i32::from_le_bytes(*t) > 0)),
    };
    if !positive {
        return Err(Fault::Threshold);
    }
    let constants = e.params_len() - 4 * e.neuron.constants(e.channels);
    let constants = params.get(constants as usize..).unwrap_or(&[]);
    match e.neuron {
        Neuron::Pool(pool) if pools => {
            if pool.places > MAX_SOURCES {
                return Err(Fault::Size);
            }
            pool.validate(e.neurons, e.channels, constants)
        }
        Neuron::CubaLif(kind) if e.current_based().is_some() => {
            if e.initial != Initial::Zero || steps > 0 {
                return Err(Fault::Neuron);
            }
            kind.validate(e.current_shift, e.max_count, e.inbox.is_some())
        }
        _ => e.neuron.validate(constants),
    }
}

fn inbox(inbox: Option<Inbox>) -> Result<(), Fault> {
    if cfg!(feature = "exact") && inbox.is_some_and(|inbox| inbox.fraction > MAX_FRACTION) {
        Err(Fault::Shift)
    } else {
        Ok(())
    }
}

fn output(o: &Output, steps: u16, bytes: &Bytes<'_>) -> Result<(), Fault> {
    if o.size == 0 || o.size > MAX_SOURCES {
        return Err(Fault::Size);
    }
    if o.shift > 62 || !(-MAX_SHIFT..=MAX_SHIFT).contains(&o.current_shift) {
        return Err(Fault::Shift);
    }
    // A sum over steps without end has no bound; values that only show themselves are never decided.
    let fits = match o.readout {
        Readout::Sum => steps > 0 && o.inbox.is_none() && o.current_shift == 0,
        Readout::Shown { .. } => o.exit_margin == 0,
    };
    if !fits {
        return Err(Fault::Inbox);
    }
    inbox(o.inbox)?;
    bytes.at(o.params, o.size * 8)?;
    Ok(())
}

fn connection(
    c: &Connection,
    last: Pre,
    network: &Network<'_>,
    bytes: &Bytes<'_>,
) -> Result<(), Fault> {
    if c.pre.order() < last.order() {
        return Err(Fault::Order);
    }
    let inputs = match c.pre {
        Pre::Input(i) => network.inputs.get(usize::from(i)).map(|i| i.size),
        Pre::Ensemble(e) | Pre::Counts(e) => {
            network.ensembles.get(usize::from(e)).map(|e| e.neurons)
        }
    };
    let target = match c.post {
        Post::Ensemble(e) => network.ensembles.get(usize::from(e)).map(|e| {
            let size = (e.neurons, e.channels, e.width);
            let places = match e.neuron {
                Neuron::Pool(pool) if e.pools() => Some(pool.places),
                _ => None,
            };
            let current_based = e.current_based();
            let direct = e.is_direct() || e.pools() || current_based.is_some();
            (size, direct, e.inbox, places, current_based)
        }),
        Post::Output(o) => network.outputs.get(usize::from(o)).map(|o| {
            let size = (o.size, o.size, Width::I32);
            (size, o.sums_up(), o.inbox, None, None)
        }),
    };
    let (Some(inputs), Some(((outputs, channels, width), direct, inbox, places, current_based))) =
        (inputs, target)
    else {
        return Err(Fault::Index);
    };
    if let Some(pre) = c.pre.ensemble() {
        // What shows the step before may take up events of any ensemble.
        let delayed = inbox.is_some_and(|inbox| inbox.synapse.is_delayed());
        if let Some(kind) = current_based {
            // Only current-based neurons send their events anywhere, and to themselves if all have been updated.
            let source = network.ensembles.get(usize::from(pre));
            let anywhere = source.is_some_and(|e| e.current_based().is_some());
            let forward = matches!(c.post, Post::Ensemble(post) if pre < post);
            let own = matches!(c.post, Post::Ensemble(post) if pre == post);
            if !forward && !anywhere || own && !kind.recurrent() {
                return Err(Fault::Order);
            }
        } else if !delayed && matches!(c.post, Post::Ensemble(post) if pre >= post) {
            return Err(Fault::Order);
        }
        if !direct && inbox.is_none() {
            return Err(Fault::Inbox);
        }
    }
    source(c, inputs, bytes)?;
    let whole = matches!(c.transform, Transform::Dense(_)) || c.source != SourceMap::Direct;
    if matches!(c.pre, Pre::Input(_)) && whole && width == Width::I16 {
        return Err(Fault::Width);
    }
    match &c.transform {
        // What pools has a matrix without targets: places count the events that stand for them.
        Transform::Dense(d) => {
            let counts = d.outputs == 0 && d.first == 0 && c.pre.ensemble().is_some();
            let fits = match places {
                Some(places) => counts && d.inputs == places,
                None => d.outputs > 0 && c.transform.outputs().is_some_and(|n| n <= outputs),
            };
            if !fits {
                return Err(Fault::Geometry);
            }
        }
        Transform::Convolution(_) if places.is_some() => return Err(Fault::Geometry),
        Transform::Convolution(conv) => {
            let per_place = u32::from(conv.output[2]);
            if c.transform.outputs() != Some(outputs)
                || per_place == 0
                || !channels.is_multiple_of(per_place) && !per_place.is_multiple_of(channels)
            {
                return Err(Fault::Geometry);
            }
            convolution(conv)?;
        }
    }
    if !c.layout.fits(&c.transform) {
        return Err(Fault::Layout);
    }
    let weights = bytes.section(c.weights, c.layout.bytes(&c.transform))?;
    if c.layout.is_filled_up(&c.transform, weights) {
        Ok(())
    } else {
        Err(Fault::Fill)
    }
}

/// The counts of an ensemble lie where its potentials were, so that nothing else may need these, and all of them have to
/// be bytes. What they reach must take up sums.
fn counts(c: &Connection, network: &Network<'_>) -> Result<(), Fault> {
    let Pre::Counts(pre) = c.pre else {
        return Ok(());
    };
    let plain = |e: &Ensemble| e.is_direct();
    let from = network.ensembles.get(usize::from(pre));
    let to = match c.post {
        Post::Ensemble(e) => network.ensembles.get(usize::from(e)).map(plain),
        Post::Output(o) => network.outputs.get(usize::from(o)).map(Output::sums_up),
    };
    let fits = network.steps == 1
        && from.is_some_and(|e| plain(e) || e.pools())
        && to == Some(true)
        && c.source == SourceMap::Direct;
    if fits { Ok(()) } else { Err(Fault::Counts) }
}

/// Every event must stand for places that the transform has.
fn source(c: &Connection, inputs: u32, bytes: &Bytes<'_>) -> Result<(), Fault> {
    let Some(seen) = c.transform.inputs() else {
        return Err(Fault::Geometry);
    };
    match &c.source {
        SourceMap::Direct if seen != inputs => Err(Fault::Geometry),
        SourceMap::Direct => Ok(()),
        _ if seen == 0 || seen > MAX_SOURCES => Err(Fault::Source),
        SourceMap::Window(w) => {
            let axes = (0..2).all(|axis| w.pool[axis] > 0 && w.repeat[axis] > 0);
            let fits = match &c.transform {
                Transform::Dense(_) => true,
                Transform::Convolution(conv) => conv.input == w.output,
            };
            if axes
                && fits
                && w.input[2] == w.output[2]
                && volume(&w.input.map(u32::from)) == Some(inputs)
                && volume(&w.output.map(u32::from)) == Some(seen)
            {
                Ok(())
            } else {
                Err(Fault::Source)
            }
        }
        SourceMap::Table(table) => {
            let table = bytes.section(*table, inputs.checked_mul(2))?;
            let inside = table.chunks_exact(2).all(|place| {
                place
                    .first_chunk()
                    .map(|p| u16::from_le_bytes(*p))
                    .is_some_and(|p| p == NOWHERE || u32::from(p) < seen)
            });
            if inside { Ok(()) } else { Err(Fault::Source) }
        }
    }
}

/// Every window must meet the source, or the geometry is a mistake.
fn convolution(c: &Convolution) -> Result<(), Fault> {
    if c.groups == 0
        || c.filters == 0
        || !c.input[2].is_multiple_of(c.groups)
        || !c.filters.is_multiple_of(c.groups)
        || u32::from(c.first) + u32::from(c.filters) > u32::from(c.output[2])
    {
        return Err(Fault::Channels);
    }
    for axis in 0..2 {
        let (kernel, stride) = (u32::from(c.kernel[axis]), u32::from(c.stride[axis]));
        let (input, output) = (u32::from(c.input[axis]), u32::from(c.output[axis]));
        let padding = u32::from(c.padding[axis]);
        let dilation = u32::from(c.dilation[axis]);
        if kernel == 0 || stride == 0 || dilation == 0 || input == 0 || output == 0 {
            return Err(Fault::Geometry);
        }
        if padding > (kernel - 1) * dilation || (output - 1) * stride >= input + padding {
            return Err(Fault::Geometry);
        }
    }
    Ok(())
}
