//! Cropping1D to Cropping3D.

use super::prelude::*;
use crate::keras::convert::index::Spatial;

/// Places taken away from both ends of each axis: a pair (before, after) for each.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Cropping {
    pub rank: usize,
    pub cropping: Vec<(usize, usize)>,
    pub data_format: DataFormat,
}

impl LayerKind for Cropping {
    fn names() -> &'static [&'static str] {
        &["Cropping1D", "Cropping2D", "Cropping3D"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let rank = rank(name);
        Ok(Some(Self {
            rank,
            cropping: args.pairs("cropping", rank)?,
            data_format: args.data_format()?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let mut out = shape::of_rank(inputs, self.rank + 1)?.clone();
        let (_, spatial) = shape::axes(self.rank, self.data_format);
        for (i, axis) in spatial.enumerate() {
            let (before, after) = self.cropping[i];
            out[axis] = out[axis]
                .map(|n| {
                    n.checked_sub(before)
                        .and_then(|n| n.checked_sub(after))
                        .ok_or_else(|| {
                            format!("it crops {before} and {after} places of an axis of length {n}")
                        })
                })
                .transpose()?;
        }
        Ok(out)
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let (x, cropping) = (axes::only(inputs)?, &self.cropping);
        let mut y = axes::to_channels_last(x, self.data_format)?;
        for (a, &(before, after)) in cropping.iter().enumerate() {
            let left = y
                .shape()
                .get(a + 1)
                .and_then(|n| n.checked_sub(before)?.checked_sub(after))
                .filter(|n| *n > 0)
                .ok_or_else(|| Problem::Shape {
                    needs: format!("more places than the cropping {cropping:?} takes"),
                    found: x.shape().to_vec(),
                })?;
            let mix: Vec<_> = (before..before + left).map(|i| (i, 0, 0.0)).collect();
            y = axes::resample(&y, a + 1, &mix)?;
        }
        axes::from_channels_last(&y, self.data_format)
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    /// Adds a node that reads the inner places of its input.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let shape = call.input_shape(0)?;
        let Self {
            rank,
            cropping,
            data_format,
        } = self;
        let place = Spatial::of(call, &shape, *rank, cropping.len(), *data_format)?;
        let mut offset = vec![0; shape.len()];
        let mut size = shape.clone();
        for (axis, &(before, after)) in cropping.iter().enumerate() {
            let axis = place.first + axis;
            offset[axis] = before;
            size[axis] = shape[axis]
                .checked_sub(before.saturating_add(after))
                .filter(|&left| left > 0)
                .ok_or_else(|| {
                    call.shape_error(format!(
                        "nothing is left of {} places without {before} and {after}",
                        shape[axis]
                    ))
                })?;
        }
        let made = index::gather(call, index::block(&shape, &offset, &size))?;
        call.set_channels_last(*data_format == DataFormat::ChannelsLast);
        Ok(made)
    }
}
