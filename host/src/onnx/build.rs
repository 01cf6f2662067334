//! The model under way: layers with their shapes, within limits.

use std::collections::BTreeSet;

use crate::keras::model::{Call, Input, Layer, LayerConfig, Model, Permute, TensorRef, Weight};
use crate::keras::shape::{self, MAX_TOTAL_ELEMENTS, Shape};
use crate::tensor::Tensor;

/// A tensor that depends on an input, as the output of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Live {
    pub(super) tensor: TensorRef,
    /// The shape without the batch axis.
    pub(super) item: Vec<usize>,
    /// `true` if no value can be below zero.
    pub(super) rectified: bool,
}

impl Live {
    /// The number of axes with the batch axis.
    pub(super) fn rank(&self) -> usize {
        self.item.len() + 1
    }
}

/// The model under way.
#[derive(Debug, Default)]
pub(super) struct Build {
    layers: Vec<Layer>,
    names: BTreeSet<String>,
    inputs: Vec<TensorRef>,
    elements: usize,
}

impl Build {
    /// Adds an input.
    pub(super) fn input(
        &mut self,
        name: &str,
        item: &[usize],
        integers: bool,
    ) -> Result<Live, String> {
        let shape = item.iter().map(|&d| Some(d)).collect();
        let config = LayerConfig::Input(Input { shape, integers });
        let live = self.layer(name, "Input", config, Vec::new(), &[])?;
        self.inputs.push(live.tensor);
        Ok(live)
    }

    /// Adds a layer with its weights.
    ///
    /// # Errors
    /// The reason, if it cannot be applied to these inputs.
    pub(super) fn layer(
        &mut self,
        name: &str,
        op: &str,
        config: LayerConfig,
        weights: Vec<(&str, Tensor)>,
        inputs: &[&Live],
    ) -> Result<Live, String> {
        let shapes: Vec<Shape> = (inputs.iter())
            .map(|live| live.item.iter().map(|&d| Some(d)).collect())
            .collect();
        let kind = config.kind().ok_or("it has no layer")?;
        let output = kind.output(&shapes)?;
        shape::check(&output)?;
        let item: Vec<usize> = output.iter().copied().flatten().collect();
        self.elements = (item.iter())
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .and_then(|n| n.checked_add(self.elements))
            .filter(|&n| n <= MAX_TOTAL_ELEMENTS)
            .ok_or_else(|| {
                format!(
                    "with its output of shape {}, the network's tensors have more than \
                     {MAX_TOTAL_ELEMENTS} elements together, the most that is supported",
                    shape::display(&output)
                )
            })?;
        for slot in kind.slots(shapes.first())? {
            let weight = weights.iter().find(|(role, _)| *role == slot.role);
            let fits = weight.zip(slot.shape.as_ref()).is_some_and(|(w, slot)| {
                w.1.shape().len() == slot.len()
                    && (w.1.shape().iter().zip(slot)).all(|(n, s)| s.is_none_or(|s| s == *n))
            });
            if !fits {
                return Err(format!(
                    "its {} of shape {:?} does not fit an input of shape {}",
                    slot.role,
                    weight.map_or(&[][..], |w| w.1.shape()),
                    shapes
                        .first()
                        .map_or("()".to_owned(), |s| shape::display(s))
                ));
            }
        }
        let mut unique = name.to_owned();
        let mut number = 1usize;
        while !self.names.insert(unique.clone()) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        let tensor = TensorRef {
            layer: self.layers.len(),
            call: 0,
            tensor: 0,
        };
        self.layers.push(Layer {
            name: unique,
            class_name: op.to_owned(),
            trainable: false,
            config,
            weights: (weights.into_iter())
                .map(|(name, value)| Weight {
                    name: name.to_owned(),
                    value,
                })
                .collect(),
            calls: vec![Call {
                inputs: inputs.iter().map(|live| live.tensor).collect(),
                output_shapes: vec![output],
            }],
        });
        Ok(Live {
            tensor,
            item,
            rectified: false,
        })
    }

    /// The input and the order of a tensor that is another with its axes permuted.
    pub(super) fn permuted(&self, live: &Live) -> Option<(Live, &[usize])> {
        let layer = self.layers.get(live.tensor.layer)?;
        let LayerConfig::Permute(Permute { dims }) = &layer.config else {
            return None;
        };
        let tensor = *layer.calls.first()?.inputs.first()?;
        let from = self.layers.get(tensor.layer)?.calls.first()?;
        let item = from.output_shapes.first()?.iter().copied().flatten();
        let source = Live {
            tensor,
            item: item.collect(),
            rectified: live.rectified,
        };
        Some((source, dims))
    }

    /// The places of layers without those that no output depends on; inputs stay.
    fn prune(&mut self, outputs: &mut [(String, Live)]) {
        let mut used: Vec<bool> = (0..self.layers.len())
            .map(|at| self.inputs.iter().any(|input| input.layer == at))
            .collect();
        let mut open: Vec<usize> = outputs.iter().map(|(_, live)| live.tensor.layer).collect();
        while let Some(at) = open.pop() {
            let calls = self.layers.get(at).map_or(&[][..], |layer| &layer.calls);
            open.extend(
                calls
                    .iter()
                    .flat_map(|c| &c.inputs)
                    .map(|t| t.layer)
                    .filter(|&t| !used[t]),
            );
            used[at] = true;
        }
        let mut places = Vec::with_capacity(used.len());
        let mut next = 0;
        for used in &used {
            places.push(next);
            next += usize::from(*used);
        }
        let mut kept = used.iter();
        self.layers.retain(|_| kept.next() == Some(&true));
        let tensors = self.layers.iter_mut().flat_map(|layer| &mut layer.calls);
        let tensors = tensors.flat_map(|call| &mut call.inputs);
        let ends = outputs.iter_mut().map(|(_, live)| &mut live.tensor);
        for tensor in tensors.chain(&mut self.inputs).chain(ends) {
            tensor.layer = places[tensor.layer];
        }
    }

    /// The model with these outputs, whose layers are named after them.
    pub(super) fn finish(mut self, name: String, mut outputs: Vec<(String, Live)>) -> Model {
        self.prune(&mut outputs);
        let mut named = BTreeSet::new();
        for (output, live) in &outputs {
            let free = !self.inputs.contains(&live.tensor) && named.insert(live.tensor);
            if free && self.names.insert(output.clone()) {
                self.layers[live.tensor.layer].name.clone_from(output);
            }
        }
        Model {
            name,
            sequential: false,
            layers: self.layers,
            inputs: self.inputs,
            outputs: outputs.iter().map(|(_, live)| live.tensor).collect(),
            keras_version: None,
        }
    }
}
