//! Fuzz targets: each takes bytes, and states what must hold.

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use tinyspike::assemble::{Image, aligned_copy};
use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::deploy::{DeployOptions, Mode};
use tinyspike::device::{Chips, Layout, LayoutOptions, Region};
use tinyspike::emulate::FanOut;
use tinyspike::model::Model;
use tinyspike::nir::Choices;
use tinyspike::quantize::QuantizeOptions;
use tinyspike::simulate::{Input, InputData, Simulator};
use tinyspike::tensor::Tensor;
use tinyspike::{Network, SimulateOptions, data as samples, import, inspect};
use tinyspike_firmware::kernels::Kernels;
use tinyspike_firmware::{Engine, Inputs, Native, Portable, trace};
use tinyspike_shared::image::{self, Connection, Pre, SourceMap, Transform};
use tinyspike_shared::inputs::Header;
use tinyspike_tests::numbers::Numbers;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{Outcome, parts, seal};

/// The largest arena that is lent to an image.
const MAX_ARENA: usize = 4 << 20;
/// The most sums of an image's step, so that an execution ends soon.
const MAX_WORK: u64 = 4 << 20;
/// The most values of a network that is taken on to an image.
const MAX_VALUES: usize = 1 << 16;

/// The bytes as an image with a right header, if they parse and a step ends soon.
#[must_use]
pub fn runnable(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = seal::seal(bytes);
    let sealed = aligned_copy(&bytes);
    let image = Image::parse(&sealed).ok()?;
    let small = image.arena_bytes() <= MAX_ARENA && work(&image) <= MAX_WORK;
    small.then_some(bytes)
}

/// An image: what parses is run, twice.
pub(crate) fn image(bytes: &[u8]) -> Outcome {
    let sealed = aligned_copy(&seal::seal(bytes));
    let Ok(image) = Image::parse(&sealed) else {
        return Outcome::Refused;
    };
    let small = image::Image::<'_, 4, 6>::parse(&sealed);
    let network = image.description();
    assert_eq!(
        small.is_ok(),
        network.ensembles.len() <= 4 && network.connections.len() <= 6,
        "room decides alone whether a smaller build takes it"
    );
    if image.arena_bytes() > MAX_ARENA || work(&image) > MAX_WORK {
        return Outcome::Accepted;
    }
    let mut numbers = Numbers::new(u64::from(image.header().checksum));
    let values: Vec<Vec<u8>> = (network.inputs.iter())
        .map(|input| {
            let value = |_| match numbers.below(2) {
                0 => input.zero_point,
                _ => numbers.below(usize::from(input.max) + 1) as u8,
            };
            (0..input.size).map(value).collect()
        })
        .collect();
    let given: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let mut arena = vec![0x5a5a_5a5a; image.arena_bytes() / 4];
    let clean = outcome::<Portable>(&image, &mut arena, &given, 3);
    let used = outcome::<Portable>(&image, &mut arena, &given, 3);
    assert_eq!(clean, used, "what an arena holds before does not matter");
    let native = outcome::<Native>(&image, &mut arena, &given, 3);
    assert_eq!(clean, native, "all kernels bring the same");
    let fan_out = FanOut::of(&image);
    assert_eq!(fan_out.ensembles.len(), network.ensembles.len());
    if network.steps <= 3 {
        traced(&image, &mut arena, &values.concat());
    }
    Outcome::Accepted
}

/// The sums and classes of all outputs after so many steps.
fn outcome<K: Kernels<u16> + Kernels<u32>>(
    image: &Image<'_>,
    arena: &mut [u32],
    inputs: &[&[u8]],
    steps: u16,
) -> Vec<(Vec<i32>, Vec<i32>, usize, u32)> {
    let network = image.description();
    let engine = Engine::<K, _, _>::new(image, arena);
    let mut engine = engine.unwrap_or_else(|e| panic!("{e}"));
    let set = engine.set_inputs(inputs);
    assert_eq!(set, Ok(()), "each input is as the image states it");
    let stated = match network.steps {
        0 => steps,
        stated => steps.min(stated),
    };
    let taken = (0..steps).filter(|_| engine.step()).count();
    assert_eq!(taken, usize::from(stated), "no step beyond the image's");
    for (at, e) in network.ensembles.iter().enumerate() {
        let last = engine.potential(at, e.neurons as usize - 1);
        assert_eq!(last.is_none(), e.pools(), "windows have no potential");
        assert_eq!(engine.potential(at, e.neurons as usize), None);
    }
    let outputs = network.outputs.iter().enumerate().map(|(at, o)| {
        let output = engine.output(at);
        assert_eq!(output.sums().len(), o.size as usize);
        assert!(output.class() < o.size as usize);
        let values = output.values().collect();
        (
            output.sums().to_vec(),
            values,
            output.class(),
            output.margin(),
        )
    });
    outputs.collect()
}

