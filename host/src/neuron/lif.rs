//! Leaky integrate-and-fire neurons with a refractory time, at most one spike in a step.
//!
//! # Units
//! J and the threshold have one unit, with a threshold of 1; V has `voltage_bits` more.
//!
//! # Bounds
//! V lies between its least value and the threshold after each step, with or without end: it leaks
//! towards J, of which the bounds hold.

use tinyspike_shared::image::{LEAK_BITS, LEAK_PIECES, Lif, MAX_VOLTAGE_BITS, Neuron, STEP};

use super::{Charged, Kind, PARTS, Settled};
use crate::network::NeuronType;
use crate::quantize::current::Bounds;
use crate::quantize::error::QuantizeError;
use crate::quantize::fan_in::Events;
use crate::quantize::options::QuantizeOptions;

struct Leaky {
    /// The least voltage, as a share of the threshold in parts of 2^16.
    minimum: i32,
    /// The refractory time, the least voltage and the table of the leak.
    constants: Vec<u32>,
}

pub(super) fn charged(
    neuron_type: &NeuronType,
    layer: &str,
    options: &QuantizeOptions,
) -> Result<Option<Charged>, QuantizeError> {
    let NeuronType::Lif {
        tau_rc,
        tau_ref,
        min_voltage,
        amplitude,
    } = *neuron_type
    else {
        return Ok(None);
    };
    let dt = options.dt;
    let refused = |what, value: f64, limit: f64| QuantizeError::Limit {
        layer: layer.into(),
        what,
        value,
        limit,
    };
    let limit = |what, value: f64, limit: f64| {
        if value <= limit {
            Ok(value)
        } else {
            Err(refused(what, value, limit))
        }
    };
    let refractory = f64::from(tau_ref) / dt * f64::from(STEP);
    let refractory = limit("a refractory time", refractory, i32::MAX.into())?;
    let minimum = limit("a least voltage", -f64::from(min_voltage), 16_384.0)?;
    // Each piece of a step must leak something.
    let tau = limit("a tau_rc in steps", f64::from(tau_rc) / dt, 1e6)?;
    let leaked = |piece: usize| {
        let part = piece as f64 / LEAK_PIECES as f64;
        -(-part / tau).exp_m1() * f64::exp2(f64::from(LEAK_BITS))
    };
    let table: Vec<u32> = (0..=LEAK_PIECES)
        .map(|piece| leaked(piece).round() as u32)
        .collect();
    if table.windows(2).any(|pair| pair[0] >= pair[1]) {
        // All of a step's leak is over in the first pieces.
        return Err(refused("a step in tau_rc", 1.0 / tau, 18.0));
    }
    let minimum = (-minimum * PARTS).round() as i32;
    let mut constants = vec![refractory.round() as u32, minimum as u32];
    constants.extend(table);
    Ok(Some(Charged {
        factor: 1.0,
        events: Events {
            value: f64::from(amplitude) / dt,
            spikes: (1, 0),
        },
        kind: Box::new(Leaky { minimum, constants }),
    }))
}

impl Kind for Leaky {
    fn largest(&self, _: &Bounds, _: &[i64]) -> i64 {
        0
    }

    fn settle(&self, bounds: &Bounds, thresholds: &[i64]) -> Result<Settled, i64> {
        let highest = thresholds.iter().copied().max().unwrap_or(1);
        let widest = bounds.largest.max(highest);
        // (J - V) times the leak stays within 64 bits, V within 32.
        let bits = (0..=MAX_VOLTAGE_BITS).rev().find(|b| {
            let lowest = ((highest << b) * i64::from(self.minimum)) >> 16;
            widest << b < 1 << 31 && highest << b < 1 << 30 && -lowest < 1 << 31
        });
        let voltage_bits = bits.ok_or(widest)?;
        let v = highest << voltage_bits;
        Ok(Settled {
            neuron: Neuron::Lif(Lif { voltage_bits }),
            constants: self.constants.clone(),
            spikes: (1, 0),
            potential: ((v * i64::from(self.minimum)) >> 16, v),
        })
    }
}
