//! Synapses: Nengo's filters in discrete time, by zero-order hold.

use std::collections::VecDeque;

use crate::network::Synapse;

/// A filter's coefficients. y is what the filter shows; u is what goes in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Filter {
    /// y\[t\] = u\[t\].
    Through,
    /// y\[t\] = u\[t - more\].
    Delay { more: usize },
    /// y\[t\] = a y\[t-1\] + b u\[t\].
    Lowpass { a: f32, b: f32 },
    /// x\[t\] = A x\[t-1\] + B u\[t\], y\[t\] = c x\[t\]\[1\].
    Alpha {
        a: [[f32; 2]; 2],
        b: [f32; 2],
        c: f32,
    },
}

/// Memory of a filter for each value.
#[derive(Clone, Debug, Default)]
pub(super) struct FilterState {
    /// Output of the filter.
    pub(super) y: Vec<f32>,
    x: Vec<[f32; 2]>,
    /// Values that are still under way, the oldest first.
    line: VecDeque<Vec<f32>>,
}

impl Filter {
    pub(super) fn new(synapse: Synapse, dt: f64) -> Self {
        let tau = match synapse {
            Synapse::Lowpass { tau } | Synapse::Alpha { tau } => tau,
            Synapse::Delay { steps: ..=1 } => return Self::Through,
            Synapse::Delay { steps } => {
                let more = steps as usize - 1;
                return Self::Delay { more };
            }
        };
        // Nengo's limit, below which a filter only delays.
        if tau <= 0.03 * dt {
            return Self::Through;
        }
        let ratio = dt / tau;
        let decay = (-ratio).exp();
        match synapse {
            Synapse::Lowpass { .. } | Synapse::Delay { .. } => Self::Lowpass {
                a: decay as f32,
                b: (1.0 - decay) as f32,
            },
            Synapse::Alpha { .. } => Self::Alpha {
                a: [
                    [
                        (decay * (1.0 - ratio)) as f32,
                        (-decay * ratio / tau) as f32,
                    ],
                    [(decay * dt) as f32, (decay * (1.0 + ratio)) as f32],
                ],
                b: [
                    (decay * dt) as f32,
                    (tau * tau * (1.0 - decay * (1.0 + ratio))) as f32,
                ],
                c: (1.0 / (tau * tau)) as f32,
            },
        }
    }

    pub(super) fn state(self, size: usize) -> FilterState {
        FilterState {
            y: vec![0.0; size],
            x: match self {
                Self::Alpha { .. } => vec![[0.0; 2]; size],
                _ => Vec::new(),
            },
            line: match self {
                Self::Delay { more } => vec![vec![0.0; size]; more].into(),
                _ => VecDeque::new(),
            },
        }
    }

    /// One step: takes `input` in, and shows the new value.
    pub(super) fn step(self, state: &mut FilterState, input: &[f32]) {
        match self {
            Self::Through => {
                for (y, u) in state.y.iter_mut().zip(input) {
                    *y = *u;
                }
            }
            Self::Delay { .. } => {
                // A vector goes round, and no other is made.
                let mut oldest = state.line.pop_front().unwrap_or_default();
                std::mem::swap(&mut state.y, &mut oldest);
                oldest.copy_from_slice(input);
                state.line.push_back(oldest);
            }
            Self::Lowpass { a, b } => {
                for (y, u) in state.y.iter_mut().zip(input) {
                    *y = a * *y + b * u;
                }
            }
            Self::Alpha { a, b, c } => {
                for ((y, x), u) in state.y.iter_mut().zip(&mut state.x).zip(input) {
                    let [p, q] = *x;
                    *x = [
                        a[0][0] * p + a[0][1] * q + b[0] * u,
                        a[1][0] * p + a[1][1] * q + b[1] * u,
                    ];
                    *y = c * x[1];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(synapse: Synapse, steps: usize) -> Vec<f32> {
        let filter = Filter::new(synapse, 0.001);
        let mut state = filter.state(1);
        (0..steps)
            .map(|_| {
                filter.step(&mut state, &[1.0]);
                state.y[0]
            })
            .collect()
    }

    #[test]
    fn step_responses_are_the_analytic_ones() {
        for (step, y) in response(Synapse::Lowpass { tau: 0.005 }, 30)
            .iter()
            .enumerate()
        {
            let t = (step + 1) as f64 * 0.001 / 0.005;
            assert!((f64::from(*y) - (1.0 - (-t).exp())).abs() < 1e-6);
        }
        for (step, y) in response(Synapse::Alpha { tau: 0.005 }, 30)
            .iter()
            .enumerate()
        {
            let t = (step + 1) as f64 * 0.001 / 0.005;
            assert!((f64::from(*y) - (1.0 - (1.0 + t) * (-t).exp())).abs() < 1e-5);
        }
        assert_eq!(response(Synapse::Lowpass { tau: 0.0 }, 2), [1.0, 1.0]);
        // What a filter shows is seen a step later, so that one step of delay is none in here.
        assert_eq!(response(Synapse::Delay { steps: 1 }, 2), [1.0, 1.0]);
        assert_eq!(
            response(Synapse::Delay { steps: 3 }, 4),
            [0.0, 0.0, 1.0, 1.0]
        );
    }
}
