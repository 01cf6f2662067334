//! Calibration block by block, balanced channels, fitted roundings, and tuning on other data than images.

mod npz;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use npyz::WriterBuilder as _;
use npz::{Npz, path};
use tinyspike::assemble::assemble;
use tinyspike::balance::balance;
use tinyspike::calibrate::{
    Blocks, CalibrateError, FileBlocks, Samples, calibrate, calibrate_blocks, forward,
};
use tinyspike::compensate::{Reference, compensate};
use tinyspike::convert::{ActivationType, ConvertOptions, convert};
use tinyspike::data::{self, DataError, DataSet};
use tinyspike::deploy::{DeployOptions, Mode, Stage};
use tinyspike::emulate::{EmulateOptions, emulate, run};
use tinyspike::graph::{
    Dense, Graph, Input, LinearMap, Link, Neuron, Output, Population, Readout, Source, SourceMap,
    Target,
};
use tinyspike::import;
use tinyspike::integers;
use tinyspike::integrate::integrate_and_fire;
use tinyspike::lower::lower;
use tinyspike::model::{Activation, Model};
use tinyspike::network::{Network, NeuronType, Synapse};
use tinyspike::pipeline::samples;
use tinyspike::quantize::{QuantizeOptions, quantize};
use tinyspike::report::Budgets;
use tinyspike::tensor::Tensor;
use tinyspike::tune::{TuneOptions, tune};
use tinyspike::{Advice, Advised};
use tinyspike_tests::model::Builder;
use zip::write::SimpleFileOptions;

const BYTE: f32 = 1.0 / 255.0;
/// Two orders of float32 sums.
const EXACT: f32 = 1e-4;
const SIDE: usize = 6;
const MANY: usize = 100_000;

/// One hidden layer on images of `SIDE` x `SIDE`.
fn small() -> Graph {
    let (inputs, hidden) = (SIDE * SIDE, 5);
    let number = |i: usize| ((i * 37 + 11) % 97) as f32 / 48.0 - 1.0;
    let dense = |outputs: usize, inputs: usize| {
        let data = (0..outputs * inputs).map(number).collect();
        LinearMap::Dense(Dense {
            weights: Tensor::new(vec![outputs, inputs], data).unwrap(),
            first: 0,
        })
    };
    let link = |pre, post, map| Link {
        pre,
        post,
        source: SourceMap::Direct,
        map,
        synapse: None,
    };
    Graph {
        inputs: vec![Input {
            label: "in".into(),
            shape: vec![SIDE, SIDE],
        }],
        populations: vec![Population {
            label: "hidden".into(),
            neurons: hidden,
            shape: [1, 1, hidden],
            channels: hidden,
            bias: vec![0.1; hidden],
            delayed_bias: Vec::new(),
            neuron: Neuron::IntegrateAndFire,
            ceiling: None,
            ensemble: None,
        }],
        outputs: vec![Output {
            label: "out".into(),
            bias: vec![0.0; 2],
            readout: Readout::Sum,
            left_out: None,
        }],
        links: vec![
            link(
                Source::Input(0),
                Target::Population(0),
                dense(hidden, inputs),
            ),
            link(Source::Population(0), Target::Output(0), dense(2, hidden)),
        ],
    }
}

fn pixel(at: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// The bytes of a `.npy` array of 100,000 images, made as they are written.
fn write_images(mut file: impl Write) {
    let size = SIDE * SIDE;
    let mut array = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&[MANY as u64, SIDE as u64, SIDE as u64])
        .writer(&mut file)
        .begin_nd()
        .unwrap();
    array.extend((0..MANY * size).map(pixel)).unwrap();
    array.finish().unwrap();
}

fn archive(path: &Path, method: zip::CompressionMethod) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(method);
    zip.start_file("x.npy", options).unwrap();
    write_images(&mut zip);
    zip.start_file("y.npy", options).unwrap();
    let mut labels = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&[MANY as u64])
        .writer(&mut zip)
        .begin_nd()
        .unwrap();
    labels.extend((0..MANY).map(|i| (i % 2) as u8)).unwrap();
    labels.finish().unwrap();
    zip.finish().unwrap();
}

fn idx(path: &Path) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    file.write_all(&[0, 0, 8, 3]).unwrap();
    for axis in [MANY, SIDE, SIDE] {
        file.write_all(&(axis as u32).to_be_bytes()).unwrap();
    }
    let pixels: Vec<u8> = (0..MANY * SIDE * SIDE).map(pixel).collect();
    file.write_all(&pixels).unwrap();
}

