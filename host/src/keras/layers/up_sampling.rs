//! UpSampling1D to UpSampling3D.

use super::prelude::*;
use super::resizing::Resizing;
use crate::keras::convert::index::{Spatial, coordinates, index_of, row_major};

/// Each place becomes `size` places.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct UpSampling {
    pub rank: usize,
    pub size: Vec<usize>,
    pub data_format: DataFormat,
    /// `nearest`, `bilinear` ...
    pub interpolation: String,
}

impl UpSampling {
    /// The layer that goes bilinearly between places, for an output of this shape; `None` if this one repeats them.
    fn resizing(&self, output: &[usize]) -> Option<Resizing> {
        let (_, spatial) = shape::axes(self.rank, self.data_format);
        let &[height, width] = output.get(spatial)? else {
            return None;
        };
        (self.interpolation == "bilinear").then(|| Resizing {
            height,
            width,
            data_format: self.data_format,
            interpolation: self.interpolation.clone(),
            crop_to_aspect_ratio: false,
            crop: false,
            same: false,
        })
    }
}

impl LayerKind for UpSampling {
    fn names() -> &'static [&'static str] {
        &["UpSampling1D", "UpSampling2D", "UpSampling3D"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let rank = rank(name);
        Ok(Some(Self {
            rank,
            size: args.sizes_or("size", &vec![2; rank])?,
            data_format: args.data_format()?,
            interpolation: args.text("interpolation", "nearest")?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let mut out = shape::of_rank(inputs, self.rank + 1)?.clone();
        let (_, spatial) = shape::axes(self.rank, self.data_format);
        for (i, axis) in spatial.enumerate() {
            out[axis] = out[axis].map(|n| shape::mul(n, self.size[i])).transpose()?;
        }
        Ok(out)
    }

    /// Repeats places, or in two dimensions goes bilinearly between their centres.
    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let (size, interpolation) = (&self.size, self.interpolation.as_str());
        let mut y = axes::to_channels_last(x, self.data_format)?;
        if y.shape().len() != size.len() + 2 {
            return Err(Problem::Shape {
                needs: format!("{} axes and channels", size.len()),
                found: x.shape().to_vec(),
            });
        }
        for (a, &factor) in size.iter().enumerate() {
            let len = y.shape()[a + 1];
            let mix: Vec<(usize, usize, f32)> = match interpolation {
                "nearest" => (0..len * factor).map(|o| (o / factor, 0, 0.0)).collect(),
                "bilinear" => (0..len * factor)
                    .map(|o| {
                        let at = (o as f64 + 0.5) / factor as f64 - 0.5;
                        let low = at.floor();
                        let clamp = |v: f64| (v.max(0.0) as usize).min(len - 1);
                        (clamp(low), clamp(low + 1.0), (at - low) as f32)
                    })
                    .collect(),
                other => {
                    return Err(Problem::Unsupported(format!(
                        "the interpolation \"{other}\"; use nearest or bilinear"
                    )));
                }
            };
            y = axes::resample(&y, a + 1, &mix)?;
        }
        axes::from_channels_last(&y, self.data_format)
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        if self.rank == 2 && (options.nengo_dl_compat || self.interpolation != "bilinear") {
            arguments.require("interpolation", &self.interpolation, "nearest");
        }
        arguments.verdict()
    }

    /// Adds a node that reads every element of the input several times.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        if let Some(resizing) = self.resizing(&call.output_shape()?) {
            return resizing.convert(call);
        }
        call.set_channels_last(self.data_format == DataFormat::ChannelsLast);
        let (input, output) = (call.input_shape(0)?, call.output_shape()?);
        let place = Spatial::of(call, &input, self.rank, self.size.len(), self.data_format)?;
        let mut repeats = vec![1; input.len()];
        repeats[place.first..place.first + self.rank].copy_from_slice(&self.size);
        let fits = input
            .iter()
            .zip(&repeats)
            .map(|(length, &repeat)| length.checked_mul(repeat))
            .eq(output.iter().map(|&length| Some(length)));
        if !fits {
            return Err(call.shape_error(format!(
                "{} repeated {} times is not {}",
                tuple(&input),
                tuple(&repeats),
                tuple(&output)
            )));
        }
        let strides = row_major(&input);
        let indices: Vec<usize> = (0..output.iter().product())
            .map(|i| {
                let nearest: Vec<usize> = coordinates(i, &output)
                    .iter()
                    .zip(&repeats)
                    .map(|(place, repeat)| place / repeat)
                    .collect();
                index_of(&nearest, &strides)
            })
            .collect();
        let object = call.add_object(None, None)?;
        call.connect(
            object,
            Connect {
                pre_slice: Some(indices.into()),
                // NengoDL forgets the filter on this connection; so the network has none.
                synapse: Some(None),
                ..Connect::default()
            },
        )?;
        Ok(vec![object.pre])
    }
}
