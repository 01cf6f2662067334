//! ConvLSTM1D to ConvLSTM3D.

use super::convolution::{Conv, Geometry, channels, convolve, convolved, kernel};
use super::prelude::*;
use super::recurrent::{check_activations, roles};
use crate::keras::activation::scalar;
use crate::keras::forward::linear;
use crate::keras::weight::channels_times;
use crate::ops::{Padding, check_len};

/// A long short-term memory whose products are convolutions, over an input of shape `[steps, places.., channels]`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct ConvLstm {
    pub conv: Conv,
    pub recurrent_activation: Activation,
    pub return_sequences: bool,
    pub return_state: bool,
    pub go_backwards: bool,
}

/// The gates: input, forget, candidate, output.
const GATES: usize = 4;
/// The tensors of the state: the output, and the memory.
const STATES: usize = 2;

impl ConvLstm {
    /// One step of the input, of one without a batch axis.
    fn step<'s>(&self, input: &'s Shape) -> Result<(Option<usize>, &'s [Option<usize>]), String> {
        match input.split_first() {
            Some((steps, item)) if item.len() == self.conv.rank + 1 => Ok((*steps, item)),
            _ => Err(format!(
                "it takes an input of steps, {} axes of places and channels, but is given {}",
                self.conv.rank,
                shape::display(input)
            )),
        }
    }

    /// The shape of a state.
    fn state(&self, item: &[Option<usize>]) -> Result<Shape, String> {
        convolved(&self.conv, &[item.to_vec()], |_| Some(self.conv.filters))
    }

    fn all_gates(&self) -> Result<Option<usize>, String> {
        channels_times(Some(self.conv.filters), GATES)
    }

    /// The output, and the states after the last step.
    fn run(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<(Tensor, Vec<Tensor>), Problem> {
        let c = &self.conv;
        let (x, states, _) = roles(inputs, false, STATES).ok_or(Problem::Inputs {
            expected: "an input, and two states or none",
            found: inputs.len(),
        })?;
        check_activations(&[c.activation, self.recurrent_activation])?;
        let [batch, steps, item @ ..] = x.shape() else {
            return Err(Problem::Shape {
                needs: "the axes (batch, steps, places.., channels)".to_owned(),
                found: x.shape().to_vec(),
            });
        };
        let (batch, steps) = (*batch, *steps);
        // All steps go through the convolution at once.
        let folded = axes::reshape(x, [&[batch * steps][..], item].concat())?;
        let folded = axes::to_channels_last(&folded, c.data_format)?;
        let projected = convolve(&folded, w.get("kernel")?, &c.geometry())?;
        let projected = linear::finish(projected, w.bias(c.use_bias)?, Activation::Linear)?;
        let Some((&width, places)) = (projected.shape().get(1..)).and_then(<[usize]>::split_last)
        else {
            return Err(Problem::Shape {
                needs: "places and channels".to_owned(),
                found: projected.shape().to_vec(),
            });
        };
        check_len("the kernel's channels", GATES * c.filters, width)?;
        let n: usize = places.iter().product();
        let own = [&[batch][..], places, &[c.filters]].concat();
        let size = n * c.filters;
        let state = |at: usize| -> Result<Vec<f32>, Problem> {
            let Some(given) = states.get(at) else {
                return Ok(vec![0.0; batch * size]);
            };
            check_len("the initial state", batch * size, given.len())?;
            Ok(axes::to_channels_last(given, c.data_format)?
                .data()
                .to_vec())
        };
        let (mut h, mut memory) = (state(0)?, state(1)?);
        let ones = vec![1; c.rank];
        let same = Geometry::of_ones(&ones, Padding::Same);
        let mut sequence = Vec::new();
        if self.return_sequences {
            sequence = vec![0.0; batch * steps * size];
        }
        for step in 0..steps {
            let t = if self.go_backwards {
                steps - 1 - step
            } else {
                step
            };
            let hidden = axes::tensor(own.clone(), h.clone())?;
            let hidden = convolve(&hidden, w.get("recurrent_kernel")?, &same)?;
            for b in 0..batch {
                for place in 0..n {
                    let x = &projected.data()[((b * steps + t) * n + place) * width..][..width];
                    let r = &hidden.data()[(b * n + place) * width..][..width];
                    for f in 0..c.filters {
                        let gate = |g: usize| x[g * c.filters + f] + r[g * c.filters + f];
                        let open = |g: usize| scalar(self.recurrent_activation, gate(g));
                        let at = (b * n + place) * c.filters + f;
                        memory[at] = open(1) * memory[at] + open(0) * scalar(c.activation, gate(2));
                        h[at] = open(3) * scalar(c.activation, memory[at]);
                    }
                }
                if self.return_sequences {
                    sequence[(b * steps + step) * size..][..size]
                        .copy_from_slice(&h[b * size..][..size]);
                }
            }
        }
        let tensor = |data: Vec<f32>| -> Result<Tensor, Problem> {
            axes::from_channels_last(&axes::tensor(own.clone(), data)?, c.data_format)
        };
        let ends = vec![tensor(h)?, tensor(memory)?];
        let y = if self.return_sequences {
            let all = [&[batch * steps][..], &own[1..]].concat();
            let all = axes::from_channels_last(&axes::tensor(all, sequence)?, c.data_format)?;
            let shape = [&[batch, steps][..], &all.shape()[1..]].concat();
            axes::reshape(&all, shape)?
        } else {
            ends[0].clone()
        };
        Ok((y, ends))
    }
}

