//! Bidirectional: a recurrent layer in both directions of time.

use super::masking::Mask;
use super::prelude::*;
use super::recurrent::{self, Recurrent};
use crate::keras::args::object;
use crate::keras::weight::Weight;

/// A recurrent layer that runs forwards, one that runs backwards, and a function of what both return.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Bidirectional {
    pub forward_layer: Recurrent,
    pub backward_layer: Recurrent,
    pub merge_mode: MergeMode,
    /// Steps that are left out, as a second input tells.
    pub mask: Option<Mask>,
}

/// The function of the outputs of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is Keras's mode of that name")]
pub enum MergeMode {
    Concat,
    Sum,
    Mul,
    Ave,
}

/// The weights of the two directions, in Keras's order.
const ROLES: [[&str; 3]; 2] = [
    ["forward_kernel", "forward_recurrent_kernel", "forward_bias"],
    [
        "backward_kernel",
        "backward_recurrent_kernel",
        "backward_bias",
    ],
];
/// The groups of their weights.
const DIRECTIONS: [&str; 2] = ["forward_layer", "backward_layer"];

impl Bidirectional {
    fn layers(&self) -> [&Recurrent; 2] {
        [&self.forward_layer, &self.backward_layer]
    }

    /// The tensors of the states of both directions.
    pub(crate) fn states(&self) -> usize {
        self.layers().map(Recurrent::states).iter().sum()
    }
}

