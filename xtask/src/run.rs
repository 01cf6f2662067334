//! `cargo xtask qemu`: runs an image on an emulated board and prints the trace.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tinyspike_shared::inputs;

use tinyspike_board::firmware::{Board, Program, elf};
use tinyspike_board::qemu::{self, QemuError};
use tinyspike_board::shell::Failure;

/// Arguments of `cargo xtask qemu`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// The packed image
    image: PathBuf,
    /// A file of inputs: one byte for each place of an input, one input after another
    inputs: PathBuf,
    /// The length of one input in bytes
    #[arg(long, default_value_t = 784)]
    size: u32,
    /// Most inputs to run
    #[arg(long)]
    count: Option<usize>,
    /// Seconds to wait
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

/// Runs the image and prints what the board printed; the exit code is the firmware's.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let image = fs::read(&args.image).map_err(Failure::file(&args.image))?;
    let values = fs::read(&args.inputs).map_err(Failure::file(&args.inputs))?;
    let size = args.size as usize;
    if size == 0 || values.is_empty() || !values.len().is_multiple_of(size) {
        return Err(Failure::Argument(format!(
            "{}: {} bytes are no whole number of inputs of {size} bytes; give --size",
            args.inputs.display(),
            values.len()
        )));
    }
    let count = (values.len() / size).min(args.count.unwrap_or(usize::MAX));
    let header = inputs::Header {
        count: count as u32,
        size: args.size,
    };
    let mut block = header.to_bytes().to_vec();
    block.extend_from_slice(&values[..count * size]);
    let outcome = qemu::run(&qemu::Run {
        board: Board::Mps2An386,
        firmware: &elf(Board::Mps2An386, Program::Trace),
        count: false,
        plugin: None,
        image: &image,
        inputs: &block,
        timeout: Duration::from_secs(args.timeout),
    })
    .map_err(|e| match e {
        QemuError::File(source) => Failure::Start {
            program: "QEMU".into(),
            source,
        },
        other => Failure::Argument(other.to_string()),
    })?;
    print!("{}", outcome.stdout);
    eprint!("{}", outcome.stderr);
    Ok(match outcome.status.code() {
        Some(code) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
        None => ExitCode::FAILURE,
    })
}
