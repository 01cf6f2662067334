//! Data sets: the samples that a network is calibrated and judged on, and their labels.
//!
//! Turns a NumPy archive (`.npz` with the arrays `x` and, where known, `y`), a lone `.npy` array or a
//! pair of IDX files (the MNIST format, plain or gzipped) into a [`DataSet`]. The format is told by
//! the content, never by the name.
//!
//! Files come from anywhere, so nothing that a header claims is believed: memory grows only with data
//! that is really there, up to [`MAX_BYTES`], and every oddity is a [`DataError`].

mod blocks;

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

pub use blocks::{About, about, load_at_most, read_blocks};

/// The most bytes that a file, or one of its arrays when unpacked, may have: 2 GiB.
pub const MAX_BYTES: u64 = 2 << 30;

/// The most bytes that a NumPy header may have; NumPy itself refuses longer ones.
const MAX_NPY_HEADER: usize = 10_000;

/// NumPy's limit on the number of axes.
const MAX_AXES: usize = 64;

/// How much is read at a time, so that a false claim costs no more than this.
const CHUNK: usize = 1 << 16;

/// Samples of one shape, with or without labels. There is at least one sample, and no sample is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    shape: Vec<usize>,
    samples: Samples,
    labels: Option<Vec<u32>>,
}

/// The values of all samples, one after another, each row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// Bytes as stored; a network that was trained on `x / 255` divides them itself.
    U8(Vec<u8>),
    /// Finite floats. Wider types are rounded to the nearest float32.
    F32(Vec<f32>),
}

/// The values of one sample, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample<'a> {
    /// Bytes as stored.
    U8(&'a [u8]),
    /// Finite floats.
    F32(&'a [f32]),
}

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file could not be opened or read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The content is of no known format.
    #[error(
        "{file}: neither a NumPy archive (.npz), a NumPy array (.npy) nor an IDX file; save the samples with numpy.savez(file, x=samples, y=labels)"
    )]
    UnknownFormat {
        /// The file.
        file: String,
    },
    /// The file, or an array in it, is too large.
    #[error(
        "{file}: {what} has {bytes} bytes, and at most {limit} are read from a file of its length; split the data set"
    )]
    TooLarge {
        /// The file.
        file: String,
        /// The array, or the file itself.
        what: String,
        /// Its size, as far as the header's claim can be counted.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// An archive without the array that is needed: `x` for samples, `y` for labels.
    #[error(
        "{file}: no array {array:?} among [{found}]; save the data with numpy.savez(file, x=samples, y=labels)"
    )]
    NoArray {
        /// The file.
        file: String,
        /// The array that is needed.
        array: String,
        /// The names of its arrays, comma-separated.
        found: String,
    },
    /// Bytes that the format does not allow, or that end too early.
    #[error("{file}: {what}: {reason}; the file is damaged, or was cut short: write it anew")]
    Damaged {
        /// The file.
        file: String,
        /// The array or the part of the file.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// An element type that is not read.
    #[error(
        "{file}: array {array} has dtype {dtype}; convert it to uint8 or float32 (labels: to an integer type)"
    )]
    Dtype {
        /// The file.
        file: String,
        /// The array.
        array: String,
        /// Its NumPy type string.
        dtype: String,
    },
    /// A shape that holds no samples, or labels that do not fit the samples.
    #[error("{file}: array {array} has shape {shape:?}: {reason}")]
    Shape {
        /// The file.
        file: String,
        /// The array.
        array: String,
        /// Its shape, with the batch axis.
        shape: Vec<usize>,
        /// What does not fit, and what would.
        reason: String,
    },
    /// A value that no network can take, or that is no label.
    #[error("{file}: array {array}, sample {sample}: {reason}")]
    Value {
        /// The file.
        file: String,
        /// The array.
        array: String,
        /// The first sample at fault, from 0.
        sample: usize,
        /// What is wrong with the value, and what to do.
        reason: String,
    },
}

impl DataSet {
    /// A data set of samples of `shape` (without the batch axis), with one label for each.
    ///
    /// `None` where the lengths do not fit, or where there is no value at all.
    #[must_use]
    pub fn new(shape: Vec<usize>, samples: Samples, labels: Option<Vec<u32>>) -> Option<Self> {
        let size = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        let whole = size > 0 && samples.len() > 0 && samples.len().is_multiple_of(size);
        let labelled = |l: &Vec<u32>| whole && l.len() == samples.len() / size;
        (whole && labels.as_ref().is_none_or(labelled)).then_some(Self {
            shape,
            samples,
            labels,
        })
    }

    /// The shape of one sample, without the batch axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values of all samples.
    #[must_use]
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The class of each sample, where known.
    #[must_use]
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    /// How many values one sample has.
    #[must_use]
    pub fn sample_size(&self) -> usize {
        self.shape.iter().product()
    }

    /// How many samples there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
    pub fn len(&self) -> usize {
        self.samples.len() / self.sample_size()
    }