#[test]
fn a_hundred_thousand_samples_are_calibrated_on_in_blocks_as_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let stored = folder.path().join("stored.npz");
    let deflated = folder.path().join("deflated.npz");
    let images = folder.path().join("train-images-idx3-ubyte");
    archive(&stored, zip::CompressionMethod::Stored);
    archive(&deflated, zip::CompressionMethod::Deflated);
    idx(&images);

    let graph = small();
    let whole = data::load(&stored).unwrap();
    assert_eq!(whole.len(), MANY);
    let in_memory = calibrate(&graph, &samples(&whole, MANY), &|_| {}).unwrap();
    assert_eq!(in_memory.samples, MANY);
    for path in [&stored, &deflated, &images] {
        let blocks = FileBlocks {
            path: path.clone(),
            byte_scale: Some(BYTE),
            limit: None,
        };
        // Never more than a block is there at a time.
        let (mut most, mut count) = (0, 0);
        blocks
            .for_each(&mut |block| {
                most = most.max(block.count);
                count += block.count;
                Ok(())
            })
            .unwrap();
        assert!(most <= 1024, "{most} samples at once");
        assert_eq!(count, MANY);
        let found = calibrate_blocks(&graph, &blocks, &|_| {}).unwrap();
        assert_eq!(found, in_memory, "{}", path.display());
    }

    let few = data::load_at_most(&deflated, 1000).unwrap();
    let every: Vec<usize> = (0..1000).map(|k| k * 100).collect();
    assert_eq!(few, whole.select(&every).unwrap());
    // A limit chooses the same, for a file that is sorted by class has other classes at its end.
    let blocks = FileBlocks {
        path: deflated.clone(),
        byte_scale: Some(BYTE),
        limit: Some(1000),
    };
    let limited = calibrate_blocks(&graph, &blocks, &|_| {}).unwrap();
    assert_eq!(limited.samples, 1000);
    let in_memory = calibrate(&graph, &samples(&few, 1000), &|_| {}).unwrap();
    assert_eq!(limited.inputs, in_memory.inputs);
    // Squares are summed in other blocks.
    for (a, b) in limited.populations.iter().zip(&in_memory.populations) {
        assert_eq!((a.max, a.zeros), (b.max, b.zeros));
    }
    assert_eq!(data::load_at_most(&stored, MANY * 2).unwrap(), whole);
}

#[test]
fn what_is_wrong_with_a_file_is_found_in_blocks_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut.npy");
    let mut bytes = Vec::new();
    write_images(&mut bytes);
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&file, &bytes).unwrap();
    let blocks = FileBlocks {
        path: file.clone(),
        byte_scale: Some(BYTE),
        limit: None,
    };
    let error = calibrate_blocks(&small(), &blocks, &|_| {}).unwrap_err();
    assert!(matches!(
        error,
        CalibrateError::Data(DataError::Damaged { .. })
    ));
    assert_eq!(data::about(&file).unwrap().count, MANY);
    // A few samples are at even distances: they need the whole file, too.
    let limit = Some(500);
    let few = FileBlocks { limit, ..blocks };
    let error = calibrate_blocks(&small(), &few, &|_| {}).unwrap_err();
    assert!(matches!(
        error,
        CalibrateError::Data(DataError::Damaged { .. })
    ));
}

fn mnist(name: &str) -> Graph {
    let model = import::load(&path(name)).unwrap();
    let options = ConvertOptions {
        inference_only: true,
        max_to_avg_pool: true,
        ..ConvertOptions::default()
    };
    lowered(&model, &options)
}

fn lowered(model: &Model, options: &ConvertOptions) -> Graph {
    let network = convert(model, options).unwrap().network;
    integrate_and_fire(&lower(&network).unwrap()).unwrap()
}

fn digits() -> DataSet {
    data::load(path("data/mnist_calibration2k.npz")).unwrap()
}

