//! Data sets of any length, some samples at a time.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::array::{Array, Head, Role, Values, array_called, damaged};
use super::content::{packable, read_file, regular, unpacked_limit};
use super::csv;
use super::error::DataError;
use super::file::{Format, labels_beside, read_labels};
use super::idx::idx_head;
use super::labels::{join, targets_of};
use super::npy::{npy_head, parse_npy};
use super::npz::Archive;
use super::set::{DataSet, Targets};

/// Samples that are read at once unless told how many.
const BLOCK: usize = 256;

/// The content of a file, as its headers tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Number of samples.
    pub count: usize,
    /// The shape of one sample, without the batch axis.
    pub shape: Vec<usize>,
    /// True if they have labels or other targets.
    pub labelled: bool,
}

/// Reads the data set at `path` in blocks of at most `block` samples, in the file's order, and hands each
/// to `visit` with what the file holds. What is held at a time is a block, and the labels.
///
/// Formats and labels are those of [`load`](super::load). An array whose first axis is the fastest
/// (`fortran_order`) cannot be read in blocks: it is held as a whole.
///
/// # Errors
/// [`DataError`], if the file cannot be read or is no data set; what `visit` returns.
pub fn read_blocks<E: From<DataError>>(
    path: impl AsRef<Path>,
    block: usize,
    visit: &mut dyn FnMut(&About, DataSet) -> Result<(), E>,
) -> Result<About, E> {
    let path = path.as_ref();
    let file = path.display().to_string();
    let failed = |source| DataError::Read {
        file: file.clone(),
        source,
    };
    let mut content = File::open(path).map_err(failed)?;
    let len = regular(&content).map_err(failed)?;
    let limit = unpacked_limit(len);
    // A table shows itself by its first line.
    let mut start = [0; 256];
    let read = read_start(&mut content, &mut start).map_err(failed)?;
    content.rewind().map_err(failed)?;
    let mut content = BufReader::new(content);
    let labels = |format| match format {
        Format::Idx | Format::Gzip => labels_beside(path).map(|l| read_labels(&l)).transpose(),
        _ => Ok(None),
    };
    match Format::of(&start[..read]) {
        Some(Format::Npz) => {
            let mut archive = Archive::open(&file, &mut content, limit)?.samples()?;
            let y = archive.array("y", Role::Labels)?;
            let lacks = archive.lacks("x");
            match archive.zip.by_name("x.npy") {
                Ok(mut entry) => npy(&file, y, limit, packable(len), &mut entry, block, visit),
                Err(zip::result::ZipError::FileNotFound) => Err(lacks.into()),
                Err(e) => Err(damaged(&file, &array_called("x"), e).into()),
            }
        }
        Some(Format::Npy) => npy(&file, None, limit, u64::MAX, &mut content, block, visit),
        Some(format @ Format::Idx) => {
            let head = idx_head(&file, Role::Samples, limit, &mut content)?;
            in_blocks(head, labels(format)?, &mut content, block, visit)
        }
        Some(format @ Format::Gzip) => {
            let mut unpacked = MultiGzDecoder::new(content);
            let head = idx_head(&file, Role::Samples, limit, &mut unpacked)?;
            head.values_within(head.shape.first().copied().unwrap_or(0), packable(len))?;
            in_blocks(head, labels(format)?, &mut unpacked, block, visit)
        }
        None if csv::is_table(&start[..read]) => {
            let (x, y) = csv::parse(&file, &read_file(path)?)?;
            parts(&join(x, y)?, block, visit)
        }
        None => Err(DataError::UnknownFormat { file }.into()),
    }
}

/// Tells the content of the file at `path`, by its headers.
///
/// # Errors
/// [`DataError`], if the file cannot be read or is no data set.
pub fn about(path: impl AsRef<Path>) -> Result<About, DataError> {
    let mut found = None;
    let result = read_blocks::<Stop>(path, 1, &mut |about, _| {
        found = Some(about.clone());
        Err(Stop::Enough)
    });
    match (result, found) {
        (_, Some(about)) | (Ok(about), _) => Ok(about),
        (Err(Stop::Data(e)), _) => Err(e),
        (Err(Stop::Enough), None) => Ok(About::default()),
    }
}

/// Reason why reading ends early.
enum Stop {
    Enough,
    Data(DataError),
}

impl From<DataError> for Stop {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

/// Choice of some samples at even distances, a block after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evenly {
    most: usize,
    next: usize,
    seen: usize,
}

impl Evenly {
    /// A choice of at most so many samples.
    pub(crate) fn new(most: usize) -> Self {
        let (next, seen) = (0, 0);
        Self { most, next, seen }
    }

