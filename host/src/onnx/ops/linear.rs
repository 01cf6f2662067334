//! Convolutions, matrices and BatchNormalization.

use super::super::build::Live;
use super::super::call::{Call, Value};
use super::super::constant::Constant;
use super::window::{Windows, given_pads};
use crate::keras::model::{
    Activation, BatchNormalization, Conv, ConvTranspose, Cropping, DataFormat, Dense, Padding,
    Penalties, Permute,
};
use crate::keras::shape::span;
use crate::tensor::Tensor;

/// The weights of a convolution, with the axes that its kernel has.
struct Kernel {
    weights: std::rc::Rc<Constant>,
    size: Vec<usize>,
    bias: Option<Tensor>,
    groups: usize,
}

impl Kernel {
    fn of(call: &Call<'_>) -> Result<Self, String> {
        let weights = call.needed(1)?;
        let [_, _, size @ ..] = &weights.shape[..] else {
            return Err(format!("its kernel has the shape {:?}", weights.shape));
        };
        let size = size.to_vec();
        let stated = call.node.lengths("kernel_shape")?;
        if stated.as_ref().is_some_and(|stated| *stated != size) {
            return Err(format!(
                "its kernel_shape is {:?}, but its kernel has the shape {:?}",
                stated.unwrap_or_default(),
                weights.shape
            ));
        }
        if weights.len() == 0 {
            return Err(format!("its kernel has the shape {:?}", weights.shape));
        }
        let groups = usize::try_from(call.node.int("group", 1)?).unwrap_or(0);
        if groups == 0 {
            return Err("its attribute group is below 1".to_owned());
        }
        let bias = call.constant(2)?;
        Ok(Self {
            size,
            bias: bias.map(|bias| bias.tensor()).transpose()?,
            groups,
            weights,
        })
    }

    /// The kernel with its own axes first, then these two of the file's.
    fn turned(&self, last: [usize; 2]) -> Result<Tensor, String> {
        let order: Vec<usize> = (2..self.weights.shape.len()).chain(last).collect();
        self.weights.permuted(&order).tensor()
    }

    fn layer(&self, filters: usize, windows: &Windows, padding: Padding) -> Conv {
        Conv {
            rank: self.size.len(),
            filters,
            kernel_size: self.size.clone(),
            strides: windows.strides.clone(),
            padding,
            data_format: DataFormat::ChannelsFirst,
            dilation_rate: windows.dilations.clone(),
            groups: self.groups,
            use_bias: self.bias.is_some(),
            activation: Activation::Linear,
            penalties: Penalties::default(),
        }
    }

    fn weights(self, kernel: Tensor) -> Vec<(&'static str, Tensor)> {
        let bias = self.bias.map(|bias| ("bias", bias));
        [("kernel", kernel)].into_iter().chain(bias).collect()
    }
}

/// `Conv`: the kernel is `[filters, in / groups, k..]`.
pub(super) fn conv(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let kernel = Kernel::of(call)?;
    let windows = Windows::of(call, &live, kernel.size.clone())?;
    let filters = kernel.weights.shape[0];
    if !filters.is_multiple_of(kernel.groups) {
        return Err(format!(
            "its {filters} filters do not fall into {} groups",
            kernel.groups
        ));
    }
    let (live, padding) = windows.padded(call, live)?;
    let config = kernel.layer(filters, &windows, padding);
    let turned = kernel.turned([1, 0])?;
    Ok(call
        .layer("", config, kernel.weights(turned), &[&live])?
        .into())
}

/// `ConvTranspose`: the kernel is `[in, filters, k..]`. What `pads` names is cut off the full result.
pub(super) fn conv_transpose(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let kernel = Kernel::of(call)?;
    if kernel.groups != 1 {
        return Err(format!("it has {} groups; one is supported", kernel.groups));
    }
    let automatic = call.node.text("auto_pad", "NOTSET")?;
    if !["NOTSET", "", "VALID"].contains(&automatic.as_str()) || call.node.has("output_shape") {
        return Err("state its pads in place of auto_pad and output_shape".to_owned());
    }
    let rank = kernel.size.len();
    if live.item.len() != rank + 1 || !(1..=3).contains(&rank) {
        return Err(format!(
            "its kernel {:?} does not fit an input of shape {:?}",
            kernel.size, live.item
        ));
    }
    let lengths = |name, default: usize| -> Result<Vec<usize>, String> {
        let found = call
            .node
            .ints(name)?
            .unwrap_or_else(|| vec![default as i64; rank]);
        let found: Option<Vec<usize>> = found.iter().map(|&d| usize::try_from(d).ok()).collect();
        (found.filter(|found| found.len() == rank && (default == 0 || !found.contains(&0))))
            .ok_or_else(|| format!("its attribute {name} does not fit {rank} axes"))
    };
    let (strides, dilations) = (lengths("strides", 1)?, lengths("dilations", 1)?);
    let more = lengths("output_padding", 0)?;
    let pads = given_pads(call, rank)?;
    let mut cropping = Vec::new();
    for axis in 0..rank {
        let reach = span(kernel.size[axis], dilations[axis])?;
        // A window shorter than the stride leaves places behind it in the full result.
        let extra = strides[axis].saturating_sub(reach);
        let (before, after) = pads[axis];
        let after = (after.saturating_add(extra))
            .checked_sub(more[axis])
            .ok_or_else(|| {
                format!(
                    "its output_padding of {} is more than its pads of {after}",
                    more[axis]
                )
            })?;
        cropping.push((before, after));
    }
    let filters = kernel.weights.shape[1];
    let conv = Conv {
        rank,
        filters,
        kernel_size: kernel.size.clone(),
        strides,
        padding: Padding::Valid,
        data_format: DataFormat::ChannelsFirst,
        dilation_rate: dilations,
        groups: 1,
        use_bias: kernel.bias.is_some(),
        activation: Activation::Linear,
        penalties: Penalties::default(),
    };
    let turned = kernel.turned([1, 0])?;
    let full = call.layer(
        "",
        ConvTranspose {
            conv,
            output_padding: None,
        },
        kernel.weights(turned),
        &[&live],
    )?;
    if cropping.iter().all(|&pair| pair == (0, 0)) {
        return Ok(full.into());
    }
    let config = Cropping {
        rank,
        cropping,
        data_format: DataFormat::ChannelsFirst,
    };
    Ok(call.layer("cropping", config, Vec::new(), &[&full])?.into())
}

