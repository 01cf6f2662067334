//! Windows of convolutions and pooling: `auto_pad`, `pads`, `strides`, `dilations`, `ceil_mode`.

use super::super::build::Live;
use super::super::call::Call;
use crate::keras::model::{DataFormat, Padding, ZeroPadding};
use crate::keras::shape::{add, mul, span};

/// Windows along the axes behind the channels.
pub(super) struct Windows {
    pub(super) kernel: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) dilations: Vec<usize>,
    /// Places before and after each axis.
    pub(super) pads: Vec<(usize, usize)>,
    /// The number of windows along each axis.
    pub(super) places: Vec<usize>,
    /// The input's places along each axis.
    input: Vec<usize>,
}

impl Windows {
    /// The windows of this kernel over the places of a tensor of channels and places.
    pub(super) fn of(call: &Call<'_>, live: &Live, kernel: Vec<usize>) -> Result<Self, String> {
        let node = call.node;
        let rank = kernel.len();
        let Some((_, input)) = live.item.split_first().filter(|(_, at)| at.len() == rank) else {
            return Err(format!(
                "its kernel {kernel:?} has other axes than its input of shape {:?} (without the batch axis) behind the \
                 channels",
                live.item
            ));
        };
        if !(1..=3).contains(&rank) {
            return Err(format!(
                "windows over {rank} axes are not supported, only over 1 to 3"
            ));
        }
        let along = |name| -> Result<Vec<usize>, String> {
            let found = node.lengths(name)?.unwrap_or_else(|| vec![1; rank]);
            if found.len() == rank {
                Ok(found)
            } else {
                Err(format!(
                    "its attribute {name} has {} values for {rank} axes",
                    found.len()
                ))
            }
        };
        let (strides, dilations) = (along("strides")?, along("dilations")?);
        let ceil = node.flag("ceil_mode", false)?;
        let automatic = node.text("auto_pad", "NOTSET")?;
        let given = given_pads(call, rank)?;
        let (mut pads, mut places) = (Vec::new(), Vec::new());
        for axis in 0..rank {
            let (n, stride) = (input[axis], strides[axis]);
            let reach = span(kernel[axis], dilations[axis])?;
            let (pad, count) = match automatic.as_str() {
                "NOTSET" | "" => {
                    let (before, after) = given[axis];
                    let room = add(add(n, before)?, after)?;
                    let room = room.checked_sub(reach).ok_or_else(|| {
                        format!("a window over {reach} places does not fit into an axis of length {room}")
                    })?;
                    let mut count = room / stride + 1;
                    // No window starts behind the input.
                    if ceil && room % stride != 0 && mul(count, stride)? < add(n, before)? {
                        count += 1;
                    }
                    ((before, after), count)
                }
                "VALID" => {
                    let room = n.checked_sub(reach).ok_or_else(|| {
                        format!(
                            "a window over {reach} places does not fit into an axis of length {n}"
                        )
                    })?;
                    ((0, 0), room / stride + 1)
                }
                "SAME_UPPER" | "SAME_LOWER" => {
                    let count = n.div_ceil(stride);
                    let covered = add(mul(count.saturating_sub(1), stride)?, reach)?;
                    let total = covered.saturating_sub(n);
                    let (small, large) = (total / 2, total - total / 2);
                    let upper = automatic == "SAME_UPPER";
                    (
                        if upper {
                            (small, large)
                        } else {
                            (large, small)
                        },
                        count,
                    )
                }
                other => return Err(format!("its auto_pad is {other}, which ONNX does not know")),
            };
            pads.push(pad);
            places.push(count);
        }
        Ok(Self {
            kernel,
            strides,
            dilations,
            pads,
            places,
            input: input.to_vec(),
        })
    }

    /// The places before and after each axis that windows reach, without what no window reaches.
    pub(super) fn reached(&self) -> Result<Vec<(usize, usize)>, String> {
        (0..self.kernel.len())
            .map(|axis| {
                let reach = span(self.kernel[axis], self.dilations[axis])?;
                let covered = add(mul(self.places[axis] - 1, self.strides[axis])?, reach)?;
                let (before, _) = self.pads[axis];
                Ok((before, covered.saturating_sub(self.input[axis] + before)))
            })
            .collect()
    }

    /// The padding, if a layer has it.
    pub(super) fn padding(&self) -> Result<Option<Padding>, String> {
        let reached = self.reached()?;
        if reached.iter().all(|&pads| pads == (0, 0)) {
            return Ok(Some(Padding::Valid));
        }
        let same = (0..self.kernel.len()).all(|axis| {
            let (before, after) = reached[axis];
            let total = before + after;
            let ceil = self.input[axis].div_ceil(self.strides[axis]);
            self.places[axis] == ceil && before == total / 2
        });
        Ok(same.then_some(Padding::Same))
    }

    /// The padding of a layer, and its input with zeros around if no layer has the padding.
    pub(super) fn padded(
        &self,
        call: &mut Call<'_>,
        live: Live,
    ) -> Result<(Live, Padding), String> {
        match self.padding()? {
            Some(padding) => Ok((live, padding)),
            None => Ok((zeros(call, &live, self.reached()?)?, Padding::Valid)),
        }
    }

    /// The number of the input's places in each window, row-major. With `padding` padded places count, too.
    pub(super) fn counts(&self, padding: bool) -> Vec<usize> {
        let along = |axis: usize| -> Vec<usize> {
            let (before, after) = self.pads[axis];
            let n = self.input[axis];
            let (least, most) = if padding {
                (0, before + n + after)
            } else {
                (before, before + n)
            };
            (0..self.places[axis])
                .map(|place| {
                    let start = place * self.strides[axis];
                    (start.saturating_add(self.kernel[axis]))
                        .min(most)
                        .saturating_sub(start.max(least))
                })
                .collect()
        };
        (0..self.kernel.len()).fold(vec![1], |counts, axis| {
            let along = along(axis);
            counts
                .iter()
                .flat_map(|c| along.iter().map(move |a| c * a))
                .collect()
        })
    }
}

/// The attribute `pads`: all starts, then all ends.
pub(super) fn given_pads(call: &Call<'_>, rank: usize) -> Result<Vec<(usize, usize)>, String> {
    let pads = call.node.ints("pads")?.unwrap_or_else(|| vec![0; 2 * rank]);
    if pads.len() != 2 * rank {
        return Err(format!(
            "its attribute pads has {} values for {rank} axes",
            pads.len()
        ));
    }
    let pad = |at: usize| {
        usize::try_from(pads[at]).map_err(|_| format!("its attribute pads has {}", pads[at]))
    };
    (0..rank)
        .map(|axis| Ok((pad(axis)?, pad(axis + rank)?)))
        .collect()
}

/// The tensor with zeros around the places of each axis behind the channels.
pub(super) fn zeros(
    call: &mut Call<'_>,
    live: &Live,
    padding: Vec<(usize, usize)>,
) -> Result<Live, String> {
    let config = ZeroPadding {
        rank: padding.len(),
        padding,
        data_format: DataFormat::ChannelsFirst,
    };
    let padded = call.layer("padding", config, Vec::new(), &[live])?;
    Ok(Live {
        rectified: live.rectified,
        ..padded
    })
}