    /// Sample `i`, or `None` past the end.
    #[must_use]
    pub fn sample(&self, i: usize) -> Option<Sample<'_>> {
        let size = self.sample_size();
        let range = i.checked_mul(size)?..i.checked_add(1)?.checked_mul(size)?;
        match &self.samples {
            Samples::U8(v) => v.get(range).map(Sample::U8),
            Samples::F32(v) => v.get(range).map(Sample::F32),
        }
    }

    /// All values as floats; a byte b is b · `byte_scale`.
    #[must_use]
    pub fn to_floats(&self, byte_scale: f32) -> Vec<f32> {
        match &self.samples {
            Samples::U8(v) => v.iter().map(|&b| f32::from(b) * byte_scale).collect(),
            Samples::F32(v) => v.clone(),
        }
    }

    /// The samples at `indices`, in that order; `None` where that is none at all or one is past the end.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Option<Self> {
        fn gather<T: Copy>(values: &[T], indices: &[usize], size: usize) -> Option<Vec<T>> {
            let mut all = Vec::with_capacity(indices.len() * size);
            for &i in indices {
                let start = i.checked_mul(size)?;
                all.extend_from_slice(values.get(start..start.checked_add(size)?)?);
            }
            Some(all)
        }
        let size = self.sample_size();
        let samples = match &self.samples {
            Samples::U8(v) => Samples::U8(gather(v, indices, size)?),
            Samples::F32(v) => Samples::F32(gather(v, indices, size)?),
        };
        let labels = match &self.labels {
            Some(labels) => Some(gather(labels, indices, 1)?),
            None => None,
        };
        Self::new(self.shape.clone(), samples, labels)
    }

    /// What several inputs are given, as one data set: a sample is one of each, one behind the other. Where
    /// not all are bytes, bytes become floats, b · `byte_scale`. Labels are the first that there are.
    ///
    /// `None` where that is none at all, or the numbers of samples differ.
    #[must_use]
    pub fn side_by_side(mut sets: Vec<Self>, byte_scale: f32) -> Option<Self> {
        fn joined<'a, T: Copy + 'a>(parts: &[(&'a [T], usize)], count: usize) -> Vec<T> {
            let mut all = Vec::with_capacity(parts.iter().map(|(values, _)| values.len()).sum());
            for i in 0..count {
                for (values, size) in parts {
                    all.extend_from_slice(&values[i * size..][..*size]);
                }
            }
            all
        }
        let count = sets.first()?.len();
        if sets.len() == 1 {
            return sets.pop();
        }
        if sets.iter().any(|set| set.len() != count) {
            return None;
        }
        let sizes = sets.iter().map(Self::sample_size);
        let bytes: Option<Vec<_>> = (sets.iter().zip(sizes.clone()))
            .map(|(set, size)| match &set.samples {
                Samples::U8(values) => Some((values.as_slice(), size)),
                Samples::F32(_) => None,
            })
            .collect();
        let samples = match bytes {
            Some(parts) => Samples::U8(joined(&parts, count)),
            None => {
                let floats: Vec<_> = sets.iter().map(|set| set.to_floats(byte_scale)).collect();
                let parts: Vec<_> = floats
                    .iter()
                    .map(Vec::as_slice)
                    .zip(sizes.clone())
                    .collect();
                Samples::F32(joined(&parts, count))
            }
        };
        let size = sizes.sum();
        let labels = sets.into_iter().find_map(|set| set.labels);
        Self::new(vec![size], samples, labels)
    }

    /// Appends samples of the same shape and kind; others are left out.
    fn extend(&mut self, other: Self) {
        match (&mut self.samples, other.samples) {
            (Samples::U8(own), Samples::U8(more)) => own.extend(more),
            (Samples::F32(own), Samples::F32(more)) => own.extend(more),
            _ => return,
        }
        if let (Some(own), Some(more)) = (&mut self.labels, other.labels) {
            own.extend(more);
        }
    }

    /// The first `n` samples; all of them where there are fewer. At least one stays.
    #[must_use]
    pub fn take(mut self, n: usize) -> Self {
        let n = n.clamp(1, self.len());
        let values = n * self.sample_size();
        match &mut self.samples {
            Samples::U8(v) => v.truncate(values),
            Samples::F32(v) => v.truncate(values),
        }
        if let Some(labels) = &mut self.labels {
            labels.truncate(n);
        }
        self
    }
}

impl Samples {
    /// How many values there are, over all samples.
    fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::F32(v) => v.len(),
        }
    }
}

/// Reads the data set at `path`.
///
/// The labels of IDX images are looked for beside them, under MNIST's names: those of
/// `train-images-idx3-ubyte.gz` in `train-labels-idx1-ubyte.gz`, or in the same without `.gz`.
///
/// # Errors
/// [`DataError`], where the file cannot be read or is no data set.
pub fn load(path: impl AsRef<Path>) -> Result<DataSet, DataError> {
    let path = path.as_ref();
    let file = path.display().to_string();
    let bytes = read_file(path)?;
    let (x, y) = parse(&file, &bytes)?;
    let beside = match Format::of(&bytes) {
        Some(Format::Idx | Format::Gzip) => labels_beside(path),
        _ => None,
    };
    match beside {
        Some(labels) => join(x, Some(read_labels(&labels)?)),
        None => join(x, y),
    }
}

/// Reads the samples at `path`, and their labels from the file `labels`: an IDX file, a `.npy` array,
/// or a `.npz` archive with an array `y`.
///
/// # Errors
/// [`DataError`], where one of the files cannot be read or they do not fit each other.
pub fn load_with_labels(
    path: impl AsRef<Path>,
    labels: impl AsRef<Path>,
) -> Result<DataSet, DataError> {
    let path = path.as_ref();
    let (x, _) = parse(&path.display().to_string(), &read_file(path)?)?;
    join(x, Some(read_labels(labels.as_ref())?))
}

/// Reads a data set from the content of a file. `name` stands for the file in messages.
///
/// # Errors
/// [`DataError`], where the bytes are no data set.
pub fn load_bytes(name: &str, bytes: &[u8]) -> Result<DataSet, DataError> {
    let (x, y) = parse(name, bytes)?;
    join(x, y)
}

/// What the first bytes of a file show.
#[derive(Clone, Copy)]
enum Format {
    Npz,
    Npy,
    Idx,
    /// A compressed file; only IDX files come so.
    Gzip,
}

impl Format {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Npz),
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some(Self::Npy),
            [0, 0, ..] => Some(Self::Idx),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            _ => None,
        }
    }
}

/// What an array is for, which decides what its elements become.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Samples,
    Labels,
}

/// One array of a file, with the names that messages use.
struct Array {
    file: String,
    name: String,
    dtype: String,
    shape: Vec<usize>,
    values: Values,
}

/// The elements of an array, row-major.
enum Values {
    U8(Vec<u8>),
    /// Labels only: exact.
    Int(Vec<i64>),
    /// Finite.
    Float(Vec<f32>),
}

