//! Graph + Calibration + integers::Network → what quantization did to each layer, as a table and as JSON.

use std::fmt;

use serde::Serialize;
use tinyspike_shared::image::{Post, Pre, Width};

use crate::assemble::Image;
use crate::calibrate::Calibration;
use crate::cost::Choice;
use crate::graph::{Graph, Source, Target};
use crate::integers;
use crate::quantize::{encoded, image_order};
use crate::text::escaped;

/// Effects of quantization.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Samples that the ranges rest on; 0 for bounds from the weights.
    pub calibration_samples: usize,
    /// The inputs.
    pub inputs: Vec<InputReport>,
    /// The layers of neurons.
    pub layers: Vec<LayerReport>,
    /// The synapses.
    pub connections: Vec<ConnectionReport>,
    /// The whole arena.
    pub ram_bytes: usize,
    /// The whole image.
    pub flash_bytes: usize,
}

/// An input's bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputReport {
    /// Its label.
    pub label: String,
    /// The float of one unit; of several channels with units of their own the largest.
    pub scale: f64,
    /// The byte that brings nothing: that of 0.0 if all channels are alike.
    pub zero_point: u8,
    /// The float of one unit of each channel; none if all are alike.
    pub channel_scales: Vec<f64>,
    /// The largest byte.
    pub max: u8,
    /// Bits of a byte that are used.
    pub bits: u32,
}

/// A layer's activations and potentials.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// The ensemble's label.
    pub label: String,
    /// Number of neurons.
    pub neurons: usize,
    /// The activation that one spike in one step stands for, in the most active channel; in others it is
    /// smaller if channels are balanced.
    pub scale: f64,
    /// The most spikes in a step.
    pub max_count: u8,
    /// The largest activation that spikes can show.
    pub clip: f64,
    /// The activations that were seen, if the network's ranges rest on them: those of exact networks do not.
    #[serde(flatten)]
    pub seen: Option<SeenReport>,
    /// Bits of a potential.
    pub bits: u32,
    /// The proven least and largest potential less the threshold.
    pub bounds: [i32; 2],
    /// The smallest and the largest threshold.
    pub thresholds: [i32; 2],
    /// The shift of input currents, in bits.
    pub current_shift: u8,
    /// State.
    pub ram_bytes: usize,
    /// Thresholds and biases.
    pub flash_bytes: usize,
}

/// A layer's activations on the calibration samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeenReport {
    /// The largest activation that was seen.
    pub largest: f32,
    /// The smallest and the largest of the channels' largest activations.
    pub channel_range: [f32; 2],
    /// The share of activations above the clip.
    pub clipped: f64,
    /// The share of activations above zero.
    pub density: f64,
}

/// A connection's weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectionReport {
    /// Source end.
    pub pre: String,
    /// Target end.
    pub post: String,
    /// Number of weights.
    pub weights: usize,
    /// Bits that the weights use, at least 2.
    pub bits: u32,
    /// The signal-to-noise ratio of the weights in decibels, with the best scale for each channel;
    /// `None` if all weights are exact.
    pub sqnr_db: Option<f64>,
    /// Weights beyond the largest integer.
    pub clipped: usize,
    /// The share of weights that became zero.
    pub zero: f64,
    /// The weights' bytes.
    pub flash_bytes: usize,
    /// Way in which its targets are computed.
    pub way: Way,
    /// The predicted cycles of both ways; `None` of exact images.
    pub cycles: Option<CyclesReport>,
}

/// Way in which a connection's targets are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Event by event.
    Events,
    /// All values of the source at once.
    Dense,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Events => "events",
            Self::Dense => "dense",
        })
    }
}

/// Predicted cycles of an inference that a connection takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CyclesReport {
    /// Cycles by events.
    pub events: f64,
    /// Cycles densely; `None` if it cannot be dense.
    pub dense: Option<f64>,
}

