//! The tool as it is released: it converts the networks, and shows how fast its emulator is on this machine and
//! how accurate an image is on all test samples.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use tinyspike::ImageBuf;
use tinyspike_board::{Failure, shell};

use super::argument;

/// Test samples of a run with one thread.
const ONE_THREAD: &str = "1000";
/// Threads of the other run.
const THREADS: usize = 2;
/// Parts of a second in which Linux states a process's times.
const TICKS: f64 = 100.0;

/// The emulator's speed on the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HostResults {
    /// The share of all test samples whose class is the label's.
    pub(super) accuracy: Option<f64>,
    pub(super) images_per_second_one_thread: f64,
    pub(super) image_steps_per_second_one_thread: f64,
    pub(super) images_per_second_all_threads: f64,
    pub(super) image_steps_per_second_all_threads: f64,
    pub(super) threads: usize,
    /// Image-steps that the run with all threads took in a second of a core's time, loading the data included;
    /// `None` if the system does not tell.
    #[serde(default)]
    pub(super) image_steps_per_cpu_second: Option<f64>,
}

/// Output of the tool for a run.
#[derive(Deserialize)]
struct Printed {
    images: usize,
    accuracy: Option<f64>,
    steps_mean: f64,
    images_per_second: f64,
}

/// The tool, as it is released.
pub(super) struct Tool(PathBuf);

impl Tool {
    /// Builds it.
    pub(super) fn build() -> Result<Self, Failure> {
        shell::run(shell::cargo().args(["build", "--release", "--package", "tinyspike"]))?;
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| shell::root().join("target"), PathBuf::from);
        let name = format!("tinyspike{}", std::env::consts::EXE_SUFFIX);
        Ok(Self(target.join("release").join(name)))
    }

    /// A network as tuning finds it for a processor, one of the tool's.
    pub(super) fn tuned(
        &self,
        network: &str,
        calibration: &Path,
        target: &str,
    ) -> Result<ImageBuf, Failure> {
        self.convert(network, calibration, &["--tune", "--target", target])
    }

    /// A network as an exact image: spiking rectified neurons of 100 times the rates behind a Lowpass of 5 ms, 50
    /// steps.
    pub(super) fn exact(&self, network: &str, calibration: &Path) -> Result<ImageBuf, Failure> {
        let swap = ["--swap-activation", "relu=spiking-relu"];
        let rates = ["--scale-firing-rates", "100", "--synapse", "0.005"];
        let steps = ["--exact", "--steps", "50"];
        self.convert(network, calibration, &[&steps[..], &swap, &rates].concat())
    }

    /// Converts a bundled network, with some more arguments.
    fn convert(
        &self,
        network: &str,
        calibration: &Path,
        arguments: &[&str],
    ) -> Result<ImageBuf, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::file(Path::new("a temporary folder")))?;
        let image = folder.path().join("image");
        let model = shell::root().join("models").join(network);
        let mut command = Command::new(&self.0);
        command
            .arg("convert")
            .arg(model.with_extension("keras"))
            .arg("--calibration")
            .arg(calibration)
            .arg("--inference-only")
            .args(arguments)
            .arg("--output")
            .arg(&image);
        shell::run(&mut command)?;
        ImageBuf::load(&image).map_err(argument)
    }

    /// Emulates all samples with two threads, and some with one.
    pub(super) fn emulate(&self, image: &ImageBuf, samples: &Path) -> Result<HostResults, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::file(Path::new("a temporary folder")))?;
        let path = folder.path().join("image");
        image.save(&path).map_err(argument)?;
        let run = |threads: usize, limit: Option<&str>| {
            let mut command = Command::new(&self.0);
            command
                .env("RAYON_NUM_THREADS", threads.to_string())
                .arg("emulate")
                .arg(&path)
                .arg("--data")
                .arg(samples)
                .arg("--json");
            if let Some(limit) = limit {
                command.args(["--limit", limit]);
            }
            let before = children_seconds();
            let text = shell::read(&mut command).ok_or_else(|| Failure::Missing {
                what: format!("a run of {}", self.0.display()),
                advice: "run it by hand to see why it fails".into(),
            })?;
            let seconds = children_seconds().zip(before).map(|(a, b)| a - b);
            let printed: Printed = serde_json::from_str(&text).map_err(argument)?;
            Ok::<_, Failure>((printed, seconds))
        };
        let (one, _) = run(1, Some(ONE_THREAD))?;
        let (all, seconds) = run(THREADS, None)?;
        let steps = all.images as f64 * all.steps_mean;
        Ok(HostResults {
            accuracy: all.accuracy,
            images_per_second_one_thread: one.images_per_second,
            image_steps_per_second_one_thread: one.images_per_second * one.steps_mean,
            images_per_second_all_threads: all.images_per_second,
            image_steps_per_second_all_threads: all.images_per_second * all.steps_mean,
            threads: THREADS,
            image_steps_per_cpu_second: seconds.filter(|s| *s > 0.0).map(|s| steps / s),
        })
    }
}

/// Cores' time of the processes that this one has waited for, as Linux tells it.
fn children_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, which may hold spaces; the two are the 16th and 17th.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(13);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}
