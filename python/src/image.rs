//! Images: read, written, signed and emulated.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde_json::{Value, json};

use tinyspike::ImageBuf;
use tinyspike::assemble::Image as Parsed;
use tinyspike::data::DataSet;
use tinyspike::data::suspicion::{self, Suspicion};
use tinyspike::emulate::{self, EmulateOptions, Record, Trial, in_units, input_size};
use tinyspike::network::Head;
use tinyspike::sign::{PrivateKey, PublicKey, signer};
use tinyspike::stream::{self, StreamOptions};
use tinyspike_shared::image::{Post, Pre};

use crate::data::{Data, Given, all_given, array};
use crate::fault::Fault;
use crate::options::read_out;
use crate::recorded::{Recorded, arrays, json};
use crate::work::{Monitor, work};

/// A part of a record: values of each ensemble's neurons.
type State = fn(&Record) -> &Vec<Vec<i32>>;

/// A packed image.
#[pyclass(frozen, module = "tinyspike._native")]
pub(crate) struct Image {
    pub(crate) bytes: Arc<ImageBuf>,
}

impl Image {
    pub(crate) fn new(bytes: ImageBuf) -> Self {
        Self {
            bytes: Arc::new(bytes),
        }
    }
}

#[pymethods]
impl Image {
    /// Checks bytes that were an image's.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, bytes: &Bound<'_, PyBytes>) -> PyResult<Self> {
        let bytes = bytes.as_bytes().to_vec();
        let image = work(py, None, move |_| {
            ImageBuf::new(&bytes).map_err(|e| Fault::of("ImageError", &e))
        })?;
        Ok(Self::new(image))
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Self::new(work(py, None, move |_| {
            Ok(ImageBuf::load(path)?)
        })?))
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let bytes = self.bytes.clone();
        work(py, None, move |_| Ok(bytes.save(path)?))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.bytes.bytes())
    }

    /// Parts and sizes, as JSON.
    fn description(&self) -> String {
        description(&self.bytes).to_string()
    }

    fn with_model_version(&self, model_version: u32) -> Self {
        Self::new((*self.bytes).clone().with_model_version(model_version))
    }

    /// Signs with a private key in PEM form.
    fn sign(&self, py: Python<'_>, key: &str) -> PyResult<Self> {
        let key = PrivateKey::from_pem(key).map_err(|e| Fault::from(e).raise(py))?;
        Ok(Self::new(key.sign(&self.bytes)))
    }

    /// Checks the signature with a public key in PEM form.
    fn verify(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        let check = || PublicKey::from_pem(key)?.verify(&self.bytes);
        check().map_err(|e| Fault::from(e).raise(py))
    }

    /// Runs the engine that devices run: the report as JSON, and dictionaries of arrays.
    #[pyo3(signature = (data, steps=None, early_exit=true, record=false, progress=None))]
    fn emulate<'py>(
        &self,
        py: Python<'py>,
        data: Vec<PyRef<'py, Data>>,
        steps: Option<u16>,
        early_exit: bool,
        record: bool,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let bytes = self.bytes.clone();
        let given = all_given(&data);
        let (report, trials, said) = work(py, progress, move |monitor| {
            let image = bytes.image();
            let (set, mut said) = of_image(&image, &given)?;
            let options = EmulateOptions {
                steps,
                early_exit,
                record,
            };
            let start = Instant::now();
            let tick = |n| monitor.tick(n);
            let run = emulate::run(&image, &set, 0..set.len(), &options, &tick)?;
            let seconds = start.elapsed().as_secs_f64();
            let signs = suspicion::of_run(&image, &run);
            (said.warnings).extend(signs.iter().map(ToString::to_string));
            let report = emulate::report(&image, &set, &run, seconds);
            Ok((json(&report)?, run.trials, said))
        })?;
        let result = PyDict::new(py);
        result.set_item("report", report)?;
        said.show(&result)?;
        self.results(py, &trials, record, &result)?;
        Ok(result)
    }

    /// Runs recordings step by step: the report as JSON, and dictionaries of arrays.
    #[pyo3(signature = (data, steps=None, stateful=false, record=false, readout=None, progress=None))]
    #[expect(clippy::too_many_arguments, reason = "each is one of Python's")]
    fn stream<'py>(
        &self,
        py: Python<'py>,
        data: Vec<PyRef<'py, Data>>,
        steps: Option<usize>,
        stateful: bool,
        record: bool,
        readout: Option<String>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let bytes = self.bytes.clone();
        let given = all_given(&data);
        let (report, recorded, said, samples, steps) = work(py, progress, move |monitor| {
            let options = StreamOptions { record, stateful };
            run_stream(
                &bytes.image(),
                &given,
                steps,
                options,
                readout.as_deref(),
                monitor,
            )
        })?;
        let result = PyDict::new(py);
        result.set_item("report", report)?;
        said.show(&result)?;
        for (name, values, integers) in [
            ("outputs", recorded.outputs, false),
            ("spikes", recorded.spikes, true),
            ("potentials", recorded.potentials, true),
        ] {
            result.set_item(name, arrays(py, values, samples, steps, integers)?)?;
        }
        Ok(result)
    }
}

