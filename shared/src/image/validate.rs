//! The checks that make a parsed description safe to run.

use super::description::{
    Connection, Convolution, Ensemble, NOWHERE, Network, Output, Post, Pre, Section, SourceMap,
    Transform, Width, volume,
};
use super::dynamics::{self, RECORD_LEN, Records};
use super::error::{Fault, ImageError};
use super::header::{ALIGN, HEADER_LEN, Header};

/// An event names its source in 16 bits.
const MAX_SOURCES: u32 = 1 << 16;

/// The bytes that sections may lie in.
struct Bytes<'a> {
    image: &'a [u8],
    data_start: u32,
}

impl<'a> Bytes<'a> {
    /// The section, if it lies behind the description, is aligned and has `len` bytes.
    fn section(&self, section: Section, len: Option<u32>) -> Result<&'a [u8], Fault> {
        let fault = Fault::Section {
            offset: section.offset,
        };
        if len != Some(section.len)
            || section.offset < self.data_start
            || !(section.offset as usize).is_multiple_of(ALIGN)
        {
            return Err(fault);
        }
        section.of(self.image).ok_or(fault)
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
    if network.steps == 0 || network.inputs.is_empty() || network.outputs.is_empty() {
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
    }
    for (index, e) in (0u8..).zip(network.ensembles) {
        ensemble(e, &bytes).map_err(|fault| ImageError::Ensemble { index, fault })?;
    }
    for (index, o) in (0u8..).zip(network.outputs) {
        output(o, &bytes).map_err(|fault| ImageError::Output { index, fault })?;
    }
    if network.dynamics.len > 0 {
        if !cfg!(feature = "dynamics") {
            return Err(ImageError::NoDynamics);
        }
        parts_run(network, &bytes)?;
    }
    let records = Records::new(network.dynamics.of(image).unwrap_or(&[]));
    let mut last = Pre::Input(0);
    for (index, c) in (0u8..).zip(network.connections) {
        connection(c, last, network, &bytes)
            .map_err(|fault| ImageError::Connection { index, fault })?;
        last = c.pre;
        if network.dynamics.len > 0 && !takes_up(c, network, records) {
            let fault = Fault::Dynamics;
            return Err(ImageError::Connection { index, fault });
        }
    }
    Ok(())
}

/// Whether a connection's target has something that takes its events up.
fn takes_up(c: &Connection, network: &Network<'_>, records: Records<'_>) -> bool {
    let part = match c.post {
        Post::Ensemble(e) => usize::from(e),
        Post::Output(o) => network.ensembles.len() + usize::from(o),
    };
    let filtered = records.get(part).is_some_and(|r| r.synapse.is_some());
    filtered || matches!(c.pre, Pre::Input(_))
}

/// Checks the records of all ensembles and outputs.
fn parts_run(network: &Network<'_>, bytes: &Bytes<'_>) -> Result<(), ImageError> {
    let parts = network.ensembles.len() + network.outputs.len();
    let records = bytes
        .section(network.dynamics, Some((parts * RECORD_LEN) as u32))
        .map_err(|_| ImageError::Dynamics)?;
    let records = Records::new(records);
    let check = |part: usize, size: u32, readout: bool| {
        let record = records.get(part).ok_or(Fault::Dynamics)?;
        dynamics::validate(&record, size, readout, |section, len| {
            bytes.section(section, len)
        })
    };
    for (index, e) in (0u8..).zip(network.ensembles) {
        let fits = if e.width == Width::I32 && e.current_shift == 0 {
            check(index.into(), e.neurons, false)
        } else {
            Err(Fault::Width)
        };
        fits.map_err(|fault| ImageError::Ensemble { index, fault })?;
    }
    for (index, o) in (0u8..).zip(network.outputs) {
        let part = network.ensembles.len() + usize::from(index);
        let fits = if o.exit_margin == 0 {
            check(part, o.size, true)
        } else {
            Err(Fault::Dynamics)
        };
        fits.map_err(|fault| ImageError::Output { index, fault })?;
    }
    Ok(())
}

fn ensemble(e: &Ensemble, bytes: &Bytes<'_>) -> Result<(), Fault> {
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
    if e.current_shift > 31 {
        return Err(Fault::Shift);
    }
    let max = e.width.max();
    if e.potential_min > e.potential_max || e.potential_max > max || e.potential_min < -max - 1 {
        return Err(Fault::Bounds);
    }
    let len = e.channels.checked_mul(e.width.bytes() as u32);
    bytes.section(e.bias, len)?;
    let thresholds = bytes.section(e.threshold, len)?;
    let positive = match e.width {
        Width::I16 => thresholds
            .chunks_exact(2)
            .all(|t| t.first_chunk().is_some_and(|t| i16::from_le_bytes(*t) > 0)),
        Width::I32 => thresholds
            .chunks_exact(4)
            .all(|t| t.first_chunk().is_some_and(|t| i32::from_le_bytes(*t) > 0)),
    };
    if positive {
        Ok(())
    } else {
        Err(Fault::Threshold)
    }
}

fn output(o: &Output, bytes: &Bytes<'_>) -> Result<(), Fault> {
    if o.size == 0 || o.size > MAX_SOURCES {
        return Err(Fault::Size);
    }
    if o.shift > 62 {
        return Err(Fault::Shift);
    }
    let len = o.size.checked_mul(4);
    bytes.section(o.bias, len)?;
    bytes.section(o.multiplier, len)?;
    Ok(())
}

fn connection(
    c: &Connection,
    last: Pre,
    network: &Network<'_>,
    bytes: &Bytes<'_>,
) -> Result<(), Fault> {
    if c.pre < last {
        return Err(Fault::Order);
    }
    let inputs = match c.pre {
        Pre::Input(i) => network.inputs.get(usize::from(i)).map(|i| i.size),
        Pre::Ensemble(e) => network.ensembles.get(usize::from(e)).map(|e| e.neurons),
    };
    let target = match c.post {
        Post::Ensemble(e) => {
            if matches!(c.pre, Pre::Ensemble(pre) if pre >= e) {
                return Err(Fault::Order);
            }
            network
                .ensembles
                .get(usize::from(e))
                .map(|e| (e.neurons, e.channels, e.width))
        }
        Post::Output(o) => network
            .outputs
            .get(usize::from(o))
            .map(|o| (o.size, o.size, Width::I32)),
    };
    let (Some(inputs), Some((outputs, channels, width))) = (inputs, target) else {
        return Err(Fault::Index);
    };
    source(c, inputs, bytes)?;
    let whole = matches!(c.transform, Transform::Dense(_)) || c.source != SourceMap::Direct;
    if matches!(c.pre, Pre::Input(_)) && whole && width == Width::I16 {
        return Err(Fault::Width);
    }
    match &c.transform {
        Transform::Dense(_) if c.transform.outputs().is_none_or(|needed| needed > outputs) => {
            return Err(Fault::Geometry);
        }
        Transform::Dense(_) => {}
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
    bytes.section(c.weights, c.transform.weights(c.layout))?;
    Ok(())
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
