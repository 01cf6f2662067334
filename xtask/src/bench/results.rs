//! All that the suite measures, as `benches/results.json` keeps it.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tinyspike::bench::Report;
use tinyspike_board::{Failure, shell};

use super::argument;
use super::host::HostResults;
use super::micro::Micro;

/// All that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Results {
    /// The commit of the source; with `+` if files had been changed.
    pub(super) commit: String,
    /// The compiler of the firmware.
    pub(super) rustc: String,
    /// The emulator.
    pub(super) qemu: String,
    /// Minutes that all of it took, converting the networks and building programs included.
    #[serde(default)]
    pub(super) minutes: f64,
    pub(super) networks: Vec<NetworkResults>,
    /// `mnist_small` as an exact image, on this machine.
    #[serde(default)]
    #[serde(rename = "faithful")]
    pub(super) exact: Option<HostResults>,
    /// Parts of the work alone, on the Cortex-M4.
    #[serde(default)]
    pub(super) micro: Vec<Micro>,
}

/// One network on all its boards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NetworkResults {
    pub(super) network: String,
    pub(super) steps: u16,
    pub(super) max_count: u8,
    pub(super) boards: Vec<BoardResults>,
    /// Speeds on this machine, for information: they are other numbers in every run.
    pub(super) host: HostResults,
}

/// One network on one board.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BoardResults {
    pub(super) report: Report,
    /// Estimated cycles of an inference, if there is a model of the processor.
    pub(super) estimated_cycles: Option<f64>,
    /// The rival's instructions.
    pub(super) rival_instructions: Option<u64>,
    /// The rival's cycles by a like estimate.
    pub(super) rival_cycles: Option<u64>,
}

impl Results {
    /// The file that keeps them.
    pub(super) fn path() -> PathBuf {
        shell::root().join("benches/results.json")
    }

    /// Those that are kept.
    pub(super) fn stored() -> Result<Self, Failure> {
        let path = Self::path();
        let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
        serde_json::from_str(&text)
            .map_err(|e| Failure::Argument(format!("{}: {e}", path.display())))
    }

    /// Keeps them.
    pub(super) fn store(&self) -> Result<(), Failure> {
        let path = Self::path();
        let mut json = serde_json::to_string_pretty(self).map_err(argument)?;
        json.push('\n');
        fs::write(&path, json).map_err(Failure::file(&path))
    }
}