impl Image {
    /// Classes, steps and outputs of each sample, and of recorded ones spikes and potentials.
    fn results(
        &self,
        py: Python<'_>,
        trials: &[Trial],
        record: bool,
        result: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let image = self.bytes.image();
        let network = image.description();
        let count = trials.len();
        // One output behind a sigmoid has two classes.
        let sides = network.outputs.first().is_some_and(|o| o.size == 1)
            && emulate::left_out(&image).is_some_and(Head::is_sigmoid);
        let class = |trial: &Trial| match (sides, trial.outputs.as_slice()) {
            (true, [output]) => i64::from(*output > 0),
            _ => trial.class() as i64,
        };
        let classes: Vec<i64> = trials.iter().map(class).collect();
        let steps: Vec<i64> = trials.iter().map(|t| t.steps() as i64).collect();
        result.set_item("classes", array(py, &[count], classes)?)?;
        result.set_item("steps", array(py, &[count], steps)?)?;
        let (outputs, likely) = (PyDict::new(py), PyDict::new(py));
        for (at, output) in network.outputs.iter().enumerate() {
            let mut values: Vec<f32> = Vec::with_capacity(count * output.size as usize);
            for trial in trials {
                let own = match &trial.record {
                    Some(record) => record.outputs.get(at).map_or(&[][..], Vec::as_slice),
                    None if at == 0 => &trial.outputs,
                    None => break,
                };
                values.extend(in_units(&image, at, trial.steps(), own).map(|v| v as f32));
            }
            if record || at == 0 {
                set_output(&image, at, count, values, [&outputs, &likely])?;
            }
        }
        result.set_item("outputs", outputs)?;
        result.set_item("probabilities", likely)?;
        let states: [(&str, State); 2] =
            [("spikes", |r| &r.spikes), ("potentials", |r| &r.potentials)];
        for (name, of) in states {
            let all = PyDict::new(py);
            for (at, ensemble) in network.ensembles.iter().enumerate().filter(|_| record) {
                // Pools have none.
                if name == "potentials" && ensemble.pools() {
                    continue;
                }
                let records = trials.iter().filter_map(|trial| trial.record.as_ref());
                let values = records.filter_map(|record| of(record).get(at)).flatten();
                let shape = [count, ensemble.neurons as usize];
                let values = array(py, &shape, values.copied().collect::<Vec<i32>>())?;
                all.set_item(network.ensemble_label(at), values)?;
            }
            result.set_item(name, all)?;
        }
        Ok(())
    }
}

