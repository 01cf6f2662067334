//! Errors of a deployment, by the stage that failed.

use crate::advice::{Advice, Advised};
use crate::assemble::AssembleError;
use crate::calibrate::CalibrateError;
use crate::coder::CoderError;
use crate::compensate::CompensateError;
use crate::lower::LowerError;
use crate::quantize::QuantizeError;
use crate::report::BudgetError;
use crate::simulate::SimulateError;
use crate::tune::TuneError;

/// The stage that failed, and its reason.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of the stage of that name")]
#[non_exhaustive]
pub enum DeployError {
    #[error("cannot deploy the network: {0}")]
    Lower(#[from] LowerError),
    #[error("cannot deploy the network: {0}")]
    Voltages(#[from] SimulateError),
    #[error("cannot calibrate the network: {0}")]
    Calibrate(#[from] CalibrateError),
    #[error("cannot fit the quantized network: {0}")]
    Compensate(CompensateError),
    #[error("cannot quantize the network: {0}")]
    Quantize(#[from] QuantizeError),
    #[error("cannot tune the network: {0}")]
    Tune(TuneError),
    #[error("cannot pack the network: {0}")]
    Assemble(#[from] AssembleError),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error("cannot put a coder before the network: {0}")]
    Coder(#[from] CoderError),
    /// A search needs all samples in memory.
    #[error("cannot tune the network: there are no samples in memory to measure accuracies on")]
    NoData,
}

/// A stage of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the module of that name")]
#[non_exhaustive]
pub enum Stage {
    Lower,
    Calibrate,
    Compensate,
    Quantize,
    Tune,
    Assemble,
    Budget,
}

impl DeployError {
    /// The stage that failed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Lower(_) | Self::Voltages(_) => Stage::Lower,
            Self::Calibrate(_) => Stage::Calibrate,
            Self::Compensate(_) => Stage::Compensate,
            Self::Quantize(_) => Stage::Quantize,
            Self::Tune(_) | Self::NoData => Stage::Tune,
            Self::Assemble(_) | Self::Coder(_) => Stage::Assemble,
            Self::Budget(_) => Stage::Budget,
        }
    }

    /// The layer at fault, if it is one.
    #[must_use]
    pub fn layer(&self) -> Option<&str> {
        match self {
            Self::Lower(error) => error.layer(),
            Self::Quantize(error) => error.layer(),
            _ => None,
        }
    }
}

impl Advised for DeployError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Lower(error) => error.advice(),
            Self::Quantize(error) => error.advice(),
            Self::Budget(_) => vec![Advice::SmallerImage],
            Self::NoData => vec![Advice::Calibrate],
            _ => Vec::new(),
        }
    }
}

impl From<CompensateError> for DeployError {
    fn from(error: CompensateError) -> Self {
        match error {
            CompensateError::Quantize(error) => error.into(),
            CompensateError::Assemble(error) => error.into(),
            error => Self::Compensate(error),
        }
    }
}

impl From<TuneError> for DeployError {
    fn from(error: TuneError) -> Self {
        match error {
            TuneError::Calibrate(error) => error.into(),
            TuneError::Quantize(error) => error.into(),
            TuneError::Assemble(error) => error.into(),
            TuneError::Budget(error) => error.into(),
            error => Self::Tune(error),
        }
    }
}
