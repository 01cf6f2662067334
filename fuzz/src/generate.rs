//! Images that are right in every checksum, length and place, and hostile in every number: extreme shapes, sections that share
//! bytes, false bounds, and now and then a field of the description that says something else.
//!
//! Mutations of bytes hardly get past an image's checks. These do, and lead into every kernel.

use tinyspike_shared::fixed::Scale;
use tinyspike_shared::image::{
    Channel, Charge, Coder, Connection, Convolution, CubaLif, Dense, Description, Ensemble, Firing,
    HEADER_LEN, Header, Inbox, Initial, Input, LEAK_PIECES, LeftOut, Lif, MAX_EVENT_SHIFT,
    MAX_SPIKES, NOWHERE, Neuron, Output, Post, Pre, Readout, Rectified, Reset, Section, SourceMap,
    Synapse, Traits, Transform, Width, Window,
};
use tinyspike_shared::weights::Layout;
use tinyspike_tests::numbers::Numbers;

use crate::seal::seal;

/// Room for the description in front of the sections.
const DATA: usize = 2048;
/// The most bytes of all sections.
const MOST: usize = 192 << 10;

/// Numbers at which sizes go wrong.
const ODD: [u32; 16] = [
    0,
    1,
    2,
    3,
    7,
    8,
    31,
    127,
    128,
    255,
    256,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
];

type Network<'a> = Description<'a, 16, 24>;
type Shape = [u16; 3];

/// Tells whether the image of a seed keeps all sums far from the ends of their words, so that all kernels must agree. In the others
/// they wrap, each kernel's in its own way.
#[must_use]
pub fn is_calm(seed: u64) -> bool {
    Generator::new(seed).calm
}

/// The image of a seed.
#[must_use]
pub fn image(seed: u64) -> Vec<u8> {
    Generator::new(seed).image()
}

impl Generator {
    fn new(seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        // The first numbers of near seeds are alike.
        for _ in 0..8 {
            numbers.draw();
        }
        let calm = numbers.below(2) == 0;
        Self {
            numbers,
            calm,
            data: Vec::new(),
        }
    }
}

struct Generator {
    numbers: Numbers,
    /// `true` if sums stay far from their bounds, so that all kernels must agree.
    calm: bool,
    data: Vec<u8>,
}

fn volume(shape: Shape) -> usize {
    shape.iter().map(|&d| usize::from(d)).product()
}

