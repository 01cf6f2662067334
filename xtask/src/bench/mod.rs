//! `cargo xtask bench`: what inferences take on emulated boards, to the instruction.
//!
//! It measures the bundled networks on every board, as [`suite`] lists them, and writes the results to
//! `benches/results.json`; [`docs`] makes tables of these. `tinyspike bench` measures any image.

mod cycles;
mod docs;
mod grid;
mod host;
mod micro;
mod results;
mod shapes;
mod suite;

use tinyspike_board::Failure;
use tinyspike_board::firmware::{Board, Program};

use crate::firmware;
use results::Results;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Measure again and fail if a count is more than 2 % above the stored one; write nothing
    #[arg(long, conflicts_with = "write_docs")]
    check: bool,
    /// Write the tables of docs/performance.md from the stored results, without measuring
    #[arg(long)]
    write_docs: bool,
    /// Hold predictions against counts over layers of all kinds, and measure networks like MLPerf Tiny's
    #[arg(long, conflicts_with_all = ["check", "write_docs"])]
    grid: bool,
    /// Take only networks of the grid whose names contain this
    #[arg(long, value_name = "NAME", requires = "grid")]
    only: Option<String>,
}

/// Builds the firmware, measures, and writes the results.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.grid {
        grid::run(args.only.as_deref())
    } else if args.write_docs {
        docs::write(&Results::stored()?)
    } else if args.check {
        suite::check()
    } else {
        suite::write()
    }
}

/// Builds what measuring on a board needs.
fn build(board: Board) -> Result<(), Failure> {
    firmware::build_program(board, Program::Bench)?;
    firmware::build_program(board, Program::Layers).map(|_| ())
}

fn argument(error: impl std::fmt::Display) -> Failure {
    Failure::Argument(error.to_string())
}
