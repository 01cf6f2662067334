//! Crates with the engine, for Cortex-M.

use std::fmt::Write as _;

use tinyspike_board::shell;
use tinyspike_firmware::parts::Parts;

use super::Model;
use super::project::{Keep, Project};
use crate::assemble::Image;
use crate::emulate::HostEngine;

/// A firmware in the way of `examples/embed`, with the parts of the engine that the image needs on any core.
pub(super) fn project(model: &Model<'_>) -> Project {
    let (image, name) = (model.image, &model.options.name);
    let network = image.description();
    let mut project = Project::default();
    let families = tinyspike_firmware::kernels::families::ALL;
    let mut features: Vec<&str> = families
        .iter()
        .flat_map(|family| Parts::needed(image, family).features())
        .collect();
    features.sort_unstable();
    features.dedup();
    let features: Vec<String> = features.iter().map(|part| format!("{part:?}")).collect();
    let firmware = shell::root().join("firmware");
    let path = if firmware.join("Cargo.toml").is_file() {
        format!(", path = {:?}", firmware.display().to_string())
    } else {
        String::new()
    };
    let manifest = format!(
        "[package]\n\
         name = \"{name}\"\n\
         description = \"A firmware with the model {name}\"\n\
         version = \"0.1.0\"\n\
         edition = \"2024\"\n\
         publish = false\n\n\
         [dependencies]\n\
         cortex-m = {{ version = \"0.7\", features = [\"critical-section-single-core\"] }}\n\
         cortex-m-rt = \"0.7\"\n\
         cortex-m-semihosting = \"0.6\"\n\
         panic-halt = \"1\"\n\
         # The features are the parts of the engine that this model needs.\n\
         tinyspike-firmware = {{ version = \"{}\"{path}, default-features = false, features = [{}] }}\n\n\
         [profile.release]\n\
         lto = true\n\
         codegen-units = 1\n\n\
         # It is built for microcontrollers only, so it is no part of a workspace around it.\n\
         [workspace]\n",
        env!("CARGO_PKG_VERSION"),
        features.join(", ")
    );
    project.add("Cargo.toml", manifest, Keep::Keep);
    project.add("build.rs", include_str!("rust/build_script"), Keep::Keep);
    project.add("memory.x", include_str!("rust/memory.x"), Keep::Keep);
    let main = include_str!("rust/main_rs")
        .replace("@ARENA@", &(image.arena_bytes() / 4).max(1).to_string())
        .replace("@ENSEMBLES@", &network.ensembles.len().max(1).to_string())
        .replace(
            "@CONNECTIONS@",
            &network.connections.len().max(1).to_string(),
        );
    project.add("src/main.rs", main, Keep::Keep);
    project.add("src/sample.rs", sample(model), Keep::Replace);
    project.add("model.tsp", image.bytes(), Keep::Replace);
    project
}

/// The frames of the sample, and a hash of all outputs after each.
fn sample(model: &Model<'_>) -> String {
    let sample = model.sample;
    let (count, size) = (
        sample.frames.len(),
        sample.frames.first().map_or(0, Vec::len),
    );
    let digests: Vec<String> = digests(model.image, &sample.frames)
        .iter()
        .map(|digest| format!("{digest:#010x}"))
        .collect();
    let mut text = format!(
        "//! A sample, and what the emulator makes of it. Made by `tinyspike export`: export it again, do not change this file.\n\n\
         /// FNV-1a over the words of all outputs, after each frame.\n\
         pub static DIGESTS: [u32; {count}] = [{}];\n\n\
         /// One frame for an inference; in a stream one for each step.\n\
         pub static FRAMES: [[u8; {size}]; {count}] = [\n",
        digests.join(", ")
    );
    for frame in &sample.frames {
        let _ = writeln!(text, "    {frame:?},");
    }
    text + "];\n"
}

fn digests(image: &Image<'_>, frames: &[Vec<u8>]) -> Vec<u32> {
    let mut arena = vec![0u32; image.arena_bytes() / 4];
    // The arena has the size that the image states, and the sample has run before.
    let Ok(mut engine) = HostEngine::new(image, &mut arena) else {
        return Vec::new();
    };
    let network = image.description();
    let each = frames.iter().map(|frame| {
        let inputs = tinyspike_firmware::trace::split(&network.inputs, frame);
        let _ = engine.set_inputs(&inputs);
        engine.infer(&mut ());
        let values = (0..network.outputs.len()).flat_map(|at| engine.output(at).values());
        values.fold(2_166_136_261u32, |hash, value| {
            (hash ^ value as u32).wrapping_mul(16_777_619)
        })
    });
    each.collect()
}
