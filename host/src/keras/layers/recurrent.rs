//! SimpleRNN, GRU and LSTM, over an input of shape `[steps, features]`.

use super::masking::Mask;
use super::prelude::*;
use crate::keras::activation::{needs_all, scalar};
use crate::keras::forward::linear;
use crate::keras::weight::channels_times;
use crate::ops::{MatMut, MatRef, check_len, gemm};

/// A cell that runs over the steps.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Recurrent {
    pub cell: Cell,
    pub units: usize,
    pub activation: Activation,
    pub recurrent_activation: Activation,
    pub use_bias: bool,
    pub return_sequences: bool,
    pub go_backwards: bool,
    pub zero_output_for_mask: bool,
    /// Steps that are left out, as a second input tells.
    pub mask: Option<Mask>,
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
    fn gates(self) -> usize {
        match self {
            Self::Simple => 1,
            Self::Gru { .. } => 3,
            Self::Lstm => 4,
        }
    }
}

impl LayerKind for Recurrent {
    fn names() -> &'static [&'static str] {
        &["SimpleRNN", "GRU", "LSTM"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        if args.keeps_state() {
            return Ok(None);
        }
        // What Keras 2.0 to 2.2 had, and some files do not state.
        let older = args.dialect.version < 3;
        let default = if older {
            Activation::SteepHardSigmoid
        } else {
            Activation::Sigmoid
        };
        let cell = match name {
            "GRU" => Cell::Gru {
                reset_after: args.flag("reset_after", !older)?,
            },
            "LSTM" => Cell::Lstm,
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
            return_sequences: args.flag("return_sequences", false)?,
            go_backwards: args.flag("go_backwards", false)?,
            zero_output_for_mask: args.flag("zero_output_for_mask", false)?,
            mask: None,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let last = input.and_then(|i| *i.last()?);
        let units = Some(self.units);
        let gates = channels_times(units, self.cell.gates())?;
        let mut slots = vec![
            Slot::new("kernel", vec![last, gates]),
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

    fn place(&self, slot: usize) -> (&'static str, usize) {
        ("cell/vars", slot)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        // The second input is the mask's.
        let own = match (self.mask, inputs) {
            (Some(_), [own, _]) => std::slice::from_ref(own),
            _ => inputs,
        };
        let steps = shape::of_rank(own, 2)?[0];
        let units = Some(self.units);
        Ok(if self.return_sequences {
            vec![steps, units]
        } else {
            vec![units]
        })
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let (x, shown) = match (self.mask, inputs) {
            (Some(mask), [x, source]) => (x, Some(mask.shown(source)?)),
            _ => (axes::only(inputs)?, None),
        };
        run(self, w, x, shown.as_deref())
    }
}

/// Runs a layer over the steps of `x`; steps that are not `shown` change nothing.
pub(super) fn run(
    layer: &Recurrent,
    w: Weights<'_>,
    x: &Tensor,
    shown: Option<&[bool]>,
) -> Result<Tensor, Problem> {
    let &Recurrent {
        cell,
        units,
        activation,
        recurrent_activation: inner,
        use_bias,
        ..
    } = layer;
    if needs_all(activation) {
        return Err(Problem::Unsupported(format!(
            "the activation \"{activation}\" in a recurrent cell"
        )));
    }
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
    let mut h = vec![0.0; batch * units];
    let mut c = vec![0.0; batch * units];
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
        if layer.return_sequences {
            for b in 0..batch {
                if layer.zero_output_for_mask && !is_shown(b, t) {
                    continue;
                }
                sequence[(b * steps + step) * units..][..units]
                    .copy_from_slice(&h[b * units..][..units]);
            }
        }
    }
    if layer.return_sequences {
        axes::tensor(vec![batch, steps, units], sequence)
    } else {
        axes::tensor(vec![batch, units], h)
    }
}
