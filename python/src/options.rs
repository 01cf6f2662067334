//! Options as Python hands them over.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use tinyspike::coder::CoderOptions;
use tinyspike::convert::{ConvertOptions, ScaleFiringRates};
use tinyspike::names;
use tinyspike::quantize::{QuantizeOptions, WEIGHT_BITS};
use tinyspike::report::Budgets;
use tinyspike::simulate::{InitialVoltage, Readout, SimulateOptions, Watch};
use tinyspike::tune::TuneOptions;
use tinyspike::{LoadOptions, Mode, VerifyOptions};
use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;

use crate::fault::Fault;

/// Options of reading and converting a model.
#[derive(Clone, Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Convert {
    allow_fallback: bool,
    inference_only: bool,
    max_to_avg_pool: bool,
    split_shared_weights: bool,
    swap_activations: Vec<(String, String)>,
    scale_firing_rates: Option<Factors>,
    synapse: Option<String>,
    temporal_model: bool,
    nengo_dl_compat: bool,
    input_shapes: Option<Vec<Vec<usize>>>,
    semantics: Vec<String>,
}

/// Factors of firing rates: one for all layers, or by layer.
#[derive(Clone, Debug, FromPyObject)]
enum Factors {
    All(f32),
    Each(BTreeMap<String, f32>),
}

/// The refusal of an option's value.
fn refused(option: &str, reason: impl std::fmt::Display) -> Fault {
    Fault::new("OptionError", format!("{option}: {reason}")).at("option", Some(option))
}

impl Convert {
    pub(crate) fn options(&self) -> Result<LoadOptions, Fault> {
        let swaps = (self.swap_activations.iter())
            .map(|(from, to)| names::swap(from, to).map_err(|e| refused("swap_activations", e)));
        let synapse = self.synapse.as_deref().map(names::synapse).transpose();
        let convert = ConvertOptions {
            allow_fallback: self.allow_fallback,
            inference_only: self.inference_only,
            max_to_avg_pool: self.max_to_avg_pool,
            split_shared_weights: self.split_shared_weights,
            swap_activations: swaps.collect::<Result<_, _>>()?,
            scale_firing_rates: match &self.scale_firing_rates {
                None => ScaleFiringRates::None,
                Some(Factors::All(factor)) => ScaleFiringRates::All(*factor),
                Some(Factors::Each(factors)) => ScaleFiringRates::PerLayer(factors.clone()),
            },
            synapse: synapse.map_err(|e| refused("synapse", e))?.flatten(),
            temporal_model: self.temporal_model,
            nengo_dl_compat: self.nengo_dl_compat,
        };
        Ok(LoadOptions {
            convert,
            input_shapes: self.input_shapes.clone(),
            config: None,
            semantics: self.semantics.clone(),
        })
    }

    pub(crate) fn is_temporal(&self) -> bool {
        self.temporal_model
    }
}

/// Options of a simulation.
#[derive(Clone, Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Simulate {
    pub(crate) steps: Option<usize>,
    dt: Option<f64>,
    initial_voltage: String,
    seed: u32,
    readout: Option<String>,
    record: bool,
}

impl Simulate {
    /// Tells whether neurons are recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.record
    }

    pub(crate) fn options(
        &self,
        dt: Option<f64>,
        readout: Readout,
    ) -> Result<SimulateOptions, Fault> {
        let default = SimulateOptions::default();
        if dt.is_some() && self.dt.is_some() {
            let reason = "the step of a NIR graph is one of its semantics: give convert(..., semantics=\"dt=0.001\")";
            return Err(refused("dt", reason));
        }
        Ok(SimulateOptions {
            dt: self.dt.or(dt).unwrap_or(default.dt),
            readout: read_out(self.readout.as_deref(), readout)?,
            initial_voltage: voltage(&self.initial_voltage, self.seed)?,
            watch: if self.record { Watch::All } else { Watch::None },
            ..default
        })
    }
}

/// The read-out of this name, or else the usual one.
pub(crate) fn read_out(text: Option<&str>, usual: Readout) -> Result<Readout, Fault> {
    let read = text.map(|text| text.parse().map_err(|e| refused("readout", e)));
    Ok(read.transpose()?.unwrap_or(usual))
}

fn voltage(name: &str, seed: u32) -> Result<InitialVoltage, Fault> {
    match name {
        "zero" => Ok(InitialVoltage::Zero),
        "uniform" => Ok(InitialVoltage::Uniform { seed }),
        other => Err(refused(
            "initial_voltage",
            format!("{other:?} is neither \"zero\" nor \"uniform\""),
        )),
    }
}

