//! Cost of one synaptic event and one update of a neuron, in networks that do nothing else.
//!
//! The plugin counts every instruction of the kernels, with what surrounds their loops; calls from the
//! engine are not in it.

use tinyspike::assemble::assemble;
use tinyspike::graph::{Source, Target as Post};
use tinyspike::integers::{self, Connection, Ensemble, Input, Output, Seen, Steps};
use tinyspike_board::Failure;
use tinyspike_board::elf::functions;
use tinyspike_board::firmware::{Board, Program, elf};
use tinyspike_firmware::kernels::families;
use tinyspike_shared::image::{Convolution, Dense, Transform, Width};
use tinyspike_shared::inputs::Header;

use serde::{Deserialize, Serialize};

use super::argument;
use crate::profile;

/// Places of the input along each of its axes.
const SIDE: u16 = 16;
/// Neurons at each place.
const CHANNELS: u16 = 8;
/// Targets of each neuron.
const TARGETS: u32 = 64;
/// Steps of an inference.
const STEPS: u16 = 4;

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Micro {
    /// Name of the measurement.
    pub(super) what: String,
    /// Instructions for each.
    pub(super) instructions: f64,
}

/// Measures all on the Cortex-M4.
pub(super) fn measure(plugin: &std::path::Path) -> Result<Vec<Micro>, Failure> {
    let board = Board::Mps2An386;
    let elf = elf(board, Program::Bench);
    let functions = functions(&elf)?;
    let neurons = u32::from(SIDE) * u32::from(SIDE) * u32::from(CHANNELS);
    let mut measured = Vec::new();
    let mut one = |what: &str, image: &[u8], byte: u8, names: &[&str], each: u32| {
        let size = usize::from(SIDE) * usize::from(SIDE);
        let header = Header {
            count: 1,
            size: size as u32,
        };
        let inputs = [&header.to_bytes()[..], &vec![byte; size]].concat();
        let counts = profile::count(board, plugin, &functions, image, &inputs)?;
        let total: u64 = counts
            .iter()
            .filter(|c| {
                let function = profile::function_at(&functions, c.address);
                function.is_some_and(|f| names.iter().any(|name| f.name.contains(name)))
            })
            .map(|c| c.executed)
            .sum();
        measured.push(Micro {
            what: what.to_owned(),
            instructions: total as f64 / f64::from(each),
        });
        Ok::<_, Failure>(())
    };
    let update = ["tinyspike_fire", "tinyspike_settle", "neurons::"];
    let dense = ["tinyspike_matrix", "dense::"];
    let updates = neurons * u32::from(STEPS);
    for (width, bits) in [(Width::I16, 16), (Width::I32, 32)] {
        let image = assemble(&network(width, width, 1)).map_err(argument)?;
        let what = format!("IF neuron update of {bits} bits, bias and input current, no spike");
        // The targets are updated as well.
        let each = updates + TARGETS * u32::from(STEPS);
        one(&what, image.bytes(), 0, &update, each)?;
    }
    for (count, events) in [(1, "count one"), (2, "another count")] {
        for (width, bits) in [(Width::I16, 16), (Width::I32, 32)] {
            let image = assemble(&network(Width::I16, width, count)).map_err(argument)?;
            let what =
                format!("synaptic op of {events} in a layer of {TARGETS} neurons of {bits} bits");
            one(&what, image.bytes(), 255, &dense, updates * TARGETS)?;
        }
    }
    Ok(measured)
}

/// A neuron for each place of the input and each of eight channels, and a matrix behind them. With bytes
/// of 255 each neuron spikes `count` times in every step, with bytes of 0 never.
fn network(first: Width, second: Width, count: u8) -> integers::Network {
    let size = usize::from(SIDE) * usize::from(SIDE);
    let channels = usize::from(CHANNELS);
    let shape = [SIDE, SIDE, CHANNELS];
    let ensemble =
        |label: &str, neurons: usize, channels: usize, width: Width, threshold: i32| Ensemble {
            label: label.into(),
            neurons,
            width,
            max_count: count,
            threshold: vec![threshold; channels],
            bias: vec![0; channels],
            potential_min: -30_000,
            potential_max: 30_000,
            theta: 1.0,
            ..Ensemble::default()
        };
    let targets = TARGETS as usize;
    integers::Network {
        target: &families::DSP,
        steps: Steps::Limited(STEPS),
        inputs: vec![Input {
            label: "in".into(),
            size,
            scale: 1.0,
            zero_point: 0,
            max: 255,
            channels: Vec::new(),
            coder: None,
        }],
        ensembles: vec![
            ensemble("spiking", size * channels, channels, first, 255),
            ensemble("silent", targets, targets, second, 30_000),
        ],
        outputs: vec![Output {
            label: "out".into(),
            bias: vec![0],
            multiplier: vec![1],
            shift: 0,
            scale: 1.0,
            ..Output::default()
        }],
        connections: vec![
            Connection {
                dense: false,
                pre: Source::Input(0),
                post: Post::Population(0),
                source: Seen::Direct,
                transform: Transform::Convolution(Convolution {
                    input: [SIDE, SIDE, 1],
                    output: shape,
                    kernel: [1, 1],
                    stride: [1, 1],
                    padding: [0, 0],
                    dilation: [1, 1],
                    groups: 1,
                    filters: CHANNELS,
                    first: 0,
                }),
                weights: vec![count as i16; channels],
            },
            Connection {
                dense: false,
                pre: Source::Population(0),
                post: Post::Population(1),
                source: Seen::Direct,
                transform: Transform::Dense(Dense {
                    inputs: (size * channels) as u32,
                    outputs: TARGETS,
                    first: 0,
                }),
                // What a neuron brings its neighbour takes back. They are too large for 4 bits.
                weights: (0..size * channels)
                    .flat_map(|at| vec![if at % 2 == 0 { 30 } else { -30 }; targets])
                    .collect(),
            },
            Connection {
                dense: false,
                pre: Source::Population(1),
                post: Post::Output(0),
                source: Seen::Direct,
                transform: Transform::Dense(Dense {
                    inputs: TARGETS,
                    outputs: 1,
                    first: 0,
                }),
                weights: vec![1; targets],
            },
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinyspike::emulate::HostEngine;
    use tinyspike_firmware::{Event, Probe};
    use tinyspike_shared::weights::Layout;

    /// Counts the spikes of each ensemble.
    #[derive(Default)]
    struct Spikes([u32; 2]);

    impl Probe for Spikes {
        fn spikes(&mut self, ensemble: usize, events: &[Event]) {
            self.0[ensemble] += events.iter().map(|e| e.value as u32).sum::<u32>();
        }
    }

    #[test]
    fn neurons_spike_as_said() {
        let neurons = u32::from(SIDE) * u32::from(SIDE) * u32::from(CHANNELS);
        for (first, second, count, byte) in [
            (Width::I16, Width::I16, 1, 255),
            (Width::I16, Width::I32, 2, 255),
            (Width::I32, Width::I32, 1, 0),
        ] {
            let image = assemble(&network(first, second, count)).unwrap();
            let image = image.image();
            let connections = &image.description().connections;
            assert_eq!(connections[1].layout, Layout::Quads);
            let mut arena = vec![0; image.arena_bytes() / 4];
            let mut engine = HostEngine::new(&image, &mut arena).unwrap();
            engine.set_input(&[byte; 256]).unwrap();
            let mut spikes = Spikes::default();
            engine.infer(&mut spikes);
            let spiking = byte / 255 * count;
            let expected = neurons * u32::from(STEPS) * u32::from(spiking);
            assert_eq!(spikes.0, [expected, 0]);
        }
    }
}
