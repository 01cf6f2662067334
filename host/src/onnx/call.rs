//! A node with the values that come into it, as operators see it.

use std::rc::Rc;

use super::build::{Build, Live};
use super::constant::Constant;
use super::node::Node;
use crate::keras::model::LayerConfig;
use crate::tensor::Tensor;

/// A tensor of the graph.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Depends on an input.
    Live(Live),
    /// Depends on the file and on shapes alone.
    Constant(Rc<Constant>),
}

impl From<Live> for Value {
    fn from(live: Live) -> Self {
        Self::Live(live)
    }
}

impl From<Constant> for Value {
    fn from(constant: Constant) -> Self {
        Self::Constant(Rc::new(constant))
    }
}

/// A node that is about to become layers.
pub(super) struct Call<'a> {
    pub(super) node: &'a Node,
    /// The version of the operators.
    pub(super) opset: i64,
    /// The length of the batch axis.
    pub(super) batch: usize,
    /// The node that alone takes the output, if the network's outputs do not.
    pub(super) next: Option<&'a Node>,
    pub(super) inputs: Vec<Option<Value>>,
    pub(super) build: &'a mut Build,
}

impl Call<'_> {
    /// The input at a place, if the node has it.
    pub(super) fn optional(&self, at: usize) -> Option<Value> {
        self.inputs.get(at).cloned().flatten()
    }

    pub(super) fn value(&self, at: usize) -> Result<Value, String> {
        self.optional(at)
            .ok_or_else(|| format!("its input {at} is missing"))
    }

    /// The input at a place, which depends on the network's.
    pub(super) fn live(&self, at: usize) -> Result<Live, String> {
        match self.value(at)? {
            Value::Live(live) => Ok(live),
            Value::Constant(_) => Err(format!(
                "its input {at} is a constant, of which this operator is not computed beforehand; fold constants \
                 before, as onnxsim does"
            )),
        }
    }

    /// The input at a place, which is a constant, if the node has it.
    pub(super) fn constant(&self, at: usize) -> Result<Option<Rc<Constant>>, String> {
        match self.optional(at) {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(constant)),
            Some(Value::Live(_)) => Err(format!(
                "its input {at}, \"{}\", depends on the network's input, and only constants can stand there",
                self.node.inputs.get(at).map_or("", String::as_str)
            )),
        }
    }

    pub(super) fn needed(&self, at: usize) -> Result<Rc<Constant>, String> {
        (self.constant(at)?).ok_or_else(|| format!("its input {at} is missing"))
    }

    /// The input at a place as a list of integers, if the node has it.
    pub(super) fn integers(&self, at: usize) -> Result<Option<Vec<i64>>, String> {
        let constant = self.constant(at)?;
        constant
            .map(|c| {
                (c.as_integers().map(<[i64]>::to_vec))
                    .ok_or_else(|| format!("its input {at} holds floats instead of integers"))
            })
            .transpose()
    }

    /// Integers that are an attribute in old versions, and an input in newer ones.
    pub(super) fn integers_or(
        &self,
        at: usize,
        name: &'static str,
    ) -> Result<Option<Vec<i64>>, String> {
        match self.node.ints(name)? {
            Some(ints) => Ok(Some(ints)),
            None => self.integers(at),
        }
    }

    /// The value of an input of one element.
    pub(super) fn scalar(&self, at: usize) -> Result<Option<f32>, String> {
        let constant = self.constant(at)?;
        constant
            .map(|c| match c.floats()[..] {
                [one] => Ok(one),
                _ => Err(format!(
                    "its input {at} of shape {:?} is no single number",
                    c.shape
                )),
            })
            .transpose()
    }

    /// The shape of a value, with the batch axis.
    pub(super) fn shape(&self, value: &Value) -> Vec<usize> {
        match value {
            Value::Live(live) => [&[self.batch], &live.item[..]].concat(),
            Value::Constant(constant) => constant.shape.clone(),
        }
    }

    /// Adds a layer named after the node, and what it is a part of.
    pub(super) fn layer(
        &mut self,
        part: &str,
        config: impl Into<LayerConfig>,
        weights: Vec<(&str, Tensor)>,
        inputs: &[&Live],
    ) -> Result<Live, String> {
        let name = match part {
            "" => self.node.name.clone(),
            part => format!("{}.{part}", self.node.name),
        };
        (self.build).layer(&name, &self.node.op, config.into(), weights, inputs)
    }
}

/// The axis that a number of ONNX means, which may count from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let end = i64::try_from(rank).unwrap_or(i64::MAX);
    let positive = if axis < 0 {
        axis.saturating_add(end)
    } else {
        axis
    };
    (usize::try_from(positive).ok())
        .filter(|&at| at < rank)
        .ok_or_else(|| format!("axis {axis} is outside of a tensor of {rank} axes"))
}

/// The axis of an item, counted without the batch axis.
pub(super) fn item_axis(number: i64, live: &Live) -> Result<usize, String> {
    axis(number, live.rank())?
        .checked_sub(1)
        .ok_or_else(|| format!("axis {number} is the batch axis, and samples are independent"))
}
