//! Coders: samples of sensors and pictures as the events that a device makes of them.
//!
//! A [`CoderOptions`] is what a user asks for. With the units that fit some data it is a [`Coder`], which an image states.
//! Here and on the device the same functions make events, so that both agree to the bit.

use std::fmt;
use std::str::FromStr;

use tinyspike_shared::image::coder::{change, share};

use crate::data::{DataSet, Samples};
use crate::inputs::Inputs;
use crate::network::Network;

/// Largest number that a sample of 16 bits holds.
const MOST: f64 = i16::MAX as f64;
/// Sum of bytes that makes an event.
const FULL: u8 = u8::MAX;
/// The fewest units of the smallest threshold: with fewer, events differ much from those of exact samples.
const FINE: f64 = 8.0;
/// The most events of a place in a step, unless the user says.
const EVENTS: u8 = 1;

/// Kind of coder that a user asks for, in units of the data.
///
/// As text: `delta:0.1,0.3:2` has the thresholds of two channels, or one for all, and the most events in a step. `rate` has no
/// settings.
#[derive(Clone, Debug, PartialEq)]
pub enum CoderOptions {
    /// Events for changes: two places for each channel, for rises and falls.
    Delta {
        /// Threshold of each channel, or of all.
        thresholds: Vec<f64>,
        /// The most events of a place in a step.
        most: u8,
    },
    /// Events in proportion to values from 0 to the largest, for which there is one in each step.
    Rate,
}

/// Reason why there is no such coder.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CoderError {
    /// A text that is none.
    #[error(
        "{0:?} is no coder: delta:THRESHOLDS or delta:THRESHOLDS:MOST, as delta:0.1,0.3:2; or rate"
    )]
    Text(String),
    /// A threshold that is no positive number.
    #[error("the threshold {0} is not above 0")]
    Threshold(f64),
    /// A number of thresholds that is none of channels.
    #[error("{found} thresholds for {channels} channels: give one for all, or one for each")]
    Thresholds {
        /// Thresholds that were given.
        found: usize,
        /// Channels of a sample.
        channels: usize,
    },
    /// Data of another shape.
    #[error(
        "the coder makes {places} places of {values} values, and the network's input has {expected}"
    )]
    Places {
        /// Values of a sample.
        values: usize,
        /// Places that they become.
        places: usize,
        /// Places of the network's input.
        expected: usize,
    },
    /// Values that 16 bits do not resolve.
    #[error(
        "values up to {largest} and the threshold {threshold} do not fit 16 bits together: the threshold would be {units:.1} units"
    )]
    Range {
        /// The largest absolute value.
        largest: f64,
        /// The smallest threshold.
        threshold: f64,
        /// The same in units of samples.
        units: f64,
    },
    /// A network that has several inputs, or no current-based neurons.
    #[error(
        "a coder is for networks over time with one input, whose neurons were trained with spikes"
    )]
    Network,
    /// An input that takes fewer events in a step.
    #[error("the coder makes up to {most} events of a place in a step, and the input takes {max}")]
    Most {
        /// Events of the coder.
        most: u8,
        /// Events of the input.
        max: u8,
    },
}

impl FromStr for CoderOptions {
    type Err = CoderError;

    fn from_str(text: &str) -> Result<Self, CoderError> {
        let bad = || CoderError::Text(text.to_owned());
        let mut parts = text.split(':');
        let kind = parts.next().unwrap_or_default();
        let rest: Vec<&str> = parts.collect();
        match (kind, rest.as_slice()) {
            ("rate", []) => Ok(Self::Rate),
            ("delta", [thresholds, most @ ..]) if most.len() < 2 => {
                let thresholds = thresholds.split(',').map(|t| t.trim().parse::<f64>());
                let thresholds: Vec<f64> =
                    thresholds.collect::<Result<_, _>>().map_err(|_| bad())?;
                let wrong = |t: &&f64| !(t.is_finite() && **t > 0.0);
                if let Some(&wrong) = thresholds.iter().find(wrong) {
                    return Err(CoderError::Threshold(wrong));
                }
                let most = match most {
                    [most] => most.parse().ok().filter(|&m| m > 0).ok_or_else(bad)?,
                    _ => EVENTS,
                };
                Ok(Self::Delta { thresholds, most })
            }
            _ => Err(bad()),
        }
    }
}

