//! The converter's networks are listed as NengoDL 3.6 lists its own, object for object.
//!
//! What is normalised on NengoDL's side is what says something of Python alone: addresses, NumPy's
//! types of numbers (`"26"`, `array(0.1, dtype=float32)`), line breaks in index lists, and
//! DeprecationWarnings.

use serde_json::Value;
use tinyspike::convert::{Conversion, ConvertOptions, ScaleFiringRates, convert};
use tinyspike::import;
use tinyspike::inspect::listing;
use tinyspike::model::{Activation, Dense, LayerConfig, Model, Penalties};
use tinyspike::network::{NeuronType, Synapse};

use super::{golden, messages, root, without_python};

fn model(path: &str) -> Model {
    import::load(&root().join(path)).expect("the model loads")
}

/// NengoDL's listing without what Python alone says.
fn normalised(value: &Value) -> Value {
    match value {
        Value::String(text) => normalised_text(text),
        Value::Array(values) => values.iter().map(normalised).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), normalised(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn normalised_text(text: &str) -> Value {
    text.parse::<u64>()
        .map_or_else(|_| Value::String(without_python(text)), Value::from)
}

/// The warnings of the converter among those of a Python run.
fn warnings(case: &Value) -> Vec<String> {
    let Some(warnings) = case["warnings"].as_array() else {
        return Vec::new();
    };
    warnings
        .iter()
        .filter_map(|warning| {
            let warning = normalised(warning);
            warning
                .as_str()
                .and_then(|text| text.strip_prefix("UserWarning: "))
                .map(str::to_owned)
        })
        .collect()
}

/// Compares every field of the golden listing, and the warnings.
fn assert_listed_as(case: &str, golden: &Value, conversion: &Conversion) {
    assert_objects(case, golden, conversion);
    assert_eq!(warnings(golden), messages(conversion), "{case}: warnings");
}

/// Compares every field of every object of the golden listing.
fn assert_objects(case: &str, golden: &Value, conversion: &Conversion) {
    let listed = serde_json::to_value(listing(&conversion.network)).expect("a listing is data");
    for kind in ["nodes", "ensembles", "connections", "probes"] {
        let golden = golden[kind].as_array().expect("the golden listing has it");
        let listed = listed[kind].as_array().expect("the listing has it");
        for (i, (golden, listed)) in golden.iter().zip(listed).enumerate() {
            assert_eq!(&normalised(golden), listed, "{case}: {kind}[{i}]");
        }
        assert_eq!(golden.len(), listed.len(), "{case}: {kind}");
    }
    assert_eq!(
        golden["net_label"], listed["net_label"],
        "{case}: net_label"
    );
}

/// The forum thread's network, with regularizers on these layers alone. The golden listings are of
/// the same network under Keras's default name.
fn forum(regularized: &[&str]) -> Model {
    let mut model = model("models/mnist_forum_kr.keras");
    model.name = "model".into();
    for layer in &mut model.layers {
        if !regularized.contains(&layer.name.as_str()) {
            match &mut layer.config {
                LayerConfig::Conv(conv) => conv.penalties = Penalties::default(),
                LayerConfig::Dense(Dense { penalties, .. }) => *penalties = Penalties::default(),
                _ => {}
            }
        }
    }
    model
}

const HIDDEN: [&str; 4] = ["conv2d", "conv2d_1", "dense", "dense_1"];

#[test]
fn forum_network() {
    let golden = golden("step2_listings.json.gz");
    let inference_only = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let spiking = ConvertOptions {
        swap_activations: vec![(
            Activation::Relu.into(),
            NeuronType::SpikingRectifiedLinear { amplitude: 1.0 }.into(),
        )],
        scale_firing_rates: ScaleFiringRates::All(100.0),
        synapse: Some(Synapse::Lowpass { tau: 0.005 }),
        ..ConvertOptions::default()
    };
    let some = ["conv2d_1", "dense_1"];
    let cases = [
        ("no_kr", forum(&[]), ConvertOptions::default()),
        (
            "kr_conv2_dense2_only",
            forum(&some),
            ConvertOptions::default(),
        ),
        ("kr_all_hidden", forum(&HIDDEN), ConvertOptions::default()),
        (
            "kr_all_hidden_inference_only",
            forum(&HIDDEN),
            inference_only.clone(),
        ),
        (
            "kr_conv2_dense2_inference_only",
            forum(&some),
            inference_only,
        ),
        ("no_kr_spiking_s100_syn5ms", forum(&[]), spiking),
    ];
    assert_eq!(golden.len(), cases.len());
    for (case, model, options) in cases {
        for nengo_dl_compat in [false, true] {
            let options = ConvertOptions {
                nengo_dl_compat,
                ..options.clone()
            };
            let conversion = convert(&model, &options).expect("the model converts");
            assert_listed_as(case, &golden[case], &conversion);
        }
    }
}

/// The options of a golden case such as `mnist_small|inference_only=True,synapse=0.005`.
fn options(case: &str) -> ConvertOptions {
    let (_, arguments) = case.split_once('|').expect("a case has options");
    let mut options = ConvertOptions::default();
    for argument in arguments.split(',').filter(|a| !a.is_empty()) {
        match argument.split_once('=').expect("an option has a value") {
            ("inference_only", "True") => options.inference_only = true,
            ("max_to_avg_pool", "True") => options.max_to_avg_pool = true,
            ("scale_firing_rates", scale) => {
                options.scale_firing_rates =
                    ScaleFiringRates::All(scale.parse().expect("a number"));
            }
            ("synapse", tau) => {
                options.synapse = Some(Synapse::Lowpass {
                    tau: tau.parse().expect("a number"),
                });
            }
            other => panic!("{case}: option {other:?}"),
        }
    }
    options
}

/// A case of listings_other_models.json: its model, options, and NengoDL's listing.
fn other_models() -> Vec<(String, Model, ConvertOptions, Value)> {
    golden("listings_other_models.json.gz")
        .into_iter()
        .map(|(case, mut golden)| {
            let mut options = options(&case);
            let name = case.split('|').next().expect("a case has a model");
            let bundled = format!("models/{name}.keras");
            let model = if root().join(&bundled).exists() {
                model(&bundled)
            } else {
                model(&format!("tests/fixtures/keras/{name}.keras"))
            };
            // The one spiking case swaps both of TensorFlow's relu functions, of which the model
            // has the ReLU layers' alone; here one key stands for both, and is used.
            if options.scale_firing_rates != ScaleFiringRates::None {
                options.swap_activations = vec![(
                    Activation::Relu.into(),
                    NeuronType::SpikingRectifiedLinear { amplitude: 1.0 }.into(),
                )];
                let warnings = golden["warnings"].as_array_mut().expect("warnings");
                let unused = warnings.pop().expect("the warning of the unused key");
                assert!(
                    unused
                        .as_str()
                        .is_some_and(|w| w.contains("swap_activations"))
                );
            }
            (case, model, options, golden)
        })
        .collect()
}

#[test]
fn other_models_to_the_letter() {
    let cases = other_models();
    assert_eq!(cases.len(), 11);
    for (case, model, options, golden) in cases {
        let options = ConvertOptions {
            nengo_dl_compat: true,
            ..options
        };
        let conversion = convert(&model, &options).expect("the model converts");
        assert_listed_as(&case, &golden, &conversion);
    }
}

#[test]
fn other_models_without_layers_that_nengo_dl_lacks() {
    let mut compared = 0;
    for (case, model, options, golden) in other_models() {
        let lacking = ["Dropout", "DepthwiseConv2D"];
        if model
            .layers
            .iter()
            .any(|layer| lacking.contains(&layer.class_name.as_str()))
        {
            continue;
        }
        let conversion = convert(&model, &options).expect("the model converts");
        assert_objects(&case, &golden, &conversion);
        compared += 1;
    }
    assert_eq!(compared, 5);
}

#[test]
fn all_unsupported_arguments_are_named() {
    let model = model("models/mnist_small.keras");
    let conversion = convert(&model, &ConvertOptions::default()).expect("the model converts");
    let unsupported = "which are not supported (unless inference_only=True). Falling back to \
                       TensorNode.";
    assert_eq!(
        messages(&conversion),
        [
            "conv2d.kernel_regularizer has value <keras.regularizers.L2 object> != None, which is \
             not supported (unless inference_only=True). Falling back to TensorNode."
                .to_owned(),
            format!(
                "conv2d_1.kernel_regularizer has value <keras.regularizers.L2 object> != None, \
                 conv2d_1.activity_regularizer has value <keras.regularizers.L1 object> != None, \
                 {unsupported}"
            ),
            format!(
                "dense.kernel_regularizer has value <keras.regularizers.L2 object> != None, \
                 dense.bias_regularizer has value <keras.regularizers.L2 object> != None, \
                 {unsupported}"
            ),
        ]
    );
}
