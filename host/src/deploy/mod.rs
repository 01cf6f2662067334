//! Network → Deployment: the line from a network to an image, on one page.

mod current_based;
mod error;

use std::borrow::Cow;
use std::fmt;

use crate::assemble::{AssembleError, MAX_CONNECTIONS, MAX_ENSEMBLES, assemble};
use crate::balance::{balance, level};
use crate::calibrate::{
    self, Blocks, CalibrateError, Calibration, bounds_from_weights, calibrate_blocks,
    calibrate_keeping, input_ranges,
};
use crate::clip::drop_unreached;
use crate::coder::{Coder, CoderError};
use crate::compensate::{CompensateError, Reference, compensate};
use crate::cost::{self, Choice};
use crate::data::DataSet;
use crate::data::suspicion::{self, Suspicion};
use crate::emulate::{self, EmulateOptions, run_samples};
use crate::graph::Graph;
use crate::image::ImageBuf;
use crate::integers;
use crate::integrate::integrate_and_fire;
use crate::lower::{LowerError, first_voltages, lower, lower_apart};
use crate::network::{Head, Network};
use crate::quantize::{QuantizeOptions, WEIGHT_BITS, quantize};
use crate::report::{Budgets, Report, report};
use crate::split::split;
use crate::tune::{Elsewhere, Task, TuneOptions, Tuning, tune};

pub use error::{DeployError, Stage};

/// The most samples that tuning uses; of more, so many at even distances.
pub const TUNED: usize = 12_288;
/// The most samples that calibrate networks whose neurons keep their state.
pub const CALIBRATED: usize = 256;
/// The most samples on which signs of unfit data are looked for, and an image is compared with what it was made of.
pub const COMPARED: usize = 512;
/// The strength at which channels are balanced unless somebody tunes it, see [`balance`](crate::balance).
const BALANCE: f64 = 0.5;
/// Populations in a row from which on rounded counts add up: ResNet-8 of MLPerf Tiny, with seven, agrees with its float
/// network in 79 % of samples with 15 spikes in a step, and in 95 % with 63.
const DEEP: usize = 6;
/// The most spikes in a step of deep networks.
const DEEP_COUNT: u8 = 63;
/// Samples that biases and roundings are fitted on.
const FITTED: usize = 256;
/// Samples whose activity tells which layers are dense.
const WATCHED: usize = 32;
/// Share of neurons that are taken to spike if no samples tell.
const ASSUMED: f64 = 0.4;

/// The kind of image that a network becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// Rectified neurons as integrate-and-fire neurons, for few steps.
    Plain(QuantizeOptions),
    /// The cheapest such image that keeps the accuracy on held-out samples.
    Tuned(TuneOptions),
    /// The network's own neurons, synapses and first voltages, step by step as a simulation runs them.
    Exact(QuantizeOptions),
}

/// Settings of a deployment.
#[derive(Clone)]
pub struct DeployOptions<'a> {
    /// The kind of image.
    pub mode: Cow<'a, Mode>,
    /// Real inputs, a few hundred at least. Ranges of activations follow from them, of an exact image the
    /// ranges of inputs alone. Without any, inputs lie between 0 and `largest`, and activations have bounds from the
    /// weights, which can cost much accuracy. Samples of several inputs hold the values of each, one behind
    /// the other.
    pub data: Option<&'a dyn Blocks>,
    /// The largest value of each input if there is no data; 1 unless stated.
    pub largest: Vec<f32>,
    /// Plain images of deep networks may have more spikes in a step than the mode's settings say, see
    /// [`Deployment::deep`].
    pub deepen: bool,
    /// The most that image and state may take.
    pub budgets: Budgets,
    /// Coder that makes events of samples on the device. `data` is [its events](crate::coder::Coder::coded).
    pub coder: Option<Coder>,
    /// The release of the model, below which devices can refuse to go back.
    pub model_version: u32,
    /// Is told how many more samples are done (two or three times as many as there are), or candidates of a search.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// A place where a search's candidates run.
    pub elsewhere: Option<&'a dyn Elsewhere>,
}

impl<'a> DeployOptions<'a> {
    /// Deploys in this mode, without data, without limits.
    #[must_use]
    pub fn new(mode: &'a Mode) -> Self {
        Self::of(Cow::Borrowed(mode))
    }

    fn of(mode: Cow<'a, Mode>) -> Self {
        Self {
            mode,
            data: None,
            largest: Vec::new(),
            deepen: false,
            budgets: Budgets::default(),
            coder: None,
            model_version: 0,
            progress: &|_| {},
            elsewhere: None,
        }
    }