/// Describes every layer of a quantized network and its image.
#[must_use]
pub fn report(
    graph: &Graph,
    calibration: &Calibration,
    quantized: &integers::Network,
    image: &Image<'_>,
    choices: &[Choice],
) -> Report {
    let network = image.description();
    let graph = &*encoded(graph, &quantized.inputs);
    let inputs = quantized.inputs.iter().map(|input| InputReport {
        label: input.label.clone(),
        scale: match input.channels.as_slice() {
            [] => input.scale,
            channels => channels.iter().fold(0.0, |largest, c| c.scale.max(largest)),
        },
        zero_point: input.zero_point,
        channel_scales: input.channels.iter().map(|c| c.scale).collect(),
        max: input.max,
        bits: u8::BITS - input.max.leading_zeros(),
    });
    let layers = quantized
        .ensembles
        .iter()
        .zip(&network.ensembles)
        .enumerate()
        .map(|(at, (e, packed))| {
            let clip = e.theta * f64::from(e.max_count);
            let seen = calibration.populations.get(at).map(|seen| {
                let channels = seen.channels.iter().map(|c| c.max);
                SeenReport {
                    largest: seen.max,
                    channel_range: [
                        channels.clone().reduce(f32::min).unwrap_or(0.0),
                        channels.reduce(f32::max).unwrap_or(0.0),
                    ],
                    clipped: seen.share_above(clip),
                    density: seen.density(),
                }
            });
            LayerReport {
                label: e.label.clone(),
                neurons: e.neurons,
                scale: e.theta,
                max_count: e.max_count,
                clip,
                seen,
                bits: match e.width {
                    Width::I16 => 16,
                    Width::I32 => 32,
                },
                bounds: [e.potential_min, e.potential_max],
                thresholds: [
                    e.threshold.iter().copied().min().unwrap_or(0),
                    e.threshold.iter().copied().max().unwrap_or(0),
                ],
                current_shift: e.current_shift.unsigned_abs(),
                ram_bytes: image.ensemble_ram(at) as usize,
                flash_bytes: packed.params_len() as usize,
            }
        });
    // Connections stand in the order of the graph's links.
    let packed = network.connections.iter();
    let linked = quantized.connections.iter().zip(&graph.links).zip(packed);
    let connections = linked.enumerate().map(|(at, ((c, link), packed))| {
        let targets = match c.post {
            Target::Population(p) => graph.populations[p].neurons,
            Target::Output(o) => graph.outputs[o].bias.len(),
        };
        let (weights, row, _) = image_order(&link.map, targets);
        let quality = Quality::of(&weights, &c.weights, row.len());
        let zeros = c.weights.iter().filter(|w| **w == 0).count();
        ConnectionReport {
            pre: match c.pre {
                Source::Input(i) => quantized.inputs[i].label.clone(),
                Source::Population(p) => quantized.ensembles[p].label.clone(),
            },
            post: match c.post {
                Target::Population(p) => quantized.ensembles[p].label.clone(),
                Target::Output(o) => quantized.outputs[o].label.clone(),
            },
            weights: c.weights.len(),
            bits: quality.bits,
            sqnr_db: quality.decibels(),
            clipped: quality.clipped,
            zero: zeros as f64 / c.weights.len().max(1) as f64,
            flash_bytes: packed.weights.len as usize,
            way: if c.dense { Way::Dense } else { Way::Events },
            cycles: choices.get(at).map(|choice| {
                let (events, dense) = choice.cycles;
                CyclesReport { events, dense }
            }),
        }
    });
    Report {
        calibration_samples: calibration.samples,
        inputs: inputs.collect(),
        layers: layers.collect(),
        connections: connections.collect(),
        ram_bytes: image.arena_bytes(),
        flash_bytes: image.bytes().len(),
    }
}

/// Quality of integers as weights.
struct Quality {
    bits: u32,
    signal: f64,
    noise: f64,
    clipped: usize,
}

impl Quality {
    /// Measures `q` against `weights`, rows over `channels`, each with the scale that fits it best.
    fn of(weights: &[f64], q: &[i16], channels: usize) -> Self {
        let channels = channels.max(1);
        let mut products = vec![0.0; channels];
        let mut squares = vec![0.0; channels];
        for (at, (w, q)) in weights.iter().zip(q).enumerate() {
            let q = f64::from(*q);
            products[at % channels] += w * q;
            squares[at % channels] += q * q;
        }
        let largest = q.iter().map(|q| q.unsigned_abs()).max().unwrap_or(0);
        let bits = (u16::BITS - largest.leading_zeros() + 1).max(2);
        let limit = (1 << (bits - 1)) - 1;
        let mut quality = Self {
            bits,
            signal: 0.0,
            noise: 0.0,
            clipped: 0,
        };
        for (at, (w, q)) in weights.iter().zip(q).enumerate() {
            let channel = at % channels;
            let scale = products[channel] / squares[channel].max(f64::MIN_POSITIVE);
            let difference = w - f64::from(*q) * scale;
            quality.signal += w * w;
            quality.noise += difference * difference;
            if u32::from(q.unsigned_abs()) == limit && difference.abs() > scale.abs() {
                quality.clipped += 1;
            }
        }
        quality
    }

