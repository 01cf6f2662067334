//! A trained network of any front end, as commands take one.

use std::path::Path;

use crate::advice::Advised as _;
use crate::convert::Conversion;
use crate::data::{BYTE_SCALE, DataSet, Samples};
use crate::network::Head;
use crate::nir::{self, Choices, Graph, Guess, NirError, NirFile, Problem};
use crate::text::escaped;
use crate::{Model, Network, onnx};

use crate::cli::args::{ConvertFlags, DataFlags};
use crate::cli::diagnostics::{Failure, note, warn};
use crate::cli::warnings;

/// A model of layers (from Keras or ONNX) or a NIR graph, and its network.
pub(crate) enum Source {
    Keras(Box<Model>, Box<Conversion>),
    Nir(Box<Nir>),
}

/// A NIR graph, read by some semantics.
pub(crate) struct Nir {
    pub(crate) graph: Graph,
    pub(crate) guess: Guess,
    pub(crate) choices: Choices,
    pub(crate) conversion: nir::Conversion,
}

impl Source {
    /// Reads a model as its content tells, and makes a network of it.
    pub(crate) fn load(path: &Path, flags: &ConvertFlags) -> Result<Self, Failure> {
        if let Some(file) = NirFile::open(path) {
            if let Some(flag) = flags.for_keras() {
                return Err(Failure::new(format!(
                    "{}: {flag} is for Keras models, and changes nothing in a NIR graph; leave it out",
                    path.display()
                )));
            }
            return Ok(Self::Nir(Box::new(Nir::load(
                path,
                &file,
                &flags.semantics,
            )?)));
        }
        if !flags.semantics.is_empty() && !named_nir(path) {
            return Err(Failure::new(format!(
                "{}: --semantics is for NIR graphs, which this is none of",
                path.display()
            )));
        }
        let loaded = layers(path, flags);
        if let (Err(_), true) = (&loaded, named_nir(path)) {
            nir::load(path)?;
        }
        let (model, conversion) = loaded?;
        Ok(Self::Keras(Box::new(model), Box::new(conversion)))
    }

    pub(crate) fn network(&self) -> &Network {
        match self {
            Self::Keras(_, conversion) => &conversion.network,
            Self::Nir(nir) => &nir.conversion.network,
        }
    }

    /// Prints what was noticed.
    pub(crate) fn show_warnings(&self) {
        match self {
            Self::Keras(_, conversion) => warnings::show(&conversion.warnings, false),
            Self::Nir(nir) => nir.show_remarks(),
        }
    }

    /// The data of an input, whose bytes stand for what the user says, or else for what the network takes.
    pub(crate) fn scaled(&self, set: DataSet, flags: &DataFlags, input: usize) -> DataSet {
        match self {
            Self::Keras(model, _) => scaled(set, flags, model, input),
            Self::Nir(_) => {
                let over_time = self.over_time(&set, input);
                events(set, flags, over_time)
            }
        }
    }

    /// Tells whether samples have an axis of time before those of an input.
    pub(crate) fn over_time(&self, set: &DataSet, input: usize) -> bool {
        let network = self.network();
        let node = network
            .inputs
            .get(input)
            .and_then(|(_, n)| network.nodes.get(n.0));
        node.is_some_and(|node| set.sample_size() != node.size_out)
    }

    /// The function that ends a Keras model, if it is a logistic one.
    pub(crate) fn head(&self) -> Option<Head> {
        match self {
            Self::Keras(model, _) => model.ends_in_sigmoid().then_some(Head::Sigmoid),
            Self::Nir(_) => None,
        }
    }

    /// Seconds per step, if the network says them.
    pub(crate) fn dt(&self) -> Option<f64> {
        match self {
            Self::Keras(..) => None,
            Self::Nir(nir) => Some(nir.choices.all.dt),
        }
    }
}

