//! Layers as functions of a network's TensorNodes.

use super::forward::{self, ForwardError};
use super::model::Layer;
use super::penalty::HOST_ONLY;
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
        joined(forward::call_layer(self, std::slice::from_ref(x)))
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

/// The outputs of a layer, side by side if there are several.
fn joined(outputs: Result<Vec<Tensor>, ForwardError>) -> Result<Tensor, String> {
    let mut outputs = outputs.map_err(|error| error.to_string())?;
    if outputs.len() == 1
        && let Some(output) = outputs.pop()
    {
        return Ok(output);
    }
    let batch = (outputs.first())
        .and_then(|output| output.shape().first().copied())
        .unwrap_or(0);
    let width = |output: &Tensor| output.len().checked_div(batch).unwrap_or(0);
    let total = outputs.iter().map(width).sum();
    let mut data = Vec::with_capacity(batch * total);
    for item in 0..batch {
        for output in &outputs {
            let width = width(output);
            data.extend_from_slice(&output.data()[item * width..][..width]);
        }
    }
    Tensor::new(vec![batch, total], data).ok_or_else(|| "its outputs have no shape".to_owned())
}

fn advice(layer: &Layer) -> (String, Option<Advice>) {
    match layer.config.kind() {
        Some(kind) => kind.advice(),
        None => (HOST_ONLY.to_owned(), None),
    }
}

/// A layer of several inputs, which a TensorNode gets side by side.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) layer: Layer,
    /// The shape of each input, without the batch axis.
    pub(crate) shapes: Vec<Vec<usize>>,
}

impl TensorFunc for Joined {
    fn listed(&self) -> String {
        self.layer.listed()
    }

    fn name(&self) -> String {
        self.layer.name()
    }

    fn run(&self, x: &Tensor) -> Result<Tensor, String> {
        let batch = x.shape().first().copied().unwrap_or(0);
        let sizes = self
            .shapes
            .iter()
            .map(|shape| shape.iter().product::<usize>());
        let total: usize = sizes.clone().sum();
        let mut inputs = Vec::with_capacity(self.shapes.len());
        let mut start = 0;
        for (shape, size) in self.shapes.iter().zip(sizes) {
            let rows = x.data().chunks(total.max(1));
            let data: Vec<f32> = rows
                .flat_map(|row| &row[start..start + size])
                .copied()
                .collect();
            let shape = [batch].iter().chain(shape).copied().collect();
            inputs.push(Tensor::new(shape, data).ok_or("its inputs do not fit its shapes")?);
            start += size;
        }
        joined(forward::call_layer(&self.layer, &inputs))
    }

    fn effect(&self) -> Effect {
        Effect::Other
    }

    fn advice(&self) -> String {
        advice(&self.layer).0
    }

    fn remedy(&self) -> Option<Advice> {
        advice(&self.layer).1
    }
}
