//! State of an open network, in memory that C lends.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use tinyspike_firmware::{Image, Paused};

use crate::callback::Spikes;
use crate::size::{CONNECTIONS, ENSEMBLES, state_bytes};

/// An image with room for this library's largest network.
pub(crate) type ParsedImage = Image<'static, ENSEMBLES, CONNECTIONS>;

/// State of an open network.
#[repr(C)]
pub struct State {
    /// Word that says if the rest is there, and nobody is at work on it.
    pub(crate) mark: u32,
    pub(crate) paused: Paused,
    pub(crate) arena: *mut u32,
    /// The arena's length in words.
    pub(crate) words: usize,
    pub(crate) spikes: Spikes,
    pub(crate) context: *mut c_void,
    pub(crate) image: MaybeUninit<ParsedImage>,
}

/// Mark of an open state.
pub(crate) const OPEN: u32 = 0x5450_534f;
/// Mark of a state that a call works on.
pub(crate) const BUSY: u32 = 0x5450_5342;

const STATED: usize = state_bytes(ENSEMBLES, CONNECTIONS, size_of::<*const ()>());
const _: () = assert!(
    size_of::<State>() <= STATED,
    "raise the sizes in c/src/size.rs"
);
const _: () = assert!(
    align_of::<State>() <= align_of::<*const ()>(),
    "a state is an array of uintptr_t"
);
// A callback that is not set is NULL.
const _: () = assert!(size_of::<Spikes>() == size_of::<*const ()>());
