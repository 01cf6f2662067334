//! The data of a model's inputs, from the files that the user names.

use std::path::{Path, PathBuf};

use crate::assemble::Image;
use crate::data::{self, DataSet, Frames, Recordings, Samples, suspicion};
use crate::emulate;
use crate::inputs::Inputs;
use crate::judge::Judge;
use crate::network::Head;
use crate::trained::Trained;

use crate::cli::args::{ConvertFlags, DataFlags, RecordingFlags, TimeFlags};
use crate::cli::diagnostics::{Failure, note, warn};
use crate::cli::source::{as_they_are, events, scaled};

/// Seconds of a step in which events are counted, unless the user says.
const BIN: f64 = 0.001;

/// Reads `[INPUT=]FILE` for each input, and shapes the samples as the inputs are. At most `limit`
/// samples are kept. In a temporal model, and if that fits a NIR graph, samples have an axis of time before. Recordings of
/// events get so many steps, if that is given, of the length that the flags say.
pub(crate) fn load(
    files: &[String],
    source: &Trained,
    temporal: bool,
    (time, steps): (&TimeFlags, Option<u32>),
    bytes: &DataFlags,
    limit: Option<u32>,
) -> Result<Inputs, Failure> {
    let network = source.network();
    let names: Vec<&str> = network.inputs.iter().map(|(n, _)| n.as_str()).collect();
    let paths = assign("--data", files, &names)?;
    if let [path] = paths.as_slice()
        && let Some(recordings) = Recordings::open(path)?
    {
        if matches!(source, Trained::Layers(_)) && !temporal {
            return Err(Failure::new(format!(
                "{path}: recordings of events, and the model takes pictures"
            ))
            .hint("--temporal-model takes the first axis as time"));
        }
        let recordings = recordings.take(limit.map_or(usize::MAX, |n| n as usize));
        let shape = Inputs::shape(network, 0).unwrap_or_default();
        let frames = frames(recordings, &shape, time.bin, steps)?;
        return Ok(Inputs::of_events(network, frames)?);
    }
    if time.bin.is_some() {
        return Err(Failure::new(format!(
            "--bin is for recordings of events, and {} holds samples",
            files.join(", ")
        )));
    }
    let mut sets = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        let mut set = data::load(path)?;
        if time.stream {
            if set.targets().is_some() {
                note("y is not compared: a stream has no end at which to judge");
            }
            set = set.as_stream();
        }
        let set = scaled(source, set, bytes, at);
        sets.push(match limit {
            Some(limit) => set.take(limit as usize),
            None => set,
        });
    }
    let over_time = sets.first().is_some_and(|set| source.over_time(set, 0));
    Inputs::new(network, &sets, temporal || over_time).map_err(|e| {
        let at = e
            .input()
            .and_then(|input| names.iter().position(|n| *n == input));
        match at.and_then(|at| paths.get(at)) {
            Some(path) => Failure::new(format!("{path}: {e}")),
            None => e.into(),
        }
    })
}

/// The data of all inputs of an image, one behind the other in a sample: the first `limit` samples. Signs that it
/// is not what the image was made for are shown.
pub(crate) fn of_image(
    files: &[String],
    image: &Image<'_>,
    flags: &DataFlags,
    limit: Option<u32>,
) -> Result<DataSet, Failure> {
    let set = joined("--data", files, &labels(image), |at, path| {
        let set = flags.targets(data::load(path)?);
        Ok(match flags.byte_scale {
            Some(scale) => set.with_byte_scale(scale),
            None if suspicion::takes_bytes(&set, image, at) => {
                as_they_are(set, "that is the range that the image was made for")
            }
            None => set,
        })
    })?;
    let set = set.take(limit.map_or(usize::MAX, |limit| limit as usize));
    suspicion::of_image(&set, image).iter().for_each(warn);
    let outputs = image.description().outputs.len();
    if outputs > 1 && set.targets().is_some() {
        note(format_args!(
            "y is compared with the first of {outputs} outputs, {:?}; -o writes all of them",
            image.description().output_label(0)
        ));
    }
    show_measure(
        emulate::judge(image, &set).as_ref(),
        emulate::left_out(image),
    );
    Ok(set)
}

