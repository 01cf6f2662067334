//! A trained network of any front end: read as its file's content tells, and converted.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::advice::{Advice, Advised};
use crate::data::DataSet;
use crate::file;
use crate::keras::ShapeError;
use crate::keras::convert::{Conversion, ConvertError, ConvertOptions};
use crate::keras::import::{self, ImportError};
use crate::keras::model::Model;
use crate::network::{Head, Network};
use crate::nir::{self, NirError, NirFile, Reading};
use crate::onnx::{self, OnnxError};

/// The most bytes of a pipe that are read: 2 GiB.
const MAX_BYTES: u64 = 2 << 30;

/// A format of trained networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Keras: `.keras`, HDF5, or a SavedModel.
    Keras,
    /// ONNX.
    Onnx,
    /// NIR, in HDF5.
    Nir,
}

impl Format {
    /// Its name in small letters, such as `onnx`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keras => "keras",
            Self::Onnx => "onnx",
            Self::Nir => "nir",
        }
    }
}

/// Options of reading and converting a trained network.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Conversion of a model of layers.
    pub convert: ConvertOptions,
    /// Shape of each input without the batch axis, if a model of layers leaves it open.
    pub input_shapes: Option<Vec<Vec<usize>>>,
    /// File with the JSON text of `model.to_json()`, for a Keras file that holds weights alone.
    pub config: Option<PathBuf>,
    /// Semantics of a NIR graph, as [`nir::Choices::parse`] takes them; if there are none, those of its likely writer.
    pub semantics: Vec<String>,
}

/// The fields of [`LoadOptions`] and [`ConvertOptions`] that are for models of layers alone.
pub const FOR_LAYERS: [&str; 11] = [
    "config",
    "input_shapes",
    "allow_fallback",
    "inference_only",
    "max_to_avg_pool",
    "split_shared_weights",
    "swap_activations",
    "scale_firing_rates",
    "synapse",
    "temporal_model",
    "nengo_dl_compat",
];

impl LoadOptions {
    /// The field that was set, and is for models of layers alone.
    fn for_layers(&self) -> Option<&'static str> {
        let (set, unset) = (&self.convert, ConvertOptions::default());
        let given = [
            self.config.is_some(),
            self.input_shapes.is_some(),
            set.allow_fallback != unset.allow_fallback,
            set.inference_only,
            set.max_to_avg_pool,
            set.split_shared_weights,
            !set.swap_activations.is_empty(),
            set.scale_firing_rates != unset.scale_firing_rates,
            set.synapse.is_some(),
            set.temporal_model,
            set.nengo_dl_compat,
        ];
        let mut options = FOR_LAYERS.into_iter().zip(given);
        options.find_map(|(option, given)| given.then_some(option))
    }
}

/// A trained network that cannot be had from a file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A Keras file that cannot be read.
    #[error(transparent)]
    Keras(#[from] ImportError),
    /// An ONNX file that cannot be read.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// A NIR graph that cannot be read or converted.
    #[error(transparent)]
    Nir(#[from] NirError),
    /// A pipe or a device that cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The file, as the caller named it.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Shapes that a model's inputs cannot have.
    #[error("{file}: {source}")]
    Shapes {
        /// The file, as the caller named it.
        file: String,
        /// The reason.
        source: ShapeError,
    },
    /// A model of layers that has no network.
    #[error("{file}: {source}")]
    Convert {
        /// The file, as the caller named it.
        file: String,
        /// The reason.
        source: ConvertError,
    },
    /// An option for models of layers, given with a NIR graph.
    #[error(
        "{file}: {option} is for models of layers, and changes nothing in a NIR graph; leave it out"
    )]
    ForLayers {
        /// The file, as the caller named it.
        file: String,
        /// The field of [`LoadOptions`] or [`ConvertOptions`].
        option: &'static str,
    },
    /// Semantics, given with a model of layers.
    #[error("{file}: semantics is for NIR graphs, which this is none of")]
    ForGraphs {
        /// The file, as the caller named it.
        file: String,
    },
}

impl Advised for LoadError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Keras(error) => error.advice(),
            Self::Onnx(error) => error.advice(),
            Self::Convert { source, .. } => source.advice(),
            Self::Nir(_)
            | Self::Read { .. }
            | Self::Shapes { .. }
            | Self::ForLayers { .. }
            | Self::ForGraphs { .. } => Vec::new(),
        }
    }
}

