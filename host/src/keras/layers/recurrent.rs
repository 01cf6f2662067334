//! SimpleRNN, GRU and LSTM, over an input of shape `[steps, features]`.

use super::prelude::*;
use crate::keras::activation::scalar;
use crate::keras::forward::linear;
use crate::keras::weight::channels_times;
use crate::ops::{MatMut, MatRef, check_len, gemm};

/// h = activation(x W + h U + b).
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct SimpleRnn {
    pub units: usize,
    pub activation: Activation,
    pub use_bias: bool,
    pub return_sequences: bool,
    pub go_backwards: bool,
}

impl LayerKind for SimpleRnn {
    fn names() -> &'static [&'static str] {
        &["SimpleRNN"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let Some(common) = Common::read(args)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            units: common.units,
            activation: common.activation,
            use_bias: common.use_bias,
            return_sequences: common.walk.return_sequences,
            go_backwards: common.walk.go_backwards,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let gates = Some(self.units);
        let bias = vec![gates];
        Ok(slots(
            self.units,
            gates,
            self.use_bias.then_some(bias),
            input,
        ))
    }

    fn group(&self) -> &'static str {
        "cell/vars"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        output(inputs, self.units, self.return_sequences)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let cell = Cell::Simple;
        let walk = Walk {
            return_sequences: self.return_sequences,
            go_backwards: self.go_backwards,
        };
        let x = axes::only(inputs)?;
        run(cell, self.units, self.activation, self.use_bias, walk, w, x)
    }
}

/// A gated recurrent unit.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Gru {
    pub units: usize,
    pub activation: Activation,
    pub recurrent_activation: Activation,
    pub use_bias: bool,
    pub reset_after: bool,
    pub return_sequences: bool,
    pub go_backwards: bool,
}

impl LayerKind for Gru {
    fn names() -> &'static [&'static str] {
        &["GRU"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let Some(common) = Common::read(args)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            units: common.units,
            activation: common.activation,
            recurrent_activation: common.recurrent_activation,
            use_bias: common.use_bias,
            reset_after: args.flag("reset_after", true)?,
            return_sequences: common.walk.return_sequences,
            go_backwards: common.walk.go_backwards,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let gates = channels_times(Some(self.units), 3)?;
        // With reset_after, the input and the recurrent part each have a bias.
        let bias = if self.reset_after {
            vec![Some(2), gates]
        } else {
            vec![gates]
        };
        Ok(slots(
            self.units,
            gates,
            self.use_bias.then_some(bias),
            input,
        ))
    }

    fn group(&self) -> &'static str {
        "cell/vars"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        output(inputs, self.units, self.return_sequences)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let cell = Cell::Gru {
            recurrent: self.recurrent_activation,
            reset_after: self.reset_after,
        };
        let walk = Walk {
            return_sequences: self.return_sequences,
            go_backwards: self.go_backwards,
        };
        let x = axes::only(inputs)?;
        run(cell, self.units, self.activation, self.use_bias, walk, w, x)
    }
}

/// A long short-term memory.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Lstm {
    pub units: usize,
    pub activation: Activation,
    pub recurrent_activation: Activation,
    pub use_bias: bool,
    pub return_sequences: bool,
    pub go_backwards: bool,
}

impl LayerKind for Lstm {
    fn names() -> &'static [&'static str] {
        &["LSTM"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let Some(common) = Common::read(args)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            units: common.units,
            activation: common.activation,
            recurrent_activation: common.recurrent_activation,
            use_bias: common.use_bias,
            return_sequences: common.walk.return_sequences,
            go_backwards: common.walk.go_backwards,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let gates = channels_times(Some(self.units), 4)?;
        let bias = vec![gates];
        Ok(slots(
            self.units,
            gates,
            self.use_bias.then_some(bias),
            input,
        ))
    }

    fn group(&self) -> &'static str {
        "cell/vars"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        output(inputs, self.units, self.return_sequences)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let cell = Cell::Lstm {
            recurrent: self.recurrent_activation,
        };
        let walk = Walk {
            return_sequences: self.return_sequences,
            go_backwards: self.go_backwards,
        };
        let x = axes::only(inputs)?;
        run(cell, self.units, self.activation, self.use_bias, walk, w, x)
    }
}

/// The arguments that recurrent layers share.
struct Common {
    units: usize,
    activation: Activation,
    recurrent_activation: Activation,
    use_bias: bool,
    walk: Walk,
}