/// The length of a file that can be read more than once.
fn regular(file: &File) -> io::Result<u64> {
    let about = file.metadata()?;
    if about.is_file() {
        return Ok(about.len());
    }
    let reason = "not a regular file, and samples are read more than once";
    Err(io::Error::new(ErrorKind::InvalidInput, reason))
}

fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    let failed = |source| DataError::Read {
        file: path.display().to_string(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let len = regular(&file).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(DataError::TooLarge {
            file: path.display().to_string(),
            what: "the file".into(),
            bytes: len,
            limit: MAX_BYTES,
        });
    }
    Ok(bytes)
}

/// The most bytes that an array in a file may have. Real samples can hardly be packed to a hundredth:
/// more is a claim that is made to exhaust the memory.
fn unpacked_limit(packed: u64) -> u64 {
    packable(packed).min(MAX_BYTES)
}

/// The most bytes that real samples are packed into `packed` bytes from.
fn packable(packed: u64) -> u64 {
    packed.saturating_mul(100).saturating_add(64 << 20)
}

/// The file of labels that MNIST's naming gives for a file of images, if it is there.
#[must_use]
pub fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let (set, _) = name.split_once("images")?;
    // Copies of MNIST also come with a dot before `idx`.
    ["-idx1-ubyte", ".idx1-ubyte"]
        .iter()
        .flat_map(|rest| {
            [
                format!("{set}labels{rest}.gz"),
                format!("{set}labels{rest}"),
            ]
        })
        .map(|labels| images.with_file_name(labels))
        .find(|path| path.is_file())
}

fn read_labels(path: &Path) -> Result<Array, DataError> {
    let file = path.display().to_string();
    let bytes = read_file(path)?;
    let limit = unpacked_limit(bytes.len() as u64);
    match Format::of(&bytes) {
        Some(Format::Npz) => {
            let mut archive = Archive::open(&file, Cursor::new(&*bytes), limit)?;
            archive
                .array("y", Role::Labels)?
                .ok_or_else(|| archive.lacks("y"))
        }
        Some(Format::Npy) => parse_npy(&file, "y", Role::Labels, limit, bytes.as_slice()),
        Some(Format::Idx) => parse_idx(&file, Role::Labels, limit, bytes.as_slice()),
        Some(Format::Gzip) => parse_idx(&file, Role::Labels, limit, MultiGzDecoder::new(&*bytes)),
        None => Err(DataError::UnknownFormat { file }),
    }
}

/// The samples of a file, and the labels where they are in the same file.
fn parse(file: &str, bytes: &[u8]) -> Result<(Array, Option<Array>), DataError> {
    let limit = unpacked_limit(bytes.len() as u64);
    match Format::of(bytes) {
        Some(Format::Npz) => {
            let mut archive = Archive::open(file, Cursor::new(bytes), limit)?;
            let x = archive
                .array("x", Role::Samples)?
                .ok_or_else(|| archive.lacks("x"))?;
            Ok((x, archive.array("y", Role::Labels)?))
        }
        Some(Format::Npy) => Ok((parse_npy(file, "x", Role::Samples, limit, bytes)?, None)),
        Some(Format::Idx) => Ok((parse_idx(file, Role::Samples, limit, bytes)?, None)),
        Some(Format::Gzip) => {
            let unpacked = MultiGzDecoder::new(bytes);
            Ok((parse_idx(file, Role::Samples, limit, unpacked)?, None))
        }
        None => Err(DataError::UnknownFormat { file: file.into() }),
    }
}

/// Checks the samples and their labels against each other.
fn join(x: Array, y: Option<Array>) -> Result<DataSet, DataError> {
    let refused = |reason: &str| DataError::Shape {
        file: x.file.clone(),
        array: x.name.clone(),
        shape: x.shape.clone(),
        reason: reason.into(),
    };
    let [count, shape @ ..] = x.shape.as_slice() else {
        return Err(refused(
            "a single value; put the samples along a first axis",
        ));
    };
    if *count == 0 {
        return Err(refused("there is no sample; at least one is needed"));
    }
    if shape.contains(&0) {
        return Err(refused("the samples are empty; no axis may have length 0"));
    }
    let labels = y
        .map(|y| labels_of(&y, &x.file, &x.name, &x.shape))
        .transpose()?;
    let samples = match x.values {
        Values::U8(v) => Samples::U8(v),
        Values::Float(v) => Samples::F32(v),
        Values::Int(v) => Samples::F32(v.iter().map(|&n| n as f32).collect()),
    };
    DataSet::new(shape.to_vec(), samples, labels).ok_or_else(|| DataError::Damaged {
        file: x.file.clone(),
        what: format!("array {}", x.name),
        reason: "its length does not match its shape".into(),
    })
}

/// The labels in `y`: integers of shape `[n]` or `[n, 1]`, or one-hot rows of shape `[n, classes]`.
fn labels_of(
    y: &Array,
    x_file: &str,
    x_name: &str,
    x_shape: &[usize],
) -> Result<Vec<u32>, DataError> {
    let refused = |reason: String| DataError::Shape {
        file: y.file.clone(),
        array: y.name.clone(),
        shape: y.shape.clone(),
        reason,
    };
    let (count, classes) = match *y.shape.as_slice() {
        [n] => (n, 1),
        [n, classes] if classes > 0 => (n, classes),
        _ => {
            return Err(refused(
                "labels need the shape [n] or [n, 1], or [n, classes] for one-hot rows".into(),
            ));
        }
    };
    if Some(&count) != x_shape.first() {
        return Err(refused(format!(
            "it must have one label for each sample, and {x_name} in {x_file} has shape {x_shape:?}"
        )));
    }
    let at = |sample, reason: &str| DataError::Value {
        file: y.file.clone(),
        array: y.name.clone(),
        sample,
        reason: reason.into(),
    };
    let integers: Vec<i64> = match &y.values {
        Values::U8(v) => v.iter().map(|&n| i64::from(n)).collect(),
        Values::Int(v) => v.clone(),
        Values::Float(v) if classes > 1 => {
            return Ok(v.chunks_exact(classes).map(argmax).collect());
        }
        Values::Float(_) => {
            return Err(DataError::Dtype {
                file: y.file.clone(),
                array: y.name.clone(),
                dtype: y.dtype.clone(),
            });
        }
    };
    if classes == 1 {
        return integers
            .iter()
            .enumerate()
            .map(|(i, &n)| {
                u32::try_from(n).map_err(|_| {
                    at(
                        i,
                        &format!("label {n}; labels count from 0 and are below 2^32"),
                    )
                })
            })
            .collect();
    }
    integers
        .chunks_exact(classes)
        .enumerate()
        .map(|(i, row)| {
            let mut ones = (0u32..).zip(row).filter(|(_, n)| **n != 0);
            match (ones.next(), ones.next()) {
                (Some((class, _)), None) => Ok(class),
                _ => Err(at(
                    i,
                    "the row is not one-hot; give one label for each sample",
                )),
            }
        })
        .collect()
}

