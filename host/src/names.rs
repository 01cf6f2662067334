//! Activations, neuron types and synapses by name, as configurations and command lines give them.

use crate::keras::convert::ActivationType;
use crate::keras::model::Activation;
use crate::network::{NeuronType, Range, Synapse};

/// All names of activations and neuron types, in a sentence each.
#[must_use]
pub fn known() -> String {
    let activations: Vec<&str> = Activation::ALL.iter().map(|a| a.keras_name()).collect();
    let activations = activations.join(", ");
    let neurons: Vec<&str> = NeuronType::all().iter().map(|n| n.short_name()).collect();
    let neurons = neurons.join(", ");
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
    let all = NeuronType::all().into_iter();
    let mut named = all.filter(|n| n.short_name() == name || n.name() == name);
    named.next()
}

fn set(neurons: &mut NeuronType, key: &str, value: &str) -> Result<(), String> {
    if let ("base", Some(base)) = (key, neurons.base_mut()) {
        let rate = neuron_type(value).filter(NeuronType::is_rate);
        *base = rate.ok_or_else(|| {
            format!(
                "the base {value:?} is none of rate-relu, rate-leaky-relu, rate-sigmoid, rate-tanh, \
                 lif-rate"
            )
        })?;
        return Ok(());
    }
    let mut parameters = neurons.parameters_mut().into_iter();
    let parameter = parameters.find(|p| p.name == key);
    let parameter = parameter.ok_or_else(|| format!("there is no parameter {key:?}"))?;
    let number = value.parse::<f32>().ok().filter(|v| v.is_finite());
    let (fits, what): (fn(f32) -> bool, _) = match parameter.range {
        Range::Any => (|_| true, "a number"),
        Range::AboveZero => (|v| v > 0.0, "a number above 0"),
        Range::FromZero => (|v| v >= 0.0, "a number of at least 0"),
        Range::UpToZero => (|v| v <= 0.0, "a number of at most 0"),
    };
    *parameter.value = number
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
        for neurons in NeuronType::all() {
            let expected: ActivationType = neurons.clone().into();
            assert_eq!(activation(neurons.short_name()), Ok(expected.clone()));
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
