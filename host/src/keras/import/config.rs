//! From a layer's JSON configuration, in the dialect of Keras 2 or Keras 3, to [`LayerConfig`].
//!
//! An argument that the file lacks has Keras's default: older versions do not write newer arguments.
//! A layer with an argument that [`LayerConfig`] cannot hold (such as a recurrent layer that returns
//! its state) becomes [`LayerConfig::Unknown`]: it can be listed, but nobody will run it wrongly.

use serde_json::{Map, Value};

use super::error::Problem;
use super::graph;
use crate::keras::model::{
    Activation, Conv, DataFormat, LayerConfig, Padding, Penalties, Penalty, PoolKind,
};

/// Whose class a layer is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A layer of Keras.
    Keras,
    /// A layer of keras_spiking.
    KerasSpiking,
    /// Any other.
    Other,
}

/// The class of an object in the configuration.
#[derive(Debug)]
pub(super) struct Class {
    /// The class itself, without a package.
    pub(super) base: String,
    /// The class as it is shown: with its package where it is not Keras's own.
    pub(super) shown: String,
    /// Whose class it is.
    pub(super) origin: Origin,
}

/// What class an object `{"class_name": ..., "module": ..., "registered_name": ...}` has.
pub(super) fn class_of(entry: &Map<String, Value>) -> Result<Class, Problem> {
    let text = |key| entry.get(key).and_then(Value::as_str);
    let name = text("class_name").ok_or_else(|| {
        Problem::model("a layer has no class_name; write it again with model.save()")
    })?;
    let registered = text("registered_name").filter(|n| n.contains('>'));
    let (package, base) = match registered.unwrap_or(name).rsplit_once('>') {
        Some((package, base)) => (Some(package), base),
        None => (text("module"), name),
    };
    let origin = match package {
        None if is_function(entry) => Origin::Other,
        None if ["SpikingActivation", "Lowpass", "Alpha"].contains(&base) => Origin::KerasSpiking,
        None => Origin::Keras,
        Some(p) if is_keras(p) => Origin::Keras,
        Some(p)
            if p.to_lowercase()
                .replace(['-', '_'], "")
                .starts_with("kerasspiking") =>
        {
            Origin::KerasSpiking
        }
        Some(_) => Origin::Other,
    };
    let shown = match (origin, package) {
        (Origin::Keras, _) => base.to_owned(),
        (Origin::KerasSpiking, _) => format!("keras_spiking.{base}"),
        (Origin::Other, None) => format!("{FUNCTIONS}.{base}"),
        (Origin::Other, Some(p)) if p.starts_with("keras.src.ops") => format!("{FUNCTIONS}.{base}"),
        (Origin::Other, Some(package)) => format!("{package}.{base}"),
    };
    Ok(Class {
        base: base.to_owned(),
        shown,
        origin,
    })
}

/// The module of Keras 3's functions, which may stand among the layers: `x + y` is one.
pub(super) const FUNCTIONS: &str = "keras.ops";

/// Keras 3's functions have no `trainable` and no `dtype`; its HDF5 files do not tell the module.
fn is_function(entry: &Map<String, Value>) -> bool {
    let keras3 = (entry.get("inbound_nodes"))
        .and_then(|nodes| nodes.get(0))
        .is_some_and(|node| node.get("args").is_some());
    let config = entry.get("config").and_then(Value::as_object);
    keras3
        && config.is_some_and(|c| {
            ["trainable", "dtype", "layers"]
                .iter()
                .all(|k| !c.contains_key(*k))
        })
}

