//! Masks, which Keras hands from layer to layer beside the tensors: a layer that uses one gets the tensor that
//! tells its mask as a further input.

use std::collections::BTreeMap;

use crate::keras::class::FUNCTIONS;
use crate::keras::model::{
    Attention, Bidirectional, Embedding, GlobalPool, LayerConfig, Mask, Masking, Model,
    MultiHeadAttention, PoolKind, Recurrent, Score, TensorRef,
};

/// Arguments by which Keras 3 names masks that it makes of those of a layer's inputs.
pub(super) const ARGUMENTS: [&str; 4] = ["mask", "query_mask", "value_mask", "key_mask"];

/// The mask of a tensor.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    /// One that a tensor tells.
    One(Mask, TensorRef),
    /// One that several tensors tell together.
    Several,
}

/// Gives the layers of a model their masks, in an order of calls in which each comes after its inputs. `named`
/// tells of calls of Keras 3 whether their arguments name masks, and `keras3` whether it wrote the file. `Err` has
/// the layer that would need a mask and cannot take it.
pub(super) fn hand_on(
    model: &mut Model,
    order: &[(usize, usize)],
    named: &BTreeMap<(usize, usize), bool>,
    keras3: bool,
) -> Result<(), usize> {
    let mut masks: BTreeMap<TensorRef, Known> = BTreeMap::new();
    // The masks of layers that have had a call.
    let mut used: BTreeMap<usize, [Option<Mask>; 2]> = BTreeMap::new();
    for &(layer, call) in order {
        let at = &mut model.layers[layer];
        let inputs = &mut at.calls[call].inputs;
        let given: Vec<Option<Known>> = inputs.iter().map(|t| masks.get(t).copied()).collect();
        let Some(&first) = given.first() else {
            continue;
        };
        let source = inputs[0];
        let named = named.get(&(layer, call)).copied();
        // The masks of these inputs, which the layer uses: their tensors become further inputs.
        let mut take = |of: &[Option<Known>]| -> Result<[Option<Mask>; 2], usize> {
            let mut kinds = [None; 2];
            for (mask, kind) in of.iter().zip(&mut kinds) {
                match mask {
                    Some(Known::One(mask, source)) => {
                        *kind = Some(*mask);
                        inputs.push(*source);
                    }
                    Some(Known::Several) => return Err(layer),
                    None => {}
                }
            }
            let before = *used.entry(layer).or_insert(kinds);
            let missing = named == Some(true) && kinds == [None; 2];
            if missing || before != kinds {
                return Err(layer);
            }
            Ok(kinds)
        };
        let output = match &mut at.config {
            LayerConfig::Masking(Masking { mask_value }) => {
                Some(Known::One(Mask::NotAll(*mask_value), source))
            }
            LayerConfig::Embedding(Embedding {
                mask_zero: true, ..
            }) => Some(Known::One(Mask::NotZero, source)),
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
                // Keras 3 gives a layer no mask beside initial states.
                let own = first.filter(|_| named != Some(false));
                [*mask, _] = take(&[own])?;
                first.filter(|_| *return_sequences)
            }
            LayerConfig::GlobalPool(GlobalPool {
                kind: PoolKind::Average,
                rank: 1,
                mask,
                ..
            }) => {
                [*mask, _] = take(&[first])?;
                None
            }
            // Keras 3 uses the mask in some of such models, and in others not.
            LayerConfig::Attention(Attention {
                score: Score::Dot, ..
            }) if first.is_some() && named == Some(false) => return Err(layer),
            LayerConfig::Attention(Attention { masks, .. })
            | LayerConfig::MultiHeadAttention(MultiHeadAttention { masks, .. }) => {
                // Queries and values.
                *masks = take(&[first, given.get(1).copied().flatten()])?;
                first
            }
            _ if at.class_name.starts_with(FUNCTIONS) => None,
            LayerConfig::TimeDistributed { .. } => first,
            LayerConfig::Merge(_) | LayerConfig::Concatenate(_) => {
                let mut all = given.iter().flatten().copied();
                let one = all.next();
                match all.all(|other| Some(other) == one) {
                    true => one,
                    false => Some(Known::Several),
                }
            }
            // They use the mask, or hand it to layers inside.
            LayerConfig::Softmax(_) | LayerConfig::Model(_) if first.is_some() => {
                return Err(layer);
            }
            other => first.filter(|_| other.kind().is_some_and(|kind| kind.hands_masks_on(keras3))),
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
