//! Why a chip cannot be used, found or flashed.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use tinyspike_shared::accept::Refusal;
use tinyspike_shared::signature::KeyId;
use tinyspike_shared::slots::UpdateError;

use super::families::Obstacle;
use super::flash::Budget;
use super::memory::{MemoryError, Region};
use super::probe::ProbeInfo;
use super::processor::Architecture;

/// Something of probe-rs's that says more.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a command on a chip failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No chip has this name.
    #[error("no chip is called {name:?}{}", nearest(suggestions))]
    UnknownChip {
        /// The name.
        name: String,
        /// Names that are like it, the nearest first.
        suggestions: Vec<String>,
    },
    /// Several chips' names begin so.
    #[error("{count} chips' names begin with {name:?}, such as {}: give one in full", examples.join(", "))]
    AmbiguousChip {
        /// The name.
        name: String,
        /// How many there are.
        count: usize,
        /// Some of them.
        examples: Vec<String>,
    },
    /// The chip has no core that the engine is built for.
    #[error("{chip} has no Cortex-M core")]
    NotCortexM {
        /// The chip.
        chip: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A chip description cannot be used.
    #[error("{} is no chip description of probe-rs's: {source}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Cause,
    },
    /// The chip's memory cannot be divided.
    #[error("{chip}: {source}")]
    Memory {
        /// The chip.
        chip: String,
        /// Why not.
        source: MemoryError,
    },
    /// Firmware that is built here does not run on the chip.
    #[error("no firmware can be built for {chip}: {obstacle}")]
    NeedsOwnFirmware {
        /// The chip.
        chip: String,
        /// Why.
        obstacle: Obstacle,
    },
    /// The firmware could not be built.
    #[error(transparent)]
    Build(#[from] tinyspike_board::Failure),
    /// No compiler for the chip is installed.
    #[error("{chip} needs the compiler's target {target}, which is not installed")]
    NoTarget {
        /// The chip.
        chip: String,
        /// The target.
        target: &'static str,
    },
    /// A firmware file cannot be used.
    #[error("the firmware {}: {reason}", path.display())]
    Firmware {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The firmware lies outside its place.
    #[error(
        "the firmware has bytes at {segment}, and its place on {chip} is {place}: it was linked for another chip or layout"
    )]
    Misplaced {
        /// The chip.
        chip: String,
        /// Where they lie.
        segment: Region,
        /// Where the firmware may lie.
        place: Region,
    },
    /// Something does not fit.
    #[error("{chip}: {budget}")]
    OverBudget {
        /// The chip.
        chip: String,
        /// What is needed and what there is.
        budget: Budget,
    },
    /// The device would not run the image: it is not signed, too old, or damaged.
    #[error("{chip} would refuse it: {refusal}")]
    Refused {
        /// The chip.
        chip: String,
        /// Why, as the device would say it.
        refusal: Refusal,
    },
    /// There is no place to store a least version.
    #[error(
        "{chip} has one place for an image and no journal, which would hold the least version that may run"
    )]
    NoJournal {
        /// The chip.
        chip: String,
    },
    /// The firmware asks for another key's signatures.
    #[error(
        "the firmware {} {}, and --key gives {expected}: build it with that key",
        path.display(),
        found.map_or("asks for no signature".to_owned(), |id| format!("asks for signatures of the key {id}"))
    )]
    OtherKey {
        /// The firmware's file.
        path: PathBuf,
        /// The key that it was built with, where it was with one.
        found: Option<KeyId>,
        /// The key that was meant.
        expected: KeyId,
    },
    /// The slots cannot be used in turns.
    #[error("{chip}: its slots cannot be updated: {source}")]
    Update {
        /// The chip.
        chip: String,
        /// Why not.
        source: UpdateError<Infallible>,
    },
    /// The application cannot hold the network.
    #[error("the firmware of {chip} can hold networks of {limit} {what}, and this one has {found}")]
    TooManyLayers {
        /// The chip.
        chip: String,
        /// `ensembles` or `connections`.
        what: &'static str,
        /// How many the network has.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// There is no probe.
    #[error("no debug probe is connected")]
    NoProbe,
    /// There are several probes.
    #[error("{} debug probes are connected, and none was chosen: {}", found.len(), list(found))]
    SeveralProbes {
        /// All of them.
        found: Vec<ProbeInfo>,
    },
    /// A selector cannot be read.
    #[error("{text:?} selects no probe: {source}")]
    Selector {
        /// The selector.
        text: String,
        /// What is wrong with it.
        source: Cause,
    },
    /// The chosen probe cannot be opened.
    #[error("the probe {selector} cannot be opened: {source}")]
    OpenProbe {
        /// The probe.
        selector: String,
        /// Why not.
        source: Cause,
    },
    /// The probe cannot reach the chip.
    #[error("the probe does not reach a {chip}: {source}")]
    Attach {
        /// The chip.
        chip: String,
        /// Why not.
        source: Cause,
    },
    /// The chip is another than was said.
    #[error(
        "the probe is connected to another chip than {chip}, which has an {expected} core: this one is {found}"
    )]
    OtherChip {
        /// The chip that was said.
        chip: String,
        /// The architecture of its core.
        expected: Architecture,
        /// What was found.
        found: Architecture,
    },
    /// The connection to the chip failed.
    #[error("the connection to {chip} failed {during}: {source}")]
    Connection {
        /// The chip.
        chip: String,
        /// What was being done.
        during: &'static str,
        /// What probe-rs said.
        source: Cause,
    },
    /// A place in flash cannot be read, and others can.
    #[error("{chip}: its flash cannot be read at {address:#010x}: {source}")]
    Unreadable {
        /// The chip.
        chip: String,
        /// The place.
        address: u32,
        /// The message of probe-rs.
        source: Cause,
    },
    /// What is in flash is not what was written.
    #[error("{chip}: the flash does not hold what was written to it")]
    Verify {
        /// The chip.
        chip: String,
    },
    /// The firmware does not answer.
    #[error("{chip} was flashed and runs, but its firmware did not answer within {timeout:?}")]
    Silent {
        /// The chip.
        chip: String,
        /// How long it was given.
        timeout: Duration,
    },
    /// No firmware that could be talked with is running.
    #[error("no firmware of tinyspike's runs on {chip}")]
    NotThere {
        /// The chip.
        chip: String,
    },
    /// The firmware speaks another version of the protocol.
    #[error(
        "the firmware of {chip} speaks version {found} of the protocol, and this program {expected}"
    )]
    Protocol {
        /// The chip.
        chip: String,
        /// This program's.
        expected: u16,
        /// The firmware's.
        found: u16,
    },
    /// The device has another image than the one that was written, or cannot use it.
    #[error("{chip} was flashed, but {reason}")]
    Image {
        /// The chip.
        chip: String,
        /// What the device made of it.
        reason: String,
    },
}

fn nearest(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        some => format!("; the nearest are {}", some.join(", ")),
    }
}

fn list(probes: &[ProbeInfo]) -> String {
    let names: Vec<String> = probes.iter().map(ToString::to_string).collect();
    names.join("; ")
}
