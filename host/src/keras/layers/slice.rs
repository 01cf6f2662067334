//! Parts of a tensor, as `x[:, 1:, -1]` takes them.

use super::prelude::*;

/// Some places along each of the first axes, and all along the others; without the batch axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The places along each axis.
    pub places: Vec<Places>,
}

/// Places along an axis, in Python's terms: numbers below zero count from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// One place, whose axis is left out.
    At(isize),
    /// `start:stop:step`.
    Range {
        /// The first place.
        start: Option<isize>,
        /// The place behind the last one.
        stop: Option<isize>,
        /// The distance of two places.
        step: usize,
    },
}

impl Places {
    /// The places along an axis of this length.
    fn of(self, length: usize) -> Result<Vec<usize>, String> {
        let end = isize::try_from(length).unwrap_or(isize::MAX);
        let from_start = |at: isize| if at < 0 { at.saturating_add(end) } else { at };
        match self {
            Self::At(at) => (usize::try_from(from_start(at)).ok())
                .filter(|&at| at < length)
                .map(|at| vec![at])
                .ok_or_else(|| format!("it takes place {at} of {length}")),
            Self::Range { start, stop, step } => {
                let clamp = |at: isize| from_start(at).clamp(0, end).unsigned_abs();
                let (start, stop) = (start.map_or(0, clamp), stop.map_or(length, clamp));
                Ok((start..stop).step_by(step.max(1)).collect())
            }
        }
    }
}

impl Slice {
    /// The places along each axis of an item.
    fn along(&self, item: &[usize]) -> Result<Vec<Vec<usize>>, String> {
        if self.places.len() > item.len() {
            return Err(format!(
                "it takes places along {} axes of {}",
                self.places.len(),
                item.len()
            ));
        }
        (item.iter().enumerate())
            .map(|(axis, &length)| match self.places.get(axis) {
                Some(places) => places.of(length),
                None => Ok((0..length).collect()),
            })
            .collect()
    }

    /// The index in an item of each element of the output.
    fn indices(&self, item: &[usize]) -> Result<Vec<usize>, String> {
        let along = self.along(item)?;
        let lengths: Vec<usize> = along.iter().map(Vec::len).collect();
        let strides = index::row_major(item);
        Ok((0..lengths.iter().product())
            .map(|at| {
                let place = index::coordinates(at, &lengths);
                let from: Vec<usize> = place
                    .iter()
                    .zip(&along)
                    .map(|(&i, along)| along[i])
                    .collect();
                index::index_of(&from, &strides)
            })
            .collect())
    }
}

impl LayerKind for Slice {
    /// Only functions make it.
    fn names() -> &'static [&'static str] {
        &[]
    }

    fn read(_: &str, _: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(None)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = shape::single(inputs)?;
        let mut out = Shape::new();
        for (axis, &length) in input.iter().enumerate() {
            let places = self.places.get(axis);
            let all = Places::Range {
                start: None,
                stop: None,
                step: 1,
            };
            match (places, length) {
                (Some(Places::At(_)), None) => {}
                (Some(places), Some(length)) => {
                    let found = places.of(length)?.len();
                    if !matches!(places, Places::At(_)) {
                        out.push(Some(found));
                    }
                }
                (Some(places), None) if *places != all => out.push(None),
                (_, length) => out.push(length),
            }
        }
        Ok(out)
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let (batch, item) = axes::split_batch(x)?;
        let indices = self.indices(item).map_err(Problem::Values)?;
        let known: Shape = item.iter().map(|&d| Some(d)).collect();
        let out = self.output(&[known]).map_err(Problem::Values)?;
        let size: usize = item.iter().product();
        let y = (x.data().chunks(size.max(1)))
            .flat_map(|x| indices.iter().map(|&at| x[at]))
            .collect();
        let shape = [batch]
            .into_iter()
            .chain(out.into_iter().flatten())
            .collect();
        axes::tensor(shape, y)
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    /// Adds a node that reads these places.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let indices = self.indices(&call.input_shape(0)?);
        let indices = indices.map_err(|reason| call.shape_error(reason))?;
        index::gather(call, indices)
    }
}
