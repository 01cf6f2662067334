//! Acceptance rules: which models a device will run, and which slot it boots.
//!
//! The device decides; the host asks the same beforehand, so that it can refuse with the same reason before
//! anything is erased.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::image::{Header, Image, ImageError};
use crate::signature::SignatureError;
#[cfg(feature = "signature")]
use crate::signature::{PUBLIC_KEY_LEN, Signed};
use crate::slots::{Slot, State};

/// Reason why a device does not run what lies in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// Fault of an image that this build cannot use.
    Image(ImageError),
    /// The firmware asks for a signature, which is missing or wrong.
    Signature(SignatureError),
    /// The model's version is below the least one that may run.
    Version {
        /// The model's version.
        version: u32,
        /// The least version that may run.
        minimum: u32,
    },
    /// Too little RAM for it.
    NoRoom {
        /// Bytes that it needs: arena and input, or what it takes to check it.
        needed: u32,
        /// Bytes that there are.
        given: u32,
    },
    /// Too little stack for its inferences.
    NoStack {
        /// Bytes that it needs.
        needed: u32,
        /// Bytes that the firmware has.
        given: u32,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(e) => e.fmt(f),
            Self::Signature(e) => e.fmt(f),
            Self::Version { version, minimum } => write!(
                f,
                "the model has version {version}, and the device takes none below {minimum}"
            ),
            Self::NoRoom { needed, given } => {
                write!(f, "it needs {needed} bytes of RAM, and {given} are left")
            }
            Self::NoStack { needed, given } => write!(
                f,
                "it needs {needed} bytes of stack, and the firmware was built with {given}"
            ),
        }
    }
}

impl core::error::Error for Refusal {}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

/// Conditions of a device for a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    minimum: u32,
    #[cfg(feature = "signature")]
    key: Option<[u8; PUBLIC_KEY_LEN]>,
}

impl Terms {
    /// An image of at least a version.
    #[must_use]
    pub const fn version(minimum: u32) -> Self {
        Self {
            minimum,
            #[cfg(feature = "signature")]
            key: None,
        }
    }

    /// The same, and a signature by the key, if one is given.
    #[cfg(feature = "signature")]
    #[must_use]
    pub const fn signed(mut self, key: Option<[u8; PUBLIC_KEY_LEN]>) -> Self {
        self.key = key;
        self
    }

    /// The image in some bytes, if it may run. What follows it and its signature is not read. The signature
    /// is checked before anything but the image's length is used.
    ///
    /// # Errors
    /// Why it may not.
    pub fn accept<'a, const E: usize, const C: usize>(
        &self,
        bytes: &'a [u8],
    ) -> Result<Image<'a, E, C>, Refusal> {
        Ok(Image::parse(self.admit(bytes)?)?)
    }

    /// The bytes of an image whose signature and version are as asked for; the rest of it is unchecked.
    ///
    /// # Errors
    /// [`Refusal`] if they are not.
    // What it takes of the stack is free again when the image is parsed.
    #[inline(never)]
    pub fn admit<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], Refusal> {
        #[cfg(feature = "signature")]
        let bytes = match &self.key {
            None => bytes,
            Some(key) => Signed::find(bytes)
                .and_then(|signed| signed.verify(key))
                .map_err(|error| match error {
                    SignatureError::Image(error) => Refusal::Image(error),
                    other => Refusal::Signature(other),
                })?,
        };
        match Header::read(bytes)?.model_version {
            version if version < self.minimum => Err(Refusal::Version {
                version,
                minimum: self.minimum,
            }),
            _ => Ok(bytes),
        }
    }
}

/// Choice of the model that a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Start {
    /// State of its journal.
    pub journal: Journal,
    /// The slot that the journal names.
    pub named: Slot,
    /// No model below this version may run.
    pub minimum: u32,
    /// The slot that it runs; `None` if neither may run.
    pub running: Option<Slot>,
    /// Reasons why it does not run what is in slot A and in slot B, of those that it looked at.
    pub refused: [Option<Refusal>; 2],
}

/// State of a device's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Journal {
    /// No journal: the device has one place for a model.
    Absent,
    /// Journal that has never been written, or is damaged.
    Damaged,
    /// Journal that is whole.
    Whole,
}

impl Start {
    /// Start state of a single-slot device.
    #[must_use]
    pub fn single(refused: Option<Refusal>) -> Self {
        Self {
            journal: Journal::Absent,
            named: Slot::A,
            minimum: 0,
            running: refused.is_none().then_some(Slot::A),
            refused: [refused, None],
        }
    }

    /// Looks for a model that may run: in the slot that the journal names, then in the other. `accept` looks
    /// into a slot, and keeps what it finds.
    pub fn find(
        stored: Option<State>,
        mut accept: impl FnMut(Slot, u32) -> Result<(), Refusal>,
    ) -> Self {
        let state = stored.unwrap_or(State::BLANK);
        let mut start = Self {
            journal: match stored {
                None => Journal::Damaged,
                Some(_) => Journal::Whole,
            },
            named: state.slot,
            minimum: state.minimum,
            running: None,
            refused: [None; 2],
        };
        let [a, b] = &mut start.refused;
        for slot in state.order() {
            match accept(slot, state.minimum) {
                Ok(()) => {
                    start.running = Some(slot);
                    break;
                }
                Err(reason) => match slot {
                    Slot::A => *a = Some(reason),
                    Slot::B => *b = Some(reason),
                },
            }
        }
        start
    }

    /// Reason why a slot was refused; `None` if it was not, or not looked at.
    #[must_use]
    pub const fn refusal(&self, slot: Slot) -> Option<Refusal> {
        match slot {
            Slot::A => self.refused[0],
            Slot::B => self.refused[1],
        }
    }

    /// Reason why the slot that the journal names does not run, if it does not.
    #[must_use]
    pub const fn passed_over(&self) -> Option<Refusal> {
        self.refusal(self.named)
    }
}
