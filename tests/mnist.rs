//! Images of `mnist_small`, a network that was trained on real data.

use std::path::{Path, PathBuf};

use tinyspike::ImageBuf;
use tinyspike::calibrate::Blocks;
use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::data;
use tinyspike::pipeline;
use tinyspike::quantize::QuantizeOptions;

use crate::deployment;

/// A file of the project, by its path from the project's root.
#[must_use]
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The image of `mnist_small`, calibrated on the first `samples` of the bundled set; with bounds from its
/// weights if there are none.
///
/// # Panics
/// If the bundled files are not there, or are not deployed.
#[must_use]
pub fn small(samples: Option<usize>, options: &QuantizeOptions) -> ImageBuf {
    let model = tinyspike::import::load(&project("models/mnist_small.keras"))
        .expect("the bundled model is read");
    let options_of_conversion = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let conversion = convert(&model, &options_of_conversion).expect("the bundled model converts");
    let samples = samples.map(|limit| {
        let known = data::load(project("data/mnist_calibration2k.npz"));
        pipeline::samples(&known.expect("the bundled set is read"), limit)
    });
    let data = samples.as_ref().map(|s| s as &dyn Blocks);
    let deployment = deployment::plain(&conversion.network, data, options);
    deployment.expect("the bundled model is deployed").image
}