impl Common {
    /// The arguments; `None` if there is one that the layers here do not have.
    fn read(args: &Args<'_>) -> Result<Option<Self>, String> {
        if args.keeps_state() {
            return Ok(None);
        }
        let units = args.size("units")?;
        let use_bias = args.flag("use_bias", true)?;
        let walk = Walk {
            return_sequences: args.flag("return_sequences", false)?,
            go_backwards: args.flag("go_backwards", false)?,
        };
        let activation = args.activation("activation", Activation::Tanh)?;
        let inner = args.activation("recurrent_activation", Activation::Sigmoid)?;
        let (Some(activation), Some(recurrent_activation)) = (activation, inner) else {
            return Ok(None);
        };
        Ok(Some(Self {
            units,
            activation,
            recurrent_activation,
            use_bias,
            walk,
        }))
    }
}

/// The slots of a layer whose gates have this many values together.
fn slots(
    units: usize,
    gates: Option<usize>,
    bias: Option<Shape>,
    input: Option<&Shape>,
) -> Vec<Slot> {
    let last = input.and_then(|i| *i.last()?);
    let mut slots = vec![
        Slot::new("kernel", vec![last, gates]),
        Slot::new("recurrent_kernel", vec![Some(units), gates]),
    ];
    slots.extend(bias.map(|shape| Slot::new("bias", shape)));
    slots
}

fn output(inputs: &[Shape], units: usize, sequences: bool) -> Result<Shape, String> {
    let input = shape::of_rank(inputs, 2)?;
    Ok(if sequences {
        vec![input[0], Some(units)]
    } else {
        vec![Some(units)]
    })
}

/// Order and extent of a walk over time.
#[derive(Clone, Copy)]
struct Walk {
    return_sequences: bool,
    go_backwards: bool,
}

/// The cell of a recurrent layer.
#[derive(Clone, Copy)]
enum Cell {
    Simple,
    Gru {
        recurrent: Activation,
        reset_after: bool,
    },
    Lstm {
        recurrent: Activation,
    },
}

impl Cell {
    fn gates(self) -> usize {
        match self {
            Self::Simple => 1,
            Self::Gru { .. } => 3,
            Self::Lstm { .. } => 4,
        }
    }
}

/// Runs a cell of `units` over the steps of `x`.
fn run(
    cell: Cell,
    units: usize,
    activation: Activation,
    use_bias: bool,
    walk: Walk,
    w: Weights<'_>,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    if [Activation::Softmax, Activation::LogSoftmax].contains(&activation) {
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
        (
            Some(b),
            Cell::Gru {
                reset_after: true, ..
            },
        ) => {
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
        if walk.return_sequences {
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
    for step in 0..steps {
        let t = if walk.go_backwards {
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
        if let Cell::Gru {
            recurrent,
            reset_after: false,
        } = cell
        {
            let mut reset = h.clone();
            for b in 0..batch {
                for u in 0..units {
                    let x = projected[(b * steps + t) * width + units + u];
                    reset[b * units + u] *= scalar(recurrent, x + hidden[b * width + units + u]);
                }
            }
            times(&reset, 2 * units, units, &mut candidate)?;
        }
        for b in 0..batch {
            let x = &projected[(b * steps + t) * width..][..width];
            let r = &hidden[b * width..][..width];
            for u in 0..units {
                let i = b * units + u;
                let gate = |g: usize| x[g * units + u] + r[g * units + u];
                h[i] = match cell {
                    Cell::Simple => act(gate(0)),
                    Cell::Gru {
                        recurrent,
                        reset_after,
                    } => {
                        let z = scalar(recurrent, gate(0));
                        let from_state = if reset_after {
                            scalar(recurrent, gate(1)) * r[2 * units + u]
                        } else {
                            candidate[i]
                        };
                        z * h[i] + (1.0 - z) * act(x[2 * units + u] + from_state)
                    }
                    Cell::Lstm { recurrent } => {
                        let rec = |g| scalar(recurrent, gate(g));
                        c[i] = rec(1) * c[i] + rec(0) * act(gate(2));
                        rec(3) * act(c[i])
                    }
                };
            }
        }
        if walk.return_sequences {
            for b in 0..batch {
                sequence[(b * steps + step) * units..][..units]
                    .copy_from_slice(&h[b * units..][..units]);
            }
        }
    }
    if walk.return_sequences {
        axes::tensor(vec![batch, steps, units], sequence)
    } else {
        axes::tensor(vec![batch, units], h)
    }
}