impl LayerKind for ConvLstm {
    fn names() -> &'static [&'static str] {
        &["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let Some(conv) = Conv::arguments(rank(name), args.size("filters")?, "kernel", args)? else {
            return Ok(None);
        };
        let default = match args.dialect.version {
            3.. => Activation::Sigmoid,
            _ => Activation::SteepHardSigmoid,
        };
        let inner = args.activation("recurrent_activation", default)?;
        // Without one it is tanh, unlike in a convolution.
        let activation = args.activation("activation", Activation::Tanh)?;
        let (Some(recurrent_activation), Some(activation)) = (inner, activation) else {
            return Ok(None);
        };
        Ok(Some(Self {
            conv: Conv { activation, ..conv },
            recurrent_activation,
            return_sequences: args.flag("return_sequences", false)?,
            return_state: args.flag("return_state", false)?,
            go_backwards: args.flag("go_backwards", false)?,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let item: Option<Shape> = input.map(|input| input.iter().skip(1).copied().collect());
        let gates = self.all_gates()?;
        let of_input = channels(&self.conv, item.as_ref());
        let mut slots = vec![
            Slot::new("kernel", kernel(&self.conv, [of_input, gates])),
            Slot::new(
                "recurrent_kernel",
                kernel(&self.conv, [Some(self.conv.filters), gates]),
            ),
        ];
        slots.extend(self.conv.bias_slot(gates));
        Ok(slots)
    }

    fn place(&self, slot: usize) -> (Cow<'static, str>, usize) {
        ("cell/vars".into(), slot)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (own, ..) = roles(inputs, false, STATES)
            .ok_or_else(|| format!("it takes one input or three, not {}", inputs.len()))?;
        let (steps, item) = self.step(own)?;
        let mut state = self.state(item)?;
        if self.return_sequences {
            state.insert(0, steps);
        }
        Ok(state)
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let mut shapes = vec![self.output(inputs)?];
        if self.return_state
            && let Some(own) = inputs.first()
        {
            let state = self.state(self.step(own)?.1)?;
            shapes.extend(vec![state; STATES]);
        }
        Ok(shapes)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        Ok(self.run(w, inputs)?.0)
    }

    fn forward_all(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Vec<Tensor>, Problem> {
        Ok(with_others(self.run(w, inputs)?, self.return_state))
    }
}
