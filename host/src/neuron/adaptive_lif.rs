//! Leaky integrate-and-fire neurons that tire: every spike takes something off the current. They run in floats alone.

use super::lif;
use crate::network::{Cells, Model, Parameter, Range, Step};

/// Nengo's AdaptiveLIF.
pub(super) const ADAPTIVE_LIF: AdaptiveLif = AdaptiveLif;

/// LIF neurons whose current is less by an adaptation, which follows their output.
#[derive(Debug)]
pub(super) struct AdaptiveLif;

const PARAMETERS: [Parameter; 5] = {
    let [tau_rc, tau_ref, min_voltage] = lif::PARAMETERS;
    let tau_n = Parameter {
        name: "tau_n",
        default: 1.0,
        range: Range::AboveZero,
    };
    let inc_n = Parameter {
        name: "inc_n",
        default: 0.01,
        range: Range::Any,
    };
    [tau_n, inc_n, tau_rc, tau_ref, min_voltage]
};

impl Model for AdaptiveLif {
    fn name(&self) -> &'static str {
        "AdaptiveLIF"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    // The refractory time and the adaptation.
    fn values(&self) -> usize {
        2
    }

    fn step(&self, step: &Step<'_>, cells: &mut Cells<'_>, spikes: &mut Vec<(u32, f32)>) {
        let (&[tau_n, inc_n, tau_rc, tau_ref, min_voltage], [refractory, adaptation]) =
            (step.parameters, &mut *cells.values)
        else {
            return;
        };
        let dt = step.dt;
        let cells = cells.voltage.iter_mut().zip(refractory).zip(adaptation);
        for (i, (((v, refractory), adaptation), j)) in cells.zip(step.currents).enumerate() {
            let j = j - *adaptation;
            *refractory -= dt;
            let delta = (dt - *refractory).clamp(0.0, dt);
            *v -= (j - *v) * (-delta / tau_rc).exp_m1();
            let mut output = 0.0;
            if *v > 1.0 {
                *refractory = tau_ref + (dt + tau_rc * (-(*v - 1.0) / (j - 1.0)).ln_1p());
                *v = 0.0;
                output = step.spike;
                spikes.push((i as u32, 1.0));
            } else {
                *v = v.max(min_voltage);
            }
            *adaptation += (dt / tau_n) * (inc_n * output - *adaptation);
        }
    }
}
