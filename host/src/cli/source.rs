//! A trained network of any front end, as commands take one: by flags, with notes.

use std::path::Path;

use crate::advice::Advised as _;
use crate::data::DataSet;
use crate::nir::Reading;
use crate::text::escaped;
use crate::trained::{Bytes, LoadError, LoadOptions, Trained};

use crate::cli::args::{ConvertFlags, DataFlags};
use crate::cli::diagnostics::{Failure, note, warn};
use crate::cli::warnings;

/// Reads a trained network and converts it, and notes what its file leaves open.
pub(crate) fn load(path: &Path, flags: &ConvertFlags) -> Result<Trained, Failure> {
    let shapes: Vec<Vec<usize>> = flags.input_shape.iter().map(|s| s.0.clone()).collect();
    let options = LoadOptions {
        convert: flags.options()?,
        input_shapes: (!shapes.is_empty()).then_some(shapes),
        config: flags.config.clone(),
        semantics: flags.semantics.clone(),
    };
    let trained = Trained::load(path, &options).map_err(failure)?;
    match &trained {
        Trained::Layers(layers) => layers.remarks.iter().for_each(|r| note(escaped(r))),
        Trained::Graph(reading) => {
            if let Some(remark) = reading.remark("--semantics") {
                note(format_args!(
                    "{remark}. `tinyspike inspect` shows what rests on it, --semantics sets it, `tinyspike verify --match` \
                     finds it"
                ));
            }
        }
    }
    Ok(trained)
}

/// The failure of reading, with options as flags.
fn failure(error: LoadError) -> Failure {
    match error {
        LoadError::ForLayers { file, option } => Failure::new(format!(
            "{file}: {} is for models of layers, and changes nothing in a NIR graph; leave it out",
            flag(option)
        )),
        LoadError::ForGraphs { file } => Failure::new(format!(
            "{file}: --semantics is for NIR graphs, which this is none of"
        )),
        // Causes of a shape or a conversion are for the library's users.
        LoadError::Shapes { .. } | LoadError::Convert { .. } => {
            Failure::advised(error.to_string(), &error.advice())
        }
        error => Failure::of(error),
    }
}

/// The flag of an option.
fn flag(option: &str) -> String {
    match option {
        "allow_fallback" => "--no-fallback".into(),
        "input_shapes" => "--input-shape".into(),
        "swap_activations" => "--swap-activation".into(),
        same => format!("--{}", same.replace('_', "-")),
    }
}

/// Prints what was noticed of a network.
pub(crate) fn show_warnings(trained: &Trained) {
    match trained {
        Trained::Layers(layers) => warnings::show(&layers.conversion.warnings, false),
        Trained::Graph(reading) => show_remarks(reading),
    }
}

/// Prints oddities of a graph.
pub(crate) fn show_remarks(reading: &Reading) {
    let remarks = reading.conversion.remarks.iter();
    remarks.for_each(|remark| warn(escaped(remark)));
}

/// The data of an input, whose bytes stand for what the user says, or else for what the network takes, which is said.
pub(crate) fn scaled(trained: &Trained, set: DataSet, flags: &DataFlags, input: usize) -> DataSet {
    let (set, bytes) = trained.scaled(flags.targets(set), flags.byte_scale, input);
    match bytes {
        Some(Bytes::Whole) => note_whole("the model scales them itself"),
        Some(Bytes::Events) => note_events(),
        None => {}
    }
    set
}

/// The data of neurons that keep their state, whose bytes stand for what the user says, or else over time for numbers
/// of events, which is said.
pub(crate) fn events(set: DataSet, flags: &DataFlags, over_time: bool) -> DataSet {
    let set = flags.targets(set);
    match flags.byte_scale {
        Some(scale) => set.with_byte_scale(scale),
        None if over_time => {
            if set.has_plain_bytes() {
                note_events();
            }
            set.with_byte_scale(1.0)
        }
        None => set,
    }
}

/// The data with bytes that stand for 0 to 255, which is said.
pub(crate) fn as_they_are(set: DataSet, reason: &str) -> DataSet {
    if set.has_plain_bytes() {
        note_whole(reason);
    }
    set.with_byte_scale(1.0)
}

fn note_whole(reason: &str) {
    note(format_args!(
        "bytes stand for 0 to 255, for {reason}; --byte-scale 1/255 makes them 0 to 1"
    ));
}

fn note_events() {
    note("bytes over time stand for numbers of events; --byte-scale says else");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::flag;
    use crate::cli::args::Args;

    /// Options that errors name are flags of the tool.
    #[test]
    fn options_of_layers_are_flags() {
        let cli = Args::command();
        let convert = cli.find_subcommand("convert").unwrap();
        let flags: Vec<String> = (convert.get_arguments())
            .filter_map(|argument| argument.get_long())
            .map(|long| format!("--{long}"))
            .collect();
        for option in crate::trained::FOR_LAYERS {
            assert!(flags.contains(&flag(option)), "{option}");
        }
    }
}
