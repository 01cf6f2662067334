//! `tinyspike probes`: the connected debug probes.

use std::io::Write;

use crate::device;
use crate::text::escaped;
use serde_json::json;

use crate::cli::args::Probes;
use crate::cli::diagnostics::Failure;

pub(crate) fn run(args: &Probes, out: &mut dyn Write) -> Result<(), Failure> {
    let probes = device::probes();
    if args.json {
        let json = json!({ "count": probes.len(), "probes": probes });
        writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        return Ok(());
    }
    for probe in &probes {
        writeln!(out, "{}", escaped(&probe.to_string()))?;
    }
    match probes.len() {
        0 => writeln!(out, "no debug probe is connected")?,
        1 => writeln!(out, "1 probe")?,
        count => writeln!(out, "{count} probes")?,
    }
    Ok(())
}
