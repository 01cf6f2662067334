//! A trained network of any front end, and its conversion.

use std::path::Path;

use tinyspike::convert::{Conversion, Warning};
use tinyspike::data::{BYTE_SCALE, DataSet, Samples};
use tinyspike::nir::{self, Choices, Graph, NirError, NirFile, Problem};
use tinyspike::{Model, Network, onnx};

use crate::fault::Fault;
use crate::options::Convert;

/// A converted model of layers, or a NIR graph read by some semantics.
pub(crate) enum Source {
    Layers {
        model: Box<Model>,
        conversion: Box<Conversion>,
        kind: &'static str,
    },
    Nir {
        choices: Box<Choices>,
        conversion: Box<nir::Conversion>,
        /// The words that say which semantics were taken, and why.
        taken: String,
    },
}

impl Source {
    /// Reads and converts a file, as its content tells what it is.
    pub(crate) fn load(path: &Path, options: &Convert) -> Result<(Self, Vec<String>), Fault> {
        if let Some(file) = NirFile::open(path) {
            return Self::of_graph(&path.display().to_string(), &file.graph()?, options);
        }
        let named = path.extension();
        if named.is_some_and(|end| end.eq_ignore_ascii_case("nir")) {
            let graph = nir::load(path)?;
            return Self::of_graph(&path.display().to_string(), &graph, options);
        }
        let name = path.display().to_string();
        if onnx::is_onnx(path) {
            let import = onnx::load(path, options.input_shapes.as_deref())?;
            return Self::of_layers(&name, "onnx", import.model, import.remarks, options);
        }
        let model = Model::load(path)?;
        Self::of_keras(&name, model, options)
    }

    /// Reads and converts a file's content.
    pub(crate) fn load_bytes(
        kind: &str,
        name: &str,
        content: &[u8],
        options: &Convert,
    ) -> Result<(Self, Vec<String>), Fault> {
        match kind {
            "nir" => Self::of_graph(name, &nir::from_bytes(name, content)?, options),
            "onnx" => {
                let import = onnx::load_bytes(name, content, options.input_shapes.as_deref())?;
                Self::of_layers(name, "onnx", import.model, import.remarks, options)
            }
            _ => Self::of_keras(name, Model::from_bytes(name, content)?, options),
        }
    }

    /// Reads and converts weights beside a configuration.
    pub(crate) fn load_with_config(
        weights: &Path,
        config: &Path,
        options: &Convert,
    ) -> Result<(Self, Vec<String>), Fault> {
        let model = Model::load_with_config(weights, config)?;
        Self::of_keras(&weights.display().to_string(), model, options)
    }

    fn of_keras(
        name: &str,
        mut model: Model,
        options: &Convert,
    ) -> Result<(Self, Vec<String>), Fault> {
        if let Some(shapes) = &options.input_shapes {
            (model.set_input_shapes(shapes))
                .map_err(|e| Fault::of("ModelError", &e).of_what(name))?;
        }
        Self::of_layers(name, "keras", model, Vec::new(), options)
    }

    fn of_layers(
        name: &str,
        kind: &'static str,
        model: Model,
        mut remarks: Vec<String>,
        options: &Convert,
    ) -> Result<(Self, Vec<String>), Fault> {
        if !options.semantics.is_empty() {
            let message = format!("{name}: semantics is for NIR graphs, which this is none of");
            return Err(Fault::new("OptionError", message).at("option", Some("semantics")));
        }
        let conversion = (model.convert(&options.options()?))
            .map_err(|error| Fault::from(error).of_what(name))?;
        // Layers have no numbers here that could differ.
        let warnings = conversion.warnings.iter();
        let warnings = warnings.filter(|warning| !matches!(warning, Warning::Sequential));
        remarks.extend(warnings.map(ToString::to_string));
        let source = Self::Layers {
            model: Box::new(model),
            conversion: Box::new(conversion),
            kind,
        };
        Ok((source, remarks))
    }

    fn of_graph(
        name: &str,
        graph: &Graph,
        options: &Convert,
    ) -> Result<(Self, Vec<String>), Fault> {
        if let Some(option) = options.for_layers() {
            let message = format!(
                "{name}: {option} is for models of layers, and changes nothing in a NIR graph; leave it out"
            );
            return Err(Fault::new("OptionError", message).at("option", Some(option)));
        }
        let failed = |problem: Problem| NirError {
            file: name.to_owned(),
            problem,
        };
        let choices = Choices::parse(graph, &options.semantics).map_err(failed)?;
        let conversion = graph.convert(&choices).map_err(failed)?;
        let mut remarks = conversion.remarks.clone();
        let guess = nir::guess(graph);
        let open = nir::guessed(graph, &choices, &guess, &options.semantics).map_err(failed)?;
        if !open.is_empty() {
            let rest = match options.semantics.is_empty() {
                true => String::new(),
                false => format!(" in {}, which semantics= leaves open", open.join(", ")),
            };
            remarks.push(format!(
                "NIR does not say how a step is taken; taken for semantics {}{rest} ({}). semantics= sets it, and \
                 `tinyspike verify --match` finds it by a recorded sample",
                guess.preset.name, guess.reason
            ));
        }
        let taken = match options.semantics.as_slice() {
            [] => format!("{} ({})", guess.preset.name, guess.reason),
            given => given.join(", "),
        };
        let source = Self::Nir {
            choices: Box::new(choices),
            conversion: Box::new(conversion),
            taken,
        };
        Ok((source, remarks))
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Layers { kind, .. } => kind,
            Self::Nir { .. } => "nir",
        }
    }

    pub(crate) fn network(&self) -> &Network {
        match self {
            Self::Layers { conversion, .. } => &conversion.network,
            Self::Nir { conversion, .. } => &conversion.network,
        }
    }

    /// Seconds per step, if the network says them.
    pub(crate) fn dt(&self) -> Option<f64> {
        match self {
            Self::Layers { .. } => None,
            Self::Nir { choices, .. } => Some(choices.all.dt),
        }
    }

    /// Tells whether samples have an axis of time before those of an input.
    pub(crate) fn over_time(&self, set: &DataSet, input: usize) -> bool {
        let network = self.network();
        let input = network.inputs.get(input);
        let node = input.and_then(|(_, node)| network.nodes.get(node.0));
        matches!(self, Self::Nir { .. })
            && node.is_some_and(|node| set.sample_size() != node.size_out)
    }

    /// The data of an input, whose bytes stand for what the user says, or else for what the network takes; and a note, if
    /// that is not plain.
    pub(crate) fn scaled(
        &self,
        set: &DataSet,
        byte_scale: Option<f32>,
        input: usize,
    ) -> (DataSet, Option<String>) {
        let set = set.clone();
        if let Some(scale) = byte_scale {
            return (set.with_byte_scale(scale), None);
        }
        let bytes = set.byte_scale() == BYTE_SCALE && matches!(set.samples(), Samples::U8(_));
        let note = |text: &str| bytes.then(|| text.to_owned());
        match self {
            Self::Layers { model, .. } if model.takes_bytes(input) => (
                set.with_byte_scale(1.0),
                note(
                    "bytes stand for 0 to 255, for the model scales them itself; byte_scale=1/255 makes them 0 to 1",
                ),
            ),
            Self::Nir { .. } if self.over_time(&set, input) => (
                set.with_byte_scale(1.0),
                note("bytes over time stand for numbers of events; byte_scale= says else"),
            ),
            _ => (set, None),
        }
    }
}
