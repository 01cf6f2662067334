//! Images on boards: real ones behind a debug probe, and emulated ones.

use std::path::PathBuf;
use std::sync::Arc;

use emulated_board::{Board as Emulated, Machine, Options};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use tinyspike::ImageBuf;
use tinyspike::bench::{BenchError, BenchOptions, code, programs};
use tinyspike::device::run::{self as device_run, RunError, RunOptions, StreamOptions, Tally};
use tinyspike::device::{
    Board as Known, Chip, Chips, ConnectError, Firmware, FlashOptions, Layout, LayoutOptions,
    Origin, Plan, PlanOptions, Selector, TalkOptions, application, estimate as predict,
    flash as write, talk,
};
use tinyspike::sign::PublicKey;
use tinyspike::stream;
use tinyspike_board::firmware::Board;

use crate::data::{Data, all_given};
use crate::fault::Fault;
use crate::image::{Image, of_image, recordings, set_output};
use crate::options::read_out;
use crate::recorded::json;
use crate::work::{Monitor, work};

const CLASS: &str = "BoardError";

/// A board, as Python names it.
#[derive(Clone, Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Target {
    /// `emulated:NAME`, or the name of a board or a chip.
    on: String,
    probe: Option<String>,
    chip_description: Option<PathBuf>,
    firmware: Option<PathBuf>,
}

/// A board that runs, and its firmware.
struct Deployed {
    chip: Chip,
    firmware: Firmware,
    probe: Option<Selector>,
    /// An emulated board lives as long as this.
    _emulated: Option<Emulated>,
}

fn machine(name: &str) -> Result<Option<Machine>, Fault> {
    let Some(name) = name.strip_prefix("emulated:") else {
        return Ok(None);
    };
    let machine = name.parse::<Machine>();
    machine.map(Some).map_err(|e| Fault::of(CLASS, &e))
}

/// Writes an image with its firmware to a board.
fn deploy(
    target: &Target,
    image: &ImageBuf,
    plan_options: &PlanOptions,
    monitor: &Monitor,
) -> Result<Deployed, Fault> {
    let mut chips = Chips::builtin();
    if let Some(path) = &target.chip_description {
        chips
            .add_description(path)
            .map_err(|e| Fault::advised(CLASS, &e))?;
    }
    let machine = machine(&target.on)?;
    if let Some((machine, text)) = machine.and_then(|m| Some((m, m.chip_description()?))) {
        (chips.add_yaml(machine.name(), text)).map_err(|e| Fault::advised(CLASS, &e))?;
    }
    let found = |chip| chips.find(chip).map_err(|e| Fault::advised(CLASS, &e));
    let chip = match (machine, Known::find(&target.on)) {
        (Some(machine), _) => found(machine.chip())?,
        (None, Ok(board)) => board.chip(&chips).map_err(|e| Fault::advised(CLASS, &e))?,
        (None, Err(_)) => found(&target.on)?,
    };
    let key = plan_options.key.as_ref();
    let firmware = match &target.firmware {
        Some(path) => Firmware::read(path),
        None => {
            let layout = Layout::of(&chip, &LayoutOptions::default());
            let layout = layout.map_err(|e| Fault::advised(CLASS, &e))?;
            application(
                &chip,
                &layout.built_for(&chip, &image.image()),
                key,
                Origin::Prebuilt,
            )
        }
    };
    let firmware = firmware.map_err(|e| Fault::advised(CLASS, &e))?;
    let plan = Plan::new(&chip, image, Some(&firmware), plan_options);
    let plan = plan.map_err(|e| Fault::advised(CLASS, &e))?;
    monitor.tick(0);
    let emulated = machine.map(|machine| Emulated::start(machine, &Options::default()));
    let emulated = emulated.transpose().map_err(|e| Fault::of(CLASS, &e))?;
    let probe = match &emulated {
        Some(board) => Some(board.probe_selector()),
        None => target.probe.clone(),
    };
    let probe = probe.map(|text| text.parse::<Selector>()).transpose();
    let probe = probe.map_err(|e| Fault::advised(CLASS, &e))?;
    let options = FlashOptions {
        probe: probe.clone(),
        ..FlashOptions::default()
    };
    write(&plan, &options, &mut |_| ()).map_err(|e| Fault::advised(CLASS, &e))?;
    monitor.tick(0);
    Ok(Deployed {
        chip,
        firmware,
        probe,
        _emulated: emulated,
    })
}

impl From<ConnectError> for Fault {
    fn from(error: ConnectError) -> Self {
        Self::advised(CLASS, &error)
    }
}

impl From<RunError> for Fault {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Data(error) => error.into(),
            error => Self::of(CLASS, &error),
        }
    }
}

impl From<BenchError> for Fault {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Data(error) => error.into(),
            error => Self::of(CLASS, &error),
        }
    }
}

