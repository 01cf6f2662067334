//! integers::Network → image bytes. The same network gives the same bytes.

use tinyspike_firmware::kernels::family::{Family, Shape, Values};
use tinyspike_shared::fixed::Scale;
use tinyspike_shared::image::{
    self, ALIGN, Description, HEADER_LEN, Header, MAX_INPUTS, MAX_OUTPUTS, Section, Transform,
    Width,
};
use tinyspike_shared::weights::Layout;

use crate::coder::Coder;
use crate::graph::{self, Source, Target};
use crate::integers::{self, Connection, Inbox, Initial, Seen};

pub use crate::image::{AlignedBytes, Image, MAX_CONNECTIONS, MAX_ENSEMBLES, aligned_copy};
use crate::image::{ImageBuf, seal};

/// Reason why an image cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// More parts than an image can hold.
    #[error("the network has {found} {what}, an image holds at most {limit}")]
    TooMany {
        /// Kind of part.
        what: &'static str,
        /// Number of events.
        found: usize,
        /// Number that an image can hold.
        limit: usize,
    },
    /// Too large an ensemble, input or output for 16-bit addresses.
    #[error("{label:?} has {found} places, an image addresses at most {limit}")]
    TooLarge {
        /// Label of the part.
        label: String,
        /// Its size.
        found: usize,
        /// The largest size.
        limit: usize,
    },
    /// The image would exceed 32-bit addresses.
    #[error("the image would be larger than 4 GiB")]
    Overflow,
    /// The assembled image does not pass the parser: a mistake of this program.
    #[error("the assembled image is refused ({0}); please report this")]
    Refused(#[from] image::ImageError),
}

/// Least number of weights that are worth two to a byte.
const NIBBLES: usize = 64;

/// The layout of a connection's weights: if all of them fit 4 bits, the one that takes the least flash,
/// else the one that the target's kernels read the fastest, of those that hold them.
fn layout_of(network: &integers::Network, c: &Connection, width: Width) -> Layout {
    let hold = |layout: Layout| {
        let (least, most) = layout.range();
        c.weights.iter().all(|w| (least..=most).contains(w))
    };
    if c.weights.len() >= NIBBLES && hold(Layout::Nibbles) && !c.dense {
        return Layout::Nibbles;
    }
    let mut shape = Shape {
        transform: &c.transform,
        width,
        values: match c.pre {
            Source::Input(input) => {
                let zero_point = network.inputs[input].zero_point;
                // Current-based neurons take inputs event by event.
                let by_event = match c.post {
                    Target::Population(p) => {
                        matches!(network.ensembles[p].neuron, image::Neuron::CubaLif(_))
                    }
                    Target::Output(_) => false,
                };
                Values::of_input(zero_point, c.source == Seen::Direct && !by_event)
            }
            Source::Population(_) => Values::Counts,
        },
    };
    let mut fastest = network.target.layout(&shape);
    if c.dense {
        let usual = shape;
        let zero_point = match c.pre {
            Source::Input(input) => network.inputs[input].zero_point,
            Source::Population(_) => 0,
        };
        shape.values = Values::Dense { zero_point };
        let dense = network.target.layout(&shape);
        let reads = |shape| (network.target.reads)(shape, dense);
        if matches!(c.pre, Source::Population(_)) || reads(&usual) {
            fastest = dense;
        }
    }
    if hold(fastest) {
        fastest
    } else {
        Layout::Halves
    }
}

/// Tells whether the weights of an image lie as the kernels of a family read them the fastest.
///
/// What lies alike for all families counts for each: weights of 4 bits, and of 16 if that is what they need.
#[must_use]
pub fn suits(image: &Image<'_>, family: &Family) -> bool {
    let network = image.description();
    network.connections.iter().all(|c| {
        matches!(c.layout, Layout::Nibbles | Layout::Halves)
            || c.layout == family.layout(&Shape::of(network, c))
            || (family.reads)(&Shape::of(network, c), c.layout)
    })
}

/// Weights in a layout's bytes.
fn encoded(weights: &[i16], transform: &Transform, layout: Layout) -> Vec<u8> {
    let mut bytes = vec![0; layout.bytes(transform).unwrap_or(0) as usize];
    layout.encode(weights, transform, &mut bytes);
    bytes
}

