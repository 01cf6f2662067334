//! The front door: each stage as a method of the type that it starts from.

use std::path::Path;

use crate::data::{self, DataError, DataSet};
use crate::emulate::{self, EmulateError, EmulateOptions};
use crate::image::ImageBuf;
use crate::inputs::Inputs;
use crate::keras::convert::{self, Conversion, ConvertError, ConvertOptions};
use crate::keras::import::{self, ImportError};
use crate::keras::model::Model;
use crate::keras::{self, Verification, VerifyError, VerifyOptions};
use crate::network::Network;
use crate::nir;
use crate::simulate::SimulateOptions;
use crate::simulation::{self, Simulation, SimulationError};

/// Number of samples that are verified at a time.
const BLOCK: usize = 64;

impl Model {
    /// Reads a Keras model: `.keras`, `.h5`, or a SavedModel, as the content tells.
    ///
    /// ```
    /// let model = tinyspike::Model::load("demo/mnist_small.keras")?;
    /// assert_eq!(model.layers.len(), 6);
    /// # Ok::<(), tinyspike::keras::import::ImportError>(())
    /// ```
    ///
    /// # Errors
    /// [`ImportError`], if the file cannot be read or holds no model.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ImportError> {
        import::load(path.as_ref())
    }

    /// Reads a Keras model from a file's content; `name` stands for the file in messages.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, ImportError> {
        import::load_bytes(name, bytes)
    }

    /// Reads a model whose file holds weights alone, and the JSON text of `model.to_json()`.
    ///
    /// # Errors
    /// As [`Model::load`]; if the weights do not fit the configuration.
    pub fn load_with_config(
        weights: impl AsRef<Path>,
        config: impl AsRef<Path>,
    ) -> Result<Self, ImportError> {
        import::load_with_config(weights.as_ref(), config.as_ref())
    }

    /// Converts the model to a network of Nengo's objects.
    ///
    /// ```
    /// use tinyspike::{ConvertOptions, Model};
    ///
    /// let model = Model::load("demo/mnist_small.keras")?;
    /// let options = ConvertOptions { inference_only: true, ..ConvertOptions::default() };
    /// let conversion = model.convert(&options)?;
    /// assert!(conversion.warnings.is_empty());
    /// assert_eq!(conversion.network.inputs.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ConvertError`], if a layer, activation, shape or option has no network.
    pub fn convert(&self, options: &ConvertOptions) -> Result<Conversion, ConvertError> {
        convert::convert(self, options)
    }

    /// Compares the model's outputs with those of the network that it was converted to, on samples; see
    /// [`keras::verify`].
    ///
    /// ```
    /// use tinyspike::{ConvertOptions, DataSet, Model, VerifyOptions};
    ///
    /// let model = Model::load("demo/mnist_small.keras")?;
    /// let network = model.convert(&ConvertOptions::default())?.network;
    /// let samples = DataSet::load("demo/mnist_calibration2k.npz")?.take(10);
    /// let options = VerifyOptions { atol: 1e-5, ..VerifyOptions::default() };
    /// assert!(model.verify(&network, &samples, &options)?.passed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`VerifyError`], if model or network cannot run on the samples. That they differ is no error.
    pub fn verify(
        &self,
        network: &Network,
        data: &DataSet,
        options: &VerifyOptions,
    ) -> Result<Verification, VerifyError> {
        let inputs = Inputs::new(network, std::slice::from_ref(data), options.temporal_model)?;
        self.verify_inputs(network, &inputs, options, &mut |_| ())
    }

    /// Compares as [`Model::verify`] does, with data for each input. `visit` is told how many more samples are done.
    ///
    /// # Errors
    /// As [`Model::verify`].
    pub fn verify_inputs(
        &self,
        network: &Network,
        inputs: &Inputs,
        options: &VerifyOptions,
        visit: &mut dyn FnMut(usize),
    ) -> Result<Verification, VerifyError> {
        let mut whole = Verification {
            outputs: Vec::new(),
            options: *options,
        };
        for from in (0..inputs.len()).step_by(BLOCK) {
            let samples = from..inputs.len().min(from + BLOCK);
            let tensors = inputs.tensors(samples.clone());
            whole.add(keras::verify(self, network, Some(&tensors), options)?);
            visit(samples.len());
        }
        Ok(whole)
    }
}

