//! Keras models made by hand, with weights that look random and are the same everywhere.

use tinyspike::convert::ActivationType;
use tinyspike::model::{
    Activation, BatchNormalization, Call, Conv, DataFormat, Dense, DepthwiseConv, Flatten, Input,
    Layer, LayerConfig, Model, Padding, Penalties, Relu, SeparableConv, TensorRef, Weight,
};
use tinyspike::names;
use tinyspike::network::NeuronType;
use tinyspike::tensor::Tensor;

/// A neuron type, by its name on the command line.
///
/// # Panics
/// If there is no such type.
#[must_use]
pub fn neurons(name: &str) -> NeuronType {
    match names::activation(name) {
        Ok(ActivationType::Neuron(neuron_type)) => neuron_type,
        other => panic!("{name}: {other:?}"),
    }
}

/// A model under construction. Every layer is called once; a tensor is named by its layer's index.
#[derive(Debug)]
pub struct Builder {
    model: Model,
    state: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A model without layers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            model: Model {
                name: "model".into(),
                sequential: false,
                layers: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                keras_version: None,
            },
            state: 7,
        }
    }

    /// A number between -1 and 1.
    pub fn number(&mut self) -> f32 {
        self.state = self
            .state
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        (self.state >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Numbers between -`reach` and `reach`.
    pub fn numbers(&mut self, count: usize, reach: f32) -> Vec<f32> {
        (0..count).map(|_| self.number() * reach).collect()
    }

    fn tensor(&mut self, name: &str, shape: Vec<usize>, reach: f32) -> Weight {
        let data = self.numbers(shape.iter().product(), reach);
        Weight {
            name: name.into(),
            value: Tensor::new(shape, data).expect("as many as the shape says"),
        }
    }

    /// A layer of any kind.
    pub fn layer(
        &mut self,
        class: &str,
        config: LayerConfig,
        weights: Vec<Weight>,
        inputs: &[usize],
        shape: &[usize],
    ) -> usize {
        let at = self.model.layers.len();
        let tensor = |layer| TensorRef {
            layer,
            call: 0,
            tensor: 0,
        };
        self.model.layers.push(Layer {
            name: format!("{}_{at}", class.to_lowercase()),
            class_name: class.into(),
            trainable: false,
            config,
            weights,
            calls: vec![Call {
                inputs: inputs.iter().map(|&i| tensor(i)).collect(),
                output_shapes: vec![shape.iter().map(|&d| Some(d)).collect()],
            }],
        });
        at
    }

    /// The shape of a layer's output.
    #[must_use]
    pub fn shape(&self, layer: usize) -> Vec<usize> {
        self.model.layers[layer].calls[0].output_shapes[0]
            .iter()
            .flatten()
            .copied()
            .collect()
    }

    /// An input.
    pub fn input(&mut self, shape: &[usize]) -> usize {
        let config = LayerConfig::Input(Input {
            shape: shape.iter().map(|&d| Some(d)).collect(),
            integers: false,
        });
        let at = self.layer("InputLayer", config, Vec::new(), &[], shape);
        self.model.inputs.push(TensorRef {
            layer: at,
            call: 0,
            tensor: 0,
        });
        at
    }

    /// A layer without weights.
    pub fn plain(
        &mut self,
        class: &str,
        config: LayerConfig,
        inputs: &[usize],
        shape: &[usize],
    ) -> usize {
        self.layer(class, config, Vec::new(), inputs, shape)
    }

    /// A ReLU layer.
    pub fn relu(&mut self, input: usize) -> usize {
        let config = LayerConfig::Relu(Relu {
            max_value: None,
            negative_slope: 0.0,
            threshold: 0.0,
        });
        let shape = self.shape(input);
        self.plain("ReLU", config, &[input], &shape)
    }

    /// A Dense layer.
    pub fn dense(&mut self, input: usize, units: usize, activation: Activation) -> usize {
        let mut shape = self.shape(input);
        let n = *shape.last().expect("an axis");
        let weights = vec![
            self.tensor("kernel", vec![n, units], (3.0 / n as f32).sqrt()),
            self.tensor("bias", vec![units], 0.2),
        ];
        *shape.last_mut().expect("an axis") = units;
        let config = LayerConfig::Dense(Dense {
            units,
            use_bias: true,
            activation,
            penalties: Penalties::default(),
        });
        self.layer("Dense", config, weights, &[input], &shape)
    }

    /// A convolution with `same` padding over the input's axes.
    pub fn conv(&mut self, input: usize, filters: usize, kernel: &[usize]) -> usize {
        let conv = Self::convolution(filters, kernel);
        self.conv_with(input, conv)
    }

    /// The arguments of a convolution with `same` padding and a relu.
    #[must_use]
    pub fn convolution(filters: usize, kernel: &[usize]) -> Conv {
        Conv {
            rank: kernel.len(),
            filters,
            kernel_size: kernel.to_vec(),
            strides: vec![1; kernel.len()],
            padding: Padding::Same,
            data_format: DataFormat::ChannelsLast,
            dilation_rate: vec![1; kernel.len()],
            groups: 1,
            use_bias: true,
            activation: Activation::Relu,
            penalties: Penalties::default(),
        }
    }

    /// The spatial axes and the channels of an image.
    fn split(&self, input: usize, format: DataFormat) -> (Vec<usize>, usize) {
        let mut places = self.shape(input);
        let channels = match format {
            DataFormat::ChannelsLast => places.pop().expect("channels"),
            DataFormat::ChannelsFirst => places.remove(0),
        };
        (places, channels)
    }

    fn convolved(&self, input: usize, conv: &Conv, filters: usize) -> Vec<usize> {
        let (mut shape, _) = self.split(input, conv.data_format);
        for (axis, n) in shape.iter_mut().enumerate() {
            let span = (conv.kernel_size[axis] - 1) * conv.dilation_rate[axis] + 1;
            *n = match conv.padding {
                Padding::Valid => (*n - span) / conv.strides[axis] + 1,
                _ => n.div_ceil(conv.strides[axis]),
            };
        }
        match conv.data_format {
            DataFormat::ChannelsLast => shape.push(filters),
            DataFormat::ChannelsFirst => shape.insert(0, filters),
        }
        shape
    }

    /// A convolution with these arguments.
    pub fn conv_with(&mut self, input: usize, conv: Conv) -> usize {
        let (_, channels) = self.split(input, conv.data_format);
        let inner = channels / conv.groups;
        let fan_in = conv.kernel_size.iter().product::<usize>() * inner;
        let kernel = [conv.kernel_size.as_slice(), &[inner, conv.filters]].concat();
        let weights = vec![
            self.tensor("kernel", kernel, (3.0 / fan_in as f32).sqrt()),
            self.tensor("bias", vec![conv.filters], 0.2),
        ];
        let shape = self.convolved(input, &conv, conv.filters);
        let class = format!("Conv{}D", conv.rank);
        self.layer(&class, LayerConfig::Conv(conv), weights, &[input], &shape)
    }

    /// A depthwise convolution with these arguments.
    pub fn depthwise(&mut self, input: usize, conv: Conv, depth_multiplier: usize) -> usize {
        let (_, channels) = self.split(input, conv.data_format);
        let filters = channels * depth_multiplier;
        let kernel = [conv.kernel_size.as_slice(), &[channels, depth_multiplier]].concat();
        let weights = vec![
            self.tensor("depthwise_kernel", kernel, 0.7),
            self.tensor("bias", vec![filters], 0.2),
        ];
        let shape = self.convolved(input, &conv, filters);
        let config = LayerConfig::DepthwiseConv(DepthwiseConv {
            conv,
            depth_multiplier,
        });
        self.layer("DepthwiseConv2D", config, weights, &[input], &shape)
    }

    /// A separable convolution with these arguments.
    pub fn separable(&mut self, input: usize, conv: Conv) -> usize {
        let (_, channels) = self.split(input, conv.data_format);
        let ones = vec![1; conv.rank];
        let first = [conv.kernel_size.as_slice(), &[channels, 1]].concat();
        let second = [ones.as_slice(), &[channels, conv.filters]].concat();
        let weights = vec![
            self.tensor("depthwise_kernel", first, 0.7),
            self.tensor("pointwise_kernel", second, 0.9),
            self.tensor("bias", vec![conv.filters], 0.2),
        ];
        let shape = self.convolved(input, &conv, conv.filters);
        let config = LayerConfig::SeparableConv(SeparableConv {
            conv,
            depth_multiplier: 1,
        });
        self.layer("SeparableConv2D", config, weights, &[input], &shape)
    }

    /// A batch normalization along the last axis, or the first.
    pub fn normalization(&mut self, input: usize, axis: isize) -> usize {
        let shape = self.shape(input);
        let n = if axis == 1 {
            shape[0]
        } else {
            *shape.last().expect("an axis")
        };
        let mut weights: Vec<Weight> = ["gamma", "beta", "moving_mean", "moving_variance"]
            .map(|name| self.tensor(name, vec![n], 0.5))
            .into();
        for at in [0, 3] {
            weights[at].value = weights[at].value.map(|v| v + 1.0);
        }
        let config = LayerConfig::BatchNormalization(BatchNormalization {
            axis,
            epsilon: 1e-3,
            center: true,
            scale: true,
        });
        self.layer("BatchNormalization", config, weights, &[input], &shape)
    }

    /// A flattening of the last axes.
    pub fn flatten(&mut self, input: usize, data_format: DataFormat) -> usize {
        let n = self.shape(input).iter().product();
        self.plain(
            "Flatten",
            LayerConfig::Flatten(Flatten { data_format }),
            &[input],
            &[n],
        )
    }

    /// The model with these outputs.
    #[must_use]
    pub fn finish(mut self, outputs: &[usize]) -> Model {
        let tensor = |&layer: &usize| TensorRef {
            layer,
            call: 0,
            tensor: 0,
        };
        self.model.outputs = outputs.iter().map(tensor).collect();
        self.model
    }
}
