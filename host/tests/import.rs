//! The importer on files that Keras has written.

use std::path::{Path, PathBuf};

use tinyspike::import;
use tinyspike::model::{Activation, LayerConfig, Model, TensorRef};

fn models(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../models")
        .join(name)
}

fn parameters(model: &Model) -> usize {
    (model.layers.iter())
        .flat_map(|l| &l.weights)
        .map(|w| w.value.len())
        .sum()
}

fn output(model: &Model, layer: &str) -> Vec<Option<usize>> {
    let layer = model.layers.iter().find(|l| l.name == layer).unwrap();
    layer.calls[0].output_shapes[0].clone()
}

#[test]
fn reads_the_bundled_models() {
    for (name, layers, count) in [
        ("mnist_forum_kr", 7, 1_201_258),
        ("mnist_small", 6, 38_826),
        ("mnist_pool_bn", 12, 9_170),
        ("mnist_mlp", 5, 101_770),
    ] {
        let model = import::load(&models(&format!("{name}.keras"))).unwrap();
        assert_eq!(model.name, name);
        assert_eq!(model.layers.len(), layers);
        assert_eq!(parameters(&model), count);
        assert_eq!(model.keras_version.as_deref(), Some("3.15.1"));
        let last = TensorRef {
            layer: layers - 1,
            call: 0,
            tensor: 0,
        };
        assert_eq!(model.outputs, [last]);
    }
}

#[test]
fn fills_in_arguments_and_shapes() {
    let model = import::load(&models("mnist_small.keras")).unwrap();
    let LayerConfig::Conv(conv) = &model.layers[2].config else {
        panic!("{:?}", model.layers[2].config);
    };
    assert_eq!((conv.filters, conv.activation), (16, Activation::Relu));
    assert_eq!(
        (&conv.kernel_size[..], &conv.strides[..]),
        (&[3, 3][..], &[2, 2][..])
    );
    let penalties = &conv.penalties;
    let class = |p: &Option<tinyspike::model::Penalty>| p.as_ref().map(|p| p.class.clone());
    assert_eq!(
        class(&penalties.kernel_regularizer).as_deref(),
        Some("keras.regularizers.L2")
    );
    assert_eq!(
        class(&penalties.activity_regularizer).as_deref(),
        Some("keras.regularizers.L1")
    );
    assert_eq!(output(&model, "conv2d_1"), [Some(6), Some(6), Some(16)]);
    assert_eq!(output(&model, "flatten"), [Some(576)]);
    assert_eq!(
        model.layers[2].weight("kernel").unwrap().shape(),
        [3, 3, 8, 16]
    );
}
