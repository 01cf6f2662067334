//! SeparableConv1D and SeparableConv2D.

use super::convolution::{
    Conv, Geometry, Kernels, channels, convolve, convolved, depthwise, depthwise_kernel, kernel,
    laid_out,
};
use super::prelude::*;
use crate::keras::weight::channels_times;
use crate::ops::Padding;

/// A depthwise convolution, and one over the channels of each place.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct SeparableConv {
    pub conv: Conv,
    pub depth_multiplier: usize,
}

impl LayerKind for SeparableConv {
    fn names() -> &'static [&'static str] {
        &["SeparableConv1D", "SeparableConv2D", "SeparableConv3D"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let conv = Conv::arguments(rank(name), args.size("filters")?, "depthwise", args)?;
        let depth_multiplier = args.size_or("depth_multiplier", 1)?;
        Ok(conv.map(|conv| Self {
            conv: Conv { groups: 1, ..conv },
            depth_multiplier,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let inner = channels(&self.conv, input);
        let shape = kernel(&self.conv, [inner, Some(self.depth_multiplier)]);
        let filters = Some(self.conv.filters);
        let mut pointwise = vec![Some(1); self.conv.rank];
        pointwise.push(channels_times(inner, self.depth_multiplier)?);
        pointwise.push(filters);
        let mut slots = vec![
            Slot::new("depthwise_kernel", shape),
            Slot::new("pointwise_kernel", pointwise),
        ];
        slots.extend(self.conv.bias_slot(filters));
        Ok(slots)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        convolved(&self.conv, inputs, |_| Some(self.conv.filters))
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let c = &self.conv;
        let x = axes::to_channels_last(axes::only(inputs)?, c.data_format)?;
        let y = depthwise(c, w.get("depthwise_kernel")?, &x)?;
        let ones = vec![1; c.rank];
        let geometry = Geometry::of_ones(&ones, Padding::Valid);
        let y = convolve(&y, w.get("pointwise_kernel")?, &geometry)?;
        laid_out(y, w.bias(c.use_bias)?, c.activation, c.data_format)
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        self.conv.convertible(layer, options)
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let (conv, multiplier) = (&self.conv, self.depth_multiplier);
        conv.convert(call, |call, n_in| {
            let channels = [n_in.saturating_mul(multiplier), conv.filters];
            let shape = [vec![1; conv.rank].as_slice(), &channels].concat();
            Ok(Kernels {
                kernel: depthwise_kernel(call, conv, n_in, multiplier)?,
                groups: n_in,
                pointwise: Some(call.weight("pointwise_kernel", &shape)?.clone()),
                n_out: conv.filters,
            })
        })
    }
}
