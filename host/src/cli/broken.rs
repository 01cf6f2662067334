//! Work with a device that did not succeed, and what to do.

use crate::device::ConnectError;
use crate::device::run::RunError;
use crate::device::session::SessionError;

use crate::cli::diagnostics::Failure;

/// Reason why a board could not be worked with.
pub(crate) enum Broken {
    Device(ConnectError),
    Run(RunError),
    Other(Failure),
}

impl From<ConnectError> for Broken {
    fn from(error: ConnectError) -> Self {
        Self::Device(error)
    }
}

impl From<RunError> for Broken {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl Broken {
    /// The failure of a command that went this way.
    pub(crate) fn failure(self, way: Way) -> Failure {
        match self {
            Self::Device(error) => Failure::of(error),
            Self::Run(error) => failure(error, way),
            Self::Other(failure) => failure,
        }
    }
}

/// Way to a device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Probe,
    Line,
}

/// An error of a run, with what to do.
pub(crate) fn failure(error: RunError, way: Way) -> Failure {
    let hint = match &error {
        RunError::Session { source, .. } if way == Way::Line => match source {
            SessionError::Lost(_) => "see that the line is still connected and the board has power",
            SessionError::Silent { .. } => {
                "does the board run firmware that serves this line, at this --baud?"
            }
            _ => return Failure::from(error),
        },
        RunError::Session { source, .. } => match source {
            SessionError::Lost(_) => {
                "see that the probe is still connected and the board has power"
            }
            SessionError::Silent { .. } | SessionError::Fault(_) => {
                "`tinyspike monitor` shows what the firmware logs; `tinyspike flash` restarts it"
            }
            _ => return Failure::from(error),
        },
        RunError::OtherImage { .. } | RunError::NoImage(_) if way == Way::Line => {
            "`tinyspike flash --model-only --serial PORT` writes the image"
        }
        RunError::OtherImage { .. } | RunError::NoImage(_) => {
            "`tinyspike flash` writes the image and its firmware"
        }
        _ => return Failure::from(error),
    };
    Failure::from(error).hint(hint)
}
