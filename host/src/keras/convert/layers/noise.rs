//! Dropout and the other layers that do nothing at inference.

use super::super::{ConvertError, LayerCall, LayerConverter};
use crate::network::Pre;

/// No object: the input's stands for the layer.
pub(super) struct Noise;

impl LayerConverter for Noise {
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        Ok(vec![call.input(0)?])
    }
}
