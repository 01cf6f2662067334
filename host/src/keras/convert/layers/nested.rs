//! Models used as layers, and TimeDistributed.

use super::super::{ConvertError, ConvertOptions, LayerCall, LayerConverter};
use crate::keras::model::{Layer, LayerConfig};
use crate::network::Pre;

/// A nested network, labelled as any other object of a layer.
pub(super) struct NestedModel;

impl LayerConverter for NestedModel {
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        match &call.layer().config {
            LayerConfig::Model(model) => call.convert_model(model),
            _ => Err(call.configuration_error()),
        }
    }
}

/// The wrapped layer alone: a Nengo network runs over time anyway.
pub(super) struct TimeDistributed;

impl LayerConverter for TimeDistributed {
    fn convertible(&self, _: &Layer, options: &ConvertOptions) -> Result<(), String> {
        if options.temporal_model {
            Ok(())
        } else {
            Err("TimeDistributed layers can only be converted when temporal_model=True".into())
        }
    }

    fn allow_fallback(&self) -> bool {
        false
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        match &call.layer().config {
            LayerConfig::TimeDistributed { layer } => call.convert_wrapped(layer),
            _ => Err(call.configuration_error()),
        }
    }
}
