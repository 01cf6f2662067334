//! EinsumDense.

use super::prelude::*;
use crate::keras::forward::linear;

/// A product of the input and a kernel over the axes that an equation such as `abc,cd->abd` names.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct EinsumDense {
    pub equation: String,
    /// The lengths of the output's axes without the batch axis, if the arguments state them.
    pub output_shape: Vec<Option<usize>>,
    pub bias_axes: Option<String>,
    pub activation: Activation,
}

/// The labels of the axes of input, kernel and output, the batch axis among them.
struct Labels {
    input: Vec<char>,
    kernel: Vec<char>,
    output: Vec<char>,
}

/// Labels of axes that an equation leaves to `...`.
const ELIDED: std::ops::RangeInclusive<char> = '0'..='9';

impl EinsumDense {
    /// The labels for an input of `rank` axes, the batch axis among them.
    fn labels(&self, rank: usize) -> Result<Labels, String> {
        let wrong = || {
            format!(
                "its equation \"{}\" does not fit an input of {rank} axes",
                self.equation
            )
        };
        let plain: String = self
            .equation
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        let (inputs, output) = plain.split_once("->").ok_or_else(wrong)?;
        let (input, kernel) = inputs.split_once(',').ok_or_else(wrong)?;
        let named = input.chars().filter(|c| *c != '.').count();
        let elided: String = ELIDED
            .take(rank.checked_sub(named).ok_or_else(wrong)?)
            .collect();
        let spelt = |axes: &str| -> Result<Vec<char>, String> {
            let axes: Vec<char> = axes.replace("...", &elided).chars().collect();
            let letters = |c: &char| c.is_ascii_alphabetic() || elided.contains(*c);
            let once = (1..axes.len()).all(|at| !axes[..at].contains(&axes[at]));
            (axes.iter().all(letters) && once)
                .then_some(axes)
                .ok_or_else(wrong)
        };
        let labels = Labels {
            input: spelt(input)?,
            kernel: spelt(kernel)?,
            output: spelt(output)?,
        };
        let known = |c: &char| labels.input.contains(c) || labels.kernel.contains(c);
        let fits = labels.input.len() == rank
            && labels.output.first() == labels.input.first()
            && labels.output.iter().all(known);
        fits.then_some(labels).ok_or_else(wrong)
    }

    /// The length of an axis by its label, as far as the input and the arguments tell.
    fn length(&self, labels: &Labels, input: &Shape, label: char) -> Option<usize> {
        let place = labels.input.iter().position(|c| *c == label);
        if let Some(at) = place.and_then(|at| at.checked_sub(1)) {
            return *input.get(at)?;
        }
        let place = labels.output.iter().position(|c| *c == label)?;
        // Lengths may be stated of the last axes alone.
        let behind = labels.output.len() - place;
        let at = self.output_shape.len().checked_sub(behind)?;
        *self.output_shape.get(at)?
    }

    /// The axes of the bias in the output, from the first that it has.
    fn bias_axes<'l>(&self, labels: &'l Labels) -> &'l [char] {
        let axes = self.bias_axes.as_deref().unwrap_or_default();
        let first = labels.output.iter().position(|c| axes.contains(*c));
        first.map_or(&[], |first| &labels.output[first..])
    }
}

impl LayerKind for EinsumDense {
    fn names() -> &'static [&'static str] {
        &["EinsumDense"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let Some(activation) = args.activation("activation", Activation::Linear)? else {
            return Ok(None);
        };
        let output_shape = match args.get("output_shape") {
            Some(serde_json::Value::Array(list)) => list
                .iter()
                .map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok()))
                .collect(),
            Some(_) => vec![Some(args.size("output_shape")?)],
            None => Vec::new(),
        };
        Ok(Some(Self {
            equation: args.text("equation", "")?,
            output_shape,
            bias_axes: match args.get("bias_axes") {
                Some(_) => Some(args.text("bias_axes", "")?),
                None => None,
            },
            activation,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let Some(input) = input else {
            return Err("the shape of its input is not known".to_owned());
        };
        let labels = self.labels(input.len() + 1)?;
        let length = |c: &char| self.length(&labels, input, *c);
        let mut slots = vec![Slot::new(
            "kernel",
            labels.kernel.iter().map(length).collect(),
        )];
        if let Some(axes) = &self.bias_axes {
            let of_axis = |c: &char| match axes.contains(*c) {
                true => length(c),
                false => Some(1),
            };
            let shape = self.bias_axes(&labels).iter().map(of_axis).collect();
            slots.push(Slot::new("bias", shape));
        }
        Ok(slots)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = shape::single(inputs)?;
        let labels = self.labels(input.len() + 1)?;
        let own = labels.output.iter().skip(1);
        Ok(own.map(|c| self.length(&labels, input, *c)).collect())
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let labels = self.labels(x.shape().len()).map_err(Problem::Values)?;
        let kernel = w.get("kernel")?;
        let wrong = || Problem::Shape {
            needs: format!("a kernel for the equation {}", self.equation),
            found: kernel.shape().to_vec(),
        };
        if kernel.shape().len() != labels.kernel.len() {
            return Err(wrong());
        }
        let place = |axes: &[char], label: char| axes.iter().position(|c| *c == label);
        let summed =
            (labels.input.iter().chain(&labels.kernel)).filter(|c| !labels.output.contains(c));
        let mut order = labels.output.clone();
        for label in summed {
            if !order.contains(label) {
                order.push(*label);
            }
        }
        let (of_x, of_kernel) = (axes::strides(x.shape()), axes::strides(kernel.shape()));
        let mut lengths = Vec::with_capacity(order.len());
        let [mut steps_x, mut steps_kernel] = [Vec::new(), Vec::new()];
        for label in &order {
            let (a, b) = (place(&labels.input, *label), place(&labels.kernel, *label));
            let length = a.map(|a| x.shape()[a]).or(b.map(|b| kernel.shape()[b]));
            let length = length.ok_or_else(wrong)?;
            if b.is_some_and(|b| kernel.shape()[b] != length) {
                return Err(wrong());
            }
            lengths.push(length);
            steps_x.push(a.map_or(0, |a| of_x[a]));
            steps_kernel.push(b.map_or(0, |b| of_kernel[b]));
        }
        let (out, inner) = lengths.split_at(labels.output.len());
        let (outer_x, inner_x) = steps_x.split_at(out.len());
        let (outer_kernel, inner_kernel) = steps_kernel.split_at(out.len());
        let terms: Vec<(usize, usize)> = axes::gather(inner, inner_x)
            .zip(axes::gather(inner, inner_kernel))
            .collect();
        let y = axes::gather(out, outer_x)
            .zip(axes::gather(out, outer_kernel))
            .map(|(i, j)| {
                let products = terms
                    .iter()
                    .map(|(m, n)| x.data()[i + m] * kernel.data()[j + n]);
                products.sum()
            })
            .collect();
        let mut y = axes::tensor(out.to_vec(), y)?;
        if self.bias_axes.is_some() {
            let bias = w.get("bias")?;
            let bias = axes::reshape(bias, [&[1][..], bias.shape()].concat())?;
            y = axes::broadcast(&y, &bias, |a, b| a + b)?;
        }
        linear::finish(y, None, self.activation)
    }

    fn has_weights(&self) -> bool {
        true
    }
}
