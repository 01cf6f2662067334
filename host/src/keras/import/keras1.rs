//! Files of Keras 1 and of the Theano backend in today's terms: what `keras.legacy.interfaces` and
//! `preprocess_weights_for_loading` of Keras 2 do.

use serde_json::{Map, Value, json};

use super::weights::Array;
use crate::keras::convert::index::permuted;
use crate::keras::dialect::Dialect;
use crate::keras::model::{Cell, LayerConfig};
use crate::keras::shape::DataFormat;

/// Arguments of Keras 1 and what Keras 2 calls them.
const ARGUMENTS: [(&str, &str); 20] = [
    ("output_dim", "units"),
    ("nb_filter", "filters"),
    ("filter_length", "kernel_size"),
    ("subsample_length", "strides"),
    ("subsample", "strides"),
    ("border_mode", "padding"),
    ("dim_ordering", "data_format"),
    ("atrous_rate", "dilation_rate"),
    ("W_regularizer", "kernel_regularizer"),
    ("b_regularizer", "bias_regularizer"),
    ("W_constraint", "kernel_constraint"),
    ("b_constraint", "bias_constraint"),
    ("bias", "use_bias"),
    ("pool_length", "pool_size"),
    ("stride", "strides"),
    ("inner_activation", "recurrent_activation"),
    ("p", "rate"),
    ("sigma", "stddev"),
    ("length", "size"),
    ("concat_axis", "axis"),
];

/// The kernel's lengths, which Keras 1 keeps apart.
const KERNELS: [&[&str]; 2] = [
    &["nb_row", "nb_col"],
    &["kernel_dim1", "kernel_dim2", "kernel_dim3"],
];

/// The class of Keras 2 that has the place of one of Keras 1 with these arguments.
pub(super) fn class<'a>(base: &'a str, arguments: &Map<String, Value>) -> &'a str {
    match base {
        "Convolution1D" | "AtrousConvolution1D" => "Conv1D",
        "Convolution2D" | "AtrousConvolution2D" => "Conv2D",
        "Convolution3D" => "Conv3D",
        "Deconvolution2D" => "Conv2DTranspose",
        "SeparableConvolution2D" => "SeparableConv2D",
        "TimeDistributedDense" => "Dense",
        "Merge" => match arguments.get("mode").and_then(Value::as_str) {
            Some("sum") => "Add",
            Some("mul") => "Multiply",
            Some("ave") => "Average",
            Some("max") => "Maximum",
            Some("concat") => "Concatenate",
            _ => base,
        },
        _ => base,
    }
}

/// The arguments of a layer in Keras 2's names; `None` if none of them is Keras 1's.
pub(super) fn arguments(base: &str, map: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut renamed = map.clone();
    // An embedding's `output_dim` is no older name.
    let own = |old: &str| base == "Embedding" && old == "output_dim";
    for (old, new) in ARGUMENTS {
        if !own(old)
            && !map.contains_key(new)
            && let Some(value) = renamed.shift_remove(old)
        {
            renamed.insert(new.to_owned(), modern(value));
        }
    }
    for names in KERNELS {
        let lengths: Option<Vec<Value>> = names.iter().map(|n| map.get(*n).cloned()).collect();
        if let Some(lengths) = lengths {
            renamed.insert("kernel_size".to_owned(), Value::Array(lengths));
        }
    }
    // Modes 1 and 2 normalize by the batch at hand.
    if base == "BatchNormalization" && map.get("mode").is_some_and(|mode| *mode != json!(0)) {
        renamed.insert("axis".to_owned(), json!([]));
    }
    (renamed != *map).then_some(renamed)
}

/// A value of Keras 1 as Keras 2 writes it.
fn modern(value: Value) -> Value {
    match value {
        Value::String(order) if order == "tf" => json!("channels_last"),
        Value::String(order) if order == "th" => json!("channels_first"),
        Value::Object(mut penalty) if !penalty.contains_key("class_name") => {
            let name = penalty.shift_remove("name");
            let name = match name.as_ref().and_then(Value::as_str) {
                Some("WeightRegularizer") | None => "L1L2".to_owned(),
                Some(other) => other.to_owned(),
            };
            json!({"class_name": name, "config": penalty})
        }
        other => other,
    }
}

/// The number of arrays for each weight of a recurrent layer, if each of its gates has its own.
fn gates(config: &LayerConfig) -> Option<&'static [usize]> {
    match config {
        LayerConfig::Recurrent(layer) => match layer.cell {
            Cell::Simple => None,
            Cell::Gru { .. } => Some(&[0, 1, 2]),
            // Keras 1 has the candidate before the forget gate.
            Cell::Lstm => Some(&[0, 2, 1, 3]),
        },
        _ => None,
    }
}

/// The number of arrays that hold `slots` weights of a layer. `apart` says that each gate has its own.
pub(super) fn arrays_of(config: &LayerConfig, slots: usize, apart: bool) -> usize {
    match gates(config) {
        Some(gates) if apart => slots * gates.len(),
        _ => slots,
    }
}