impl Nir {
    /// Prints oddities of the graph.
    pub(crate) fn show_remarks(&self) {
        let remarks = self.conversion.remarks.iter();
        remarks.for_each(|remark| warn(escaped(remark)));
    }

    fn load(path: &Path, file: &NirFile, semantics: &[String]) -> Result<Self, Failure> {
        let graph = file.graph()?;
        let failed = |problem: Problem| NirError {
            file: path.display().to_string(),
            problem,
        };
        let choices = Choices::parse(&graph, semantics).map_err(failed)?;
        let conversion = graph.convert(&choices).map_err(failed)?;
        let guess = nir::guess(&graph);
        let open = nir::guessed(&graph, &choices, &guess, semantics).map_err(failed)?;
        if !open.is_empty() {
            let open = match semantics.is_empty() {
                true => String::new(),
                false => format!(" in {}, which --semantics leaves open", open.join(", ")),
            };
            note(format_args!(
                "NIR does not say how a step is taken; taken for semantics {}{open} ({}). `tinyspike inspect` shows what \
                 rests on it, --semantics sets it, `tinyspike verify --match` finds it",
                guess.preset.name, guess.reason
            ));
        }
        Ok(Self {
            graph,
            guess,
            choices,
            conversion,
        })
    }
}

/// Tells whether a file's name is that of a NIR graph.
fn named_nir(path: &Path) -> bool {
    let extension = path.extension();
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("nir"))
}

/// Reads a model of Keras or ONNX and converts it.
fn layers(path: &Path, flags: &ConvertFlags) -> Result<(Model, Conversion), Failure> {
    let options = flags.options()?;
    let shapes: Vec<Vec<usize>> = flags.input_shape.iter().map(|s| s.0.clone()).collect();
    let shapes = (!shapes.is_empty()).then_some(&shapes[..]);
    let model = if flags.config.is_none() && onnx::is_onnx(path) {
        let import = onnx::load(path, shapes).map_err(Failure::of)?;
        import.remarks.iter().for_each(|r| note(escaped(r)));
        import.model
    } else {
        let mut model = match &flags.config {
            Some(config) => Model::load_with_config(path, config)?,
            None => Model::load(path).map_err(Failure::of)?,
        };
        if let Some(shapes) = shapes {
            (model.set_input_shapes(shapes))
                .map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        }
        model
    };
    let conversion = model
        .convert(&options)
        .map_err(|e| Failure::advised(format!("{}: {e}", path.display()), &e.advice()))?;
    Ok((model, conversion))
}

/// The data of a model's input, whose bytes stand for what the user says, or else for what the model takes.
pub(crate) fn scaled(set: DataSet, flags: &DataFlags, model: &Model, input: usize) -> DataSet {
    let set = flags.targets(set);
    match flags.byte_scale {
        Some(scale) => set.with_byte_scale(scale),
        None if model.takes_bytes(input) => as_they_are(set, "the model scales them itself"),
        None => set,
    }
}

/// The data of neurons that keep their state, whose bytes stand for what the user says, or else over time for numbers
/// of events, which is said.
pub(crate) fn events(set: DataSet, flags: &DataFlags, over_time: bool) -> DataSet {
    let set = flags.targets(set);
    match flags.byte_scale {
        Some(scale) => set.with_byte_scale(scale),
        None if over_time => {
            if set.byte_scale() == BYTE_SCALE && matches!(set.samples(), Samples::U8(_)) {
                note("bytes over time stand for numbers of events; --byte-scale says else");
            }
            set.with_byte_scale(1.0)
        }
        None => set,
    }
}

/// The data with bytes that stand for 0 to 255, which is said.
pub(crate) fn as_they_are(set: DataSet, reason: &str) -> DataSet {
    if set.byte_scale() == BYTE_SCALE && matches!(set.samples(), Samples::U8(_)) {
        note(format_args!(
            "bytes stand for 0 to 255, for {reason}; --byte-scale 1/255 makes them 0 to 1"
        ));
    }
    set.with_byte_scale(1.0)
}