/// Writes the trace of one input.
fn traced(image: &Image<'_>, arena: &mut [u32], input: &[u8]) {
    let header = Header {
        count: 1,
        size: input.len() as u32,
    };
    let block = [&header.to_bytes()[..], input].concat();
    let block = Inputs::parse(&block).unwrap_or_else(|e| panic!("{e}"));
    let mut text = String::new();
    let run = trace::run(image, arena, &block, &mut text);
    assert_eq!(run, Ok(()), "the input fits");
    assert!(text.starts_with("image "), "{text}");
}

/// A bound on the sums of a step.
fn work(image: &Image<'_>) -> u64 {
    let network = image.description();
    let of = |c: &Connection| {
        let sources = match c.pre {
            Pre::Input(i) => network.inputs.get(usize::from(i)).map_or(0, |i| i.size),
            Pre::Ensemble(e) | Pre::Counts(e) => network
                .ensembles
                .get(usize::from(e))
                .map_or(0, |e| e.neurons),
        };
        let places = match &c.source {
            SourceMap::Window(w) => [0, 1]
                .map(|axis| u64::from(w.repeat[axis]).min(w.output[axis].into()))
                .iter()
                .product(),
            SourceMap::Direct | SourceMap::Table(_) => 1,
        };
        let targets = match &c.transform {
            Transform::Dense(d) => d.outputs.into(),
            Transform::Convolution(conv) => [0, 1]
                .map(|axis| u64::from(conv.kernel[axis]) + 1)
                .iter()
                .product::<u64>()
                .saturating_mul(conv.row().into()),
        };
        let outputs = match &c.transform {
            Transform::Convolution(conv) => conv.output.map(u64::from).iter().product(),
            Transform::Dense(_) => 0,
        };
        u64::from(sources)
            .saturating_mul(places)
            .saturating_mul(targets)
            .saturating_add(outputs)
    };
    network
        .connections
        .iter()
        .map(of)
        .fold(0, u64::saturating_add)
}

/// A block of inputs in a device's memory.
pub(crate) fn inputs(bytes: &[u8]) -> Outcome {
    let Ok(block) = Inputs::parse(bytes) else {
        return Outcome::Refused;
    };
    let Header { count, size } = block.header();
    assert_eq!(block.iter().len(), count as usize);
    // A block of many inputs of one byte would take long.
    assert!(
        block
            .iter()
            .take(64)
            .all(|input| input.len() == size as usize)
    );
    Outcome::Accepted
}

/// A model's file as it is.
pub(crate) fn model(bytes: &[u8]) -> Outcome {
    match import::load_bytes("fuzz", bytes) {
        Ok(model) => {
            deploy(&model);
            Outcome::Accepted
        }
        Err(error) => refused(&error),
    }
}

/// An ONNX file: what has a model is converted, and deployed if it is small.
pub(crate) fn onnx(bytes: &[u8]) -> Outcome {
    match tinyspike::onnx::load_bytes("fuzz", bytes, None) {
        Ok(import) => {
            deploy(&import.model);
            Outcome::Accepted
        }
        Err(error) => refused(&error),
    }
}

/// A NIR graph: what has a network is simulated for some steps.
pub(crate) fn nir(bytes: &[u8]) -> Outcome {
    let graph = match tinyspike::nir::from_bytes("fuzz", bytes) {
        Ok(graph) => graph,
        Err(error) => return refused(&error),
    };
    let converted = Choices::parse(&graph, &[]).and_then(|choices| graph.convert(&choices));
    let network = match converted {
        Ok(conversion) => conversion.network,
        Err(error) => return refused(&error),
    };
    let _ = inspect::listing(&network).to_string();
    if values(&network) > MAX_VALUES {
        return Outcome::Accepted;
    }
    let inputs: Vec<Input> = (network.inputs.iter())
        .map(|(name, node)| Input {
            name: name.clone(),
            data: InputData::Static(Tensor::filled(vec![1, network.nodes[node.0].size_out], 1.0)),
        })
        .collect();
    let simulated = Simulator::new(&network, &SimulateOptions::default())
        .and_then(|simulator| simulator.predict(&inputs, 3));
    simulated.map_or_else(|error| refused(&error), |_| Outcome::Accepted)
}

/// The values that objects of a network have.
fn values(network: &Network) -> usize {
    let values = network.nodes.iter().map(|n| n.size_out);
    let neurons = network.ensembles.iter().map(|e| e.n_neurons);
    values.chain(neurons).fold(0, usize::saturating_add)
}

/// A `.keras` archive: the configuration and the weights.
pub(crate) fn archive(bytes: &[u8]) -> Outcome {
    let [config, weights] = parts::split(bytes);
    let packed = zip(&[("config.json", config), ("model.weights.h5", weights)]);
    packed.map_or(Outcome::Refused, |packed| model(&packed))
}

/// An archive that stores files as they are.
fn zip(files: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in files {
        zip.start_file(*name, stored).ok()?;
        zip.write_all(content).ok()?;
    }
    Some(zip.finish().ok()?.into_inner())
}