impl CoderOptions {
    /// The coder with units that fit some data, for an input of so many places. Whole numbers of 16 bits stay as they are; other
    /// units are powers of two, in which the largest value may double.
    ///
    /// # Errors
    /// [`CoderError`], if the numbers of channels do not fit, or 16 bits do not resolve the values.
    pub fn fit(&self, data: &DataSet, places: usize) -> Result<Coder, CoderError> {
        let mut largest = 0.0f64;
        let mut whole = true;
        for value in data.to_floats() {
            let value = f64::from(value);
            whole &= value.fract() == 0.0;
            largest = largest.max(value.abs());
        }
        let (thresholds, most) = match self {
            Self::Rate => {
                // An image holds a float's digits.
                let unit = match largest > 0.0 {
                    true => (largest / f64::from(FULL)) as f32,
                    false => 1.0,
                };
                return Ok(Coder::Rate { unit: unit.into() });
            }
            Self::Delta { thresholds, most } => (thresholds, *most),
        };
        let channels = places / 2;
        let each: Vec<f64> = match thresholds.as_slice() {
            [one] => vec![*one; channels],
            all if all.len() == channels => all.to_vec(),
            all => {
                let found = all.len();
                return Err(CoderError::Thresholds { found, channels });
            }
        };
        whole &= each.iter().all(|t| t.fract() == 0.0);
        let unit = match whole && largest <= MOST {
            true => 1.0,
            false => (2.0 * largest / MOST)
                .max(f64::MIN_POSITIVE)
                .log2()
                .ceil()
                .exp2(),
        };
        let smallest = each.iter().copied().fold(f64::INFINITY, f64::min);
        let most_units = each.iter().copied().fold(0.0, f64::max) / unit;
        if unit != 1.0 && smallest / unit < FINE || most_units > f64::from(u16::MAX) {
            return Err(CoderError::Range {
                largest,
                threshold: smallest,
                units: smallest / unit,
            });
        }
        Ok(Coder::Delta {
            thresholds: each
                .iter()
                .map(|t| (t / unit).round().max(1.0) as u16)
                .collect(),
            most,
            unit,
        })
    }
}

/// A coder of an input, in units of its samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Coder {
    /// Events for changes of samples of 16 bits.
    Delta {
        /// Threshold of each channel, in units.
        thresholds: Vec<u16>,
        /// The most events of a place in a step.
        most: u8,
        /// Value of a unit.
        unit: f64,
    },
    /// Events in proportion to bytes.
    Rate {
        /// Value of a byte's unit; 255 of them make an event.
        unit: f64,
    },
}

/// The coder of a network's only input with units that fit some samples, and the events that it makes of them, see
/// [`Coder::coded`].
///
/// # Errors
/// [`CoderError`], if the network has several inputs, or the samples do not fit it.
pub fn prepare(
    network: &Network,
    options: &CoderOptions,
    data: &DataSet,
    steps: usize,
) -> Result<(Coder, DataSet), CoderError> {
    let (Some(shape), 1) = (Inputs::shape(network, 0), network.inputs.len()) else {
        return Err(CoderError::Network);
    };
    let coder = options.fit(data, shape.iter().product())?;
    let coded = coder.coded(data, &shape, steps)?;
    Ok((coder, coded))
}

impl Coder {
    /// Value of a unit of samples.
    #[must_use]
    pub const fn unit(&self) -> f64 {
        match self {
            Self::Delta { unit, .. } | Self::Rate { unit } => *unit,
        }
    }

    /// The most events of a place in a step.
    #[must_use]
    pub const fn most(&self) -> u8 {
        match self {
            Self::Delta { most, .. } => *most,
            Self::Rate { .. } => 1,
        }
    }