#[test]
fn balancing_leaves_the_network_as_it_is_and_evens_out_its_channels() {
    for name in ["models/mnist_small.keras", "models/mnist_pool_bn.keras"] {
        let graph = mnist(name);
        let seen = samples(&digits(), 64);
        let calibration = calibrate(&graph, &seen, &|_| {}).unwrap();
        let balanced = balance(&graph, &calibration, 1.0);
        let (a, b) = (
            forward(&graph, &[&seen.inputs[0]], seen.count).unwrap(),
            forward(&balanced.graph, &[&seen.inputs[0]], seen.count).unwrap(),
        );
        for (a, b) in a.outputs[0].iter().zip(&b.outputs[0]) {
            assert!(
                (a - b).abs() <= EXACT * a.abs().max(1.0),
                "{name}: {a} is not {b}"
            );
        }
        assert!(balanced.factors.iter().any(|f| !f.is_empty()), "{name}");
        let after = calibrate(&balanced.graph, &seen, &|_| {}).unwrap();
        for (at, factors) in balanced.factors.iter().enumerate() {
            if factors.is_empty() {
                continue;
            }
            let spread = |channels: &[tinyspike::calibrate::Channel]| {
                let sizes: Vec<f64> = channels
                    .iter()
                    .filter(|c| c.active > 1000)
                    .map(|c| (c.squares / c.active as f64).sqrt())
                    .collect();
                let most = sizes.iter().copied().fold(0.0, f64::max);
                most / sizes.iter().copied().fold(f64::INFINITY, f64::min)
            };
            let [was, is] = [&calibration, &after].map(|c| spread(&c.populations[at].channels));
            assert!(
                is <= was && is < 1.1 || was < 1.1,
                "{name}: {was} became {is}"
            );
        }
        assert_eq!(
            balance(&graph, &calibration, 0.0).factors,
            vec![Vec::<f32>::new(); graph.populations.len()]
        );
    }
}

/// The root mean squared error of a network's outputs, relative to the float network's.
fn output_error(graph: &Graph, network: &integers::Network, set: &DataSet) -> f64 {
    let bytes = assemble(network).unwrap();
    let image = bytes.image();
    let options = EmulateOptions::default();
    let trials = run(&image, set, 0..set.len(), &options, &|_| {})
        .unwrap()
        .trials;
    let float = forward(graph, &[&set.to_floats()], set.len()).unwrap();
    let unit = network.outputs[0].scale / f64::from(network.steps.limit().unwrap());
    let (mut error, mut signal) = (0.0, 0.0);
    let shown = trials.iter().flat_map(|t| &t.outputs);
    for (shown, y) in shown.zip(&float.outputs[0]) {
        let difference = f64::from(*shown) * unit - f64::from(*y);
        error += difference * difference;
        signal += f64::from(y * y);
    }
    (error / signal).sqrt()
}

#[test]
fn fitted_roundings_make_errors_smaller_on_other_samples() {
    for name in ["models/mnist_small.keras", "models/mnist_pool_bn.keras"] {
        let graph = mnist(name);
        let set = digits();
        let calibration = calibrate(&graph, &samples(&set, 256), &|_| {}).unwrap();
        let reference = Reference::new(&graph, samples(&set, 256)).unwrap();
        let others: Vec<usize> = (1000..1200).collect();
        let others = set.select(&others).unwrap();
        for weight_bits in [8, 4] {
            let options = QuantizeOptions {
                steps: 1,
                weight_bits,
                ..QuantizeOptions::default()
            };
            let nearest = quantize(&graph, &calibration, &options).unwrap();
            let fitted =
                |round| compensate(&graph, &calibration, &options, &reference, round).unwrap();
            let [nearest, biases, rounded] =
                [&nearest, &fitted(false), &fitted(true)].map(|n| output_error(&graph, n, &others));
            let all = format!("{name}, {weight_bits} bits: {nearest}, {biases}, {rounded}");
            // With 8 bits most of the error is that of counts, which no rounding of weights takes back.
            assert!(rounded < nearest, "{all}");
            if weight_bits == 4 {
                assert!(rounded < nearest * 0.9 && rounded < biases * 0.9, "{all}");
            }
            let most = fitted(true)
                .connections
                .iter()
                .flat_map(|c| &c.weights)
                .map(|w| w.unsigned_abs())
                .max();
            assert!(most <= Some((1 << (weight_bits - 1)) - 1));
        }
    }
}

#[test]
fn an_output_behind_a_relu_is_never_below_zero() {
    let mut graph = mnist("models/mnist_mlp.keras");
    let (hidden, output) = (graph.populations.len() - 1, graph.outputs.len());
    let size = graph.populations[hidden].neurons;
    let mut identity = vec![0.0; size * size];
    (0..size).for_each(|at| identity[at * (size + 1)] = 1.0);
    graph.outputs.push(Output {
        label: "rectified".into(),
        bias: vec![0.0; size],
        readout: Readout::Sum,
        left_out: None,
    });
    graph.links.push(Link {
        pre: Source::Population(hidden),
        post: Target::Output(output),
        source: SourceMap::Direct,
        map: LinearMap::Dense(Dense {
            weights: Tensor::new(vec![size, size], identity).unwrap(),
            first: 0,
        }),
        synapse: None,
    });
    let seen = samples(&digits(), 256);
    let calibration = calibrate(&graph, &seen, &|_| {}).unwrap();
    let reference = Reference::new(&graph, seen).unwrap();
    for steps in [1, 4] {
        let options = QuantizeOptions {
            steps,
            ..QuantizeOptions::default()
        };
        let network = compensate(&graph, &calibration, &options, &reference, false).unwrap();
        assert!(network.outputs[output].bias.iter().all(|&bias| bias >= 0));
        // Those that may be below zero are fitted.
        let plain = quantize(&graph, &calibration, &options).unwrap();
        assert_ne!(network.outputs[0].bias, plain.outputs[0].bias);
    }
}

