//! Several boards at once, each behind a probe of its own.

use std::io::Write;
use std::panic::resume_unwind;
use std::thread;

use serde::Serialize;

use crate::device;
use crate::judge::Figures;
use crate::text::escaped;

use crate::cli::diagnostics::Failure;
use crate::cli::progress;

/// A report that is a row of a table.
pub(crate) trait Row: Serialize + Send {
    /// Names and values of its columns.
    fn columns(&self) -> Columns;

    /// The reason for which a board counts as failed, though it has a report.
    fn fault(&self) -> Option<String> {
        None
    }
}

/// One of several boards, and what came of it.
pub(crate) struct Outcome<T> {
    probe: String,
    result: Result<T, Failure>,
}

/// A report beside the probe of its board, or the reason for which there is none.
#[derive(Serialize)]
struct Entry<'a, T> {
    probe: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// The first of a network's figures as a column, if there is one.
pub(crate) fn figure(figures: &Figures) -> Option<(&'static str, String)> {
    let accuracy = figures
        .accuracy
        .map(|share| ("accuracy", format!("{:.2} %", share * 100.0)));
    accuracy.or_else(|| Some(("rms error", format!("{:.6}", figures.error?.rms_error))))
}

/// The probes that flags select, if they are several.
pub(crate) fn probes(flags: &[String]) -> Result<Option<Vec<String>>, Failure> {
    if flags.is_empty() {
        return Ok(None);
    }
    let found = device::selected(flags).map_err(Failure::of)?;
    let several = found.len() > 1 || flags.iter().any(|text| text == device::ALL);
    Ok(several.then(|| found.iter().map(ToString::to_string).collect()))
}

/// Works on the board of each probe, on all at the same time.
pub(crate) fn on_each<T: Send>(
    probes: Vec<String>,
    work: impl Fn(&str) -> Result<T, Failure> + Sync,
) -> Vec<Outcome<T>> {
    // Bars of several boards would draw over each other.
    progress::hide();
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = probes
            .into_iter()
            .map(|probe| {
                scope.spawn(move || Outcome {
                    result: work(&probe),
                    probe,
                })
            })
            .collect();
        let outcomes = threads.into_iter().map(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => resume_unwind(panic),
        });
        outcomes.collect()
    })
}

/// Prints a table with a row for each board, or one JSON array. It fails if a board did.
pub(crate) fn print<T: Row>(
    outcomes: &[Outcome<T>],
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if json {
        let entries: Vec<Entry<'_, T>> = outcomes.iter().map(Outcome::entry).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&entries)?)?;
    } else {
        table(outcomes, out)?;
    }
    out.flush()?;
    let failed: Vec<String> = outcomes.iter().filter_map(Outcome::failed).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let (few, all) = (failed.len(), outcomes.len());
    let failure = Failure::new(format!(
        "{few} of {all} boards failed: {}",
        failed.join("; ")
    ));
    let hint = outcomes
        .iter()
        .find_map(|o| o.result.as_ref().err()?.hinted());
    Err(match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

impl<T: Row> Outcome<T> {
    fn entry(&self) -> Entry<'_, T> {
        Entry {
            probe: &self.probe,
            report: self.result.as_ref().ok(),
            error: self.result.as_ref().err().map(Failure::message),
        }
    }

    /// The board and its fault, if it has one.
    fn failed(&self) -> Option<String> {
        let fault = match &self.result {
            Ok(report) => report.fault()?,
            Err(failure) => failure.message().to_owned(),
        };
        Some(format!("{}: {fault}", self.probe))
    }
}

/// Names and values of a row's columns.
type Columns = Vec<(&'static str, String)>;

fn table<T: Row>(outcomes: &[Outcome<T>], out: &mut dyn Write) -> Result<(), Failure> {
    let rows: Vec<(&str, Option<Columns>)> = outcomes
        .iter()
        .map(|o| (o.probe.as_str(), o.result.as_ref().ok().map(Row::columns)))
        .collect();
    let first = rows.iter().find_map(|(_, columns)| columns.as_ref());
    let names: Vec<&str> = first.map_or(vec![], |all| all.iter().map(|(name, _)| *name).collect());
    let width = |at: usize| {
        let cells = rows
            .iter()
            .filter_map(|(_, columns)| columns.as_ref()?.get(at));
        let widest = cells.map(|(_, value)| value.len()).max().unwrap_or(0);
        names.get(at).map_or(0, |name| name.len()).max(widest)
    };
    let probe = rows.iter().map(|(probe, _)| probe.len()).max().unwrap_or(0);
    write!(out, "{:<probe$}", "probe")?;
    for (at, name) in names.iter().enumerate() {
        write!(out, "  {name:>0$}", width(at))?;
    }
    writeln!(out)?;
    for (name, columns) in &rows {
        write!(out, "{:<probe$}", escaped(name).to_string())?;
        match columns {
            None => write!(out, "  failed")?,
            Some(columns) => {
                for (at, (_, value)) in columns.iter().enumerate() {
                    write!(out, "  {value:>0$}", width(at))?;
                }
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
