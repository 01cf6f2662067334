//! Keras files to [`Model`]s.
//!
//! What a file is, its content tells, never its name:
//!
//! | content | written by | configuration | weights |
//! |---|---|---|---|
//! | zip archive (`.keras`) | Keras 2.12 and later | `config.json` | `model.weights.h5` |
//! | HDF5 (`.h5`) | Keras 1 to 3 | attribute `model_config` | `model_weights/<layer>` |
//! | directory, or `.tar.gz` of one (SavedModel) | Keras 2 | `keras_metadata.pb`, or `saved_model.pb` | a TensorFlow checkpoint |
//! | HDF5 (`.weights.h5`) | `save_weights` | given apart | either layout |

mod checkpoint;
mod cudnn;
pub(crate) mod error;
mod graph;
mod hdf5;
mod keras1;
mod legacy;
mod masks;
mod paths;
mod savedmodel;
mod weights;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

pub use error::{ImportError, Problem};

use tinyspike_shared::image::MAGIC;

use crate::file;
use crate::keras::dialect::Written;
use crate::keras::model::Model;
use graph::Parsed;
use hdf5::Hdf5;
use weights::{Assignment, MAX_FILE_BYTES, unpacked_limit};

/// Reads a model.
///
/// # Errors
/// If the file cannot be read, is of no supported kind, is damaged, or holds no functional or
/// sequential model. The error names the file.
pub fn load(path: &Path) -> Result<Model, ImportError> {
    let model = if path.is_dir() {
        directory(path)
    } else {
        read(path).and_then(from_bytes)
    };
    model.map_err(|p| p.in_file(&path.display().to_string()))
}

/// Reads a model from a file's content; `name` stands for the file in messages.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(name: &str, bytes: &[u8]) -> Result<Model, ImportError> {
    from_bytes(bytes.to_vec()).map_err(|p| p.in_file(name))
}

/// Tells whether a file that begins so may hold a model, or is of a kind that an error names.
pub(crate) fn is_known(start: &[u8]) -> bool {
    kind(start) != UNKNOWN
}

/// Reads a model from an HDF5 file that may hold the weights alone (`model.save_weights()`), and the
/// JSON text of `model.to_json()`.
///
/// # Errors
/// As [`load`], and if the weights do not fit the configuration. The error names the file at fault.
pub fn load_with_config(weights: &Path, config_json: &Path) -> Result<Model, ImportError> {
    let config_name = config_json.display().to_string();
    let json = read(config_json).map_err(|p| p.in_file(&config_name))?;
    let written = Written::default();
    let parsed = graph::parse(&json, written).map_err(|p| p.in_file(&config_name))?;
    let name = weights.display().to_string();
    weights_only(weights, parsed).map_err(|p| p.in_file(&name))
}

/// Reads the weights of a model from an HDF5 file.
fn weights_only(path: &Path, parsed: Parsed) -> Result<Model, Problem> {
    let bytes = read(path)?;
    if !bytes.starts_with(file::HDF5) {
        return Err(Problem::UnknownFormat {
            found: kind(&bytes).to_owned(),
        });
    }
    fill(&Hdf5::open(bytes)?, parsed)
}

fn too_large(what: &str, found: u64, limit: u64) -> Problem {
    Problem::TooLarge {
        what: what.to_owned(),
        found,
        limit,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let about = std::fs::metadata(path)?;
    let limit = MAX_FILE_BYTES as u64;
    if about.len() > limit {
        return Err(too_large("the file's length in bytes", about.len(), limit));
    }
    // A device may have no end: of what is no model the start is enough.
    let begins = |start: &[u8]| about.is_file() || is_known(start);
    Ok(file::read_if(path, limit, begins)?)
}

fn from_bytes(bytes: Vec<u8>) -> Result<Model, Problem> {
    if bytes.starts_with(file::HDF5) {
        whole_hdf5(bytes)
    } else if bytes.starts_with(b"PK") {
        keras_archive(&bytes)
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        packed_savedmodel(&bytes)
    } else {
        Err(Problem::UnknownFormat {
            found: kind(&bytes).to_owned(),
        })
    }
}

const UNKNOWN: &str = "data of an unknown format";

/// The likely kind of a file that is no model.
fn kind(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "empty",
        [0x1f, 0x8b, ..] => "gzip data",
        [b'P', b'K', ..] => "a zip archive",
        [b'{' | b'[', ..] => "JSON text",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy array",
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => {
            "a TensorFlow Lite model (export the float network that it was made of)"
        }
        b if b.starts_with(file::HDF5) => "an HDF5 file",
        b if b.starts_with(&MAGIC) => "a tinyspike image",
        _ => UNKNOWN,
    }
}