/// A model of layers, of Keras or ONNX, and its network.
#[derive(Clone, Debug)]
pub struct Layers {
    /// The format that it was read from.
    pub format: Format,
    /// The layers.
    pub model: Model,
    /// Their network, and what was noticed.
    pub conversion: Conversion,
    /// Remarks on what was read.
    pub remarks: Vec<String>,
}

/// A trained network of any front end.
///
/// ```
/// use tinyspike::{ConvertOptions, DataSet, DeployOptions, LoadOptions, Trained};
///
/// let options = LoadOptions {
///     convert: ConvertOptions { inference_only: true, ..ConvertOptions::default() },
///     ..LoadOptions::default()
/// };
/// // Keras, ONNX or NIR: the file's content tells.
/// let trained = Trained::load("demo/mnist_small.keras", &options)?;
/// assert_eq!(trained.format().name(), "keras");
/// let (samples, _) = trained.scaled(DataSet::load("demo/mnist_calibration2k.npz")?.take(300), None, 0);
/// let deployment = trained.network().deploy(&DeployOptions::plain().with_data(&samples))?;
/// assert!(deployment.image.bytes().len() < 100_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub enum Trained {
    /// A model of layers.
    Layers(Box<Layers>),
    /// A NIR graph, read by some semantics.
    Graph(Box<Reading>),
}

/// Values that an input's bytes stand for, if these are not 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// 0 to 255, because the model scales them itself.
    Whole,
    /// Numbers of events, because the samples have an axis of time.
    Events,
}