    /// Places that a value of a sample has.
    const fn places_of_value(&self) -> usize {
        match self {
            Self::Delta { .. } => 2,
            Self::Rate { .. } => 1,
        }
    }

    /// Sum of bytes that makes an event of a rate.
    pub(crate) const FULL: u8 = FULL;

    /// The events that a device makes of samples, as counts over time: each sample from rest. Samples without an axis of time,
    /// of an input of this shape, are shown for so many steps.
    ///
    /// # Errors
    /// [`CoderError::Places`], if samples do not become as many places as the input has.
    pub fn coded(
        &self,
        data: &DataSet,
        shape: &[usize],
        steps: usize,
    ) -> Result<DataSet, CoderError> {
        let expected: usize = shape.iter().product();
        let each = self.places_of_value();
        let is_static = matches!(self, Self::Rate { .. }) && data.sample_size() == expected;
        let values = match is_static {
            true => expected,
            false => data.shape().iter().skip(1).product::<usize>(),
        };
        let places = values * each;
        let refused = || CoderError::Places {
            values,
            places,
            expected,
        };
        if places != expected || expected == 0 {
            return Err(refused());
        }
        let steps = match is_static {
            true => steps,
            false => data.sample_size() / values,
        };
        let mut counts = Vec::with_capacity(data.len() * steps * expected);
        for sample in data.to_floats().chunks_exact(data.sample_size()) {
            self.code(sample, values, steps, &mut counts);
        }
        let shape = [&[steps], shape].concat();
        let set = DataSet::new(shape, Samples::U8(counts), None);
        let set = set.ok_or_else(refused)?;
        Ok(set
            .with_byte_scale(1.0)
            .with_targets(data.targets().cloned()))
    }

    /// Appends the counts of a recording from rest.
    fn code(&self, values: &[f32], per_step: usize, steps: usize, counts: &mut Vec<u8>) {
        let row = |step: usize| {
            // A picture is the same in each step.
            let from = (step * per_step) % values.len().max(1);
            values.get(from..from + per_step).unwrap_or(&[])
        };
        match self {
            Self::Delta {
                thresholds,
                most,
                unit,
            } => {
                let first = row(0).iter().map(|&v| i32::from(sample(v, *unit)));
                let mut references: Vec<i32> = first.collect();
                for step in 0..steps {
                    let channels = row(step).iter().zip(&mut references).zip(thresholds);
                    for ((&value, reference), &threshold) in channels {
                        let count = change(reference, sample(value, *unit), threshold, *most);
                        counts.push(count.max(0) as u8);
                        counts.push((-count).max(0) as u8);
                    }
                }
            }
            Self::Rate { unit } => {
                let mut rests = vec![0; per_step];
                for step in 0..steps {
                    let places = row(step).iter().zip(&mut rests);
                    counts
                        .extend(places.map(|(&value, rest)| share(rest, byte(value, *unit), FULL)));
                }
            }
        }
    }
}

/// A value as a sample of 16 bits, rounded and clamped.
pub(crate) fn sample(value: f32, unit: f64) -> i16 {
    // A cast clamps to the range and takes no number for 0.
    (f64::from(value) / unit).round() as i16
}

/// A value as a byte of a rate, rounded and clamped.
pub(crate) fn byte(value: f32, unit: f64) -> u8 {
    (f64::from(value) / unit).round() as u8
}

impl fmt::Display for Coder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delta {
                thresholds,
                most,
                unit,
            } => {
                let mut own: Vec<String> = thresholds
                    .iter()
                    .map(|t| format!("{}", f64::from(*t) * unit))
                    .collect();
                own.dedup();
                write!(
                    f,
                    "changes of {} channels by {}, up to {most} {} each in a step; samples of 16 bits in units of {unit}",
                    thresholds.len(),
                    own.join(", "),
                    if *most == 1 { "event" } else { "events" },
                )
            }
            Self::Rate { unit } => {
                write!(
                    f,
                    "rates: an event in each step for {}",
                    unit * f64::from(FULL)
                )
            }
        }
    }
}
