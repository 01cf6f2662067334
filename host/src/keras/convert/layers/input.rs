//! InputLayer.

use super::super::{ConvertError, LayerCall, LayerConverter};
use crate::network::{NodeKind, Pre};

/// A passthrough node, which the converter opens to the user if it is the whole model's input.
pub(super) struct Input;

impl LayerConverter for Input {
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let lengths = || (call.raw_output_shape().iter()).skip(usize::from(call.temporal()));
        if lengths().any(Option::is_none) {
            let shape: Vec<String> = lengths()
                .map(|length| length.map_or_else(|| "None".to_owned(), |n| n.to_string()))
                .collect();
            return Err(ConvertError::InputShape {
                layer: call.layer().name.clone(),
                shape: super::tuple(&shape),
            });
        }
        let shape = call.output_shape()?;
        let size = shape.iter().product();
        let label = call.plain_label().to_owned();
        let object = call.add_node(label, size, size, NodeKind::Passthrough);
        Ok(vec![object.pre])
    }
}
