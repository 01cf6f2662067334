//! keras_spiking's SpikingActivation, Lowpass and Alpha.

use super::super::call::{Connect, default_neuron_type};
use super::super::{ConvertError, ConvertOptions, LayerCall, LayerConverter, Warning};
use super::Arguments;
use crate::keras::model::{Layer, LayerConfig};
use crate::network::{NeuronType, Pre, Synapse};
use crate::tensor::Tensor;

/// The step that keras_spiking assumes unless told otherwise, in seconds.
const DEFAULT_DT: f64 = 0.001;

fn warn_of_dt(call: &mut LayerCall<'_, '_>, class: &str, dt: f64) {
    if dt != DEFAULT_DT {
        call.warn(Warning::IgnoredDt {
            class: class.to_owned(),
            dt,
        });
    }
}

fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// An ensemble of `RegularSpiking` neurons.
pub(super) struct SpikingActivation;

impl LayerConverter for SpikingActivation {
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        if let LayerConfig::SpikingActivation {
            spiking_aware_training,
            return_sequences,
            ..
        } = layer.config
        {
            arguments.require("return_sequences", python_bool(return_sequences), "True");
            if !options.inference_only {
                arguments.require(
                    "spiking_aware_training",
                    python_bool(spiking_aware_training),
                    "False",
                );
            }
        }
        arguments.verdict()
    }

    fn allow_fallback(&self) -> bool {
        false
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let LayerConfig::SpikingActivation {
            activation,
            dt,
            seed,
            ..
        } = call.layer().config
        else {
            return Err(call.configuration_error());
        };
        warn_of_dt(call, "SpikingActivation", dt);
        // NengoDL applies no swap to what is inside.
        let native = !call.options().nengo_dl_compat;
        let Some(Some(base)) = default_neuron_type(activation, native) else {
            return Err(ConvertError::SpikingActivation {
                layer: call.layer().name.clone(),
                activation: activation.into(),
            });
        };
        let spiking = NeuronType::RegularSpiking {
            base: Box::new(base),
            amplitude: 1.0,
        };
        let size = call.output_shape()?.iter().product();
        let voltage = seed.map(|seed| Tensor::vector(stateless_uniform(seed, size)));
        let label = call.label();
        let object = call.add_ensemble(label, spiking, None, voltage)?;
        call.connect(object, Connect::default())?;
        Ok(vec![object.pre])
    }
}

/// What `tf.random.stateless_uniform([n], seed=(seed, seed))` returns, from which keras_spiking
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

/// A node behind a connection that carries the layer's filter.
pub(super) struct Filter;

impl Filter {
    /// The layer's time constants.
    fn tau(layer: &Layer) -> Option<&Tensor> {
        layer.weight("tau")
    }
}

impl LayerConverter for Filter {
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        let class = super::super::registry::type_name(&layer.class_name);
        if layer.trainable && !options.inference_only {
            return Err(format!(
                "Cannot convert a {class} layer to native Nengo objects unless \
                 inference_only=True or layer.trainable=False"
            ));
        }
        let starts_at_zero = layer
            .weights
            .iter()
            .filter(|weight| weight.name != "tau")
            .all(|weight| weight.value.data().iter().all(|level| level.abs() <= 1e-8));
        if !starts_at_zero {
            return Err(format!(
                "Cannot convert a {class} layer to native Nengo objects with initial_level != 0 \
                 (this probably means that training has been applied to the layer before \
                 conversion)"
            ));
        }
        if let Some(tau) = Self::tau(layer)
            && let Some(&first) = tau.data().first()
            && !tau
                .data()
                .iter()
                .all(|&tau| (tau - first).abs() <= 1e-8 + 1e-5 * first.abs())
        {
            return Err(format!(
                "Cannot convert a {class} layer to native Nengo objects with different tau values \
                 for each element (this probably means that training has been applied to the \
                 layer before conversion)"
            ));
        }
        let mut arguments = Arguments::of(layer, options);
        if let LayerConfig::Lowpass {
            return_sequences, ..
        }
        | LayerConfig::Alpha {
            return_sequences, ..
        } = layer.config
        {
            arguments.require("return_sequences", python_bool(return_sequences), "True");
        }
        arguments.verdict()
    }

    fn allow_fallback(&self) -> bool {
        false
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let layer = call.layer();
        let (class, dt, tau_initializer) = match layer.config {
            LayerConfig::Lowpass {
                dt,
                tau_initializer,
                ..
            } => ("Lowpass", dt, tau_initializer),
            LayerConfig::Alpha {
                dt,
                tau_initializer,
                ..
            } => ("Alpha", dt, tau_initializer),
            _ => return Err(call.configuration_error()),
        };
        warn_of_dt(call, class, dt);
        let tau = Self::tau(layer)
            .and_then(|tau| tau.data().first())
            .map_or(f64::from(tau_initializer as f32), |&tau| f64::from(tau));
        let synapse = if class == "Lowpass" {
            Synapse::Lowpass { tau }
        } else {
            Synapse::Alpha { tau }
        };
        let object = call.add_object(None, None)?;
        call.connect(
            object,
            Connect {
                synapse: Some(Some(synapse)),
                ..Connect::default()
            },
        )?;
        Ok(vec![object.pre])
    }
}
