//! Recurrent layers, and KerasSpiking's filters, over an input of shape `[batch, steps, ..]`.

use super::activation::scalar;
use super::axes::tensor;
use super::conv::{add_bias, product};
use super::{Problem, Weights};
use crate::keras::model::Activation;
use crate::ops::{MatMut, MatRef, check_len, gemm};
use crate::tensor::Tensor;

/// How a layer walks over time.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    pub(super) return_sequences: bool,
    pub(super) go_backwards: bool,
}

/// The cell of a recurrent layer.
#[derive(Clone, Copy)]
pub(super) enum Cell {
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
pub(super) fn run(
    cell: Cell,
    units: usize,
    activation: Activation,
    use_bias: bool,
    walk: Walk,
    w: &Weights<'_>,
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
    let projected = product(x, w.get("kernel")?)?;
    let mut projected = projected.data().to_vec();
    add_bias(&mut projected, bias);

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
            add_bias(&mut hidden, recurrent_bias);
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
        tensor(vec![batch, steps, units], sequence)
    } else {
        tensor(vec![batch, units], h)
    }
}

/// KerasSpiking's filters.
#[derive(Clone, Copy)]
pub(super) enum Filter {
    Lowpass,
    Alpha,
}

/// Filters each value over the steps, with the discretisation of a zero-order hold.
pub(super) fn filter(
    filter: Filter,
    tau_initializer: f64,
    dt: f64,
    return_sequences: bool,
    w: &Weights<'_>,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    let [batch, steps, rest @ ..] = x.shape() else {
        return Err(Problem::Shape {
            needs: "the axes (batch, steps, ..)".to_owned(),
            found: x.shape().to_vec(),
        });
    };
    let n: usize = rest.iter().product();
    let each = |name: &'static str, otherwise: f32| -> Result<Vec<f32>, Problem> {
        match w.find(name) {
            None => Ok(vec![otherwise; n]),
            Some(values) => {
                check_len(name, n, values.len())?;
                Ok(values.data().to_vec())
            }
        }
    };
    let tau = each("tau", tau_initializer as f32)?;
    let level = each("initial_level", 0.0)?;
    let dt = dt as f32;
    let mut y = Vec::with_capacity(x.len());
    for b in 0..*batch {
        let mut slope = vec![0.0; n];
        let mut value = level.clone();
        for t in 0..*steps {
            let input = &x.data()[(b * steps + t) * n..][..n];
            for i in 0..n {
                let (tau, u) = (tau[i].max(1e-8), input[i]);
                let decay = (-dt / tau).exp();
                match filter {
                    Filter::Lowpass => value[i] = (1.0 - decay) * u + decay * value[i],
                    Filter::Alpha => {
                        let r = dt / tau;
                        let (s, v) = (slope[i], value[i]);
                        slope[i] = decay * ((1.0 - r) * s - r / tau * v) + decay * r / tau * u;
                        value[i] = decay * (dt * s + (1.0 + r) * v) + (1.0 - decay * (1.0 + r)) * u;
                    }
                }
            }
            if return_sequences || t + 1 == *steps {
                y.extend_from_slice(&value);
            }
        }
    }
    let mut shape = vec![*batch];
    if return_sequences {
        shape.push(*steps);
    }
    shape.extend(rest);
    tensor(shape, y)
}

/// The activation at every step: what KerasSpiking's layer trains with, and the mean of its spikes.
pub(super) fn spiking_activation(
    activation: Activation,
    return_sequences: bool,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    let y = super::activation::activate(activation, x)?;
    match x.shape() {
        [batch, steps, rest @ ..] if !return_sequences && *steps > 0 => {
            let n: usize = rest.iter().product();
            let mut last = Vec::with_capacity(batch * n);
            for b in 0..*batch {
                last.extend_from_slice(&y.data()[((b + 1) * steps - 1) * n..][..n]);
            }
            let mut shape = vec![*batch];
            shape.extend(rest);
            tensor(shape, last)
        }
        _ => Ok(y),
    }
}
