//! Operators, by what they do: each makes layers of a node, or a constant of constants.

mod elementwise;
mod linear;
mod pool;
mod shape;
mod window;

use super::call::{Call, Value};
use crate::keras::model::{Activation, Merge, Reduction};
use elementwise::Arithmetic;

/// Makes layers of a node; the values of its outputs.
///
/// # Errors
/// The reason, if there are no layers for it.
pub(super) fn run(call: &mut Call<'_>) -> Result<Vec<Value>, String> {
    let op = match call.node.domain.as_str() {
        "" | "ai.onnx.ml" => call.node.op.as_str(),
        domain => {
            return Err(unknown(&call.node.op, domain));
        }
    };
    let made = match op {
        "Conv" => linear::conv(call)?,
        "ConvTranspose" => linear::conv_transpose(call)?,
        "Gemm" => linear::gemm(call)?,
        "MatMul" => linear::matrix(call)?,
        "BatchNormalization" => linear::normalization(call)?,
        "Add" => elementwise::binary(call, Arithmetic::Add)?,
        "Sub" => elementwise::binary(call, Arithmetic::Subtract)?,
        "Mul" => elementwise::binary(call, Arithmetic::Multiply)?,
        "Div" => elementwise::binary(call, Arithmetic::Divide)?,
        "Sum" => elementwise::merged(call, Merge::Add)?,
        "Mean" => elementwise::merged(call, Merge::Average)?,
        "Max" => elementwise::merged(call, Merge::Maximum)?,
        "Min" => elementwise::merged(call, Merge::Minimum)?,
        "Neg" => elementwise::negative(call)?,
        "Scaler" => elementwise::scaler(call)?,
        "Relu" => elementwise::relu(call)?,
        "Clip" => elementwise::clip(call)?,
        "LeakyRelu" => elementwise::leaky(call)?,
        "PRelu" => elementwise::prelu(call)?,
        "Elu" => elementwise::elu(call)?,
        "HardSigmoid" => elementwise::hard_sigmoid(call)?,
        "Sigmoid" => elementwise::activation(call, Activation::Sigmoid)?,
        "Tanh" => elementwise::activation(call, Activation::Tanh)?,
        "Softplus" => elementwise::activation(call, Activation::Softplus)?,
        "Softsign" => elementwise::activation(call, Activation::Softsign)?,
        "HardSwish" => elementwise::activation(call, Activation::HardSilu)?,
        "Mish" => elementwise::activation(call, Activation::Mish)?,
        "Exp" => elementwise::activation(call, Activation::Exponential)?,
        "Gelu" => elementwise::gelu(call)?,
        "Selu" => elementwise::selu(call)?,
        "Celu" => elementwise::celu(call)?,
        "Swish" => elementwise::swish(call)?,
        "Softmax" => elementwise::softmax(call)?,
        "LogSoftmax" => elementwise::log_softmax(call)?,
        "MaxPool" => pool::max(call)?,
        "AveragePool" => pool::average(call)?,
        "GlobalMaxPool" => pool::global(call, crate::keras::model::PoolKind::Max)?,
        "GlobalAveragePool" => pool::global(call, crate::keras::model::PoolKind::Average)?,
        "ReduceMean" => pool::reduced(call, Reduction::Mean)?,
        "ReduceSum" => pool::reduced(call, Reduction::Sum)?,
        "ReduceMax" => pool::reduced(call, Reduction::Max)?,
        "Flatten" => shape::flatten(call)?,
        "Reshape" => shape::reshape(call)?,
        "Squeeze" => shape::squeeze(call)?,
        "Unsqueeze" => shape::unsqueeze(call)?,
        "Transpose" => shape::transpose(call)?,
        "Concat" => shape::concat(call)?,
        "Slice" => shape::slice(call)?,
        "Split" => return shape::split(call),
        "Gather" => shape::gather(call)?,
        "Pad" => shape::pad(call)?,
        "Resize" | "Upsample" => shape::resize(call)?,
        "Expand" => shape::expand(call)?,
        "Shape" => shape::shape(call)?,
        "Constant" => shape::constant(call)?,
        "ConstantOfShape" => shape::constant_of_shape(call)?,
        "Cast" => shape::cast(call)?,
        "Identity" | "ZipMap" => shape::same(call)?,
        "Dropout" => shape::dropout(call)?,
        _ => return Err(unknown(op, "")),
    };
    Ok(vec![made])
}

/// `true` for what turns scores into answers at a network's end, which a user can do without.
pub(super) fn answers(op: &str) -> bool {
    [
        "ArgMax",
        "ArgMin",
        "TopK",
        "ArrayFeatureExtractor",
        "Hardmax",
    ]
    .contains(&op)
}

/// Reason why an operator has no layer, and the remedy.
fn unknown(op: &str, domain: &str) -> String {
    if op.contains("QuantizeLinear") || op.starts_with("QLinear") || op.ends_with("Integer") {
        return "a quantized network; export the float network, before it is quantized: tinyspike quantizes it \
                itself, by calibration"
            .to_owned();
    }
    match op {
        "LSTM" | "GRU" | "RNN" => {
            "no event can express a recurrent layer; end the network before it and compute the rest on the \
             host, or train with convolutions over time"
        }
        "If" | "Loop" | "Scan" => {
            "control flow has no layer; export the network for fixed shapes, and simplify it with onnxsim"
        }
        "InstanceNormalization" | "LayerNormalization" | "GroupNormalization" | "LRN" | "LpNormalization" => {
            "it divides by what each sample brings; train with BatchNormalization, which is folded into weights"
        }
        "ArgMax" | "ArgMin" | "TopK" | "ArrayFeatureExtractor" | "Hardmax" => {
            "the network ends in an answer; export its scores, of which the largest is the answer anyway"
        }
        "Einsum" => "it has no layer; write it as MatMul of a tensor and a constant matrix",
        _ if !domain.is_empty() => {
            return format!(
                "it is of the domain {domain}; export the network before a runtime has optimized it, with \
                 functions inlined"
            );
        }
        _ => {
            "it has no layer; docs/onnx.md lists the operators. Train without it, or end the network before it \
             and compute the rest on the host"
        }
    }
    .to_owned()
}
