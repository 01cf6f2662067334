//! Nested, shared and sequential models: where objects stand, how they are found by name.

use serde_json::{Value, json};
use tinyspike::convert::{ConvertOptions, LayerObject, convert};
use tinyspike::inspect::listing;
use tinyspike::model::{Activation, LayerConfig, Model};
use tinyspike::network::{NodeKind, Pre};

use super::edge_cases::case;
use super::keras::{Net, dense, layer};
use super::messages;

/// A model of one Dense layer, or around another model.
fn inner(name: &str, nested: Option<Model>) -> Model {
    let mut net = Net::default();
    let input = net.input(&format!("{name}_in"), &[4]);
    let hidden = net.apply(
        dense(&format!("{name}_dense"), 4, 4, Activation::Relu),
        &[input],
        &[4],
    );
    let out = match nested {
        None => hidden,
        Some(model) => {
            let nested_name = model.name.clone();
            let nested = layer(
                "Functional",
                &nested_name,
                LayerConfig::Model(Box::new(model)),
            );
            net.apply(nested, &[hidden], &[4])
        }
    };
    let mut model = net.finish(&[input], &[out]);
    model.name = name.into();
    model
}

fn around(model: Model, uses: usize) -> Model {
    let mut net = Net::default();
    let input = net.input("inp", &[4]);
    let name = model.name.clone();
    let nested = layer("Functional", &name, LayerConfig::Model(Box::new(model)));
    let mut out = net.apply(nested, &[input], &[4]);
    for _ in 1..uses {
        out = net.again(out, &[out], &[4]);
    }
    let last = net.apply(dense("o", 4, 2, Activation::Linear), &[out], &[2]);
    net.finish(&[input], &[last])
}

/// Nengo lists a network's own objects first, then those of each network in it.
#[test]
fn objects_of_nested_networks_follow_the_parents() {
    let model = around(inner("a", Some(inner("b", None))), 1);
    let conversion = convert(&model, &ConvertOptions::default()).expect("it converts");
    let listing = serde_json::to_value(listing(&conversion.network)).expect("a listing is data");
    assert_eq!(listing["networks"], json!(["a.0", "b.0"]));
    let of = |kind: &str, fields: &[&str]| -> Vec<String> {
        let objects = listing[kind].as_array().expect("objects").iter();
        let text = |object: &Value, field: &&str| object[*field].as_str().unwrap().to_owned();
        let words = |object| fields.iter().map(|f| text(object, f)).collect::<Vec<_>>();
        objects.map(|object| words(object).join(" ")).collect()
    };
    let nodes = of("nodes", &["label"]);
    assert_eq!(nodes, ["inp", "o.0", "o.0.bias", "a_in", "b_in"]);
    assert_eq!(of("ensembles", &["label"]), ["a_dense.0", "b_dense.0"]);
    assert_eq!(
        of("connections", &["pre", "post", "trainable"]),
        [
            "<Node 'inp'> <Node 'a_in'> False",
            "<Node 'o.0.bias'> <Node 'o.0'> None",
            "<Neurons of <Ensemble 'b_dense.0'>> <Node 'o.0'> True",
            "<Node 'a_in'> <Neurons of <Ensemble 'a_dense.0'>> None",
            "<Neurons of <Ensemble 'a_dense.0'>> <Node 'b_in'> None",
            "<Node 'b_in'> <Neurons of <Ensemble 'b_dense.0'>> None",
        ]
    );
    // A nested network's input takes what the parent sends.
    let nested_input = &conversion.network.nodes[3];
    assert!(matches!(nested_input.kind, NodeKind::Passthrough));
    assert_eq!(nested_input.size_in, 4);
    let top_input = &conversion.network.nodes[0];
    assert!(matches!(&top_input.kind, NodeKind::Input { shape } if shape == &[4]));
}

#[test]
fn a_model_used_twice_shares_its_weights() {
    let model = around(inner("a", None), 2);
    let compat = ConvertOptions {
        nengo_dl_compat: true,
        ..ConvertOptions::default()
    };
    let error = convert(&model, &compat).expect_err("weights are shared");
    assert_eq!(
        error.to_string(),
        "Multiple applications of layer <Dense 'a_dense'> detected; this is not supported unless \
         split_shared_weights=True"
    );
    let split = ConvertOptions {
        split_shared_weights: true,
        ..ConvertOptions::default()
    };
    assert!(convert(&model, &ConvertOptions::default()).is_ok());
    let conversion = convert(&model, &split).expect("it converts");
    let listing = serde_json::to_value(listing(&conversion.network)).expect("a listing is data");
    assert_eq!(listing["networks"], json!(["a.0", "a.1"]));
    assert_eq!(conversion.layer("a"), None, "two calls are ambiguous");
    let calls: Vec<&LayerObject> = conversion
        .layers
        .iter()
        .filter(|object| object.layer == "a")
        .collect();
    assert_eq!(calls.len(), 2);
    for (i, call) in calls.into_iter().enumerate() {
        let Pre::Neurons(ensemble) = call.object else {
            panic!("the model's output is an ensemble");
        };
        assert_eq!(call.call, i);
        assert_eq!(conversion.network.ensembles[ensemble.0].label, "a_dense.0");
        let subnetwork = conversion.network.ensembles[ensemble.0].subnetwork;
        assert_eq!(subnetwork.map(|s| s.0), Some(i));
    }
}

#[test]
fn inputs_outputs_and_layers_have_the_models_names() {
    let (model, options) = case("multi_out_syn");
    let conversion = convert(&model, &options).expect("it converts");
    let network = &conversion.network;
    let input = conversion.network.input("input_1").expect("the input");
    assert_eq!(network.nodes[input.0].label, "input_1");
    for name in ["h", "o"] {
        let probe = conversion.network.output(name).expect("the output");
        assert_eq!(network.probes[probe.0].label, name);
        assert_eq!(conversion.layer(name), Some(network.probes[probe.0].target));
    }
    assert_eq!(conversion.network.input("h"), None);
}

/// NengoDL's node has a new name; the user's name for the input still finds it.
#[test]
fn a_sequential_models_input_is_found_by_its_own_name() {
    let (mut model, options) = case("sequential");
    let label_of = |model: &Model, name: &str| {
        let conversion = convert(model, &options).expect("it converts");
        let node = conversion.network.input(name).expect("the input");
        conversion.network.nodes[node.0].label.clone()
    };
    assert_eq!(label_of(&model, "input_1"), "input_2");
    model.layers[0].name = "dense_input".into();
    assert_eq!(label_of(&model, "dense_input"), "input_1");
}

/// An input that no output needs has a node all the same.
#[test]
fn an_unused_input_has_a_node() {
    let mut net = Net::default();
    let used = net.input("used", &[4]);
    let unused = net.input("unused", &[2]);
    let out = net.apply(dense("o", 4, 2, Activation::Linear), &[used], &[2]);
    let model = net.finish(&[unused, used], &[out]);
    let conversion = convert(&model, &ConvertOptions::default()).expect("it converts");
    assert_eq!(messages(&conversion), [""; 0]);
    let names: Vec<&str> = conversion
        .network
        .inputs
        .iter()
        .map(|(n, _)| n.as_str())
        .collect();
    assert_eq!(names, ["unused", "used"]);
    let node = conversion.network.input("unused").expect("the input");
    assert_eq!(conversion.network.nodes[node.0].size_out, 2);
}
