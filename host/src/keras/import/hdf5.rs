//! The few things that Keras keeps in HDF5 files: groups, datasets of floats, attributes of text.

use hdf5_reader::messages::datatype::Datatype;
use hdf5_reader::{ByteOrder, Hdf5File, OpenOptions};

use super::error::Problem;
use super::weights::unpacked_limit;

/// The bytes that every HDF5 file starts with (Keras writes no user block before them).
pub(super) const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// An open HDF5 file.
pub(super) struct Hdf5 {
    file: Hdf5File,
    bytes: usize,
}

fn problem(object: &str, error: &hdf5_reader::error::Error) -> Problem {
    use hdf5_reader::error::Error;
    let reason = match error {
        // The library shows its own types here.
        Error::TypeMismatch { .. } => "it is of another type than Keras gives it".to_owned(),
        other => other.to_string(),
    };
    Problem::Hdf5 {
        object: object.to_owned(),
        reason,
    }
}

/// Turns a missing object into nothing; an error remains one if it cannot be read.
fn found<T>(object: &str, result: hdf5_reader::error::Result<T>) -> Result<Option<T>, Problem> {
    use hdf5_reader::error::Error;
    let mut result = result;
    while let Err(Error::Context { source, .. }) = result {
        result = Err(*source);
    }
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::GroupNotFound(_) | Error::DatasetNotFound(_) | Error::AttributeNotFound(_)) => {
            Ok(None)
        }
        Err(e) => Err(problem(object, &e)),
    }
}

impl Hdf5 {
    /// Opens the content of an HDF5 file.
    pub(super) fn open(bytes: Vec<u8>) -> Result<Self, Problem> {
        let length = bytes.len();
        let limit = unpacked_limit(length);
        let options = OpenOptions::default()
            .with_max_read_bytes(limit)
            .with_max_chunk_bytes(limit);
        let file = Hdf5File::from_vec_with_options(bytes, options).map_err(|e| problem("/", &e))?;
        Ok(Self {
            file,
            bytes: length,
        })
    }

    /// The length of the file.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Tells whether there is a group of this path.
    pub(super) fn has_group(&self, path: &str) -> Result<bool, Problem> {
        Ok(found(path, self.file.group(path))?.is_some())
    }

    /// A text attribute of a group.
    pub(super) fn text(&self, path: &str, name: &str) -> Result<Option<String>, Problem> {
        let at = format!("{path}@{name}");
        let Some(group) = found(path, self.file.group(path))? else {
            return Ok(None);
        };
        let Some(attribute) = found(&at, group.attribute(name))? else {
            return Ok(None);
        };
        found(&at, attribute.read_string())
    }

    /// An attribute of a group that is a list of texts. Keras splits long ones into `name0`, `name1` ...
    pub(super) fn texts(&self, path: &str, name: &str) -> Result<Option<Vec<String>>, Problem> {
        let Some(group) = found(path, self.file.group(path))? else {
            return Ok(None);
        };
        let attributes = group.attributes().map_err(|e| problem(path, &e))?;
        let read = |name: &str| {
            (attributes.iter().find(|a| a.name == name))
                .map(|a| {
                    if a.shape.contains(&0) {
                        return Ok(Vec::new());
                    }
                    a.read_strings()
                        .map_err(|e| problem(&format!("{path}@{name}"), &e))
                })
                .transpose()
        };
        if let Some(whole) = read(name)? {
            return Ok(Some(whole));
        }
        let mut parts = read(&format!("{name}0"))?;
        if let Some(list) = &mut parts {
            for k in 1.. {
                match read(&format!("{name}{k}"))? {
                    Some(more) => list.extend(more),
                    None => break,
                }
            }
        }
        Ok(parts)
    }

    /// The names of the groups and of the datasets in a group.
    pub(super) fn members(&self, path: &str) -> Result<(Vec<String>, Vec<String>), Problem> {
        match found(path, self.file.group(path))? {
            Some(group) => group.member_names().map_err(|e| problem(path, &e)),
            None => Ok((Vec::new(), Vec::new())),
        }
    }

    /// The shape of a dataset.
    pub(super) fn shape(&self, path: &str) -> Result<Option<Vec<u64>>, Problem> {
        Ok(found(path, self.file.dataset(path))?.map(|d| d.shape().to_vec()))
    }

    /// The values of a dataset as float32; the number format's name if they are no floats.
    pub(super) fn read(&self, path: &str) -> Result<Result<Vec<f32>, String>, Problem> {
        let dataset = self.file.dataset(path).map_err(|e| problem(path, &e))?;
        let (size, order) = match dataset.dtype() {
            Datatype::FloatingPoint { size, byte_order } => (*size, *byte_order),
            other => return Ok(Err(describe(other))),
        };
        if size != 4 && size != 8 {
            return Ok(Err(describe(dataset.dtype())));
        }
        let bytes = dataset.read_raw_bytes().map_err(|e| problem(path, &e))?;
        Ok(Ok(floats(&bytes, size == 8, order == ByteOrder::BigEndian)))
    }
}

/// Floats of 4 or (`double`) 8 bytes as float32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "float64 weights are rounded to float32"
)]
pub(super) fn floats(bytes: &[u8], double: bool, big_endian: bool) -> Vec<f32> {
    if double {
        let (chunks, _) = bytes.as_chunks::<8>();
        let read = if big_endian {
            f64::from_be_bytes
        } else {
            f64::from_le_bytes
        };
        chunks.iter().map(|&b| read(b) as f32).collect()
    } else {
        let (chunks, _) = bytes.as_chunks::<4>();
        let read = if big_endian {
            f32::from_be_bytes
        } else {
            f32::from_le_bytes
        };
        chunks.iter().map(|&b| read(b)).collect()
    }
}

/// A number format in Keras's words.
fn describe(datatype: &Datatype) -> String {
    match datatype {
        Datatype::FloatingPoint { size, .. } => format!("float{}", u32::from(*size) * 8),
        Datatype::FixedPoint { size, signed, .. } => {
            let sign = if *signed { "" } else { "u" };
            format!("{sign}int{}", u32::from(*size) * 8)
        }
        Datatype::String { .. } | Datatype::VarLen { .. } => "text".to_owned(),
        Datatype::Opaque { size, .. } => format!("opaque values of {size} bytes"),
        _ => "a compound type".to_owned(),
    }
}
