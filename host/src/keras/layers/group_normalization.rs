//! GroupNormalization.

use super::prelude::*;
use crate::ops::check_len;

/// (x - mean) / sqrt(variance + epsilon) gamma + beta, with the mean and the variance of each group of channels of an
/// item. `axis` counts the batch axis as 0.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct GroupNormalization {
    /// -1 for as many as there are channels.
    pub groups: isize,
    pub axis: isize,
    pub epsilon: f64,
    pub center: bool,
    pub scale: bool,
}

impl LayerKind for GroupNormalization {
    fn names() -> &'static [&'static str] {
        &["GroupNormalization"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self {
            groups: args.integer("groups", 32)?,
            axis: args.integer("axis", -1)?,
            epsilon: args.number("epsilon", 1e-3)?,
            center: args.flag("center", true)?,
            scale: args.flag("scale", true)?,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let channels = match input {
            Some(input) => input[shape::axis_index(self.axis, input.len())?],
            None => None,
        };
        let slots = [("gamma", self.scale), ("beta", self.center)];
        let used = slots.into_iter().filter(|(_, used)| *used);
        Ok(used
            .map(|(role, _)| Slot::new(role, vec![channels]))
            .collect())
    }

    fn number_axes(&mut self, rank: usize) {
        shape::number_axis(&mut self.axis, rank);
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = shape::single(inputs)?;
        let channels = input[shape::axis_index(self.axis, input.len())?];
        if let (Some(channels), Ok(groups)) = (channels, usize::try_from(self.groups))
            && (groups == 0 || channels % groups != 0)
        {
            return Err(format!("{channels} channels are no {groups} groups"));
        }
        Ok(input.clone())
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let axis = axes::index(x, self.axis)?;
        let split = axes::Split::at(x.shape(), axis);
        let batch = x.shape()[0];
        let groups = usize::try_from(self.groups).unwrap_or(split.len).max(1);
        let in_group = split.len / groups;
        let weight = |name: &'static str, wanted: bool| -> Result<Option<&[f32]>, Problem> {
            if !wanted {
                return Ok(None);
            }
            let weight = w.get(name)?;
            check_len(name, split.len, weight.len())?;
            Ok(Some(weight.data()))
        };
        let (gamma, beta) = (weight("gamma", self.scale)?, weight("beta", self.center)?);
        let places = split.before / batch.max(1);
        let mut y = x.data().to_vec();
        for item in 0..batch {
            for group in 0..groups {
                let at = |place: usize, channel: usize, after: usize| {
                    ((item * places + place) * split.len + group * in_group + channel) * split.after
                        + after
                };
                let all = || {
                    (0..places).flat_map(move |p| {
                        (0..in_group)
                            .flat_map(move |c| (0..split.after).map(move |a| (c, at(p, c, a))))
                    })
                };
                let n = (places * in_group * split.after) as f32;
                let mean = all().map(|(_, at)| x.data()[at]).sum::<f32>() / n;
                let squares = all().map(|(_, at)| (x.data()[at] - mean).powi(2));
                let variance = squares.sum::<f32>() / n;
                let factor = 1.0 / (variance + self.epsilon as f32).sqrt();
                for (channel, at) in all() {
                    let channel = group * in_group + channel;
                    y[at] = (x.data()[at] - mean) * factor * gamma.map_or(1.0, |g| g[channel])
                        + beta.map_or(0.0, |b| b[channel]);
                }
            }
        }
        axes::tensor(x.shape().to_vec(), y)
    }

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }
}
