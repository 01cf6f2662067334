//! InputLayer.

use super::prelude::*;
use crate::keras::args::input_shape;
use crate::network::NodeKind;

/// An input; `None` for an axis of unknown length.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The shape without the batch axis.
    pub shape: Shape,
    /// `true` if its values are integers, such as bytes.
    pub integers: bool,
}

impl LayerKind for Input {
    fn names() -> &'static [&'static str] {
        &["InputLayer"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let shape = input_shape(args.map()).ok_or_else(|| {
            let older = args.get("batch_input_shape").is_some();
            let key = if older {
                "batch_input_shape"
            } else {
                "batch_shape"
            };
            args.wrong(key, "an input's shape, such as [null, 28, 28, 1]")
        })?;
        let dtype = args.get("dtype").and_then(|dtype| dtype.as_str());
        let integers = dtype.is_some_and(|dtype| dtype.contains("int"));
        Ok(Some(Self { shape, integers }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if inputs.is_empty() {
            Ok(self.shape.clone())
        } else {
            Err("an input layer takes no inputs".to_owned())
        }
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        axes::only(inputs).cloned()
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    /// Adds a passthrough node, which the converter opens to the user if it is the whole model's input.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let lengths = || (call.raw_output_shape().iter()).skip(usize::from(call.temporal()));
        if lengths().any(Option::is_none) {
            let shape: Vec<String> = lengths()
                .map(|length| length.map_or_else(|| "None".to_owned(), |n| n.to_string()))
                .collect();
            return Err(ConvertError::InputShape {
                layer: call.layer().name.to_owned(),
                shape: tuple(&shape),
            });
        }
        let shape = call.output_shape()?;
        let size = shape.iter().product();
        let label = call.plain_label().to_owned();
        let object = call.add_node(label, size, size, NodeKind::Passthrough);
        Ok(vec![object.pre])
    }
}
