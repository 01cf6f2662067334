//! Coders: an image that makes events of samples is the image of these events, on all data.

use std::path::{Path, PathBuf};

use tinyspike::coder::{CoderError, CoderOptions, prepare};
use tinyspike::data::{self, DataSet, Samples};
use tinyspike::emulate::coder_of;
use tinyspike::nir::{self, Choices};
use tinyspike::quantize::QuantizeOptions;
use tinyspike::simulate::Run;
use tinyspike::stream::{self, StreamOptions};
use tinyspike::{DeployOptions, ImageBuf, Mode, Network};
use tinyspike_tests::model::Builder;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/nir")
        .join(name)
}

fn network(name: &str, semantics: &str) -> Network {
    let graph = nir::load(&fixture(name)).unwrap();
    let choices = Choices::parse(&graph, &[semantics.to_owned()]).unwrap();
    graph.convert(&choices).unwrap().network
}

/// Recordings of channels that walk at random, in steps of very different sizes.
fn walks(samples: usize, steps: usize, channels: usize, seed: usize) -> DataSet {
    let mut random = Builder::new();
    // Another part of the same numbers for each seed.
    random.numbers(1000 * seed, 1.0);
    let mut values = Vec::new();
    for _ in 0..samples {
        let mut at = random.numbers(channels, 3.0);
        for _ in 0..steps {
            for v in &mut at {
                *v = (*v + random.number().powi(5)).clamp(-4.0, 4.0);
            }
            values.extend(&at);
        }
    }
    DataSet::new(vec![steps, channels], Samples::F32(values), None).unwrap()
}

fn image(network: &Network, options: &DeployOptions<'_>) -> ImageBuf {
    network.deploy(options).unwrap().image
}

/// Records of a run: outputs, spikes and potentials.
fn shown(run: &Run) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let probes = run.probes.iter().map(|p| p.values.data().to_vec());
    let ensembles = run
        .ensembles
        .iter()
        .flat_map(|e| [&e.counts, &e.potentials]);
    let ensembles = ensembles.map(|values| values.as_ref().unwrap().data().to_vec());
    (probes.collect(), ensembles.collect())
}

/// Checks that an image with a coder does on samples what one without does on their events.
fn check(network: &Network, coder: &str, raw: &DataSet, steps: usize) {
    let options: CoderOptions = coder.parse().unwrap();
    let (coder, coded) = prepare(network, &options, raw, steps).unwrap();
    let mode = Mode::Exact(QuantizeOptions {
        weight_bits: 8,
        ..QuantizeOptions::exact()
    });
    let plain = DeployOptions::new(&mode).with_data(&coded);
    let without = image(network, &plain);
    let with = image(
        network,
        &DeployOptions {
            coder: Some(coder.clone()),
            ..plain
        },
    );
    assert_eq!(coder_of(&with.image()), Some(coder.clone()));
    assert_eq!(coder_of(&without.image()), None);
    let options = StreamOptions {
        record: true,
        ..StreamOptions::default()
    };
    let all = 0..raw.len();
    let [found, expected] = [(&with, raw), (&without, &coded)].map(|(image, data)| {
        shown(&stream::run(&image.image(), data, all.clone(), steps, options).unwrap())
    });
    assert!(found == expected, "{coder}");
    let events: u32 = match coded.samples() {
        Samples::U8(counts) => counts.iter().map(|&c| u32::from(c)).sum(),
        Samples::F32(_) => 0,
    };
    assert!(events > 100, "{coder}: {events} events");
}

#[test]
fn deltas_are_the_events_that_the_host_makes() {
    let network = network("snntorch_watch_rleaky.nir", "snntorch");
    for (seed, coder) in [
        (1, "delta:0.1"),
        (2, "delta:0.05:3"),
        (3, "delta:0.1,0.2,0.3,0.02,1,0.5:255"),
    ] {
        check(&network, coder, &walks(6, 90, 6, seed), 90);
    }
}

#[test]
fn whole_numbers_stay_as_they_are() {
    let network = network("snntorch_watch_rleaky.nir", "snntorch");
    let raw = walks(4, 50, 6, 4);
    let Samples::F32(values) = raw.samples() else {
        panic!("floats")
    };
    let whole = values.iter().map(|v| (v * 8000.0).round()).collect();
    let raw = DataSet::new(vec![50, 6], Samples::F32(whole), None).unwrap();
    let coder: CoderOptions = "delta:300:2".parse().unwrap();
    let (made, _) = prepare(&network, &coder, &raw, 50).unwrap();
    assert_eq!(made.unit(), 1.0);
    check(&network, "delta:300:2", &raw, 50);
}

/// Rates of recordings, and of pictures that stay.
#[test]
fn rates_are_the_events_that_the_host_makes() {
    let network = network("snntorch_watch_rleaky.nir", "snntorch");
    let raw = walks(4, 60, 12, 5);
    check(&network, "rate", &raw, 60);
    let Samples::F32(values) = raw.samples() else {
        panic!("floats")
    };
    let pictures = values.iter().take(12 * 8).map(|v| v.abs()).collect();
    let pictures = DataSet::new(vec![12], Samples::F32(pictures), None).unwrap();
    check(&network, "rate", &pictures, 40);
}

#[test]
fn what_is_no_coder_is_said() {
    let refused = |text: &str| text.parse::<CoderOptions>().unwrap_err().to_string();
    assert!(refused("gamma").contains("delta:0.1,0.3:2"));
    assert!(refused("delta:").contains("delta:"));
    assert!(refused("delta:1:0").contains("is no coder"));
    assert!(refused("delta:1:2:3").contains("is no coder"));
    assert!(refused("delta:-1").contains("not above 0"));
    let network = network("snntorch_watch_rleaky.nir", "snntorch");
    let with = |text: &str, data: &DataSet| {
        let coder: CoderOptions = text.parse().unwrap();
        prepare(&network, &coder, data, 10).unwrap_err()
    };
    let (found, channels) = (2, 6);
    assert_eq!(
        with("delta:1,2", &walks(1, 9, 6, 1)),
        CoderError::Thresholds { found, channels }
    );
    assert!(matches!(
        with("delta:0.0001", &walks(1, 9, 6, 1)),
        CoderError::Range { .. }
    ));
    assert!(
        with("delta:1", &walks(1, 9, 5, 1))
            .to_string()
            .contains("5 values")
    );
    assert!(
        with("rate", &walks(1, 9, 6, 1))
            .to_string()
            .contains("has 12")
    );
}

/// A network of pictures takes no events.
#[test]
fn other_networks_take_no_coder() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/mnist_small.keras");
    let model = tinyspike::Model::load(&model).unwrap();
    let options = tinyspike::ConvertOptions {
        inference_only: true,
        ..tinyspike::ConvertOptions::default()
    };
    let network = model.convert(&options).unwrap().network;
    let data = data::load(fixture("../data/sine.npz")).unwrap();
    let coder = CoderOptions::Rate.fit(&data, 1).unwrap();
    let options = DeployOptions {
        coder: Some(coder),
        ..DeployOptions::plain()
    };
    let error = network.deploy(&options).unwrap_err().to_string();
    assert!(error.contains("networks over time"), "{error}");
}
