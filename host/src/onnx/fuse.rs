//! Activations that files hold as several operators, since ONNX has none for them: recognized at the last of these.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::call::Value;
use super::node::Node;

/// Tensors of the graph, as far as they are known.
pub(super) struct Seen<'g> {
    /// The nodes, in the file's order.
    pub(super) nodes: &'g [Node],
    /// The node that makes each tensor.
    pub(super) makers: &'g BTreeMap<&'g str, usize>,
    /// The value of a tensor, if it has one.
    pub(super) value: &'g dyn Fn(&str) -> Option<Value>,
}

/// A node as it is, or the activation that ends with it.
pub(super) fn fused<'g>(node: &'g Node, seen: &Seen<'g>) -> Cow<'g, Node> {
    let whole = [silu, hard_silu, gelu, mish, softplus];
    let found = whole.iter().find_map(|whole| whole(node, seen));
    match found {
        Some((op, input)) => Cow::Owned(node.replaced(op, input)),
        None => Cow::Borrowed(node),
    }
}

/// An operator, and its input.
type Activation<'g> = Option<(&'static str, &'g str)>;

impl<'g> Seen<'g> {
    /// The node of an operator that makes a tensor.
    fn of(&self, tensor: &str, op: &str) -> Option<&'g Node> {
        let node = self.nodes.get(*self.makers.get(tensor)?)?;
        (node.domain.is_empty() && node.op == op).then_some(node)
    }

    /// A tensor that is one number.
    fn number(&self, tensor: &str) -> Option<f32> {
        match (self.value)(tensor)? {
            Value::Constant(constant) => match constant.floats()[..] {
                [one] => Some(one),
                _ => None,
            },
            Value::Live(_) => None,
        }
    }

    /// The tensor of which a node is so many times as much, by `Mul` or `Div`.
    fn times(&self, node: &'g Node, factor: f32) -> Option<&'g str> {
        if node.op == "Div"
            && let [tensor, by] = node.inputs.as_slice()
            && self.number(by).is_some_and(|by| near(by, factor.recip()))
        {
            return Some(tensor);
        }
        (node.op == "Mul")
            .then(|| pairs(node))
            .into_iter()
            .flatten()
            .find_map(|(tensor, by)| {
                self.number(by)
                    .filter(|&by| near(by, factor))
                    .map(|_| tensor)
            })
    }

    /// The same of the node that makes a tensor.
    fn part(&self, tensor: &str, factor: f32) -> Option<&'g str> {
        let node = self.of(tensor, "Mul").or_else(|| self.of(tensor, "Div"))?;
        self.times(node, factor)
    }

    /// The tensor to which a tensor adds a number.
    fn plus(&self, tensor: &str, number: f32) -> Option<&'g str> {
        pairs(self.of(tensor, "Add")?).find_map(|(tensor, by)| {
            self.number(by)
                .filter(|&by| near(by, number))
                .map(|_| tensor)
        })
    }
}

/// Both orders of a node's two inputs.
fn pairs(node: &Node) -> impl Iterator<Item = (&str, &str)> {
    let pair = match node.inputs.as_slice() {
        [a, b] => Some((a.as_str(), b.as_str())),
        _ => None,
    };
    pair.into_iter().flat_map(|(a, b)| [(a, b), (b, a)])
}

/// Equality of numbers that files round.
fn near(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-4 * b.abs()
}

/// The tensor that a node multiplies by a gate of the same tensor, which `gate` finds.
fn gated<'g>(node: &'g Node, gate: impl Fn(&'g str) -> Option<&'g str>) -> Option<&'g str> {
    let mut pairs = pairs(node).filter(|_| node.op == "Mul");
    pairs.find(|(x, by)| gate(by) == Some(*x)).map(|(x, _)| x)
}

/// The only input of a node.
fn input(node: &Node) -> Option<&str> {
    node.inputs.first().map(String::as_str)
}

