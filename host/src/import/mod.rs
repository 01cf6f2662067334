//! Keras files to [`Model`]s.
//!
//! What a file is, its content tells, never its name:
//!
//! | content | written by | configuration | weights |
//! |---|---|---|---|
//! | zip archive (`.keras`) | Keras 2.12 and later | `config.json` | `model.weights.h5` |
//! | HDF5 (`.h5`) | Keras 2 and 3 | attribute `model_config` | `model_weights/<layer>` |
//! | HDF5 (`.weights.h5`) | `save_weights` | given apart | either layout |

mod config;
mod error;
mod graph;
mod hdf5;
mod legacy;
mod paths;
mod weights;

use std::io::{Cursor, Read};
use std::path::Path;

pub use error::{ImportError, Problem};

use crate::model::Model;
use hdf5::Hdf5;
use weights::{Assignment, MAX_PARAMETERS};

/// The most bytes of a file: a model of the most parameters in float32, with an optimizer's state.
const MAX_FILE_BYTES: u64 = MAX_PARAMETERS as u64 * 4 * 3;

/// Reads a model.
///
/// # Errors
/// If the file cannot be read, is of no supported kind, is damaged, or holds no functional or
/// sequential model. The error names the file.
pub fn load(path: &Path) -> Result<Model, ImportError> {
    let name = path.display().to_string();
    let bytes = read(path).map_err(|p| p.in_file(&name))?;
    from_bytes(bytes).map_err(|p| p.in_file(&name))
}

/// Reads a model from a file's content; `name` stands for the file in messages.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(name: &str, bytes: &[u8]) -> Result<Model, ImportError> {
    from_bytes(bytes.to_vec()).map_err(|p| p.in_file(name))
}

/// Reads a model from an HDF5 file that may hold the weights alone (`model.save_weights()`), and the
/// JSON text of `model.to_json()`.
///
/// # Errors
/// As [`load`], and if the weights do not fit the configuration. The error names the file at fault.
pub fn load_with_config(weights: &Path, config_json: &Path) -> Result<Model, ImportError> {
    let config_name = config_json.display().to_string();
    let json = read(config_json).map_err(|p| p.in_file(&config_name))?;
    let mut model = graph::parse(&json).map_err(|p| p.in_file(&config_name))?;
    let name = weights.display().to_string();
    weights_only(weights, &mut model).map_err(|p| p.in_file(&name))?;
    Ok(model)
}

/// Reads the weights of a model from an HDF5 file.
fn weights_only(path: &Path, model: &mut Model) -> Result<(), Problem> {
    let bytes = read(path)?;
    if !bytes.starts_with(hdf5::SIGNATURE) {
        return Err(Problem::UnknownFormat {
            found: kind(&bytes).to_owned(),
        });
    }
    fill(&Hdf5::open(bytes)?, model)
}

fn too_large(what: &str, found: u64, limit: u64) -> Problem {
    Problem::TooLarge {
        what: what.to_owned(),
        found,
        limit,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_FILE_BYTES {
        return Err(too_large(
            "the file's length in bytes",
            length,
            MAX_FILE_BYTES,
        ));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn from_bytes(bytes: Vec<u8>) -> Result<Model, Problem> {
    if bytes.starts_with(hdf5::SIGNATURE) {
        whole_hdf5(bytes)
    } else if bytes.starts_with(b"PK") {
        keras_archive(&bytes)
    } else {
        Err(Problem::UnknownFormat {
            found: kind(&bytes).to_owned(),
        })
    }
}

/// What a file that is no model looks like.
fn kind(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "empty",
        [0x1f, 0x8b, ..] => "gzip data",
        [b'P', b'K', ..] => "a zip archive",
        [b'{' | b'[', ..] => "JSON text",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy array",
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => "a TensorFlow Lite model",
        b if b.starts_with(hdf5::SIGNATURE) => "an HDF5 file",
        _ => "data of an unknown format",
    }
}

/// An `.h5` file with the whole model.
fn whole_hdf5(bytes: Vec<u8>) -> Result<Model, Problem> {
    let file = Hdf5::open(bytes)?;
    let Some(json) = file.text("/", "model_config")? else {
        return Err(Problem::NoConfig);
    };
    let mut model = graph::parse(json.as_bytes())?;
    if let Some(version) = file.text("/", "keras_version")? {
        model.keras_version = Some(version);
    }
    fill(&file, &mut model)?;
    Ok(model)
}

/// Reads the weights of a model, in whichever layout the file has.
fn fill(file: &Hdf5, model: &mut Model) -> Result<(), Problem> {
    let mut assignment = Assignment::new();
    if let Some(root) = legacy::root(file)? {
        legacy::fill(file, root, model, &mut assignment)
    } else if paths::is(file)? {
        paths::fill(file, model, "", &mut assignment)
    } else {
        Err(Problem::Hdf5 {
            object: "/".to_owned(),
            reason: "it has neither layer_names nor a group \"layers\"".to_owned(),
        })
    }
}

/// A `.keras` file.
fn keras_archive(bytes: &[u8]) -> Result<Model, Problem> {
    let broken = |e: zip::result::ZipError| Problem::Zip {
        reason: e.to_string(),
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let config = part(&mut archive, "config.json", graph::MAX_CONFIG_BYTES as u64)?;
    let mut model = graph::parse(&config)?;
    if archive.index_for_name("metadata.json").is_some() {
        let metadata = part(&mut archive, "metadata.json", 1 << 20)?;
        let metadata: serde_json::Value =
            serde_json::from_slice(&metadata).map_err(Problem::Json)?;
        let version = metadata.get("keras_version").and_then(|v| v.as_str());
        model.keras_version = version.map(str::to_owned);
    }
    let weights = part(&mut archive, "model.weights.h5", MAX_FILE_BYTES)?;
    let file = Hdf5::open(weights)?;
    fill(&file, &mut model)?;
    Ok(model)
}

/// A file of the archive.
fn part(
    archive: &mut zip::ZipArchive<Cursor<&[u8]>>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, Problem> {
    let refuse = |reason: String| Problem::Zip {
        reason: format!("{name}: {reason}"),
    };
    let file = archive.by_name(name).map_err(|e| refuse(e.to_string()))?;
    let length = file.size();
    if length > limit {
        return Err(too_large(
            &format!("the length of {name} in bytes"),
            length,
            limit,
        ));
    }
    let mut bytes = Vec::new();
    (file.take(length.saturating_add(1)))
        .read_to_end(&mut bytes)
        .map_err(|e| refuse(e.to_string()))?;
    if bytes.len() as u64 != length {
        return Err(refuse(format!(
            "it has {} bytes, not the {length} that the archive says",
            bytes.len()
        )));
    }
    Ok(bytes)
}
