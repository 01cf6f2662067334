//! The converter's warnings in the words of the tool, one for each kind.

use std::collections::BTreeMap;

use crate::convert::Warning;
use crate::data::suspicion::Suspicion;

use crate::cli::diagnostics::warn;

/// Prints the warnings, those of one kind together. `deploys` says that an image is made, which tells by itself what it
/// cannot hold.
pub(crate) fn show(warnings: &[Warning], deploys: bool) {
    words(warnings, deploys).iter().for_each(warn);
}

/// Prints a sign that data is not what a network was made for, with the flag that helps.
pub(crate) fn suspicious(sign: &Suspicion) {
    match sign {
        Suspicion::Saturated { .. } => warn(format_args!("{sign}: convert with --max-count 255")),
        _ => warn(sign),
    }
}

fn words(warnings: &[Warning], deploys: bool) -> Vec<String> {
    let mut alike: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut others = Vec::new();
    for warning in warnings {
        let (layer, reason) = match warning {
            // The layers' numbers are no matter here.
            Warning::Sequential => continue,
            Warning::Fallback { reason, .. } if deploys && class(reason).is_some() => continue,
            Warning::Fallback { layer, reason } => (layer, native(reason)),
            Warning::ActivationFallback { .. } if deploys => continue,
            Warning::ActivationFallback { layer, activation } => {
                let activation = activation.to_string();
                let name = activation.trim_start_matches("<function ");
                let name = name.trim_end_matches('>');
                (layer, format!("the activation {name} has no neurons"))
            }
            other => {
                others.push(other.to_string());
                continue;
            }
        };
        alike.entry(reason).or_default().push(format!("{layer:?}"));
    }
    let mut found: Vec<String> = (alike.into_iter())
        .map(|(reason, layers)| {
            let (layers, it) = match layers.len() {
                1 => (layers.concat(), "it runs"),
                _ => (layers.join(", "), "they run"),
            };
            format!("{layers}: {reason}; {it} as a TensorNode, on the host only")
        })
        .collect();
    found.extend(others);
    found.dedup();
    found
}

/// A reason without words that are for Python.
fn native(reason: &str) -> String {
    match class(reason) {
        Some(class) => format!("{class} has no native form"),
        None if reason.is_empty() => "no native form".to_owned(),
        None => reason.replace("inference_only=True", "--inference-only"),
    }
}

/// The class that nothing converts, if that is the reason.
fn class(reason: &str) -> Option<&str> {
    let rest = reason.strip_prefix("Layer type ")?;
    rest.strip_suffix(" does not have a registered converter")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::ActivationType;
    use crate::model::Activation;

    #[test]
    fn alike_ones_are_one() {
        let fallback = |layer: &str| Warning::Fallback {
            layer: layer.into(),
            reason: "Layer type LSTM does not have a registered converter".into(),
        };
        let softmax = Warning::ActivationFallback {
            layer: "dense".into(),
            activation: ActivationType::from(Activation::Softmax),
        };
        let warnings = [Warning::Sequential, fallback("a"), softmax, fallback("b")];
        let found = words(&warnings, false);
        assert_eq!(
            found[0],
            "\"a\", \"b\": LSTM has no native form; they run as a TensorNode, on the host only"
        );
        assert!(
            found[1].contains("activation softmax has") && found[1].contains("\"dense\": "),
            "{found:?}"
        );
        assert_eq!(found.len(), 2);
        assert!(words(&warnings, true).is_empty());
    }
}