impl Trained {
    /// Reads a trained network and converts it. The file's content tells which format it has.
    ///
    /// # Errors
    /// [`LoadError`], if it cannot be read or has no network, or an option is for other formats.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let about = path.metadata();
        if about.is_ok_and(|about| !about.is_file() && !about.is_dir()) && options.config.is_none()
        {
            return Self::from_pipe(path, &name, options);
        }
        if let Some(graph) = NirFile::open(path) {
            return Self::of_graph(&name, graph.graph()?, options);
        }
        let named = path.extension();
        let named = named.is_some_and(|end| end.eq_ignore_ascii_case("nir"));
        if !options.semantics.is_empty() && !named {
            return Err(LoadError::ForGraphs { file: name });
        }
        let read = || match &options.config {
            None if onnx::is_onnx(path) => {
                let import = onnx::load(path, options.input_shapes.as_deref())?;
                Self::of_layers(&name, Format::Onnx, import.model, import.remarks, options)
            }
            None => Self::of_keras(&name, Model::load(path)?, options),
            Some(config) => Self::of_keras(&name, Model::load_with_config(path, config)?, options),
        };
        let loaded = read();
        if loaded.is_err() && named {
            // The reason why it is no graph says more.
            nir::load(path)?;
        }
        loaded
    }

    /// Reads a pipe, of which nothing can be read twice.
    fn from_pipe(path: &Path, name: &str, options: &LoadOptions) -> Result<Self, LoadError> {
        // A device may have no end: of what is no model the start is enough.
        let begins = |start: &[u8]| onnx::begins_onnx(start) || import::is_known(start);
        let bytes = file::read_if(path, MAX_BYTES, begins).map_err(|source| LoadError::Read {
            file: name.to_owned(),
            source,
        })?;
        if bytes.starts_with(file::HDF5)
            && let Some(graph) = NirFile::of(name, bytes.clone())
        {
            return Self::of_graph(name, graph.graph()?, options);
        }
        let format = match onnx::begins_onnx(&bytes) {
            true => Format::Onnx,
            false => Format::Keras,
        };
        Self::from_bytes(format, name, &bytes, options)
    }

    /// Reads a trained network from a file's content, whose format is known; `name` stands for the file in messages.
    ///
    /// # Errors
    /// As [`Trained::load`].
    pub fn from_bytes(
        format: Format,
        name: &str,
        bytes: &[u8],
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        if format != Format::Nir && !options.semantics.is_empty() {
            return Err(LoadError::ForGraphs { file: name.into() });
        }
        match format {
            Format::Nir => Self::of_graph(name, nir::from_bytes(name, bytes)?, options),
            Format::Onnx => {
                let import = onnx::load_bytes(name, bytes, options.input_shapes.as_deref())?;
                Self::of_layers(name, format, import.model, import.remarks, options)
            }
            Format::Keras => Self::of_keras(name, Model::from_bytes(name, bytes)?, options),
        }
    }

    fn of_keras(file: &str, mut model: Model, options: &LoadOptions) -> Result<Self, LoadError> {
        if let Some(shapes) = &options.input_shapes {
            (model.set_input_shapes(shapes)).map_err(|source| LoadError::Shapes {
                file: file.to_owned(),
                source,
            })?;
        }
        Self::of_layers(file, Format::Keras, model, Vec::new(), options)
    }

    fn of_layers(
        file: &str,
        format: Format,
        model: Model,
        remarks: Vec<String>,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let conversion = model.convert(&options.convert);
        let conversion = conversion.map_err(|source| LoadError::Convert {
            file: file.to_owned(),
            source,
        })?;
        Ok(Self::Layers(Box::new(Layers {
            format,
            model,
            conversion,
            remarks,
        })))
    }

    fn of_graph(file: &str, graph: nir::Graph, options: &LoadOptions) -> Result<Self, LoadError> {
        if let Some(option) = options.for_layers() {
            return Err(LoadError::ForLayers {
                file: file.to_owned(),
                option,
            });
        }
        let reading = Reading::new(graph, &options.semantics).map_err(|problem| NirError {
            file: file.to_owned(),
            problem,
        })?;
        Ok(Self::Graph(Box::new(reading)))
    }

    /// The format that it was read from.
    #[must_use]
    pub fn format(&self) -> Format {
        match self {
            Self::Layers(layers) => layers.format,
            Self::Graph(_) => Format::Nir,
        }
    }

    /// The network in Nengo's words.
    #[must_use]
    pub fn network(&self) -> &Network {
        match self {
            Self::Layers(layers) => &layers.conversion.network,
            Self::Graph(reading) => &reading.conversion.network,
        }
    }

    /// Seconds per step, if the network says them.
    #[must_use]
    pub fn dt(&self) -> Option<f64> {
        match self {
            Self::Layers(_) => None,
            Self::Graph(reading) => Some(reading.choices.all.dt),
        }
    }

    /// The function that ends a model of layers, if it is a logistic one.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        match self {
            Self::Layers(layers) => layers.model.ends_in_sigmoid().then_some(Head::Sigmoid),
            Self::Graph(_) => None,
        }
    }

    /// The largest value of each input, by which ranges are bounded without samples.
    #[must_use]
    pub fn largest(&self) -> Vec<f32> {
        match self {
            Self::Layers(layers) => (0..self.network().inputs.len())
                .map(|input| match layers.model.takes_bytes(input) {
                    true => 255.0,
                    false => 1.0,
                })
                .collect(),
            Self::Graph(_) => Vec::new(),
        }
    }

    /// Tells whether samples have an axis of time before those of an input: only graphs of NIR take such.
    #[must_use]
    pub fn over_time(&self, set: &DataSet, input: usize) -> bool {
        let network = self.network();
        let input = network.inputs.get(input);
        let node = input.and_then(|(_, node)| network.nodes.get(node.0));
        matches!(self, Self::Graph(_)) && node.is_some_and(|n| set.sample_size() != n.size_out)
    }

    /// The data of an input, whose bytes stand for what the user says, or else for what the network takes. That comes
    /// along if there are bytes, and it is not 0 to 1.
    #[must_use]
    pub fn scaled(
        &self,
        set: DataSet,
        byte_scale: Option<f32>,
        input: usize,
    ) -> (DataSet, Option<Bytes>) {
        let taken = match self {
            _ if byte_scale.is_some() => None,
            Self::Layers(layers) => layers.model.takes_bytes(input).then_some(Bytes::Whole),
            Self::Graph(_) => self.over_time(&set, input).then_some(Bytes::Events),
        };
        let plain = set.has_plain_bytes();
        let scale = byte_scale.or(taken.map(|_| 1.0));
        let set = match scale {
            Some(scale) => set.with_byte_scale(scale),
            None => set,
        };
        (set, taken.filter(|_| plain))
    }
}
