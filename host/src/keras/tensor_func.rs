//! Layers and activations as functions of a network's TensorNodes.

use crate::keras::forward;
use crate::keras::model::{Activation, Layer, LayerConfig, Penalties};
use crate::network::{Effect, TensorFunc};
use crate::tensor::Tensor;

const SWAP: &str = "use a relu activation, or swap it (--swap-activation)";

impl TensorFunc for Activation {
    fn listed(&self) -> String {
        format!("<function {self}>")
    }

    fn name(&self) -> String {
        format!("activation {self}")
    }

    fn run(&self, x: &Tensor) -> Result<Tensor, String> {
        forward::activate(*self, x).map_err(|problem| problem.to_string())
    }

    fn effect(&self) -> Effect {
        match self {
            Self::Softmax => Effect::Softmax,
            _ => Effect::Other,
        }
    }

    fn advice(&self) -> String {
        SWAP.to_owned()
    }
}

impl TensorFunc for Layer {
    fn listed(&self) -> String {
        format!("Layer {}", self.class_name)
    }

    fn name(&self) -> String {
        self.class_name.clone()
    }

    fn run(&self, x: &Tensor) -> Result<Tensor, String> {
        let outputs = forward::call_layer(self, std::slice::from_ref(x));
        let mut outputs = outputs.map_err(|error| error.to_string())?;
        match (outputs.pop(), outputs.len()) {
            (Some(output), 0) => Ok(output),
            (_, more) => Err(format!(
                "layer \"{}\" ({}) has {} outputs, and a TensorNode has one",
                self.name,
                self.class_name,
                more + 1
            )),
        }
    }

    fn effect(&self) -> Effect {
        match self.config {
            LayerConfig::Dropout { .. } | LayerConfig::Noise => Effect::Identity,
            LayerConfig::Softmax { .. }
            | LayerConfig::Activation {
                activation: Activation::Softmax,
            } => Effect::Softmax,
            _ => Effect::Other,
        }
    }

    fn advice(&self) -> String {
        let penalties = match &self.config {
            LayerConfig::Conv(c) => Some(&c.penalties),
            LayerConfig::Dense { penalties, .. } => Some(penalties),
            _ => None,
        };
        match (&self.config, penalties.and_then(training_argument)) {
            (_, Some(argument)) => format!(
                "its {argument} only matters in training, convert with --inference-only to make it native"
            ),
            (LayerConfig::Pool { .. } | LayerConfig::GlobalPool { .. }, None) => {
                "average pooling is native, convert with --max-to-avg-pool".to_owned()
            }
            (LayerConfig::Softmax { .. }, None) => {
                "a softmax can only be left out at the end of the network".to_owned()
            }
            (LayerConfig::Activation { .. } | LayerConfig::Elu { .. }, None) => SWAP.to_owned(),
            _ => "convert with --inference-only if it is native then, or replace it".to_owned(),
        }
    }
}

fn training_argument(p: &Penalties) -> Option<&'static str> {
    [
        (&p.kernel_regularizer, "kernel_regularizer"),
        (&p.bias_regularizer, "bias_regularizer"),
        (&p.activity_regularizer, "activity_regularizer"),
        (&p.kernel_constraint, "kernel_constraint"),
        (&p.bias_constraint, "bias_constraint"),
    ]
    .into_iter()
    .find_map(|(value, name)| value.is_some().then_some(name))
}
