//! Pairs and factors by their names on the command line.

use std::fmt::Write as _;

use crate::convert::ActivationType;
use crate::names::{activation, known};
use crate::network::Synapse;

/// Help of `--swap-activation`.
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

/// `none`, a time constant in seconds, `lowpass:TAU` or `alpha:TAU`.
pub(crate) fn synapse(text: &str) -> Result<SynapseName, String> {
    crate::names::synapse(text).map(SynapseName)
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
    use crate::model::Activation;
    use crate::network::NeuronType;

    use super::*;

    #[test]
    fn a_parameter_may_hold_an_equals_sign() {
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
    fn firing_rates_are_read() {
        let rate = firing_rate("conv2d=50").unwrap();
        assert_eq!((rate.layer.as_deref(), rate.factor), (Some("conv2d"), 50.0));
        for text in ["", "0", "-1", "conv2d=", "nan"] {
            assert!(firing_rate(text).is_err(), "{text}");
        }
    }
}