/// The place of the largest value, the first of equals.
fn argmax(row: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &value) in (0u32..).zip(row) {
        if value > best.1 {
            best = (class, value);
        }
    }
    best.0
}

/// A NumPy archive: a zip of `.npy` files.
struct Archive<'a, R> {
    file: &'a str,
    zip: ZipArchive<R>,
    limit: u64,
}

impl<'a, R: Read + Seek> Archive<'a, R> {
    fn open(file: &'a str, content: R, limit: u64) -> Result<Self, DataError> {
        match ZipArchive::new(content) {
            Ok(zip) => Ok(Self { file, zip, limit }),
            Err(e) => Err(damaged(file, "the archive", e)),
        }
    }

    fn array(&mut self, name: &str, role: Role) -> Result<Option<Array>, DataError> {
        match self.zip.by_name(&format!("{name}.npy")) {
            Ok(entry) => parse_npy(self.file, name, role, self.limit, entry).map(Some),
            Err(ZipError::FileNotFound) => Ok(None),
            Err(e) => Err(damaged(self.file, &array_called(name), e)),
        }
    }

    /// The error for an array that is not there: it names what is.
    fn lacks(&self, array: &str) -> DataError {
        let mut names: Vec<_> = self
            .zip
            .file_names()
            .filter_map(Result::ok)
            .map(|n| n.strip_suffix(".npy").unwrap_or(&n).to_owned())
            .collect();
        names.sort_unstable();
        let more = names.len() > 16;
        names.truncate(16);
        // Names come from the file too.
        let shown = |name: &String| {
            name.chars()
                .take(40)
                .collect::<String>()
                .escape_debug()
                .to_string()
        };
        let mut found = names.iter().map(shown).collect::<Vec<_>>().join(", ");
        if more {
            found.push_str(", ...");
        }
        DataError::NoArray {
            file: self.file.into(),
            array: array.into(),
            found,
        }
    }
}

fn array_called(name: &str) -> String {
    format!("array {name}")
}

fn damaged(file: &str, what: &str, reason: impl ToString) -> DataError {
    DataError::Damaged {
        file: file.into(),
        what: what.into(),
        reason: reason.to_string(),
    }
}

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Element {
    kind: Kind,
    /// Bytes: 1, 2, 4 or 8; of a float 4 or 8.
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Unsigned,
    Signed,
    Float,
}

impl Element {
    /// The element of a NumPy type string, such as `<f4`.
    fn of_npy(descr: &str) -> Option<Self> {
        let mut chars = descr.chars();
        let big_endian = match chars.next()? {
            '<' | '|' | '=' => false,
            '>' => true,
            _ => return None,
        };
        let kind = chars.next()?;
        let (kind, size) = match (kind, chars.as_str()) {
            ('b' | 'u', "1") => (Kind::Unsigned, 1),
            ('u', "2") => (Kind::Unsigned, 2),
            ('u', "4") => (Kind::Unsigned, 4),
            ('u', "8") => (Kind::Unsigned, 8),
            ('i', "1") => (Kind::Signed, 1),
            ('i', "2") => (Kind::Signed, 2),
            ('i', "4") => (Kind::Signed, 4),
            ('i', "8") => (Kind::Signed, 8),
            ('f', "4") => (Kind::Float, 4),
            ('f', "8") => (Kind::Float, 8),
            _ => return None,
        };
        Some(Self {
            kind,
            size,
            big_endian,
        })
    }

    /// The element of an IDX type code.
    fn of_idx(code: u8) -> Option<Self> {
        let (kind, size) = match code {
            0x08 => (Kind::Unsigned, 1),
            0x09 => (Kind::Signed, 1),
            0x0b => (Kind::Signed, 2),
            0x0c => (Kind::Signed, 4),
            0x0d => (Kind::Float, 4),
            0x0e => (Kind::Float, 8),
            _ => return None,
        };
        Some(Self {
            kind,
            size,
            big_endian: true,
        })
    }

    fn is_u8(self) -> bool {
        self.kind == Kind::Unsigned && self.size == 1
    }

    /// The element's bits, from `size` bytes.
    fn bits(self, bytes: &[u8]) -> u64 {
        let shift = |bits: u64, &byte: &u8| bits << 8 | u64::from(byte);
        if self.big_endian {
            bytes.iter().fold(0, shift)
        } else {
            bytes.iter().rev().fold(0, shift)
        }
    }

    /// The bits of a signed element, with its sign extended.
    fn signed(self, bits: u64) -> i64 {
        let unused = 64 - 8 * self.size as u32;
        (bits << unused) as i64 >> unused
    }

    /// The element as a float, rounded to nearest.
    fn float(self, bytes: &[u8]) -> f32 {
        let bits = self.bits(bytes);
        match (self.kind, self.size) {
            (Kind::Float, 4) => f32::from_bits(bits as u32),
            (Kind::Float, _) => f64::from_bits(bits) as f32,
            (Kind::Signed, _) => self.signed(bits) as f32,
            (Kind::Unsigned, _) => bits as f32,
        }
    }

