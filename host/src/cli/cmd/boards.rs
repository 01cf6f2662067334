//! `tinyspike boards`: the boards that are known by name.

use std::io::Write;

use crate::device::boards::Runs;
use crate::device::{BOARDS, Board};
use serde_json::json;

use super::chips::kibibytes;
use crate::cli::args::Boards;
use crate::cli::diagnostics::Failure;

pub(crate) fn run(args: &Boards, out: &mut dyn Write) -> Result<(), Failure> {
    if args.json {
        let json = match args.name {
            Some(board) => json!(board),
            None => json!({ "count": BOARDS.len(), "boards": BOARDS }),
        };
        writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        return Ok(());
    }
    match args.name {
        Some(board) => describe(board, out),
        None => table(out),
    }
}

fn table(out: &mut dyn Write) -> Result<(), Failure> {
    let width = |of: fn(&Board) -> &str| BOARDS.iter().map(|b| of(b).len()).fold(5, usize::max);
    let (name, title) = (width(|b| b.name), width(|b| b.title));
    let (chip, core) = (width(|b| b.chip), width(|b| b.core));
    writeln!(
        out,
        "{:name$}  {:title$}  {:chip$}  {:core$}  {:>7}  {:>6}  {:>5}  flashing",
        "board", "", "chip", "core", "clock", "flash", "RAM"
    )?;
    for board in &BOARDS {
        writeln!(
            out,
            "{:name$}  {:title$}  {:chip$}  {:core$}  {:>7}  {:>6}  {:>5}  {}",
            board.name,
            board.title,
            board.chip,
            board.core,
            format!("{} MHz", board.clock.full_mhz),
            kibibytes(board.flash),
            kibibytes(board.ram),
            board.flashing
        )?;
    }
    writeln!(
        out,
        "{} boards; `tinyspike boards NAME` shows the sources",
        BOARDS.len()
    )?;
    Ok(())
}

fn describe(board: &Board, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "board      {} ({})", board.title, board.name)?;
    writeln!(out, "chip       {}, {}", board.chip, board.core)?;
    write!(out, "clock      {} MHz", board.clock.full_mhz)?;
    match board.clock.reset_mhz {
        Some([slow, fast]) if slow < fast => {
            writeln!(out, ", after a reset {slow} to {fast} MHz")?;
        }
        Some([mhz, _]) => writeln!(out, ", after a reset {mhz} MHz")?,
        None => writeln!(out)?,
    }
    let (flash, ram) = (kibibytes(board.flash), kibibytes(board.ram));
    writeln!(out, "memory     {flash} of flash, {ram} of RAM")?;
    writeln!(out, "           {}", board.source)?;
    match board.current {
        Some(current) => writeln!(
            out,
            "current    {:.4} mA for each MHz, at {} V\n           {}",
            current.ma_per_mhz, current.volts, current.source
        )?,
        None => writeln!(out, "current    no source was found")?,
    }
    writeln!(out, "flashing   {}", board.flashing)?;
    match board.runs {
        Runs::Application { .. } => writeln!(
            out,
            "runs       the application, and the engine as a library"
        )?,
        Runs::Library(core) => writeln!(
            out,
            "runs       the engine as a library in C, core {core}; the application does not run on it yet"
        )?,
    }
    Ok(())
}
