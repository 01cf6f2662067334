//! Layers as functions of a network's TensorNodes.

use super::forward;
use super::model::Layer;
use super::penalty::inference_only;
use crate::advice::Advice;
use crate::network::{Effect, TensorFunc};
use crate::tensor::Tensor;

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
        (self.config.kind()).map_or(Effect::Other, |kind| kind.effect())
    }

    fn advice(&self) -> String {
        advice(self).0
    }

    fn remedy(&self) -> Option<Advice> {
        advice(self).1
    }
}

fn advice(layer: &Layer) -> (String, Option<Advice>) {
    match layer.config.kind() {
        Some(kind) => kind.advice(),
        None => inference_only(None),
    }
}
