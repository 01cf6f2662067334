//! Max pooling: windows over the counts of one population, without weights.
//!
//! Each place sums up its source's events, and a window emits what its largest sum has grown by. So over any number of
//! steps it has emitted the largest count; in a single step that is the largest of the step. An event stands for what
//! the source's stand for.

use tinyspike_shared::image::{Neuron, Pool, Width, Windows};

use crate::graph::{self, Pooled, Population};
use crate::integers::Ensemble;
use crate::quantize::error::QuantizeError;
use crate::quantize::fan_in::Events;

/// The ensemble that pools a population with such events.
pub(crate) fn ensemble(
    population: &Population,
    events: Events,
    steps: u16,
) -> Result<Ensemble, QuantizeError> {
    let graph::Neuron::Pooled(Pooled { pool, least }) = &population.neuron else {
        return Ok(Ensemble::default());
    };
    let label = &population.label;
    if steps == 0 {
        return Err(QuantizeError::Unsupported {
            layer: label.clone(),
            what: "max pooling without end, whose counts have no bound,",
            remedy: "say how many steps there are",
        });
    }
    let most = events.spikes.0.max(events.spikes.1);
    let bound = most * i64::from(steps);
    if bound > i64::from(Width::I16.max()) {
        return Err(QuantizeError::Counts {
            layer: label.clone(),
            bound,
            steps,
        });
    }
    let fit = |what, value: usize| {
        u16::try_from(value).map_err(|_| QuantizeError::Geometry {
            layer: label.clone(),
            what,
            value,
            limit: u16::MAX.into(),
        })
    };
    let pair = |what, [y, x]: [usize; 2]| Ok([fit(what, y)?, fit(what, x)?]);
    let [height, width, channels] = pool.input;
    let windows = Windows {
        input: pair("a height or width", [height, width])?,
        channels: fit("a number of channels", channels)?,
        output: pair("a number of windows", pool.output)?,
        window: pair("a window", pool.window)?,
        stride: pair("a stride", pool.stride)?,
        padding: pair("a padding", pool.padding)?,
    };
    Ok(Ensemble {
        label: label.clone(),
        neurons: population.neurons,
        width: Width::I16,
        max_count: most.clamp(1, u8::MAX.into()) as u8,
        threshold: vec![1; channels],
        bias: least.iter().map(|least| -i32::from(*least)).collect(),
        potential_min: -bound as i32,
        potential_max: bound as i32,
        theta: events.value,
        neuron: Neuron::Pool(Pool {
            places: pool.size_in() as u32,
        }),
        constants: windows.constants().to_vec(),
        ..Ensemble::default()
    })
}