/// Options of a deployment.
#[derive(Clone, Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Deploy {
    goal: String,
    pub(crate) steps: Option<u16>,
    pub(crate) max_count: Option<u8>,
    input_bits: u8,
    weight_bits: Option<u8>,
    percentile: Option<f64>,
    max_drop: f64,
    max_error: f64,
    seed: u32,
    early_exit: bool,
    evaluations: Option<usize>,
    initial_voltage: String,
    dt: f64,
    max_ram: Option<u64>,
    max_flash: Option<u64>,
    pub(crate) model_version: u32,
    target: String,
    coder: Option<String>,
}

/// Steps for which samples without an axis of time are shown to networks that keep their state.
const STEPS: u16 = 32;

impl Deploy {
    pub(crate) fn is_tuned(&self) -> bool {
        self.goal == "tuned"
    }

    pub(crate) fn mode(&self) -> Result<Mode, Fault> {
        if let Some(bits) = self.weight_bits.filter(|&bits| bits > WEIGHT_BITS)
            && self.goal != "exact"
        {
            let reason =
                format!("{bits} bits; weights of more than {WEIGHT_BITS} need goal=\"exact\"");
            return Err(refused("weight_bits", reason));
        }
        match self.goal.as_str() {
            "plain" => Ok(Mode::Plain(self.quantize(QuantizeOptions::default())?)),
            "exact" => Ok(Mode::Exact(self.quantize(QuantizeOptions::exact())?)),
            "tuned" => Ok(Mode::Tuned(self.tuning()?)),
            other => Err(refused(
                "goal",
                format!("{other:?} is none of \"tuned\", \"plain\" and \"exact\""),
            )),
        }
    }

    /// The mode for neurons that keep their state, whose steps are `dt` seconds long.
    pub(crate) fn temporal(&self, dt: f64) -> Result<Mode, Fault> {
        let exact = QuantizeOptions::exact();
        Ok(Mode::Exact(QuantizeOptions {
            steps: self.steps.unwrap_or(STEPS),
            weight_bits: self.weight_bits.unwrap_or(WEIGHT_BITS),
            max_count: self.max_count.unwrap_or(exact.max_count),
            target: self.family()?,
            dt,
            ..exact
        }))
    }

    /// The coder that makes events of samples on the device.
    pub(crate) fn coder(&self) -> Result<Option<CoderOptions>, Fault> {
        let coder = self.coder.as_ref().map(|text| text.parse::<CoderOptions>());
        coder
            .transpose()
            .map_err(|e| refused("coder", e.to_string()))
    }

    /// Steps for which samples without an axis of time are shown.
    pub(crate) fn shown(&self) -> usize {
        self.steps.unwrap_or(STEPS).into()
    }

    fn quantize(&self, default: QuantizeOptions) -> Result<QuantizeOptions, Fault> {
        Ok(QuantizeOptions {
            steps: self.steps.unwrap_or(default.steps),
            max_count: self.max_count.unwrap_or(default.max_count),
            input_bits: self.input_bits,
            weight_bits: self.weight_bits.unwrap_or(default.weight_bits),
            percentile: self.percentile,
            target: self.family()?,
            dt: self.dt,
            initial_voltage: voltage(&self.initial_voltage, self.seed)?,
            ..default
        })
    }

    pub(crate) fn tuning(&self) -> Result<TuneOptions, Fault> {
        let default = TuneOptions::default();
        Ok(TuneOptions {
            max_drop: self.max_drop,
            max_error: self.max_error,
            target: self.family()?,
            budgets: self.budgets(),
            seed: self.seed.into(),
            steps: self.steps,
            max_count: self.max_count,
            early_exit: self.early_exit,
            weight_bits: self.weight_bits.unwrap_or(default.weight_bits),
            evaluations: self.evaluations.unwrap_or(default.evaluations),
        })
    }

    pub(crate) fn budgets(&self) -> Budgets {
        Budgets {
            ram: self.max_ram,
            flash: self.max_flash,
        }
    }

    fn family(&self) -> Result<&'static Family, Fault> {
        families::named(&self.target).ok_or_else(|| {
            let known: Vec<&str> = families::ALL.iter().map(|family| family.name).collect();
            refused(
                "target",
                format!("{:?} is none of {}", self.target, known.join(", ")),
            )
        })
    }
}

/// Options of a comparison.
pub(crate) fn verify(atol: f64, rtol: f64, temporal_model: bool) -> VerifyOptions {
    VerifyOptions {
        atol,
        rtol,
        temporal_model,
    }
}