/// The recordings for an image of neurons that keep their state; signs that they are others than it was made for are shown.
/// Addresses of recorded events are those of an input of the shape that the flags say.
pub(crate) fn recordings(
    files: &[String],
    image: &Image<'_>,
    bytes: &DataFlags,
    flags: &RecordingFlags,
    limit: Option<u32>,
) -> Result<DataSet, Failure> {
    let path = assign("--data", files, &labels(image))?[0];
    let size = emulate::input_size(image);
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let set = if let Some(events) = Recordings::open(path)? {
        let shape = flags.input_shape.as_ref();
        let shape = shape.map_or_else(|| vec![size], |shape| shape.0.clone());
        if shape.iter().product::<usize>() != size {
            return Err(Failure::new(format!(
                "--input-shape {shape:?} is no shape of the network's input of {size} places"
            )));
        }
        counted(events.take(limit), &shape, flags.time.bin)?
    } else {
        let mut set = data::load(path)?;
        if flags.time.stream {
            set = set.as_stream();
        }
        let over_time = set.sample_size() != size;
        events(set, bytes, over_time).take(limit)
    };
    suspicion::of_image(&set, image).iter().for_each(warn);
    Ok(set)
}

/// Recorded events as counts in steps.
pub(crate) fn counted(
    events: Recordings,
    shape: &[usize],
    bin: Option<f64>,
) -> Result<DataSet, Failure> {
    let frames = frames(events, shape, bin, None)?;
    let (count, steps) = (frames.len(), frames.steps());
    let mut bytes = Vec::with_capacity(count * steps * shape.iter().product::<usize>());
    let most = f32::from(u8::MAX);
    let mut cut = 0;
    for recording in 0..count {
        let counts = frames.dense(recording..recording + 1, steps);
        cut += counts.data().iter().filter(|count| **count > most).count();
        bytes.extend(counts.data().iter().map(|count| *count as u8));
    }
    if cut > 0 {
        warn(format_args!(
            "{cut} counts of events are above 255, the most that a byte holds, and are cut off: take shorter steps (--bin)"
        ));
    }
    let shape = [&[steps], shape].concat();
    let set = DataSet::new(shape, Samples::U8(bytes), None);
    let set = set.ok_or_else(|| Failure::new("the recordings have no step"))?;
    Ok(set
        .with_byte_scale(1.0)
        .with_targets(frames.targets().cloned()))
}

/// Recorded events in steps of so many seconds, or else of a usual length, which is said.
fn frames(
    events: Recordings,
    shape: &[usize],
    bin: Option<f64>,
    steps: Option<u32>,
) -> Result<Frames, Failure> {
    let seconds = bin.unwrap_or(BIN);
    if bin.is_none() {
        note(format_args!(
            "events are counted in steps of {seconds} s; --bin says else"
        ));
    }
    Ok(events.frames(shape, seconds, steps.map(|n| n as usize))?)
}

/// The names of an image's inputs.
fn labels<'i>(image: &'i Image<'_>) -> Vec<&'i str> {
    let network = image.description();
    let labels = (0..network.inputs.len()).map(|at| network.input_label(at));
    labels.collect()
}

/// Says which figure zeros and ones have, unless the model's last function makes it plain.
pub(crate) fn show_measure(judge: Option<&Judge<'_>>, last: Option<Head>) {
    if last != Some(Head::Sigmoid) && judge.is_some_and(|judge| judge.sides().is_some()) {
        note(
            "y has no more than two values, taken for labels: the accuracy counts outputs on the right side of 0. \
             --values takes them for values and shows errors",
        );
    }
}

/// The data of all inputs, from the files that a flag names.
pub(crate) fn joined(
    flag: &str,
    files: &[String],
    names: &[&str],
    load: impl Fn(usize, &str) -> Result<DataSet, Failure>,
) -> Result<DataSet, Failure> {
    let paths = assign(flag, files, names)?;
    let sets: Vec<DataSet> = (paths.iter().enumerate())
        .map(|(at, path)| load(at, path))
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
    let mut files = data_files(model, data);
    files.extend(flags.config.clone());
    files
}

/// The same for a command on an image.
pub(crate) fn data_files(image: &Path, data: &[String]) -> Vec<PathBuf> {
    let mut files = vec![image.to_owned()];
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
