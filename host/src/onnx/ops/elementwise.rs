//! Arithmetic and activations, element by element.

use super::super::build::Live;
use super::super::call::{Call, Value, axis, item_axis};
use super::super::constant::{Constant, Data};
use crate::keras::model::{
    Activation, ActivationLayer, BatchNormalization, Elu, LayerConfig, LeakyRelu, Merge, PRelu,
    Relu, Rescaling, Reshape, Softmax,
};
use crate::tensor::Tensor;

/// An operation of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Arithmetic {
    fn floats(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
        }
    }

    fn integers(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide => a.checked_div(b),
        }
    }

    /// The operation of two constants.
    fn fold(self, a: &Constant, b: &Constant) -> Result<Constant, String> {
        let rank = a.shape.len().max(b.shape.len());
        let at = |c: &Constant, axis: usize| {
            (axis + c.shape.len())
                .checked_sub(rank)
                .map_or(1, |axis| c.shape[axis])
        };
        let shape: Vec<usize> = (0..rank)
            .map(|axis| match (at(a, axis), at(b, axis)) {
                (1, n) | (n, _) => n,
            })
            .collect();
        let (a, b) = (a.broadcast(&shape)?, b.broadcast(&shape)?);
        let data = match (&a.data, &b.data) {
            (Data::Integers(a), Data::Integers(b)) => Data::Integers(
                (a.iter().zip(b))
                    .map(|(&a, &b)| {
                        self.integers(a, b)
                            .ok_or_else(|| format!("{self:?} of {a} and {b} is out of range"))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            _ => Data::Floats(
                (a.floats().iter().zip(b.floats()))
                    .map(|(&a, b)| self.floats(a, b))
                    .collect(),
            ),
        };
        Ok(Constant { shape, data })
    }
}

/// `Add`, `Sub`, `Mul`, `Div` of tensors, of a tensor and a constant, or of constants.
pub(super) fn binary(call: &mut Call<'_>, operation: Arithmetic) -> Result<Value, String> {
    let (a, b) = (call.value(0)?, call.value(1)?);
    let reciprocal = |c: &Constant| -> Result<Constant, String> {
        let floats = c.floats();
        if floats.contains(&0.0) {
            return Err("it divides by 0".to_owned());
        }
        Ok(Constant {
            shape: c.shape.clone(),
            data: Data::Floats(floats.iter().map(|v| 1.0 / v).collect()),
        })
    };
    match (a, b, operation) {
        (Value::Constant(a), Value::Constant(b), _) => {
            return Ok(operation.fold(&a, &b)?.into());
        }
        (Value::Live(a), Value::Live(b), _) => {
            let merge = match operation {
                Arithmetic::Add => Merge::Add,
                Arithmetic::Subtract => Merge::Subtract,
                Arithmetic::Multiply => Merge::Multiply,
                Arithmetic::Divide => {
                    return Err(
                        "it divides by what each sample brings, which no event can express; multiply by a constant \
                         instead"
                            .to_owned(),
                    );
                }
            };
            merge_all(call, merge, &[a, b])
        }
        (Value::Live(x), Value::Constant(c), Arithmetic::Add)
        | (Value::Constant(c), Value::Live(x), Arithmetic::Add) => affine(call, &x, None, Some(&c)),
        (Value::Live(x), Value::Constant(c), Arithmetic::Multiply)
        | (Value::Constant(c), Value::Live(x), Arithmetic::Multiply) => affine(call, &x, Some(&c), None),
        (Value::Live(x), Value::Constant(c), Arithmetic::Subtract) => {
            let less = Arithmetic::Multiply.fold(&c, &number(-1.0))?;
            affine(call, &x, None, Some(&less))
        }
        (Value::Constant(c), Value::Live(x), Arithmetic::Subtract) => {
            affine(call, &x, Some(&number(-1.0)), Some(&c))
        }
        (Value::Live(x), Value::Constant(c), Arithmetic::Divide) => affine(call, &x, Some(&reciprocal(&c)?), None),
        (Value::Constant(_), Value::Live(_), Arithmetic::Divide) => {
            Err("it divides by what each sample brings, which no event can express".to_owned())
        }
    }
    .map(Value::from)
}

/// A single float.
fn number(value: f32) -> Constant {
    Constant {
        shape: Vec::new(),
        data: Data::Floats(vec![value]),
    }
}

/// A constant as one of an item of this shape: without the batch axis, and with as many axes.
fn of_item(constant: &Constant, item: &[usize]) -> Result<Constant, String> {
    let mut shape = constant.shape.clone();
    while shape.len() > item.len() && shape.first() == Some(&1) {
        shape.remove(0);
    }
    if shape.len() > item.len() {
        return Err(format!(
            "its constant of shape {:?} differs from sample to sample, or has more axes than {item:?}",
            constant.shape
        ));
    }
    let mut full = vec![1; item.len() - shape.len()];
    full.extend(shape);
    if full.iter().zip(item).any(|(&c, &n)| c != 1 && c != n) {
        return Err(format!(
            "its constant of shape {:?} does not stretch to a tensor of shape {item:?} (without the batch axis)",
            constant.shape
        ));
    }
    constant.reshaped(full)
}

/// The layers of scale x + offset.
pub(super) fn affine(
    call: &mut Call<'_>,
    live: &Live,
    scale: Option<&Constant>,
    offset: Option<&Constant>,
) -> Result<Live, String> {
    let fitted = |c: Option<&Constant>, default| match c {
        Some(c) => of_item(c, &live.item),
        None => of_item(&number(default), &live.item),
    };
    let (scale, offset) = (fitted(scale, 1.0)?, fitted(offset, 0.0)?);
    let varies: Vec<usize> = (0..live.item.len())
        .filter(|&axis| scale.shape[axis] != 1 || offset.shape[axis] != 1)
        .collect();
    let grows = |c: &Constant| c.tensor();
    match varies[..] {
        [] => {
            let one = |c: &Constant| -> Result<Vec<f64>, String> {
                Ok(grows(c)?.data().iter().map(|&v| v.into()).collect())
            };
            let config = Rescaling {
                scale: one(&scale)?,
                offset: one(&offset)?,
            };
            call.layer("", config, Vec::new(), &[live])
        }
        [axis] => {
            let mut shape = vec![1; live.item.len()];
            shape[axis] = live.item[axis];
            let (scale, offset) = (scale.broadcast(&shape)?, offset.broadcast(&shape)?);
            along(call, live, axis, scale, offset)
        }
        _ => {
            let (scale, offset) = (scale.broadcast(&live.item)?, offset.broadcast(&live.item)?);
            let flat = Reshape {
                target_shape: vec![-1],
            };
            let flat = call.layer("flat", flat, Vec::new(), &[live])?;
            let moved = along(call, &flat, 0, scale, offset)?;
            let back = Reshape {
                target_shape: lengths(&live.item)?,
            };
            call.layer("back", back, Vec::new(), &[&moved])
        }
    }
}

/// Lengths as the targets of a Reshape.
pub(super) fn lengths(shape: &[usize]) -> Result<Vec<isize>, String> {
    (shape.iter())
        .map(|&d| isize::try_from(d).map_err(|_| format!("a length of {d} is out of range")))
        .collect()
}

/// A factor and an offset for each place of one axis, as a BatchNormalization without statistics.
fn along(
    call: &mut Call<'_>,
    live: &Live,
    axis: usize,
    scale: Constant,
    offset: Constant,
) -> Result<Live, String> {
    let n = scale.len();
    let config = BatchNormalization {
        axis: isize::try_from(axis + 1).map_err(|e| e.to_string())?,
        epsilon: 0.0,
        center: true,
        scale: true,
    };
    let weights = vec![
        ("gamma", scale.reshaped(vec![n])?.tensor()?),
        ("beta", offset.reshaped(vec![n])?.tensor()?),
        ("moving_mean", Tensor::filled(vec![n], 0.0)),
        ("moving_variance", Tensor::filled(vec![n], 1.0)),
    ];
    call.layer("", config, weights, &[live])
}

/// `Sum`, `Mean`, `Max`, `Min` of any number of tensors.
pub(super) fn merged(call: &mut Call<'_>, merge: Merge) -> Result<Value, String> {
    if call.inputs.len() == 2
        && let (Value::Live(live), Value::Constant(c)) | (Value::Constant(c), Value::Live(live)) =
            (call.value(0)?, call.value(1)?)
    {
        let floats = c.floats();
        let all = |value: f32| floats.iter().all(|&v| v == value);
        return match merge {
            Merge::Add => Ok(affine(call, &live, None, Some(&c))?.into()),
            Merge::Maximum if all(0.0) => rectified(call, &live, None),
            _ => Err("it merges a tensor with a constant; use Add, Mul or Clip".to_owned()),
        };
    }
    let all = (0..call.inputs.len())
        .map(|at| call.live(at))
        .collect::<Result<Vec<_>, _>>()?;
    match &all[..] {
        [one] => Ok(one.clone().into()),
        all => Ok(merge_all(call, merge, all)?.into()),
    }
}

fn merge_all(call: &mut Call<'_>, merge: Merge, all: &[Live]) -> Result<Live, String> {
    // Axes are aligned at the end, where the batch would fall on another axis.
    if let Some(other) = all.iter().find(|live| live.rank() != all[0].rank()) {
        return Err(format!(
            "it merges tensors of shapes {:?} and {:?} (without the batch axis), with other numbers of axes",
            all[0].item, other.item
        ));
    }
    let rectified = merge != Merge::Subtract && all.iter().all(|live| live.rectified);
    let merged = call.layer("", merge, Vec::new(), &all.iter().collect::<Vec<_>>())?;
    Ok(Live {
        rectified,
        ..merged
    })
}

/// `Neg`.
pub(super) fn negative(call: &mut Call<'_>) -> Result<Value, String> {
    match call.value(0)? {
        Value::Constant(c) => {
            let less = match c.data {
                Data::Integers(_) => Constant {
                    shape: Vec::new(),
                    data: Data::Integers(vec![-1]),
                },
                Data::Floats(_) => number(-1.0),
            };
            Ok(Arithmetic::Multiply.fold(&c, &less)?.into())
        }
        Value::Live(live) => Ok(affine(call, &live, Some(&number(-1.0)), None)?.into()),
    }
}

/// `Scaler` of `ai.onnx.ml`: scale (x - offset).
pub(super) fn scaler(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let along = |name| -> Result<Constant, String> {
        let values = call.node.floats(name)?.unwrap_or_default();
        Ok(Constant {
            shape: vec![values.len()],
            data: Data::Floats(values),
        })
    };
    let (scale, offset) = (along("scale")?, along("offset")?);
    let moved =
        Arithmetic::Multiply.fold(&Arithmetic::Multiply.fold(&scale, &offset)?, &number(-1.0))?;
    Ok(affine(call, &live, Some(&scale), Some(&moved))?.into())
}

/// A layer of one function.
pub(super) fn activation(call: &mut Call<'_>, activation: Activation) -> Result<Value, String> {
    let live = call.live(0)?;
    let made = call.layer("", ActivationLayer { activation }, Vec::new(), &[&live])?;
    let rectified = matches!(
        activation,
        Activation::Relu | Activation::Sigmoid | Activation::Softplus | Activation::Exponential
    );
    Ok(Live { rectified, ..made }.into())
}

/// `Relu`, which does nothing to what cannot be below zero.
pub(super) fn relu(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    rectified(call, &live, None)
}

fn rectified(call: &mut Call<'_>, live: &Live, most: Option<f32>) -> Result<Value, String> {
    let config: LayerConfig = match most {
        None if live.rectified => return Ok(live.clone().into()),
        None => ActivationLayer {
            activation: Activation::Relu,
        }
        .into(),
        Some(most) => Relu {
            max_value: Some(most.into()),
            negative_slope: 0.0,
            threshold: 0.0,
        }
        .into(),
    };
    let made = call.layer("", config, Vec::new(), &[live])?;
    let rectified = true;
    Ok(Live { rectified, ..made }.into())
}

/// `Clip` between constants: a rectifier between two shifts.
pub(super) fn clip(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let bound = |call: &Call<'_>, at: usize, name: &'static str| -> Result<Option<f32>, String> {
        if call.node.has(name) {
            return call.node.float(name, 0.0).map(Some);
        }
        call.scalar(at)
    };
    // Bounds that no float passes are none.
    let least = bound(call, 1, "min")?.filter(|&v| v > f32::MIN);
    let most = bound(call, 2, "max")?.filter(|&v| v < f32::MAX);
    if least.is_some_and(f32::is_nan) || most.is_some_and(f32::is_nan) {
        return Err("a bound is no number".to_owned());
    }
    match (least, most) {
        (None, None) => Ok(live.into()),
        (Some(least), None) => {
            if least == 0.0 {
                return rectified(call, &live, None);
            }
            let shifted = affine(call, &live, None, Some(&number(-least)))?;
            let clipped = rectified(call, &shifted, None)?;
            back(call, clipped, 1.0, least)
        }
        (None, Some(most)) => {
            let shifted = affine(call, &live, Some(&number(-1.0)), Some(&number(most)))?;
            let clipped = rectified(call, &shifted, None)?;
            back(call, clipped, -1.0, most)
        }
        (Some(least), Some(most)) if least < most => {
            if least == 0.0 {
                return rectified(call, &live, Some(most));
            }
            let shifted = affine(call, &live, None, Some(&number(-least)))?;
            let clipped = rectified(call, &shifted, Some(most - least))?;
            back(call, clipped, 1.0, least)
        }
        (Some(least), Some(most)) => Err(format!(
            "it clips between {least} and {most}, which leaves nothing"
        )),
    }
}

fn back(call: &mut Call<'_>, clipped: Value, scale: f32, offset: f32) -> Result<Value, String> {
    let Value::Live(clipped) = clipped else {
        return Err("it has no layer".to_owned());
    };
    Ok(affine(call, &clipped, Some(&number(scale)), Some(&number(offset)))?.into())
}

/// `LeakyRelu`.
pub(super) fn leaky(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let slope = call.node.float("alpha", 0.01)?;
    sloped(call, &live, slope)
}

fn sloped(call: &mut Call<'_>, live: &Live, slope: f32) -> Result<Value, String> {
    let config = LeakyRelu {
        negative_slope: slope.into(),
    };
    Ok(call.layer("", config, Vec::new(), &[live])?.into())
}

/// `PRelu`, with a slope for each place or for each of some axes.
pub(super) fn prelu(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let slope = of_item(&*call.needed(1)?, &live.item)?;
    if let [one] = slope.tensor()?.data()[..] {
        return sloped(call, &live, one);
    }
    let shared_axes = (0..live.item.len())
        .filter(|&axis| slope.shape[axis] == 1)
        .map(|axis| axis + 1)
        .collect();
    let alpha = slope.tensor()?;
    Ok(call
        .layer("", PRelu { shared_axes }, vec![("alpha", alpha)], &[&live])?
        .into())
}

/// `Elu`.
pub(super) fn elu(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let alpha = call.node.float("alpha", 1.0)?.into();
    Ok(call.layer("", Elu { alpha }, Vec::new(), &[&live])?.into())
}

/// `Selu`, with the numbers that Keras has, too.
pub(super) fn selu(call: &mut Call<'_>) -> Result<Value, String> {
    let (alpha, gamma) = (
        call.node.float("alpha", SELU[0])?,
        call.node.float("gamma", SELU[1])?,
    );
    if [alpha, gamma]
        .iter()
        .zip(SELU)
        .any(|(own, usual)| (own - usual).abs() > 1e-4)
    {
        let [usual_alpha, usual_gamma] = SELU;
        return Err(format!(
            "its alpha {alpha} and gamma {gamma} are not the usual {usual_alpha} and {usual_gamma}; use Elu and Mul"
        ));
    }
    activation(call, Activation::Selu)
}

/// Alpha and gamma of `Selu`.
const SELU: [f32; 2] = [1.673_263_2, 1.050_701];

/// `Celu`, which is `Elu` if its alpha is 1.
pub(super) fn celu(call: &mut Call<'_>) -> Result<Value, String> {
    match call.node.float("alpha", 1.0)? {
        1.0 => elu(call),
        alpha => Err(format!(
            "its alpha is {alpha}, and 1 alone has a layer; use Elu"
        )),
    }
}

/// `Swish`: x times the sigmoid of x.
pub(super) fn swish(call: &mut Call<'_>) -> Result<Value, String> {
    match call.node.float("alpha", 1.0)? {
        1.0 => activation(call, Activation::Swish),
        alpha => Err(format!("its alpha is {alpha}, and 1 alone has a layer")),
    }
}

/// `HardSigmoid`: clip(alpha x + beta, 0, 1).
pub(super) fn hard_sigmoid(call: &mut Call<'_>) -> Result<Value, String> {
    let (alpha, beta) = (
        call.node.float("alpha", 0.2)?,
        call.node.float("beta", 0.5)?,
    );
    if beta == 0.5 && alpha == 0.2 {
        return activation(call, Activation::SteepHardSigmoid);
    }
    if beta == 0.5 && (alpha - 1.0 / 6.0).abs() < 1e-6 {
        return activation(call, Activation::HardSigmoid);
    }
    let live = call.live(0)?;
    let line = affine(call, &live, Some(&number(alpha)), Some(&number(beta)))?;
    rectified(call, &line, Some(1.0))
}

/// `Gelu` by the error function.
pub(super) fn gelu(call: &mut Call<'_>) -> Result<Value, String> {
    match call.node.text("approximate", "none")?.as_str() {
        "none" => activation(call, Activation::Gelu),
        other => Err(format!(
            "it is approximated by {other}; train with relu in its place"
        )),
    }
}

/// The axis of a softmax, if it is over one axis alone: before opset 13 it was over all axes from one on.
fn softmax_axis(call: &Call<'_>, live: &Live) -> Result<usize, String> {
    let old = call.opset < 13;
    let number = call.node.int("axis", if old { 1 } else { -1 })?;
    if old && axis(number, live.rank())? + 1 != live.rank() {
        return Err(format!(
            "before opset 13, a softmax from axis {number} on is over all axes behind it; export the network with \
             opset_version=17"
        ));
    }
    Ok(item_axis(number, live)? + 1)
}

/// `Softmax`.
pub(super) fn softmax(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let axis = isize::try_from(softmax_axis(call, &live)?).map_err(|e| e.to_string())?;
    let made = call.layer("", Softmax { axis }, Vec::new(), &[&live])?;
    let rectified = true;
    Ok(Live { rectified, ..made }.into())
}

/// `LogSoftmax` over the last axis.
pub(super) fn log_softmax(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    if softmax_axis(call, &live)? + 1 != live.rank() {
        return Err("it is over another axis than the last".to_owned());
    }
    activation(call, Activation::LogSoftmax)
}
