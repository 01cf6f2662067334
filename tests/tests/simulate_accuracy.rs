//! Accuracy and firing rates against NengoDL's, over scales, synapses and neuron types.
//!
//! A sample of the table runs by default. The whole table is `docs/accuracy-vs-nengodl.md`; to check
//! it, or with `UPDATE_DOCS=1` to write it:
//! `cargo test --release -p tinyspike-tests --test simulate_accuracy -- --ignored`.

mod npz;

use std::fmt::Write;

use npz::{Npz, path};
use tinyspike::convert::{self, ConvertOptions, ScaleFiringRates};
use tinyspike::import;
use tinyspike::model::{Activation, Model};
use tinyspike::network::{NeuronType, Synapse};
use tinyspike::simulate::{
    InitialVoltage, Input, InputData, Readout, Run, SimulateOptions, Simulator, accuracy,
};
use tinyspike::tensor::Tensor;

/// NengoDL counted spikes on this many of the images.
fn rate_images(model: &str) -> usize {
    match model {
        "mnist_mlp" | "mnist_mlp_nodropout" => 100,
        "mnist_forum_kr" => 10,
        _ => 50,
    }
}

const STEPS: usize = 60;

/// One line of NengoDL's tables.
struct Golden {
    model: String,
    variant: String,
    scale: f32,
    tau: Option<f64>,
    images: usize,
    /// Last and mean of ten after 10, 30 and 60 steps; of a rate network, the last after one.
    accuracies: Vec<f64>,
    rates: Vec<(String, f64)>,
}

fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for c in line.trim_end().chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

fn table(model: &str) -> Vec<Golden> {
    let name = format!("tests/fixtures/golden/accuracy/grid_{model}.csv");
    let text = std::fs::read_to_string(path(&name)).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            let f = fields(line);
            let accuracies = if f[1] == "rate_relu" {
                &f[6..7]
            } else {
                &f[9..15]
            };
            let rates = f[7].trim_matches(['{', '}']).split(", ");
            Golden {
                model: f[0].clone(),
                variant: f[1].clone(),
                scale: f[2].parse().unwrap_or(1.0),
                tau: f[3].parse().ok(),
                images: f[4].parse().unwrap(),
                accuracies: accuracies.iter().map(|a| a.parse().unwrap()).collect(),
                rates: rates
                    .filter_map(|pair| {
                        let (label, rate) = pair.split_once(": ")?;
                        Some((label.trim_matches('\'').to_owned(), rate.parse().unwrap()))
                    })
                    .collect(),
            }
        })
        .collect()
}

fn load(model: &str) -> Model {
    let file = match model {
        "mnist_mlp_nodropout" => format!("tests/fixtures/keras/{model}.keras"),
        _ => format!("models/{model}.keras"),
    };
    import::load(&path(&file)).unwrap()
}

/// The first images of the MNIST test set, as the models take them.
struct Images {
    x: Vec<f32>,
    labels: Vec<u32>,
}

fn images() -> Images {
    let mut npz = Npz::open("data/mnist_test10k.npz");
    let labels = npz.tensor("y");
    Images {
        x: npz.tensor("x").data().iter().map(|v| v / 255.0).collect(),
        labels: labels.data().iter().map(|v| *v as u32).collect(),
    }
}

/// Measures a line in the simulator: accuracies, and rates over the first images.
fn measure(model: &Model, golden: &Golden, images: &Images) -> (Vec<f64>, Vec<(String, f64)>) {
    let lif = |amplitude| NeuronType::Lif {
        tau_rc: 0.02,
        tau_ref: 0.002,
        min_voltage: 0.0,
        amplitude,
    };
    let neuron_type = match golden.variant.as_str() {
        "rate_relu" => None,
        "LIF" => Some(lif(1.0)),
        "LIF_amp0.01" => Some(lif(0.01)),
        "LIFRate" => Some(NeuronType::LifRate {
            tau_rc: 0.02,
            tau_ref: 0.002,
            amplitude: 1.0,
        }),
        spiking => {
            assert!(spiking.starts_with("SpikingReLU"), "{spiking}");
            Some(NeuronType::SpikingRectifiedLinear { amplitude: 1.0 })
        }
    };
    let options = ConvertOptions {
        inference_only: true,
        nengo_dl_compat: true,
        max_to_avg_pool: true,
        swap_activations: (neuron_type.clone().into_iter())
            .map(|n| (Activation::Relu.into(), n.into()))
            .collect(),
        scale_firing_rates: ScaleFiringRates::All(golden.scale),
        synapse: golden.tau.map(|tau| Synapse::Lowpass { tau }),
        ..ConvertOptions::default()
    };
    let conversion = convert::convert(model, &options).unwrap();
    let options = SimulateOptions {
        initial_voltage: if golden.variant.ends_with("v0zero") {
            InitialVoltage::Zero
        } else {
            InitialVoltage::Uniform { seed: 0 }
        },
        ..SimulateOptions::default()
    };
    let simulator = Simulator::new(&conversion.network, &options).unwrap();
    let run = |n: usize, steps: usize| -> Run {
        let x = Tensor::new(vec![n, 28, 28, 1], images.x[..n * 784].to_vec()).unwrap();
        let input = Input {
            name: simulator.inputs()[0].to_owned(),
            data: InputData::Static(x),
        };
        simulator.predict(&[input], steps).unwrap()
    };
    let labels = &images.labels[..golden.images];
    if neuron_type.is_none() {
        let run = run(golden.images, 1);
        let right = accuracy(&run.probes[0].values, labels, 1, Readout::Last).unwrap();
        return (vec![right], Vec::new());
    }
    let whole = run(golden.images, STEPS);
    let accuracies = [10, 30, STEPS]
        .into_iter()
        .flat_map(|steps| [(steps, Readout::Last), (steps, Readout::Mean(10))])
        .map(|(steps, readout)| accuracy(&whole.probes[0].values, labels, steps, readout).unwrap())
        .collect();
    let few = run(rate_images(&golden.model), STEPS);
    let rates = few
        .ensembles
        .iter()
        .filter_map(|e| Some((e.label.clone(), few.rate(e)?)))
        .collect();
    (accuracies, rates)
}

