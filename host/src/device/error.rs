//! Errors of all that is done with devices, as one type for who does not tell them apart.

use super::attach::ConnectError;
use super::chip::ChipError;
use super::firmware::FirmwareError;
use super::memory::LayoutError;
use super::plan::PlanError;
use super::probe::ProbeError;
use super::write::FlashError;
use crate::advice::{Advice, Advised};

/// Any error of this module but of a session.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of that name")]
#[non_exhaustive]
pub enum DeviceError {
    #[error(transparent)]
    Chip(#[from] ChipError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Flash(#[from] FlashError),
}

impl Advised for DeviceError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Chip(e) => e.advice(),
            Self::Layout(e) => e.advice(),
            Self::Firmware(e) => e.advice(),
            Self::Plan(e) => e.advice(),
            Self::Probe(e) => e.advice(),
            Self::Connect(e) => e.advice(),
            Self::Flash(e) => e.advice(),
        }
    }
}