    fn decibels(&self) -> Option<f64> {
        (self.noise > 0.0 && self.signal > 0.0).then(|| 10.0 * (self.signal / self.noise).log10())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for i in &self.inputs {
            let (label, bits) = (escaped(&i.label), i.bits);
            let scales = i.channel_scales.iter().copied();
            match scales.reduce(f64::min) {
                None => writeln!(
                    f,
                    "input {label}: {bits} bits, one unit is {:.6}, zero at {}",
                    i.scale, i.zero_point
                )?,
                Some(least) => writeln!(
                    f,
                    "input {label}: {bits} bits, one unit is {least:.6} to {:.6}: each of {} channels has its own",
                    i.scale,
                    i.channel_scales.len()
                )?,
            }
        }
        writeln!(
            f,
            "{:<20} {:>7} {:>10} {:>5} {:>9} {:>9} {:>8} {:>7} {:>4} {:>17} {:>8} {:>8}",
            "layer",
            "neurons",
            "per spike",
            "count",
            "clip",
            "largest",
            "clipped",
            "active",
            "bits",
            "potential",
            "RAM",
            "flash"
        )?;
        for l in &self.layers {
            let shown =
                |show: &dyn Fn(&SeenReport) -> String| l.seen.as_ref().map_or("-".to_owned(), show);
            writeln!(
                f,
                "{:<20} {:>7} {:>10.5} {:>5} {:>9.3} {:>9} {:>8} {:>7} {:>4} {:>17} {:>8} {:>8}",
                escaped(&l.label),
                l.neurons,
                l.scale,
                l.max_count,
                l.clip,
                shown(&|s| format!("{:.3}", s.largest)),
                shown(&|s| format!("{:.3}%", s.clipped * 100.0)),
                shown(&|s| format!("{:.1}%", s.density * 100.0)),
                l.bits,
                format!("{}..={}", l.bounds[0], l.bounds[1]),
                l.ram_bytes,
                l.flash_bytes
            )?;
        }
        writeln!(
            f,
            "{:<41} {:>9} {:>5} {:>8} {:>8} {:>7} {:>9} {:>6} {:>21}",
            "connection",
            "weights",
            "bits",
            "SQNR",
            "clipped",
            "zero",
            "flash",
            "way",
            "cycles: events, dense"
        )?;
        for c in &self.connections {
            writeln!(
                f,
                "{:<41} {:>9} {:>5} {:>8} {:>8} {:>6.1}% {:>9} {:>6} {:>10} {:>10}",
                escaped(&format!("{} -> {}", c.pre, c.post)),
                c.weights,
                c.bits,
                c.sqnr_db.map_or("exact".into(), |db| format!("{db:.1} dB")),
                c.clipped,
                c.zero * 100.0,
                c.flash_bytes,
                c.way,
                c.cycles.map_or("-".into(), |c| format!("{:.0}", c.events)),
                (c.cycles.and_then(|c| c.dense)).map_or("-".into(), |dense| format!("{dense:.0}"))
            )?;
        }
        write!(
            f,
            "in all {} bytes of RAM, {} bytes of flash; ranges from {} samples",
            self.ram_bytes, self.flash_bytes, self.calibration_samples
        )
    }
}

/// Limits of an image and its state, without the firmware's own needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// The most bytes of the arena.
    pub ram: Option<u64>,
    /// The most bytes of the image.
    pub flash: Option<u64>,
}

/// An image is too large.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the network needs {needed} bytes of {what}, {over} more than the {limit} that are allowed; the largest parts are {largest}"
)]
pub struct BudgetError {
    /// `RAM` or `flash`.
    pub what: &'static str,
    /// Bytes that it needs.
    pub needed: u64,
    /// Bytes that are allowed.
    pub limit: u64,
    /// The difference.
    pub over: u64,
    /// The largest parts, each with its bytes.
    pub largest: String,
}

impl Budgets {
    /// Checks an image.
    ///
    /// # Errors
    /// [`BudgetError`] if a budget is exceeded: by how much, and what takes most.
    pub fn check(&self, image: &Image<'_>) -> Result<(), BudgetError> {
        let network = image.description();
        let ram = (0..network.ensembles.len()).map(|at| {
            let label = format!("the state of {:?}", network.ensemble_label(at));
            (u64::from(image.ensemble_ram(at)), label)
        });
        check("RAM", image.arena_bytes() as u64, self.ram, ram.collect())?;
        let flash = network.connections.iter().map(|c| {
            let pre = match c.pre {
                Pre::Input(i) => network.input_label(i.into()),
                Pre::Ensemble(e) | Pre::Counts(e) => network.ensemble_label(e.into()),
            };
            let post = match c.post {
                Post::Ensemble(e) => network.ensemble_label(e.into()),
                Post::Output(o) => network.output_label(o.into()),
            };
            let label = format!("the weights from {pre:?} to {post:?}");
            (u64::from(c.weights.len), label)
        });
        check(
            "flash",
            image.bytes().len() as u64,
            self.flash,
            flash.collect(),
        )
    }
}

fn check(
    what: &'static str,
    needed: u64,
    limit: Option<u64>,
    mut parts: Vec<(u64, String)>,
) -> Result<(), BudgetError> {
    const NAMED: usize = 3;
    match limit {
        Some(limit) if needed > limit => {
            parts.sort_by_key(|part| std::cmp::Reverse(part.0));
            let named: Vec<String> = parts
                .iter()
                .take(NAMED)
                .map(|(bytes, label)| format!("{label} ({bytes} bytes)"))
                .collect();
            Err(BudgetError {
                what,
                needed,
                limit,
                over: needed - limit,
                largest: named.join(", "),
            })
        }
        _ => Ok(()),
    }
}
