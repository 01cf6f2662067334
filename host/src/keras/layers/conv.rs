//! Conv1D to Conv3D.

use super::convolution::{Conv, Kernels, channels, convolve, convolved, kernel, laid_out};
use super::prelude::*;

impl LayerKind for Conv {
    fn names() -> &'static [&'static str] {
        &[
            "Conv1D",
            "Conv2D",
            "Conv3D",
            "Convolution1D",
            "Convolution2D",
            "Convolution3D",
        ]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Self::arguments(rank(name), args.size("filters")?, "kernel", args)
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let inner = match channels(self, input) {
            Some(n) if n % self.groups == 0 => Some(n / self.groups),
            Some(n) => {
                return Err(format!(
                    "its {n} input channels cannot be split into {} groups",
                    self.groups
                ));
            }
            None => None,
        };
        let filters = Some(self.filters);
        let mut slots = vec![Slot::new("kernel", kernel(self, [inner, filters]))];
        slots.extend(self.bias_slot(filters));
        Ok(slots)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        convolved(self, inputs, |_| Some(self.filters))
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::to_channels_last(axes::only(inputs)?, self.data_format)?;
        let y = convolve(&x, w.get("kernel")?, &self.geometry())?;
        let bias = w.bias(self.use_bias)?;
        laid_out(y, bias, self.activation, self.data_format)
    }

    fn advice(&self) -> (String, Option<Advice>) {
        self.penalties.advice()
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        self.convertible(layer, options)
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        self.convert(call, |call, n_in| {
            let channels = [n_in / self.groups, self.filters];
            let shape = [self.kernel_size.as_slice(), &channels].concat();
            Ok(Kernels {
                kernel: call.weight("kernel", &shape)?.clone(),
                groups: self.groups,
                pointwise: None,
                n_out: self.filters,
            })
        })
    }
}
