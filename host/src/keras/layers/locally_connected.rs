//! LocallyConnected1D and LocallyConnected2D, which Keras 3 no longer has.

use super::convolution::{Conv, channels, conv_shape, convolved, window};
use super::prelude::*;
use crate::keras::forward::linear;
use crate::ops::Padding;

/// A convolution with a kernel of its own for each place.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct LocallyConnected {
    pub conv: Conv,
    /// The order in which files hold its kernels: 1 to 3, as Keras numbers them.
    pub implementation: usize,
}

impl LocallyConnected {
    fn places(&self, input: &Shape) -> Result<Shape, String> {
        let one = [input.clone()];
        let out = conv_shape(
            &self.conv,
            &one,
            |_| Some(self.conv.filters),
            |n, i| {
                let c = &self.conv;
                shape::windows(
                    n,
                    c.kernel_size[i],
                    c.strides[i],
                    c.dilation_rate[i],
                    c.padding,
                )
            },
        )?;
        let (_, spatial) = shape::axes(self.conv.rank, self.conv.data_format);
        Ok(out[spatial].to_vec())
    }

    /// The place of the input for each place of the output and of its window.
    fn windows(&self, lengths: &[usize], outputs: &[usize]) -> Vec<Vec<Option<usize>>> {
        let c = &self.conv;
        let outs = index::elements(outputs).unwrap_or(0);
        let taps = c.kernel_size.iter().product();
        (0..outs)
            .map(|out| {
                let out = index::coordinates(out, outputs);
                (0..taps)
                    .map(|tap| {
                        let tap = index::coordinates(tap, &c.kernel_size);
                        let mut place = Vec::with_capacity(c.rank);
                        for axis in 0..c.rank {
                            let span = window(c.kernel_size[axis], c.dilation_rate[axis]);
                            let reach = (outputs[axis] - 1) * c.strides[axis] + span;
                            let before = match c.padding {
                                Padding::Valid => 0,
                                _ => reach.saturating_sub(lengths[axis]) / 2,
                            };
                            let at = out[axis] * c.strides[axis] + tap[axis];
                            let at = at.checked_sub(before).filter(|&at| at < lengths[axis]);
                            place.push(at?);
                        }
                        Some(index::index_of(&place, &index::row_major(lengths)))
                    })
                    .collect()
            })
            .collect()
    }
}

