//! Layers that have no native form.

use std::sync::Arc;

use super::super::call::Connect;
use super::super::{ConvertError, LayerCall, LayerConverter};
use crate::network::{NodeKind, Pre, TensorNode};

/// A `TensorNode` that runs the whole Keras layer, labelled with the layer's plain name.
pub(in super::super) struct Fallback;

impl LayerConverter for Fallback {
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        if call.n_inputs() != 1 {
            return Err(ConvertError::Validation {
                layer: call.layer().name.clone(),
                parameter: "TensorNode.shape_in",
                problem: "Element 0 must be an int (got type tuple)".into(),
            });
        }
        let shape_in = call.input_shape(0)?;
        let shape_out = call.output_shape()?;
        let label = call.plain_label().to_owned();
        let node = TensorNode {
            func: Arc::new(call.layer().clone()),
            shape_in: shape_in.clone(),
            shape_out: shape_out.clone(),
        };
        let object = call.add_node(
            label,
            shape_in.iter().product(),
            shape_out.iter().product(),
            NodeKind::Tensor(node),
        );
        call.connect(
            object,
            Connect {
                synapse: Some(None),
                ..Connect::default()
            },
        )?;
        Ok(vec![object.pre])
    }
}