    /// The samples of the next block that are chosen, of a file of `count` samples.
    pub(crate) fn of_block(&mut self, count: usize, block: usize) -> Vec<usize> {
        let most = self.most.clamp(1, count);
        let mut chosen = Vec::new();
        // Sample number k of the chosen is k · count / most of the file.
        while self.next < most {
            let at = (self.next as u128 * count as u128 / most as u128) as usize;
            if at >= self.seen + block {
                break;
            }
            chosen.push(at - self.seen);
            self.next += 1;
        }
        self.seen += block;
        chosen
    }
}

/// Reads the data set at `path`; of more than `most` samples, so many at even distances. What is held
/// at a time is those, and a block.
///
/// # Errors
/// [`DataError`], if the file cannot be read or is no data set.
pub fn load_at_most(path: impl AsRef<Path>, most: usize) -> Result<DataSet, DataError> {
    let mut kept: Option<DataSet> = None;
    let mut evenly = Evenly::new(most);
    let about = read_blocks::<DataError>(path, BLOCK, &mut |about, block| {
        if let Some(part) = block.select(&evenly.of_block(about.count, block.len())) {
            match &mut kept {
                Some(kept) => kept.extend(part),
                None => kept = Some(part),
            }
        }
        Ok(())
    })?;
    kept.ok_or_else(|| DataError::Damaged {
        file: String::new(),
        what: "the data".into(),
        reason: format!("none of its {} samples were there", about.count),
    })
}

fn read_start(content: &mut impl Read, start: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = start.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match content.read(rest)? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}

fn npy<E: From<DataError>>(
    file: &str,
    y: Option<Array>,
    limit: u64,
    total: u64,
    content: &mut impl Read,
    block: usize,
    visit: &mut dyn FnMut(&About, DataSet) -> Result<(), E>,
) -> Result<About, E> {
    let mut seen = Vec::new();
    let (head, fortran_order) = npy_head(
        file,
        "x",
        Role::Samples,
        limit,
        &mut Tee(&mut *content, &mut seen),
    )?;
    if !fortran_order {
        head.values_within(head.shape.first().copied().unwrap_or(0), total)?;
        return in_blocks(head, y, content, block, visit);
    }
    let x = parse_npy(
        file,
        "x",
        Role::Samples,
        limit,
        seen.as_slice().chain(content),
    )?;
    parts(&join(x, y)?, block, visit)
}

/// Hands over a data set that is held as a whole, some samples at a time.
fn parts<E: From<DataError>>(
    set: &DataSet,
    block: usize,
    visit: &mut dyn FnMut(&About, DataSet) -> Result<(), E>,
) -> Result<About, E> {
    let about = About {
        count: set.len(),
        shape: set.shape().to_vec(),
        labelled: set.targets().is_some(),
    };
    for from in (0..set.len()).step_by(block.max(1)) {
        let to = (from + block.max(1)).min(set.len());
        let part: Vec<usize> = (from..to).collect();
        if let Some(part) = set.select(&part) {
            visit(&about, part)?;
        }
    }
    Ok(about)
}

/// Keeps what it reads.
struct Tee<'a, R>(R, &'a mut Vec<u8>);

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.read(into)?;
        self.1.extend_from_slice(&into[..n]);
        Ok(n)
    }
}

fn in_blocks<E: From<DataError>>(
    head: Head,
    y: Option<Array>,
    content: &mut impl Read,
    block: usize,
    visit: &mut dyn FnMut(&About, DataSet) -> Result<(), E>,
) -> Result<About, E> {
    // Everything about the shapes is checked before the first value is read.
    let count = head.shape.first().copied().unwrap_or(0);
    let targets = match &y {
        Some(y) => Some(targets_of(y, &head.file, &head.name, &head.shape)?),
        None => None,
    };
    let about = About {
        count,
        shape: head.shape.iter().skip(1).copied().collect(),
        labelled: targets.is_some(),
    };
    let mut from = 0;
    while from < count || from == 0 {
        let samples = block.max(1).min(count - from);
        let values = head.read(head.values_of(samples)?, from, content)?;
        let mut shape = head.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = samples;
        }
        let block: Vec<usize> = (from..from + samples).collect();
        let targets = targets.as_ref().and_then(|t| t.select(&block));
        visit(&about, part(&head, shape, values, targets)?)?;
        from += samples.max(1);
    }
    head.end(content)?;
    Ok(about)
}

/// One block as a data set; `join` says what is wrong with an empty one.
fn part(
    head: &Head,
    shape: Vec<usize>,
    values: Values,
    targets: Option<Targets>,
) -> Result<DataSet, DataError> {
    let x = Array {
        file: head.file.clone(),
        name: head.name.clone(),
        dtype: head.dtype.clone(),
        shape,
        values,
    };
    Ok(join(x, None)?.with_targets(targets))
}