/// Packs a network, laid out for its target's kernels.
///
/// # Errors
/// [`AssembleError`] if the network has more parts than an image can hold.
pub fn assemble(network: &integers::Network) -> Result<ImageBuf, AssembleError> {
    check(network)?;
    // Offsets are written as numbers of varying length, so the description's length depends on them:
    // lay the sections out from zero, then move them behind the description until that settles.
    let mut start = HEADER_LEN;
    let (description, data) = loop {
        let mut data = Data {
            start: aligned(start),
            bytes: Vec::new(),
        };
        let labels = labels(network);
        let description = describe(network, &labels, &mut data)?;
        let mut encoded = postcard::to_stdvec(&description).map_err(|_| AssembleError::Overflow)?;
        if description.coder != image::Coder::None {
            let coder = postcard::to_stdvec(&description.coder);
            encoded.extend(coder.map_err(|_| AssembleError::Overflow)?);
        }
        let end = HEADER_LEN + encoded.len();
        if aligned(end) <= data.start {
            let arena_bytes =
                image::Layout::arena_bytes(&description).ok_or(AssembleError::Overflow)?;
            break ((encoded, arena_bytes), data);
        }
        start = end.max(start + 1);
    };
    let (encoded, arena_bytes) = description;
    let length =
        u32::try_from(data.start + data.bytes.len()).map_err(|_| AssembleError::Overflow)?;
    let header = Header {
        length,
        description_len: encoded.len() as u32,
        arena_bytes,
        model_version: 0,
        checksum: 0,
    };
    let mut bytes = vec![0; HEADER_LEN];
    bytes.extend(&encoded);
    bytes.resize(data.start, 0);
    bytes.extend(&data.bytes);
    seal(&mut bytes, header);
    // The parser is the judge of what an image is.
    Ok(ImageBuf::new(&bytes)?)
}

fn check(network: &integers::Network) -> Result<(), AssembleError> {
    let count = |what, found, limit| {
        if found > limit {
            Err(AssembleError::TooMany { what, found, limit })
        } else {
            Ok(())
        }
    };
    count("inputs", network.inputs.len(), MAX_INPUTS)?;
    count("ensembles", network.ensembles.len(), MAX_ENSEMBLES)?;
    count("outputs", network.outputs.len(), MAX_OUTPUTS)?;
    count("connections", network.connections.len(), MAX_CONNECTIONS)?;
    let inputs = network.inputs.iter().map(|i| (&i.label, i.size));
    let ensembles = network.ensembles.iter().map(|e| (&e.label, e.neurons));
    let outputs = network.outputs.iter().map(|o| (&o.label, o.bias.len()));
    for (label, found) in inputs.chain(ensembles).chain(outputs) {
        const LIMIT: usize = 1 << 16;
        if found > LIMIT {
            return Err(AssembleError::TooLarge {
                label: label.clone(),
                found,
                limit: LIMIT,
            });
        }
    }
    Ok(())
}

fn labels(network: &integers::Network) -> String {
    let inputs = network.inputs.iter().map(|i| &i.label);
    let ensembles = network.ensembles.iter().map(|e| &e.label);
    let outputs = network.outputs.iter().map(|o| &o.label);
    inputs
        .chain(ensembles)
        .chain(outputs)
        // A label with a line feed in it would become two.
        .map(|l| l.replace(['\n', '\r'], " ") + "\n")
        .collect()
}

fn aligned(offset: usize) -> usize {
    offset.next_multiple_of(ALIGN)
}

/// The sections, as they grow.
struct Data {
    start: usize,
    bytes: Vec<u8>,
}

impl Data {
    fn push(&mut self, bytes: &[u8]) -> Result<Section, AssembleError> {
        let offset = self.start + self.bytes.len();
        self.bytes.extend(bytes);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        Ok(Section {
            offset: u32::try_from(offset).map_err(|_| AssembleError::Overflow)?,
            len: u32::try_from(bytes.len()).map_err(|_| AssembleError::Overflow)?,
        })
    }