/// A packed SavedModel: the configuration, the checkpoint's table and its values.
pub(crate) fn savedmodel(bytes: &[u8]) -> Outcome {
    let [metadata, index, values] = parts::split(bytes);
    let index = seal::seal_table(index);
    let files: [(&str, &[u8]); 4] = [
        ("m/saved_model.pb", b""),
        ("m/keras_metadata.pb", metadata),
        ("m/variables/variables.index", &index),
        ("m/variables/variables.data-00000-of-00001", values),
    ];
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        if tar.append_data(&mut header, name, content).is_err() {
            return Outcome::Refused;
        }
    }
    let packed = tar.into_inner().and_then(GzEncoder::finish);
    packed.map_or(Outcome::Refused, |packed| model(&packed))
}

/// Takes a model as far as it goes.
fn deploy(model: &Model) {
    let options = ConvertOptions {
        inference_only: true,
        max_to_avg_pool: true,
        ..ConvertOptions::default()
    };
    let conversion = match convert(model, &options) {
        Ok(conversion) => conversion,
        Err(error) => {
            refused(&error);
            return;
        }
    };
    let network = &conversion.network;
    let _ = inspect::listing(network).to_string();
    if values(network) > MAX_VALUES {
        return;
    }
    let mode = Mode::Plain(QuantizeOptions::default());
    match network.deploy(&DeployOptions::new(&mode)) {
        Ok(deployment) => {
            // A deployed image is one, or this panics.
            let _ = deployment.image.image();
        }
        Err(error) => {
            refused(&error);
        }
    }
}

/// Messages are for people: not endless, without control characters.
fn refused(error: &dyn std::error::Error) -> Outcome {
    let text = error.to_string();
    assert!(
        !text.is_empty() && text.len() < 4096,
        "{} bytes",
        text.len()
    );
    Outcome::Refused
}

/// A chip description: every chip has a flash map that can be written and linked, or a reason why not.
pub(crate) fn chips(bytes: &[u8]) -> Outcome {
    let Ok(text) = str::from_utf8(bytes) else {
        return Outcome::Refused;
    };
    let mut chips = Chips::empty();
    if let Err(error) = chips.add_yaml("fuzz", text) {
        let _ = error.to_string();
        return Outcome::Refused;
    }
    let mut outcome = Outcome::Refused;
    for summary in chips.search("") {
        let Ok(chip) = chips.find(&summary.name) else {
            continue;
        };
        let layout = Layout::of(&chip, &LayoutOptions::default());
        assert!(layout.is_err() || summary.refused.is_none(), "{summary:?}");
        let Ok(layout) = layout else {
            continue;
        };
        outcome = Outcome::Accepted;
        let slots = layout.slots;
        let journal = slots.second.into_iter().flat_map(|second| second.journal);
        let parts = [layout.firmware]
            .into_iter()
            .chain(journal)
            .chain([slots.a]);
        let parts: Vec<Region> = parts.chain(slots.second.map(|second| second.b)).collect();
        for part in &parts {
            assert!(part.len > 0 && !part.overlaps(layout.ram), "{layout:?}");
        }
        for pair in parts.windows(2) {
            assert_eq!(pair[0].end(), pair[1].address, "{layout:?}");
        }
        let script = layout.memory().script();
        for line in script.lines() {
            let linker = ["MEMORY", "{", "}", "  FLASH : ", "  RAM : ", "_tinyspike_"];
            let ours = linker.iter().any(|start| line.starts_with(start));
            let plain = line
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || " {}:=,;_".contains(c));
            assert!(ours && plain, "{script}");
        }
    }
    outcome
}

/// A data set: recordings of events, NumPy's or IDX.
pub(crate) fn data(bytes: &[u8]) -> Outcome {
    match samples::Recordings::from_bytes("fuzz", bytes) {
        Ok(Some(recordings)) => {
            let count = recordings.len().min(64);
            return match recordings.frames(&[2, 2, 3], 0.001, Some(4)) {
                Ok(frames) => {
                    let dense = frames.dense(0..count, 9);
                    assert_eq!(dense.shape(), [count, 4, 2, 2, 3]);
                    assert!(dense.data().iter().all(|count| *count >= 0.0));
                    Outcome::Accepted
                }
                Err(error) => refused(&error),
            };
        }
        Ok(None) => {}
        Err(error) => return refused(&error),
    }
    match samples::load_bytes("fuzz", bytes) {
        Ok(set) => {
            let size = set.sample_size();
            assert!(!set.to_floats().iter().any(|x| x.is_nan()));
            assert_eq!(set.to_floats().len(), set.len() * size);
            assert!(set.sample(set.len() - 1).is_some());
            assert!(set.sample(set.len()).is_none());
            assert!(set.labels().is_none_or(|labels| labels.len() == set.len()));
            Outcome::Accepted
        }
        Err(error) => refused(&error),
    }
}
