//! Small Keras models, built in the tests.

use tinyspike::model::{
    Activation, Call, Conv, DataFormat, Dense, Input, Layer, LayerConfig, Model, Padding,
    Penalties, Pool, PoolKind, Relu, TensorRef, Weight,
};
use tinyspike::tensor::Tensor;

/// A model in the making.
#[derive(Default)]
pub(crate) struct Net {
    layers: Vec<Layer>,
}

fn shapes(shape: &[usize]) -> Vec<Vec<Option<usize>>> {
    vec![shape.iter().copied().map(Some).collect()]
}

impl Net {
    /// Adds an input.
    pub(crate) fn input(&mut self, name: &str, shape: &[usize]) -> TensorRef {
        let config = LayerConfig::Input(Input {
            shape: shape.iter().copied().map(Some).collect(),
            integers: false,
        });
        self.apply(layer("InputLayer", name, config), &[], shape)
    }

    /// Adds a layer and calls it.
    pub(crate) fn apply(
        &mut self,
        layer: Layer,
        inputs: &[TensorRef],
        shape: &[usize],
    ) -> TensorRef {
        self.layers.push(layer);
        let tensor = TensorRef {
            layer: self.layers.len() - 1,
            call: 0,
            tensor: 0,
        };
        self.again(tensor, inputs, shape)
    }

    /// Calls the layer behind a tensor once more.
    pub(crate) fn again(
        &mut self,
        of: TensorRef,
        inputs: &[TensorRef],
        shape: &[usize],
    ) -> TensorRef {
        let calls = &mut self.layers[of.layer].calls;
        calls.push(Call {
            inputs: inputs.to_vec(),
            output_shapes: shapes(shape),
        });
        TensorRef {
            call: calls.len() - 1,
            ..of
        }
    }

    /// The model.
    pub(crate) fn finish(self, inputs: &[TensorRef], outputs: &[TensorRef]) -> Model {
        Model {
            name: "model".into(),
            sequential: false,
            layers: self.layers,
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            keras_version: None,
        }
    }

    /// One layer on the input `inp`.
    pub(crate) fn single(input: &[usize], layer: Layer, output: &[usize]) -> Model {
        let mut net = Self::default();
        let inp = net.input("inp", input);
        let out = net.apply(layer, &[inp], output);
        net.finish(&[inp], &[out])
    }
}

/// A layer without weights and calls.
pub(crate) fn layer(class: &str, name: &str, config: LayerConfig) -> Layer {
    Layer {
        name: name.into(),
        class_name: class.into(),
        trainable: true,
        config,
        weights: Vec::new(),
        calls: Vec::new(),
    }
}

/// A weight of different values between 0 and 1.
pub(crate) fn weight(name: &str, shape: &[usize]) -> Weight {
    let len: usize = shape.iter().product();
    let data = (0..len)
        .map(|i| (i + 1) as f32 / (len + 1) as f32)
        .collect();
    Weight {
        name: name.into(),
        value: Tensor::new(shape.to_vec(), data).expect("the length fits"),
    }
}

/// A weight of one value.
pub(crate) fn filled(name: &str, shape: &[usize], value: f32) -> Weight {
    Weight {
        name: name.into(),
        value: Tensor::filled(shape.to_vec(), value),
    }
}

/// A Dense layer with weights.
pub(crate) fn dense(name: &str, n_in: usize, units: usize, activation: Activation) -> Layer {
    let mut layer = layer(
        "Dense",
        name,
        LayerConfig::Dense(Dense {
            units,
            use_bias: true,
            activation,
            penalties: Penalties::default(),
        }),
    );
    layer.weights = vec![weight("kernel", &[n_in, units]), weight("bias", &[units])];
    layer
}

/// The arguments of a plain convolution.
pub(crate) fn conv(rank: usize, kernel: usize, filters: usize) -> Conv {
    Conv {
        rank,
        filters,
        kernel_size: vec![kernel; rank],
        strides: vec![1; rank],
        padding: Padding::Valid,
        data_format: DataFormat::ChannelsLast,
        dilation_rate: vec![1; rank],
        groups: 1,
        use_bias: true,
        activation: Activation::Linear,
        penalties: Penalties::default(),
    }
}

/// A pooling of 2 along each axis.
pub(crate) fn pool(
    kind: PoolKind,
    rank: usize,
    padding: Padding,
    data_format: DataFormat,
) -> LayerConfig {
    LayerConfig::Pool(Pool {
        kind,
        rank,
        pool_size: vec![2; rank],
        strides: vec![2; rank],
        padding,
        data_format,
    })
}

/// A ReLU layer's arguments.
pub(crate) fn relu(max_value: Option<f64>, negative_slope: f64, threshold: f64) -> LayerConfig {
    LayerConfig::Relu(Relu {
        max_value,
        negative_slope,
        threshold,
    })
}
