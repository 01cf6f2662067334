//! The data of a model's inputs, from the files that the user names.

use std::path::{Path, PathBuf};

use tinyspike::Network;
use tinyspike::assemble::Image;
use tinyspike::data::{self, DataError, DataSet};
use tinyspike::inputs::Inputs;

use crate::args::ConvertFlags;
use crate::diagnostics::Failure;

/// Reads `[INPUT=]FILE` for each input, and shapes the samples as the inputs are. At most `limit`
/// samples are kept. In a temporal model, samples have an axis of time before.
pub(crate) fn load(
    files: &[String],
    network: &Network,
    temporal: bool,
    byte_scale: f32,
    limit: Option<u32>,
) -> Result<Inputs, Failure> {
    let names: Vec<&str> = network.inputs.iter().map(|(n, _)| n.as_str()).collect();
    let paths = assign("--data", files, &names)?;
    let mut sets = Vec::new();
    for path in &paths {
        let set = data::load(path)?.with_byte_scale(byte_scale);
        sets.push(match limit {
            Some(limit) => set.take(limit as usize),
            None => set,
        });
    }
    Inputs::new(network, &sets, temporal).map_err(|e| {
        let at = e
            .input()
            .and_then(|input| names.iter().position(|n| *n == input));
        match at.and_then(|at| paths.get(at)) {
            Some(path) => Failure::new(format!("{path}: {e}")),
            None => e.into(),
        }
    })
}

/// The data of all inputs of an image, one behind the other in a sample.
pub(crate) fn of_image(
    files: &[String],
    image: &Image<'_>,
    byte_scale: f32,
) -> Result<DataSet, Failure> {
    let network = image.description();
    let labels = (0..network.inputs.len()).map(|at| network.input_label(at));
    let labels: Vec<&str> = labels.collect();
    joined("--data", files, &labels, |path| {
        Ok(data::load(path)?.with_byte_scale(byte_scale))
    })
}

/// The data of all inputs, from the files that a flag names.
pub(crate) fn joined(
    flag: &str,
    files: &[String],
    names: &[&str],
    load: impl Fn(&str) -> Result<DataSet, DataError>,
) -> Result<DataSet, Failure> {
    let paths = assign(flag, files, names)?;
    let sets: Vec<DataSet> = paths
        .iter()
        .map(|path| load(path))
        .collect::<Result<_, _>>()?;
    let counts: Vec<String> = (paths.iter().zip(&sets))
        .map(|(path, set)| format!("{path} has {}", set.len()))
        .collect();
    DataSet::side_by_side(sets).ok_or_else(|| {
        Failure::new(format!(
            "all inputs need the same number of samples: {}",
            counts.join(", ")
        ))
    })
}

/// Assigns files to inputs, as a flag says.
pub(crate) fn assign<'a>(
    flag: &str,
    files: &'a [String],
    names: &[&str],
) -> Result<Vec<&'a str>, Failure> {
    let listed = names.join(", ");
    let mut paths: Vec<Option<&str>> = vec![None; names.len()];
    for file in files {
        // A path may have an equals sign too.
        let named = file.split_once('=').and_then(|(name, path)| {
            let at = names.iter().position(|n| *n == name)?;
            Some((at, path))
        });
        let (at, path) = match named {
            Some(named) => named,
            None if names.len() == 1 => (0, file.as_str()),
            None => {
                return Err(Failure::new(format!(
                    "{flag} {file} does not say which input it is for; the model has the inputs {listed}"
                ))
                .hint(format!("give {flag} INPUT=FILE for each input")));
            }
        };
        if paths[at].replace(path).is_some() {
            return Err(Failure::new(format!(
                "{flag} is given twice for the input {:?}",
                names[at]
            )));
        }
    }
    let missing: Vec<&str> = (names.iter().zip(&paths))
        .filter(|(_, path)| path.is_none())
        .map(|(name, _)| *name)
        .collect();
    if !missing.is_empty() {
        return Err(Failure::new(format!(
            "{flag} has no file for the input {}",
            missing.join(", ")
        ))
        .hint(format!("give {flag} INPUT=FILE for each input")));
    }
    Ok(paths.into_iter().flatten().collect())
}

/// Every file that a command on a model reads: the model, its configuration and `[INPUT=]FILE` arguments, each with the
/// labels beside it.
pub(crate) fn input_files(model: &Path, flags: &ConvertFlags, data: &[String]) -> Vec<PathBuf> {
    let mut files = vec![model.to_owned()];
    files.extend(flags.config.clone());
    for text in data {
        // A path may have a `=` of its own.
        let named = text.match_indices('=').map(|(at, _)| &text[at + 1..]);
        for path in [text.as_str()].into_iter().chain(named).map(Path::new) {
            files.push(path.to_owned());
            files.extend(data::labels_beside(path));
        }
    }
    files
}
