//! Event recordings: addresses with times, and the counts in steps that they become.
//!
//! An archive holds the events of all recordings one after another: `t_us` in microseconds, the address in `x`, and `y`
//! and `p` if the input has rows and polarities. Those of recording k are `offsets[k]..offsets[k + 1]`; its class is
//! `label[k]`. Recordings stay events until a block of them is asked for, since steps that are mostly empty would fill
//! the memory.

use std::io::{Cursor, Read, Seek};
use std::ops::Range;
use std::path::Path;

use super::array::{Array, Role, Values};
use super::content::{read_file, unpacked_limit};
use super::error::DataError;
use super::file::Format;
use super::labels::targets_of;
use super::npz::Archive;
use super::set::Targets;
use crate::tensor::Tensor;

/// Parts of an address, the slowest first.
const PARTS: [&str; 3] = ["p", "y", "x"];

/// The most values of a recording in steps, 1 GiB as floats: more is a claim that exhausts the memory.
const MAX_VALUES: f64 = 268_435_456.0;

/// Recordings of events.
#[derive(Clone, Debug, PartialEq)]
pub struct Recordings {
    file: String,
    /// Events of recording k are `offsets[k]..offsets[k + 1]`.
    offsets: Vec<usize>,
    /// Microseconds, in order within a recording.
    times: Vec<i64>,
    /// Parts of the addresses that are there, by name.
    parts: Vec<(&'static str, Vec<i64>)>,
    targets: Option<Targets>,
}

impl Recordings {
    /// Reads the recordings at `path`; `None` if it is another kind of data.
    ///
    /// # Errors
    /// [`DataError`], if the file cannot be read, or its arrays contradict each other.
    pub fn open(path: impl AsRef<Path>) -> Result<Option<Self>, DataError> {
        let path = path.as_ref();
        let file = path.display().to_string();
        if !path.is_file() {
            return Ok(None);
        }
        Self::from_bytes(&file, &read_file(path)?)
    }

    /// Reads recordings from the content of a file; `None` if it is another kind of data. `name` stands for the file in
    /// messages.
    ///
    /// # Errors
    /// [`DataError`], if arrays are damaged or contradict each other.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Option<Self>, DataError> {
        if !matches!(Format::of(bytes), Some(Format::Npz)) {
            return Ok(None);
        }
        let limit = unpacked_limit(bytes.len() as u64);
        let mut archive = Archive::open(name, Cursor::new(bytes), limit)?;
        let Some(offsets) = archive.array("offsets", Role::Labels)? else {
            return Ok(None);
        };
        Self::read(&mut archive, name, &offsets).map(Some)
    }

    fn read<R: Read + Seek>(
        archive: &mut Archive<'_, R>,
        file: &str,
        offsets: &Array,
    ) -> Result<Self, DataError> {
        let times = archive
            .array("t_us", Role::Labels)?
            .ok_or_else(|| archive.lacks("t_us"))?;
        let count = times.values.len();
        let places = whole(offsets)?;
        let ascend = places.windows(2).all(|pair| pair[0] < pair[1]);
        if places.len() < 2
            || !ascend
            || places[0] != 0
            || places.last() != i64::try_from(count).ok().as_ref()
        {
            return Err(offsets.refused(format!(
                "offsets must ascend from 0 to the number of events, which is {count}; one follows each recording, and no \
                 recording is empty"
            )));
        }
        let offsets: Vec<usize> = places.iter().map(|&place| place as usize).collect();
        let mut parts = Vec::new();
        for name in PARTS {
            match archive.array(name, Role::Labels)? {
                Some(part) if part.values.len() == count => parts.push((name, whole(&part)?)),
                Some(part) => {
                    return Err(
                        part.refused(format!("it must have one value for each of {count} events"))
                    );
                }
                None if name == "x" => return Err(archive.lacks("x")),
                None => {}
            }
        }
        let times = whole(&times)?;
        for (k, pair) in offsets.windows(2).enumerate() {
            if !times[pair[0]..pair[1]].is_sorted() {
                return Err(DataError::Value {
                    file: file.into(),
                    array: "t_us".into(),
                    sample: k,
                    reason: "times go back; sort the events of each recording by time".into(),
                });
            }
        }
        let label = archive.array("label", Role::Labels)?;
        let targets = label
            .map(|label| targets_of(&label, file, "offsets", &[offsets.len() - 1]))
            .transpose()?;
        Ok(Self {
            file: file.into(),
            offsets,
            times,
            parts,
            targets,
        })
    }