    /// Deploys for few steps, with default settings.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            deepen: true,
            ..Self::of(Cow::Owned(Mode::Plain(QuantizeOptions::default())))
        }
    }

    /// Searches for the cheapest image that keeps the accuracy on these samples, with default settings.
    #[must_use]
    pub fn tuned(data: &'a DataSet) -> Self {
        Self::of(Cow::Owned(Mode::Tuned(TuneOptions::default()))).with_data(data)
    }

    /// Keeps the network's own neurons, synapses and first voltages, with default settings.
    #[must_use]
    pub fn exact() -> Self {
        Self::of(Cow::Owned(Mode::Exact(QuantizeOptions::exact())))
    }

    /// The same with real inputs.
    #[must_use]
    pub fn with_data(self, data: &'a dyn Blocks) -> Self {
        Self {
            data: Some(data),
            ..self
        }
    }
}

impl fmt::Debug for DeployOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeployOptions")
            .field("mode", &self.mode)
            .field("data", &self.data.is_some())
            .field("deepen", &self.deepen)
            .field("budgets", &self.budgets)
            .field("model_version", &self.model_version)
            .finish_non_exhaustive()
    }
}

/// An image, and every stage on the way to it.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The part of the network that is deployed, in floats.
    pub graph: Graph,
    /// The ranges that were observed; without populations for an exact image.
    pub calibration: Calibration,
    /// The network in integers.
    pub integers: integers::Network,
    /// The packed image.
    pub image: ImageBuf,
    /// The effects of quantization, layer by layer.
    pub report: Report,
    /// Result of a search.
    pub tuning: Option<Tuning>,
    /// Depth of a network whose neurons may have more spikes in a step than the settings say
    /// ([`DeployOptions::deepen`]), which rounds less.
    pub deep: Option<usize>,
}

impl Network {
    /// Makes an image of the network.
    ///
    /// ```
    /// use tinyspike::{ConvertOptions, DataSet, DeployOptions, EmulateOptions, Model};
    ///
    /// let model = Model::load("demo/mnist_small.keras")?;
    /// let options = ConvertOptions {
    ///     inference_only: true,
    ///     swap_activations: vec![tinyspike::names::swap("relu", "spiking-relu")?],
    ///     scale_firing_rates: tinyspike::ScaleFiringRates::All(1000.0),
    ///     ..ConvertOptions::default()
    /// };
    /// let network = model.convert(&options)?.network;
    /// let deployment = network.deploy(&DeployOptions::exact())?;
    /// let test = DataSet::load("demo/mnist_test10k.npz")?.take(20);
    /// let report = deployment.image.emulate(&test, &EmulateOptions::default())?;
    /// assert!(report.accuracy > Some(0.9));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A search for the cheapest image takes some minutes:
    ///
    /// ```no_run
    /// # use tinyspike::{ConvertOptions, DataSet, DeployOptions, Model};
    /// # let network = Model::load("demo/mnist_small.keras")?.convert(&ConvertOptions::default())?.network;
    /// let samples = DataSet::load("demo/mnist_calibration2k.npz")?;
    /// let deployment = network.deploy(&DeployOptions::tuned(&samples))?;
    /// if let Some(tuning) = &deployment.tuning {
    ///     println!("{tuning}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DeployError`]: the first stage that fails.
    pub fn deploy(&self, options: &DeployOptions<'_>) -> Result<Deployment, DeployError> {
        deploy(self, options)
    }

    /// Makes an image as [`Network::deploy`] does. An exact one is made again with up to 255 spikes in a step, if
    /// neurons have more on a few samples than it counts; then the second value is `true`.
    ///
    /// # Errors
    /// [`DeployError`]: the first stage that fails.
    pub fn deploy_with_room(
        &self,
        options: &DeployOptions<'_>,
        few: Option<&DataSet>,
    ) -> Result<(Deployment, bool), DeployError> {
        let first = deploy(self, options)?;
        if let (Some(few), Mode::Exact(settings)) = (few, options.mode.as_ref())
            && !first.saturated(few).is_empty()
        {
            let mode = Mode::Exact(QuantizeOptions {
                max_count: u8::MAX,
                ..settings.clone()
            });
            let wider = DeployOptions {
                mode: Cow::Borrowed(&mode),
                ..options.clone()
            };
            if let Ok(wider) = deploy(self, &wider) {
                return Ok((wider, true));
            }
        }
        Ok((first, false))
    }
}

/// Samples on which spikes of exact images are counted.
const COUNTED: usize = 32;

impl Deployment {
    /// Signs that samples are not what the network was made for: by their targets, their units, and what the image makes of
    /// some of them.
    #[must_use]
    pub fn suspicions(&self, few: &DataSet) -> Vec<Suspicion> {
        let mut found = suspicion::of_image_targets(few.targets(), &self.image.image());
        // A search has chosen how coarse inputs are.
        if self.tuning.is_none() {
            found.extend(suspicion::of_inputs(few, &self.graph, &self.integers));
        }
        found.extend(self.saturated(few));
        found.extend(self.alike(few));
        found
    }

