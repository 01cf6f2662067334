//! The built-in converters, one file per family of layers.

mod activation;
mod conv;
mod dense;
mod fallback;
mod input;
mod merge;
mod nested;
mod noise;
mod normalization;
mod pool;
mod shape;
mod spiking;

use std::sync::Arc;

pub(super) use fallback::Fallback;

use super::options::ConvertOptions;
use super::registry::{LayerConverter, Registry};
use crate::keras::model::{Layer, Penalties};
use crate::keras::shape::MAX_ELEMENTS;

/// The layers that NengoDL converts.
pub(super) fn register_nengo_dl(registry: &mut Registry) {
    let mut add = |classes: &[&str], converter: Arc<dyn LayerConverter>| {
        for class in classes {
            registry.register(class, Arc::clone(&converter));
        }
    };
    add(&["InputLayer"], Arc::new(input::Input));
    add(
        &["Functional", "Model", "Sequential"],
        Arc::new(nested::NestedModel),
    );
    add(&["TimeDistributed"], Arc::new(nested::TimeDistributed));
    add(&["Conv1D", "Conv2D", "Conv3D"], Arc::new(conv::Conv));
    add(&["Dense"], Arc::new(dense::Dense));
    add(
        &["Activation", "ReLU", "LeakyReLU"],
        Arc::new(activation::Activation),
    );
    add(&["Add", "Average"], Arc::new(merge::Sum));
    add(&["Concatenate"], Arc::new(merge::Concatenate));
    add(&["Flatten", "Reshape"], Arc::new(shape::Reshape));
    add(
        &["UpSampling1D", "UpSampling2D", "UpSampling3D"],
        Arc::new(shape::UpSampling),
    );
    add(
        &["ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"],
        Arc::new(shape::ZeroPadding),
    );
    add(
        &[
            "AveragePooling1D",
            "AveragePooling2D",
            "AveragePooling3D",
            "MaxPooling1D",
            "MaxPooling2D",
            "MaxPooling3D",
            "GlobalAveragePooling1D",
            "GlobalAveragePooling2D",
            "GlobalAveragePooling3D",
            "GlobalMaxPooling1D",
            "GlobalMaxPooling2D",
            "GlobalMaxPooling3D",
        ],
        Arc::new(pool::Pool),
    );
    add(
        &["BatchNormalization"],
        Arc::new(normalization::BatchNormalization),
    );
    add(&["SpikingActivation"], Arc::new(spiking::SpikingActivation));
    add(&["Lowpass", "Alpha"], Arc::new(spiking::Filter));
}

/// The layers that NengoDL leaves to a `TensorNode` although Nengo's objects can express them.
pub(super) fn register_extended(registry: &mut Registry) {
    let mut add = |classes: &[&str], converter: Arc<dyn LayerConverter>| {
        for class in classes {
            registry.register(class, Arc::clone(&converter));
        }
    };
    add(
        &[
            "Dropout",
            "GaussianNoise",
            "GaussianDropout",
            "AlphaDropout",
            "SpatialDropout1D",
            "SpatialDropout2D",
            "SpatialDropout3D",
            "ActivityRegularization",
        ],
        Arc::new(noise::Noise),
    );
    add(
        &["DepthwiseConv1D", "DepthwiseConv2D"],
        Arc::new(conv::Conv),
    );
    add(
        &["SeparableConv1D", "SeparableConv2D"],
        Arc::new(conv::Conv),
    );
    add(
        &["Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"],
        Arc::new(conv::ConvTranspose),
    );
    add(&["PReLU"], Arc::new(activation::PRelu));
    add(&["Subtract"], Arc::new(merge::Sum));
    add(
        &[
            "Permute",
            "RepeatVector",
            "Cropping1D",
            "Cropping2D",
            "Cropping3D",
        ],
        Arc::new(shape::Gather),
    );
    add(&["Rescaling"], Arc::new(normalization::Rescaling));
}

/// Collects the arguments of a layer that its converter does not support.
struct Arguments<'a> {
    layer: &'a Layer,
    options: &'a ConvertOptions,
    unsupported: Vec<String>,
    training: Vec<String>,
}

impl<'a> Arguments<'a> {
    fn of(layer: &'a Layer, options: &'a ConvertOptions) -> Self {
        Self {
            layer,
            options,
            unsupported: Vec::new(),
            training: Vec::new(),
        }
    }

    fn describe(&self, argument: &str, value: &str, supported: &str) -> String {
        format!(
            "{}.{argument} has value {value} != {supported}",
            self.layer.name
        )
    }

    /// An argument of which one value alone is supported.
    fn require(&mut self, argument: &str, value: &str, supported: &str) {
        if value != supported {
            self.unsupported
                .push(self.describe(argument, value, supported));
        }
    }

    /// The arguments that only training needs.
    fn penalties(&mut self, penalties: &Penalties) {
        if self.options.inference_only {
            return;
        }
        let all = [
            ("kernel_regularizer", &penalties.kernel_regularizer),
            ("bias_regularizer", &penalties.bias_regularizer),
            ("activity_regularizer", &penalties.activity_regularizer),
            ("kernel_constraint", &penalties.kernel_constraint),
            ("bias_constraint", &penalties.bias_constraint),
        ];
        for (argument, penalty) in all {
            if let Some(penalty) = penalty {
                let value = format!("<{} object>", penalty.class);
                self.training.push(self.describe(argument, &value, "None"));
            }
        }
    }

    /// The verdict: NengoDL names the first argument alone.
    fn verdict(mut self) -> Result<(), String> {
        if self.options.nengo_dl_compat {
            self.unsupported.truncate(1);
            self.training.truncate(1 - self.unsupported.len());
        }
        let parts: Vec<String> = [
            (self.unsupported, ""),
            (self.training, " (unless inference_only=True)"),
        ]
        .into_iter()
        .filter(|(arguments, _)| !arguments.is_empty())
        .map(|(arguments, unless)| {
            let is = if arguments.len() > 1 { "are" } else { "is" };
            format!("{}, which {is} not supported{unless}", arguments.join(", "))
        })
        .collect();
        if parts.is_empty() {
            Ok(())
        } else {
            Err(parts.join("; "))
        }
    }
}

/// A tuple as Python writes it: `(2, 2)`, `(1,)`.
fn tuple<T: ToString>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    match values.as_slice() {
        [one] => format!("({one},)"),
        many => format!("({})", many.join(", ")),
    }
}

/// The distance between neighbours along each axis of a row-major array.
fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The coordinates of the element at `index` of a row-major array.
fn coordinates(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut coordinates = vec![0; shape.len()];
    for (axis, &length) in shape.iter().enumerate().rev() {
        coordinates[axis] = index % length;
        index /= length;
    }
    coordinates
}

/// The index of the element at these coordinates, given [`row_major`] strides.
fn index_of(coordinates: &[usize], strides: &[usize]) -> usize {
    coordinates.iter().zip(strides).map(|(c, s)| c * s).sum()
}

/// An axis counted from either end, as one of `0..rank`.
fn axis(axis: isize, rank: usize) -> Option<usize> {
    let from_end = axis.checked_add_unsigned(rank)?;
    let axis = if axis < 0 { from_end } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

/// The number of elements, unless it is 0 or more than a tensor may have.
fn elements(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|n| (1..=MAX_ELEMENTS).contains(n))
}
