//! Which weights a layer has, and how the arrays of a container become them.
//!
//! Keras's containers number a layer's weights, or name them by paths that differ between versions.
//! What a weight *is* follows from the layer's configuration: its [`Slot`]s, in Keras's order. The
//! arrays are matched to them by place, and their shapes checked before any value is read.

use super::error::Problem;
use crate::keras::model::{Conv, DataFormat, Layer, LayerConfig, Model, Weight};
use crate::keras::shape::{self, Shape};
use crate::tensor::Tensor;

/// The most parameters of a model: 1 GiB of float32.
pub(super) const MAX_PARAMETERS: usize = 1 << 28;

/// How many bytes a container of `packed` bytes may be unpacked to. Keras does not compress, and
/// others hardly can: more is a claim that is made to exhaust the memory.
pub(super) fn unpacked_limit(packed: usize) -> usize {
    packed
        .saturating_mul(16)
        .saturating_add(64 << 20)
        .min(MAX_FILE_BYTES)
}

/// The most bytes of a file: a model of the most parameters in float32, with an optimizer's state.
pub(super) const MAX_FILE_BYTES: usize = MAX_PARAMETERS * 4 * 3;

/// A weight that a layer has by its configuration.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// `kernel`, `bias` ...
    pub(super) role: &'static str,
    /// Its shape, with `None` for an axis that the configuration does not tell; nothing where it
    /// does not even tell the rank.
    shape: Option<Shape>,
    /// Whether training changes it, if the layer is trainable.
    pub(super) trainable: bool,
}

/// An array of a container, before its values are read.
pub(super) struct Array<'a> {
    /// Its name in the container, which is the weight's only where the layer's class is unknown.
    pub(super) name: String,
    /// Its shape.
    pub(super) shape: Vec<u64>,
    /// Reads its values as float32, row-major; gives the number format where they are no floats.
    #[expect(clippy::type_complexity, reason = "it is used once")]
    pub(super) read: Box<dyn Fn() -> Result<Result<Vec<f32>, String>, Problem> + 'a>,
}

/// Makes weights of arrays, and keeps count of how many parameters there are.
pub(super) struct Assignment {
    limit: usize,
    left: usize,
}

impl Assignment {
    /// For a container of that many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let limit = MAX_PARAMETERS.min(unpacked_limit(bytes) / 4);
        Self { limit, left: limit }
    }

    /// The weight that `array` holds for a slot of layer `layer`.
    pub(super) fn weight(
        &mut self,
        layer: &str,
        slot: &Slot,
        array: Option<Array<'_>>,
    ) -> Result<Weight, Problem> {
        let expected = || {
            slot.shape
                .as_deref()
                .map_or("any".to_owned(), shape::display)
        };
        let Some(array) = array else {
            return Err(Problem::MissingWeight {
                layer: layer.to_owned(),
                weight: slot.role.to_owned(),
                expected: expected(),
            });
        };
        let fits = slot.shape.as_ref().is_none_or(|shape| {
            shape.len() == array.shape.len()
                && (shape.iter().zip(&array.shape))
                    .all(|(e, &f)| e.is_none_or(|e| u64::try_from(e) == Ok(f)))
        });
        if !fits {
            return Err(Problem::WeightShape {
                layer: layer.to_owned(),
                weight: slot.role.to_owned(),
                found: display(&array.shape),
                expected: expected(),
            });
        }
        self.read(layer, slot.role, &array)
    }

    /// The weights of a layer of an unknown class: whatever the container has for it.
    pub(super) fn all(
        &mut self,
        layer: &str,
        arrays: Vec<Array<'_>>,
    ) -> Result<Vec<Weight>, Problem> {
        (arrays.iter())
            .map(|array| self.read(layer, &array.name, array))
            .collect()
    }

    fn read(&mut self, layer: &str, role: &str, array: &Array<'_>) -> Result<Weight, Problem> {
        let shape: Option<Vec<usize>> = (array.shape.iter())
            .map(|&d| usize::try_from(d).ok())
            .collect();
        let len = (shape.as_ref())
            .and_then(|shape| shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)));
        let (Some(shape), Some(len)) = (shape, len.filter(|&len| len <= self.left)) else {
            return Err(Problem::TooLarge {
                what: format!(
                    "the number of parameters, with weight \"{role}\" of shape {} of layer \"{layer}\",",
                    display(&array.shape)
                ),
                found: (array.shape.iter())
                    .fold(1u64, |n, &d| n.saturating_mul(d))
                    .saturating_add((self.limit - self.left) as u64),
                limit: self.limit as u64,
            });
        };
        self.left -= len;
        let values = (array.read)()?.map_err(|found| Problem::WeightType {
            layer: layer.to_owned(),
            weight: role.to_owned(),
            found,
        })?;
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            let mut index = vec![0; shape.len()];
            let mut rest = at;
            for (i, &d) in index.iter_mut().zip(&shape).rev() {
                *i = rest % d;
                rest /= d;
            }
            return Err(Problem::NotFinite {
                layer: layer.to_owned(),
                weight: role.to_owned(),
                index,
                value: f64::from(values[at]),
            });
        }
        let found = values.len();
        let value = Tensor::new(shape, values).ok_or_else(|| Problem::WeightShape {
            layer: layer.to_owned(),
            weight: role.to_owned(),
            found: format!("({found})"),
            expected: display(&array.shape),
        })?;
        Ok(Weight {
            name: role.to_owned(),
            value,
        })
    }
}