/// The largest difference in accuracy, in images.
fn images_apart(golden: &Golden, accuracies: &[f64]) -> f64 {
    assert_eq!(accuracies.len(), golden.accuracies.len());
    (accuracies.iter().zip(&golden.accuracies))
        .map(|(a, b)| (a - b).abs() * golden.images as f64)
        .fold(0.0, f64::max)
        .round()
}

/// The largest difference in rate, in Hz; the tables have four decimals.
fn rates_apart(golden: &Golden, rates: &[(String, f64)]) -> Option<f64> {
    let pairs = rates.iter().filter_map(|(label, rate)| {
        let (_, expected) = golden.rates.iter().find(|(l, _)| l == label)?;
        Some((rate - expected).abs())
    });
    pairs.reduce(f64::max)
}

/// Rectifiers leave only sums of floats to differ: at most this many images may fall to the other
/// side, if two classes are all but equal.
const IMAGES_APART: f64 = 1.0;

#[test]
fn sample() {
    let images = images();
    for (name, wanted) in [
        (
            "mnist_small",
            &[
                ("rate_relu", 1.0, None),
                ("SpikingReLU", 100.0, None),
                ("SpikingReLU", 100.0, Some(0.005)),
                ("SpikingReLU_v0zero", 50.0, Some(0.005)),
                ("SpikingReLU_syn20ms", 100.0, Some(0.02)),
            ][..],
        ),
        (
            "mnist_mlp_nodropout",
            &[
                ("SpikingReLU", 10.0, Some(0.005)),
                ("SpikingReLU", 250.0, None),
            ][..],
        ),
        ("mnist_mlp", &[("SpikingReLU", 50.0, Some(0.005))][..]),
    ] {
        let model = load(name);
        let table = table(name);
        for (variant, scale, tau) in wanted {
            let golden = table
                .iter()
                .find(|g| g.variant == *variant && g.scale == *scale && g.tau == *tau)
                .unwrap();
            let (accuracies, rates) = measure(&model, golden, &images);
            let apart = images_apart(golden, &accuracies);
            assert!(
                apart <= IMAGES_APART,
                "{name} {variant} {scale} {tau:?}: {apart} images apart: {accuracies:?}"
            );
            if let Some(apart) = rates_apart(golden, &rates) {
                assert!(apart < 1e-3, "{name} {variant} {scale}: {apart} Hz apart");
            }
        }
    }
}

/// The table of the documentation, from a run of every line.
#[test]
#[ignore = "runs 77 settings: minutes, in a release build"]
fn whole_table() {
    let images = images();
    let mut text = String::from(
        "# Accuracy against NengoDL

Spiking accuracy of this repository's float simulator and of NengoDL 3.6.0 for the same models and
settings, after 60 steps of 1 ms. Both ran on the first 1000 images of the MNIST test set (500 for
mnist_pool_bn and mnist_forum_kr).

- *Scale* is `scale_firing_rates`.
- *Last* decides by the output of the last step, *mean 10* by the mean of the last ten.
- Each pair is tinyspike / NengoDL.
- *Images* is the largest number of images by which any accuracy after 10, 30 or 60 steps differs.
- *Hz* is the largest difference between the ensembles' mean firing rates on the first 50 images
  (100 for the mnist_mlp models, 10 for mnist_forum_kr).

Both convert with `inference_only` and `max_to_avg_pool`. tinyspike adds `nengo_dl_compat`, so that the
networks are the same: mnist_mlp's dropout is a tensor node, to which NengoDL puts no synapse. Voltages
are drawn from seed 0, or start at 0 if the variant says so.

`cargo test --release -p tinyspike-tests --test simulate_accuracy -- --ignored` checks this file
against a run; with `UPDATE_DOCS=1` it writes it.

| model | variant | scale | synapse | last | mean 10 | images | Hz |
|---|---|---|---|---|---|---|---|
",
    );
    for name in [
        "mnist_small",
        "mnist_mlp_nodropout",
        "mnist_mlp",
        "mnist_pool_bn",
        "mnist_forum_kr",
    ] {
        let model = load(name);
        for golden in table(name) {
            let (accuracies, rates) = measure(&model, &golden, &images);
            let apart = images_apart(&golden, &accuracies);
            let pair = |i: usize| match (accuracies.get(i), golden.accuracies.get(i)) {
                (Some(ours), Some(theirs)) => format!("{ours:.3} / {theirs:.3}"),
                _ => String::new(),
            };
            let last = accuracies.len().saturating_sub(2);
            let tau = golden
                .tau
                .map_or("none".to_owned(), |t| format!("{} ms", t * 1e3));
            let hz = rates_apart(&golden, &rates).map_or(String::new(), |hz| format!("{hz:.4}"));
            writeln!(
                text,
                "| {} | {} | {} | {tau} | {} | {} | {apart} | {hz} |",
                golden.model,
                golden.variant,
                golden.scale,
                pair(last),
                pair(last + 1),
            )
            .unwrap();
        }
    }
    let file = path("docs/accuracy-vs-nengodl.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file, text).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(file).unwrap(), text);
    }
}
