//! Conv1DTranspose to Conv3DTranspose.

use super::convolution::{
    Conv, Image, Stuffing, add_bias, add_stuffed, channels, connect, conv_shape, kernel, laid_out,
    transform, window,
};
use super::prelude::*;
use crate::ops;
use crate::ops::{Axis, MatMut, MatRef, OUTSIDE, Padding, Taps};

/// The gradient of a convolution, from the places of its output to those of its input. The kernel's
/// shape is `[k.., filters, in]`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct ConvTranspose {
    pub conv: Conv,
    pub output_padding: Option<Vec<usize>>,
}

impl ConvTranspose {
    /// The length of the output along an axis of length `n`, as Keras gives it.
    fn length(&self, n: usize, axis: usize) -> Result<usize, String> {
        let conv = &self.conv;
        let (stride, window) = (conv.strides[axis], conv.kernel_size[axis]);
        let reach = shape::span(window, conv.dilation_rate[axis])?;
        let Some(more) = &self.output_padding else {
            let scaled = shape::mul(n, stride)?;
            return match conv.padding {
                Padding::Valid => shape::add(scaled, reach.saturating_sub(stride)),
                Padding::Same | Padding::Causal => Ok(scaled),
            };
        };
        let whole = shape::add(shape::mul(n.saturating_sub(1), stride)?, reach)?;
        let cut = match conv.padding {
            Padding::Valid => 0,
            Padding::Same | Padding::Causal => reach / 2 * 2,
        };
        (shape::add(whole, more[axis])?.checked_sub(cut))
            .filter(|&length| length > 0)
            .ok_or_else(|| format!("its output_padding leaves nothing of an axis of length {n}"))
    }

    /// The places that the convolution which this is the gradient of pads before the output of `length`.
    fn before(&self, n: usize, axis: usize, length: usize) -> usize {
        let conv = &self.conv;
        let reach = window(conv.kernel_size[axis], conv.dilation_rate[axis]);
        let whole = (n.saturating_sub(1))
            .saturating_mul(conv.strides[axis])
            .saturating_add(reach);
        match conv.padding {
            Padding::Valid => 0,
            Padding::Same | Padding::Causal => whole.saturating_sub(length) / 2,
        }
    }
}

