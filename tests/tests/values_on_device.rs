//! Networks of values, not classes, from a file to an emulated board: a regression and an autoencoder with their
//! errors, and a classifier with tanh and ELU inside.

#![expect(clippy::print_stdout, reason = "the tests say what they measured")]

use std::path::{Path, PathBuf};

use emulated_board::Machine;
use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::data::{self, DataSet};
use tinyspike::device::run::RunReport;
use tinyspike::emulate::{self, EmulateOptions};
use tinyspike::forward::forward;
use tinyspike::import;
use tinyspike::pipeline::samples;
use tinyspike::quantize::QuantizeOptions;
use tinyspike::tensor::Tensor;
use tinyspike_board::firmware::family;
use tinyspike_tests::bench::Bench;
use tinyspike_tests::deployment;
use tinyspike_tests::model::Builder;

const MACHINE: Machine = Machine::Mps2An386;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn set(name: &str) -> DataSet {
    data::load(path(name)).unwrap()
}

/// Figures of a model on a test set that the board measures, after a check that it is the emulator's to the bit.
fn on_board(model: &str, calibration: &DataSet, test: &DataSet, max_count: u8) -> RunReport {
    let model = import::load(&path(&format!("tests/fixtures/keras/{model}"))).unwrap();
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let network = convert(&model, &options).unwrap().network;
    let settings = QuantizeOptions {
        target: family(MACHINE),
        max_count,
        ..QuantizeOptions::default()
    };
    let samples = samples(calibration, calibration.len());
    let built = deployment::plain(&network, Some(&samples), &settings).unwrap();
    let image = built.image.image();
    let bench = Bench::for_image(MACHINE, built.image.bytes());
    bench.flash(built.image.bytes(), true);
    let (report, _) = bench.run(built.image.bytes(), test, false).unwrap();
    assert_eq!(report.divergence, None);
    let all = 0..test.len();
    let emulated = emulate::run(&image, test, all, &EmulateOptions::default(), &|_| ()).unwrap();
    assert_eq!(emulated.trials.len(), report.images);
    report
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_sine_is_near_on_a_board() {
    let test = set("tests/fixtures/data/sine_test.npz").take(60);
    let report = on_board(
        "sine.keras",
        &set("tests/fixtures/data/sine.npz"),
        &test,
        63,
    );
    let error = report.error.unwrap();
    println!("sine: RMS error {:.4}, R2 {:?}", error.rms_error, error.r2);
    assert!(error.rms_error < 0.1, "{error:?}");
    assert!(error.r2.unwrap() > 0.98, "{error:?}");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn an_autoencoder_reconstructs_on_a_board() {
    let test = set("tests/fixtures/data/autoencoder_test.npz").take(40);
    let calibration = set("tests/fixtures/data/autoencoder.npz");
    let report = on_board("autoencoder.keras", &calibration, &test, 63);
    let error = report.error.unwrap();
    println!(
        "autoencoder: RMS error {:.4}, R2 {:?}",
        error.rms_error, error.r2
    );
    assert!(error.r2.unwrap() > 0.8, "{error:?}");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn an_autoencoder_that_ends_in_a_convolution_reconstructs_on_a_board() {
    let test = set("tests/fixtures/data/autoencoder_test.npz").take(40);
    let calibration = set("tests/fixtures/data/autoencoder.npz");
    let report = on_board("autoencoder_conv.keras", &calibration, &test, 63);
    let error = report.error.unwrap();
    println!(
        "autoencoder of convolutions: RMS error {:.4}, R2 {:?}",
        error.rms_error, error.r2
    );
    assert!(error.r2.unwrap() > 0.97, "{error:?}");
}

/// Each place of an output that is a convolution is as near to the model as the first: with biases and without, with one weight
/// scale for all steps.
#[test]
fn places_of_outputs_are_alike() {
    let model = import::load(&path("tests/fixtures/keras/places.keras")).unwrap();
    let network = convert(&model, &ConvertOptions::default()).unwrap().network;
    let values = Builder::new().numbers(300 * 18, 2.0);
    let data = DataSet::new(vec![9, 2], data::Samples::F32(values.clone()), None).unwrap();
    let settings = QuantizeOptions {
        max_count: 63,
        ..QuantizeOptions::default()
    };
    let samples = samples(&data, data.len());
    let built = deployment::plain(&network, Some(&samples), &settings).unwrap();
    let image = built.image.image();
    let options = EmulateOptions {
        record: true,
        ..EmulateOptions::default()
    };
    let run = emulate::run(&image, &data, 0..data.len(), &options, &|_| ()).unwrap();
    let x = Tensor::new(vec![300, 9, 2], values).unwrap();
    let expected = forward(&model, &[x]).unwrap();
    for (at, expected) in expected.iter().enumerate() {
        let size = expected.len() / 300;
        for place in 0..size {
            let (mut error, mut sum, mut squares) = (0.0, 0.0, 0.0);
            for (sample, trial) in run.trials.iter().enumerate() {
                let own = &trial.record.as_ref().unwrap().outputs[at];
                let found = emulate::in_units(&image, at, trial.steps(), own)
                    .nth(place)
                    .unwrap();
                let wanted = f64::from(expected.data()[sample * size + place]);
                error += (found - wanted).powi(2);
                sum += wanted;
                squares += wanted * wanted;
            }
            let variance = squares - sum * sum / 300.0;
            assert!(
                error < 0.01 * variance,
                "output {at}, place {place}: {}",
                error / variance
            );
        }
    }
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn tanh_and_elu_run_on_a_board() {
    let test = set("data/mnist_test10k.npz").take(20);
    let calibration = set("data/mnist_calibration2k.npz").take(200);
    let report = on_board("curves.keras", &calibration, &test, 63);
    let accuracy = report.accuracy.unwrap();
    println!(
        "tanh, ELU and swish: {:.1} % of {}",
        accuracy * 100.0,
        report.images
    );
    assert!(accuracy >= 0.8, "{accuracy}");
}