    /// The integer element; too large ones become the largest `i64`, which is no label either.
    fn integer(self, bytes: &[u8]) -> i64 {
        let bits = self.bits(bytes);
        match self.kind {
            Kind::Signed => self.signed(bits),
            _ => i64::try_from(bits).unwrap_or(i64::MAX),
        }
    }
}

/// Reads a `.npy` array; its header is a Python dictionary of a fixed form.
///
/// The crate `npyz` is not used for this: it believes the header's length, lets the product of the
/// axes overflow, and parses nested literals by recursion.
fn parse_npy(
    file: &str,
    name: &str,
    role: Role,
    limit: u64,
    mut content: impl Read,
) -> Result<Array, DataError> {
    let (head, fortran_order) = npy_head(file, name, role, limit, &mut content)?;
    let values = head.all(&mut content)?;
    let values = if fortran_order {
        match values {
            Values::U8(v) => Values::U8(to_row_major(&head.shape, &v)),
            Values::Int(v) => Values::Int(to_row_major(&head.shape, &v)),
            Values::Float(v) => Values::Float(to_row_major(&head.shape, &v)),
        }
    } else {
        values
    };
    Ok(head.array(values))
}

/// What stands before the values of a `.npy` array, and whether its first axis is the fastest.
fn npy_head(
    file: &str,
    name: &str,
    role: Role,
    limit: u64,
    content: &mut impl Read,
) -> Result<(Head, bool), DataError> {
    let what = array_called(name);
    let cut = |e| damaged(file, &format!("the header of {what}"), eof(e));
    let mut start = [0; 8];
    content.read_exact(&mut start).map_err(cut)?;
    let [0x93, b'N', b'U', b'M', b'P', b'Y', major, _] = start else {
        return Err(damaged(file, &what, "it does not start as a NumPy array"));
    };
    let mut length = [0; 4];
    let width = if major == 1 { 2 } else { 4 };
    content.read_exact(&mut length[..width]).map_err(cut)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_NPY_HEADER {
        let reason = format!("a header of {length} bytes, at most {MAX_NPY_HEADER} are read");
        return Err(damaged(file, &what, reason));
    }
    let mut text = vec![0; length];
    content.read_exact(&mut text).map_err(cut)?;
    let header = std::str::from_utf8(&text)
        .ok()
        .and_then(NpyHeader::parse)
        .ok_or_else(|| {
            let text = String::from_utf8_lossy(&text);
            let text: String = text.trim().chars().take(120).collect();
            damaged(file, &what, format!("a header of unknown form: {text:?}"))
        })?;
    let unknown = || DataError::Dtype {
        file: file.into(),
        array: name.into(),
        dtype: header.descr.into(),
    };
    let element = Element::of_npy(header.descr).ok_or_else(unknown)?;
    let head = Head {
        file: file.into(),
        name: name.into(),
        role,
        dtype: header.descr.into(),
        limit,
        element,
        shape: header.shape,
    };
    Ok((head, header.fortran_order))
}

/// The header of a `.npy` array.
#[derive(Debug, PartialEq)]
struct NpyHeader<'a> {
    /// The type string, or the whole list of a structured type.
    descr: &'a str,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl<'a> NpyHeader<'a> {
    /// Parses such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &'a str) -> Option<Self> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{')?.trim_start();
        while !rest.starts_with('}') {
            let (key, value) = quoted(rest)?;
            let value = value.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" if value.starts_with('[') => {
                    let end = value.rfind(']')? + 1;
                    descr = value.get(..end);
                    value.get(end..)?
                }
                "descr" => {
                    let (text, after) = quoted(value)?;
                    descr = Some(text);
                    after
                }
                "fortran_order" => {
                    fortran_order = Some(value.starts_with("True"));
                    value
                        .strip_prefix("True")
                        .or_else(|| value.strip_prefix("False"))?
                }
                "shape" => {
                    let (axes, after) = value.strip_prefix('(')?.split_once(')')?;
                    shape = Some(axes_of(axes)?);
                    after
                }
                _ => return None,
            };
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        (rest == "}").then_some(Self {
            descr: descr?,
            fortran_order: fortran_order?,
            shape: shape?,
        })
    }
}

/// The text of the Python string at the start, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    ['\'', '"']
        .iter()
        .find_map(|&quote| text.strip_prefix(quote)?.split_once(quote))
}

/// The axes inside the brackets of a Python tuple of integers.
fn axes_of(tuple: &str) -> Option<Vec<usize>> {
    let tuple = tuple.trim();
    let tuple = tuple.strip_suffix(',').unwrap_or(tuple);
    if tuple.is_empty() {
        return Some(Vec::new());
    }
    // Python 2 marked long integers with an L.
    let axis = |a: &str| a.trim().trim_end_matches('L').parse().ok();
    let axes: Vec<_> = tuple.split(',').map(axis).collect::<Option<_>>()?;
    (axes.len() <= MAX_AXES).then_some(axes)
}

/// Reads an IDX array.
fn parse_idx(
    file: &str,
    role: Role,
    limit: u64,
    mut content: impl Read,
) -> Result<Array, DataError> {
    let head = idx_head(file, role, limit, &mut content)?;
    let values = head.all(&mut content)?;
    Ok(head.array(values))
}

/// What stands before the values of an IDX array: two zero bytes, the type, the number of axes, the axes.
fn idx_head(
    file: &str,
    role: Role,
    limit: u64,
    content: &mut impl Read,
) -> Result<Head, DataError> {
    let name = match role {
        Role::Samples => "images",
        Role::Labels => "labels",
    };
    let cut = |e| damaged(file, "the IDX header", eof(e));
    let mut start = [0; 4];
    content.read_exact(&mut start).map_err(cut)?;
    let [0, 0, code, axes] = start else {
        return Err(DataError::UnknownFormat { file: file.into() });
    };
    let element =
        Element::of_idx(code).ok_or_else(|| DataError::UnknownFormat { file: file.into() })?;
    let mut shape = Vec::with_capacity(usize::from(axes));
    for _ in 0..axes {
        let mut axis = [0; 4];
        content.read_exact(&mut axis).map_err(cut)?;
        shape.push(u32::from_be_bytes(axis) as usize);
    }
    Ok(Head {
        file: file.into(),
        name: name.into(),
        role,
        dtype: format!("IDX type {code:#04x}"),
        limit,
        element,
        shape,
    })
}