    /// Lists of values, each from a word on; returns where the first starts.
    fn push_params(&mut self, lists: &[Vec<u8>]) -> Result<u32, AssembleError> {
        let start = self.push(&[])?.offset;
        for list in lists {
            self.push(list)?;
        }
        Ok(start)
    }
}

/// Values of a width.
fn params(values: &[i32], width: Width) -> Vec<u8> {
    let bytes = |v: &i32| v.to_le_bytes().into_iter().take(width.bytes());
    values.iter().flat_map(bytes).collect()
}

/// Appends to a list, whose room was checked before.
fn push<T, const N: usize>(list: &mut heapless::Vec<T, N>, item: T) -> Result<(), AssembleError> {
    list.push(item).map_err(|_| AssembleError::Overflow)
}

fn describe<'a>(
    network: &integers::Network,
    labels: &'a str,
    data: &mut Data,
) -> Result<Description<'a, MAX_ENSEMBLES, MAX_CONNECTIONS>, AssembleError> {
    let mut description = Description {
        labels: labels.as_bytes(),
        steps: network.steps.limit().unwrap_or(0),
        inputs: heapless::Vec::new(),
        ensembles: heapless::Vec::new(),
        outputs: heapless::Vec::new(),
        connections: heapless::Vec::new(),
        coder: image::Coder::None,
    };
    for input in &network.inputs {
        let input = image::Input {
            size: input.size as u32,
            zero_point: input.zero_point,
            max: input.max,
            scale: scale((input.coder.as_ref()).map_or(input.scale, Coder::unit)),
            channels: match input.channels.as_slice() {
                [] => image::Section::default(),
                channels => {
                    let bytes = channels.iter().flat_map(|channel| {
                        let channel = image::Channel {
                            scale: scale(channel.scale),
                            zero_point: channel.zero_point,
                        };
                        channel.to_bytes()
                    });
                    data.push(&bytes.collect::<Vec<_>>())?
                }
            },
        };
        push(&mut description.inputs, input)?;
    }
    if let [input] = network.inputs.as_slice() {
        description.coder = match &input.coder {
            None => image::Coder::None,
            Some(Coder::Rate { .. }) => image::Coder::Rate { full: Coder::FULL },
            Some(Coder::Delta {
                thresholds, most, ..
            }) => {
                let bytes: Vec<u8> = thresholds.iter().flat_map(|t| t.to_le_bytes()).collect();
                image::Coder::Delta {
                    thresholds: data.push(&bytes)?,
                    most: *most,
                }
            }
        };
    }
    for e in &network.ensembles {
        let ensemble = image::Ensemble {
            neurons: e.neurons as u32,
            channels: e.threshold.len() as u32,
            width: e.width,
            max_count: e.max_count,
            current_shift: e.current_shift,
            initial: match e.initial {
                Initial::Zero => image::Initial::Zero,
                Initial::Half => image::Initial::Half,
                Initial::Each(_) => image::Initial::Each,
            },
            neuron: e.neuron,
            inbox: e.inbox.as_ref().map(Inbox::image),
            params: data.push_params(&[
                params(&e.threshold, e.width),
                params(&e.bias, e.width),
                match &e.initial {
                    Initial::Each(shares) => shares.iter().flat_map(|v| v.to_le_bytes()).collect(),
                    _ => Vec::new(),
                },
                e.constants.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ])?,
            potential_min: e.potential_min,
            potential_max: e.potential_max,
            scale: scale(e.theta),
        };
        push(&mut description.ensembles, ensemble)?;
    }
    for o in &network.outputs {
        let output = image::Output {
            size: o.bias.len() as u32,
            params: data.push_params(&[
                params(&o.bias, Width::I32),
                params(&o.multiplier, Width::I32),
            ])?,
            shift: o.shift,
            readout: o.readout,
            current_shift: o.current_shift,
            inbox: o.inbox.as_ref().map(Inbox::image),
            exit_margin: o.exit_margin,
            scale: scale(o.scale),
            left_out: o.left_out,
        };
        push(&mut description.outputs, output)?;
    }
    for c in &network.connections {
        let width = match c.post {
            graph::Target::Population(p) => network.ensembles[p].width,
            graph::Target::Output(_) => Width::I32,
        };
        let layout = layout_of(network, c, width);
        let connection = image::Connection {
            pre: match c.pre {
                Source::Input(i) => image::Pre::Input(i as u8),
                Source::Population(p) if c.dense => image::Pre::Counts(p as u8),
                Source::Population(p) => image::Pre::Ensemble(p as u8),
            },
            post: match c.post {
                graph::Target::Population(p) => image::Post::Ensemble(p as u8),
                graph::Target::Output(o) => image::Post::Output(o as u8),
            },
            source: match &c.source {
                Seen::Direct => image::SourceMap::Direct,
                Seen::Window(window) => image::SourceMap::Window(*window),
                Seen::Table(places) => {
                    let bytes: Vec<u8> = places.iter().flat_map(|p| p.to_le_bytes()).collect();
                    image::SourceMap::Table(data.push(&bytes)?)
                }
            },
            transform: c.transform,
            weights: data.push(&encoded(&c.weights, &c.transform, layout))?,
            layout,
        };
        push(&mut description.connections, connection)?;
    }
    Ok(description)
}