/// A matrix along the last axis: `[in, out]`.
fn dense(
    call: &mut Call<'_>,
    live: &Live,
    kernel: Tensor,
    bias: Option<Tensor>,
) -> Result<Live, String> {
    let config = Dense {
        units: kernel.shape().last().copied().unwrap_or(0),
        use_bias: bias.is_some(),
        activation: Activation::Linear,
        penalties: Penalties::default(),
    };
    let bias = bias.map(|bias| ("bias", bias));
    let weights = [("kernel", kernel)].into_iter().chain(bias).collect();
    call.layer("", config, weights, &[live])
}

/// `Gemm`: alpha A B + beta C, of which A is the network's.
pub(super) fn gemm(call: &mut Call<'_>) -> Result<Value, String> {
    if let (Value::Constant(_), Some(Value::Live(_))) = (call.value(0)?, call.optional(1)) {
        return Err(
            "it multiplies a constant by the network's tensor, whose batch stands first; write it as MatMul, or with the tensor \
             as its first input"
                .to_owned(),
        );
    }
    let live = call.live(0)?;
    let node = call.node;
    if node.flag("transA", false)? {
        return Err("transA swaps batch and values; export it with transA = 0".to_owned());
    }
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let matrix = call.needed(1)?;
    if matrix.shape.len() != 2 || live.item.len() != 1 {
        return Err(format!(
            "it multiplies matrices, and is given {:?} (without the batch axis) and {:?}",
            live.item, matrix.shape
        ));
    }
    let turned = if node.flag("transB", false)? {
        matrix.permuted(&[1, 0])
    } else {
        (*matrix).clone()
    };
    let units = turned.shape[1];
    let bias = match call.constant(2)? {
        Some(bias) => {
            // A leading axis of 1 is the batch's.
            let bias = match &bias.shape[..] {
                [1, n] => bias.reshaped(vec![*n])?,
                _ => (*bias).clone(),
            };
            Some(bias.broadcast(&[units])?.tensor()?.map(|v| v * beta))
        }
        None => None,
    };
    let kernel = turned.tensor()?.map(|v| v * alpha);
    Ok(dense(call, &live, kernel, bias)?.into())
}

/// `MatMul` of the network's tensor and a matrix, on either side.
pub(super) fn matrix(call: &mut Call<'_>) -> Result<Value, String> {
    let (a, b) = (call.value(0)?, call.value(1)?);
    let flat = |matrix: &Constant| -> Result<Constant, String> {
        match &matrix.shape[..] {
            [ones @ .., rows, columns] if ones.iter().all(|&d| d == 1) => {
                matrix.reshaped(vec![*rows, *columns])
            }
            shape => Err(format!(
                "its constant has the shape {shape:?} instead of a matrix's"
            )),
        }
    };
    match (a, b) {
        (Value::Live(live), Value::Constant(matrix)) => {
            let (kernel, bias) = (flat(&matrix)?.tensor()?, None);
            Ok(dense(call, &live, kernel, bias)?.into())
        }
        (Value::Constant(matrix), Value::Live(live)) if live.item.len() == 2 => {
            let kernel = flat(&matrix)?.permuted(&[1, 0]).tensor()?;
            let swap = || Permute { dims: vec![2, 1] };
            let turned = call.layer("turned", swap(), Vec::new(), &[&live])?;
            let product = dense(call, &turned, kernel, None)?;
            Ok(call.layer("back", swap(), Vec::new(), &[&product])?.into())
        }
        (Value::Live(_), Value::Live(_)) => Err(
            "both of its inputs depend on the network's input, as in attention; no event can express the product"
                .to_owned(),
        ),
        _ => Err("a constant matrix stands before a tensor that is no batch of matrices".to_owned()),
    }
}

/// `BatchNormalization` at inference.
pub(super) fn normalization(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    if call.node.flag("training_mode", false)? {
        return Err("it is in training mode; export the network after model.eval()".to_owned());
    }
    // It only matters in training.
    call.node.float("momentum", 0.9)?;
    let config = BatchNormalization {
        axis: 1,
        epsilon: call.node.float("epsilon", 1e-5)?.into(),
        center: true,
        scale: true,
    };
    let roles = ["gamma", "beta", "moving_mean", "moving_variance"];
    let weights = (roles.into_iter().enumerate())
        .map(|(at, role)| Ok((role, call.needed(at + 1)?.tensor()?)))
        .collect::<Result<_, String>>()?;
    Ok(call.layer("", config, weights, &[&live])?.into())
}
