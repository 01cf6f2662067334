//! SimpleRNN, GRU and LSTM, RNN around their cells, and CuDNN's, over an input of shape `[steps, features]`.

use super::masking::Mask;
use super::prelude::*;
use crate::keras::activation::{needs_all, scalar};
use crate::keras::args::object;
use crate::keras::class::{Class, Origin};
use crate::keras::forward::linear;
use crate::keras::weight::channels_times;
use crate::ops::{MatMut, MatRef, check_len, gemm};

/// A cell that runs over the steps, from a state of zeros unless further inputs give one. A layer that keeps its
/// state from batch to batch (`stateful`) is run as after a reset.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Recurrent {
    pub cell: Cell,
    pub units: usize,
    pub activation: Activation,
    pub recurrent_activation: Activation,
    pub use_bias: bool,
    pub return_sequences: bool,
    pub return_state: bool,
    pub go_backwards: bool,
    pub zero_output_for_mask: bool,
    /// Steps that are left out, as the last input tells.
    pub mask: Option<Mask>,
    /// The cells below it in a stack, the first first; each is a layer that returns all steps.
    pub below: Vec<Self>,
}

/// The cell of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// h = activation(x W + h U + b).
    Simple,
    /// A gated recurrent unit.
    Gru {
        /// `true` if the reset gate applies after the product with the state.
        reset_after: bool,
    },
    /// A long short-term memory.
    Lstm,
}

impl Cell {
    pub(crate) fn gates(self) -> usize {
        match self {
            Self::Simple => 1,
            Self::Gru { .. } => 3,
            Self::Lstm => 4,
        }
    }

    /// The tensors of its state.
    pub(crate) fn states(self) -> usize {
        match self {
            Self::Simple | Self::Gru { .. } => 1,
            Self::Lstm => 2,
        }
    }

    /// The group of a cell of this class.
    fn group(self) -> &'static str {
        match self {
            Self::Simple => "simple_rnn_cell",
            Self::Gru { .. } => "gru_cell",
            Self::Lstm => "lstm_cell",
        }
    }
}

/// Classes of cells, and of layers of one cell.
const CELLS: [(&str, &str); 3] = [
    ("SimpleRNNCell", "SimpleRNN"),
    ("GRUCell", "GRU"),
    ("LSTMCell", "LSTM"),
];

impl Recurrent {
    /// All cells of the stack, the first first.
    fn stack(&self) -> impl Iterator<Item = &Self> {
        self.below.iter().chain([self])
    }

    /// The tensors of all states.
    pub(crate) fn states(&self) -> usize {
        self.stack().map(|layer| layer.cell.states()).sum()
    }

    /// The layer whose cells are in the argument `cell`.
    fn of_cells(args: &Args<'_>) -> Result<Option<Self>, String> {
        let Some((class, map)) = object(args.get("cell")) else {
            return Ok(None);
        };
        let one = |class: &Class, map| -> Result<Option<Self>, String> {
            let layer = CELLS.iter().find(|(cell, _)| *cell == class.base);
            match layer.filter(|_| class.origin == Origin::Keras) {
                Some((_, layer)) => Self::of_cell(layer, &Args::new(map, args.dialect)),
                None => Ok(None),
            }
        };
        let cells = match (class.base.as_str(), map.get("cells")) {
            ("StackedRNNCells", Some(serde_json::Value::Array(list))) => list
                .iter()
                .map(|cell| match object(Some(cell)) {
                    Some((class, map)) => one(&class, map),
                    None => Ok(None),
                })
                .collect::<Result<Option<Vec<_>>, _>>()?,
            _ => one(&class, map)?.map(|cell| vec![cell]),
        };
        let Some(mut below) = cells else {
            return Ok(None);
        };
        let Some(last) = below.pop() else {
            return Ok(None);
        };
        for (at, cell) in below.iter_mut().enumerate() {
            cell.return_sequences = true;
            cell.go_backwards = at == 0 && args.flag("go_backwards", false)?;
        }
        // Those above the first get the steps in the order in which it took them.
        let go_backwards = below.is_empty() && args.flag("go_backwards", false)?;
        Ok(Some(Self {
            go_backwards,
            below,
            ..last
        }))
    }

