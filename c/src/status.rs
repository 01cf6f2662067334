//! Results of calls.

use core::ffi::CStr;

use tinyspike_firmware::{EngineError, ImageError, InputError};
use tinyspike_shared::quantize::LengthError;

/// Result of a call. `ts_status_text` has a text for each.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The call did its work.
    Ok = 0,
    /// A pointer is NULL.
    NullPointer = 1,
    /// The state is smaller than this library's: TINYSPIKE_ENSEMBLES and TINYSPIKE_CONNECTIONS must be those that it was built
    /// with.
    StateTooSmall = 2,
    /// The state, the arena or the image is not where its type may lie: at a multiple of 4, a state at one of its pointers' size.
    Misaligned = 3,
    /// No image has been opened in this state.
    NotOpen = 4,
    /// The arena is smaller than the network needs.
    ArenaTooSmall = 5,
    /// Two pieces of memory that must be apart overlap.
    Overlap = 6,
    /// The bytes are not an image's.
    NoImage = 7,
    /// The image has a format version that this library does not read.
    ImageVersion = 8,
    /// Fewer bytes than the image states.
    ImageTruncated = 9,
    /// The checksum does not match: the image is damaged.
    ImageDamaged = 10,
    /// The image contradicts itself.
    ImageInvalid = 11,
    /// The network has more ensembles or connections than this library holds.
    ImageTooLarge = 12,
    /// The network needs a part of the engine that this library was built without.
    NotBuilt = 13,
    /// The network has no such input, or another number of inputs.
    InputIndex = 14,
    /// The input has another length.
    InputLength = 15,
    /// A byte or an event is above the largest that the input takes.
    InputRange = 16,
    /// The input has no such place.
    EventPlace = 17,
    /// The input keeps its values and takes no events.
    InputHeld = 18,
    /// The network has no such output.
    OutputIndex = 19,
    /// The buffer has another length than what goes into it.
    BufferLength = 20,
    /// All steps of the inference are taken: reset the network first.
    Finished = 21,
    /// The network is no stream: it ends after some steps.
    NoStream = 22,
    /// What was saved belongs to another image, or is damaged.
    OtherImage = 23,
    /// The state is at work: a callback may not call it.
    Busy = 24,
}

impl Status {
    /// Every status.
    ///
    /// cbindgen:ignore
    pub(crate) const ALL: [Self; 25] = [
        Self::Ok,
        Self::NullPointer,
        Self::StateTooSmall,
        Self::Misaligned,
        Self::NotOpen,
        Self::ArenaTooSmall,
        Self::Overlap,
        Self::NoImage,
        Self::ImageVersion,
        Self::ImageTruncated,
        Self::ImageDamaged,
        Self::ImageInvalid,
        Self::ImageTooLarge,
        Self::NotBuilt,
        Self::InputIndex,
        Self::InputLength,
        Self::InputRange,
        Self::EventPlace,
        Self::InputHeld,
        Self::OutputIndex,
        Self::BufferLength,
        Self::Finished,
        Self::NoStream,
        Self::OtherImage,
        Self::Busy,
    ];

    /// The text of a status.
    #[must_use]
    pub const fn text(self) -> &'static CStr {
        match self {
            Self::Ok => c"the call did its work",
            Self::NullPointer => c"a pointer is NULL",
            Self::StateTooSmall => {
                c"the state is too small: define TINYSPIKE_ENSEMBLES and TINYSPIKE_CONNECTIONS as for the library"
            }
            Self::Misaligned => {
                c"the state, the arena or the image does not lie at a multiple of its alignment"
            }
            Self::NotOpen => c"no image is open in this state: call ts_open first",
            Self::ArenaTooSmall => {
                c"the arena is too small: `tinyspike inspect` and the model's header state its size"
            }
            Self::Overlap => c"two pieces of memory overlap",
            Self::NoImage => c"the bytes are not a tinyspike image",
            Self::ImageVersion => {
                c"the image has another format version: convert the model with the library's release"
            }
            Self::ImageTruncated => c"the image is cut short",
            Self::ImageDamaged => c"the image is damaged: its checksum does not match",
            Self::ImageInvalid => c"the image contradicts itself",
            Self::ImageTooLarge => {
                c"the network has more ensembles or connections than the library holds: export it again"
            }
            Self::NotBuilt => {
                c"the network needs a part that the library was built without: export it again"
            }
            Self::InputIndex => c"the network has no such input, or another number of inputs",
            Self::InputLength => c"the input has another length",
            Self::InputRange => c"a value is above the largest that the input takes",
            Self::EventPlace => c"the input has no such place",
            Self::InputHeld => c"the input keeps its values and takes no events: set it as a whole",
            Self::OutputIndex => c"the network has no such output",
            Self::BufferLength => c"the buffer has the wrong length",
            Self::Finished => c"all steps are taken: call ts_reset first",
            Self::NoStream => c"the network ends after some steps and is no stream",
            Self::OtherImage => c"what was saved belongs to another image, or is damaged",
            Self::Busy => c"the state is at work: a callback may not call it",
        }
    }
}

impl From<ImageError> for Status {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Magic => Self::NoImage,
            ImageError::Version { .. } => Self::ImageVersion,
            ImageError::Truncated { .. } => Self::ImageTruncated,
            ImageError::Misaligned => Self::Misaligned,
            ImageError::Checksum { .. } | ImageError::Reserved => Self::ImageDamaged,
            ImageError::TooLarge => Self::ImageTooLarge,
            ImageError::NotBuilt => Self::NotBuilt,
            _ => Self::ImageInvalid,
        }
    }
}

impl From<EngineError> for Status {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::ArenaTooSmall { .. } => Self::ArenaTooSmall,
            _ => Self::NotBuilt,
        }
    }
}

impl From<InputError> for Status {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Count { .. } => Self::InputIndex,
            InputError::Place { .. } => Self::EventPlace,
            InputError::Held { .. } => Self::InputHeld,
            InputError::Range { .. } => Self::InputRange,
            _ => Self::InputLength,
        }
    }
}

impl From<LengthError> for Status {
    fn from(_: LengthError) -> Self {
        Self::InputLength
    }
}
