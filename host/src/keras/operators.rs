//! Functions among the layers of a model, such as `x + y`, in terms of layers: those of `keras.ops`, and
//! TensorFlow's in `TFOpLambda`, `SlicingOpLambda` and `TensorFlowOpLayer`.

use serde_json::{Map, Value};

use super::args::{flatten, integer};
use super::class::{Class, FUNCTIONS};
use super::layers::unit_normalization::EPSILON;
use super::model::{
    Activation, ActivationLayer, Concatenate, DataFormat, Flatten, Function, Identity, LayerConfig,
    LeakyRelu, LengthsOfOne, Merge, Permute, Places, Reduce, Reduction, Relu, Rescaling, Reshape,
    Slice, Softmax, UnitNormalization,
};

/// A function with its arguments.
struct Operation {
    /// The function's name in lower case, without `_` and its module.
    name: String,
    /// The operands, in their order.
    operands: Vec<Value>,
    /// Arguments by name.
    named: Map<String, Value>,
}

/// A layer that computes a function of the model; `None` if the class is none, or there is no such layer.
pub(crate) fn layer(class: &Class, entry: &Map<String, Value>) -> Option<LayerConfig> {
    operation(class, entry)?.layer()
}

/// The name of a function with its module, to be shown; `None` if a class is none.
pub(crate) fn function<'a>(class: &'a Class, config: &'a Map<String, Value>) -> Option<&'a str> {
    match class.base.as_str() {
        "TFOpLambda" | "SlicingOpLambda" => config.get("function")?.as_str(),
        "TensorFlowOpLayer" => Some(config.get("node_def")?.get("op")?.as_str().unwrap_or("?")),
        _ => class
            .shown
            .starts_with(FUNCTIONS)
            .then_some(class.shown.as_str()),
    }
}

fn operation(class: &Class, entry: &Map<String, Value>) -> Option<Operation> {
    let config = entry.get("config")?.as_object()?;
    let function = function(class, config)?;
    let name = function.rsplit('.').next()?.to_lowercase().replace('_', "");
    let node = entry.get("inbound_nodes")?.get(0)?;
    let (operands, named) = if class.base == "TensorFlowOpLayer" {
        // Constants stand between the tensors.
        let mut tensors = node.as_array()?.iter().cloned();
        let constants = config.get("constants").and_then(Value::as_object);
        let constant = |at: usize| constants.and_then(|c| c.get(&at.to_string())).cloned();
        let operands = (0..)
            .map_while(|at| constant(at).or_else(|| tensors.next()))
            .collect();
        (
            operands,
            config.get("node_def")?.get("attr")?.as_object()?.clone(),
        )
    } else if let Some(args) = node.get("args") {
        let mut named = config.clone();
        named.extend(node.get("kwargs")?.as_object()?.clone());
        (args.as_array()?.clone(), named)
    } else {
        let list = node.as_array()?;
        // One tensor, or a list of them; arguments by name behind the first.
        let (first, single) = match list.first()? {
            Value::String(_) => (list, true),
            inner => (inner.as_array()?, false),
        };
        let named = first.get(3).and_then(Value::as_object);
        let constant = first.first()?.as_str() == Some("_CONSTANT_VALUE");
        let operand = if constant {
            first.get(2)?.clone()
        } else if single {
            Value::Array(first.get(..3)?.to_vec())
        } else {
            node.clone()
        };
        (vec![operand], named.cloned().unwrap_or_default())
    };
    Some(Operation {
        name,
        operands,
        named,
    })
}

/// `true` if there is a tensor in a value.
pub(crate) fn has_tensor(value: &Value) -> bool {
    match value {
        Value::Array(list) => match &list[..] {
            [Value::String(name), Value::Number(_), Value::Number(_), ..] => {
                name != "_CONSTANT_VALUE"
            }
            _ => list.iter().any(has_tensor),
        },
        Value::Object(map) => {
            map.get("class_name").and_then(Value::as_str) == Some("__keras_tensor__")
                || map.values().any(has_tensor)
        }
        _ => false,
    }
}

impl Operation {
    /// An argument by place or by one of its names.
    fn argument(&self, place: usize, names: &[&str]) -> Option<&Value> {
        let named = names.iter().find_map(|name| self.named.get(*name));
        named
            .or_else(|| self.operands.get(place))
            .filter(|v| !v.is_null())
    }

    fn number(&self, place: usize, names: &[&str]) -> Option<f64> {
        self.argument(place, names)?.as_f64()
    }

    fn integers(&self, place: usize, names: &[&str]) -> Option<Vec<isize>> {
        match self.argument(place, names)? {
            Value::Array(list) => list.iter().map(integer).collect(),
            one => integer(one).map(|one| vec![one]),
        }
    }