    /// Counts the events of each place in steps of `seconds`, of inputs of this shape. A recording's first event
    /// starts its first step, and a last step that is not over is left out. All have as many steps as the longest, or
    /// `steps`: shorter ones end with nothing, longer ones are cut.
    ///
    /// # Errors
    /// [`DataError`], if an address lies outside the shape, or steps are too many.
    pub fn frames(
        self,
        shape: &[usize],
        seconds: f64,
        steps: Option<usize>,
    ) -> Result<Frames, DataError> {
        let axes = self.axes(shape)?;
        let step_us = seconds * 1e6;
        let step_of = |t: i64, start: i64| (t.saturating_sub(start)) as f64 / step_us;
        let size: usize = shape.iter().product();
        let mut longest = 1;
        let mut frames = Frames {
            shape: shape.to_vec(),
            steps: 0,
            offsets: vec![0],
            events: Vec::with_capacity(self.times.len()),
            targets: self.targets.clone(),
        };
        for (k, pair) in self.offsets.windows(2).enumerate() {
            let times = &self.times[pair[0]..pair[1]];
            let (start, end) = (times[0], times[times.len() - 1]);
            let full = step_of(end, start).floor();
            let needed = steps.map_or(full, |steps| steps as f64);
            if needed * size as f64 > MAX_VALUES {
                return Err(self.value(
                    "t_us",
                    k,
                    format!(
                        "{needed} steps of {seconds} s, of {size} values each, are more than are held; give longer or fewer steps (is t_us in microseconds?)"
                    ),
                ));
            }
            // A recording within one step has just this.
            let full = (full as usize).max(1);
            let kept = steps.unwrap_or(full).min(full);
            longest = longest.max(full);
            for event in pair[0]..pair[1] {
                let step = step_of(self.times[event], start) as usize;
                if step >= kept {
                    break;
                }
                frames
                    .events
                    .push((step as u32, self.place(k, event, &axes)?));
            }
            frames.offsets.push(frames.events.len());
        }
        frames.steps = steps.unwrap_or(longest);
        Ok(frames)
    }

    /// Parts of the address for each axis of a shape; axes of length 1 may have none.
    fn axes(&self, shape: &[usize]) -> Result<Vec<(usize, usize)>, DataError> {
        let mut axes = Vec::new();
        let mut parts = (0..self.parts.len()).rev();
        let mut next = parts.next();
        for &length in shape.iter().rev() {
            match next {
                Some(part) => {
                    axes.push((part, length));
                    next = parts.next();
                }
                None if length == 1 => {}
                None => return Err(self.misfit(shape)),
            }
        }
        if next.is_some() {
            return Err(self.misfit(shape));
        }
        axes.reverse();
        Ok(axes)
    }

    fn misfit(&self, shape: &[usize]) -> DataError {
        let names: Vec<&str> = self.parts.iter().map(|(name, _)| *name).collect();
        DataError::Shape {
            file: self.file.clone(),
            array: "x".into(),
            shape: vec![self.times.len()],
            reason: format!(
                "addresses have the parts {}, and the input has the axes {shape:?}: one part is needed for each",
                names.join(", ")
            ),
        }
    }

