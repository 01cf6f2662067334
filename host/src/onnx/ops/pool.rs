//! Pooling, and means over axes.

use super::super::build::Live;
use super::super::call::{Call, Value, item_axis};
use super::super::constant::{Constant, Data};
use super::elementwise::affine;
use super::window::{Windows, zeros};
use crate::keras::model::{
    Activation, ActivationLayer, DataFormat, GlobalPool, Padding, Pool, PoolKind, Reduce, Reduction,
};

/// The windows of a pooling node.
fn windows(call: &Call<'_>, live: &Live) -> Result<Windows, String> {
    let kernel =
        (call.node.lengths("kernel_shape")?).ok_or("its attribute kernel_shape is missing")?;
    let windows = Windows::of(call, live, kernel)?;
    if windows.dilations.iter().any(|&d| d != 1) {
        return Err(format!(
            "its windows are dilated by {:?}, which is not supported",
            windows.dilations
        ));
    }
    Ok(windows)
}

fn pool(kind: PoolKind, windows: &Windows, padding: Padding) -> Pool {
    Pool {
        kind,
        rank: windows.kernel.len(),
        pool_size: windows.kernel.clone(),
        strides: windows.strides.clone(),
        padding,
        data_format: DataFormat::ChannelsFirst,
    }
}

/// `MaxPool`. A rectifier behind it moves before it, for the largest value of those above zero is the same.
pub(super) fn max(call: &mut Call<'_>) -> Result<Value, String> {
    let mut live = call.live(0)?;
    if call.node.flag("storage_order", false)? {
        return Err("its storage_order is that of columns".to_owned());
    }
    let windows = windows(call, &live)?;
    if !live.rectified
        && let Some(next) = call.next
        && next.op == "Relu"
    {
        let relu = ActivationLayer {
            activation: Activation::Relu,
        };
        live = (call.build).layer(&next.name, &next.op, relu.into(), Vec::new(), &[&live])?;
        live.rectified = true;
    }
    let rectified = live.rectified;
    let (live, padding) = match windows.padding()? {
        Some(padding) => (live, padding),
        // Zeros change no maximum of values that are not below zero.
        None if rectified => (zeros(call, &live, windows.reached()?)?, Padding::Valid),
        None => {
            return Err(format!(
                "its windows reach over the border by {:?}, where values below zero would meet zeros; put a ReLU before \
                 it, or pool without padding and ceil_mode",
                windows.reached()?
            ));
        }
    };
    let made = call.layer(
        "",
        pool(PoolKind::Max, &windows, padding),
        Vec::new(),
        &[&live],
    )?;
    Ok(Live { rectified, ..made }.into())
}

/// `AveragePool`. Windows that reach over the border are corrected by a factor for each place.
pub(super) fn average(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let windows = windows(call, &live)?;
    let all = call.node.flag("count_include_pad", false)?;
    let rectified = live.rectified;
    let size: usize = windows.kernel.iter().product();
    let whole = windows.reached()?.iter().all(|&pads| pads == (0, 0));
    let (live, padding) = match windows.padding()? {
        Some(padding) if whole || !all => (live, padding),
        _ => (zeros(call, &live, windows.reached()?)?, Padding::Valid),
    };
    let mut made = call.layer(
        "",
        pool(PoolKind::Average, &windows, padding),
        Vec::new(),
        &[&live],
    )?;
    // The output is known to be of a size that can be held.
    let counts = windows.counts(all);
    if padding == Padding::Valid && counts.iter().any(|&count| count != size) {
        let factors = counts
            .iter()
            .map(|&count| size as f32 / count.max(1) as f32);
        let factors = Constant {
            shape: windows.places.clone(),
            data: Data::Floats(factors.collect()),
        };
        made = affine(call, &made, Some(&factors), None)?;
    }
    Ok(Live { rectified, ..made }.into())
}

/// `GlobalMaxPool` and `GlobalAveragePool`.
pub(super) fn global(call: &mut Call<'_>, kind: PoolKind) -> Result<Value, String> {
    let live = call.live(0)?;
    everywhere(call, &live, kind, true)
}

/// One window over all places behind the channels.
fn everywhere(
    call: &mut Call<'_>,
    live: &Live,
    kind: PoolKind,
    keepdims: bool,
) -> Result<Value, String> {
    let rank = live.item.len().saturating_sub(1);
    if !(1..=3).contains(&rank) {
        return Err(format!(
            "an input of shape {:?} has {rank} axes behind the channels; 1 to 3 are supported",
            live.item
        ));
    }
    let config = GlobalPool {
        kind,
        rank,
        data_format: DataFormat::ChannelsFirst,
        keepdims,
        mask: None,
    };
    let made = call.layer("", config, Vec::new(), &[live])?;
    let rectified = live.rectified;
    Ok(Live { rectified, ..made }.into())
}

/// `ReduceMean`, `ReduceSum` and `ReduceMax`.
pub(super) fn reduced(call: &mut Call<'_>, operation: Reduction) -> Result<Value, String> {
    let live = call.live(0)?;
    let keepdims = call.node.flag("keepdims", true)?;
    let none_is_all = !call.node.flag("noop_with_empty_axes", false)?;
    let numbers = call.integers_or(1, "axes")?.unwrap_or_default();
    if numbers.is_empty() {
        if none_is_all {
            return Err("it reduces all axes, and so the batch; name the axes".to_owned());
        }
        return Ok(live.into());
    }
    let mut axes = (numbers.iter())
        .map(|&number| item_axis(number, &live))
        .collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    let behind: Vec<usize> = (1..live.item.len()).collect();
    let kind = match operation {
        Reduction::Mean => Some(PoolKind::Average),
        Reduction::Max => Some(PoolKind::Max),
        Reduction::Sum => None,
    };
    if let Some(kind) = kind.filter(|_| axes == behind && (1..=3).contains(&axes.len())) {
        return everywhere(call, &live, kind, keepdims);
    }
    let axes = (axes.iter())
        .map(|&axis| isize::try_from(axis + 1).map_err(|e| e.to_string()))
        .collect::<Result<_, _>>()?;
    let config = Reduce {
        operation,
        axes,
        keepdims,
    };
    let made = call.layer("", config, Vec::new(), &[&live])?;
    let rectified = live.rectified;
    Ok(Live { rectified, ..made }.into())
}