impl Network {
    /// Simulates the network in floats, step by step as NengoDL does, on all samples.
    ///
    /// The samples of a network with several inputs hold the values of each, see
    /// [`DataSet::side_by_side`]. Those of a network with one input may have an axis of time before that of the
    /// input; `steps` of them are run. [`simulation::simulate`] hands out what each neuron did.
    ///
    /// ```
    /// use tinyspike::{ConvertOptions, DataSet, Model, SimulateOptions};
    /// use tinyspike::network::NeuronType;
    ///
    /// let model = Model::load("demo/mnist_small.keras")?;
    /// let options = ConvertOptions {
    ///     swap_activations: vec![tinyspike::names::swap("relu", "spiking-relu")?],
    ///     scale_firing_rates: tinyspike::ScaleFiringRates::All(100.0),
    ///     ..ConvertOptions::default()
    /// };
    /// let network = model.convert(&options)?.network;
    /// let test = DataSet::load("demo/mnist_test10k.npz")?.take(20);
    /// let simulation = network.simulate(&test, 50, &SimulateOptions::default())?;
    /// assert!(simulation.accuracy.is_some_and(|share| share > 0.9));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SimulationError`], if data and network do not fit each other.
    pub fn simulate(
        &self,
        data: &DataSet,
        steps: usize,
        options: &SimulateOptions,
    ) -> Result<Simulation, SimulationError> {
        let over_time = self.inputs.len() == 1 && Inputs::over_time(self, 0, data.shape());
        let inputs = Inputs::new(self, std::slice::from_ref(data), over_time)?;
        simulation::simulate(self, &inputs, Some(steps), options, &mut |_| ())
    }
}

impl nir::Graph {
    /// Reads a NIR graph, as frameworks for spiking networks export them.
    ///
    /// A file does not say how a step is taken; [`nir::Choices`] do, by the name of a framework or one by one.
    ///
    /// ```
    /// use tinyspike::nir::{Choices, Graph};
    /// use tinyspike::simulate::Readout;
    /// use tinyspike::{DataSet, SimulateOptions};
    ///
    /// let graph = Graph::load("../tests/fixtures/nir/snntorch_watch_rleaky.nir")?;
    /// let choices = Choices::parse(&graph, &["snntorch".to_owned()])?;
    /// let network = graph.convert(&choices)?.network;
    /// // Bytes stand for numbers of events.
    /// let test = DataSet::load("../tests/fixtures/nir/snntorch_watch_rleaky.npz")?.with_byte_scale(1.0);
    /// let options = SimulateOptions {
    ///     dt: choices.all.dt,
    ///     readout: Readout::Sum,
    ///     ..SimulateOptions::default()
    /// };
    /// let simulation = network.simulate(&test, 100, &options)?;
    /// assert_eq!(simulation.accuracy, Some(1.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`nir::NirError`], if the file cannot be read or holds no graph.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, nir::NirError> {
        nir::load(path.as_ref())
    }
}

impl DataSet {
    /// Reads a data set: `.npz` with `x` and `y`, a lone `.npy`, or IDX; see [`data::load`].
    ///
    /// ```
    /// let test = tinyspike::DataSet::load("demo/mnist_test10k.npz")?;
    /// assert_eq!((test.len(), test.shape()), (10_000, [28, 28].as_slice()));
    /// # Ok::<(), tinyspike::data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError`], if the file cannot be read or is no data set.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, DataError> {
        data::load(path)
    }
}

impl ImageBuf {
    /// Runs the image on all samples, with the engine that devices run.
    ///
    /// # Errors
    /// [`EmulateError`], if the samples do not fit the image.
    pub fn emulate(
        &self,
        data: &DataSet,
        options: &EmulateOptions,
    ) -> Result<emulate::Report, EmulateError> {
        emulate::emulate(&self.image(), data, options, &|_| ())
    }
}
