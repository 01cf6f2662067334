//! A trained network of any front end, in the words of the package.

use std::path::Path;

use tinyspike::convert::Warning;
use tinyspike::data::DataSet;
use tinyspike::trained::{Bytes, Format, LoadError, LoadOptions, Trained};

use crate::fault::Fault;
use crate::options::Convert;

/// Reads and converts a file, as its content tells what it is; and remarks on it.
pub(crate) fn load(
    path: &Path,
    config: Option<&Path>,
    options: &Convert,
) -> Result<(Trained, Vec<String>), Fault> {
    let options = LoadOptions {
        config: config.map(Path::to_owned),
        ..options.options()?
    };
    with_remarks(Trained::load(path, &options))
}

/// Reads and converts a file's content; and remarks on it.
pub(crate) fn load_bytes(
    kind: &str,
    name: &str,
    content: &[u8],
    options: &Convert,
) -> Result<(Trained, Vec<String>), Fault> {
    let formats = [Format::Nir, Format::Onnx];
    let format = formats.into_iter().find(|format| format.name() == kind);
    let format = format.unwrap_or(Format::Keras);
    with_remarks(Trained::from_bytes(
        format,
        name,
        content,
        &options.options()?,
    ))
}

fn with_remarks(loaded: Result<Trained, LoadError>) -> Result<(Trained, Vec<String>), Fault> {
    let trained = loaded?;
    let remarks = match &trained {
        Trained::Layers(layers) => {
            // Layers have no numbers here that could differ.
            let warnings = layers.conversion.warnings.iter();
            let warnings = warnings.filter(|warning| !matches!(warning, Warning::Sequential));
            let warnings = warnings.map(ToString::to_string);
            layers.remarks.iter().cloned().chain(warnings).collect()
        }
        Trained::Graph(reading) => {
            let open = reading.remark("semantics=").map(|remark| {
                format!(
                    "{remark}. semantics= sets it, and `tinyspike verify --match` finds it by a recorded sample"
                )
            });
            let remarks = reading.conversion.remarks.iter().cloned();
            remarks.chain(open).collect()
        }
    };
    Ok((trained, remarks))
}

/// The data of an input, whose bytes stand for what the user says, or else for what the network takes; and a note, if
/// that is not plain.
pub(crate) fn scaled(
    trained: &Trained,
    set: &DataSet,
    byte_scale: Option<f32>,
    input: usize,
) -> (DataSet, Option<String>) {
    let (set, bytes) = trained.scaled(set.clone(), byte_scale, input);
    let note = bytes.map(|bytes| match bytes {
        Bytes::Whole => {
            "bytes stand for 0 to 255, for the model scales them itself; byte_scale=1/255 makes them 0 to 1"
        }
        Bytes::Events => "bytes over time stand for numbers of events; byte_scale= says else",
    });
    (set, note.map(str::to_owned))
}
