use std::io;
use std::net::SocketAddr;

/// Why there is no board, or no longer one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that boards are made of is not there.
    #[error(
        "{program} is not installed: install QEMU's Arm system emulator (Debian and Ubuntu: \
         apt install qemu-system-arm; Fedora: dnf install qemu-system-arm; macOS: brew install qemu)"
    )]
    NotInstalled {
        /// The program.
        program: String,
    },
    /// A program could not be started, for another reason.
    #[error("{program} cannot be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The probe's socket could not be opened.
    #[error("the probe cannot listen on {address} ({source}): choose another port, or 0 for any")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// QEMU has ended, or does not start.
    #[error("QEMU ended: {message}")]
    Ended {
        /// Its last words.
        message: String,
    },
    /// A connection to QEMU failed.
    #[error("the connection to QEMU: {0}")]
    Connection(#[from] io::Error),
    /// QEMU refused a request, or answered nonsense.
    #[error("QEMU's answer to {request:?} was {answer:?}: is this a version newer than 7.2?")]
    Answer {
        /// What it was asked.
        request: String,
        /// What it said.
        answer: String,
    },
}