impl Generator {
    fn below(&mut self, n: usize) -> usize {
        self.numbers.below(n)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.numbers.below(of.len())]
    }

    /// A number from `from` to `to`.
    fn range(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to - from + 1)
    }

    fn scale(&mut self) -> Scale {
        Scale {
            mantissa: self.numbers.draw() as u32,
            exponent: self.range(0, 60) as i16 - 30,
        }
    }

    /// Encodings of so many channels of an input.
    fn channels(&mut self, count: u32) -> Section {
        let channels = (0..count).flat_map(|_| {
            let channel = Channel {
                scale: self.scale(),
                zero_point: self.numbers.draw() as i32,
            };
            channel.to_bytes()
        });
        let channels: Vec<u8> = channels.collect();
        self.section(&channels, true)
    }

    fn shape(&mut self) -> Shape {
        let channels = match self.below(10) {
            0 | 1 => self.range(1, 7),
            2..=5 => 8,
            6 => 16,
            7 => self.pick(&[24, 32, 40]),
            8 => self.pick(&[64, 128, 1024]),
            _ => self.range(1, 40),
        };
        let [height, width] = match self.below(8) {
            0 => [1, 1],
            1 => [1, self.range(1, 80)],
            2 => [self.range(1, 40), 1],
            3 => [self.range(1, 3), self.range(28, 70)],
            _ => [self.range(1, 9), self.range(1, 9)],
        };
        let height = if channels * height * width > 8192 {
            1
        } else {
            height
        };
        [height, width, channels].map(|d| d as u16)
    }

    /// A section of its own, or one that others use, too.
    fn section(&mut self, bytes: &[u8], shared: bool) -> Section {
        let len = bytes.len() as u32;
        let last = self.data.len().checked_sub(bytes.len());
        if let Some(last) = last.filter(|_| shared && self.chance(12)) {
            let at = self.below(last / 4 + 1) * 4;
            let offset = (DATA + at) as u32;
            return Section { offset, len };
        }
        let at = self.data.len().next_multiple_of(4);
        self.data.resize(at, 0);
        self.data.extend_from_slice(bytes);
        let offset = (DATA + at) as u32;
        Section { offset, len }
    }

    fn words(&mut self, count: usize, mut value: impl FnMut(&mut Self) -> i32) -> Vec<u8> {
        let values = (0..count).flat_map(|_| value(self).to_le_bytes());
        values.collect()
    }

    fn inbox(&mut self) -> Inbox {
        let [decay, feed] = [0; 2].map(|_| self.numbers.draw() as u16);
        Inbox {
            synapse: match self.below(3) {
                0 => Synapse::Through,
                1 => Synapse::Lowpass { decay },
                _ => Synapse::Alpha { decay, feed },
            },
            fraction: if self.calm {
                self.range(0, 2)
            } else {
                self.range(0, 14)
            } as u8,
        }
    }

    fn ensemble(&mut self, shape: Shape, exact: bool) -> Ensemble {
        let neurons = volume(shape);
        let channels = match self.below(10) {
            0 => 1,
            1 => neurons,
            2 => usize::from(shape[2]) * usize::from(shape[1]),
            _ => shape[2].into(),
        };
        let narrow = !exact && self.chance(60);
        let width = if narrow { Width::I16 } else { Width::I32 };
        let least = if self.calm { 3 } else { 1 };
        let most = match self.below(4) {
            _ if self.calm => 60,
            0 => width.max() as usize,
            _ => 3000,
        };
        let calm = self.calm;
        let threshold = move |g: &mut Self| match g.below(3) {
            0 if !calm => most as i32,
            _ => g.range(least, most) as i32,
        };
        let bias = move |g: &mut Self| match calm {
            true => g.range(0, 8) as i32 - 3,
            false => g.numbers.draw() as i32,
        };
        let mut params = Vec::new();
        for value in [&threshold as &dyn Fn(&mut Self) -> i32, &bias] {
            for _ in 0..channels {
                let value = value(self).to_le_bytes();
                params.extend_from_slice(&value[..width.bytes()]);
            }
            params.resize(params.len().next_multiple_of(4), 0);
        }
        let neuron = match exact {
            false => Neuron::IntegrateAndFire,
            true => match self.below(4) {
                0 => Neuron::IntegrateAndFire,
                1 => Neuron::Lif(Lif {
                    voltage_bits: self.range(0, 14) as u8,
                }),
                2 => Neuron::Rectified(Rectified { negative_slope: 0 }),
                _ => Neuron::Rectified(Rectified {
                    negative_slope: self.numbers.draw() as u16,
                }),
            },
        };
        let initial = match exact {
            true => self.pick(&[Initial::Zero, Initial::Half, Initial::Each]),
            false => Initial::Half,
        };
        if initial == Initial::Each {
            let shares = (0..neurons * 2).map(|_| self.numbers.draw() as u8);
            params.extend(shares.collect::<Vec<u8>>());
            params.resize(params.len().next_multiple_of(4), 0);
        }
        if let Neuron::Lif(_) = neuron {
            let refractory = self.range(0, 300_000) as i32;
            let minimum = -(self.range(0, 1 << 20) as i32);
            let mut leak = 0;
            let table = self.words(LEAK_PIECES, |g| {
                leak += g.range(1, (1 << 30) / LEAK_PIECES) as i32;
                leak
            });
            params.extend(
                [refractory, minimum, 0]
                    .iter()
                    .flat_map(|w| w.to_le_bytes()),
            );
            params.extend(table);
        }
        let inbox = (exact && self.chance(90)).then(|| self.inbox());
        let direct = neuron == Neuron::IntegrateAndFire && inbox.is_none();
        // Sums that are far from their word's ends have not wrapped.
        let bound = match (self.calm, width) {
            (true, Width::I16) => 14_000,
            (true, Width::I32) => 1 << 28,
            (false, width) => width.max(),
        };
        let shift = if self.calm {
            self.range(0, 2) as i8 - 2
        } else {
            self.range(0, 31) as i8 - 31
        };
        Ensemble {
            neurons: neurons as u32,
            channels: channels as u32,
            width,
            max_count: match self.calm {
                true => self.range(1, 3) as u8,
                false => self.pick(&[1, 15, 127, 128, 255]),
            },
            current_shift: if direct || self.chance(50) {
                shift
            } else {
                -shift
            },
            initial: if direct { Initial::Half } else { initial },
            neuron,
            inbox,
            params: self.section(&params, false).offset,
            potential_min: -bound,
            potential_max: bound,
            scale: self.scale(),
        }
    }

    /// Current-based neurons, as networks that were trained with spikes have them.
    fn current_based(&mut self, shape: Shape) -> Ensemble {
        let neurons = volume(shape);
        let channels = match self.below(5) {
            0 => 1,
            1 => neurons,
            _ => shape[2].into(),
        };
        let calm = self.calm;
        let shift = |g: &mut Self| g.range(0, if calm { 4 } else { MAX_EVENT_SHIFT.into() }) as u8;
        let traits = [
            Traits::LEAKS,
            Traits::RECURRENT,
            Traits::SHARED,
            Traits::FLOORED,
        ];
        let kind = CubaLif {
            event_shift: shift(self),
            charge: self.pick(&[
                Charge::Direct,
                Charge::Now,
                Charge::Now,
                Charge::Last,
                Charge::Decayed,
            ]),
            firing: self.pick(&[Firing::Above, Firing::Above, Firing::From, Firing::Never]),
            reset: self.pick(&[
                Reset::To,
                Reset::Losing,
                Reset::Subtract,
                Reset::Late,
                Reset::Blocking,
                Reset::Nothing,
            ]),
            traits: traits.into_iter().fold(Traits::default(), |all, one| {
                let percent = if one == Traits::LEAKS { 80 } else { 35 };
                all.and(one, self.chance(percent))
            }),
        };
        let number = |g: &mut Self, most: usize| match calm {
            true => g.range(0, 2 * most) as i32 - most as i32,
            false => g.numbers.draw() as i32,
        };
        let most = if calm { 3000 } else { i32::MAX as usize };
        let mut params = self.words(channels, |g| g.range(1, most) as i32);
        params.extend(self.words(channels, |g| number(g, 100)));
        let row = if kind.shared() { 1 } else { channels };
        for at in 0..kind.rows() {
            params.extend(self.words(row, |g| match at {
                // Decays, then reset potentials and floors: two of 16 bits.
                0 => g.numbers.draw() as i32,
                1 => number(g, 100) & 0xffff | number(g, 1000) << 16,
                _ => number(g, 1000),
            }));
        }
        Ensemble {
            neurons: neurons as u32,
            channels: channels as u32,
            width: Width::I32,
            max_count: self.pick(&[1, 1, 2, MAX_SPIKES]),
            current_shift: shift(self) as i8,
            initial: Initial::Zero,
            neuron: Neuron::CubaLif(kind),
            inbox: None,
            params: self.section(&params, false).offset,
            potential_min: i32::MIN,
            potential_max: i32::MAX,
            scale: self.scale(),
        }
    }

    fn output(&mut self, shape: Shape, steps: u16, exact: bool) -> Output {
        let size = volume(shape);
        let shown = steps == 0 || exact;
        let calm = self.calm;
        let params = self.words(2 * size, |g| match calm {
            true => g.range(0, 9) as i32,
            false => g.numbers.draw() as i32,
        });
        Output {
            size: size as u32,
            params: self.section(&params, false).offset,
            shift: self.pick(&[0, 1, 10, 31, 32, 62]),
            readout: match shown {
                true => Readout::Shown {
                    delayed: self.chance(50),
                },
                false => Readout::Sum,
            },
            current_shift: if shown && !calm {
                self.range(0, 62) as i8 - 31
            } else {
                0
            },
            inbox: (shown && self.chance(90)).then(|| self.inbox()),
            exit_margin: if shown {
                0
            } else {
                self.pick(&[0, 0, 1, 1000, u32::MAX])
            },
            scale: self.scale(),
            left_out: self.pick(&[
                LeftOut::Nothing,
                LeftOut::Softmax,
                LeftOut::Sigmoid,
                LeftOut::Tanh,
                LeftOut::Softmaxes,
                LeftOut::HardSigmoid,
                LeftOut::SteepHardSigmoid,
                LeftOut::HardTanh,
            ]),
        }
    }

    /// Source map of a connection, and the shape that its transform sees.
    fn source(&mut self, source: Shape, plain: bool) -> (SourceMap, Shape) {
        match self.below(10) {
            0 | 1 if !plain => {
                let pair = |g: &mut Self, of: &[u8]| [g.pick(of), g.pick(of)];
                let mut seen = [
                    self.range(1, 12) as u16,
                    self.range(1, 40) as u16,
                    source[2],
                ];
                if volume(seen) > 8192 {
                    seen = [1, 2, source[2]];
                }
                let window = Window {
                    input: source,
                    output: seen,
                    pool: pair(self, &[1, 2, 3, 4]),
                    repeat: pair(self, &[1, 1, 2, 3, 255]),
                    offset: [0; 2].map(|_| self.pick(&[0, 1, -1, 5, -7, 32767, -32768])),
                };
                (SourceMap::Window(window), seen)
            }
            2 | 3 if !plain => {
                let seen = self.shape();
                let place = |g: &mut Self| match g.chance(10) {
                    true => NOWHERE,
                    false => g.below(volume(seen)) as u16,
                };
                let table: Vec<u8> = (0..volume(source))
                    .flat_map(|_| place(self).to_le_bytes())
                    .collect();
                (SourceMap::Table(self.section(&table, false)), seen)
            }
            _ => (SourceMap::Direct, source),
        }
    }

    fn convolution(&mut self, seen: Shape, target: Shape) -> Option<Convolution> {
        for _ in 0..60 {
            let kernel = [0; 2].map(|_| match self.below(12) {
                0 => 255,
                1 => self.range(1, 255) as u8,
                2 | 3 => 1,
                _ => self.range(1, 7) as u8,
            });
            let stride = [0; 2].map(|_| self.pick(&[1u8, 1, 1, 2, 3, 5, 255]));
            let dilated = self.chance(25);
            let dilation = [0; 2].map(|_| {
                if dilated {
                    self.pick(&[1u8, 2, 3, 255])
                } else {
                    1
                }
            });
            let padding = [0, 1].map(|axis: usize| {
                let most = (usize::from(kernel[axis]) - 1) * usize::from(dilation[axis]);
                let most = most.min(255);
                [0, most, self.range(0, most)][self.below(3)] as u8
            });
            let meets = |axis: usize| {
                let last = (usize::from(target[axis]) - 1) * usize::from(stride[axis]);
                last < usize::from(seen[axis]) + usize::from(padding[axis])
            };
            if !meets(0) || !meets(1) {
                continue;
            }
            let (mut filters, mut first) = (target[2], 0);
            if self.chance(20) {
                filters = self.range(1, target[2].into()) as u16;
                first = self.range(0, (target[2] - filters).into()) as u16;
            }
            let mut groups = 1;
            if self.chance(20) {
                let splits = |g: &u16| seen[2].is_multiple_of(*g) && filters.is_multiple_of(*g);
                let all: Vec<u16> = (1..=seen[2].min(filters)).filter(splits).collect();
                groups = self.pick(&all);
            }
            return Some(Convolution {
                input: seen,
                output: target,
                kernel,
                stride,
                padding,
                dilation,
                groups,
                filters,
                first,
            });
        }
        None
    }

    fn weights(&mut self, transform: &Transform, layout: Layout) -> Option<Section> {
        let len = layout.bytes(transform)? as usize;
        if self.data.len() + len > MOST {
            return None;
        }
        let mut bytes = vec![0; len];
        if self.calm {
            let count = Layout::Rows.bytes(transform)? as usize;
            let weights: Vec<i16> = (0..count)
                .map(|_| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1][self.below(12)])
                .collect();
            layout.encode(&weights, transform, &mut bytes);
        } else {
            bytes.fill_with(|| self.numbers.draw() as u8);
            // Few images with weights where there must be none: they are refused.
            if !layout.is_filled_up(transform, &bytes) && !self.chance(5) {
                let mut places = vec![0; len];
                let ones = vec![-1; Layout::Rows.bytes(transform)? as usize];
                layout.encode(&ones, transform, &mut places);
                for (byte, place) in bytes.iter_mut().zip(places) {
                    *byte &= place;
                }
            }
        }
        Some(self.section(&bytes, !self.calm))
    }

    fn connection(&mut self, parts: &Parts, network: &Network<'_>) -> Option<Connection> {
        let count = parts.ensembles.len();
        let from_input = count == 0 || self.chance(45);
        let (pre, source, first) = if from_input {
            let at = self.below(parts.inputs.len());
            (Pre::Input(at as u8), parts.inputs[at], 0)
        } else {
            let at = self.below(count);
            // Back to what shows the step before, or to neurons that events reach at any time.
            let ready = matches!(network.ensembles[at].neuron, Neuron::CubaLif(_));
            let back = self.chance(if ready { 50 } else { 15 });
            let first = if back { 0 } else { at + 1 };
            (Pre::Ensemble(at as u8), parts.ensembles[at], first)
        };
        let at = first + self.below(count - first + parts.outputs.len());
        let (post, target, width) = match at.checked_sub(count) {
            None => {
                let e = &network.ensembles[at];
                (Post::Ensemble(at as u8), parts.ensembles[at], e.width)
            }
            Some(at) => (Post::Output(at as u8), parts.outputs[at], Width::I32),
        };
        let narrow = from_input && width == Width::I16;
        let (source, seen) = self.source(source, narrow);
        let dense = (!narrow && self.chance(40)).then(|| {
            let size = volume(target);
            let outputs = match self.below(8) {
                0 => 0,
                1 => self.range(0, size),
                _ => size,
            };
            Transform::Dense(Dense {
                inputs: volume(seen) as u32,
                outputs: outputs as u32,
                first: self.range(0, size - outputs) as u32,
            })
        });
        let transform = match dense {
            Some(dense) => dense,
            None => Transform::Convolution(self.convolution(seen, target)?),
        };
        let plain = |e: u8| network.ensembles[usize::from(e)].is_direct();
        let kept = match post {
            Post::Ensemble(e) => plain(e),
            Post::Output(o) => network.outputs[usize::from(o)].sums_up(),
        };
        let pre = match pre {
            Pre::Ensemble(e)
                if network.steps == 1
                    && plain(e)
                    && kept
                    && source == SourceMap::Direct
                    && self.chance(60) =>
            {
                Pre::Counts(e)
            }
            pre => pre,
        };
        let fit = Layout::ALL
            .into_iter()
            .filter(|layout| layout.fits(&transform));
        let layout = self.pick(&fit.collect::<Vec<_>>());
        Some(Connection {
            pre,
            post,
            source,
            weights: self.weights(&transform, layout)?,
            transform,
            layout,
        })
    }

    fn image(mut self) -> Vec<u8> {
        let exact = self.chance(35);
        let current_based = exact && self.chance(45);
        let shapes = |g: &mut Self, count| (0..count).map(|_| g.shape()).collect::<Vec<Shape>>();
        let inputs = if self.chance(80) { 1 } else { self.range(1, 4) };
        let ensembles = self.range(0, 5);
        let outputs = if self.chance(80) { 1 } else { self.range(1, 4) };
        let mut parts = Parts {
            inputs: shapes(&mut self, inputs),
            ensembles: shapes(&mut self, ensembles),
            outputs: shapes(&mut self, outputs),
        };
        for shape in &mut parts.outputs {
            if self.chance(70) {
                *shape = [1, 1, self.range(1, 20) as u16];
            }
        }
        let labels = b"x\n".repeat(inputs + ensembles + outputs);
        let mut network = Network {
            labels: &labels,
            steps: self.pick(if current_based {
                &[0]
            } else if exact {
                &[0, 1, 2, 5]
            } else {
                &[1, 1, 2, 2, 3, 5]
            }),
            ..Network::default()
        };
        for &shape in &parts.inputs {
            let max = self.pick(if self.calm {
                &[1, 3, 15]
            } else {
                &[255, 255, 127, 1, 0]
            });
            let zero_point = if self.chance(70) {
                0
            } else {
                self.below(usize::from(max) + 1) as u8
            };
            let size = volume(shape) as u32;
            let channels = match self.chance(20) {
                true => self.pick(&[1, 2, 3, size]),
                false => 0,
            };
            let channels = match size.checked_rem(channels) {
                Some(0) => self.channels(channels),
                _ => Section::default(),
            };
            let input = Input {
                size,
                zero_point,
                max,
                scale: self.scale(),
                channels,
            };
            assert!(network.inputs.push(input).is_ok());
        }
        for &shape in &parts.ensembles {
            let exact = exact && self.chance(80);
            let ensemble = match current_based && exact {
                true => self.current_based(shape),
                false => self.ensemble(shape, exact),
            };
            assert!(network.ensembles.push(ensemble).is_ok());
        }
        for &shape in &parts.outputs {
            let exact = exact && self.chance(60);
            let output = self.output(shape, network.steps, exact);
            assert!(network.outputs.push(output).is_ok());
        }
        let wanted = self.range(1, 8);
        let made = (0..wanted).filter_map(|_| self.connection(&parts, &network));
        let mut made: Vec<Connection> = made.collect();
        made.sort_by_key(|c| c.pre.order());
        for connection in made {
            assert!(network.connections.push(connection).is_ok());
        }
        if current_based && inputs == 1 && self.chance(60) {
            network.coder = self.coder(&mut network.inputs[0]);
        }
        if self.chance(25) {
            self.falsify(&mut network);
        }
        let mut description = postcard::to_stdvec(&network).unwrap_or_default();
        if network.coder != Coder::None {
            description.extend(postcard::to_stdvec(&network.coder).unwrap_or_default());
        }
        let mut bytes = vec![0; DATA.max(HEADER_LEN + description.len())];
        bytes[HEADER_LEN..][..description.len()].copy_from_slice(&description);
        bytes.extend(self.data);
        let header = Header {
            length: bytes.len() as u32,
            description_len: description.len() as u32,
            arena_bytes: 0,
            model_version: 0,
            checksum: 0,
        };
        bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        seal(&bytes)
    }

    /// A coder before an input, most often one that fits.
    fn coder(&mut self, input: &mut Input) -> Coder {
        if self.chance(80) {
            (input.zero_point, input.channels) = (0, Section::default());
        }
        let number = self.pick(&[1, 1, 3, 255, 0]);
        if self.chance(40) {
            let full = self.pick(&[255, 255, 100, 1, 0]);
            return Coder::Rate { full };
        }
        let thresholds = (0..input.size / 2)
            .flat_map(|_| (self.numbers.draw() as u16 | 1).to_le_bytes())
            .collect::<Vec<u8>>();
        Coder::Delta {
            thresholds: self.section(&thresholds, false),
            most: number,
        }
    }

    /// Lets a field of the description say something else.
    fn falsify(&mut self, network: &mut Network<'_>) {
        let odd = self.pick(&ODD);
        let at = self.below(network.connections.len());
        match self.below(12) {
            0 => network.inputs[0].size = odd,
            1 => (network.inputs[0].max, network.inputs[0].zero_point) = (odd as u8, 255),
            2 => network.outputs[0].size = odd,
            3 => network.outputs[0].params = odd,
            4 => network.outputs[0].shift = odd as u8,
            5 | 6 => {
                let at = self.below(network.ensembles.len());
                let field = self.below(7);
                let Some(e) = network.ensembles.get_mut(at) else {
                    return;
                };
                match field {
                    0 => e.neurons = odd,
                    1 => e.channels = odd,
                    2 => e.width = Width::I32,
                    3 => e.current_shift = odd as i8,
                    4 => e.params = e.params.wrapping_add(odd),
                    5 => e.inbox = None,
                    _ => e.neuron = Neuron::IntegrateAndFire,
                }
            }
            _ => {
                let (field, axis) = (self.below(12), self.below(2));
                let Some(c) = network.connections.get_mut(at) else {
                    return;
                };
                match field {
                    0 if axis == 0 => c.pre = Pre::Counts(odd as u8),
                    0 => c.pre = Pre::Ensemble(odd as u8),
                    1 => c.post = Post::Ensemble(odd as u8),
                    2 => c.weights.offset = c.weights.offset.wrapping_add(odd),
                    3 => c.layout = Layout::ALL[odd as usize % Layout::ALL.len()],
                    4 => {
                        if let SourceMap::Window(w) = &mut c.source {
                            w.repeat[axis] = odd as u8;
                            w.offset[axis] = odd as i16;
                        }
                    }
                    _ => match &mut c.transform {
                        Transform::Dense(d) if axis == 0 => d.inputs = odd,
                        Transform::Dense(d) => (d.outputs, d.first) = (odd, 0),
                        Transform::Convolution(v) => match field {
                            5 => v.kernel[axis] = odd as u8,
                            6 => v.stride[axis] = odd as u8,
                            7 => v.padding[axis] = odd as u8,
                            8 => v.dilation[axis] = odd as u8,
                            9 => v.groups = odd as u16,
                            10 => v.filters = odd as u16,
                            _ => v.input[axis] = odd as u16,
                        },
                    },
                }
                // More of them get past the check of lengths.
                if let Some(len) = c.layout.bytes(&c.transform) {
                    c.weights.len = len;
                }
            }
        }
    }
}