impl LayerKind for ConvTranspose {
    fn names() -> &'static [&'static str] {
        &["Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let conv = Conv::arguments(rank(name), args.size("filters")?, "kernel", args)?;
        let output_padding = match args.get("output_padding") {
            Some(_) => Some(args.lengths("output_padding", rank(name))?),
            None => None,
        };
        Ok(conv.map(|conv| Self {
            conv,
            output_padding,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let (conv, filters) = (&self.conv, Some(self.conv.filters));
        let shape = kernel(conv, [filters, channels(conv, input)]);
        let mut slots = vec![Slot::new("kernel", shape)];
        slots.extend(conv.bias_slot(filters));
        Ok(slots)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let conv = &self.conv;
        conv_shape(
            conv,
            inputs,
            |_| Some(conv.filters),
            |n, i| self.length(n, i),
        )
    }

    /// Each input value adds the kernel, times itself, to the output.
    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let c = &self.conv;
        let kernel = w.get("kernel")?;
        let x = axes::to_channels_last(axes::only(inputs)?, c.data_format)?;
        let (batch, item) = axes::split_batch(&x)?;
        let wrong_kernel = || Problem::Shape {
            needs: format!("a kernel of {} axes and channels", c.rank),
            found: kernel.shape().to_vec(),
        };
        let ([places @ .., channels_in], [window @ .., channels_out, kernel_in]) =
            (item, kernel.shape())
        else {
            return Err(wrong_kernel());
        };
        if places.len() != c.rank || window.len() != c.rank || channels_in != kernel_in {
            return Err(wrong_kernel());
        }
        let spans = (0..c.rank)
            .map(|a| {
                let (n, k) = (places[a], window[a]);
                let (stride, dilation) = (*c.strides.get(a)?, *c.dilation_rate.get(a)?);
                // The length that Keras gives the result; TensorFlow then pads as the convolution that
                // this is the gradient of.
                let output = self.length(n, a).ok()?;
                let before = self.before(n, a, output);
                Some(Axis {
                    input: output,
                    kernel: k,
                    stride,
                    dilation,
                    output: n,
                    before,
                })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(wrong_kernel)?;
        let taps = Taps::new(&spans).ok_or_else(wrong_kernel)?;
        let mut columns = vec![0.0; taps.output * taps.kernel * channels_out];
        let size_out = taps.input * channels_out;
        let mut y = vec![0.0; batch * size_out];
        let rows = taps.kernel * channels_out;
        if *channels_in > 0 && size_out > 0 {
            for (x, y) in x
                .data()
                .chunks_exact(taps.output * channels_in)
                .zip(y.chunks_exact_mut(size_out))
            {
                columns.fill(0.0);
                ops::gemm(
                    MatRef::row_major(x, taps.output, *channels_in),
                    MatRef::row_major(kernel.data(), rows, *channels_in).transposed(),
                    MatMut::row_major(&mut columns, taps.output, rows),
                )?;
                for (row, window) in columns.chunks_exact(rows).zip(taps.windows()) {
                    for (cell, &place) in row.chunks_exact(*channels_out).zip(window) {
                        if place != OUTSIDE {
                            let at = place as usize * channels_out;
                            for (y, v) in y[at..].iter_mut().zip(cell) {
                                *y += v;
                            }
                        }
                    }
                }
            }
        }
        let mut shape = vec![batch];
        shape.extend(spans.iter().map(|a| a.input));
        shape.push(*channels_out);
        let y = axes::tensor(shape, y)?;
        laid_out(y, w.bias(c.use_bias)?, c.activation, c.data_format)
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        arguments.penalties(&self.conv.penalties);
        arguments.verdict()
    }

    /// Adds a plain convolution, with the kernel reversed, of the input set among zeros.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let conv = &self.conv;
        let channels_last = conv.data_format == DataFormat::ChannelsLast;
        call.set_channels_last(channels_last);
        let input = Image::of(call, &call.input_shape(0)?, conv)?;
        // The kernel of the convolution whose gradient this is.
        let shape = [conv.kernel_size.as_slice(), &[conv.filters, input.channels]].concat();
        let kernel = reversed(call.weight("kernel", &shape)?)
            .ok_or_else(|| call.shape_error("the kernel has no shape".into()))?;
        let bias = if conv.use_bias {
            Some(call.weight("bias", &[conv.filters])?.clone())
        } else {
            None
        };
        let mut axes = Vec::with_capacity(conv.rank);
        for (axis, &length) in input.spatial.iter().enumerate() {
            let stride = conv.strides[axis];
            let window = window(conv.kernel_size[axis], conv.dilation_rate[axis]);
            let output = (self.length(length, axis)).map_err(|reason| call.shape_error(reason))?;
            let before = self.before(length, axis, output);
            if stride == 0 || window == 0 || conv.kernel_size[axis] == 0 {
                return Err(call.shape_error("a window or a stride is 0".into()));
            }
            axes.push(Stuffing {
                length: output.saturating_add(window - 1),
                before: window - 1 - before,
                step: stride,
            });
        }
        let object = call.add_object(Some(conv.activation.into()), None)?;
        if let Some(bias) = bias {
            add_bias(call, object, &bias, channels_last)?;
        }
        let (stuffed, pre) = add_stuffed(call, &input, &axes)?;
        let plain = Conv {
            strides: vec![1; conv.rank],
            padding: Padding::Valid,
            ..conv.clone()
        };
        let convolution = transform(call, &plain, &stuffed, kernel, 1)?;
        connect(call, Some(pre), object, convolution)?;
        Ok(vec![object.pre])
    }
}

/// The kernel `[k.., out, in]` of a transposed convolution, its windows reversed, as `[k.., in, out]`.
fn reversed(kernel: &Tensor) -> Option<Tensor> {
    let [window @ .., n_out, n_in] = kernel.shape() else {
        return None;
    };
    let plane = n_out * n_in;
    let mut data = Vec::with_capacity(kernel.len());
    for values in kernel.data().chunks(plane.max(1)).rev() {
        for inner in 0..*n_in {
            data.extend(values.iter().skip(inner).step_by(*n_in));
        }
    }
    Tensor::new([window, &[*n_in, *n_out]].concat(), data)
}
