//! Many steps on random inputs, and a digest of all state: the same numbers on every machine.
//!
//! A run starts from a seed. Each inference has an input of its own; after each of its steps but the
//! last all potentials go into the digest (the last may leave them as they are), and after the last
//! the sums of all outputs. A network without end is never brought to rest again; its input changes now and then.

use crate::engine::Engine;
use crate::kernels::Kernels;
use crate::trace::{RunError, split};
use tinyspike_shared::Image;

/// Task of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soak {
    /// Seed of the random inputs.
    pub seed: u32,
    /// Least number of steps to take; the last inference is taken to its end.
    pub steps: u32,
}

/// Steps of a network without end on each of its inputs.
const STREAM: u16 = 16;

/// The length of [`Soak`] in a block of inputs, in bytes.
pub const SOAK_LEN: usize = 8;

impl Soak {
    /// The bytes of an input that stands for this run: seed and steps, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SOAK_LEN] {
        let mut bytes = [0; SOAK_LEN];
        bytes[..4].copy_from_slice(&self.seed.to_le_bytes());
        bytes[4..].copy_from_slice(&self.steps.to_le_bytes());
        bytes
    }

    /// The run that the bytes of an input stand for; `None` if they are no run.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (seed, rest) = bytes.split_first_chunk()?;
        let steps = <[u8; 4]>::try_from(rest).ok()?;
        Some(Self {
            seed: u32::from_le_bytes(*seed),
            steps: u32::from_le_bytes(steps),
        })
    }
}

/// Result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The steps that it took.
    pub steps: u32,
    /// The digest of all state.
    pub state: u32,
    /// Potentials of the digest that were outside of the bounds that the image states.
    pub beyond: u32,
}

impl Digest {
    fn add(&mut self, value: i32) {
        self.state = (self.state.rotate_left(5) ^ value as u32).wrapping_mul(0x9e37_79b9);
    }
}

/// Takes the steps. `input` is where the network's inputs are made; it is as long as all together.
///
/// # Errors
/// [`RunError`] if the arena or `input` does not fit the network.
pub fn run<K, const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    arena: &mut [u32],
    input: &mut [u8],
    soak: Soak,
) -> Result<Digest, RunError>
where
    K: Kernels<u16> + Kernels<u32>,
{
    let network = image.description();
    let expected: u64 = network.inputs.iter().map(|i| u64::from(i.size)).sum();
    if input.len() as u64 != expected {
        return Err(RunError::Size {
            expected,
            found: input.len() as u32,
        });
    }
    let mut engine: Engine<'_, K, E, C> = Engine::new(image, arena)?;
    let mut random = soak.seed | 1;
    let mut digest = Digest {
        steps: 0,
        state: 0,
        beyond: 0,
    };
    while digest.steps < soak.steps {
        let mut rest = &mut *input;
        for part in &network.inputs {
            let (values, tail) = rest
                .split_at_mut_checked(part.size as usize)
                .unwrap_or((&mut [], &mut []));
            for value in values {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                *value = if random >> 31 == 0 {
                    part.zero_point
                } else {
                    // By the high bits: from 0 to the largest byte.
                    ((((random >> 8) & 0xff) * (u32::from(part.max) + 1)) >> 8) as u8
                };
            }
            rest = tail;
        }
        if network.steps > 0 || digest.steps == 0 {
            engine.reset();
        }
        engine.set_inputs(&split(&network.inputs, input))?;
        let steps = match network.steps {
            0 => STREAM,
            steps => steps,
        };
        for step in 1..=steps {
            engine.step();
            digest.steps = digest.steps.saturating_add(1);
            if step == network.steps {
                break;
            }
            for (index, e) in network.ensembles.iter().enumerate() {
                for neuron in 0..e.neurons as usize {
                    let Some(v) = engine.potential(index, neuron) else {
                        continue;
                    };
                    digest.add(v);
                    if v < e.potential_min || v > e.potential_max {
                        digest.beyond = digest.beyond.saturating_add(1);
                    }
                }
            }
        }
        for index in 0..network.outputs.len() {
            for &sum in engine.output(index).sums() {
                digest.add(sum);
            }
        }
    }
    Ok(digest)
}