    /// The layer of one cell, with the cell's arguments.
    fn of_cell(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        // What Keras 2.0 to 2.2 had, and some files do not state.
        let older = args.dialect.version < 3;
        let of_cudnn = name.starts_with("CuDNN");
        let default = if older && !of_cudnn {
            Activation::SteepHardSigmoid
        } else {
            Activation::Sigmoid
        };
        let cell = match name {
            "GRU" => Cell::Gru {
                reset_after: args.flag("reset_after", !older)?,
            },
            "CuDNNGRU" => Cell::Gru { reset_after: true },
            "LSTM" | "CuDNNLSTM" => Cell::Lstm,
            _ => Cell::Simple,
        };
        let activation = args.activation("activation", Activation::Tanh)?;
        let inner = args.activation("recurrent_activation", default)?;
        let (Some(activation), Some(recurrent_activation)) = (activation, inner) else {
            return Ok(None);
        };
        Ok(Some(Self {
            cell,
            units: args.size("units")?,
            activation,
            recurrent_activation,
            use_bias: args.flag("use_bias", true)?,
            return_sequences: false,
            return_state: false,
            go_backwards: false,
            zero_output_for_mask: false,
            mask: None,
            below: Vec::new(),
        }))
    }
}

impl LayerKind for Recurrent {
    fn names() -> &'static [&'static str] {
        &["SimpleRNN", "GRU", "LSTM", "CuDNNGRU", "CuDNNLSTM", "RNN"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        if args.set("time_major") {
            return Ok(None);
        }
        let layer = match name {
            "RNN" => Self::of_cells(args)?,
            _ => match Self::of_cell(name, args)? {
                Some(layer) => Some(Self {
                    go_backwards: args.flag("go_backwards", false)?,
                    ..layer
                }),
                None => None,
            },
        };
        let Some(layer) = layer else {
            return Ok(None);
        };
        Ok(Some(Self {
            return_sequences: args.flag("return_sequences", false)?,
            return_state: args.flag("return_state", false)?,
            zero_output_for_mask: args.flag("zero_output_for_mask", false)?,
            ..layer
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let mut last = input.and_then(|i| *i.last()?);
        let mut slots = Vec::new();
        for layer in self.stack() {
            slots.extend(layer.own_slots(last)?);
            last = Some(layer.units);
        }
        Ok(slots)
    }

    fn place(&self, slot: usize) -> (Cow<'static, str>, usize) {
        if self.below.is_empty() {
            return ("cell/vars".into(), slot);
        }
        let mut first = 0;
        let mut before: Vec<&str> = Vec::new();
        for layer in self.stack() {
            let group = layer.cell.group();
            let after = first + layer.own_weights();
            if slot < after {
                let group = match before.iter().filter(|name| **name == group).count() {
                    0 => group.to_owned(),
                    n => format!("{group}_{n}"),
                };
                return (format!("cell/cells/{group}/vars").into(), slot - first);
            }
            first = after;
            before.push(group);
        }
        ("cell/vars".into(), slot)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let own = self
            .inputs(inputs)
            .ok_or_else(|| wants(self.states(), inputs.len()))?
            .0;
        let steps = shape::of_rank(std::slice::from_ref(own), 2)?[0];
        let units = Some(self.units);
        Ok(if self.return_sequences {
            vec![steps, units]
        } else {
            vec![units]
        })
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let mut shapes = vec![self.output(inputs)?];
        if self.return_state {
            for layer in self.stack() {
                shapes.extend(vec![vec![Some(layer.units)]; layer.cell.states()]);
            }
        }
        Ok(shapes)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        Ok(self.run(w, inputs)?.0)
    }

    fn forward_all(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Vec<Tensor>, Problem> {
        Ok(with_others(self.run(w, inputs)?, self.return_state))
    }
}

/// A layer's input, its states, and what tells its mask.
type Roles<'a, T> = (&'a T, &'a [T], Option<&'a T>);

impl Recurrent {
    /// Takes the inputs of a call apart; `None` if there are not as many states as the layer has.
    pub(super) fn inputs<'a, T>(&self, inputs: &'a [T]) -> Option<Roles<'a, T>> {
        roles(inputs, self.mask.is_some(), self.states())
    }

    /// The number of weights of its own cell.
    pub(super) fn own_weights(&self) -> usize {
        if self.use_bias { 3 } else { 2 }
    }

    /// The weights of its own cell, if it is applied to so many features.
    fn own_slots(&self, features: Option<usize>) -> Result<Vec<Slot>, String> {
        let units = Some(self.units);
        let gates = channels_times(units, self.cell.gates())?;
        let mut slots = vec![
            Slot::new("kernel", vec![features, gates]),
            Slot::new("recurrent_kernel", vec![units, gates]),
        ];
        if self.use_bias {
            // With reset_after, the input and the recurrent part each have a bias.
            let bias = match self.cell {
                Cell::Gru { reset_after: true } => vec![Some(2), gates],
                _ => vec![gates],
            };
            slots.push(Slot::new("bias", bias));
        }
        Ok(slots)
    }

    /// The output, and all states after the last step.
    pub(super) fn run(
        &self,
        w: Weights<'_>,
        inputs: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>), Problem> {
        let (x, states, source) = (self.inputs(inputs))
            .ok_or_else(|| Problem::Values(wants(self.states(), inputs.len())))?;
        let mut shown = match (self.mask, source) {
            (Some(mask), Some(source)) => Some(mask.shown(source)?),
            _ => None,
        };
        let mut x = x.clone();
        let mut states = states;
        let mut first = 0;
        let mut after = Vec::new();
        for layer in self.stack() {
            let count = layer.own_weights();
            let own = Weights(w.0.get(first..first + count).unwrap_or_default());
            first += count;
            let (given, rest) = states.split_at(layer.cell.states().min(states.len()));
            states = rest;
            let (y, ends) = run(layer, own, &x, given, shown.as_deref())?;
            if layer.go_backwards
                && let (Some(shown), &[_, steps, ..]) = (&mut shown, x.shape())
            {
                shown.chunks_mut(steps.max(1)).for_each(<[bool]>::reverse);
            }
            x = y;
            after.extend(ends);
        }
        Ok((x, after))
    }
}

/// The input, the states and the source of the mask in the inputs of a recurrent layer.
pub(super) fn roles<T>(inputs: &[T], masked: bool, states: usize) -> Option<Roles<'_, T>> {
    let (own, rest) = inputs.split_first()?;
    let (given, source) = match (masked, rest.split_last()) {
        (true, Some((source, given))) => (given, Some(source)),
        _ => (rest, None),
    };
    (given.is_empty() || given.len() == states).then_some((own, given, source))
}

