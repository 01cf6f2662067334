//! A user's own layer class has a converter like any other.

use std::sync::Arc;

use tinyspike::convert::{
    Connect, ConvertError, ConvertOptions, LayerCall, LayerConverter, Registry, convert,
    convert_with,
};
use tinyspike::inspect::listing;
use tinyspike::model::LayerConfig;
use tinyspike::network::{Diagonal, Pre, Transform};
use tinyspike::tensor::Tensor;

use super::keras::{Net, layer, weight};
use super::messages;

/// A layer that multiplies each element by a weight.
struct Gate;

impl LayerConverter for Gate {
    fn convertible(
        &self,
        layer: &tinyspike::model::Layer,
        _: &ConvertOptions,
    ) -> Result<(), String> {
        if layer.weight("gate").is_some() {
            Ok(())
        } else {
            Err(format!("{} has no gate", layer.name))
        }
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn convert(
        &self,
        _: &tinyspike::model::Layer,
        call: &mut LayerCall<'_, '_>,
    ) -> Result<Vec<Pre>, ConvertError> {
        let size = call.input_shape(0)?.iter().product();
        let factor = call.weight("gate", &[size])?.clone();
        let object = call.add_object(None, None)?;
        call.connect(
            object,
            Connect {
                transform: Some(Transform::Diagonal(Diagonal { size, factor })),
                trainable: true,
                ..Connect::default()
            },
        )?;
        Ok(vec![object.pre])
    }
}

fn unknown() -> LayerConfig {
    LayerConfig::Unknown {
        config: serde_json::json!({}),
        reason: "it is unknown".to_owned(),
    }
}

#[test]
fn a_registered_converter_is_used() {
    let mut gate = layer("lab.Gate", "gate", unknown());
    gate.weights = vec![weight("gate", &[4])];
    let model = Net::single(&[4], gate, &[4]);
    let options = ConvertOptions::default();

    let without = convert(&model, &options).expect("it falls back");
    assert_eq!(
        messages(&without),
        ["Layer type Gate does not have a registered converter. Falling back to TensorNode."]
    );

    let mut registry = Registry::default();
    assert!(registry.register("Gate", Arc::new(Gate)).is_none());
    let with = convert_with(&model, &options, &registry).expect("it converts");
    assert!(with.warnings.is_empty());
    let listing = serde_json::to_value(listing(&with.network)).expect("a listing is data");
    assert_eq!(listing["nodes"][1]["repr"], "<Node 'gate.0'>");
    assert_eq!(listing["connections"][0]["trainable"], "True");
}

#[test]
fn a_registered_converter_may_refuse() {
    let model = Net::single(&[4], layer("Gate", "gate", unknown()), &[4]);
    let mut registry = Registry::default();
    registry.register("Gate", Arc::new(Gate));
    let conversion =
        convert_with(&model, &ConvertOptions::default(), &registry).expect("a fallback");
    assert_eq!(
        messages(&conversion),
        ["gate has no gate. Falling back to TensorNode."]
    );
}

#[test]
fn a_weight_of_another_shape_is_named() {
    let mut gate = layer("Gate", "gate", unknown());
    gate.weights = vec![tinyspike::model::Weight {
        name: "gate".into(),
        value: Tensor::filled(vec![2, 2], 1.0),
    }];
    let model = Net::single(&[4], gate, &[4]);
    let mut registry = Registry::default();
    registry.register("Gate", Arc::new(Gate));
    let error = convert_with(&model, &ConvertOptions::default(), &registry).expect_err("no fit");
    assert_eq!(
        error.to_string(),
        "layer 'gate': weight 'gate' has the shape [2, 2], but the layer's configuration says [4]"
    );
}
