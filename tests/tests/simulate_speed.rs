//! Speed of the simulator: `cargo test --release -p tinyspike-tests --test simulate_speed -- --ignored
//! --nocapture`.

mod npz;

use npz::{Npz, path};
use tinyspike::convert::{self, ConvertOptions, ScaleFiringRates};
use tinyspike::import;
use tinyspike::model::Activation;
use tinyspike::network::{NeuronType, Synapse};
use tinyspike::simulate::{Input, InputData, SimulateOptions, Simulator};
use tinyspike::tensor::Tensor;

/// NengoDL on two cores: 5,004 image-steps per second of this network in batches of 100, and 749 of
/// single images.
#[test]
#[expect(clippy::print_stdout, reason = "the measured speed is what it is for")]
#[ignore = "a measurement, for release builds on an idle machine"]
fn mnist_small_at_50_steps() {
    let model = import::load(&path("models/mnist_small.keras")).unwrap();
    let x = Npz::open("data/mnist_test10k.npz").tensor("x");
    let images = 2000;
    let data = x.data()[..images * 784].iter().map(|v| v / 255.0).collect();
    let all = Tensor::new(vec![images, 28, 28, 1], data).unwrap();
    let one = Tensor::new(vec![1, 28, 28, 1], all.data()[..784].to_vec()).unwrap();
    for synapse in [None, Some(Synapse::Lowpass { tau: 0.005 })] {
        let options = ConvertOptions {
            inference_only: true,
            swap_activations: vec![(
                Activation::Relu.into(),
                NeuronType::SpikingRectifiedLinear { amplitude: 1.0 }.into(),
            )],
            scale_firing_rates: ScaleFiringRates::All(100.0),
            synapse,
            ..ConvertOptions::default()
        };
        let conversion = convert::convert(&model, &options).unwrap();
        let simulator = Simulator::new(&conversion.network, &SimulateOptions::default()).unwrap();
        for (what, x, repetitions, least) in [
            ("2000 images", &all, 5, 100_000.0),
            ("1 image", &one, 100, 15_000.0),
        ] {
            let inputs = [Input {
                name: simulator.inputs()[0].to_owned(),
                data: InputData::Static(x.clone()),
            }];
            let mut best = 0.0f64;
            for _ in 0..repetitions {
                let run = simulator.predict(&inputs, 50).unwrap();
                best = best.max(run.item_steps_per_second());
            }
            println!("{what}, {synapse:?}: {best:.0} image-steps/s");
            assert!(best >= least, "{best} image-steps/s of {what}");
        }
    }
}