/// A directory: a SavedModel, if it is any model.
fn directory(path: &Path) -> Result<Model, Problem> {
    if !path.join(savedmodel::GRAPH).is_file() {
        return Err(Problem::UnknownFormat {
            found: format!("a directory without {}", savedmodel::GRAPH),
        });
    }
    savedmodel::load(|part| {
        if part == savedmodel::METADATA && !path.join(part).is_file() {
            return Ok(None);
        }
        let content = read(&path.join(part)).map_err(|problem| Problem::SavedModel {
            part: part.to_owned(),
            reason: problem.to_string(),
        });
        content.map(Some)
    })
}

/// A SavedModel as `.tar.gz`.
fn packed_savedmodel(bytes: &[u8]) -> Result<Model, Problem> {
    let broken = |e: std::io::Error| Problem::UnknownFormat {
        found: format!("gzip data that holds no tar archive of a SavedModel ({e})"),
    };
    let limit = unpacked_limit(bytes.len()) as u64;
    let unpacked = flate2::read::GzDecoder::new(bytes).take(limit);
    let mut archive = tar::Archive::new(unpacked);
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(broken)?;
            files.insert(path, content);
        }
    }
    let root = (files.keys()).find_map(|path| path.strip_suffix(savedmodel::GRAPH));
    let Some(root) = root.map(str::to_owned) else {
        return Err(Problem::UnknownFormat {
            found: format!("a gzip archive without {}", savedmodel::GRAPH),
        });
    };
    savedmodel::load(|part| Ok(files.get(&format!("{root}{part}")).cloned()))
}

/// An `.h5` file with the whole model.
fn whole_hdf5(bytes: Vec<u8>) -> Result<Model, Problem> {
    let file = Hdf5::open(bytes)?;
    let Some(json) = file.text("/", "model_config")? else {
        return Err(Problem::NoConfig);
    };
    let written = Written {
        version: file.text("/", "keras_version")?,
        backend: file.text("/", "backend")?,
    };
    fill(&file, graph::parse(json.as_bytes(), written)?)
}

/// Reads the weights of a model, in whichever layout the file has.
fn fill(file: &Hdf5, mut parsed: Parsed) -> Result<Model, Problem> {
    let mut assignment = Assignment::new(file.len());
    if let Some(root) = legacy::root(file)? {
        legacy::fill(file, root, &mut parsed, &mut assignment)?;
    } else if paths::is(file)? {
        paths::fill(file, &mut parsed.model, "", &mut assignment)?;
    } else {
        return Err(Problem::Hdf5 {
            object: "/".to_owned(),
            reason: "it has neither layer_names nor a group \"layers\"".to_owned(),
        });
    }
    Ok(parsed.model)
}

/// A `.keras` file.
fn keras_archive(bytes: &[u8]) -> Result<Model, Problem> {
    let broken = |e: zip::result::ZipError| Problem::Zip {
        reason: e.to_string(),
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let config = part(&mut archive, "config.json", graph::MAX_CONFIG_BYTES as u64)?;
    let written = if archive.index_for_name("metadata.json").is_some() {
        let metadata = part(&mut archive, "metadata.json", 1 << 20)?;
        Written::of(&serde_json::from_slice(&metadata).map_err(Problem::Json)?)
    } else {
        Written::default()
    };
    let parsed = graph::parse(&config, written)?;
    let limit = unpacked_limit(bytes.len()) as u64;
    let weights = part(&mut archive, "model.weights.h5", limit)?;
    fill(&Hdf5::open(weights)?, parsed)
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