    /// The one class that all of some samples get, if the network decides between classes.
    fn alike(&self, few: &DataSet) -> Option<Suspicion> {
        let output = self.graph.outputs.first()?;
        let decides = self.tuning.is_some() || output.left_out == Some(Head::Softmax);
        // Targets may be values, and labels of one class are named already.
        let told = match few.labels() {
            Some(labels) => labels.iter().all(|label| Some(label) == labels.first()),
            None => few.targets().is_some(),
        };
        if !decides || told || output.bias.len() < 2 || few.len() < suspicion::FEW {
            return None;
        }
        let some = few.evenly(COUNTED);
        let image = self.image.image();
        let options = EmulateOptions::default();
        let run = emulate::run(&image, &some, 0..some.len(), &options, &|_| ()).ok()?;
        let mut classes = run
            .trials
            .iter()
            .map(|trial| trial.mean.or(trial.leads.last().map(|lead| lead.class)));
        let class = classes.next()??;
        classes
            .all(|other| other == Some(class))
            .then(|| Suspicion::Alike {
                class,
                samples: some.len(),
            })
    }

    /// Neurons of an exact image that have more spikes in a step than it counts, on the first of these samples.
    #[must_use]
    pub fn saturated(&self, few: &DataSet) -> Vec<Suspicion> {
        if !self.graph.is_exact() {
            return Vec::new();
        }
        let image = self.image.image();
        let some = 0..few.len().min(COUNTED);
        let run = emulate::run(&image, few, some, &EmulateOptions::default(), &|_| ());
        run.map_or_else(|_| Vec::new(), |run| suspicion::of_run(&image, &run))
    }
}

/// A network in integers, and what it came from.
struct Made {
    graph: Graph,
    calibration: Calibration,
    integers: integers::Network,
    choices: Vec<Choice>,
    tuning: Option<Tuning>,
}

/// Refuses networks that no pass could make small enough: to find that out by lowering takes time with their square.
fn check_size(network: &Network) -> Result<(), AssembleError> {
    // The last is how many become one, at most.
    for (what, found, limit, fused) in [
        ("ensembles", network.ensembles.len(), MAX_ENSEMBLES, 16),
        (
            "connections",
            network.connections.len(),
            MAX_CONNECTIONS,
            256,
        ),
    ] {
        if found > limit * fused {
            return Err(AssembleError::TooMany { what, found, limit });
        }
    }
    Ok(())
}

/// Makes an image of a network.
///
/// # Errors
/// [`DeployError`]: the first stage that fails.
pub fn deploy(network: &Network, options: &DeployOptions<'_>) -> Result<Deployment, DeployError> {
    check_size(network)?;
    let lowered = match options.mode.as_ref() {
        // An exact network has no neurons that NengoDL does not have.
        Mode::Exact(_) => lower(network)?,
        Mode::Plain(_) | Mode::Tuned(_) => lower_apart(network)?,
    };
    let mut deep = None;
    let mut made = match options.mode.as_ref() {
        Mode::Plain(settings) => {
            deep = Some(lowered.depth()).filter(|&depth| options.deepen && depth >= DEEP);
            let settings = match deep {
                Some(_) => Cow::Owned(QuantizeOptions {
                    max_count: DEEP_COUNT,
                    ..settings.clone()
                }),
                None => Cow::Borrowed(settings),
            };
            plain(&lowered, &settings, options)?
        }
        Mode::Tuned(settings) => tuned(&lowered, settings, options)?,
        Mode::Exact(quantize) => exact(network, lowered, quantize, options)?,
    };
    if let Some(coder) = &options.coder {
        put_coder(&mut made, coder)?;
    }
    let image = assemble(&made.integers)?.with_model_version(options.model_version);
    options.budgets.check(&image.image())?;
    let Made {
        graph,
        calibration,
        integers,
        choices,
        tuning,
    } = made;
    Ok(Deployment {
        report: report(&graph, &calibration, &integers, &image.image(), &choices),
        graph,
        calibration,
        integers,
        image,
        tuning,
        deep,
    })
}

/// Puts a coder before the only input of a network over time.
fn put_coder(made: &mut Made, coder: &Coder) -> Result<(), CoderError> {
    let over_time = current_based::is_current_based(&made.graph);
    let [input] = made.integers.inputs.as_mut_slice() else {
        return Err(CoderError::Network);
    };
    if !over_time || input.zero_point != 0 || !input.channels.is_empty() || input.scale != 1.0 {
        return Err(CoderError::Network);
    }
    if coder.most() > input.max {
        return Err(CoderError::Most {
            most: coder.most(),
            max: input.max,
        });
    }
    input.coder = Some(coder.clone());
    Ok(())
}

