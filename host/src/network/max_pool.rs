//! Max pooling: the largest value of each window.

use crate::ops::{Axis, Padding};

/// Windows over an image of two axes; an image of one has the height 1. Padding is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Height, width and channels of what it sees.
    pub input: [usize; 3],
    /// Height and width of the grid of windows.
    pub output: [usize; 2],
    /// Size of a window.
    pub window: [usize; 2],
    /// Distance of windows.
    pub stride: [usize; 2],
    /// Places that the first window reaches beyond the first place.
    pub padding: [usize; 2],
    /// `true` if values lie channels last, before and behind it.
    pub channels_last: bool,
}

impl MaxPool {
    /// Pooling of an image with Keras' padding; `None` if no window fits it.
    #[must_use]
    pub fn new(
        input: [usize; 3],
        window: [usize; 2],
        stride: [usize; 2],
        padding: Padding,
        channels_last: bool,
    ) -> Option<Self> {
        let axis = |at: usize| Axis::new(input[at], window[at], stride[at], 1, padding);
        let axes = [axis(0)?, axis(1)?];
        (axes.iter().all(|axis| axis.output > 0)).then(|| Self {
            input,
            output: [axes[0].output, axes[1].output],
            window,
            stride,
            padding: [axes[0].before, axes[1].before],
            channels_last,
        })
    }

    /// Height, width and channels of what it hands on.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        [self.output[0], self.output[1], self.input[2]]
    }

    /// The number of values that it sees.
    #[must_use]
    pub fn size_in(&self) -> usize {
        self.input.iter().product()
    }

    /// The number of its windows' values.
    #[must_use]
    pub fn size_out(&self) -> usize {
        self.shape().iter().product()
    }

    /// Puts into `y` the largest of each window of `x`, or the least in channels for which `least` says so.
    ///
    /// # Panics
    /// If `x` or `y` is shorter than its sizes.
    pub fn apply(&self, x: &[f32], least: impl Fn(usize) -> bool, y: &mut [f32]) {
        let [height, width, channels] = self.input;
        let [rows, columns] = self.output;
        let at = |place: usize, places: usize, channel: usize| match self.channels_last {
            true => place * channels + channel,
            false => channel * places + place,
        };
        let span = |axis: usize, at: usize| {
            let start = at * self.stride[axis];
            let end = (start + self.window[axis]).saturating_sub(self.padding[axis]);
            start.saturating_sub(self.padding[axis])..end.min(self.input[axis])
        };
        for (window, (row, column)) in (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .enumerate()
        {
            for channel in 0..channels {
                let lines = span(0, row).map(|line| line * width);
                let places = lines.flat_map(|line| span(1, column).map(move |at| line + at));
                let values = places.map(|place| x[at(place, height * width, channel)]);
                let best = match least(channel) {
                    true => values.reduce(f32::min),
                    false => values.reduce(f32::max),
                };
                y[at(window, rows * columns, channel)] = best.unwrap_or(0.0);
            }
        }
    }
}
