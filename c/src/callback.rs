//! The callback that sees spikes, and what it is told.

use core::ffi::c_void;

/// A neuron that spikes in a step, or a place of an input that does.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The neuron's index in its ensemble, or the place in the input.
    pub source: u16,
    /// The number of spikes, below zero for channels that count downwards.
    pub value: i16,
}

const _: () = assert!(size_of::<Event>() == size_of::<tinyspike_firmware::Event>());

/// Callback that sees spikes of an ensemble: once or more a step if the ensemble spikes, in the order of its neurons. The events
/// are there during the call alone. It may not call the state that it is told of.
pub type Spikes = Option<
    unsafe extern "C" fn(context: *mut c_void, ensemble: usize, events: *const Event, count: usize),
>;
