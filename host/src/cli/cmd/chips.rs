//! `tinyspike chips`: the chips that can be flashed.

use std::io::Write;

use crate::device::{self, Summary};
use crate::text::escaped;
use serde_json::json;

use crate::cli::args::Chips;
use crate::cli::diagnostics::{self, Failure};

/// The widest column of names.
const WIDEST: usize = 40;

pub(crate) fn run(args: &Chips, out: &mut dyn Write) -> Result<(), Failure> {
    let mut chips = device::Chips::builtin();
    if let Some(path) = &args.chip_description {
        chips.add_description(path).map_err(Failure::of)?;
    }
    let found = match args.board {
        Some(board) => vec![board.chip(&chips).map_err(Failure::of)?.summary()],
        None => chips.search(&args.search),
    };
    if found.is_empty() {
        // An unknown name's error has the nearest ones.
        chips.find(&args.search).map_err(Failure::of)?;
    }
    if args.json {
        let json = json!({ "count": found.len(), "chips": found });
        writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        return Ok(());
    }
    // A description may have names of any length.
    let width = |of: fn(&Summary) -> &str, least: usize| {
        let lengths = found.iter().map(|c| of(c).chars().count());
        lengths.fold(least, usize::max).min(WIDEST)
    };
    let (name, family) = (width(|c| &c.name, 4), width(|c| &c.family, 6));
    writeln!(
        out,
        "{:name$}  {:family$}  {:8}  {:>8}  {:>8}  writable",
        "chip", "family", "core", "flash", "RAM"
    )?;
    for chip in &found {
        let core = chip.core.map(|core| core.architecture.to_string());
        let refused = chip.refused.is_some();
        let size = |bytes| {
            if refused {
                "-".into()
            } else {
                kibibytes(bytes)
            }
        };
        writeln!(
            out,
            "{:name$}  {:family$}  {:8}  {:>8}  {:>8}  {}",
            escaped(&chip.name),
            escaped(&chip.family),
            core.unwrap_or_default(),
            size(chip.flash),
            size(chip.ram),
            match (chip.flash_algorithm, refused) {
                (true, false) => "yes",
                (true, true) => "not by tinyspike",
                (false, _) => "no",
            }
        )?;
    }
    let usable = found.iter().filter(|chip| chip.refused.is_none()).count();
    writeln!(
        out,
        "{} chips, {usable} of them can be flashed",
        found.len()
    )?;
    if let [only] = found.as_slice()
        && let Some(reason) = &only.refused
    {
        diagnostics::note(format_args!("{}: {reason}", only.name));
    }
    Ok(())
}

/// Bytes as a person reads them.
pub(super) fn kibibytes(bytes: u32) -> String {
    if bytes.is_multiple_of(1 << 10) {
        format!("{}K", bytes >> 10)
    } else {
        format!("{:.1}K", f64::from(bytes) / 1024.0)
    }
}
