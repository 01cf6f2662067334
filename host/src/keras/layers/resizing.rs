//! Resizing, CenterCrop and RandomCrop.

use super::prelude::*;
use crate::network::{Sparse, Transform};

/// Images of another size: the middle of the input, or all of it in another resolution.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Resizing {
    pub height: usize,
    pub width: usize,
    pub data_format: DataFormat,
    /// `nearest`, or `bilinear`.
    pub interpolation: String,
    pub crop_to_aspect_ratio: bool,
    /// `true` if an image that is large enough is cut and not resized.
    pub crop: bool,
    /// `true` if images must have this size already: versions of Keras 3 differ on RandomCrop of others.
    pub same: bool,
}

/// The two old places of each new one, and the share of the second.
type Mix = Vec<(usize, usize, f32)>;

impl Resizing {
    /// The places of an image that has so many along each axis.
    fn mixes(&self, [height, width]: [usize; 2]) -> [Mix; 2] {
        let target = [self.height, self.width];
        let from = [height, width];
        if self.crop && height >= target[0] && width >= target[1] {
            return [0, 1].map(|axis| {
                let first = (from[axis] - target[axis]) / 2;
                (first..first + target[axis]).map(|i| (i, 0, 0.0)).collect()
            });
        }
        let mut part = from;
        if self.crop || self.crop_to_aspect_ratio {
            part[0] = height.min((width * target[0] / target[1]).max(1));
            part[1] = width.min((height * target[1] / target[0]).max(1));
        }
        [0, 1].map(|axis| {
            let first = (from[axis] - part[axis]) / 2;
            let scale = part[axis] as f64 / target[axis] as f64;
            let clamp = |v: f64| first + (v.max(0.0) as usize).min(part[axis] - 1);
            (0..target[axis])
                .map(|to| {
                    let middle = (to as f64 + 0.5) * scale;
                    if self.interpolation == "nearest" {
                        return (clamp(middle.floor()), 0, 0.0);
                    }
                    let low = (middle - 0.5).floor();
                    (clamp(low), clamp(low + 1.0), (middle - 0.5 - low) as f32)
                })
                .collect()
        })
    }
}

impl LayerKind for Resizing {
    fn names() -> &'static [&'static str] {
        &["Resizing", "CenterCrop", "RandomCrop"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let interpolation = args.text("interpolation", "bilinear")?;
        let known = ["nearest", "bilinear"].contains(&interpolation.as_str());
        let others = ["pad_to_aspect_ratio", "antialias"];
        let random = name == "RandomCrop";
        if !known || others.iter().any(|key| args.set(key)) {
            return Ok(None);
        }
        Ok(Some(Self {
            height: args.size("height")?,
            width: args.size("width")?,
            data_format: args.data_format()?,
            interpolation,
            // It cuts in training only, and else resizes what has the new shape's proportions.
            crop_to_aspect_ratio: random || args.flag("crop_to_aspect_ratio", false)?,
            crop: name == "CenterCrop",
            same: random && args.dialect.version >= 3,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let mut out = shape::of_rank(inputs, 3)?.clone();
        let (_, spatial) = shape::axes(2, self.data_format);
        for (axis, length) in spatial.zip([self.height, self.width]) {
            if self.same && out[axis] != Some(length) {
                return Err(format!(
                    "versions of Keras 3 differ in what it makes of an image of {} at inference; put CenterCrop or \
                     Resizing in its place",
                    shape::display(&out)
                ));
            }
            out[axis] = Some(length);
        }
        Ok(out)
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::to_channels_last(axes::only(inputs)?, self.data_format)?;
        let &[_, height, width, _] = x.shape() else {
            return Err(Problem::Shape {
                needs: "the axes of an image".to_owned(),
                found: x.shape().to_vec(),
            });
        };
        let [rows, columns] = self.mixes([height, width]);
        let y = axes::resample(&axes::resample(&x, 1, &rows)?, 2, &columns)?;
        axes::from_channels_last(&y, self.data_format)
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    fn ignores_weights(&self) -> bool {
        true
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let (input, output) = (call.input_shape(0)?, call.output_shape()?);
        let last = self.data_format == DataFormat::ChannelsLast;
        let first = usize::from(!last);
        let ([height, width], [_, _]) = match (&input[..], &output[..]) {
            (&[a, b, c], &[_, _, _]) => (if last { [a, b] } else { [b, c] }, [0; 2]),
            _ => return Err(call.shape_error("it needs the axes of an image".to_owned())),
        };
        let mixes = self.mixes([height, width]);
        let strides = index::row_major(&input);
        let mut indices = Vec::new();
        let mut values = Vec::new();
        for row in 0..output.iter().product() {
            let place = index::coordinates(row, &output);
            let along = [0, 1].map(|axis| mixes[axis][place[first + axis]]);
            for corner in 0..4 {
                let mut from = place.clone();
                let mut share = 1.0;
                for (axis, (low, high, part)) in along.into_iter().enumerate() {
                    let second = corner >> axis & 1 == 1;
                    from[first + axis] = if second { high } else { low };
                    share *= if second { part } else { 1.0 - part };
                }
                if share != 0.0 {
                    indices.push((row as u32, index::index_of(&from, &strides) as u32));
                    values.push(share);
                }
            }
        }
        call.set_channels_last(last);
        let transform = Transform::Sparse(Sparse {
            size_out: output.iter().product(),
            size_in: input.iter().product(),
            indices: indices.into(),
            values: Tensor::vector(values),
        });
        call.through(transform)
    }
}
