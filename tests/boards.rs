//! Runs an image on the host and on emulated boards, so that the two can be compared.

use std::time::Duration;

use defmt_decoder::{DecodeError, Table};
use tinyspike::ImageBuf;
use tinyspike_board::firmware::{Board, Program, elf};
use tinyspike_board::qemu::{self, Outcome, QemuError};
use tinyspike_firmware::trace::{self, RunError};
use tinyspike_shared::image::ImageError;
use tinyspike_shared::inputs::{Header, Inputs, InputsError};

/// Longest time that an emulated board may take for a run.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Reason for a failed run on the host.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of the type that it holds")]
#[non_exhaustive]
pub enum HostError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Inputs(#[from] InputsError),
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Reason why a log cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The firmware's file cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// The firmware's file has no table of log messages, or an unreadable one.
    #[error("the firmware has no readable defmt table: {0}")]
    Table(String),
    /// A frame that is not in the table.
    #[error("the log holds a malformed frame")]
    Malformed,
}

/// The block of `inputs`, each of the same length.
#[must_use]
pub fn block(inputs: &[Vec<u8>]) -> Vec<u8> {
    let header = Header {
        count: inputs.len() as u32,
        size: inputs.first().map_or(0, Vec::len) as u32,
    };
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(inputs.iter().flatten());
    bytes
}

/// The trace of a run on the host.
///
/// # Errors
/// [`HostError`] if the image or the block is refused.
pub fn run_on_host(image: &[u8], block: &[u8]) -> Result<String, HostError> {
    let bytes = ImageBuf::new(image)?;
    let image = bytes.image();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut out = String::new();
    trace::run(&image, &mut arena, &Inputs::parse(block)?, &mut out)?;
    Ok(out)
}

/// A run on an emulated board.
///
/// # Errors
/// [`QemuError`] if the firmware or QEMU is missing, or the run does not end.
pub fn run_on_board(board: Board, image: &[u8], block: &[u8]) -> Result<Outcome, QemuError> {
    qemu::run(&qemu::Run {
        board,
        firmware: &elf(board, Program::Trace),
        count: false,
        plugin: None,
        image,
        inputs: block,
        timeout: TIMEOUT,
    })
}

/// The messages that firmware has logged, each with its level, such as `INFO 20 inputs done`.
///
/// # Errors
/// [`LogError`] if the bytes are not what this firmware logs.
pub fn decode_log(board: Board, log: &[u8]) -> Result<Vec<String>, LogError> {
    let elf = std::fs::read(elf(board, Program::Trace))?;
    let table = Table::parse(&elf).map_err(|e| LogError::Table(e.to_string()))?;
    let table = table.ok_or_else(|| LogError::Table("there is none".into()))?;
    let mut decoder = table.new_stream_decoder();
    decoder.received(log);
    let mut messages = Vec::new();
    loop {
        match decoder.decode() {
            Ok(frame) => {
                let level = frame.level().map_or("", |level| level.as_str());
                let message = format!("{} {}", level.to_uppercase(), frame.display_message());
                messages.push(message);
            }
            Err(DecodeError::UnexpectedEof) => return Ok(messages),
            Err(DecodeError::Malformed) => return Err(LogError::Malformed),
        }
    }
}