/// x · sigmoid(x).
fn silu<'g>(node: &'g Node, seen: &Seen<'g>) -> Activation<'g> {
    let x = gated(node, |gate| input(seen.of(gate, "Sigmoid")?))?;
    Some(("Swish", x))
}

/// x · relu6(x + 3) / 6, where the sixth is taken last, or of the gate; and x · hard_sigmoid(x) with a slope of a sixth.
fn hard_silu<'g>(node: &'g Node, seen: &Seen<'g>) -> Activation<'g> {
    let sixth = 1.0 / 6.0;
    let clipped = |tensor: &'g str| {
        let clip = seen.of(tensor, "Clip")?;
        let bound = |at: usize, name: &'static str| match clip.inputs.get(at) {
            Some(tensor) => seen.number(tensor),
            None => clip.has(name).then(|| clip.float(name, 0.0).ok()).flatten(),
        };
        let bounds =
            bound(1, "min") == Some(0.0) && bound(2, "max").is_some_and(|most| near(most, 6.0));
        seen.plus(input(clip).filter(|_| bounds)?, 3.0)
    };
    let hard_sigmoid = |tensor: &'g str| {
        let gate = seen.of(tensor, "HardSigmoid")?;
        let slope = gate.float("alpha", 0.2).ok().filter(|&a| near(a, sixth));
        let middle = gate.float("beta", 0.5).ok().filter(|&b| near(b, 0.5));
        slope.and(middle)?;
        input(gate)
    };
    let of_gate =
        |tensor: &'g str| hard_sigmoid(tensor).or_else(|| clipped(seen.part(tensor, sixth)?));
    let x = gated(node, of_gate).or_else(|| {
        let product = seen.of(seen.times(node, sixth)?, "Mul")?;
        gated(product, clipped)
    })?;
    Some(("HardSwish", x))
}

/// x (1 + erf(x / √2)) / 2, where the half is taken of any factor or last.
fn gelu<'g>(node: &'g Node, seen: &Seen<'g>) -> Activation<'g> {
    let half = 0.5;
    // The tensor x of a gate 1 + erf(x / √2).
    let gate = |tensor: &'g str| {
        let erf = seen.of(seen.plus(tensor, 1.0)?, "Erf")?;
        seen.part(input(erf)?, std::f32::consts::FRAC_1_SQRT_2)
    };
    let last = || gated(seen.of(seen.times(node, half)?, "Mul")?, gate);
    let of_a_factor = || {
        let mut pairs = pairs(node).filter(|_| node.op == "Mul");
        pairs.find_map(|(a, b)| {
            let by_half = seen.part(a, half);
            match gate(b) {
                Some(x) if by_half == Some(x) => Some(x),
                _ => seen.part(b, half).and_then(gate).filter(|x| *x == a),
            }
        })
    };
    Some(("Gelu", last().or_else(of_a_factor)?))
}

/// Softplus, and the tensor itself from where that is the same to a float.
fn softplus<'g>(node: &'g Node, seen: &Seen<'g>) -> Activation<'g> {
    let [condition, x, own] = node.inputs.as_slice() else {
        return None;
    };
    let greater = seen
        .of(condition, "Greater")
        .filter(|_| node.op == "Where")?;
    let [left, limit] = greater.inputs.as_slice() else {
        return None;
    };
    let softplus = seen.of(own, "Softplus")?;
    let same = left == x && softplus.inputs.first() == Some(x);
    let large = seen.number(limit).is_some_and(|limit| limit >= LARGE);
    (same && large).then_some(("Softplus", x.as_str()))
}

/// Number from which on ln(1 + exp(x)) is x to a float.
const LARGE: f32 = 17.0;

/// x · tanh(softplus(x)).
fn mish<'g>(node: &'g Node, seen: &Seen<'g>) -> Activation<'g> {
    let x = gated(node, |gate| {
        let softplus = seen.of(input(seen.of(gate, "Tanh")?)?, "Softplus")?;
        input(softplus)
    })?;
    Some(("Mish", x))
}
