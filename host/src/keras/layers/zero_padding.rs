//! ZeroPadding1D to ZeroPadding3D.

use super::prelude::*;
use crate::keras::convert::index::Spatial;

/// Zeros around each axis: a pair (before, after) for each.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct ZeroPadding {
    pub rank: usize,
    pub padding: Vec<(usize, usize)>,
    pub data_format: DataFormat,
}

impl LayerKind for ZeroPadding {
    fn names() -> &'static [&'static str] {
        &["ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let rank = rank(name);
        Ok(Some(Self {
            rank,
            padding: args.pairs("padding", rank)?,
            data_format: args.data_format()?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let mut out = shape::of_rank(inputs, self.rank + 1)?.clone();
        let (_, spatial) = shape::axes(self.rank, self.data_format);
        for (i, axis) in spatial.enumerate() {
            let (before, after) = self.padding[i];
            out[axis] = out[axis]
                .map(|n| shape::add(shape::add(n, before)?, after))
                .transpose()?;
        }
        Ok(out)
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let (x, padding) = (axes::only(inputs)?, &self.padding);
        let mut y = axes::to_channels_last(x, self.data_format)?;
        if y.shape().len() < padding.len() + 1 {
            return Err(Problem::Shape {
                needs: format!("{} axes to pad", padding.len()),
                found: x.shape().to_vec(),
            });
        }
        for (a, &(before, after)) in padding.iter().enumerate() {
            let split = axes::Split::at(y.shape(), a + 1);
            let row = split.len * split.after;
            let mut data =
                Vec::with_capacity(split.before * (row + (before + after) * split.after));
            for b in 0..split.before {
                data.extend(std::iter::repeat_n(0.0, before * split.after));
                data.extend_from_slice(&y.data()[b * row..][..row]);
                data.extend(std::iter::repeat_n(0.0, after * split.after));
            }
            let mut shape = y.shape().to_vec();
            shape[a + 1] += before + after;
            y = axes::tensor(shape, data)?;
        }
        axes::from_channels_last(&y, self.data_format)
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    /// Adds a node of the padded size, of which the input fills the inner places.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        call.set_channels_last(self.data_format == DataFormat::ChannelsLast);
        let (input, output) = (call.input_shape(0)?, call.output_shape()?);
        let place = Spatial::of(
            call,
            &input,
            self.rank,
            self.padding.len(),
            self.data_format,
        )?;
        let mut offset = vec![0; input.len()];
        let mut padded = input.clone();
        for (axis, &(before, after)) in self.padding.iter().enumerate() {
            let axis = place.first + axis;
            offset[axis] = before;
            padded[axis] = input[axis].saturating_add(before).saturating_add(after);
        }
        if padded != output {
            return Err(call.shape_error(format!(
                "{} is padded to {}, not to {}",
                tuple(&input),
                tuple(&padded),
                tuple(&output)
            )));
        }
        let object = call.add_object(None, None)?;
        call.connect(
            object,
            Connect {
                post_slice: Some(index::block(&output, &offset, &input).into()),
                ..Connect::default()
            },
        )?;
        Ok(vec![object.pre])
    }
}