    /// `true` if tensors are the only arguments after the first `known` ones.
    fn only(&self, known: &[&str]) -> bool {
        let expected = |key: &String| {
            ["name", "T", "dtype"].contains(&key.as_str()) || known.contains(&key.as_str())
        };
        (self.named.iter()).all(|(key, value)| expected(key) || value.is_null())
    }

    fn layer(&self) -> Option<LayerConfig> {
        let activation = |a: Activation| Some(ActivationLayer { activation: a }.into());
        match self.name.as_str() {
            "add" | "addv2" => self.binary(Merge::Add),
            "sub" | "subtract" => self.binary(Merge::Subtract),
            "mul" | "multiply" => self.binary(Merge::Multiply),
            "div" | "divide" | "truediv" | "truedivide" | "realdiv" => self.divided(),
            "maximum" => self.binary(Merge::Maximum),
            "minimum" => self.binary(Merge::Minimum),
            "neg" | "negative" => Some(scaled(vec![-1.0], vec![0.0])),
            "identity" | "stopgradient" => Some(Identity.into()),
            "cast" => {
                let to = self.argument(1, &["dtype", "DstT"]).and_then(Value::as_str);
                (to.is_some_and(|to| to.contains("float"))).then(|| Identity.into())
            }
            "mean" | "reducemean" => self.reduced(Reduction::Mean),
            "sum" | "reducesum" => self.reduced(Reduction::Sum),
            "max" | "reducemax" | "amax" => self.reduced(Reduction::Max),
            "concat" | "concatenate" => Some(
                Concatenate {
                    axis: self.integers(1, &["axis"])?.first().copied()?,
                }
                .into(),
            ),
            "reshape" => match &self.integers(1, &["newshape", "shape"])?[..] {
                [-1, target @ ..] if !target.is_empty() => Some(
                    Reshape {
                        target_shape: target.to_vec(),
                    }
                    .into(),
                ),
                _ => None,
            },
            "transpose" | "permutedims" => match &self.integers(1, &["axes", "perm"])?[..] {
                [0, dims @ ..] => Some(
                    Permute {
                        dims: dims
                            .iter()
                            .map(|&d| usize::try_from(d).ok())
                            .collect::<Option<_>>()?,
                    }
                    .into(),
                ),
                _ => None,
            },
            "getitem" => self.slice(),
            "expanddims" => {
                let axis = self.integers(1, &["axis", "dim"])?;
                Some(LengthsOfOne::Add(*axis.first()?).into())
            }
            "squeeze" => {
                let axes = self.integers(1, &["axis", "squeeze_dims"]);
                Some(LengthsOfOne::Drop(axes.unwrap_or_default()).into())
            }
            "flatten" => Some(
                Flatten {
                    data_format: DataFormat::ChannelsLast,
                }
                .into(),
            ),
            "abs" | "absolute" => Some(Function::Abs.into()),
            "square" => Some(Function::Power(2.0).into()),
            "sqrt" => Some(Function::Sqrt.into()),
            "rsqrt" => Some(Function::Rsqrt.into()),
            "log" => Some(Function::Log.into()),
            "log1p" => Some(Function::Log1p.into()),
            "sin" => Some(Function::Sin.into()),
            "cos" => Some(Function::Cos.into()),
            "pow" | "power" => {
                let power = constants(self.argument(1, &["x2", "y"])?)?;
                match power[..] {
                    [power] => Some(Function::Power(power).into()),
                    _ => None,
                }
            }
            "l2normalize" => {
                let least = self.number(2, &["epsilon"]);
                self.normalized(least.map_or(EPSILON, |least| least as f32))
            }
            "normalize" => {
                let order = self.argument(2, &["order"]);
                let two = order.is_none_or(|order| order.as_f64() == Some(2.0));
                // The least norm, not its square.
                let least = self.number(3, &["epsilon"]).unwrap_or(1e-7) as f32;
                two.then(|| self.normalized(least * least)).flatten()
            }
            "clip" | "clipbyvalue" => {
                let least = self.number(1, &["x_min", "clip_value_min"])?;
                let most = self.number(2, &["x_max", "clip_value_max"])?;
                Some(match least {
                    0.0 => rectified(Some(most), 0.0, 0.0),
                    _ => Function::Clip(least, most).into(),
                })
            }
            "relu" => Some(rectified(
                self.number(9, &["max_value"]),
                self.number(9, &["negative_slope", "alpha"]).unwrap_or(0.0),
                self.number(9, &["threshold"]).unwrap_or(0.0),
            )),
            "leakyrelu" => Some(
                LeakyRelu {
                    negative_slope: self.number(1, &["negative_slope", "alpha"]).unwrap_or(0.2),
                }
                .into(),
            ),
            "softmax" => {
                let axis = self.integers(1, &["axis"]).unwrap_or(vec![-1]);
                Some(
                    Softmax {
                        axis: *axis.first()?,
                    }
                    .into(),
                )
            }
            // keras.ops approximates it by default.
            "gelu" => match self.argument(1, &["approximate"]) {
                Some(Value::Bool(false)) => activation(Activation::Gelu),
                _ => None,
            },
            "exp" => activation(Activation::Exponential),
            name => {
                let known = Activation::ALL.iter();
                let found = known.copied().find(|a| {
                    a.keras_name().replace('_', "") == name
                        || name == "silu" && *a == Activation::Swish
                })?;
                self.only(&["axis", "alpha"]).then_some(())?;
                let one = self.number(1, &["alpha"]).is_none_or(|alpha| alpha == 1.0);
                let last = self.integers(1, &["axis"]).is_none_or(|axis| axis == [-1]);
                (one && last).then(|| ActivationLayer { activation: found }.into())
            }
        }
    }

