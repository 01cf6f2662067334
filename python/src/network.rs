//! Networks: loaded and converted, simulated, compared and deployed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde::Serialize;

use tinyspike::coder::{self, CoderError};
use tinyspike::data::{DataSet, suspicion};
use tinyspike::deploy::{CALIBRATED, COMPARED, DeployOptions, TUNED};
use tinyspike::inputs::Inputs;
use tinyspike::inspect::listing;
use tinyspike::keras::Verification;
use tinyspike::network::{NodeKind, Pre};
use tinyspike::tune::{Candidate, Elsewhere, OTHERS, Point};
use tinyspike::{Mode, Network as Floats, Trained, simulation};

use crate::data::{Data, Given, all_given};
use crate::fault::Fault;
use crate::image::Image;
use crate::options::{self, Convert, Deploy, Simulate};
use crate::recorded::{Recorded, arrays, json};
use crate::source::{self, scaled};
use crate::work::{Monitor, work};

/// The most values that are held of a simulation.
const HELD: usize = 1 << 30;

/// A converted network.
#[pyclass(frozen, module = "tinyspike._native")]
pub(crate) struct Network {
    pub(crate) trained: Arc<Trained>,
    temporal_model: bool,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Place<'a> {
    name: &'a str,
    node: &'a str,
    shape: Vec<usize>,
}

