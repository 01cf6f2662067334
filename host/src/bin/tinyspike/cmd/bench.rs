//! `tinyspike bench`: what inferences take on an emulated board.

use std::io::Write;

use tinyspike::bench::{BenchError, BenchOptions, bench};
use tinyspike::data;
use tinyspike_board::firmware::{Program, build_here};

use crate::args::Bench;
use crate::diagnostics::Failure;
use crate::files;

pub(crate) fn run(args: &Bench, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(&args.image)?;
    files::parse_image(&args.image, &bytes)?;
    let data = data::load(&args.data)?.take(args.limit as usize);
    for program in [Program::Bench, Program::Minimal] {
        if args.on.programs().contains(&program) {
            build_here(args.on, program)?;
        }
    }
    let options = BenchOptions {
        board: args.on,
        byte_scale: args.bytes.byte_scale,
        ..BenchOptions::default()
    };
    let report = bench(&bytes, &data, &options).map_err(|e| failure(args, &e))?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        writeln!(out, "{report}")?;
    }
    Ok(())
}

fn failure(args: &Bench, error: &BenchError) -> Failure {
    let (image, data) = (args.image.display(), args.data.display());
    let failure = Failure::new(match error {
        BenchError::Data(e) => format!("{image} on {data}: {e}"),
        other => format!("{image}: {other}"),
    });
    match error {
        BenchError::Qemu(_) => failure.hint("`cargo xtask setup` installs the emulator"),
        _ => failure,
    }
}