/// The graph of an image for few steps, each population small enough for it.
fn integrated(lowered: &Graph) -> Result<Graph, LowerError> {
    Ok(split(integrate_and_fire(lowered)?))
}

fn plain(
    lowered: &Graph,
    settings: &QuantizeOptions,
    options: &DeployOptions<'_>,
) -> Result<Made, DeployError> {
    let mut graph = integrated(lowered)?;
    let Some(data) = options.data else {
        let calibration =
            bounds_from_weights(&graph, &options.largest).map_err(CalibrateError::from)?;
        let mut integers = quantize(&graph, &calibration, settings)?;
        let choices = chosen(&mut integers, None)?;
        return Ok(Made {
            integers,
            graph,
            calibration,
            choices,
            tuning: None,
        });
    };
    let (mut calibration, first) = calibrate_keeping(&graph, data, FITTED, options.progress)?;
    drop_unreached(&mut graph, &calibration);
    let levelled = level(&graph, &calibration);
    if let Some(levelled) = &levelled {
        calibration = calibrate_blocks(levelled, data, options.progress)?;
    }
    let graph = levelled.unwrap_or(graph);
    let graph = balance(&graph, &calibration, BALANCE).graph;
    let calibration = calibrate_blocks(&graph, data, options.progress)?;
    let reference = Reference::new(&graph, first)?;
    // With eight bits the nearest integers lose next to nothing, and a rounding that is fitted to the
    // samples costs classes that are rare among them.
    let round = settings.weight_bits < WEIGHT_BITS;
    let mut integers = compensate(&graph, &calibration, settings, &reference, round)?;
    let choices = chosen(&mut integers, Some(reference.samples()))?;
    Ok(Made {
        integers,
        graph,
        calibration,
        choices,
        tuning: None,
    })
}

/// Chooses which layers are dense, by what happens on some samples.
fn chosen(
    network: &mut integers::Network,
    samples: Option<&calibrate::Samples>,
) -> Result<Vec<Choice>, DeployError> {
    cost::choose_by_shape(network);
    let bytes = assemble(network)?;
    let image = bytes.image();
    let run = match samples {
        Some(samples) => run_samples(&image, samples, WATCHED).map_err(CompensateError::from)?,
        None => cost::assumed(&image, ASSUMED),
    };
    Ok(cost::choose(network, &image, &run))
}

fn tuned(
    lowered: &Graph,
    settings: &TuneOptions,
    options: &DeployOptions<'_>,
) -> Result<Made, DeployError> {
    let graph = integrated(lowered)?;
    let set = options.data.and_then(|data| data.set());
    let set = set.ok_or(DeployError::NoData)?;
    let settings = settings.within(options.budgets);
    let (progress, elsewhere) = (options.progress, options.elsewhere);
    let tuned = tune(&graph, set, &settings, progress, elsewhere)?;
    Ok(Made {
        graph: tuned.graph,
        calibration: tuned.calibration,
        integers: tuned.integers,
        choices: tuned.choices,
        tuning: Some(tuned.tuning),
    })
}

/// Prepares what candidates of a search rest on: for processes that run candidates for a search elsewhere, with the
/// same network, data and options.
///
/// # Errors
/// [`DeployError`]: the first stage that fails.
pub fn task(
    network: &Network,
    settings: &TuneOptions,
    options: &DeployOptions<'_>,
) -> Result<Task, DeployError> {
    let graph = integrated(&lower_apart(network)?)?;
    let set = options.data.and_then(|data| data.set());
    let set = set.ok_or(DeployError::NoData)?;
    Ok(Task::new(&graph, set, &settings.within(options.budgets))?)
}

fn exact(
    network: &Network,
    mut graph: Graph,
    settings: &QuantizeOptions,
    options: &DeployOptions<'_>,
) -> Result<Made, DeployError> {
    if current_based::is_current_based(&graph) {
        graph = current_based::with_small_outputs(graph);
        let (integers, calibration) =
            current_based::quantized(network, &graph, settings, options.data, options.progress)?;
        return Ok(Made {
            integers,
            graph,
            calibration,
            choices: Vec::new(),
            tuning: None,
        });
    }
    first_voltages(network, &settings.initial_voltage, &mut graph)?;
    let graph = split(graph);
    let calibration = match options.data {
        Some(data) => input_ranges(&graph, data, options.progress)?,
        None => Calibration::of_inputs(&graph, &options.largest),
    };
    Ok(Made {
        integers: quantize(&graph, &calibration, settings)?,
        graph,
        calibration,
        choices: Vec::new(),
        tuning: None,
    })
}