#[pymethods]
impl Network {
    /// Reads and converts a file.
    #[staticmethod]
    #[pyo3(signature = (path, options, config=None))]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        options: Convert,
        config: Option<PathBuf>,
    ) -> PyResult<Self> {
        let temporal_model = options.is_temporal();
        let loaded = work(py, None, move |_| {
            source::load(&path, config.as_deref(), &options)
        })?;
        Ok(Self::new(loaded, temporal_model))
    }

    /// Reads and converts a file's content; `name` stands for the file in messages.
    #[staticmethod]
    fn load_bytes(
        py: Python<'_>,
        kind: String,
        name: String,
        content: &Bound<'_, PyBytes>,
        options: Convert,
    ) -> PyResult<Self> {
        let temporal_model = options.is_temporal();
        let content = content.as_bytes().to_vec();
        let loaded = work(py, None, move |_| {
            source::load_bytes(&kind, &name, &content, &options)
        })?;
        Ok(Self::new(loaded, temporal_model))
    }

    /// The front end that read it: `keras`, `onnx` or `nir`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.trained.format().name()
    }

    /// Remarks of front end and converter.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// Semantics that a NIR graph was read by, in words.
    #[getter]
    fn semantics(&self) -> Option<String> {
        match &*self.trained {
            Trained::Graph(reading) => Some(reading.semantics()),
            Trained::Layers(_) => None,
        }
    }

    /// Seconds per step, if the network says them.
    #[getter]
    fn dt(&self) -> Option<f64> {
        self.trained.dt()
    }

    /// All objects in Nengo's words, as JSON.
    fn listing(&self, py: Python<'_>) -> PyResult<String> {
        json(&listing(self.trained.network())).map_err(|e| e.raise(py))
    }

    /// The same as text.
    fn listing_text(&self) -> String {
        listing(self.trained.network()).to_string()
    }

    /// Inputs and outputs with their shapes, as JSON.
    fn ends(&self) -> String {
        let network = self.trained.network();
        let inputs: Vec<Place<'_>> = (network.inputs.iter().enumerate())
            .map(|(at, (name, node))| Place {
                name,
                node: network.nodes.get(node.0).map_or("", |n| &n.label),
                shape: Inputs::shape(network, at).unwrap_or_default(),
            })
            .collect();
        let outputs: Vec<Place<'_>> = (network.outputs.iter())
            .filter_map(|(name, probe)| {
                let probe = network.probes.get(probe.0)?;
                let (node, size) = match probe.target {
                    Pre::Node(n) => {
                        let node = network.nodes.get(n.0)?;
                        (&node.label, node.size_out)
                    }
                    Pre::Neurons(e) => {
                        let ensemble = network.ensembles.get(e.0)?;
                        (&ensemble.label, ensemble.n_neurons)
                    }
                };
                let shape = vec![size];
                Some(Place { name, node, shape })
            })
            .collect();
        let constants: Vec<&str> = (network.nodes.iter())
            .filter(|node| matches!(node.kind, NodeKind::Constant(_)))
            .map(|node| node.label.as_str())
            .collect();
        let ends =
            serde_json::json!({ "inputs": inputs, "outputs": outputs, "constants": constants });
        ends.to_string()
    }

    /// Simulates the network: the report as JSON, and dictionaries of arrays.
    #[pyo3(signature = (data, options, progress=None))]
    fn simulate<'py>(
        &self,
        py: Python<'py>,
        data: Vec<PyRef<'py, Data>>,
        options: Simulate,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (trained, temporal) = (self.trained.clone(), self.temporal_model);
        let given = all_given(&data);
        let (report, recorded, shape, said) = work(py, progress, move |monitor| {
            let network = trained.network();
            let settings = options.options(trained.dt(), simulation::readout(network))?;
            let (inputs, notes) = inputs(&trained, &given, temporal)?;
            let mut warnings = Vec::new();
            let outputs = simulation::outputs(network).unwrap_or(0);
            let targets = suspicion::of_targets(inputs.targets(), outputs);
            warnings.extend(targets.map(|w| w.to_string()));
            let steps = simulation::steps(options.steps, inputs.steps())?;
            held(network, inputs.len(), steps, options.is_recorded())?;
            let mut recorded = Recorded::default();
            let report =
                simulation::simulate(network, &inputs, options.steps, &settings, &mut |run| {
                    recorded.add_outputs(network, run);
                    recorded.add_ensembles(run);
                    monitor.tick(run.items as u64);
                })?;
            let silent = suspicion::of_simulation(&report);
            warnings.extend(silent.map(|w| w.to_string()));
            let shape = (inputs.len(), steps);
            Ok((json(&report)?, recorded, shape, (notes, warnings)))
        })?;
        let (samples, steps) = shape;
        let result = PyDict::new(py);
        result.set_item("report", report)?;
        result.set_item("notes", said.0)?;
        result.set_item("warnings", said.1)?;
        for (name, values, integers) in [
            ("outputs", recorded.outputs, false),
            ("spikes", recorded.spikes, true),
            ("activity", recorded.activity, false),
            ("potentials", recorded.potentials, false),
        ] {
            result.set_item(name, arrays(py, values, samples, steps, integers)?)?;
        }
        Ok(result)
    }

    /// Compares model and network on samples: the outcome as text, and whether they agree.
    #[pyo3(signature = (data, atol, rtol, progress=None))]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        data: Vec<PyRef<'py, Data>>,
        atol: f64,
        rtol: f64,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(bool, String)> {
        let (trained, temporal) = (self.trained.clone(), self.temporal_model);
        let given = all_given(&data);
        work(py, progress, move |monitor| {
            let Trained::Layers(layers) = &*trained else {
                let message = "a NIR graph has no forward pass to compare with; `tinyspike verify --match` compares it \
                               with a recorded sample";
                return Err(Fault::new("ModelError", message));
            };
            let (inputs, _) = inputs(&trained, &given, temporal)?;
            let options = options::verify(atol, rtol, temporal);
            let tick = &mut |n| monitor.tick(n as u64);
            let verification =
                (layers.model).verify_inputs(trained.network(), &inputs, &options, tick);
            let verification = verification.map_err(|e| Fault::of("SimulateError", &e))?;
            Ok((verification.passed(), words(&verification)))
        })
    }

    /// Makes an image: it, and a dictionary with reports as JSON, notes and warnings. `run` gets a list of candidates as
    /// bytes, and returns the outcome of each as bytes, or None for those that are left to the search.
    #[pyo3(signature = (data, options, run=None, progress=None))]
    fn deploy<'py>(
        &self,
        py: Python<'py>,
        data: Vec<PyRef<'py, Data>>,
        options: Deploy,
        run: Option<Py<PyAny>>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Image, Bound<'py, PyDict>)> {
        let trained = self.trained.clone();
        let given = all_given(&data);
        let (image, made) = work(py, progress, move |monitor| {
            deploy(&trained, &given, &options, run, monitor)
        })?;
        let result = PyDict::new(py);
        result.set_item("report", made.report)?;
        result.set_item("tuning", made.tuning)?;
        result.set_item("tuning_text", made.tuning_text)?;
        result.set_item("report_text", made.report_text)?;
        result.set_item("notes", made.notes)?;
        result.set_item("warnings", made.warnings)?;
        Ok((image, result))
    }
}

impl Network {
    fn new((trained, warnings): (Trained, Vec<String>), temporal_model: bool) -> Self {
        Self {
            trained: Arc::new(trained),
            temporal_model,
            warnings,
        }
    }
}

