//! Kernel families: kernels for some processors, and all that a host has to know of them.
//!
//! A family is a folder with one value, compiled for every processor. Its rule for what its kernels read stands there
//! once: the kernels ask it before they start, [`Parts::needed`](crate::parts::Parts::needed) asks it what is left to
//! plain Rust, and the host lays weights out by it.

use core::fmt;

use tinyspike_shared::image::{
    Connection, Description, Ensemble, Post, Pre, SourceMap, Transform, Width,
};
use tinyspike_shared::weights::Layout;

/// Kernels for some processors, and what a host has to know of them.
pub struct Family {
    /// The name that a user writes, such as `cortex-m4`.
    pub name: &'static str,
    /// The processors that it is for, as a line of help.
    pub cores: &'static str,
    /// The compiler's targets that it is for, the file `targets` of its folder.
    pub targets: &'static str,
    /// The layouts of weights that its kernels read, the fastest first.
    pub layouts: &'static [Layout],
    /// Tells whether its kernels read a connection's weights in a layout.
    pub reads: fn(&Shape<'_>, Layout) -> bool,
    /// Work that is left to the portable kernels, if they are a part of the engine that may be missing.
    pub leaves: Option<Leaves>,
    /// The cost of an inference in instructions.
    pub cost: Cost,
    /// The same in cycles, from memory that never waits.
    pub cycles: Cost,
}

/// The work that a family leaves to the portable kernels.
#[derive(Clone, Copy)]
pub struct Leaves {
    /// Tells whether it leaves some of a connection.
    pub connection: fn(&Shape<'_>, Layout) -> bool,
    /// Tells whether it leaves some of an ensemble's neurons.
    pub ensemble: fn(&Ensemble) -> bool,
}

/// A connection as kernels meet it.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// Its transform.
    pub transform: &'a Transform,
    /// The width of its targets.
    pub width: Width,
    /// Values that come over it.
    pub values: Values,
}

/// Values that come over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Events of integrate-and-fire neurons: counts of spikes, above zero.
    Counts,
    /// Events of any value.
    Events,
    /// The bytes of an input, in their order.
    Input {
        /// The byte that stands for zero.
        zero_point: u8,
    },
    /// The same, or all counts of an ensemble, of which many are no zero point.
    Dense {
        /// The byte that stands for zero.
        zero_point: u8,
    },
}

impl Values {
    /// Values from an input, which a connection sees as it is or through a map.
    #[must_use]
    pub const fn of_input(zero_point: u8, direct: bool) -> Self {
        match zero_point {
            zero_point if direct => Self::Input { zero_point },
            0 => Self::Counts,
            _ => Self::Events,
        }
    }
}

impl<'a> Shape<'a> {
    /// Tells whether its targets are computed from all values at once.
    #[must_use]
    pub const fn is_dense(&self) -> bool {
        matches!(self.values, Values::Dense { .. })
    }

    /// The shape of a network's connection.
    #[must_use]
    pub fn of<const E: usize, const C: usize>(
        network: &Description<'_, E, C>,
        connection: &'a Connection,
    ) -> Self {
        let width = match connection.post {
            Post::Ensemble(e) => network.ensembles.get(usize::from(e)).map(|e| e.width),
            Post::Output(_) => None,
        };
        let by_event = match connection.post {
            Post::Ensemble(e) => {
                (network.ensembles.get(usize::from(e))).is_some_and(|e| e.current_based().is_some())
            }
            Post::Output(_) => false,
        };
        let zero_point = match connection.pre {
            Pre::Input(index) => {
                let input = network.inputs.get(usize::from(index));
                Some(input.map_or(0, |input| input.zero_point))
            }
            Pre::Ensemble(_) | Pre::Counts(_) => None,
        };
        Self {
            transform: &connection.transform,
            width: width.unwrap_or(Width::I32),
            values: match zero_point {
                Some(zero_point) => {
                    let direct = connection.source == SourceMap::Direct;
                    Values::of_input(zero_point, direct && !by_event)
                }
                None if matches!(connection.pre, Pre::Counts(_)) => Values::Dense { zero_point: 0 },
                None if network.is_exact() => Values::Events,
                None => Values::Counts,
            },
        }
    }
}

/// Rows of a matrix that are shorter are not worth filling up.
const LEAST_ROW: u32 = 8;