/// Whether a module holds Keras's layers and models. Those of `keras.src.ops` are functions.
fn is_keras(module: &str) -> bool {
    let inner = module
        .strip_prefix("tensorflow.python.")
        .or_else(|| module.strip_prefix("tensorflow."))
        .unwrap_or(module);
    let Some(inner) = inner
        .strip_prefix("tf_keras")
        .or_else(|| inner.strip_prefix("keras"))
    else {
        return false;
    };
    let inner = inner.strip_prefix(".src").unwrap_or(inner);
    inner.is_empty()
        || ["layers", "models", "engine"].iter().any(|part| {
            inner
                .strip_prefix('.')
                .and_then(|i| i.strip_prefix(part))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
}

/// The arguments of one layer, and its name for messages.
struct Args<'a> {
    layer: &'a str,
    class: &'a str,
    map: &'a Map<String, Value>,
}

/// A JSON value, shortened for a message.
pub(super) fn shorten(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > 80 {
        let end = (0..=77).rev().find(|&i| text.is_char_boundary(i));
        text.truncate(end.unwrap_or(0));
        text.push_str("...");
    }
    text
}

impl<'a> Args<'a> {
    fn refuse(&self, reason: String) -> Problem {
        Problem::Layer {
            layer: self.layer.to_owned(),
            class: self.class.to_owned(),
            reason,
        }
    }

    fn wrong(&self, key: &str, expected: &str) -> Problem {
        match self.map.get(key) {
            Some(found) => self.refuse(format!(
                "argument \"{key}\" is {}, expected {expected}",
                shorten(found)
            )),
            None => self.refuse(format!(
                "argument \"{key}\" is missing, expected {expected}"
            )),
        }
    }

    /// The argument, unless it is missing or null.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    fn size(&self, key: &str) -> Result<usize, Problem> {
        (self.get(key).and_then(length))
            .filter(|&n| n > 0)
            .ok_or_else(|| self.wrong(key, "a positive integer"))
    }

    fn size_or(&self, key: &str, default: usize) -> Result<usize, Problem> {
        self.get(key).map_or(Ok(default), |_| self.size(key))
    }

    /// `rank` positive integers; one integer stands for all.
    fn sizes(&self, key: &str, rank: usize) -> Result<Vec<usize>, Problem> {
        let found = match self.get(key) {
            Some(Value::Array(list)) => list.iter().map(length).collect::<Option<Vec<_>>>(),
            Some(one) => length(one).map(|n| vec![n; rank]),
            None => None,
        };
        found
            .filter(|l| l.len() == rank && !l.contains(&0))
            .ok_or_else(|| self.wrong(key, &format!("{rank} positive integers")))
    }

    fn sizes_or(&self, key: &str, default: &[usize]) -> Result<Vec<usize>, Problem> {
        self.get(key)
            .map_or_else(|| Ok(default.to_vec()), |_| self.sizes(key, default.len()))
    }

    /// A pair (before, after) for each of `rank` axes; an integer stands for an equal pair.
    fn pairs(&self, key: &str, rank: usize) -> Result<Vec<(usize, usize)>, Problem> {
        let pair = |v: &Value| match v {
            Value::Array(list) => match &list[..] {
                [a, b] => Some((length(a)?, length(b)?)),
                _ => None,
            },
            one => length(one).map(|n| (n, n)),
        };
        let found = match self.get(key) {
            // For one axis Keras writes the pair alone.
            Some(list @ Value::Array(_)) if rank == 1 => {
                let inner = match list.as_array().map(Vec::as_slice) {
                    Some([inner @ Value::Array(_)]) => inner,
                    _ => list,
                };
                pair(inner).map(|p| vec![p])
            }
            Some(Value::Array(list)) => list.iter().map(pair).collect(),
            Some(one) => pair(one).map(|p| vec![p; rank]),
            None => None,
        };
        found.filter(|l| l.len() == rank).ok_or_else(|| {
            self.wrong(
                key,
                &format!("{rank} pairs of integers that are not negative"),
            )
        })
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, Problem> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(b)) => Ok(*b),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    fn number(&self, key: &str, default: f64) -> Result<f64, Problem> {
        Ok(self.number_or_none(key)?.unwrap_or(default))
    }

    fn number_or_none(&self, key: &str) -> Result<Option<f64>, Problem> {
        self.get(key)
            .map(|v| {
                plain(v)
                    .as_f64()
                    .filter(|x| x.is_finite())
                    .ok_or_else(|| self.wrong(key, "a number"))
            })
            .transpose()
    }

    /// A number, or a list of them.
    fn numbers(&self, key: &str, default: f64) -> Result<Vec<f64>, Problem> {
        let Some(value) = self.get(key) else {
            return Ok(vec![default]);
        };
        let found: Option<Vec<f64>> = match plain(value) {
            Value::Array(list) => list.iter().map(Value::as_f64).collect(),
            one => one.as_f64().map(|x| vec![x]),
        };
        found.ok_or_else(|| self.wrong(key, "a number or a list of numbers"))
    }

    fn integer(&self, key: &str, default: isize) -> Result<isize, Problem> {
        match self.get(key) {
            None => Ok(default),
            Some(v) => integer(v).ok_or_else(|| self.wrong(key, "an integer")),
        }
    }

    /// An integer, or a list of them.
    fn integers(&self, key: &str, default: &[isize]) -> Result<Vec<isize>, Problem> {
        let found = match self.get(key) {
            None => return Ok(default.to_vec()),
            Some(Value::Array(list)) => list.iter().map(integer).collect::<Option<Vec<_>>>(),
            Some(one) => integer(one).map(|i| vec![i]),
        };
        found.ok_or_else(|| self.wrong(key, "integers"))
    }

    fn text(&self, key: &str, default: &str) -> Result<String, Problem> {
        match self.get(key) {
            None => Ok(default.to_owned()),
            Some(Value::String(s)) => Ok(s.clone()),
            Some(_) => Err(self.wrong(key, "a text")),
        }
    }

    fn data_format(&self) -> Result<DataFormat, Problem> {
        match self.text("data_format", "channels_last")?.as_str() {
            "channels_last" => Ok(DataFormat::ChannelsLast),
            "channels_first" => Ok(DataFormat::ChannelsFirst),
            _ => Err(self.wrong("data_format", "\"channels_last\" or \"channels_first\"")),
        }
    }

    fn padding(&self) -> Result<Padding, Problem> {
        match self.text("padding", "valid")?.to_lowercase().as_str() {
            "valid" => Ok(Padding::Valid),
            "same" => Ok(Padding::Same),
            "causal" => Ok(Padding::Causal),
            _ => Err(self.wrong("padding", "\"valid\", \"same\" or \"causal\"")),
        }
    }

    /// The activation function; nothing where it is none of Keras's.
    fn activation(&self, key: &str, default: Activation) -> Result<Option<Activation>, Problem> {
        match self.get(key) {
            // Keras 2 and 3 both read null as the linear function.
            None if self.map.contains_key(key) => Ok(Some(Activation::Linear)),
            None => Ok(Some(default)),
            Some(value) => match activation(value) {
                Some(found) => Ok(found),
                None => Err(self.wrong(key, "the name of an activation function")),
            },
        }
    }

    fn penalty(&self, key: &str) -> Result<Option<Penalty>, Problem> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let module = if key.ends_with("constraint") {
            "keras.constraints"
        } else {
            "keras.regularizers"
        };
        match value {
            Value::String(name) => Ok(Some(Penalty {
                class: format!("{module}.{}", penalty_class(name)),
                config: Value::Object(Map::new()),
            })),
            Value::Object(entry) => {
                let class =
                    class_of(entry).map_err(|_| self.wrong(key, "an object with a class_name"))?;
                let package = match (class.origin, entry.get("module").and_then(Value::as_str)) {
                    (Origin::Other, Some(m)) if m != module => class.shown,
                    (Origin::Other, None) => class.shown,
                    _ => format!("{module}.{}", penalty_class(&class.base)),
                };
                Ok(Some(Penalty {
                    class: package,
                    config: entry.get("config").cloned().unwrap_or(Value::Null),
                }))
            }
            _ => Err(self.wrong(key, "null or an object with a class_name")),
        }
    }

    /// The penalties; `prefix` is `kernel`, or `depthwise` for a depthwise convolution.
    fn penalties(&self, prefix: &str) -> Result<Penalties, Problem> {
        Ok(Penalties {
            kernel_regularizer: self.penalty(&format!("{prefix}_regularizer"))?,
            bias_regularizer: self.penalty("bias_regularizer")?,
            activity_regularizer: self.penalty("activity_regularizer")?,
            kernel_constraint: self.penalty(&format!("{prefix}_constraint"))?,
            bias_constraint: self.penalty("bias_constraint")?,
        })
    }

    /// The arguments of a convolution; nothing where its activation is none of Keras's.
    fn conv(&self, rank: usize, filters: usize, prefix: &str) -> Result<Option<Conv>, Problem> {
        let Some(activation) = self.activation("activation", Activation::Linear)? else {
            return Ok(None);
        };
        let groups = self.size_or("groups", 1)?;
        if !filters.is_multiple_of(groups) {
            return Err(self.refuse(format!(
                "its {filters} filters cannot be split into {groups} groups"
            )));
        }
        Ok(Some(Conv {
            rank,
            filters,
            kernel_size: self.sizes("kernel_size", rank)?,
            strides: self.sizes_or("strides", &vec![1; rank])?,
            padding: self.padding()?,
            data_format: self.data_format()?,
            dilation_rate: self.sizes_or("dilation_rate", &vec![1; rank])?,
            groups,
            use_bias: self.flag("use_bias", true)?,
            activation,
            penalties: self.penalties(prefix)?,
        }))
    }

    /// Whether an argument is set to something that is not `false`.
    fn set(&self, key: &str) -> bool {
        self.get(key).is_some_and(|v| *v != Value::Bool(false))
    }
}