/// The outcome of a comparison, a line for each output.
fn words(verification: &Verification) -> String {
    let lines = verification.outputs.iter().map(|output| {
        format!(
            "{}: {} of {} values are too far apart; the largest difference is {:e}, the largest value {:e}",
            output.output,
            output.failures,
            output.values,
            output.max_difference,
            output.max_magnitude,
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The data of each input in its units, and notes on them.
fn sets(trained: &Trained, given: &Given) -> (Vec<DataSet>, Vec<String>) {
    let mut notes = Vec::new();
    let sets = given.iter().enumerate().map(|(at, (set, byte_scale))| {
        let (set, note) = scaled(trained, set, *byte_scale, at);
        notes.extend(note);
        set
    });
    (sets.collect(), notes)
}

fn inputs(
    trained: &Trained,
    given: &Given,
    temporal: bool,
) -> Result<(Inputs, Vec<String>), Fault> {
    let (sets, notes) = sets(trained, given);
    let over_time = sets.first().is_some_and(|set| trained.over_time(set, 0));
    let inputs = Inputs::new(trained.network(), &sets, temporal || over_time)?;
    Ok((inputs, notes))
}

/// Makes sure that the results of a simulation can be held.
fn held(network: &Floats, samples: usize, steps: usize, recorded: bool) -> Result<(), Fault> {
    let outputs = simulation::outputs(network).unwrap_or(0);
    let neurons: usize = network.ensembles.iter().map(|e| e.n_neurons).sum();
    let each = outputs + if recorded { neurons } else { 0 };
    let values = samples.saturating_mul(steps).saturating_mul(each);
    if values <= HELD {
        return Ok(());
    }
    let message = format!(
        "{samples} samples in {steps} steps have {values} values of outputs{}, and at most {HELD} are held: simulate \
         fewer samples at a time{}",
        if recorded { " and neurons" } else { "" },
        if recorded {
            ", or without record=True"
        } else {
            ""
        },
    );
    Err(Fault::new("SimulateError", message))
}

/// An image, and what is said of it.
struct Made {
    report: String,
    report_text: String,
    tuning: Option<String>,
    tuning_text: Option<String>,
    notes: Vec<String>,
    warnings: Vec<String>,
}

/// The samples that a deployment uses, of several inputs side by side, and notes on them.
pub(crate) fn samples(
    trained: &Trained,
    given: &Given,
    options: &Deploy,
) -> Result<(Option<DataSet>, Vec<String>), Fault> {
    let (sets, notes) = sets(trained, given);
    let network = trained.network();
    let coded = options.coder()?.is_some();
    for (at, set) in sets.iter().enumerate() {
        if !coded && !trained.over_time(set, at) {
            Inputs::check(network, at, set.shape())?;
        }
    }
    if let (Trained::Graph(_), [set]) = (trained, sets.as_slice()) {
        let few = set.evenly(CALIBRATED);
        if options.coder()?.is_some() {
            return Ok((Some(few), notes));
        }
        Inputs::new(
            network,
            std::slice::from_ref(&few),
            trained.over_time(&few, 0),
        )?;
        return Ok((Some(few), notes));
    }
    if sets.is_empty() {
        return Ok((None, notes));
    }
    let counts: Vec<String> = sets.iter().map(|set| set.len().to_string()).collect();
    let set = DataSet::side_by_side(sets).ok_or_else(|| {
        let message = format!(
            "all inputs need the same number of samples, and there are {}",
            counts.join(", ")
        );
        Fault::new("DataError", message)
    })?;
    let set = if options.is_tuned() {
        set.evenly(TUNED)
    } else {
        set
    };
    Ok((Some(set), notes))
}

fn deploy(
    trained: &Trained,
    given: &Given,
    options: &Deploy,
    run: Option<Py<PyAny>>,
    monitor: &Monitor,
) -> Result<(Image, Made), Fault> {
    let (mut set, mut notes) = samples(trained, given, options)?;
    let network = trained.network();
    let mut coder = None;
    if let Some(own) = options.coder()? {
        let fault = |reason: &str| Fault::new("OptionError", reason).at("option", Some("coder"));
        if matches!(trained, Trained::Layers(_)) {
            return Err(fault(&CoderError::Network.to_string()));
        }
        let Some(raw) = &set else {
            return Err(fault(
                "coder= needs calibration samples, which tell the units that it counts in",
            ));
        };
        let (made, coded) = coder::prepare(network, &own, raw, options.shown())
            .map_err(|e| fault(&e.to_string()))?;
        notes.push(format!("the device makes events: {made}"));
        (coder, set) = (Some(made), Some(coded));
    }
    let mut warnings = Vec::new();
    let mode = match trained {
        Trained::Graph(_) if options.is_tuned() => {
            let message = "goal=\"tuned\" is for networks that run so many steps; one of neurons that keep their state \
                           runs as many as its data has: leave goal out";
            return Err(Fault::new("OptionError", message).at("option", Some("goal")));
        }
        Trained::Graph(_) => options.temporal(trained.dt().unwrap_or(1.0))?,
        Trained::Layers(_) => options.mode()?,
    };
    let elsewhere = run.map(|run| There {
        run,
        monitor,
        failed: Mutex::default(),
    });
    let settings = DeployOptions {
        data: set.as_ref().map(|set| set as _),
        largest: trained.largest(),
        deepen: options.steps.is_none() && options.max_count.is_none(),
        budgets: options.budgets(),
        model_version: options.model_version,
        coder,
        progress: &|n| monitor.tick(n),
        elsewhere: elsewhere.as_ref().map(|there| there as _),
        ..DeployOptions::new(&mode)
    };
    let few = set.as_ref().map(|set| set.evenly(COMPARED));
    match &set {
        Some(set) => {
            let signs = suspicion::of_calibration(set);
            warnings.extend(signs.iter().map(ToString::to_string));
        }
        None if matches!(trained, Trained::Graph(_)) => warnings.push(
            "without calibration= the ranges of potentials are guessed from thresholds: expect a loss of accuracy. A hundred \
             real recordings avoid it"
                .to_owned(),
        ),
        None if matches!(mode, Mode::Plain(_)) => warnings.push(
            "without calibration= the ranges of activations are bounds from the weights, which are many times what \
             the network uses: expect a loss of accuracy. A few hundred real inputs avoid it"
                .to_owned(),
        ),
        None => {}
    }
    // Counts of exact neurons follow from the samples, unless the user has chosen.
    let layers = matches!(trained, Trained::Layers(_));
    let counted = few
        .as_ref()
        .filter(|_| layers && options.max_count.is_none());
    let deployed = network.deploy_with_room(&settings, counted);
    if let Some(own) = elsewhere.and_then(|there| there.failed.into_inner().ok().flatten()) {
        return Err(own.into());
    }
    let (deployment, wider) = deployed?;
    if wider {
        notes.push("neurons have more than 63 spikes in a step: up to 255 are counted".to_owned());
    }
    if let Some(depth) = deployment.deep {
        notes.push(format!(
            "{depth} layers of neurons in a row: more spikes in a step, which rounds less (max_count=15 is as for others)"
        ));
    }
    if deployment.tuning.is_some() && deployment.graph.outputs.len() > 1 {
        warnings.push(OTHERS.to_owned());
    }
    if let (Some(few), true) = (&few, layers) {
        let signs = deployment.suspicions(few);
        warnings.extend(signs.iter().map(ToString::to_string));
    }
    for output in &deployment.graph.outputs {
        if let Some(head) = output.left_out {
            notes.push(format!(
                "the {head} of {:?} is left out of the image: {}",
                output.label,
                head.omission()
            ));
        }
    }
    let tuning = deployment.tuning.as_ref();
    let made = Made {
        report: json(&deployment.report)?,
        report_text: deployment.report.to_string(),
        tuning: tuning.map(json).transpose()?,
        tuning_text: tuning.map(ToString::to_string),
        notes,
        warnings,
    };
    Ok((Image::new(deployment.image), made))
}

/// A Python function that runs candidates.
struct There<'a> {
    run: Py<PyAny>,
    monitor: &'a Monitor,
    /// The function's exception.
    failed: Mutex<Option<PyErr>>,
}

impl There<'_> {
    fn outcomes(&self, candidates: &[Candidate]) -> PyResult<Vec<Option<Option<Point>>>> {
        Python::attach(|py| {
            let bytes: Vec<Bound<'_, PyBytes>> = (candidates.iter())
                .filter_map(|candidate| postcard::to_stdvec(candidate).ok())
                .map(|bytes| PyBytes::new(py, &bytes))
                .collect();
            let outcomes = self.run.bind(py).call1((bytes,))?;
            let outcomes: Vec<Option<Bound<'_, PyBytes>>> = outcomes.extract()?;
            let read =
                |bytes: Option<Bound<'_, PyBytes>>| postcard::from_bytes(bytes?.as_bytes()).ok();
            Ok(outcomes.into_iter().map(read).collect())
        })
    }
}

impl Elsewhere for There<'_> {
    fn run(&self, candidates: &[Candidate]) -> Vec<Option<Option<Point>>> {
        self.monitor.tick(0);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some() {
            return Vec::new();
        }
        match self.outcomes(candidates) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                *failed = Some(error);
                Vec::new()
            }
        }
    }
}