/// The refusal of a call with so many inputs, of a layer with so many tensors of states.
pub(super) fn wants(states: usize, found: usize) -> String {
    format!("it takes an input, and the tensors of its {states} states or none, not {found} inputs")
}

/// Checks that the activations of a cell are of each value by itself.
pub(super) fn check_activations(activations: &[Activation]) -> Result<(), Problem> {
    match activations
        .iter()
        .find(|&&activation| needs_all(activation))
    {
        None => Ok(()),
        Some(activation) => Err(Problem::Unsupported(format!(
            "the activation \"{activation}\" in a recurrent cell"
        ))),
    }
}

/// Runs the own cell of a layer over the steps of `x` from `states`; steps that are not `shown` change
/// nothing. Returns the output and the states after the last step.
fn run(
    layer: &Recurrent,
    w: Weights<'_>,
    x: &Tensor,
    states: &[Tensor],
    shown: Option<&[bool]>,
) -> Result<(Tensor, Vec<Tensor>), Problem> {
    let &Recurrent {
        cell,
        units,
        activation,
        recurrent_activation: inner,
        use_bias,
        ..
    } = layer;
    check_activations(&[activation])?;
    let &[batch, steps, features] = x.shape() else {
        return Err(Problem::Shape {
            needs: "the axes (batch, steps, features)".to_owned(),
            found: x.shape().to_vec(),
        });
    };
    let width = cell.gates() * units;
    let recurrent = w.get("recurrent_kernel")?;
    check_len("the kernel", features * width, w.get("kernel")?.len())?;
    check_len("the recurrent kernel", units * width, recurrent.len())?;
    let zeros = vec![0.0; width];
    let (bias, recurrent_bias) = match (w.bias(use_bias)?, cell) {
        (None, _) => (zeros.as_slice(), zeros.as_slice()),
        (Some(b), Cell::Gru { reset_after: true }) => {
            check_len("the bias", 2 * width, b.len())?;
            b.data().split_at(width)
        }
        (Some(b), _) => {
            check_len("the bias", width, b.len())?;
            (b.data(), zeros.as_slice())
        }
    };
    let projected = linear::product(x, w.get("kernel")?)?;
    let mut projected = projected.data().to_vec();
    linear::add_bias(&mut projected, bias);

    let act = |v: f32| scalar(activation, v);
    let state = |at: usize| -> Result<Vec<f32>, Problem> {
        let Some(given) = states.get(at) else {
            return Ok(vec![0.0; batch * units]);
        };
        check_len("the initial state", batch * units, given.len())?;
        Ok(given.data().to_vec())
    };
    let mut h = state(0)?;
    let mut c = state(1)?;
    // What a step that is left out repeats: the output before it, not the state.
    let mut last = vec![0.0; batch * units];
    let mut sequence = vec![
        0.0;
        if layer.return_sequences {
            batch * steps * units
        } else {
            0
        }
    ];
    let mut hidden = vec![0.0; batch * width];
    let times = |h: &[f32], from: usize, n: usize, out: &mut [f32]| {
        gemm(
            MatRef::row_major(h, batch, units),
            MatRef {
                data: recurrent.data().get(from..).unwrap_or_default(),
                rows: units,
                cols: n,
                row_stride: width,
                col_stride: 1,
            },
            MatMut::row_major(out, batch, n),
        )
    };
    let is_shown =
        |b: usize, t: usize| shown.is_none_or(|shown| shown.get(b * steps + t).is_none_or(|&s| s));
    for step in 0..steps {
        let t = if layer.go_backwards {
            steps - 1 - step
        } else {
            step
        };
        hidden.fill(0.0);
        if units > 0 {
            linear::add_bias(&mut hidden, recurrent_bias);
            times(&h, 0, width, &mut hidden)?;
        }
        // Without reset_after the candidate sees the state after the reset gate.
        let mut candidate = vec![0.0; batch * units];
        if let Cell::Gru { reset_after: false } = cell {
            let mut reset = h.clone();
            for b in 0..batch {
                for u in 0..units {
                    let x = projected[(b * steps + t) * width + units + u];
                    reset[b * units + u] *= scalar(inner, x + hidden[b * width + units + u]);
                }
            }
            times(&reset, 2 * units, units, &mut candidate)?;
        }
        for b in 0..batch {
            if !is_shown(b, t) {
                continue;
            }
            let x = &projected[(b * steps + t) * width..][..width];
            let r = &hidden[b * width..][..width];
            for u in 0..units {
                let i = b * units + u;
                let gate = |g: usize| x[g * units + u] + r[g * units + u];
                h[i] = match cell {
                    Cell::Simple => act(gate(0)),
                    Cell::Gru { reset_after } => {
                        let z = scalar(inner, gate(0));
                        let from_state = if reset_after {
                            scalar(inner, gate(1)) * r[2 * units + u]
                        } else {
                            candidate[i]
                        };
                        z * h[i] + (1.0 - z) * act(x[2 * units + u] + from_state)
                    }
                    Cell::Lstm => {
                        let rec = |g| scalar(inner, gate(g));
                        c[i] = rec(1) * c[i] + rec(0) * act(gate(2));
                        rec(3) * act(c[i])
                    }
                };
            }
        }
        for b in (0..batch).filter(|&b| is_shown(b, t)) {
            let own = b * units..(b + 1) * units;
            last[own.clone()].copy_from_slice(&h[own]);
        }
        if layer.return_sequences {
            for b in 0..batch {
                if layer.zero_output_for_mask && !is_shown(b, t) {
                    continue;
                }
                sequence[(b * steps + step) * units..][..units]
                    .copy_from_slice(&last[b * units..][..units]);
            }
        }
    }
    let tensor = |data: &[f32]| axes::tensor(vec![batch, units], data.to_vec());
    let mut ends = vec![tensor(&h)?];
    if cell == Cell::Lstm {
        ends.push(tensor(&c)?);
    }
    let y = if layer.return_sequences {
        axes::tensor(vec![batch, steps, units], sequence)?
    } else {
        tensor(&last)?
    };
    Ok((y, ends))
}
