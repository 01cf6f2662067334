//! Activations, neuron types and synapses by name, as configurations and command lines give them.

use crate::keras::convert::ActivationType;
use crate::keras::model::Activation;
use crate::network::{NeuronType, Synapse};

/// Nengo's neuron types with Nengo's defaults, by their names here. Nengo's own names are read too.
fn neuron_types() -> [(&'static str, NeuronType); 12] {
    let amplitude = 1.0;
    let (tau_rc, tau_ref, min_voltage) = (0.02, 0.002, 0.0);
    let base = || Box::new(NeuronType::RectifiedLinear { amplitude });
    [
        ("rate-relu", NeuronType::RectifiedLinear { amplitude }),
        (
            "spiking-relu",
            NeuronType::SpikingRectifiedLinear { amplitude },
        ),
        (
            "rate-leaky-relu",
            NeuronType::LeakyRelu {
                negative_slope: 0.3,
                amplitude,
            },
        ),
        (
            "spiking-leaky-relu",
            NeuronType::SpikingLeakyRelu {
                negative_slope: 0.3,
                amplitude,
            },
        ),
        ("rate-sigmoid", NeuronType::Sigmoid { tau_ref: 0.0025 }),
        ("rate-tanh", NeuronType::Tanh { tau_ref: 0.0025 }),
        (
            "lif-rate",
            NeuronType::LifRate {
                tau_rc,
                tau_ref,
                amplitude,
            },
        ),
        (
            "lif",
            NeuronType::Lif {
                tau_rc,
                tau_ref,
                min_voltage,
                amplitude,
            },
        ),
        (
            "adaptive-lif",
            NeuronType::AdaptiveLif {
                tau_n: 1.0,
                inc_n: 0.01,
                tau_rc,
                tau_ref,
                min_voltage,
                amplitude,
            },
        ),
        (
            "regular-spiking",
            NeuronType::RegularSpiking {
                base: base(),
                amplitude,
            },
        ),
        (
            "poisson-spiking",
            NeuronType::PoissonSpiking {
                base: base(),
                amplitude,
            },
        ),
        (
            "stochastic-spiking",
            NeuronType::StochasticSpiking {
                base: base(),
                amplitude,
            },
        ),
    ]
}

/// All names of activations and neuron types, in a sentence each.
#[must_use]
pub fn known() -> String {
    let activations: Vec<&str> = Activation::ALL.iter().map(|a| a.keras_name()).collect();
    let activations = activations.join(", ");
    let neurons = neuron_types().map(|(name, _)| name).join(", ");
    format!("Keras activations: {activations}. Neuron types: {neurons}")
}

/// Reads the name of an activation or a neuron type, such as `relu` or `lif:amplitude=0.01,tau_rc=0.03`.
///
/// # Errors
/// A sentence that says what names or parameters there are.
pub fn activation(text: &str) -> Result<ActivationType, String> {
    if let Some(&keras) = Activation::ALL.iter().find(|a| a.keras_name() == text) {
        return Ok(keras.into());
    }
    let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
    let mut neurons = neuron_type(name).ok_or_else(|| {
        format!(
            "{name:?} is neither an activation nor a neuron type. {}",
            known()
        )
    })?;
    for parameter in parameters.split(',').filter(|p| !p.is_empty()) {
        let (key, value) = parameter
            .split_once('=')
            .ok_or_else(|| format!("{parameter:?} of {name} must be PARAMETER=VALUE"))?;
        set(&mut neurons, key, value).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(neurons.into())
}

fn neuron_type(name: &str) -> Option<NeuronType> {
    neuron_types()
        .into_iter()
        .find(|(ours, neurons)| *ours == name || neurons.name() == name)
        .map(|(_, neurons)| neurons)
}

/// Values that a parameter may have, as Nengo limits them.
#[derive(Clone, Copy)]
enum Range {
    Any,
    AboveZero,
    FromZero,
    UpToZero,
}

fn set(neurons: &mut NeuronType, key: &str, value: &str) -> Result<(), String> {
    use NeuronType as N;
    if let (
        "base",
        N::RegularSpiking { base, .. }
        | N::PoissonSpiking { base, .. }
        | N::StochasticSpiking { base, .. },
    ) = (key, &mut *neurons)
    {
        let rate = neuron_type(value).filter(|n| n.is_rate());
        **base = rate.ok_or_else(|| {
            format!(
                "the base {value:?} is none of rate-relu, rate-leaky-relu, rate-sigmoid, rate-tanh, \
                 lif-rate"
            )
        })?;
        return Ok(());
    }
    let field = match (key, &mut *neurons) {
        ("amplitude", n) => n.amplitude_mut().map(|a| (a, Range::AboveZero)),
        (
            "negative_slope",
            N::LeakyRelu { negative_slope, .. } | N::SpikingLeakyRelu { negative_slope, .. },
        ) => Some((negative_slope, Range::Any)),
        ("tau_ref", N::Sigmoid { tau_ref } | N::Tanh { tau_ref }) => {
            Some((tau_ref, Range::AboveZero))
        }
        (
            "tau_ref",
            N::LifRate { tau_ref, .. } | N::Lif { tau_ref, .. } | N::AdaptiveLif { tau_ref, .. },
        ) => Some((tau_ref, Range::FromZero)),
        (
            "tau_rc",
            N::LifRate { tau_rc, .. } | N::Lif { tau_rc, .. } | N::AdaptiveLif { tau_rc, .. },
        ) => Some((tau_rc, Range::AboveZero)),
        ("min_voltage", N::Lif { min_voltage, .. } | N::AdaptiveLif { min_voltage, .. }) => {
            Some((min_voltage, Range::UpToZero))
        }
        ("tau_n", N::AdaptiveLif { tau_n, .. }) => Some((tau_n, Range::AboveZero)),
        ("inc_n", N::AdaptiveLif { inc_n, .. }) => Some((inc_n, Range::Any)),
        _ => None,
    };
    let (field, range) = field.ok_or_else(|| format!("there is no parameter {key:?}"))?;
    let number = value.parse::<f32>().ok().filter(|v| v.is_finite());
    let (fits, what): (fn(f32) -> bool, _) = match range {
        Range::Any => (|_| true, "a number"),
        Range::AboveZero => (|v| v > 0.0, "a number above 0"),
        Range::FromZero => (|v| v >= 0.0, "a number of at least 0"),
        Range::UpToZero => (|v| v <= 0.0, "a number of at most 0"),
    };
    *field = number
        .filter(|v| fits(*v))
        .ok_or_else(|| format!("{key} must be {what}, not {value:?}"))?;
    Ok(())
}

/// A pair for [`ConvertOptions::swap_activations`](crate::keras::convert::ConvertOptions): the names of an
/// activation and of the one that takes its place.
///
/// # Errors
/// As [`activation`].
pub fn swap(from: &str, to: &str) -> Result<(ActivationType, ActivationType), String> {
    Ok((activation(from)?, activation(to)?))
}

/// Reads a synapse: `none`, a time constant in seconds, `lowpass:TAU` or `alpha:TAU`.
///
/// # Errors
/// A sentence that says what a synapse may be.
pub fn synapse(text: &str) -> Result<Option<Synapse>, String> {
    if text == "none" {
        return Ok(None);
    }
    let (kind, tau) = text.split_once(':').unwrap_or(("lowpass", text));
    let tau = tau
        .parse::<f64>()
        .ok()
        .filter(|t| t.is_finite() && *t >= 0.0);
    match (kind, tau) {
        ("lowpass", Some(tau)) => Ok(Some(Synapse::Lowpass { tau })),
        ("alpha", Some(tau)) => Ok(Some(Synapse::Alpha { tau })),
        _ => Err(
            "must be none, a time constant in seconds such as 0.005 (a Lowpass), lowpass:0.005 or \
             alpha:0.01"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read() {
        for &keras in Activation::ALL {
            assert_eq!(activation(&keras.to_string()), Ok(keras.into()));
        }
        for (name, neurons) in neuron_types() {
            let expected: ActivationType = neurons.clone().into();
            assert_eq!(activation(name), Ok(expected.clone()));
            assert_eq!(activation(neurons.name()), Ok(expected));
        }
    }

    #[test]
    fn synapses_are_read() {
        assert_eq!(synapse("none").unwrap(), None);
        for text in ["0.005", "lowpass:0.005"] {
            assert_eq!(
                synapse(text).unwrap(),
                Some(Synapse::Lowpass { tau: 0.005 })
            );
        }
        assert_eq!(
            synapse("alpha:0.01").unwrap(),
            Some(Synapse::Alpha { tau: 0.01 })
        );
        for text in ["", "-1", "inf", "beta:1", "alpha"] {
            assert!(synapse(text).is_err(), "{text}");
        }
    }
}