#[test]
fn tuning_works_on_series() {
    let model = import::load(&path("tests/fixtures/keras/conv1d_series.keras")).unwrap();
    let options = ConvertOptions {
        inference_only: true,
        swap_activations: [Activation::Tanh, Activation::Sigmoid]
            .map(|a| (a.into(), ActivationType::from(Activation::Relu)))
            .to_vec(),
        ..ConvertOptions::default()
    };
    let graph = lowered(&model, &options);
    let x = Npz::open("tests/fixtures/data/series_test.npz").tensor("x");
    let (shape, size) = (x.shape()[1..].to_vec(), x.len() / x.shape()[0]);
    let set = |values: &[f32]| {
        DataSet::new(shape.clone(), data::Samples::F32(values.to_vec()), None).unwrap()
    };
    let (seen, unseen) = x.data().split_at(300 * size);
    let options = TuneOptions {
        max_drop: 0.04,
        evaluations: 8,
        ..TuneOptions::default()
    };
    let found = tune(&graph, &set(seen), &options, &|_| {}, None).unwrap();
    assert!(found.tuning.kept, "{}", found.tuning);
    // Against the float network on series that tuning has not seen.
    let values = forward(&graph, &[unseen], unseen.len() / size).unwrap();
    let classes = graph.outputs[0].bias.len();
    let wanted = values.outputs[0].chunks(classes).map(|y| {
        let best = (0..classes).fold(0, |b, i| if y[i] > y[b] { i } else { b });
        best as u32
    });
    let labelled = DataSet::new(
        shape.clone(),
        data::Samples::F32(unseen.to_vec()),
        Some(wanted.collect()),
    );
    let image = found.image.image();
    let report = emulate(
        &image,
        &labelled.unwrap(),
        &EmulateOptions::default(),
        &|_| {},
    )
    .unwrap();
    assert!(
        report.accuracy.unwrap() >= 0.95,
        "{}\n{report:?}",
        found.tuning
    );
}

#[test]
fn tuning_keeps_the_error_of_a_single_value() {
    let mut b = Builder::new();
    let x = b.input(&[12, 2]);
    let c = b.conv(x, 6, &[3]);
    let f = b.flatten(c, tinyspike::model::DataFormat::ChannelsLast);
    let d = b.dense(f, 8, Activation::Relu);
    let y = b.dense(d, 1, Activation::Linear);
    let noise: Vec<f32> = b.numbers(400 * 24, 1.0).iter().map(|v| v.abs()).collect();
    let model = b.finish(&[y]);
    let graph = lowered(&model, &ConvertOptions::default());
    let set = |values: &[f32]| {
        DataSet::new(vec![12, 2], data::Samples::F32(values.to_vec()), None).unwrap()
    };
    let (seen, unseen) = noise.split_at(200 * 24);
    for max_error in [0.1, 0.05] {
        let options = TuneOptions {
            max_error,
            ..TuneOptions::default()
        };
        let found = tune(&graph, &set(seen), &options, &|_| {}, None).unwrap();
        assert!(found.tuning.scalar && found.tuning.kept, "{}", found.tuning);
        assert!(found.tuning.to_string().contains("standard deviation"));
        let values = forward(&graph, &[unseen], 200)
            .unwrap()
            .outputs
            .swap_remove(0);
        let mean = values.iter().sum::<f32>() / 200.0;
        let variance = values.iter().map(|y| (y - mean).powi(2)).sum::<f32>();
        let size = values.iter().map(|y| y * y).sum::<f32>();
        let relative = f64::from((size / variance).sqrt());
        let error = output_error(&graph, &found.integers, &set(unseen)) * relative;
        assert!(error <= max_error * 1.25, "{error}: {}", found.tuning);
    }
}

