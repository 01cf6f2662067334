//! SpikingActivation of keras_spiking.

use serde_json::Value;

use super::prelude::*;
use crate::keras::class::Origin;
use crate::keras::convert::warning::Warning;
use crate::network::NeuronType;

/// An activation that spikes.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct SpikingActivation {
    pub activation: Activation,
    pub dt: f64,
    pub seed: Option<u64>,
    pub spiking_aware_training: bool,
    pub return_sequences: bool,
}

impl LayerKind for SpikingActivation {
    fn names() -> &'static [&'static str] {
        &["SpikingActivation"]
    }

    fn origin() -> Origin {
        Origin::KerasSpiking
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        if args.keeps_state() {
            return Ok(None);
        }
        let dt = args.number("dt", DEFAULT_DT)?;
        let return_sequences = args.flag("return_sequences", true)?;
        let Some(activation) = args.activation("activation", Activation::Linear)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            activation,
            dt,
            seed: args.get("seed").and_then(Value::as_u64),
            spiking_aware_training: args.flag("spiking_aware_training", true)?,
            return_sequences,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::temporal(inputs, self.return_sequences)
    }

    /// The activation at every step: what the layer trains with, and the mean of its spikes.
    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let y = self.activation.of(x)?;
        match x.shape() {
            [batch, steps, rest @ ..] if !self.return_sequences && *steps > 0 => {
                let n: usize = rest.iter().product();
                let mut last = Vec::with_capacity(batch * n);
                for b in 0..*batch {
                    last.extend_from_slice(&y.data()[((b + 1) * steps - 1) * n..][..n]);
                }
                let mut shape = vec![*batch];
                shape.extend(rest);
                axes::tensor(shape, last)
            }
            _ => Ok(y),
        }
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        arguments.require(
            "return_sequences",
            python_bool(self.return_sequences),
            "True",
        );
        if !options.inference_only {
            arguments.require(
                "spiking_aware_training",
                python_bool(self.spiking_aware_training),
                "False",
            );
        }
        arguments.verdict()
    }

    fn allow_fallback(&self) -> bool {
        false
    }

    /// Adds an ensemble of `RegularSpiking` neurons.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        warn_of_dt(call, "SpikingActivation", self.dt);
        // NengoDL applies no swap to what is inside.
        let native = !call.options().nengo_dl_compat;
        let Some(Some(base)) = self.activation.neuron_type(native) else {
            return Err(ConvertError::SpikingActivation {
                layer: call.layer().name.to_owned(),
                activation: self.activation.into(),
            });
        };
        let spiking = NeuronType::RegularSpiking {
            base: Box::new(base),
            amplitude: 1.0,
        };
        let size = call.output_shape()?.iter().product();
        let voltage = self
            .seed
            .map(|seed| Tensor::vector(stateless_uniform(seed, size)));
        let label = call.label();
        let object = call.add_ensemble(label, spiking, None, voltage)?;
        call.connect(object, Connect::default())?;
        Ok(vec![object.pre])
    }
}

/// The step that keras_spiking assumes unless told otherwise, in seconds.
pub(super) const DEFAULT_DT: f64 = 0.001;

pub(super) fn warn_of_dt(call: &mut LayerCall<'_, '_>, class: &str, dt: f64) {
    if dt != DEFAULT_DT {
        call.warn(Warning::IgnoredDt {
            class: class.to_owned(),
            dt,
        });
    }
}

pub(super) fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// The result of `tf.random.stateless_uniform([n], seed=(seed, seed))`, from which keras_spiking
/// takes the voltages at the start: Philox 4x32-10 with a key and counter mixed from the seed.
/// Without a seed it draws another one in every session, and the network fixes no voltages.
fn stateless_uniform(seed: u64, n: usize) -> Vec<f32> {
    let halves = |word: u64| [word as u32, (word >> 32) as u32];
    let [low, high] = halves(seed);
    let [key_low, key_high, counter_low, counter_high] =
        philox([low, high, low, high], [0x3ec8_f720, 0x0246_1e29]);
    (0u64..)
        .flat_map(|block| {
            let [low, high] = halves(block);
            philox([low, high, counter_low, counter_high], [key_low, key_high])
        })
        // 23 random bits as the fraction of a number in [1, 2).
        .map(|bits| f32::from_bits(0x3f80_0000 | (bits & 0x007f_ffff)) - 1.0)
        .take(n)
        .collect()
}

/// One block of Philox 4x32-10 (Salmon et al., 2011).
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let halves = |word: u64| ((word >> 32) as u32, word as u32);
    for _ in 0..10 {
        let (high0, low0) = halves(0xd251_1f53 * u64::from(counter[0]));
        let (high1, low1) = halves(0xcd9e_8d57 * u64::from(counter[2]));
        counter = [
            high1 ^ counter[1] ^ key[0],
            low1,
            high0 ^ counter[3] ^ key[1],
            low0,
        ];
        key = [
            key[0].wrapping_add(0x9e37_79b9),
            key[1].wrapping_add(0xbb67_ae85),
        ];
    }
    counter
}