/// An array before its values are read.
struct Head {
    file: String,
    name: String,
    role: Role,
    dtype: String,
    /// The most bytes that may be held.
    limit: u64,
    element: Element,
    shape: Vec<usize>,
}

impl Head {
    fn array(self, values: Values) -> Array {
        Array {
            file: self.file,
            name: self.name,
            dtype: self.dtype,
            shape: self.shape,
            values,
        }
    }

    /// Values of a sample.
    fn sample_size(&self) -> usize {
        let axes = self.shape.iter().skip(1);
        axes.fold(1usize, |n, &d| n.saturating_mul(d)).max(1)
    }

    /// How many values `samples` have, unless they are too many to hold.
    fn values_of(&self, samples: usize) -> Result<usize, DataError> {
        self.values_within(samples, self.limit)
    }

    /// How many values `samples` have, unless they take more than `limit` bytes.
    fn values_within(&self, samples: usize, limit: u64) -> Result<usize, DataError> {
        let kept = match self.role {
            Role::Samples if self.element.is_u8() => 1,
            Role::Samples => 4,
            Role::Labels => 8,
        };
        let mut axes = self.shape.iter().skip(1);
        let count = axes.try_fold(samples, |n, &d| n.checked_mul(d));
        let bytes = count.and_then(|n| n.checked_mul(self.element.size.max(kept)));
        match (count, bytes) {
            (Some(count), Some(bytes)) if bytes as u64 <= limit => Ok(count),
            _ => Err(DataError::TooLarge {
                file: self.file.clone(),
                what: array_called(&self.name),
                bytes: bytes.map_or(u64::MAX, |b| b as u64),
                limit,
            }),
        }
    }

    /// Reads all values, to the end of `content`.
    fn all(&self, content: &mut impl Read) -> Result<Values, DataError> {
        let values = match self.shape.first() {
            Some(&samples) => self.read(self.values_of(samples)?, 0, content)?,
            None => self.read(1, 0, content)?,
        };
        self.end(content)?;
        Ok(values)
    }

    /// Reads the next `count` values, behind those of `before` samples.
    fn read(
        &self,
        count: usize,
        before: usize,
        content: &mut impl Read,
    ) -> Result<Values, DataError> {
        let Self { element, shape, .. } = self;
        let (file, name) = (self.file.as_str(), self.name.as_str());
        let mut values = if element.is_u8() {
            Values::U8(Vec::new())
        } else if self.role == Role::Labels && element.kind != Kind::Float {
            Values::Int(Vec::new())
        } else {
            Values::Float(Vec::new())
        };
        let mut chunk = vec![0; CHUNK];
        let mut left = count * element.size;
        while left > 0 {
            let part = &mut chunk[..left.min(CHUNK)];
            content.read_exact(part).map_err(|e| {
                let reason = match e.kind() {
                    ErrorKind::UnexpectedEof => {
                        format!("it ends before the values that its shape {shape:?} takes")
                    }
                    _ => e.to_string(),
                };
                damaged(file, &array_called(name), reason)
            })?;
            let elements = part.chunks_exact(element.size);
            match &mut values {
                Values::U8(v) => v.extend_from_slice(part),
                Values::Int(v) => v.extend(elements.map(|e| element.integer(e))),
                Values::Float(v) => {
                    for value in elements.map(|e| element.float(e)) {
                        if !value.is_finite() {
                            return Err(DataError::Value {
                                file: file.into(),
                                array: name.into(),
                                sample: before + v.len() / self.sample_size(),
                                reason: format!(
                                    "the value {value} is not finite as float32; replace or drop the sample"
                                ),
                            });
                        }
                        v.push(value);
                    }
                }
            }
            left -= part.len();
        }
        Ok(values)
    }

    /// Makes sure that nothing follows; reading on to the end also checks the archive's or gzip's
    /// checksum.
    fn end(&self, content: &mut impl Read) -> Result<(), DataError> {
        let what = array_called(&self.name);
        match content.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(damaged(
                &self.file,
                &what,
                format!("more data follows than its shape {:?} takes", self.shape),
            )),
            Err(e) => Err(damaged(&self.file, &what, e)),
        }
    }
}

/// What to say of a read that failed.
fn eof(e: io::Error) -> String {
    match e.kind() {
        ErrorKind::UnexpectedEof => "the data ends here".into(),
        _ => e.to_string(),
    }
}

