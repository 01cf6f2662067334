//! Results that runs hand out: arrays by label, and reports as JSON.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Serialize;

use tinyspike::Network as Floats;
use tinyspike::simulate::Run;

use crate::data::array;
use crate::fault::Fault;

/// Arrays that a run hands out, by label.
#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) outputs: Vec<Values>,
    pub(crate) spikes: Vec<Values>,
    pub(crate) activity: Vec<Values>,
    pub(crate) potentials: Vec<Values>,
}

/// Values of one object: `[samples, steps, size]`.
#[derive(Clone)]
pub(crate) struct Values {
    label: String,
    size: usize,
    values: Vec<f32>,
}

impl Recorded {
    /// Adds a simulation's outputs, by the network's names of them.
    pub(crate) fn add_outputs(&mut self, network: &Floats, run: &Run) {
        for (name, probe) in &network.outputs {
            if let Some(probe) = run.probes.get(probe.0) {
                let values = &probe.values;
                append(&mut self.outputs, name, values.shape(), values.data());
            }
        }
    }

    /// Adds the outputs of an image, by their labels.
    pub(crate) fn add_probes(&mut self, run: &Run) {
        for probe in &run.probes {
            let values = &probe.values;
            append(
                &mut self.outputs,
                &probe.label,
                values.shape(),
                values.data(),
            );
        }
    }

    /// Adds what neurons did, if it was recorded.
    pub(crate) fn add_ensembles(&mut self, run: &Run) {
        for ensemble in &run.ensembles {
            if let Some(counts) = &ensemble.counts {
                let to = match ensemble.spikes {
                    Some(_) => &mut self.spikes,
                    None => &mut self.activity,
                };
                append(to, &ensemble.label, counts.shape(), counts.data());
            }
            let potentials = ensemble.potentials.as_ref();
            if let Some(potentials) = potentials.filter(|p| !p.data().is_empty()) {
                let to = &mut self.potentials;
                append(to, &ensemble.label, potentials.shape(), potentials.data());
            }
        }
    }
}

fn append(to: &mut Vec<Values>, label: &str, shape: &[usize], values: &[f32]) {
    match to.iter_mut().find(|own| own.label == label) {
        Some(own) => own.values.extend_from_slice(values),
        None => to.push(Values {
            label: label.to_owned(),
            size: shape.last().copied().unwrap_or(0),
            values: values.to_vec(),
        }),
    }
}

/// Arrays by label, of shape `[samples, steps, size]`; spikes are int32.
pub(crate) fn arrays<'py>(
    py: Python<'py>,
    all: Vec<Values>,
    samples: usize,
    steps: usize,
    integers: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for Values {
        label,
        size,
        values,
    } in all
    {
        let shape = [samples, steps, size];
        let array = if integers {
            array(py, &shape, values.iter().map(|&v| v as i32).collect())?
        } else {
            array(py, &shape, values)?
        };
        dict.set_item(label, array)?;
    }
    Ok(dict)
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|e| Fault::of("InternalError", &e))
}