fn display(shape: &[u64]) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("({})", axes.join(", "))
}

/// The shape that each layer of a model is first applied to, where it is known.
pub(super) fn first_inputs(model: &Model) -> Vec<Option<Shape>> {
    let first = |layer: &Layer| {
        let tensor = layer.calls.first()?.inputs.first()?;
        shape::shape_of(model, *tensor).cloned()
    };
    model.layers.iter().map(first).collect()
}

/// The weights that a layer applied to `input` has, in Keras's order. A model has none of its own,
/// nor has a wrapper.
///
/// # Errors
/// If the layer's configuration does not fit its input.
pub(super) fn slots(layer: &Layer, input: Option<&Shape>) -> Result<Vec<Slot>, Problem> {
    slots_of(&layer.config, input).map_err(|reason| Problem::Layer {
        layer: layer.name.clone(),
        class: layer.class_name.clone(),
        reason,
    })
}

fn slots_of(config: &LayerConfig, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
    let last = input.and_then(|i| *i.last()?);
    let product = |a: Option<usize>, b: usize| -> Result<Option<usize>, String> {
        a.map(|a| {
            a.checked_mul(b)
                .ok_or_else(|| format!("{a} * {b} channels are out of range"))
        })
        .transpose()
    };
    let mut slots = Vec::new();
    let mut push = |role, shape: Option<Shape>, trainable| {
        slots.push(Slot {
            role,
            shape,
            trainable,
        });
    };
    match config {
        LayerConfig::Dense {
            units, use_bias, ..
        } => {
            push("kernel", Some(vec![last, Some(*units)]), true);
            if *use_bias {
                push("bias", Some(vec![Some(*units)]), true);
            }
        }
        LayerConfig::Conv(conv) => {
            let channels = channels(conv, input);
            let inner = match channels {
                Some(n) if n % conv.groups == 0 => Some(n / conv.groups),
                Some(n) => {
                    return Err(format!(
                        "its {n} input channels cannot be split into {} groups",
                        conv.groups
                    ));
                }
                None => None,
            };
            push(
                "kernel",
                Some(kernel(conv, [inner, Some(conv.filters)])),
                true,
            );
            if conv.use_bias {
                push("bias", Some(vec![Some(conv.filters)]), true);
            }
        }
        LayerConfig::ConvTranspose(conv) => {
            let inner = channels(conv, input);
            push(
                "kernel",
                Some(kernel(conv, [Some(conv.filters), inner])),
                true,
            );
            if conv.use_bias {
                push("bias", Some(vec![Some(conv.filters)]), true);
            }
        }
        LayerConfig::DepthwiseConv {
            conv,
            depth_multiplier,
        } => {
            let inner = channels(conv, input);
            let shape = kernel(conv, [inner, Some(*depth_multiplier)]);
            push("depthwise_kernel", Some(shape), true);
            if conv.use_bias {
                push("bias", Some(vec![product(inner, *depth_multiplier)?]), true);
            }
        }
        LayerConfig::SeparableConv {
            conv,
            depth_multiplier,
        } => {
            let inner = channels(conv, input);
            let shape = kernel(conv, [inner, Some(*depth_multiplier)]);
            push("depthwise_kernel", Some(shape), true);
            let mut pointwise = vec![Some(1); conv.rank];
            pointwise.push(product(inner, *depth_multiplier)?);
            pointwise.push(Some(conv.filters));
            push("pointwise_kernel", Some(pointwise), true);
            if conv.use_bias {
                push("bias", Some(vec![Some(conv.filters)]), true);
            }
        }
        LayerConfig::PRelu { shared_axes } => {
            let alpha = input.map(|input| {
                let mut alpha = input.clone();
                for &axis in shared_axes {
                    if let Some(d) = axis.checked_sub(1).and_then(|a| alpha.get_mut(a)) {
                        *d = Some(1);
                    }
                }
                alpha
            });
            push("alpha", alpha, true);
        }
        LayerConfig::BatchNormalization {
            axis,
            center,
            scale,
            ..
        } => {
            let dim = match input {
                Some(input) => input[shape::axis_index(*axis, input.len())?],
                None => None,
            };
            if *scale {
                push("gamma", Some(vec![dim]), true);
            }
            if *center {
                push("beta", Some(vec![dim]), true);
            }
            push("moving_mean", Some(vec![dim]), false);
            push("moving_variance", Some(vec![dim]), false);
        }
        LayerConfig::LayerNormalization {
            axis,
            center,
            scale,
            ..
        } => {
            let dims = match input {
                Some(input) => (axis.iter())
                    .map(|&a| Ok(input[shape::axis_index(a, input.len())?]))
                    .collect::<Result<Shape, String>>()?,
                None => vec![None; axis.len()],
            };
            if *scale {
                push("gamma", Some(dims.clone()), true);
            }
            if *center {
                push("beta", Some(dims), true);
            }
        }
        LayerConfig::Embedding {
            input_dim,
            output_dim,
        } => push(
            "embeddings",
            Some(vec![Some(*input_dim), Some(*output_dim)]),
            true,
        ),
        LayerConfig::SimpleRnn {
            units, use_bias, ..
        } => {
            push("kernel", Some(vec![last, Some(*units)]), true);
            push("recurrent_kernel", Some(vec![Some(*units); 2]), true);
            if *use_bias {
                push("bias", Some(vec![Some(*units)]), true);
            }
        }
        LayerConfig::Gru {
            units,
            use_bias,
            reset_after,
            ..
        } => {
            let gates = product(Some(*units), 3)?;
            push("kernel", Some(vec![last, gates]), true);
            push("recurrent_kernel", Some(vec![Some(*units), gates]), true);
            if *use_bias {
                // With reset_after, the input and the recurrent part each have a bias.
                let shape = if *reset_after {
                    vec![Some(2), gates]
                } else {
                    vec![gates]
                };
                push("bias", Some(shape), true);
            }
        }
        LayerConfig::Lstm {
            units, use_bias, ..
        } => {
            let gates = product(Some(*units), 4)?;
            push("kernel", Some(vec![last, gates]), true);
            push("recurrent_kernel", Some(vec![Some(*units), gates]), true);
            if *use_bias {
                push("bias", Some(vec![gates]), true);
            }
        }
        LayerConfig::Lowpass { .. } => {
            let size = input.map(|input| {
                let axes = input.iter().copied().skip(1);
                [Some(1)].into_iter().chain(axes).collect::<Shape>()
            });
            push("initial_level", size.clone(), true);
            push("tau", size, true);
        }
        LayerConfig::Alpha { .. } => {
            let size = input.map(|input| {
                let axes = input.iter().skip(1);
                axes.copied().try_fold(1usize, |n, d| n.checked_mul(d?))
            });
            push("initial_level", Some(vec![size.flatten()]), true);
            push("tau", Some(vec![size.flatten()]), true);
        }
        _ => {}
    }
    Ok(slots)
}

/// The input channels of a convolution.
fn channels(conv: &Conv, input: Option<&Shape>) -> Option<usize> {
    let input = input?;
    match conv.data_format {
        DataFormat::ChannelsLast => *input.last()?,
        DataFormat::ChannelsFirst => *input.first()?,
    }
}

/// The shape of a kernel: the window, then the two axes of channels.
fn kernel(conv: &Conv, channels: [Option<usize>; 2]) -> Shape {
    let window = conv.kernel_size.iter().map(|&k| Some(k));
    window.chain(channels).collect()
}
