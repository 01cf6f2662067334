//! The commands, one file each.

mod bench;
mod chips;
mod convert;
mod demo;
mod emulate;
mod emulated_board;
pub(crate) mod flash;
mod inspect;
mod keygen;
mod monitor;
mod probes;
mod run;
mod sign;
mod simulate;
mod verify;
mod verify_image;

use std::io::Write;
use std::path::Path;

use tinyspike::Model;
use tinyspike::advice::Advised as _;
use tinyspike::convert::Conversion;

use crate::args::{Command, ConvertFlags};
use crate::diagnostics::Failure;

/// Runs a command.
pub(crate) fn run(command: &Command, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(args, out),
        Command::Monitor(args) => monitor::run(args, out),
        Command::Bench(args) => bench::run(args, out),
        Command::Chips(args) => chips::run(args, out),
        Command::Probes(args) => probes::run(args, out),
        Command::Flash(args) => flash::run(args, out),
        Command::Demo(args) => demo::run(args, out),
        Command::Convert(args) => convert::run(args, out),
        Command::Inspect(args) => inspect::run(args, out),
        Command::Emulate(args) => emulate::run(args, out),
        Command::EmulatedBoard(args) => emulated_board::run(args, out),
        Command::Keygen(args) => keygen::run(args, out),
        Command::Sign(args) => sign::run(args, out),
        Command::Simulate(args) => simulate::run(args, out),
        Command::Verify(args) => verify::run(args, out),
        Command::VerifyImage(args) => verify_image::run(args, out),
    }
}

/// Reads a model and converts it.
fn converted(path: &Path, flags: &ConvertFlags) -> Result<(Model, Conversion), Failure> {
    let options = flags.options()?;
    let mut model = match &flags.config {
        Some(config) => Model::load_with_config(path, config)?,
        None => Model::load(path).map_err(Failure::of)?,
    };
    if !flags.input_shape.is_empty() {
        let shapes: Vec<Vec<usize>> = flags.input_shape.iter().map(|s| s.0.clone()).collect();
        (model.set_input_shapes(&shapes))
            .map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    }
    let conversion = model
        .convert(&options)
        .map_err(|e| Failure::advised(format!("{}: {e}", path.display()), &e.advice()))?;
    Ok((model, conversion))
}