#[test]
fn samples_in_memory_are_one_block() {
    let samples = Samples {
        inputs: vec![vec![0.5; SIDE * SIDE * 3]],
        count: 3,
    };
    let blocks = calibrate_blocks(&small(), &samples, &|_| {}).unwrap();
    assert_eq!(blocks, calibrate(&small(), &samples, &|_| {}).unwrap());
}

/// Samples that count how often they are gone through.
struct Counted<'a>(&'a DataSet, AtomicUsize);

impl Blocks for Counted<'_> {
    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Samples) -> Result<(), CalibrateError>,
    ) -> Result<(), CalibrateError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.for_each(visit)
    }
}

/// Progress of deploying is true: samples are read twice, of an exact image once.
#[test]
fn samples_are_read_as_often_as_progress_says() {
    let model = import::load(&path("models/mnist_mlp.keras")).unwrap();
    let relu = NeuronType::SpikingRectifiedLinear { amplitude: 1.0 };
    let options = ConvertOptions {
        inference_only: true,
        swap_activations: vec![(Activation::Relu.into(), relu.into())],
        ..ConvertOptions::default()
    };
    let network = convert(&model, &options).unwrap().network;
    let set = digits().take(300);
    for (mode, times) in [
        (Mode::Plain(QuantizeOptions::default()), 2),
        (Mode::Exact(QuantizeOptions::exact()), 1),
    ] {
        let data = Counted(&set, AtomicUsize::new(0));
        let done = AtomicU64::new(0);
        let progress = |n| {
            done.fetch_add(n, Ordering::Relaxed);
        };
        let options = DeployOptions {
            progress: &progress,
            ..DeployOptions::new(&mode).with_data(&data)
        };
        let deployment = network.deploy(&options).unwrap();
        assert_eq!(data.1.into_inner(), times);
        assert_eq!(done.into_inner(), 300 * times as u64);
        let calibration = &deployment.calibration;
        assert_eq!(calibration.inputs[0].max, 1.0);
        // The ranges of an exact image do not rest on activations, and its report shows none.
        let exact = times == 1;
        let json = serde_json::to_value(&deployment.report).unwrap();
        for layer in json["layers"].as_array().unwrap() {
            assert_eq!(layer.get("largest").is_none(), exact, "{layer}");
            assert_eq!(layer.get("density").is_none(), exact, "{layer}");
        }
        assert_eq!(
            deployment.report.to_string().contains(" -  "),
            exact,
            "{}",
            deployment.report
        );
        let tuned = Mode::Tuned(TuneOptions::default());
        let error = network.deploy(&DeployOptions::new(&tuned)).unwrap_err();
        assert_eq!(error.stage(), Stage::Tune);
    }
}

/// Errors say stage, layer and advice as data.
#[test]
fn deployment_errors_are_data() {
    let model = import::load(&path("models/mnist_mlp.keras")).unwrap();
    let converted = |options: ConvertOptions| {
        let options = ConvertOptions {
            inference_only: true,
            ..options
        };
        convert(&model, &options).unwrap().network
    };
    let plain = Mode::Plain(QuantizeOptions::default());
    let exact = Mode::Exact(QuantizeOptions::exact());
    let failed = |network: &Network, mode: &Mode, budgets: Budgets| {
        let options = DeployOptions::new(mode);
        let error = network.deploy(&DeployOptions { budgets, ..options });
        let error = error.unwrap_err();
        assert!(!error.to_string().contains("--"), "{error}");
        (
            error.stage(),
            error.layer().map(str::to_owned),
            error.advice(),
        )
    };
    let rates = converted(ConvertOptions::default());
    let swap = Advice::SwapActivation {
        from: Some("relu".into()),
        to: Some("spiking-relu".into()),
    };
    assert_eq!(
        failed(&rates, &exact, Budgets::default()),
        (
            Stage::Quantize,
            Some("dense.0".into()),
            vec![swap, Advice::NotExact]
        )
    );
    let filtered = converted(ConvertOptions {
        synapse: Some(Synapse::Lowpass { tau: 0.005 }),
        ..ConvertOptions::default()
    });
    let (stage, layer, advice) = failed(&filtered, &plain, Budgets::default());
    assert_eq!(
        (stage, advice),
        (Stage::Lower, vec![Advice::NoSynapse, Advice::Exact])
    );
    assert!(layer.is_some());
    let small = Budgets {
        flash: Some(1000),
        ..Budgets::default()
    };
    assert_eq!(
        failed(&rates, &plain, small),
        (Stage::Budget, None, vec![Advice::SmallerImage])
    );
}