impl LayerKind for Bidirectional {
    fn names() -> &'static [&'static str] {
        &["Bidirectional"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let inner = |key| -> Result<Option<Recurrent>, String> {
            let Some((class, map)) = object(args.get(key)) else {
                return Ok(None);
            };
            let known = Recurrent::names().contains(&class.base.as_str());
            match known && class.origin == Recurrent::origin() {
                true => Recurrent::read(&class.base, &Args::new(map, args.dialect))
                    .map(|layer| layer.filter(|layer| layer.below.is_empty())),
                false => Ok(None),
            }
        };
        let Some(forward_layer) = inner("layer")? else {
            return Ok(None);
        };
        let backward_layer = match args.get("backward_layer") {
            Some(_) => inner("backward_layer")?,
            None => Some(Recurrent {
                go_backwards: !forward_layer.go_backwards,
                ..forward_layer.clone()
            }),
        };
        // Keras forces both layers to return zeros for what is left out.
        let forced = |layer: Recurrent| Recurrent {
            zero_output_for_mask: layer.return_sequences,
            ..layer
        };
        let forward_layer = forced(forward_layer);
        let backward_layer = backward_layer.map(forced);
        let merge_mode = match args.text("merge_mode", "concat")?.as_str() {
            "concat" => MergeMode::Concat,
            "sum" => MergeMode::Sum,
            "mul" => MergeMode::Mul,
            "ave" => MergeMode::Ave,
            _ => return Err(args.wrong("merge_mode", "\"concat\", \"sum\", \"mul\" or \"ave\"")),
        };
        // Without a mode there are two outputs.
        let merged = args.get("merge_mode").is_some() || !args.map().contains_key("merge_mode");
        Ok(backward_layer
            .filter(|_| merged)
            .map(|backward_layer| Self {
                forward_layer,
                backward_layer,
                merge_mode,
                mask: None,
            }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let mut slots = Vec::new();
        for (layer, roles) in self.layers().into_iter().zip(ROLES) {
            let own = layer.slots(input)?;
            slots.extend(
                own.into_iter()
                    .zip(roles)
                    .map(|(slot, role)| Slot { role, ..slot }),
            );
        }
        Ok(slots)
    }

    fn place(&self, slot: usize) -> (Cow<'static, str>, usize) {
        let forwards = self.forward_layer.own_weights();
        let (direction, layer, slot) = match slot.checked_sub(forwards) {
            None => (DIRECTIONS[0], &self.forward_layer, slot),
            Some(slot) => (DIRECTIONS[1], &self.backward_layer, slot),
        };
        let (group, number) = layer.place(slot);
        (format!("{direction}/{group}").into(), number)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (own, ..) = recurrent::roles(inputs, self.mask.is_some(), self.states())
            .ok_or_else(|| recurrent::wants(self.states(), inputs.len()))?;
        let own = std::slice::from_ref(own);
        let [mut shape, other] = [
            self.forward_layer.output(own)?,
            self.backward_layer.output(own)?,
        ];
        if shape.len() != other.len() {
            return Err("one of its layers returns sequences, the other does not".to_owned());
        }
        if self.merge_mode == MergeMode::Concat {
            let units = self
                .forward_layer
                .units
                .checked_add(self.backward_layer.units);
            let last = shape.len().saturating_sub(1);
            if let Some(length) = shape.get_mut(last) {
                *length = Some(units.ok_or("its units are out of range")?);
            }
        } else if shape != other {
            return Err("its layers have different numbers of units".to_owned());
        }
        Ok(shape)
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let mut shapes = vec![self.output(inputs)?];
        for layer in self.layers().into_iter().filter(|layer| layer.return_state) {
            shapes.extend(vec![vec![Some(layer.units)]; layer.states()]);
        }
        Ok(shapes)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        Ok(self.run(w, inputs)?.0)
    }

    fn forward_all(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Vec<Tensor>, Problem> {
        let returned = self.forward_layer.return_state;
        Ok(with_others(self.run(w, inputs)?, returned))
    }
}

impl Bidirectional {
    /// The output, and the states of both directions after their last steps.
    fn run(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<(Tensor, Vec<Tensor>), Problem> {
        let (x, states, source) = recurrent::roles(inputs, self.mask.is_some(), self.states())
            .ok_or_else(|| Problem::Values(recurrent::wants(self.states(), inputs.len())))?;
        let (own, other) =
            w.0.split_at(self.forward_layer.own_weights().min(w.0.len()));
        let half = states.len().min(self.forward_layer.states());
        let (given, rest) = states.split_at(half);
        let mut both = Vec::with_capacity(2);
        let mut ends = Vec::new();
        for (layer, own, given) in [
            (&self.forward_layer, own, given),
            (&self.backward_layer, other, rest),
        ] {
            let weights: Vec<Weight> = (own.iter().zip(["kernel", "recurrent_kernel", "bias"]))
                .map(|(weight, name)| Weight {
                    name: name.to_owned(),
                    value: weight.value.clone(),
                })
                .collect();
            let inputs: Vec<Tensor> = ([x].into_iter().chain(given).chain(source))
                .cloned()
                .collect();
            let layer = Recurrent {
                mask: self.mask,
                ..layer.clone()
            };
            let (y, states) = layer.run(Weights(&weights), &inputs)?;
            both.push(y);
            ends.extend(states);
        }
        if self.backward_layer.return_sequences {
            both[1] = reversed(&both[1])?;
        }
        let merge = |f: fn(f32, f32) -> f32| axes::broadcast(&both[0], &both[1], f);
        let y = match self.merge_mode {
            MergeMode::Concat => concatenated(&both[0], &both[1]),
            MergeMode::Sum => merge(|a, b| a + b),
            MergeMode::Mul => merge(|a, b| a * b),
            MergeMode::Ave => merge(f32::midpoint),
        }?;
        Ok((y, ends))
    }
}

/// The steps in reversed order.
fn reversed(x: &Tensor) -> Result<Tensor, Problem> {
    let &[_, steps, size] = x.shape() else {
        return Ok(x.clone());
    };
    let items = x.data().chunks((steps * size).max(1));
    let y = items.flat_map(|item| item.chunks(size.max(1)).rev().flatten().copied());
    axes::tensor(x.shape().to_vec(), y.collect())
}

/// Two tensors side by side along the last axis.
fn concatenated(a: &Tensor, b: &Tensor) -> Result<Tensor, Problem> {
    let last = |x: &Tensor| x.shape().last().copied().unwrap_or(0);
    let rows = (a.data().chunks(last(a).max(1))).zip(b.data().chunks(last(b).max(1)));
    let y = rows.flat_map(|(a, b)| a.iter().chain(b)).copied().collect();
    let mut shape = a.shape().to_vec();
    if let Some(length) = shape.last_mut() {
        *length += last(b);
    }
    axes::tensor(shape, y)
}
