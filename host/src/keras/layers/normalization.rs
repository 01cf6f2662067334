//! Normalization.

use super::prelude::*;

/// (x - mean) / sqrt(variance), or the inverse of it. `axis` counts the batch axis as 0; it names the axes
/// whose places have values of their own.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Normalization {
    pub axis: Vec<isize>,
    pub mean: Option<Vec<f64>>,
    pub variance: Option<Vec<f64>>,
    pub invert: bool,
}

/// Keras's least deviation.
const EPSILON: f32 = 1e-7;

/// A factor and an offset for each element of an input.
struct Lines {
    factors: Vec<f32>,
    offsets: Vec<f32>,
}

impl Normalization {
    /// The axes with values of their own, without the batch axis.
    fn kept(&self, rank: usize) -> Result<Vec<usize>, String> {
        let mut kept = (self.axis.iter())
            .map(|&axis| shape::axis_index(axis, rank))
            .collect::<Result<Vec<_>, _>>()?;
        kept.sort_unstable();
        Ok(kept)
    }

    /// The factors and offsets for an input of this shape.
    fn lines(
        &self,
        weight: impl Fn(&'static str) -> Option<Vec<f32>>,
        input: &[usize],
    ) -> Result<Lines, String> {
        let kept = self.kept(input.len())?;
        let places: usize = kept.iter().map(|&axis| input[axis]).product();
        let values = |name, given: &Option<Vec<f64>>| -> Result<Vec<f32>, String> {
            let values = match given {
                Some(values) => values.iter().map(|&v| v as f32).collect(),
                None => weight(name).ok_or_else(|| format!("its {name} is missing"))?,
            };
            match values[..] {
                [one] => Ok(vec![one; places]),
                _ if values.len() == places => Ok(values),
                _ => Err(format!(
                    "its {name} has {} values for {places} places",
                    values.len()
                )),
            }
        };
        let mean = values("mean", &self.mean)?;
        let variance = values("variance", &self.variance)?;
        let mut lines = Lines {
            factors: Vec::new(),
            offsets: Vec::new(),
        };
        for at in 0..input.iter().product() {
            let place = index::coordinates(at, input);
            let place = kept
                .iter()
                .fold(0, |n, &axis| n * input[axis] + place[axis]);
            let deviation = variance[place].sqrt().max(EPSILON);
            let (factor, offset) = if self.invert {
                (deviation, mean[place])
            } else {
                (1.0 / deviation, -mean[place] / deviation)
            };
            lines.factors.push(factor);
            lines.offsets.push(offset);
        }
        Ok(lines)
    }
}

impl LayerKind for Normalization {
    fn names() -> &'static [&'static str] {
        &["Normalization"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let given = |key| args.get(key).map(|_| args.flat_numbers(key)).transpose();
        Ok(Some(Self {
            // Null is one value for all.
            axis: match args.get("axis") {
                None if args.map().contains_key("axis") => Vec::new(),
                _ => args.integers("axis", &[-1])?,
            },
            mean: given("mean")?,
            variance: given("variance")?,
            invert: args.flag("invert", false)?,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        if self.mean.is_some() {
            return Ok(Vec::new());
        }
        let shape = match input {
            Some(input) => {
                let kept = self.kept(input.len())?;
                Some(kept.into_iter().map(|axis| input[axis]).collect())
            }
            None => None,
        };
        let slot = |role| Slot {
            role,
            shape: shape.clone(),
            trainable: false,
        };
        Ok(vec![slot("mean"), slot("variance")])
    }

    fn ignores_weights(&self) -> bool {
        true
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = shape::single(inputs)?;
        self.kept(input.len())?;
        Ok(input.clone())
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let (_, item) = axes::split_batch(x)?;
        let weight = |name| w.find(name).map(|t| t.data().to_vec());
        let Lines { factors, offsets } = self.lines(weight, item).map_err(Problem::Values)?;
        let lines = || factors.iter().zip(&offsets);
        let y = (x.data().iter().zip(lines().cycle()))
            .map(|(x, (factor, offset))| x * factor + offset)
            .collect();
        axes::tensor(x.shape().to_vec(), y)
    }

    fn hands_masks_on(&self, keras3: bool) -> bool {
        keras3
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let layer = call.layer();
        let weight = |name| layer.weight(name).map(|t| t.data().to_vec());
        let lines = self.lines(weight, &call.output_shape()?);
        let Lines { factors, offsets } = lines.map_err(|reason| call.shape_error(reason))?;
        let object = call.add_object(None, None)?;
        index::add_offsets(call, object, Tensor::vector(offsets))?;
        index::connect_factors(call, object, Tensor::vector(factors))?;
        Ok(vec![object.pre])
    }
}