    /// A sum and the like, of two tensors or of a tensor and constants.
    fn binary(&self, merge: Merge) -> Option<LayerConfig> {
        let first = self.argument(0, &["x1", "x"])?;
        let second = self.argument(1, &["x2", "y"])?;
        let ones = || vec![1.0];
        match (constants(first), constants(second), merge) {
            (None, None, merge) => Some(merge.into()),
            (None, Some(c), Merge::Add) | (Some(c), None, Merge::Add) => Some(scaled(ones(), c)),
            (None, Some(c), Merge::Subtract) => {
                Some(scaled(ones(), c.iter().map(|c| -c).collect()))
            }
            (Some(c), None, Merge::Subtract) => Some(scaled(vec![-1.0], c)),
            (None, Some(c), Merge::Multiply) | (Some(c), None, Merge::Multiply) => {
                Some(scaled(c, vec![0.0]))
            }
            (None, Some(c), Merge::Maximum) | (Some(c), None, Merge::Maximum) => {
                (c == [0.0]).then(|| rectified(None, 0.0, 0.0))
            }
            _ => None,
        }
    }

    /// A tensor divided by constants.
    fn divided(&self) -> Option<LayerConfig> {
        let first = self.argument(0, &["x1", "x"])?;
        let second = constants(self.argument(1, &["x2", "y"])?)?;
        let sound = constants(first).is_none() && !second.contains(&0.0);
        sound.then(|| scaled(second.iter().map(|c| 1.0 / c).collect(), vec![0.0]))
    }

    fn reduced(&self, operation: Reduction) -> Option<LayerConfig> {
        let keepdims = self.argument(2, &["keepdims", "keep_dims"]);
        Some(
            Reduce {
                operation,
                axes: self.integers(1, &["axis"])?,
                keepdims: keepdims.and_then(Value::as_bool).unwrap_or(false),
            }
            .into(),
        )
    }

    /// Vectors along an axis divided by their norms, whose squares are at least `epsilon`.
    fn normalized(&self, epsilon: f32) -> Option<LayerConfig> {
        let axis = self.integers(1, &["axis"]).unwrap_or(vec![-1]);
        Some(UnitNormalization { axis, epsilon }.into())
    }

    fn slice(&self) -> Option<LayerConfig> {
        let all = |value: &Value| {
            let places = places(value);
            places
                == Some(Places::Range {
                    start: None,
                    stop: None,
                    step: 1,
                })
        };
        match self.argument(1, &["slice_spec", "key"])? {
            Value::Array(list) => match &list[..] {
                [batch, rest @ ..] if all(batch) => Some(
                    Slice {
                        places: rest.iter().map(places).collect::<Option<_>>()?,
                    }
                    .into(),
                ),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The places that an index or a slice names.
fn places(value: &Value) -> Option<Places> {
    let Value::Object(map) = value else {
        return integer(value).map(Places::At);
    };
    let parts = map.get("config").and_then(Value::as_object).unwrap_or(map);
    let number = |key: &str| match parts.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(value) => integer(value).map(Some),
    };
    if !parts.contains_key("start") && !parts.contains_key("stop") {
        return None;
    }
    let step = usize::try_from(number("step")?.unwrap_or(1))
        .ok()
        .filter(|&step| step > 0)?;
    Some(Places::Range {
        start: number("start")?,
        stop: number("stop")?,
        step,
    })
}

/// The numbers of a constant: one, or one for each place of the last axis.
fn constants(value: &Value) -> Option<Vec<f64>> {
    if has_tensor(value) {
        return None;
    }
    let mut inner = value;
    while let Some([one @ Value::Array(_)]) = inner.as_array().map(Vec::as_slice) {
        inner = one;
    }
    let mut found = Vec::new();
    let flat = inner
        .as_array()
        .is_none_or(|list| list.iter().all(|v| !v.is_array()));
    (flat && flatten(inner, &mut found)).then_some(found)
}

fn scaled(scale: Vec<f64>, offset: Vec<f64>) -> LayerConfig {
    Rescaling { scale, offset }.into()
}

fn rectified(max_value: Option<f64>, negative_slope: f64, threshold: f64) -> LayerConfig {
    Relu {
        max_value,
        negative_slope,
        threshold,
    }
    .into()
}