/// The nearest fixed-point scale to a positive float.
#[must_use]
pub fn scale(value: f64) -> Scale {
    if !value.is_finite() || value <= 0.0 {
        return Scale {
            mantissa: 0,
            exponent: 0,
        };
    }
    // Bit 30 is the highest, so that the rounded mantissa fits 32 bits.
    let exponent = value.log2().floor() as i32 - 30;
    Scale {
        mantissa: (value * f64::exp2(-f64::from(exponent))).round() as u32,
        exponent: exponent as i16,
    }
}

/// The float that a scale stands for.
#[must_use]
pub fn scale_value(scale: Scale) -> f64 {
    f64::from(scale.mantissa) * f64::exp2(f64::from(scale.exponent))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tinyspike_shared::image::Convolution;
    use tinyspike_shared::weights::{self, Weights};

    use super::*;

    /// The weights that a row of a layout names.
    fn read(row: Option<weights::Row<'_>>, len: usize) -> Vec<i16> {
        let mut values = vec![0; len];
        if let Some(row) = row {
            row.zip(&mut values, |value, w| *value = i16::try_from(w).unwrap());
        }
        values
    }

    /// The largest weight that a layout holds, up to which the smallest is one too.
    fn most(layout: Layout) -> i16 {
        layout.range().1
    }

    fn values(n: usize, most: i16, seed: u64) -> Vec<i16> {
        let mut state = seed | 1;
        let next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let range = 2 * u64::from(most.unsigned_abs()) + 1;
            ((state >> 20) % range) as i32 - i32::from(most)
        };
        let weights = std::iter::repeat_with(next).take(n);
        weights.map(|w| w as i16).collect()
    }

    prop_compose! {
        fn convolutions()(
            input in prop::array::uniform2(1u16..12),
            kernel in prop::array::uniform2(1u8..6),
            stride in prop::array::uniform2(1u8..5),
            padded in prop::array::uniform2(0u8..5),
            channels in 1u16..6,
            eights in 1u16..4,
        ) -> Convolution {
            let padding = [padded[0].min(kernel[0] - 1), padded[1].min(kernel[1] - 1)];
            let outputs = |axis: usize| {
                let end = input[axis] + u16::from(padding[axis]);
                end.div_ceil(stride[axis].into())
            };
            Convolution {
                input: [input[0], input[1], channels],
                output: [outputs(0), outputs(1), eights * 8],
                kernel,
                stride,
                padding,
                dilation: [1, 1],
                groups: 1,
                filters: eights * 8,
                first: 0,
            }
        }
    }

    proptest! {
        #[test]
        fn every_layout_holds_a_convolutions_weights(conv in convolutions(), seed in any::<u64>()) {
            let transform = Transform::Convolution(conv);
            let filters = usize::from(conv.filters);
            let n = Layout::Rows.bytes(&transform).unwrap() as usize;
            for layout in [Layout::Rows, Layout::Halves, Layout::Wide, Layout::WidePairs, Layout::Windows, Layout::Tiles] {
                let plain = values(n, most(layout), seed);
                let bytes = encoded(&plain, &transform, layout);
                prop_assert_eq!(Some(bytes.len() as u32), layout.bytes(&transform));
                let weights = Weights { bytes: bytemuck::cast_slice(&bytes), layout };
                let mut taps = plain.chunks(filters);
                for y in 0..conv.kernel[0].into() {
                    for x in 0..conv.kernel[1].into() {
                        for channel in 0..conv.input[2].into() {
                            let tap = weights.tap(&conv, y, x, channel);
                            prop_assert_eq!(&read(tap, filters)[..], taps.next().unwrap());
                            let rest = tap.map(|tap| tap.skip(16));
                            let behind = filters.saturating_sub(16);
                            prop_assert_eq!(read(rest, behind), &read(tap, filters)[filters - behind..]);
                        }
                    }
                }
            }
        }

        #[test]
        fn every_layout_holds_a_matrix_weights(
            inputs in 1u32..9,
            outputs in 1u32..40,
            seed in any::<u64>(),
        ) {
            let transform = Transform::Dense(image::Dense { inputs, outputs, first: 0 });
            for layout in [Layout::Rows, Layout::Halves, Layout::Quads, Layout::Crossed] {
                let plain = values((inputs * outputs) as usize, most(layout), seed);
                let bytes = encoded(&plain, &transform, layout);
                prop_assert_eq!(Some(bytes.len() as u32), layout.bytes(&transform));
                let weights = Weights { bytes: bytemuck::cast_slice(&bytes), layout };
                for (source, row) in plain.chunks(outputs as usize).enumerate() {
                    let read = read(weights.dense_row(source, outputs as usize), outputs as usize);
                    prop_assert_eq!(&read[..], row);
                }
            }
        }

        /// The targets of a source, side by side, are met through taps that are stored side by side.
        #[test]
        fn taps_lie_in_the_order_of_their_targets(conv in convolutions()) {
            for side in 0..2 {
                let axis = [conv.vertical(), conv.horizontal()][side];
                let (kernel, stride) = (u32::from(conv.kernel[side]), u32::from(conv.stride[side]));
                let mut places: Vec<u32> = (0..kernel).map(|t| axis.tap_at(t)).collect();
                places.sort_unstable();
                prop_assert!(places.into_iter().eq(0..kernel));
                for place in 0..conv.input[side].into() {
                    let padded = place + u32::from(conv.padding[side]);
                    let met: Vec<(u32, u32)> = (0..u32::from(conv.output[side]))
                        .filter_map(|target| {
                            let tap = padded.checked_sub(target * stride)?;
                            (tap < kernel).then(|| (target, axis.tap_at(tap)))
                        })
                        .collect();
                    let span = axis.span(place);
                    let named = (0..span.count).map(|i| (span.first + i, span.tap + i));
                    prop_assert_eq!(met, named.collect::<Vec<_>>());
                }
            }
        }
    }

    /// Words that a processor multiplies as they are.
    #[test]
    fn weights_share_words_as_one_integer() {
        let conv = Convolution {
            input: [1, 1, 1],
            output: [1, 1, 2],
            kernel: [1, 1],
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
            filters: 2,
            first: 0,
        };
        for w in [[-127i16, 127], [-1, -1], [5, -127], [127, 127]] {
            let bytes = encoded(&w, &Transform::Convolution(conv), Layout::WidePairs);
            let word = i32::from_le_bytes(bytes.try_into().unwrap());
            assert_eq!(word, i32::from(w[0]) + (i32::from(w[1]) << 16));
        }
        let rows = [-127, 127, -128 + 1, -1, 3, -3].map(|w: i16| w);
        let matrix = image::Dense {
            inputs: 2,
            outputs: 3,
            first: 0,
        };
        let bytes = encoded(&rows, &Transform::Dense(matrix), Layout::Crossed);
        let half = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!([half(0), half(4)], [-127 + 256 * 127, -127]);
        assert_eq!([half(2), half(6)], [-1 + 256 * 3, -3]);
    }
}