/// Keras 2 writes some classes in two spellings.
fn penalty_class(name: &str) -> &str {
    match name {
        "l1" => "L1",
        "l2" => "L2",
        "l1_l2" | "L1_L2" => "L1L2",
        other => other,
    }
}

fn length(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

fn integer(value: &Value) -> Option<isize> {
    isize::try_from(value.as_i64()?).ok()
}

/// The number in `{"class_name": "__numpy__", "config": {"value": number}}`, or the value itself.
fn plain(value: &Value) -> &Value {
    let inner = value
        .get("config")
        .and_then(|c| c.get("value"))
        .or_else(|| value.get("value"));
    inner.unwrap_or(value)
}

/// An activation given by name, as a serialized function, or as a serialized layer: nothing where
/// the value is nothing of these, `Some(None)` for a function that is not Keras's.
fn activation(value: &Value) -> Option<Option<Activation>> {
    let entry = match value {
        Value::String(name) => return Some(by_name(name)),
        Value::Object(entry) => entry,
        _ => return None,
    };
    let class = entry.get("class_name")?.as_str()?;
    let config = entry.get("config");
    if class == "function" {
        // Keras 3: {"module": "builtins", "class_name": "function", "config": "relu",
        // "registered_name": "function"}; a function of the user has its own module.
        let own = entry
            .get("module")
            .and_then(Value::as_str)
            .is_none_or(|m| m == "builtins" || m.starts_with("keras"));
        let name = config?.as_str()?;
        return Some(if own { by_name(name) } else { None });
    }
    let number = |key: &str, default: f64| -> f64 {
        config
            .and_then(|c| c.get(key))
            .map_or(Some(default), |v| plain(v).as_f64())
            .unwrap_or(f64::NAN)
    };
    let base = class.rsplit('>').next().unwrap_or(class);
    Some(match base {
        "Activation" => return activation(config?.get("activation")?),
        // As layers, these have arguments; only their defaults are what the name alone means.
        "ReLU" => {
            let plain_relu =
                number("negative_slope", 0.0) == 0.0 && number("threshold", 0.0) == 0.0;
            let max = config
                .and_then(|c| c.get("max_value"))
                .filter(|v| !v.is_null())
                .map(|v| plain(v).as_f64());
            match max {
                None if plain_relu => Some(Activation::Relu),
                Some(Some(6.0)) if plain_relu => Some(Activation::Relu6),
                _ => None,
            }
        }
        "Softmax" => (number("axis", -1.0) == -1.0).then_some(Activation::Softmax),
        "ELU" => (number("alpha", 1.0) == 1.0).then_some(Activation::Elu),
        // A layer's default slope (0.3) is not the function's (0.2).
        "LeakyReLU" => {
            let key = if config.is_some_and(|c| c.get("alpha").is_some()) {
                "alpha"
            } else {
                "negative_slope"
            };
            ((number(key, 0.3) - 0.2).abs() < 1e-6).then_some(Activation::LeakyRelu)
        }
        other => by_name(other),
    })
}

/// A function by the names that Keras 2 and 3 have for it.
fn by_name(name: &str) -> Option<Activation> {
    Some(match name.rsplit('>').next().unwrap_or(name) {
        "linear" => Activation::Linear,
        "relu" => Activation::Relu,
        "sigmoid" => Activation::Sigmoid,
        "tanh" => Activation::Tanh,
        "softmax" | "softmax_v2" => Activation::Softmax,
        "elu" => Activation::Elu,
        "selu" => Activation::Selu,
        "relu6" => Activation::Relu6,
        "softplus" => Activation::Softplus,
        "softsign" => Activation::Softsign,
        "swish" | "silu" => Activation::Swish,
        "gelu" => Activation::Gelu,
        "exponential" => Activation::Exponential,
        "hard_sigmoid" => Activation::HardSigmoid,
        "leaky_relu" => Activation::LeakyRelu,
        "mish" => Activation::Mish,
        "log_softmax" => Activation::LogSoftmax,
        _ => return None,
    })
}

/// The rank in the name of a class such as `Conv2D`, between `before` and `after`.
fn rank_in(base: &str, before: &str, after: &str) -> Option<usize> {
    match base.strip_prefix(before)?.strip_suffix(after)? {
        "1D" => Some(1),
        "2D" => Some(2),
        "3D" => Some(3),
        _ => None,
    }
}

/// What a layer of `class` with the arguments `map` does.
///
/// # Errors
/// If an argument of a known class is not of the kind that Keras writes.
pub(super) fn layer_config(
    layer: &str,
    class: &Class,
    map: &Map<String, Value>,
    depth: usize,
) -> Result<LayerConfig, Problem> {
    let args = Args {
        layer,
        class: &class.shown,
        map,
    };
    let known = match class.origin {
        Origin::Keras => keras_layer(&args, &class.base, depth)?,
        Origin::KerasSpiking => spiking_layer(&args, &class.base)?,
        Origin::Other => None,
    };
    Ok(known.unwrap_or_else(|| LayerConfig::Unknown {
        config: Value::Object(map.clone()),
    }))
}

fn spiking_layer(args: &Args<'_>, base: &str) -> Result<Option<LayerConfig>, Problem> {
    if ["return_state", "stateful", "time_major"]
        .iter()
        .any(|k| args.set(k))
    {
        return Ok(None);
    }
    let dt = args.number("dt", 0.001)?;
    let return_sequences = args.flag("return_sequences", true)?;
    let tau = || match args.get("tau_initializer") {
        // Keras makes an initializer object of the number that the user gave.
        Some(v) => {
            let inner = v.get("config").and_then(|c| c.get("value")).unwrap_or(v);
            (inner.as_f64().filter(|x| x.is_finite()))
                .ok_or_else(|| args.wrong("tau_initializer", "a number"))
        }
        None => Err(args.wrong("tau_initializer", "a number")),
    };
    Ok(match base {
        "SpikingActivation" => args
            .activation("activation", Activation::Linear)?
            .map(|activation| -> Result<_, Problem> {
                Ok(LayerConfig::SpikingActivation {
                    activation,
                    dt,
                    seed: args.get("seed").and_then(Value::as_u64),
                    spiking_aware_training: args.flag("spiking_aware_training", true)?,
                    return_sequences,
                })
            })
            .transpose()?,
        "Lowpass" => Some(LayerConfig::Lowpass {
            tau_initializer: tau()?,
            dt,
            return_sequences,
        }),
        "Alpha" => Some(LayerConfig::Alpha {
            tau_initializer: tau()?,
            dt,
            return_sequences,
        }),
        _ => None,
    })
}

fn windowed_layer(args: &Args<'_>, base: &str) -> Result<Option<LayerConfig>, Problem> {
    if let Some(rank) = rank_in(base, "Conv", "").or_else(|| rank_in(base, "Convolution", "")) {
        let conv = args.conv(rank, args.size("filters")?, "kernel")?;
        return Ok(conv.map(LayerConfig::Conv));
    }
    if let Some(rank) = rank_in(base, "Conv", "Transpose") {
        if args.get("output_padding").is_some() {
            return Ok(None);
        }
        let conv = args.conv(rank, args.size("filters")?, "kernel")?;
        return Ok(conv.map(LayerConfig::ConvTranspose));
    }
    if let Some(rank) = rank_in(base, "DepthwiseConv", "") {
        // A depthwise convolution has no filters of its own: a group for each input channel.
        let conv = args.conv(rank, 0, "depthwise")?;
        let depth_multiplier = args.size_or("depth_multiplier", 1)?;
        return Ok(conv.map(|conv| LayerConfig::DepthwiseConv {
            conv: Conv { groups: 1, ..conv },
            depth_multiplier,
        }));
    }
    if let Some(rank) = rank_in(base, "SeparableConv", "") {
        let conv = args.conv(rank, args.size("filters")?, "depthwise")?;
        let depth_multiplier = args.size_or("depth_multiplier", 1)?;
        return Ok(conv.map(|conv| LayerConfig::SeparableConv {
            conv: Conv { groups: 1, ..conv },
            depth_multiplier,
        }));
    }
    for (name, kind) in [("Average", PoolKind::Average), ("Max", PoolKind::Max)] {
        if let Some(rank) = rank_in(base, &format!("Global{name}Pooling"), "") {
            return Ok(Some(LayerConfig::GlobalPool {
                kind,
                rank,
                data_format: args.data_format()?,
                keepdims: args.flag("keepdims", false)?,
            }));
        }
        if let Some(rank) = rank_in(base, &format!("{name}Pooling"), "") {
            let pool_size = args.sizes_or("pool_size", &vec![2; rank])?;
            return Ok(Some(LayerConfig::Pool {
                kind,
                rank,
                strides: args.sizes_or("strides", &pool_size)?,
                pool_size,
                padding: args.padding()?,
                data_format: args.data_format()?,
            }));
        }
    }
    if let Some(rank) = rank_in(base, "UpSampling", "") {
        return Ok(Some(LayerConfig::UpSampling {
            rank,
            size: args.sizes_or("size", &vec![2; rank])?,
            data_format: args.data_format()?,
            interpolation: args.text("interpolation", "nearest")?,
        }));
    }
    if let Some(rank) = rank_in(base, "ZeroPadding", "") {
        return Ok(Some(LayerConfig::ZeroPadding {
            rank,
            padding: args.pairs("padding", rank)?,
            data_format: args.data_format()?,
        }));
    }
    if let Some(rank) = rank_in(base, "Cropping", "") {
        return Ok(Some(LayerConfig::Cropping {
            rank,
            cropping: args.pairs("cropping", rank)?,
            data_format: args.data_format()?,
        }));
    }
    Ok(None)
}

fn recurrent_layer(args: &Args<'_>, base: &str) -> Result<Option<LayerConfig>, Problem> {
    if !["SimpleRNN", "GRU", "LSTM"].contains(&base)
        || ["return_state", "stateful", "time_major"]
            .iter()
            .any(|k| args.set(k))
    {
        return Ok(None);
    }
    let units = args.size("units")?;
    let use_bias = args.flag("use_bias", true)?;
    let return_sequences = args.flag("return_sequences", false)?;
    let go_backwards = args.flag("go_backwards", false)?;
    let activation = args.activation("activation", Activation::Tanh)?;
    let inner = args.activation("recurrent_activation", Activation::Sigmoid)?;
    let (Some(activation), Some(recurrent_activation)) = (activation, inner) else {
        return Ok(None);
    };
    Ok(match base {
        "SimpleRNN" => Some(LayerConfig::SimpleRnn {
            units,
            activation,
            use_bias,
            return_sequences,
            go_backwards,
        }),
        "GRU" => Some(LayerConfig::Gru {
            units,
            activation,
            recurrent_activation,
            use_bias,
            reset_after: args.flag("reset_after", true)?,
            return_sequences,
            go_backwards,
        }),
        _ => Some(LayerConfig::Lstm {
            units,
            activation,
            recurrent_activation,
            use_bias,
            return_sequences,
            go_backwards,
        }),
    })
}

fn keras_layer(args: &Args<'_>, base: &str, depth: usize) -> Result<Option<LayerConfig>, Problem> {
    if let Some(found) = windowed_layer(args, base)? {
        return Ok(Some(found));
    }
    if let Some(found) = recurrent_layer(args, base)? {
        return Ok(Some(found));
    }
    Ok(Some(match base {
        "Functional" | "Model" | "Sequential" => LayerConfig::Model(Box::new(graph::model(
            args.map,
            base == "Sequential",
            depth + 1,
        )?)),
        "InputLayer" => LayerConfig::Input {
            shape: input_shape(args.map).ok_or_else(|| {
                let older = args.get("batch_input_shape").is_some();
                let key = if older {
                    "batch_input_shape"
                } else {
                    "batch_shape"
                };
                args.wrong(key, "an input's shape, such as [null, 28, 28, 1]")
            })?,
        },
        "Dense" => {
            let Some(activation) = args.activation("activation", Activation::Linear)? else {
                return Ok(None);
            };
            LayerConfig::Dense {
                units: args.size("units")?,
                use_bias: args.flag("use_bias", true)?,
                activation,
                penalties: args.penalties("kernel")?,
            }
        }
        "Activation" => {
            let Some(activation) = args.activation("activation", Activation::Linear)? else {
                return Ok(None);
            };
            LayerConfig::Activation { activation }
        }
        "ReLU" => LayerConfig::Relu {
            max_value: args.number_or_none("max_value")?,
            negative_slope: args.number("negative_slope", 0.0)?,
            threshold: args.number("threshold", 0.0)?,
        },
        "LeakyReLU" => LayerConfig::LeakyRelu {
            negative_slope: match args.number_or_none("negative_slope")? {
                Some(slope) => slope,
                None => args.number("alpha", 0.3)?,
            },
        },
        "PReLU" => LayerConfig::PRelu {
            shared_axes: match args.get("shared_axes") {
                None => Vec::new(),
                Some(Value::Array(list)) => (list.iter().map(length).collect::<Option<_>>())
                    .ok_or_else(|| args.wrong("shared_axes", "axes, counted from 1"))?,
                Some(_) => args.sizes("shared_axes", 1)?,
            },
        },
        "ELU" => LayerConfig::Elu {
            alpha: args.number("alpha", 1.0)?,
        },
        "Softmax" => match args.integers("axis", &[-1])?[..] {
            [axis] => LayerConfig::Softmax { axis },
            _ => return Ok(None),
        },
        "Add" => LayerConfig::Add,
        "Average" => LayerConfig::Average,
        "Subtract" => LayerConfig::Subtract,
        "Multiply" => LayerConfig::Multiply,
        "Maximum" => LayerConfig::Maximum,
        "Minimum" => LayerConfig::Minimum,
        "Concatenate" => LayerConfig::Concatenate {
            axis: args.integer("axis", -1)?,
        },
        "Flatten" => LayerConfig::Flatten {
            data_format: args.data_format()?,
        },
        "Reshape" => LayerConfig::Reshape {
            // Keras writes null for an axis of unknown length that it was given.
            target_shape: match args.get("target_shape") {
                Some(Value::Array(list)) => (list.iter())
                    .map(|d| if d.is_null() { Some(-1) } else { integer(d) })
                    .collect::<Option<_>>(),
                _ => None,
            }
            .ok_or_else(|| args.wrong("target_shape", "a list of integers"))?,
        },
        "Permute" => match args.get("dims") {
            Some(Value::Array(list)) => LayerConfig::Permute {
                dims: (list.iter().map(length).collect::<Option<Vec<_>>>())
                    .filter(|dims| !dims.contains(&0))
                    .ok_or_else(|| args.wrong("dims", "axes, counted from 1"))?,
            },
            _ => return Err(args.wrong("dims", "axes, counted from 1")),
        },
        "RepeatVector" => LayerConfig::RepeatVector { n: args.size("n")? },
        "BatchNormalization" => match args.integers("axis", &[-1])?[..] {
            [axis] => LayerConfig::BatchNormalization {
                axis,
                epsilon: args.number("epsilon", 1e-3)?,
                center: args.flag("center", true)?,
                scale: args.flag("scale", true)?,
            },
            _ => return Ok(None),
        },
        "LayerNormalization" if !args.set("rms_scaling") => LayerConfig::LayerNormalization {
            axis: args.integers("axis", &[-1])?,
            epsilon: args.number("epsilon", 1e-3)?,
            center: args.flag("center", true)?,
            scale: args.flag("scale", true)?,
        },
        "Rescaling" => LayerConfig::Rescaling {
            scale: args.numbers("scale", 1.0)?,
            offset: args.numbers("offset", 0.0)?,
        },
        "Dropout" => LayerConfig::Dropout {
            rate: args.number("rate", 0.0)?,
        },
        "GaussianNoise"
        | "GaussianDropout"
        | "AlphaDropout"
        | "SpatialDropout1D"
        | "SpatialDropout2D"
        | "SpatialDropout3D"
        | "ActivityRegularization" => LayerConfig::Noise,
        "Embedding" => LayerConfig::Embedding {
            input_dim: args.size("input_dim")?,
            output_dim: args.size("output_dim")?,
        },
        "TimeDistributed" => match args.get("layer") {
            Some(Value::Object(inner)) => LayerConfig::TimeDistributed {
                layer: Box::new(graph::layer(inner, depth + 1)?),
            },
            _ => return Err(args.wrong("layer", "a layer")),
        },
        _ => return Ok(None),
    }))
}

/// The shape of an input, without the batch axis, from `batch_shape` or `batch_input_shape`.
pub(super) fn input_shape(map: &Map<String, Value>) -> Option<Vec<Option<usize>>> {
    let batched = ["batch_shape", "batch_input_shape"]
        .iter()
        .find_map(|key| map.get(*key).filter(|v| !v.is_null()))?;
    unbatched(batched)
}

/// A shape with its batch axis, as `[null, 28, 28, 1]`, without it. Version 3 of Keras's format may
/// write it as `{"class_name": "__tuple__", "items": [...]}`.
pub(super) fn unbatched(batched: &Value) -> Option<Vec<Option<usize>>> {
    let list = batched
        .as_array()
        .or_else(|| batched.get("items")?.as_array())?;
    let (_, rest) = list.split_first()?;
    rest.iter()
        .map(|d| {
            if d.is_null() {
                Some(None)
            } else {
                length(d).map(Some)
            }
        })
        .collect()
}
