//! `cargo xtask bench`: what inferences take on emulated boards, to the instruction.
//!
//! Without an image it measures the bundled networks on every board, as [`suite`] lists them, and
//! writes the results to `benches/results.json`; [`docs`] makes tables of these.

mod cycles;
mod docs;
mod host;
mod micro;
mod results;
mod suite;

use std::path::PathBuf;

use tinyspike::ImageBuf;
use tinyspike::bench::{BenchOptions, bench, code};
use tinyspike::data;
use tinyspike_board::Failure;
use tinyspike_board::firmware::{Board, Program};

use crate::firmware;
use results::Results;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Measure this packed image instead of the bundled networks
    #[arg(long, requires = "data")]
    image: Option<PathBuf>,
    /// The samples for it: .npz with x and y, or IDX
    #[arg(long, requires = "image")]
    data: Option<PathBuf>,
    /// Run only the first N samples on it
    #[arg(long, default_value_t = 100, requires = "image")]
    limit: usize,
    /// The board that QEMU emulates for it
    #[arg(long, default_value = "mps2-an386", value_parser = Board::measured, requires = "image")]
    board: Board,
    /// Measure again and fail if a count is more than 2 % above the stored one; write nothing
    #[arg(long, conflicts_with_all = ["image", "write_docs"])]
    check: bool,
    /// Write the tables of docs/performance.md from the stored results, without measuring
    #[arg(long, conflicts_with = "image")]
    write_docs: bool,
}

/// Builds the firmware, measures, and prints or writes the results.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match (&args.image, &args.data) {
        (Some(image), Some(data)) => one(args, image, data),
        _ if args.write_docs => docs::write(&Results::stored()?),
        _ if args.check => suite::check(),
        _ => suite::write(),
    }
}

/// Measures one image.
fn one(args: &Args, image: &PathBuf, samples: &PathBuf) -> Result<(), Failure> {
    build(args.board)?;
    let image = ImageBuf::load(image).map_err(argument)?;
    let data = data::load(samples).map_err(argument)?.take(args.limit);
    let options = BenchOptions {
        board: args.board,
        code: code(&image, args.board).map_err(argument)?,
        ..BenchOptions::default()
    };
    println!("{}", bench(&image, &data, &options).map_err(argument)?);
    Ok(())
}

/// Builds what measuring on a board needs.
fn build(board: Board) -> Result<(), Failure> {
    firmware::build_program(board, Program::Bench)?;
    firmware::build_program(board, Program::Layers).map(|_| ())
}

fn argument(error: impl std::fmt::Display) -> Failure {
    Failure::Argument(error.to_string())
}
