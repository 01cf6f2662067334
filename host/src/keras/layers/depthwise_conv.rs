//! DepthwiseConv1D and DepthwiseConv2D.

use super::convolution::{
    Conv, Kernels, channels, convolved, depthwise, depthwise_kernel, kernel, laid_out,
};
use super::prelude::*;
use crate::keras::weight::channels_times;

/// A convolution of each channel by itself. The kernel's shape is `[k.., in, depth_multiplier]`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct DepthwiseConv {
    pub conv: Conv,
    pub depth_multiplier: usize,
}

impl LayerKind for DepthwiseConv {
    fn names() -> &'static [&'static str] {
        &["DepthwiseConv1D", "DepthwiseConv2D", "DepthwiseConv3D"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        // A depthwise convolution has no filters: a group for each input channel.
        let conv = Conv::arguments(rank(name), 0, "depthwise", args)?;
        let depth_multiplier = args.size_or("depth_multiplier", 1)?;
        Ok(conv.map(|conv| Self {
            conv: Conv { groups: 1, ..conv },
            depth_multiplier,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let inner = channels(&self.conv, input);
        let shape = kernel(&self.conv, [inner, Some(self.depth_multiplier)]);
        let mut slots = vec![Slot::new("depthwise_kernel", shape)];
        let filters = channels_times(inner, self.depth_multiplier)?;
        slots.extend(self.conv.bias_slot(filters));
        Ok(slots)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let mut out = convolved(&self.conv, inputs, |n| n)?;
        let (channel, _) = shape::axes(self.conv.rank, self.conv.data_format);
        out[channel] = out[channel]
            .map(|n| shape::mul(n, self.depth_multiplier))
            .transpose()?;
        Ok(out)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let c = &self.conv;
        let x = axes::to_channels_last(axes::only(inputs)?, c.data_format)?;
        let y = depthwise(c, w.get("depthwise_kernel")?, &x)?;
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
            Ok(Kernels {
                kernel: depthwise_kernel(call, conv, n_in, multiplier)?,
                groups: n_in,
                pointwise: None,
                n_out: n_in.saturating_mul(multiplier),
            })
        })
    }
}
