//! GlobalAveragePooling1D to 3D and GlobalMaxPooling1D to 3D.

use super::masking::Mask;
use super::pool::{PoolKind, Spans, average, convert, convertible, reduce};
use super::prelude::*;
use crate::ops::Padding;

/// One window over all places.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct GlobalPool {
    pub kind: PoolKind,
    pub rank: usize,
    pub data_format: DataFormat,
    pub keepdims: bool,
    /// Steps that are left out, as a second input tells.
    pub mask: Option<Mask>,
}

impl LayerKind for GlobalPool {
    fn names() -> &'static [&'static str] {
        &[
            "GlobalAveragePooling1D",
            "GlobalAveragePooling2D",
            "GlobalAveragePooling3D",
            "GlobalMaxPooling1D",
            "GlobalMaxPooling2D",
            "GlobalMaxPooling3D",
        ]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self {
            kind: PoolKind::named(name),
            rank: rank(name),
            data_format: args.data_format()?,
            keepdims: args.flag("keepdims", false)?,
            mask: None,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        // The second input is the mask's.
        let own = match (self.mask, inputs) {
            (Some(_), [own, _]) => std::slice::from_ref(own),
            _ => inputs,
        };
        let input = shape::of_rank(own, self.rank + 1)?;
        let (channel, spatial) = shape::axes(self.rank, self.data_format);
        if self.keepdims {
            let mut out = input.clone();
            out[spatial].fill(Some(1));
            Ok(out)
        } else {
            Ok(vec![input[channel]])
        }
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let (x, shown) = match (self.mask, inputs) {
            (Some(mask), [x, source]) => (x, Some(mask.shown(source)?)),
            _ => (axes::only(inputs)?, None),
        };
        let format = self.data_format;
        let last = axes::to_channels_last(x, format)?;
        let [batch, places @ .., channels] = last.shape() else {
            return Err(Problem::Shape {
                needs: "places and channels".to_owned(),
                found: x.shape().to_vec(),
            });
        };
        let n: usize = places.iter().product();
        let window: Vec<u32> = u32::try_from(n)
            .map(|n| (0..n).collect())
            .unwrap_or_default();
        let mut y = vec![0.0; batch * channels];
        if n > 0 && *channels > 0 {
            for (item, (x, y)) in last
                .data()
                .chunks_exact(n * channels)
                .zip(y.chunks_exact_mut(*channels))
                .enumerate()
            {
                match &shown {
                    Some(shown) => {
                        let shown = |at: &u32| shown.get(item * n + *at as usize) == Some(&true);
                        let window: Vec<u32> = window.iter().copied().filter(shown).collect();
                        reduce(self.kind, &window, *channels, x, y);
                    }
                    None => reduce(self.kind, &window, *channels, x, y),
                }
            }
        }
        let mut shape = vec![*batch];
        if self.keepdims {
            shape.extend(std::iter::repeat_n(1, places.len()));
        }
        shape.push(*channels);
        let y = axes::tensor(shape, y)?;
        if self.keepdims {
            axes::from_channels_last(&y, format)
        } else {
            Ok(y)
        }
    }

    fn advice(&self) -> (String, Option<Advice>) {
        average()
    }

    fn native(&self) -> Native {
        match self.mask {
            None => Native::NengoDl,
            Some(_) => Native::Never,
        }
    }

    fn convertible(&self, _: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        convertible(self.kind, self.rank, options)
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let windows = |spatial: &[usize]| Spans {
            window: spatial.to_vec(),
            strides: vec![1; self.rank],
            padding: Padding::Valid,
        };
        convert(call, self.kind, self.rank, self.data_format, windows)
    }
}
