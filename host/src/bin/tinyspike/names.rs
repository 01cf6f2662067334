//! Activations, neuron types and synapses by their names on the command line.

use std::fmt::Write as _;

use tinyspike::convert::ActivationType;
use tinyspike::model::Activation;
use tinyspike::network::{NeuronType, Synapse};

/// Keras's activations; their names here are Keras's.
const ACTIVATIONS: [Activation; 17] = [
    Activation::Linear,
    Activation::Relu,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Softmax,
    Activation::Elu,
    Activation::Selu,
    Activation::Relu6,
    Activation::Softplus,
    Activation::Softsign,
    Activation::Swish,
    Activation::Gelu,
    Activation::Exponential,
    Activation::HardSigmoid,
    Activation::LeakyRelu,
    Activation::Mish,
    Activation::LogSoftmax,
];

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

/// All names, in a sentence each.
fn known() -> String {
    let activations = ACTIVATIONS.map(|a| a.to_string()).join(", ");
    let neurons = neuron_types().map(|(name, _)| name).join(", ");
    format!("Keras activations: {activations}. Neuron types: {neurons}")
}

/// What `--swap-activation` takes.
pub(crate) fn swap_help() -> String {
    let mut text = "Use another activation or neuron type in place of one, such as \
         relu=spiking-relu; may be given several times.\n\n"
        .to_owned();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{}. Nengo's own names, such as SpikingRectifiedLinear, do as well. A neuron type's parameters \
         follow a colon, such as lif:amplitude=0.01,tau_rc=0.03; the last three have the parameter \
         base, a rate type: poisson-spiking:base=lif-rate",
        known()
    );
    text
}

/// `from=to`, such as `relu=spiking-relu`; either may have parameters, and those an `=`.
pub(crate) fn swap(text: &str) -> Result<(ActivationType, ActivationType), String> {
    let mut first = None;
    for (at, _) in text.match_indices('=') {
        let pair = activation(&text[..at]).and_then(|from| {
            let to = activation(&text[at + 1..])?;
            Ok((from, to))
        });
        match pair {
            Ok(pair) => return Ok(pair),
            Err(e) => first = first.or(Some(e)),
        }
    }
    Err(first.unwrap_or_else(|| "must be FROM=TO, such as relu=spiking-relu".to_owned()))
}

fn activation(text: &str) -> Result<ActivationType, String> {
    if let Some(keras) = ACTIVATIONS.into_iter().find(|a| a.to_string() == text) {
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

/// Which values a parameter may have, as Nengo limits them.
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

/// `none`, a time constant in seconds, `lowpass:TAU` or `alpha:TAU`.
pub(crate) fn synapse(text: &str) -> Result<SynapseName, String> {
    if text == "none" {
        return Ok(SynapseName(None));
    }
    let (kind, tau) = text.split_once(':').unwrap_or(("lowpass", text));
    let tau = tau
        .parse::<f64>()
        .ok()
        .filter(|t| t.is_finite() && *t >= 0.0);
    match (kind, tau) {
        ("lowpass", Some(tau)) => Ok(SynapseName(Some(Synapse::Lowpass { tau }))),
        ("alpha", Some(tau)) => Ok(SynapseName(Some(Synapse::Alpha { tau }))),
        _ => Err(
            "must be none, a time constant in seconds such as 0.005 (a Lowpass), lowpass:0.005 or \
             alpha:0.01"
                .to_owned(),
        ),
    }
}

/// A synapse by its name; none is one too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SynapseName(pub(crate) Option<Synapse>);

/// `100`, for all layers, or `conv2d=50`, for one.
pub(crate) fn firing_rate(text: &str) -> Result<FiringRate, String> {
    let (layer, factor) = match text.rsplit_once('=') {
        Some((layer, factor)) => (Some(layer.to_owned()), factor),
        None => (None, text),
    };
    match factor.parse::<f32>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(FiringRate { layer, factor }),
        _ => {
            Err("must be a factor above 0, such as 100, or LAYER=FACTOR, such as conv2d=50".into())
        }
    }
}

/// A factor on the firing rates of a layer, or of all.
#[derive(Clone, Debug)]
pub(crate) struct FiringRate {
    pub(crate) layer: Option<String>,
    pub(crate) factor: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read() {
        for from in ACTIVATIONS {
            for (name, neurons) in neuron_types() {
                let expected = (from.into(), neurons.clone().into());
                assert_eq!(swap(&format!("{from}={name}")), Ok(expected.clone()));
                assert_eq!(swap(&format!("{from}={}", neurons.name())), Ok(expected));
            }
        }
        let to: ActivationType = Activation::Relu.into();
        let from = NeuronType::LeakyRelu {
            negative_slope: 0.1,
            amplitude: 1.0,
        };
        assert_eq!(
            swap("rate-leaky-relu:negative_slope=0.1=relu"),
            Ok((from.into(), to))
        );
    }

    #[test]
    fn parameters_are_set_and_checked() {
        let (_, to) = swap(
            "relu=adaptive-lif:tau_n=2,inc_n=-0.5,tau_rc=3,tau_ref=0,min_voltage=-1,amplitude=0.5",
        )
        .unwrap();
        let expected = NeuronType::AdaptiveLif {
            tau_n: 2.0,
            inc_n: -0.5,
            tau_rc: 3.0,
            tau_ref: 0.0,
            min_voltage: -1.0,
            amplitude: 0.5,
        };
        assert_eq!(to, expected.into());
        let (_, to) = swap("relu=poisson-spiking:base=rate-tanh").unwrap();
        assert_eq!(to.to_string(), "PoissonSpiking(base_type=Tanh())");
        for (text, word) in [
            ("relu", "FROM=TO"),
            ("relu=spiking", "spiking-relu, "),
            ("relu6x=lif", "hard_sigmoid, "),
            ("relu=lif:amplitude=0", "above 0"),
            ("relu=lif:tau_ref=-1", "at least 0"),
            ("relu=lif:min_voltage=1", "at most 0"),
            ("relu=lif:tau_n=1", "no parameter"),
            ("relu=rate-tanh:amplitude=1", "no parameter"),
            ("relu=lif:amplitude=nan", "above 0"),
            ("relu=lif:amplitude", "PARAMETER=VALUE"),
            ("relu=regular-spiking:base=lif", "lif-rate"),
        ] {
            let error = swap(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn synapses_and_firing_rates_are_read() {
        assert_eq!(synapse("none").unwrap().0, None);
        for text in ["0.005", "lowpass:0.005"] {
            assert_eq!(
                synapse(text).unwrap().0,
                Some(Synapse::Lowpass { tau: 0.005 })
            );
        }
        assert_eq!(
            synapse("alpha:0.01").unwrap().0,
            Some(Synapse::Alpha { tau: 0.01 })
        );
        for text in ["", "-1", "inf", "beta:1", "alpha"] {
            assert!(synapse(text).is_err(), "{text}");
        }
        let rate = firing_rate("conv2d=50").unwrap();
        assert_eq!((rate.layer.as_deref(), rate.factor), (Some("conv2d"), 50.0));
        for text in ["", "0", "-1", "conv2d=", "nan"] {
            assert!(firing_rate(text).is_err(), "{text}");
        }
    }
}
