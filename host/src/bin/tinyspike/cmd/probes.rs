//! `tinyspike probes`: the connected debug probes.

use std::io::Write;

use serde_json::json;
use tinyspike::device;
use tinyspike::text::escaped;

use crate::args::Probes;
use crate::diagnostics::Failure;

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