/// The shapes of a network's parts.
struct Parts {
    inputs: Vec<Shape>,
    ensembles: Vec<Shape>,
    outputs: Vec<Shape>,
}

#[cfg(test)]
mod tests {
    use tinyspike::ImageBuf;

    use super::*;

    #[test]
    fn kinds_of_neurons_are_among_them() {
        let images: Vec<Vec<u8>> = (0..400).map(image).collect();
        let all = images.iter().filter_map(|bytes| ImageBuf::new(bytes).ok());
        let kinds: Vec<Neuron> = all
            .flat_map(|bytes| {
                let image = bytes.image();
                let ensembles = image.description().ensembles.iter();
                ensembles.map(|e| e.neuron).collect::<Vec<_>>()
            })
            .collect();
        let count = |of: fn(&Neuron) -> bool| kinds.iter().filter(|kind| of(kind)).count();
        assert!(count(|n| matches!(n, Neuron::CubaLif(_))) > 30);
        assert!(count(|n| matches!(n, Neuron::Lif(_))) > 10);
        assert!(count(|n| matches!(n, Neuron::IntegrateAndFire)) > 100);
    }

    #[test]
    fn most_images_pass_the_checks_and_a_few_do_not() {
        let parsed = (0..1000).filter(|&seed| ImageBuf::new(&image(seed)).is_ok());
        let parsed = parsed.count();
        assert!((500..990).contains(&parsed), "{parsed}");
        assert_eq!(image(1), image(1));
        assert_ne!(image(1), image(2));
    }
}