impl LayerKind for LocallyConnected {
    fn names() -> &'static [&'static str] {
        &["LocallyConnected1D", "LocallyConnected2D"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let implementation = args.size_or("implementation", 1)?;
        if !(1..=3).contains(&implementation) {
            return Err(args.wrong("implementation", "1, 2 or 3"));
        }
        let conv = Conv::arguments(rank(name), args.size("filters")?, "kernel", args)?;
        Ok(conv.map(|conv| Self {
            conv,
            implementation,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let c = &self.conv;
        let filters = Some(c.filters);
        let rank = |n: usize| vec![None; n];
        let places = match input {
            Some(input) => self.places(input)?,
            None => rank(c.rank),
        };
        let of_input = channels(c, input);
        let taps = index::elements(&c.kernel_size).ok_or("its window is out of range")?;
        let kernel = match self.implementation {
            1 => {
                let outs = shape::elements(&places);
                let row = of_input.map(|n| shape::mul(n, taps)).transpose()?;
                vec![outs, row, filters]
            }
            2 => {
                let (_, spatial) = shape::axes(c.rank, c.data_format);
                let lengths = input.map_or(rank(c.rank), |input| input[spatial].to_vec());
                match c.data_format {
                    DataFormat::ChannelsLast => {
                        [lengths, vec![of_input], places.clone(), vec![filters]].concat()
                    }
                    DataFormat::ChannelsFirst => {
                        [vec![of_input], lengths, vec![filters], places.clone()].concat()
                    }
                }
            }
            _ => rank(1),
        };
        let mut slots = vec![Slot::new("kernel", kernel)];
        if c.use_bias {
            slots.push(Slot::new("bias", [places, vec![filters]].concat()));
        }
        Ok(slots)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        convolved(&self.conv, inputs, |_| Some(self.conv.filters))
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let c = &self.conv;
        let x = axes::to_channels_last(axes::only(inputs)?, c.data_format)?;
        let (batch, item) = axes::split_batch(&x)?;
        let wrong = || Problem::Shape {
            needs: format!("{} axes of places and channels", c.rank),
            found: x.shape().to_vec(),
        };
        let (&n_in, lengths) = item.split_last().ok_or_else(wrong)?;
        if lengths.len() != c.rank {
            return Err(wrong());
        }
        let known: Shape = (axes::only(inputs)?.shape().iter().skip(1))
            .map(|&d| Some(d))
            .collect();
        let places: Vec<usize> = (self.places(&known))
            .map_err(Problem::Values)?
            .into_iter()
            .flatten()
            .collect();
        let windows = self.windows(lengths, &places);
        let outs = windows.len();
        let taps: usize = c.kernel_size.iter().product();
        let kernel = w.get("kernel")?;
        let filters = c.filters;
        // The weights of each place, filter, place in its window and channel, in the file's order.
        let at: Box<dyn Fn(usize, usize, usize, usize) -> usize> = match self.implementation {
            // Keras takes the channels of a window together, or each channel's window.
            1 => match c.data_format {
                DataFormat::ChannelsLast => {
                    Box::new(move |o, f, tap, ch| ((o * taps + tap) * n_in + ch) * filters + f)
                }
                DataFormat::ChannelsFirst => {
                    Box::new(move |o, f, tap, ch| ((o * n_in + ch) * taps + tap) * filters + f)
                }
            },
            2 => {
                let inputs: usize = lengths.iter().product();
                let places = windows.clone();
                let last = c.data_format == DataFormat::ChannelsLast;
                Box::new(move |o, f, tap, ch| {
                    let place = places[o][tap].unwrap_or(0);
                    if last {
                        ((place * n_in + ch) * outs + o) * filters + f
                    } else {
                        ((ch * inputs + place) * filters + f) * outs + o
                    }
                })
            }
            _ => sparse(&windows, n_in, filters, c.data_format),
        };
        let mut y = Vec::with_capacity(batch * outs * filters);
        for x in x.data().chunks(item.iter().product::<usize>().max(1)) {
            for (o, window) in windows.iter().enumerate() {
                for f in 0..filters {
                    let mut sum = 0.0;
                    for (tap, place) in window.iter().enumerate() {
                        let Some(place) = place else { continue };
                        for ch in 0..n_in {
                            let weight = kernel.data().get(at(o, f, tap, ch));
                            let weight = *weight.ok_or_else(|| Problem::Shape {
                                needs: "a kernel for each place".to_owned(),
                                found: kernel.shape().to_vec(),
                            })?;
                            sum += weight * x[place * n_in + ch];
                        }
                    }
                    y.push(sum);
                }
            }
        }
        let shape = [&[batch][..], &places[..], &[filters]].concat();
        let mut y = axes::from_channels_last(&axes::tensor(shape, y)?, c.data_format)?;
        if let Some(bias) = w.bias(c.use_bias)? {
            // Its values stand as the file has them, whatever the order of axes.
            let shape = [&[1][..], &y.shape()[1..]].concat();
            y = axes::broadcast(&y, &axes::reshape(bias, shape)?, |a, b| a + b)?;
        }
        linear::finish(y, None, c.activation)
    }

    fn has_weights(&self) -> bool {
        true
    }
}

/// The order of a list of the weights alone: by the place in the output, then by that in the input.
fn sparse(
    windows: &[Vec<Option<usize>>],
    n_in: usize,
    filters: usize,
    format: DataFormat,
) -> Box<dyn Fn(usize, usize, usize, usize) -> usize> {
    let outs = windows.len();
    let mut entries = Vec::new();
    let last = format == DataFormat::ChannelsLast;
    let inputs = windows
        .iter()
        .flatten()
        .flatten()
        .max()
        .map_or(1, |n| n + 1);
    for (o, window) in windows.iter().enumerate() {
        for f in 0..filters {
            for (tap, place) in window.iter().enumerate() {
                let Some(place) = place else { continue };
                for ch in 0..n_in {
                    let key = if last {
                        (o * filters + f, place * n_in + ch)
                    } else {
                        (f * outs + o, ch * inputs + place)
                    };
                    entries.push((key, (o, f, tap, ch)));
                }
            }
        }
    }
    entries.sort_unstable();
    let order: std::collections::BTreeMap<_, _> = (entries.into_iter().enumerate())
        .map(|(at, (_, entry))| (entry, at))
        .collect();
    Box::new(move |o, f, tap, ch| order.get(&(o, f, tap, ch)).copied().unwrap_or(usize::MAX))
}
