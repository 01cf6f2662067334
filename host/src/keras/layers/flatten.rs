//! Flatten.

use super::prelude::*;

/// All axes as one.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Flatten {
    pub data_format: DataFormat,
}

impl LayerKind for Flatten {
    fn names() -> &'static [&'static str] {
        &["Flatten"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self {
            data_format: args.data_format()?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = shape::single(inputs)?;
        shape::check(input)?;
        Ok(vec![shape::elements(input)])
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::to_channels_last(axes::only(inputs)?, self.data_format)?;
        let (batch, item) = axes::split_batch(&x)?;
        axes::reshape(&x, vec![batch, item.iter().product()])
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    /// Leaves no object, unless elements change their order: Nengo's objects are vectors.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        // Keras flattens channels_first data with the channels moved last; NengoDL forgets that.
        if self.data_format == DataFormat::ChannelsFirst && !call.options().nengo_dl_compat {
            let shape = call.input_shape(0)?;
            if shape.len() > 1 {
                let mut axes: Vec<usize> = (1..shape.len()).collect();
                axes.push(0);
                return index::gather(call, index::permuted(&shape, &axes));
            }
        }
        call.set_channels_last(true);
        Ok(vec![call.input(0)?])
    }
}