/// Runs an image on a board and compares every spike count and output with the emulator's: the report as JSON, and
/// outputs by label, `[samples, size]`.
#[pyfunction]
#[pyo3(signature = (image, data, target, bisect=false, stateful=false, readout=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "they are Python's")]
pub(crate) fn run<'py>(
    py: Python<'py>,
    image: PyRef<'py, Image>,
    data: Vec<PyRef<'py, Data>>,
    target: Target,
    bisect: bool,
    stateful: bool,
    readout: Option<String>,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let bytes: Arc<ImageBuf> = image.bytes.clone();
    let own = bytes.clone();
    let given = all_given(&data);
    let (report, outputs, count, said) = work(py, progress, move |monitor| {
        let image = bytes.image();
        let over_time = stream::is_current_based(&image);
        let (set, said) = if over_time {
            recordings(&image, &given)?
        } else {
            of_image(&image, &given)?
        };
        let readout = read_out(readout.as_deref(), stream::readout(&image))?;
        let deployed = deploy(&target, &bytes, &PlanOptions::default(), monitor)?;
        let mut outputs = vec![Vec::new(); image.description().outputs.len()];
        let mut visit = |tally: &Tally| {
            for (all, values) in outputs.iter_mut().zip(&tally.outputs) {
                all.extend(values.iter().map(|&v| v as f32));
            }
            monitor.tick(1);
        };
        let options = TalkOptions {
            probe: deployed.probe.clone(),
            ..TalkOptions::default()
        };
        let report = talk(
            &deployed.chip,
            Some(&deployed.firmware),
            &options,
            |session| {
                device_run::check(session, &image)?;
                let report = if over_time {
                    let streaming = StreamOptions { readout, stateful };
                    device_run::stream(session, &image, &set, streaming, &mut visit)?
                } else {
                    device_run::run(session, &image, &set, &RunOptions { bisect }, &mut visit)?
                };
                Ok::<_, Fault>(report)
            },
        )?;
        if let Some(parting) = report.parting() {
            return Err(Fault::new(CLASS, parting));
        }
        Ok((json(&report)?, outputs, report.images, said))
    })?;
    let result = PyDict::new(py);
    result.set_item("report", report)?;
    said.show(&result)?;
    let (all, likely) = (PyDict::new(py), PyDict::new(py));
    let image = own.image();
    for (at, values) in outputs.into_iter().enumerate() {
        set_output(&image, at, count, values, [&all, &likely])?;
    }
    result.set_item("outputs", all)?;
    result.set_item("probabilities", likely)?;
    Ok(result)
}

/// Writes an image with its firmware to a board; the plan as JSON.
#[pyfunction]
#[pyo3(signature = (image, target, key=None, minimum_version=0))]
pub(crate) fn flash(
    py: Python<'_>,
    image: PyRef<'_, Image>,
    target: Target,
    key: Option<String>,
    minimum_version: u32,
) -> PyResult<()> {
    let bytes = image.bytes.clone();
    work(py, None, move |monitor| {
        let key = key.as_deref().map(PublicKey::from_pem).transpose()?;
        let options = PlanOptions {
            key,
            minimum: minimum_version,
            ..PlanOptions::default()
        };
        deploy(&target, &bytes, &options, monitor).map(drop)
    })
}

/// Counts the instructions of inferences on an emulated board: the report as JSON and as text.
#[pyfunction]
pub(crate) fn bench<'py>(
    py: Python<'py>,
    image: PyRef<'py, Image>,
    data: Vec<PyRef<'py, Data>>,
    on: String,
) -> PyResult<(String, String)> {
    let bytes = image.bytes.clone();
    let given = all_given(&data);
    work(py, None, move |monitor| {
        let Some(board): Option<Board> = machine(&on)? else {
            let message = format!("{on}: instructions are counted on emulated boards");
            let advice = "`Image.estimate` says what an inference takes on a board that is not there, and \
                          `tinyspike bench --on CHIP` counts a chip's cycles";
            return Err(Fault::new(CLASS, format!("{message}; {advice}")));
        };
        let image = bytes.image();
        let set = if stream::is_current_based(&image) {
            let (recordings, _) = recordings(&image, &given)?;
            let steps = stream::as_steps(&image, &recordings);
            let wrong = "the recordings are no steps of the image's input";
            steps.ok_or_else(|| Fault::new("DataError", wrong))?
        } else {
            of_image(&image, &given)?.0
        };
        let [whole, layers] = programs(&bytes, board)?;
        monitor.tick(0);
        let options = BenchOptions {
            board,
            firmware: Some(whole),
            layers_firmware: Some(layers),
            code: code(&bytes, board)?,
            ..BenchOptions::default()
        };
        let report = tinyspike::bench::bench(&bytes, &set, &options)?;
        Ok((json(&report)?, report.to_string()))
    })
}

/// Predicts what inferences take on a board, from a run on this machine: the report as JSON and as text.
#[pyfunction]
pub(crate) fn estimate<'py>(
    py: Python<'py>,
    image: PyRef<'py, Image>,
    data: Vec<PyRef<'py, Data>>,
    board: String,
) -> PyResult<(String, String)> {
    let bytes = image.bytes.clone();
    let given = all_given(&data);
    work(py, None, move |monitor| {
        let board = Known::find(&board).map_err(|e| Fault::advised(CLASS, &e))?;
        let image = bytes.image();
        predict::check(board, &image).map_err(|e| Fault::advised(CLASS, &e))?;
        let (set, _) = of_image(&image, &given)?;
        let estimate = predict::estimate(board, &image, &set, &|n| monitor.tick(n));
        let estimate = estimate.map_err(|e| Fault::advised(CLASS, &e))?;
        Ok((json(&estimate)?, estimate.to_string()))
    })
}