/// Sentences for the user.
#[derive(Default)]
pub(crate) struct Said {
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl Said {
    /// Puts them into a result.
    pub(crate) fn show(self, result: &Bound<'_, PyDict>) -> PyResult<()> {
        result.set_item("notes", self.notes)?;
        result.set_item("warnings", self.warnings)
    }
}

/// The data of all inputs of an image, one behind the other, and what is to be said of it.
pub(crate) fn of_image(image: &Parsed<'_>, given: &Given) -> Result<(DataSet, Said), Fault> {
    let mut notes = Vec::new();
    let sets = given.iter().enumerate().map(|(at, (set, byte_scale))| {
        let set = (**set).clone();
        match byte_scale {
            Some(scale) => set.with_byte_scale(*scale),
            None if suspicion::takes_bytes(&set, image, at) => {
                if set.has_plain_bytes() {
                    notes.push("bytes stand for 0 to 255, for that is the range that the image was made for; byte_scale=1/255 makes them 0 to 1".to_owned());
                }
                set.with_byte_scale(1.0)
            }
            None => set,
        }
    });
    let sets: Vec<DataSet> = sets.collect();
    let inputs = image.description().inputs.len();
    if sets.len() != inputs && sets.len() != 1 {
        let message = format!("{} arrays for an image of {inputs} inputs", sets.len());
        return Err(Fault::new("DataError", message));
    }
    let set = DataSet::side_by_side(sets)
        .ok_or_else(|| Fault::new("DataError", "all inputs need the same number of samples"))?;
    let warnings = texts(&suspicion::of_image(&set, image));
    Ok((set, Said { notes, warnings }))
}

/// The recordings for an image of neurons that keep their state: bytes over time are numbers of events.
pub(crate) fn recordings(image: &Parsed<'_>, given: &Given) -> Result<(DataSet, Said), Fault> {
    let [(set, byte_scale)] = given.as_slice() else {
        let message = format!(
            "{} arrays, and recordings are those of one input",
            given.len()
        );
        return Err(Fault::new("DataError", message));
    };
    let set = (**set).clone();
    let over_time = set.sample_size() != input_size(image);
    let set = match byte_scale {
        Some(scale) => set.with_byte_scale(*scale),
        None if over_time => set.with_byte_scale(1.0),
        None => set,
    };
    let said = Said {
        notes: Vec::new(),
        warnings: texts(&suspicion::of_image(&set, image)),
    };
    Ok((set, said))
}

fn texts(signs: &[Suspicion]) -> Vec<String> {
    signs.iter().map(ToString::to_string).collect()
}

/// The report as JSON, what was recorded, what is to be said, and the numbers of samples and steps.
fn run_stream(
    image: &Parsed<'_>,
    given: &Given,
    steps: Option<usize>,
    options: StreamOptions,
    readout: Option<&str>,
    monitor: &Monitor,
) -> Result<(String, Recorded, Said, usize, usize), Fault> {
    let (set, said) = recordings(image, given)?;
    let steps = stream::steps(image, &set, steps)?;
    let readout = read_out(readout, stream::readout(image))?;
    let mut recorded = Recorded::default();
    let report = stream::report(image, &set, steps, options, readout, &mut |run| {
        recorded.add_probes(run);
        recorded.add_ensembles(run);
        monitor.tick(run.items as u64);
    })?;
    Ok((json(&report)?, recorded, said, set.len(), steps))
}

/// Puts an output's values of all samples under its label, and in the second place the probabilities that they stand
/// for, if they do.
pub(crate) fn set_output(
    image: &Parsed<'_>,
    at: usize,
    samples: usize,
    values: Vec<f32>,
    [outputs, likely]: [&Bound<'_, PyDict>; 2],
) -> PyResult<()> {
    let (network, py) = (image.description(), outputs.py());
    let label = network.output_label(at);
    let shape = [samples, network.outputs[at].size as usize];
    if let Some(found) = emulate::probabilities(image, at, &values) {
        likely.set_item(label, array(py, &shape, found)?)?;
    }
    outputs.set_item(label, array(py, &shape, values)?)
}

/// Parts and sizes of an image.
fn description(bytes: &ImageBuf) -> Value {
    let image = bytes.image();
    let network = image.description();
    let pre = |pre| match pre {
        Pre::Input(i) => network.input_label(usize::from(i)),
        Pre::Ensemble(e) | Pre::Counts(e) => network.ensemble_label(usize::from(e)),
    };
    let post = |post| match post {
        Post::Ensemble(e) => network.ensemble_label(usize::from(e)),
        Post::Output(o) => network.output_label(usize::from(o)),
    };
    let inputs = network.inputs.iter().enumerate();
    let outputs = network.outputs.iter().enumerate();
    let ensembles = network.ensembles.iter().enumerate();
    let arena = image.arena_bytes();
    json!({
        "steps": network.steps,
        "over_time": stream::is_current_based(&image),
        "model_version": image.header().model_version,
        "checksum": format!("{:08x}", image.header().checksum),
        "signer": signer(bytes).map(|key| key.to_string()),
        "flash_bytes": image.bytes().len(),
        "ram_bytes": arena,
        "inputs": inputs.map(|(at, input)| json!({
            "label": network.input_label(at),
            "size": input.size,
        })).collect::<Vec<_>>(),
        "outputs": outputs.map(|(at, output)| json!({
            "label": network.output_label(at),
            "size": output.size,
        })).collect::<Vec<_>>(),
        "ensembles": ensembles.map(|(at, ensemble)| json!({
            "label": network.ensemble_label(at),
            "neurons": ensemble.neurons,
            "ram_bytes": image.ensemble_ram(at),
            "flash_bytes": ensemble.params_len(),
        })).collect::<Vec<_>>(),
        "connections": network.connections.iter().map(|c| json!({
            "pre": pre(c.pre),
            "post": post(c.post),
            "flash_bytes": c.weights.len,
        })).collect::<Vec<_>>(),
    })
}

/// A new pair of keys in PEM form: the private one, and the public one.
#[pyfunction]
pub(crate) fn keygen(py: Python<'_>) -> PyResult<(String, String)> {
    let make = || {
        let key = PrivateKey::generate()?;
        Ok((key.to_pem()?, key.public().to_pem()?))
    };
    make().map_err(|e: tinyspike::sign::SignError| Fault::from(e).raise(py))
}

/// The public key of a private one, both in PEM form.
#[pyfunction]
pub(crate) fn public_key(py: Python<'_>, key: &str) -> PyResult<String> {
    let make = || PrivateKey::from_pem(key)?.public().to_pem();
    make().map_err(|e| Fault::from(e).raise(py))
}
