//! A node of the graph, with its attributes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;

use super::constant::Constant;
use super::error::Problem;
use super::proto;

/// The most attributes, inputs or outputs of a node.
const MAX_PARTS: usize = 1 << 12;

/// The numbers of `AttributeProto.AttributeType`.
const FLOAT: i32 = 1;
const INT: i32 = 2;
const TEXT: i32 = 3;
const TENSOR: i32 = 4;
const FLOATS: i32 = 6;
const INTS: i32 = 7;

/// A node, whose attributes are marked as read when they are asked for.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its name; if it has none, operator and place.
    pub(super) name: String,
    pub(super) op: String,
    /// The owner of the operator; empty for ONNX itself.
    pub(super) domain: String,
    /// Names of tensors; empty for one that is left out.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    attributes: BTreeMap<String, proto::Attribute>,
    read: RefCell<BTreeSet<&'static str>>,
}

impl Node {
    /// Reads the node at a place of the graph.
    pub(super) fn read(bytes: &[u8], at: usize) -> Result<Self, Problem> {
        let node = proto::Node::decode(bytes).map_err(|e| Problem::Format {
            reason: format!("node {at}: {e}"),
        })?;
        let found = (node.inputs.len())
            .max(node.outputs.len())
            .max(node.attributes.len());
        if found > MAX_PARTS {
            return Err(Problem::TooLarge {
                what: "inputs, outputs or attributes of a node",
                found,
                limit: MAX_PARTS,
            });
        }
        let name = match node.name.as_str() {
            "" => format!("{}_{at}", node.op),
            name => name.to_owned(),
        };
        let mut attributes = BTreeMap::new();
        for bytes in &node.attributes {
            let attribute = proto::Attribute::decode(&bytes[..]).map_err(|e| Problem::Node {
                node: name.clone(),
                op: node.op.clone(),
                reason: format!("an attribute cannot be read: {e}"),
            })?;
            attributes.insert(attribute.name.clone(), attribute);
        }
        let domain = match node.domain.as_str() {
            "ai.onnx" => String::new(),
            _ => node.domain,
        };
        Ok(Self {
            name,
            op: node.op,
            domain,
            inputs: node.inputs,
            outputs: node.outputs,
            attributes,
            read: RefCell::default(),
        })
    }

    /// Another operator of ONNX without attributes, in this place.
    pub(super) fn replaced(&self, op: &str, input: &str) -> Self {
        Self {
            name: self.name.clone(),
            op: op.to_owned(),
            domain: String::new(),
            inputs: vec![input.to_owned()],
            outputs: self.outputs.clone(),
            attributes: BTreeMap::new(),
            read: RefCell::default(),
        }
    }

    /// The problem of this node.
    pub(super) fn problem(&self, reason: String) -> Problem {
        let op = match self.domain.as_str() {
            "" => self.op.clone(),
            domain => format!("{domain}.{}", self.op),
        };
        Problem::Node {
            node: self.name.clone(),
            op,
            reason,
        }
    }

    /// The attribute of one of these types, if the node has it.
    fn attribute(
        &self,
        name: &'static str,
        kind: i32,
    ) -> Result<Option<&proto::Attribute>, String> {
        self.read.borrow_mut().insert(name);
        match self.attributes.get(name) {
            // Old files do not state the type.
            Some(a) if a.kind != kind && a.kind != 0 => Err(format!(
                "its attribute {name} is of the type {} of ONNX's AttributeProto, not of {kind}",
                a.kind
            )),
            found => Ok(found),
        }
    }

    /// `true` if the node has the attribute, which is not marked as read.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }

    pub(super) fn int(&self, name: &'static str, default: i64) -> Result<i64, String> {
        Ok(self.attribute(name, INT)?.map_or(default, |a| a.int))
    }

    pub(super) fn flag(&self, name: &'static str, default: bool) -> Result<bool, String> {
        Ok(self.int(name, default.into())? != 0)
    }

    pub(super) fn float(&self, name: &'static str, default: f32) -> Result<f32, String> {
        let value = self.attribute(name, FLOAT)?.map_or(default, |a| a.float);
        if value.is_finite() {
            Ok(value)
        } else {
            Err(format!("its attribute {name} is {value}"))
        }
    }

    pub(super) fn floats(&self, name: &'static str) -> Result<Option<Vec<f32>>, String> {
        Ok(self.attribute(name, FLOATS)?.map(|a| a.floats.clone()))
    }

    pub(super) fn ints(&self, name: &'static str) -> Result<Option<Vec<i64>>, String> {
        Ok(self.attribute(name, INTS)?.map(|a| a.ints.clone()))
    }

    pub(super) fn text(&self, name: &'static str, default: &str) -> Result<String, String> {
        Ok(self.attribute(name, TEXT)?.map_or_else(
            || default.to_owned(),
            |a| String::from_utf8_lossy(&a.text).into_owned(),
        ))
    }

    pub(super) fn tensor(&self, name: &'static str) -> Result<Option<Constant>, String> {
        let attribute = self.attribute(name, TENSOR)?;
        let tensor = attribute.and_then(|a| a.tensor.as_ref());
        tensor.map(Constant::read).transpose()
    }

    /// Lengths, each at least 1.
    pub(super) fn lengths(&self, name: &'static str) -> Result<Option<Vec<usize>>, String> {
        let length = |&d: &i64| {
            (usize::try_from(d).ok())
                .filter(|&d| d > 0)
                .ok_or_else(|| format!("its attribute {name} has {d}, which is below 1"))
        };
        let ints = self.ints(name)?;
        ints.map(|ints| ints.iter().map(length).collect())
            .transpose()
    }

    /// An attribute that was never asked for, and so may mean something that is not known here.
    pub(super) fn unread(&self) -> Option<&str> {
        let read = self.read.borrow();
        let mut names = self.attributes.keys().map(String::as_str);
        names.find(|name| !read.contains(name))
    }
}