/// The arrays of a layer's weights, in today's order and layout.
pub(super) fn converted<'a>(
    config: &LayerConfig,
    slots: usize,
    dialect: Dialect,
    mut arrays: Vec<Array<'a>>,
) -> Vec<Array<'a>> {
    if let Some(gates) = gates(config)
        && slots > 0
        && arrays.len() == slots * gates.len()
        && slots != arrays.len()
    {
        let mut parts: Vec<Option<Array<'a>>> = arrays.into_iter().map(Some).collect();
        return (0..slots)
            .map(|slot| {
                let of_gate = |gate: &usize| parts.get_mut(gate * slots + slot)?.take();
                joined(gates.iter().filter_map(of_gate).collect())
            })
            .collect();
    }
    let (conv, transposed) = match config {
        LayerConfig::Conv(conv) => (conv, false),
        LayerConfig::ConvTranspose(layer) => (&layer.conv, true),
        _ => return arrays,
    };
    if arrays.is_empty() || dialect.version > 1 && !dialect.flipped {
        return arrays;
    }
    let mut kernel = arrays.remove(0);
    let first = conv.data_format == DataFormat::ChannelsFirst;
    let axes: &[usize] = match (conv.rank, kernel.shape.len(), transposed) {
        _ if dialect.version > 1 => &[],
        (1, 4, false) => {
            let [a, b, _, d] = [0, 1, 2, 3].map(|axis| kernel.shape[axis]);
            let length = conv.kernel_size[0] as u64;
            if (a, b) == (length, 1) && d == conv.filters as u64 {
                &[]
            } else {
                &[2, 3, 1, 0]
            }
        }
        (2, 4, false) if first => &[2, 3, 1, 0],
        (3, 5, false) if first => &[2, 3, 4, 1, 0],
        (2, 4, true) if first => &[2, 3, 0, 1],
        (2, 4, true) => &[0, 1, 3, 2],
        _ => &[],
    };
    if !axes.is_empty() {
        kernel = transpose(kernel, axes);
    }
    if conv.rank == 1 && kernel.shape.len() == 4 && kernel.shape[1] == 1 {
        kernel.shape.remove(1);
    }
    if dialect.flipped {
        kernel = flip(kernel);
    }
    arrays.insert(0, kernel);
    arrays
}

/// An array whose values are made of those of another.
pub(super) fn changed<'a>(
    array: Array<'a>,
    shape: Vec<u64>,
    change: impl Fn(Vec<f32>) -> Vec<f32> + 'a,
) -> Array<'a> {
    Array {
        name: array.name,
        shape,
        read: Box::new(move || Ok((array.read)()?.map(&change))),
    }
}

fn transpose<'a>(array: Array<'a>, axes: &'a [usize]) -> Array<'a> {
    let shape = axes.iter().map(|&axis| array.shape[axis]).collect();
    let old: Vec<usize> = array.shape.iter().map(|&d| d as usize).collect();
    changed(array, shape, move |values| {
        let order = permuted(&old, axes).into_iter();
        order
            .map(|at| values.get(at).copied().unwrap_or(f32::NAN))
            .collect()
    })
}

/// A kernel with its places in the opposite order.
fn flip(kernel: Array<'_>) -> Array<'_> {
    let shape = kernel.shape.clone();
    let channels: u64 = shape.iter().rev().take(2).product();
    changed(kernel, shape, move |values| {
        let places = values.chunks((channels as usize).max(1)).rev();
        places.flatten().copied().collect()
    })
}

/// The arrays of all gates side by side, along their last axis.
fn joined(parts: Vec<Array<'_>>) -> Array<'_> {
    let mut shape = parts.first().map_or(Vec::new(), |part| part.shape.clone());
    let lengths: Vec<usize> = (parts.iter())
        .map(|part| part.shape.last().map_or(1, |&n| n as usize))
        .collect();
    if let Some(last) = shape.last_mut() {
        *last = lengths.iter().fold(0, |n, &d| n.saturating_add(d as u64));
    }
    let rows = shape.iter().rev().skip(1).fold(1, |n, &d| n * d as usize);
    Array {
        name: String::new(),
        shape,
        read: Box::new(move || {
            let mut values = Vec::with_capacity(parts.len());
            for part in &parts {
                match (part.read)()? {
                    Ok(part) => values.push(part),
                    Err(found) => return Ok(Err(found)),
                }
            }
            let mut all = Vec::new();
            for row in 0..rows {
                for (part, &n) in values.iter().zip(&lengths) {
                    let row = part.get(row * n..(row + 1) * n);
                    all.extend_from_slice(row.unwrap_or_default());
                }
            }
            Ok(Ok(all))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[u64]) -> Array<'static> {
        let n: u64 = shape.iter().product();
        Array {
            name: String::new(),
            shape: shape.to_vec(),
            read: Box::new(move || Ok(Ok((0..n).map(|i| i as f32).collect()))),
        }
    }

    #[test]
    fn gates_are_put_side_by_side() {
        let whole = joined(vec![array(&[2, 1]), array(&[2, 2])]);
        assert_eq!(whole.shape, [2, 3]);
        assert_eq!((whole.read)().unwrap().unwrap(), [0., 0., 1., 1., 2., 3.]);
    }

    #[test]
    fn kernels_are_turned_round_by_places() {
        let kernel = flip(array(&[2, 1, 2]));
        assert_eq!((kernel.read)().unwrap().unwrap(), [2., 3., 0., 1.]);
        let kernel = transpose(array(&[2, 3]), &[1, 0]);
        assert_eq!(kernel.shape, [3, 2]);
        assert_eq!((kernel.read)().unwrap().unwrap(), [0., 3., 1., 4., 2., 5.]);
    }
}