    /// The place of an event in an input.
    fn place(&self, k: usize, event: usize, axes: &[(usize, usize)]) -> Result<u32, DataError> {
        let mut place = 0;
        for &(part, length) in axes {
            let (name, values) = &self.parts[part];
            let at = usize::try_from(values[event])
                .ok()
                .filter(|at| *at < length);
            let at = at.ok_or_else(|| {
                let reason = format!(
                    "an event at {}, and the input has {length} places there",
                    values[event]
                );
                self.value(name, k, reason)
            })?;
            place = place * length + at;
        }
        Ok(place as u32)
    }

    fn value(&self, array: &str, sample: usize, reason: String) -> DataError {
        DataError::Value {
            file: self.file.clone(),
            array: array.into(),
            sample,
            reason,
        }
    }

    /// Number of recordings.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// So many recordings at even distances; all of them if there are fewer. At least one stays.
    #[must_use]
    pub fn evenly(self, most: usize) -> Self {
        let (most, all) = (most.clamp(1, self.len()), self.len());
        if most == all {
            return self;
        }
        let chosen: Vec<usize> = (0..most).map(|k| k * all / most).collect();
        let events = chosen.iter().map(|&k| self.offsets[k]..self.offsets[k + 1]);
        let of_chosen = |values: &[i64]| -> Vec<i64> {
            let events = events.clone();
            events
                .flat_map(|events| values[events].iter().copied())
                .collect()
        };
        let mut offsets = vec![0];
        for events in events.clone() {
            offsets.push(offsets[offsets.len() - 1] + events.len());
        }
        let parts = self.parts.iter();
        Self {
            offsets,
            times: of_chosen(&self.times),
            parts: parts
                .map(|(name, values)| (*name, of_chosen(values)))
                .collect(),
            targets: self.targets.and_then(|targets| targets.select(&chosen)),
            file: self.file,
        }
    }

    /// The first `n` recordings; all of them if there are fewer. At least one stays.
    #[must_use]
    pub fn take(mut self, n: usize) -> Self {
        let n = n.clamp(1, self.len());
        self.offsets.truncate(n + 1);
        let first: Vec<usize> = (0..n).collect();
        self.targets = self.targets.and_then(|targets| targets.select(&first));
        self
    }
}

/// The whole numbers of an array with one axis.
fn whole(array: &Array) -> Result<Vec<i64>, DataError> {
    if array.shape.len() != 1 {
        return Err(array.refused("one axis is needed".into()));
    }
    match &array.values {
        Values::U8(values) => Ok(values.iter().map(|&v| v.into()).collect()),
        Values::Int(values) => Ok(values.clone()),
        Values::Float(_) => Err(DataError::Dtype {
            file: array.file.clone(),
            array: array.name.clone(),
            dtype: format!("{}, and whole numbers are needed", array.dtype),
        }),
    }
}

/// Recordings as counts of events in steps, which are made dense for as few as are asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    shape: Vec<usize>,
    steps: usize,
    offsets: Vec<usize>,
    /// Step and place.
    events: Vec<(u32, u32)>,
    targets: Option<Targets>,
}

impl Frames {
    /// The shape of a step.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of steps of each recording.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Number of recordings.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The results that a network should have, if known.
    #[must_use]
    pub fn targets(&self) -> Option<&Targets> {
        self.targets.as_ref()
    }

    /// Counts of some recordings in their first steps: `[recordings, steps, ..]`; none of those past the end.
    #[must_use]
    pub fn dense(&self, recordings: Range<usize>, steps: usize) -> Tensor {
        let (steps, size) = (steps.min(self.steps), self.shape.iter().product::<usize>());
        let chosen = recordings.start.min(self.len())..recordings.end.min(self.len());
        let mut values = vec![0.0; chosen.len() * steps * size];
        for (row, k) in chosen.clone().enumerate() {
            for &(step, place) in &self.events[self.offsets[k]..self.offsets[k + 1]] {
                if (step as usize) < steps {
                    values[(row * steps + step as usize) * size + place as usize] += 1.0;
                }
            }
        }
        let shape = [&[chosen.len(), steps], self.shape.as_slice()].concat();
        Tensor::new(shape, values).unwrap_or_else(|| Tensor::filled(vec![0], 0.0))
    }
}