/// The values of an array that is stored with its first axis fastest, with the last axis fastest.
fn to_row_major<T: Copy>(shape: &[usize], values: &[T]) -> Vec<T> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, &axis| {
            let this = *stride;
            *stride *= axis;
            Some(this)
        })
        .collect();
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
        out.push(values[at]);
        for (i, &axis) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < axis {
                break;
            }
            *i = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use npyz::WriterBuilder;
    use proptest::prelude::*;
    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn npy<T: npyz::AutoSerialize>(shape: &[u64], order: npyz::Order, values: Vec<T>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .order(order)
            .writer(&mut bytes)
            .begin_nd()
            .unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn c<T: npyz::AutoSerialize>(shape: &[u64], values: Vec<T>) -> Vec<u8> {
        npy(shape, npyz::Order::C, values)
    }

    /// A version 1 array with this header and this data.
    fn raw_npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default())
                .unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn idx(code: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, shape.len() as u8];
        bytes.extend(shape.iter().flat_map(|d| d.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn error(bytes: &[u8]) -> String {
        load_bytes("some.npz", bytes).unwrap_err().to_string()
    }

    #[test]
    fn bytes_stay_bytes_and_labels_come_along() {
        let file = npz(&[
            ("x", c(&[2, 1, 3], vec![1u8, 2, 3, 4, 5, 6])),
            ("y", c(&[2], vec![7u8, 9])),
        ]);
        let data = load_bytes("d.npz", &file).unwrap();
        assert_eq!(data.shape(), [1, 3]);
        assert_eq!((data.len(), data.sample_size()), (2, 3));
        assert_eq!(data.sample(1), Some(Sample::U8(&[4, 5, 6])));
        assert_eq!(data.sample(2), None);
        assert_eq!(data.sample(usize::MAX), None);
        assert_eq!(data.labels(), Some([7, 9].as_slice()));
        let first = data.take(1);
        assert_eq!((first.len(), first.labels().unwrap()), (1, [7].as_slice()));
    }

    #[test]
    fn every_numeric_type_becomes_float32() {
        let files = [
            c(&[3], vec![-1i8, 0, 100]),
            c(&[3], vec![-1i16, 0, 100]),
            c(&[3], vec![-1i32, 0, 100]),
            c(&[3], vec![-1i64, 0, 100]),
            c(&[3], vec![-1f32, 0., 100.]),
            c(&[3], vec![-1f64, 0., 100.]),
        ];
        for x in files {
            let data = load_bytes("d.npy", &x).unwrap();
            assert_eq!(*data.samples(), Samples::F32(vec![-1., 0., 100.]));
            assert!(data.shape().is_empty());
            assert_eq!(data.labels(), None);
        }
        for x in [
            c(&[2], vec![3u16, 400]),
            c(&[2], vec![3u32, 400]),
            c(&[2], vec![3u64, 400]),
            raw_npy(
                "{'descr': '>u2', 'fortran_order': False, 'shape': (2,)}",
                &[0, 3, 1, 144],
            ),
        ] {
            let data = load_bytes("d.npy", &x).unwrap();
            assert_eq!(*data.samples(), Samples::F32(vec![3., 400.]));
        }
        let flags = raw_npy(
            "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 1)}",
            &[1, 0],
        );
        let data = load_bytes("d.npy", &flags).unwrap();
        assert_eq!(*data.samples(), Samples::U8(vec![1, 0]));
    }

    #[test]
    fn fortran_order_is_turned_around() {
        let column_major = vec![0u8, 3, 1, 4, 2, 5];
        let data = load_bytes("d.npy", &npy(&[2, 3], npyz::Order::Fortran, column_major)).unwrap();
        assert_eq!(*data.samples(), Samples::U8(vec![0, 1, 2, 3, 4, 5]));
    }

    #[test]
    fn labels_in_every_form() {
        let labels = |y: Vec<u8>| {
            let file = npz(&[("x", c(&[3, 1], vec![0f32; 3])), ("y", y)]);
            load_bytes("d.npz", &file).map(|d| d.labels().unwrap().to_vec())
        };
        let expected = vec![2, 0, 1];
        assert_eq!(labels(c(&[3], vec![2i64, 0, 1])).unwrap(), expected);
        assert_eq!(labels(c(&[3, 1], vec![2u32, 0, 1])).unwrap(), expected);
        let soft = vec![0., 0.1, 0.9, 1., 0., 0., 0.2, 0.6, 0.2];
        assert_eq!(labels(c::<f32>(&[3, 3], soft)).unwrap(), expected);
        let hot = vec![0u8, 0, 1, 1, 0, 0, 0, 1, 0];
        assert_eq!(labels(c(&[3, 3], hot)).unwrap(), expected);

        let cold = labels(c(&[3, 3], vec![0u8, 0, 1, 0, 0, 0, 0, 1, 0])).unwrap_err();
        assert!(
            cold.to_string()
                .contains("sample 1: the row is not one-hot"),
            "{cold}"
        );
        let negative = labels(c(&[3], vec![2i64, -1, 1])).unwrap_err();
        assert!(
            negative.to_string().contains("sample 1: label -1"),
            "{negative}"
        );
        let floats = labels(c(&[3], vec![2f32, 0., 1.])).unwrap_err();
        assert!(floats.to_string().contains("dtype <f4"), "{floats}");
        let few = labels(c(&[2], vec![2i64, 0])).unwrap_err().to_string();
        assert!(
            few.contains("array y has shape [2]") && few.contains("[3, 1]"),
            "{few}"
        );
        let deep = labels(c(&[3, 1, 1], vec![2i64, 0, 1])).unwrap_err();
        assert!(deep.to_string().contains("labels need the shape"), "{deep}");
    }

    #[test]
    fn idx_files_and_their_labels() {
        let dir = tempfile::tempdir().unwrap();
        let images = idx(8, &[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]);
        let labels = idx(8, &[2], &[4, 3]);
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let alone = write("digits", &images);
        assert_eq!(load(&alone).unwrap().labels(), None);

        let packed = write("train-images-idx3-ubyte.gz", &gz(&images));
        let beside = write("train-labels-idx1-ubyte.gz", &gz(&labels));
        let plain = write("t10k-images-idx3-ubyte", &images);
        write("t10k-labels-idx1-ubyte", &labels);
        for data in [
            load(&packed).unwrap(),
            load(&plain).unwrap(),
            load_with_labels(&alone, &beside).unwrap(),
            load_with_labels(&alone, write("l.npy", &c(&[2], vec![4i32, 3]))).unwrap(),
            load_with_labels(
                &alone,
                write("l.npz", &npz(&[("y", c(&[2], vec![4i32, 3]))])),
            )
            .unwrap(),
        ] {
            assert_eq!(data.shape(), [2, 2]);
            assert_eq!(data.sample(1), Some(Sample::U8(&[5, 6, 7, 8])));
            assert_eq!(data.labels(), Some([4, 3].as_slice()));
        }
        let missing = load(dir.path().join("none.npz")).unwrap_err();
        assert!(missing.to_string().contains("none.npz"), "{missing}");
        let folder = load(dir.path()).unwrap_err();
        assert!(
            folder.to_string().contains("not a regular file"),
            "{folder}"
        );
    }

    #[test]
    fn idx_numbers_are_big_endian() {
        let data = load_bytes("i", &idx(0x0b, &[1, 2], &[1, 0, 255, 255])).unwrap();
        assert_eq!(*data.samples(), Samples::F32(vec![256., -1.]));
        let data = load_bytes("i", &idx(0x0d, &[1], &1.5f32.to_be_bytes())).unwrap();
        assert_eq!(*data.samples(), Samples::F32(vec![1.5]));
    }

    #[test]
    fn claims_are_not_believed() {
        for (file, expected) in [
            (
                idx(8, &[u32::MAX, u32::MAX, u32::MAX], &[]),
                "are read from a file of its length",
            ),
            (
                idx(8, &[60_000, 28, 28], &[1, 2, 3]),
                "it ends before the values",
            ),
            (idx(8, &[1, 1], &[1, 2]), "more data follows"),
            (
                gz(&idx(8, &[2_000_000_000], &[])),
                "are read from a file of its length",
            ),
            (
                raw_npy(
                    "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551615, 2)}",
                    &[],
                ),
                "are read from a file of its length",
            ),
            (
                raw_npy(
                    "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 0)}",
                    &[],
                ),
                "the samples are empty",
            ),
            (
                raw_npy(
                    "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)}",
                    &[],
                ),
                "there is no sample",
            ),
            (
                raw_npy(
                    "{'descr': '<f4', 'fortran_order': False, 'shape': ()}",
                    &[0; 4],
                ),
                "first axis",
            ),
            (
                raw_npy(
                    "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
                    &[0; 8],
                ),
                "dtype <c8",
            ),
            (
                raw_npy(
                    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
                    &[0; 4],
                ),
                "dtype [('a', '<f4')]",
            ),
            (raw_npy(&"(".repeat(9000), &[]), "a header of unknown form"),
            (raw_npy(&" ".repeat(10_001), &[]), "a header of 10001 bytes"),
            (
                b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
                "a header of 4294967295 bytes",
            ),
            (b"\x93NUMPY".to_vec(), "the data ends here"),
            (b"PK\x03\x04 no archive".to_vec(), "the archive"),
            (b"\x1f\x8bx".to_vec(), "the IDX header"),
            (b"\x89HDF\r\n".to_vec(), "numpy.savez"),
            (Vec::new(), "numpy.savez"),
            (
                npz(&[("b", vec![]), ("a", vec![])]),
                "no array \"x\" among [a, b]",
            ),
        ] {
            let message = error(&file);
            assert!(
                message.contains(expected) && message.contains("some.npz"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let zeros = idx(8, &[1, 1], &vec![0; 1 << 20]);
        assert!(error(&gz(&zeros)).contains("more data follows"));
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3221225472,)}";
        let bomb = npz(&[("x", raw_npy(header, &vec![0; 1 << 20]))]);
        assert!(error(&bomb).contains("array x has 3221225472 bytes"));
    }

    #[test]
    fn values_must_be_finite() {
        for bad in [f64::NAN, f64::INFINITY, 1e300] {
            let x = c(&[3, 2], vec![0., 1., 2., bad, 4., 5.]);
            let message = error(&npz(&[("x", x)]));
            assert!(
                message.contains("array x, sample 1: the value"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_flipped_byte_in_an_archive_is_found() {
        let x = c(&[1, 4096], (0..4096).map(|i| (i * 7 % 251) as u8).collect());
        let good = npz(&[("x", x)]);
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 0x10;
        assert!(load_bytes("d.npz", &good).is_ok());
        assert!(load_bytes("d.npz", &bad).is_err());
    }

    #[test]
    fn the_bundled_sets_load() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
        for (name, count) in [
            ("mnist_test10k.npz", 10_000),
            ("mnist_calibration2k.npz", 2_000),
        ] {
            let data = load(root.join(name)).unwrap();
            assert_eq!((data.len(), data.shape()), (count, [28, 28].as_slice()));
            assert!(data.labels().unwrap().iter().all(|&label| label < 10));
        }
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            Just(npz(&[
                ("x", c(&[2, 2], vec![1f32; 4])),
                ("y", c(&[2], vec![1u8; 2]))
            ])),
            Just(c(&[2, 2], vec![1f64; 4])),
            Just(idx(8, &[2, 2], &[1, 2, 3, 4])),
            Just(gz(&idx(8, &[2, 2], &[1, 2, 3, 4]))),
        ]
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            mut bytes in pieces(),
            flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<proptest::sample::Index>(),
            whole in any::<bool>(),
        ) {
            for (at, value) in flips {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = value;
                }
            }
            if !whole && !bytes.is_empty() {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(data) = load_bytes("d", &bytes) {
                prop_assert!(data.sample(data.len() - 1).is_some());
                prop_assert!(data.sample(data.len()).is_none());
            }
        }

        #[test]
        fn header_text_never_panics(text in "[{}()\\[\\]':, <>a-zA-Z0-9]{0,60}") {
            let _ = NpyHeader::parse(&text);
        }

        #[test]
        fn what_is_written_is_read(
            rows in 1u64..5, columns in 1u64..5, fortran in any::<bool>(), seed in any::<u32>(),
        ) {
            let count = (rows * columns) as u32;
            let values: Vec<f32> = (0..count).map(|i| (seed ^ i) as f32).collect();
            let order = if fortran { npyz::Order::Fortran } else { npyz::Order::C };
            let data = load_bytes("d", &npy(&[rows, columns], order, values.clone())).unwrap();
            for row in 0..rows {
                let expected: Vec<f32> = (0..columns)
                    .map(|column| values[(if fortran { column * rows + row } else { row * columns + column }) as usize])
                    .collect();
                prop_assert_eq!(data.sample(row as usize), Some(Sample::F32(&expected)));
            }
        }
    }
}
