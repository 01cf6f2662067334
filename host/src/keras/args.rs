//! The arguments of a layer in a model's JSON configuration, in the dialects of Keras 2 and Keras 3.
//!
//! An argument that the file lacks has Keras's default: older versions do not write newer arguments.

use serde_json::{Map, Value};

use super::activation::{Activation, Parameter};
use super::class::{Class, Origin, class_of};
use super::dialect::Dialect;
use super::penalty::{Penalties, Penalty};
use super::shape::{DataFormat, Shape};
use crate::ops::Padding;

/// The arguments of one layer. Errors are reasons: the caller names the layer.
pub(crate) struct Args<'a> {
    map: &'a Map<String, Value>,
    /// The Keras that wrote them.
    pub(crate) dialect: Dialect,
}

/// A JSON value, shortened for a message.
pub(crate) fn shorten(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > 80 {
        let end = (0..=77).rev().find(|&i| text.is_char_boundary(i));
        text.truncate(end.unwrap_or(0));
        text.push_str("...");
    }
    text
}

impl<'a> Args<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>, dialect: Dialect) -> Self {
        Self { map, dialect }
    }

    pub(crate) fn map(&self) -> &'a Map<String, Value> {
        self.map
    }

    pub(crate) fn wrong(&self, key: &str, expected: &str) -> String {
        match self.map.get(key) {
            Some(found) => format!(
                "argument \"{key}\" is {}, expected {expected}",
                shorten(found)
            ),
            None => format!("argument \"{key}\" is missing, expected {expected}"),
        }
    }

    /// The argument, unless it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    pub(crate) fn size(&self, key: &str) -> Result<usize, String> {
        (self.get(key).and_then(length))
            .filter(|&n| n > 0)
            .ok_or_else(|| self.wrong(key, "a positive integer"))
    }

    pub(crate) fn size_or(&self, key: &str, default: usize) -> Result<usize, String> {
        self.get(key).map_or(Ok(default), |_| self.size(key))
    }

    /// `rank` positive integers; one integer stands for all.
    pub(crate) fn sizes(&self, key: &str, rank: usize) -> Result<Vec<usize>, String> {
        let found = match self.get(key) {
            Some(Value::Array(list)) => list.iter().map(length).collect::<Option<Vec<_>>>(),
            Some(one) => length(one).map(|n| vec![n; rank]),
            None => None,
        };
        found
            .filter(|l| l.len() == rank && !l.contains(&0))
            .ok_or_else(|| self.wrong(key, &format!("{rank} positive integers")))
    }

    pub(crate) fn sizes_or(&self, key: &str, default: &[usize]) -> Result<Vec<usize>, String> {
        self.get(key)
            .map_or_else(|| Ok(default.to_vec()), |_| self.sizes(key, default.len()))
    }

    /// `rank` integers that are not negative; one integer stands for all.
    pub(crate) fn lengths(&self, key: &str, rank: usize) -> Result<Vec<usize>, String> {
        let found = match self.get(key) {
            Some(Value::Array(list)) => list.iter().map(length).collect::<Option<Vec<_>>>(),
            Some(one) => length(one).map(|n| vec![n; rank]),
            None => None,
        };
        (found.filter(|l| l.len() == rank))
            .ok_or_else(|| self.wrong(key, &format!("{rank} integers that are not negative")))
    }

    /// A pair (before, after) for each of `rank` axes; an integer stands for an equal pair.
    pub(crate) fn pairs(&self, key: &str, rank: usize) -> Result<Vec<(usize, usize)>, String> {
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

    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => truth(value).ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    pub(crate) fn number(&self, key: &str, default: f64) -> Result<f64, String> {
        Ok(self.number_or_none(key)?.unwrap_or(default))
    }

    pub(crate) fn number_or_none(&self, key: &str) -> Result<Option<f64>, String> {
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
    pub(crate) fn numbers(&self, key: &str, default: f64) -> Result<Vec<f64>, String> {
        let Some(value) = self.get(key) else {
            return Ok(vec![default]);
        };
        let found: Option<Vec<f64>> = match plain(value) {
            Value::Array(list) => list.iter().map(Value::as_f64).collect(),
            one => one.as_f64().map(|x| vec![x]),
        };
        found.ok_or_else(|| self.wrong(key, "a number or a list of numbers"))
    }

    /// The numbers in a number or in lists of any depth.
    pub(crate) fn flat_numbers(&self, key: &str) -> Result<Vec<f64>, String> {
        let mut found = Vec::new();
        match self.get(key) {
            Some(value) if flatten(plain(value), &mut found) => Ok(found),
            _ => Err(self.wrong(key, "numbers")),
        }
    }

    pub(crate) fn integer(&self, key: &str, default: isize) -> Result<isize, String> {
        match self.get(key) {
            None => Ok(default),
            Some(v) => integer(v).ok_or_else(|| self.wrong(key, "an integer")),
        }
    }

    /// An integer, or a list of them.
    pub(crate) fn integers(&self, key: &str, default: &[isize]) -> Result<Vec<isize>, String> {
        let found = match self.get(key) {
            None => return Ok(default.to_vec()),
            Some(Value::Array(list)) => list.iter().map(integer).collect::<Option<Vec<_>>>(),
            Some(one) => integer(one).map(|i| vec![i]),
        };
        found.ok_or_else(|| self.wrong(key, "integers"))
    }

    pub(crate) fn text(&self, key: &str, default: &str) -> Result<String, String> {
        match self.get(key) {
            None => Ok(default.to_owned()),
            Some(Value::String(s)) => Ok(s.clone()),
            Some(_) => Err(self.wrong(key, "a text")),
        }
    }

    pub(crate) fn data_format(&self) -> Result<DataFormat, String> {
        match self.text("data_format", "channels_last")?.as_str() {
            "channels_last" => Ok(DataFormat::ChannelsLast),
            "channels_first" => Ok(DataFormat::ChannelsFirst),
            _ => Err(self.wrong("data_format", "\"channels_last\" or \"channels_first\"")),
        }
    }

    pub(crate) fn padding(&self) -> Result<Padding, String> {
        match self.text("padding", "valid")?.to_lowercase().as_str() {
            "valid" => Ok(Padding::Valid),
            "same" => Ok(Padding::Same),
            "causal" => Ok(Padding::Causal),
            _ => Err(self.wrong("padding", "\"valid\", \"same\" or \"causal\"")),
        }
    }

    /// The activation function; nothing if it is none of Keras's.
    pub(crate) fn activation(
        &self,
        key: &str,
        default: Activation,
    ) -> Result<Option<Activation>, String> {
        match self.get(key) {
            // Keras 2 and 3 both read null as the linear function.
            None if self.map.contains_key(key) => Ok(Some(Activation::Linear)),
            None => Ok(Some(default)),
            Some(value) => match activation(value, self.dialect) {
                Some(found) => Ok(found),
                None => Err(self.wrong(key, "the name of an activation function")),
            },
        }
    }

    pub(crate) fn penalty(&self, key: &str) -> Result<Option<Penalty>, String> {
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
                let class = class_of(entry)
                    .ok_or_else(|| self.wrong(key, "an object with a class_name"))?;
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
    pub(crate) fn penalties(&self, prefix: &str) -> Result<Penalties, String> {
        Ok(Penalties {
            kernel_regularizer: self.penalty(&format!("{prefix}_regularizer"))?,
            bias_regularizer: self.penalty("bias_regularizer")?,
            activity_regularizer: self.penalty("activity_regularizer")?,
            kernel_constraint: self.penalty(&format!("{prefix}_constraint"))?,
            bias_constraint: self.penalty("bias_constraint")?,
        })
    }

    /// `true` if a recurrent layer hands on its state, or has the batch on another axis than the first.
    pub(crate) fn keeps_state(&self) -> bool {
        ["return_state", "stateful", "time_major"]
            .iter()
            .any(|key| self.set(key))
    }

    /// `true` if an argument is set to something that is not `false`.
    pub(crate) fn set(&self, key: &str) -> bool {
        self.get(key).is_some_and(|v| truth(v) != Some(false))
    }
}

/// The class and the arguments of a layer within another one's arguments.
pub(crate) fn object(value: Option<&Value>) -> Option<(Class, &Map<String, Value>)> {
    let entry = value?.as_object()?;
    Some((class_of(entry)?, entry.get("config")?.as_object()?))
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

/// Collects the numbers in lists of any depth; `false` if there is something else.
pub(crate) fn flatten(value: &Value, found: &mut Vec<f64>) -> bool {
    match value {
        Value::Array(list) => list.iter().all(|value| flatten(value, found)),
        one => one.as_f64().is_some_and(|x| {
            found.push(x);
            x.is_finite()
        }),
    }
}

/// A truth value, for which Python programs may write 0 or 1.
pub(crate) fn truth(value: &Value) -> Option<bool> {
    match value.as_f64() {
        None => value.as_bool(),
        Some(number) => [(0.0, false), (1.0, true)]
            .into_iter()
            .find_map(|(n, b)| (number == n).then_some(b)),
    }
}

pub(crate) fn length(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

pub(crate) fn integer(value: &Value) -> Option<isize> {
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

/// An activation given by name, as a serialized function, or as a serialized layer: nothing if
/// the value is nothing of these, `Some(None)` for a function that is not Keras's.
fn activation(value: &Value, dialect: Dialect) -> Option<Option<Activation>> {
    let entry = match value {
        Value::String(name) => return Some(Activation::by_name(name, dialect)),
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
        return Some(if own {
            Activation::by_name(name, dialect)
        } else {
            None
        });
    }
    let number = |key: &str, default: f64| -> f64 {
        config
            .and_then(|c| c.get(key))
            .map_or(Some(default), |v| plain(v).as_f64())
            .unwrap_or(f64::NAN)
    };
    let base = class.rsplit('>').next().unwrap_or(class);
    Some(match base {
        "Activation" => return activation(config?.get("activation")?, dialect),
        // As layers, these have arguments; their defaults are what the name alone means.
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
                Some(Some(most)) if plain_relu && most >= 0.0 => {
                    Parameter::new(most).map(Activation::ReluUpTo)
                }
                None if number("threshold", 0.0) == 0.0 => {
                    Parameter::new(number("negative_slope", 0.0)).map(Activation::LeakyReluBy)
                }
                _ => None,
            }
        }
        "Softmax" => (number("axis", -1.0) == -1.0).then_some(Activation::Softmax),
        "ELU" => match number("alpha", 1.0) {
            1.0 => Some(Activation::Elu),
            alpha => Parameter::new(alpha).map(Activation::EluBy),
        },
        // A layer's default slope (0.3) is not the function's (0.2).
        "LeakyReLU" => {
            let key = if config.is_some_and(|c| c.get("alpha").is_some()) {
                "alpha"
            } else {
                "negative_slope"
            };
            match number(key, 0.3) {
                slope if (slope - 0.2).abs() < 1e-6 => Some(Activation::LeakyRelu),
                slope => Parameter::new(slope).map(Activation::LeakyReluBy),
            }
        }
        other => Activation::by_name(other, dialect),
    })
}

/// The rank in the name of a class such as `Conv2D`.
pub(crate) fn rank(class: &str) -> usize {
    let digit = class.bytes().find(u8::is_ascii_digit);
    digit.map_or(1, |digit| usize::from(digit - b'0'))
}

/// The shape of an input, without the batch axis, from `batch_shape` or `batch_input_shape`.
pub(crate) fn input_shape(map: &Map<String, Value>) -> Option<Shape> {
    let batched = ["batch_shape", "batch_input_shape"]
        .iter()
        .find_map(|key| map.get(*key).filter(|v| !v.is_null()))?;
    unbatched(batched)
}

/// A shape with its batch axis, as `[null, 28, 28, 1]`, without it. Version 3 of Keras's format may
/// write it as `{"class_name": "__tuple__", "items": [...]}`.
pub(crate) fn unbatched(batched: &Value) -> Option<Shape> {
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
