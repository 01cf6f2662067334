use std::io;
use std::net::SocketAddr;

use tinyspike_boards::Board as Machine;

/// Reason for a board that cannot start, or is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The board has no debug probe.
    #[error("{machine} has no debug probe")]
    NoProbe {
        /// The board.
        machine: Machine,
    },
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
        /// Error of the system.
        source: io::Error,
    },
    /// The probe's socket could not be opened.
    #[error("the probe cannot listen on {address} ({source}): choose another port, or 0 for any")]
    Listen {
        /// Address on which it was to listen.
        address: SocketAddr,
        /// Error of the system.
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
        /// Request that it was sent.
        request: String,
        /// Answer that it gave.
        answer: String,
    },
}
