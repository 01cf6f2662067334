//! LayerScale, which ConvNeXt of `keras.applications` brings with it.

use super::prelude::*;
use crate::ops::check_len;

/// gamma x, with a trained factor for each place of the last axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct LayerScale {
    pub projection_dim: usize,
}

impl LayerKind for LayerScale {
    fn names() -> &'static [&'static str] {
        &["LayerScale"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        // A layer of somebody's own may have the name: files without modules do not tell.
        if args.get("projection_dim").is_none() || args.get("init_values").is_none() {
            return Ok(None);
        }
        let projection_dim = args.size("projection_dim")?;
        Ok(Some(Self { projection_dim }))
    }

    fn slots(&self, _: Option<&Shape>) -> Result<Vec<Slot>, String> {
        Ok(vec![Slot::new("gamma", vec![Some(self.projection_dim)])])
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::single(inputs).cloned()
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let gamma = w.get("gamma")?;
        check_len("gamma", x.shape().last().copied().unwrap_or(1), gamma.len())?;
        axes::along_last(x, gamma.data().to_vec(), |x, gamma| x * gamma)
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let shape = call.output_shape()?;
        let gamma = call.weight("gamma", &[shape.last().copied().unwrap_or(1)])?;
        let size: usize = shape.iter().product();
        let factors = (gamma.data().iter().copied().cycle().take(size)).collect();
        let object = call.add_object(None, None)?;
        index::connect_factors(call, object, Tensor::vector(factors))?;
        Ok(vec![object.pre])
    }
}
