//! Masks, which Keras hands from layer to layer beside the tensors: a recurrent layer gets the tensor that
//! tells its mask as a second input.

use std::collections::BTreeMap;

use crate::keras::model::{
    Bidirectional, Embedding, LayerConfig, Mask, Masking, Model, Recurrent, TensorRef,
};

/// Gives the recurrent layers of a model their masks, in an order of calls in which each comes after its
/// inputs; `Err` has the layer that would need a mask and cannot take it.
pub(super) fn hand_on(model: &mut Model, order: &[(usize, usize)]) -> Result<(), usize> {
    let mut masks: BTreeMap<TensorRef, (Mask, TensorRef)> = BTreeMap::new();
    for &(layer, call) in order {
        let at = &mut model.layers[layer];
        let Some(&input) = at.calls[call].inputs.first() else {
            continue;
        };
        let calls = at.calls.len();
        let given = masks.get(&input).copied();
        let output = match &mut at.config {
            LayerConfig::Masking(Masking { mask_value }) => {
                Some((Mask::NotAll(*mask_value), input))
            }
            LayerConfig::Embedding(Embedding {
                mask_zero: true, ..
            }) => Some((Mask::NotZero, input)),
            LayerConfig::Recurrent(Recurrent {
                mask,
                return_sequences,
                ..
            })
            | LayerConfig::Bidirectional(Bidirectional {
                mask,
                forward_layer:
                    Recurrent {
                        return_sequences, ..
                    },
                ..
            }) => {
                // Keras 3 names the tensor of the mask itself, which functions compute.
                let inputs = &mut at.calls[call].inputs;
                let named = inputs.len() > 1;
                inputs.truncate(1);
                match given {
                    // One layer of several calls would need a mask in each.
                    Some(_) if calls > 1 => return Err(layer),
                    Some((kind, source)) => {
                        *mask = Some(kind);
                        inputs.push(source);
                    }
                    None if named => return Err(layer),
                    None => {}
                }
                given.filter(|_| *return_sequences)
            }
            LayerConfig::Activation(_)
            | LayerConfig::BatchNormalization(_)
            | LayerConfig::Dense(_)
            | LayerConfig::Elu(_)
            | LayerConfig::Identity(_)
            | LayerConfig::LayerNormalization(_)
            | LayerConfig::LeakyRelu(_)
            | LayerConfig::PRelu(_)
            | LayerConfig::Relu(_)
            | LayerConfig::TimeDistributed { .. } => {
                if given.is_some() {
                    at.calls[call].inputs.truncate(1);
                }
                given
            }
            // They use the mask, or hand it to layers inside.
            LayerConfig::Softmax(_)
            | LayerConfig::GlobalPool(_)
            | LayerConfig::Model(_)
            | LayerConfig::Merge(_)
            | LayerConfig::Concatenate(_)
                if given.is_some() =>
            {
                return Err(layer);
            }
            _ => None,
        };
        if let Some(output) = output {
            let tensor = TensorRef {
                layer,
                call,
                tensor: 0,
            };
            masks.insert(tensor, output);
        }
    }
    Ok(())
}