impl Family {
    /// The layout that its kernels read the fastest, of weights of 8 bits.
    #[must_use]
    pub fn layout(&self, shape: &Shape<'_>) -> Layout {
        let short = matches!(shape.transform, Transform::Dense(d) if d.outputs < LEAST_ROW);
        let mut layouts = self.layouts.iter().copied();
        let fastest = layouts.find(|&layout| (self.reads)(shape, layout));
        fastest.filter(|_| !short).unwrap_or(Layout::Rows)
    }
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Family {}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for Family {
    /// Its name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The cost of events over a connection, in thousandths of an instruction.
#[derive(Clone, Copy, Debug)]
pub struct EventCost {
    /// Finding the targets of an event.
    pub event: u32,
    /// A weight added once, for an event of count one.
    pub single_op: u32,
    /// A weight times a count.
    pub counted_op: u32,
}

impl EventCost {
    pub(super) const fn new(event: u32, single_op: u32, counted_op: u32) -> Self {
        Self {
            event,
            single_op,
            counted_op,
        }
    }
}

/// The cost of all values of a source at once, in thousandths.
#[derive(Clone, Copy, Debug)]
pub struct DenseCost {
    /// The count of a neuron that spikes, put where it is read, beside its event.
    pub count: u32,
    /// The count of any neuron, beside its update.
    pub neuron: u32,
    /// A neuron that spikes, if its count is all that is wanted.
    pub counted_spike: u32,
    /// Any neuron's update then; 0 if such counts are had from events as well.
    pub counted_neuron: u32,
    /// A window of a group, whatever it holds.
    pub window: u32,
    /// A row of a window that lies inside the source as a whole.
    pub line: u32,
    /// A row of any other window.
    pub row: u32,
    /// A column of a row that is taken by itself.
    pub column: u32,
    /// A value of a row that is put together first.
    pub copied: u32,
    /// A value of a window, rows being filled up.
    pub value: u32,
    /// Four filters of a window that are summed up aside.
    pub aside: u32,
    /// Four filters of a window.
    pub block: u32,
    /// A multiplication, filters and rows being filled up.
    pub mac: u32,
    /// A place of a depthwise convolution, whatever it sees.
    pub lanes_place: u32,
    /// Eight channels of a place.
    pub lanes_block: u32,
    /// A row of a window of eight channels.
    pub lanes_row: u32,
    /// A multiplication in a depthwise convolution.
    pub lanes_mac: u32,
    /// Two values for a matrix that are not both zero.
    pub pair: u32,
    /// A multiplication of a matrix with such values.
    pub pair_mac: u32,
}

/// Thousandths of an instruction, or of a cycle, for each unit of work.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// A matrix in [`Layout::Quads`].
    pub quads: EventCost,
    /// A convolution in [`Layout::WidePairs`], into potentials of 16 bits.
    pub wide_pairs: EventCost,
    /// A convolution in [`Layout::Wide`], into potentials of 32 bits.
    pub wide: EventCost,
    /// A matrix in any other layout.
    pub matrix: EventCost,
    /// A convolution in any other layout, its taps excepted.
    pub convolution: EventCost,
    /// A tap that an event has in such a convolution.
    pub plain_tap: u32,
    /// An event that goes through a window or a table.
    pub mapped_event: u32,
    /// A count that is added to the sum that a window sees.
    pub sum: u32,
    /// The sum as an event over a matrix, its weights excepted.
    pub summed_event: u32,
    /// A multiplication of an input's byte in plain Rust.
    pub plain_op: u32,
    /// A value of a window there, for each sixteen filters.
    pub plain_value: u32,
    /// Convolutions of all values of a source.
    pub dense: DenseCost,
    /// A neuron of 16 bits updated in a step.
    pub neuron_16: u32,
    /// A neuron of 32 bits updated in a step.
    pub neuron_32: u32,
    /// A step's bias and current, for a byte of potentials; the first step has them already.
    pub settle_byte: u32,
    /// A neuron that is updated in plain Rust, on top.
    pub plain_neuron: u32,
    /// A neuron that spikes.
    pub spike: u32,
    /// Bringing a byte of potentials and currents to rest.
    pub rest_byte: u32,
    /// A weight times an input's byte, in a matrix.
    pub input_matrix_op: u32,
    /// A weight times an input's byte, in a convolution.
    pub input_convolution_op: u32,
    /// A window of an input for 8 channels, or for fewer.
    pub input_window: u32,
    /// More for such a window that holds anything, or has more than four values in a row.
    pub input_full_window: u32,
    /// More for a row of it.
    pub input_row: u32,
    /// More for a row of any other window.
    pub input_empty_row: u32,
    /// More for four values of a row.
    pub input_four: u32,
    /// More for each four of several in a row.
    pub input_next_four: u32,
    /// More for two of the four that are not both zero.
    pub input_half: u32,
    /// Looking whether an input place holds anything.
    pub input_place: u32,
    /// A step, whatever happens in it, for each ensemble.
    pub step: u32,
    /// An inference, whatever happens in it.
    pub inference: u32,
    /// A multiplication of a convolution in an int8 network that computes everything, CMSIS-NN.
    pub dense_convolution_mac: u32,
    /// A multiplication of a matrix in such a network.
    pub dense_matrix_mac: u32,
}
