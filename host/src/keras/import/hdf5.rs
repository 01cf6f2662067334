//! The few things that Keras keeps in HDF5 files: groups, datasets of floats, attributes of text.

use std::borrow::Cow;

use hdf5_reader::messages::datatype::Datatype;
use hdf5_reader::{ByteOrder, Hdf5File, OpenOptions};

use super::error::Problem;
use super::weights::unpacked_limit;

/// An open HDF5 file.
pub(super) struct Hdf5 {
    file: Hdf5File,
    bytes: usize,
    /// `true` if the paths of groups are names with backslashes, as Keras writes them on Windows.
    backslashes: bool,
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
        let mut file = Self {
            file,
            bytes: length,
            backslashes: false,
        };
        let (groups, _) = file.members("/")?;
        file.backslashes = groups.iter().any(|group| group.contains('\\'));
        Ok(file)
    }

    /// The path of an object in this file. On Windows, the groups down to a layer's `vars` are one name.
    fn at<'a>(&self, path: &'a str) -> Cow<'a, str> {
        if !self.backslashes || path == "/" {
            return path.into();
        }
        let (groups, rest) = match path.rfind("/vars") {
            Some(at) => path.split_at(at),
            None => (path, ""),
        };
        format!("{}{rest}", groups.replace('/', "\\")).into()
    }

    /// The length of the file.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Tells whether there is a group of this path.
    pub(super) fn has_group(&self, path: &str) -> Result<bool, Problem> {
        let at = self.at(path);
        if found(path, self.file.group(&at))?.is_some() {
            return Ok(true);
        }
        // A group that is a part of names alone.
        let inside = |name: &String| name.strip_prefix(&*at).is_some_and(|r| r.starts_with('\\'));
        Ok(self.backslashes && self.members("/")?.0.iter().any(inside))
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
        match found(path, self.file.group(&self.at(path)))? {
            Some(group) => group.member_names().map_err(|e| problem(path, &e)),
            None => Ok((Vec::new(), Vec::new())),
        }
    }

    /// The shape of a dataset.
    pub(super) fn shape(&self, path: &str) -> Result<Option<Vec<u64>>, Problem> {
        let dataset = found(path, self.file.dataset(&self.at(path)))?;
        Ok(dataset.map(|d| d.shape().to_vec()))
    }

    /// The values of a dataset as float32; the number format's name if they are no floats.
    pub(super) fn read(&self, path: &str) -> Result<Result<Vec<f32>, String>, Problem> {
        let path = &*self.at(path);
        let dataset = self.file.dataset(path).map_err(|e| problem(path, &e))?;
        let (format, order) = match dataset.dtype() {
            Datatype::FloatingPoint { size, byte_order } => (Float::of_size(*size), *byte_order),
            // HDF5 has no bfloat16, so that Keras stores its bytes.
            Datatype::Opaque { size: 2, .. } => (Some(Float::Brain), ByteOrder::LittleEndian),
            _ => (None, ByteOrder::LittleEndian),
        };
        let Some(format) = format else {
            return Ok(Err(describe(dataset.dtype())));
        };
        let bytes = dataset.read_raw_bytes().map_err(|e| problem(path, &e))?;
        Ok(Ok(format.read(&bytes, order == ByteOrder::BigEndian)))
    }
}

/// A number format of weights.
#[derive(Clone, Copy, Debug)]
pub(super) enum Float {
    /// float16.
    Half,
    /// bfloat16, the upper half of a float32.
    Brain,
    /// float32.
    Single,
    /// float64.
    Double,
}

impl Float {
    fn of_size<N: Into<u64>>(size: N) -> Option<Self> {
        match size.into() {
            2 => Some(Self::Half),
            4 => Some(Self::Single),
            8 => Some(Self::Double),
            _ => None,
        }
    }

    /// The values of these bytes as float32.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float64 weights are rounded to float32"
    )]
    pub(super) fn read(self, bytes: &[u8], big_endian: bool) -> Vec<f32> {
        fn values<const N: usize>(
            bytes: &[u8],
            big_endian: bool,
            value: impl Fn([u8; N]) -> f32,
        ) -> Vec<f32> {
            let (chunks, _) = bytes.as_chunks::<N>();
            let ordered = |&(mut bytes): &[u8; N]| {
                if big_endian {
                    bytes.reverse();
                }
                value(bytes)
            };
            chunks.iter().map(ordered).collect()
        }
        match self {
            Self::Half => values(bytes, big_endian, |b| half(u16::from_le_bytes(b))),
            Self::Brain => values(bytes, big_endian, |b| {
                f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
            }),
            Self::Single => values(bytes, big_endian, f32::from_le_bytes),
            Self::Double => values(bytes, big_endian, |b| f64::from_le_bytes(b) as f32),
        }
    }
}

/// A float16 as float32.
fn half(bits: u16) -> f32 {
    let fraction = f32::from(bits & 0x3ff);
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    sign * match (bits >> 10) & 0x1f {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1024.0 + fraction) * 2f32.powi(i32::from(exponent) - 25),
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
