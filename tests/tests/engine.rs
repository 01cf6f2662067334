//! The engine computes exactly the integer network that the host states, on random networks, with every kind of
//! kernels that runs on the host.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tinyspike::assemble::{MAX_CONNECTIONS, MAX_ENSEMBLES, assemble};
use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::emulate::Encoder;
use tinyspike::graph::{Source, Target};
use tinyspike::integers::{self, Steps};
use tinyspike::quantize::QuantizeOptions;
use tinyspike::{data, import, pipeline};
use tinyspike_firmware::kernels::Kernels;
use tinyspike_firmware::kernels::families;
use tinyspike_firmware::{Engine, Native, Portable, Swar};
use tinyspike_shared::image::{Charge, Convolution, Neuron, Pre, Transform};
use tinyspike_shared::weights::Layout::{
    Crossed, Halves, Nibbles, Quads, Rows, Tiles, Wide, WidePairs, Windows,
};
use tinyspike_tests::counts::Counts;
use tinyspike_tests::deployment;
use tinyspike_tests::mnist::project;
use tinyspike_tests::network::{
    current_based_networks, dense_networks, endless_networks, exact_networks, inputs,
    mixed_networks, networks, pooled_exact_networks, pooled_networks,
};
use tinyspike_tests::reference::Reference;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn spikes_potentials_and_outputs_equal_the_reference(
        mut network in networks(),
        seed in any::<u64>(),
        narrow in any::<bool>(),
    ) {
        if narrow {
            // Weights of 4 bits, which lie two to a byte.
            let all = network.connections.iter_mut().flat_map(|c| &mut c.weights);
            all.for_each(|w| *w %= 8);
        }
        compare_all(&network, &inputs(&network, seed))?;
    }

    #[test]
    fn exact_networks_equal_the_reference(
        network in prop_oneof![exact_networks(), mixed_networks(), endless_networks()],
        seed in any::<u64>(),
    ) {
        compare_all(&network, &inputs(&network, seed))?;
    }

    #[test]
    fn current_based_networks_equal_the_reference(
        network in current_based_networks(),
        seeds in prop::collection::vec(any::<u64>(), 1..12),
    ) {
        follow::<Portable>(&network, &seeds)?;
        follow::<Native>(&network, &seeds)?;
    }

    #[test]
    fn dense_layers_equal_the_reference(network in dense_networks(), seed in any::<u64>()) {
        compare_all(&network, &inputs(&network, seed))?;
    }

    #[test]
    fn max_pooling_equals_the_reference(
        network in prop_oneof![2 => pooled_networks(), 1 => pooled_exact_networks()],
        seed in any::<u64>(),
    ) {
        compare_all(&network, &inputs(&network, seed))?;
    }
}

/// The bundled networks on real samples.
#[test]
fn trained_networks_equal_the_reference() {
    let options = ConvertOptions {
        inference_only: true,
        max_to_avg_pool: true,
        ..ConvertOptions::default()
    };
    let known = data::load(project("data/mnist_calibration2k.npz")).unwrap();
    let samples = pipeline::samples(&known, 64);
    let test = data::load(project("data/mnist_test10k.npz")).unwrap();
    for (name, count) in [
        ("mnist_small", 8),
        ("mnist_mlp", 8),
        ("mnist_pool_bn", 4),
        ("mnist_forum_kr", 2),
    ] {
        let model = import::load(&project(&format!("models/{name}.keras"))).unwrap();
        let conversion = convert(&model, &options).unwrap();
        for target in [&families::PORTABLE, &families::SWAR, &families::DSP] {
            let options = QuantizeOptions {
                target,
                ..QuantizeOptions::default()
            };
            let built = deployment::plain(&conversion.network, Some(&samples), &options);
            let network = built.unwrap().integers;
            let bytes = assemble(&network).unwrap();
            let image = bytes.image();
            let encoder = Encoder::new(&image, &test).unwrap();
            for sample in 0..count {
                let mut input = Vec::new();
                encoder.encode(test.sample(sample).unwrap(), &mut input);
                compare_all(&network, &[input])
                    .unwrap_or_else(|e| panic!("{name}, {target:?}, sample {sample}: {e}"));
            }
        }
    }
}

/// A chain of layers, the largest of which comes third: in order, the first two take the place that it would fit in.
#[test]
fn the_largest_layer_is_placed_first_if_that_is_less_memory() {
    const SIZES: [usize; 5] = [16, 200, 200, 400, 48];
    let weights = |seed: usize, count: usize| -> Vec<i16> {
        let weight = |at: usize| ((at * 7 + seed * 5) % 11) as i16 - 5;
        (0..count).map(weight).collect()
    };
    let ensemble = |&neurons: &usize| integers::Ensemble {
        label: "layer".into(),
        neurons,
        max_count: 9,
        threshold: vec![90; neurons],
        bias: vec![20; neurons],
        potential_min: -32_000,
        potential_max: 32_000,
        theta: 1.0,
        ..integers::Ensemble::default()
    };
    let connection = |at: usize| {
        let (inputs, outputs) = (SIZES[at], SIZES.get(at + 1).copied().unwrap_or(3));
        integers::Connection {
            dense: false,
            pre: at
                .checked_sub(1)
                .map_or(Source::Input(0), Source::Population),
            post: match at + 1 < SIZES.len() {
                true => Target::Population(at),
                false => Target::Output(0),
            },
            source: integers::Seen::Direct,
            transform: Transform::Convolution(Convolution {
                input: [1, 1, inputs as u16],
                output: [1, 1, outputs as u16],
                kernel: [1, 1],
                stride: [1, 1],
                padding: [0, 0],
                dilation: [1, 1],
                groups: 1,
                filters: outputs as u16,
                first: 0,
            }),
            weights: weights(at, inputs * outputs),
        }
    };
    let network = integers::Network {
        target: &families::DSP,
        steps: Steps::Limited(1),
        inputs: vec![integers::Input {
            label: "in".into(),
            size: SIZES[0],
            scale: 1.0,
            zero_point: 0,
            max: 15,
            channels: Vec::new(),
            coder: None,
        }],
        ensembles: SIZES[1..].iter().map(ensemble).collect(),
        outputs: vec![integers::Output {
            label: "out".into(),
            bias: vec![0; 3],
            multiplier: vec![1; 3],
            scale: 1.0,
            ..integers::Output::default()
        }],
        connections: (0..SIZES.len()).map(connection).collect(),
    };
    let bytes = assemble(&network).unwrap();
    // The third and the second, and three sums.
    assert_eq!(bytes.image().arena_bytes(), 4 * (400 + 200 + 3));
    let input = (0..SIZES[0]).map(|at| (at * 5 % 16) as u8).collect();
    compare_all(&network, &[input]).unwrap();
}

/// Runs a network with every kind of kernels, and by the reference.
fn compare_all(network: &integers::Network, inputs: &[Vec<u8>]) -> Result<(), TestCaseError> {
    compare::<Portable>(network, inputs)?;
    compare::<Native>(network, inputs)?;
    compare::<Swar>(network, inputs)
}

/// Properties of random networks cover every layout of weights that a target has.
#[test]
fn random_networks_have_every_layout() {
    let mut runner = TestRunner::deterministic();
    let mut found = vec![];
    for _ in 0..2500 {
        let network = networks().new_tree(&mut runner).unwrap().current();
        let bytes = assemble(&network).unwrap();
        let image = bytes.image();
        let connections = &image.description().connections;
        found.extend(connections.iter().map(|c| (network.target, c.layout)));
    }
    let all = [Rows, Nibbles, Halves];
    let m0 = [Quads, WidePairs];
    let m4 = [Quads, WidePairs, Wide, Crossed, Windows];
    for (target, special) in [
        (&families::PORTABLE, &[][..]),
        (&families::SWAR, &m0),
        (&families::DSP, &m4),
    ] {
        for &layout in all.iter().chain(special) {
            let count = found.iter().filter(|f| **f == (target, layout)).count();
            assert!(count >= 8, "{count} of {layout:?} for {target:?}");
        }
    }
}

/// Properties of current-based networks cover recurrent neurons whose spikes fit a buffer, and such whose spikes are kept
/// until all have been updated; and those that decay by less than half without a leak, as kernels tell them.
#[test]
fn current_based_networks_have_every_kind() {
    let mut runner = TestRunner::deterministic();
    let mut found = [0; 3];
    for _ in 0..2000 {
        let network = current_based_networks()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        for e in &network.ensembles {
            let Neuron::CubaLif(kind) = e.neuron else {
                continue;
            };
            found[usize::from(kind.defers(e.neurons))] += usize::from(kind.recurrent());
            let slow = kind.shared()
                && kind.charge == Charge::Now
                && kind.is_simple()
                && e.constants[4] == 0
                && e.constants[0] & 0x8000_8000 == 0x8000_8000;
            found[2] += usize::from(slow);
        }
    }
    assert!(found.iter().all(|&count| count >= 8), "{found:?}");
}

/// Properties of dense networks cover dense connections in every layout that a target has for them, grouped and depthwise
/// ones, filters in no blocks, matrices of any size, and counts of pools.
#[test]
fn dense_networks_have_every_kind() {
    let mut runner = TestRunner::deterministic();
    let (mut layouts, mut shapes, mut pools) = (vec![], [0; 5], 0);
    for _ in 0..1000 {
        let network = dense_networks().new_tree(&mut runner).unwrap().current();
        let bytes = assemble(&network).unwrap();
        let image = bytes.image();
        let network_of_image = image.description();
        for c in &network_of_image.connections {
            let Pre::Counts(e) = c.pre else {
                continue;
            };
            layouts.push((network.target, c.layout));
            let conv = match &c.transform {
                Transform::Convolution(conv) => conv,
                Transform::Dense(matrix) => {
                    shapes[3] += usize::from(!matrix.outputs.is_multiple_of(8));
                    shapes[4] += usize::from(!matrix.inputs.is_multiple_of(4));
                    continue;
                }
            };
            shapes[0] += usize::from(conv.groups > 1 && conv.row() == 1);
            shapes[1] += usize::from(conv.groups == 1 && !conv.filters.is_multiple_of(4));
            shapes[2] += usize::from(conv.padding != [0, 0] && conv.stride != [1, 1]);
            pools += usize::from(network_of_image.ensembles[usize::from(e)].pools());
        }
    }
    assert!(shapes.iter().all(|&count| count >= 20), "{shapes:?}");
    assert!(pools >= 20, "{pools}");
    for wanted in [
        (&families::PORTABLE, Rows),
        (&families::SWAR, Rows),
        (&families::DSP, Tiles),
        (&families::DSP, Halves),
        (&families::DSP, Crossed),
    ] {
        let count = layouts.iter().filter(|found| **found == wanted).count();
        assert!(count >= 8, "{count} of {wanted:?}");
    }
}

/// Runs a network of current-based neurons with kernels of one kind and by the reference, with inputs for each step.
fn follow<K>(network: &integers::Network, seeds: &[u64]) -> Result<(), TestCaseError>
where
    K: Kernels<u16> + Kernels<u32>,
{
    let bytes = assemble(network).unwrap();
    let image = bytes.image();
    let mut arena = vec![0xdead_beef; image.arena_bytes() / 4];
    let mut engine: Engine<'_, K, MAX_ENSEMBLES, MAX_CONNECTIONS> =
        Engine::new(&image, &mut arena).unwrap();
    for _ in 0..2 {
        engine.reset();
        let mut reference = Reference::new(network, &inputs(network, seeds[0]));
        for (step, &seed) in seeds.iter().enumerate() {
            let given = inputs(network, seed);
            if step > 0 {
                reference.set(&given);
            }
            let given: Vec<&[u8]> = given.iter().map(Vec::as_slice).collect();
            engine.set_inputs(&given).unwrap();
            agree(&mut engine, &mut reference, network, false)?;
        }
        // Steps without an input.
        for _ in 0..3 {
            agree(&mut engine, &mut reference, network, false)?;
        }
    }
    Ok(())
}

/// Runs a network with kernels of one kind and by the reference, and compares the two after every step.
fn compare<K>(network: &integers::Network, inputs: &[Vec<u8>]) -> Result<(), TestCaseError>
where
    K: Kernels<u16> + Kernels<u32>,
{
    let bytes = assemble(network).unwrap();
    let image = bytes.image();
    let mut arena = vec![0xdead_beef; image.arena_bytes() / 4];
    let mut engine: Engine<'_, K, MAX_ENSEMBLES, MAX_CONNECTIONS> =
        Engine::new(&image, &mut arena).unwrap();
    let given: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let limit = network.steps.limit();
    let steps = limit.unwrap_or(20);
    // Without end nothing but this shows that the second run, after a reset, is the same.
    for _ in 0..if limit.is_none() { 2 } else { 1 } {
        engine.reset();
        engine.set_inputs(&given).unwrap();
        let mut reference = Reference::new(network, inputs);
        for step in 1..=steps {
            agree(&mut engine, &mut reference, network, limit == Some(step))?;
            if step == 1 && limit != Some(1) {
                // An input that is set again between steps replaces itself.
                engine.set_inputs(&given).unwrap();
            }
        }
        // The bounds hold for no more steps.
        prop_assert_eq!(engine.step(), limit.is_none());
    }
    let Some(limit) = limit else {
        return Ok(());
    };
    // A run goes as far as the exit margin lets it.
    let (margin, size) = (
        network.outputs[0].exit_margin,
        network.outputs[0].bias.len(),
    );
    engine.reset();
    engine.set_inputs(&given).unwrap();
    let mut plain = Reference::new(network, inputs);
    let mut steps = 0;
    loop {
        plain.step();
        steps += 1;
        let mut values: Vec<i64> = (0..size)
            .map(|i| {
                let output = &network.outputs[0];
                let product = plain.sums[0][i] * i64::from(output.multiplier[i]);
                // Half up, exactly, and no further than 32 bits.
                let value = (2 * product + (1 << output.shift)) >> (output.shift + 1);
                value.clamp(i32::MIN.into(), i32::MAX.into())
            })
            .collect();
        values.sort_unstable();
        let leads =
            size > 1 && margin > 0 && values[size - 1] - values[size - 2] >= i64::from(margin);
        if leads || steps == limit {
            break;
        }
    }
    prop_assert_eq!(engine.infer(&mut ()), steps);
    prop_assert_eq!(&sums(&engine), &plain.sums[0]);
    Ok(())
}

fn sums<K>(engine: &Engine<'_, K, MAX_ENSEMBLES, MAX_CONNECTIONS>) -> Vec<i64>
where
    K: Kernels<u16> + Kernels<u32>,
{
    let output = engine.output(0);
    output.sums().iter().map(|&s| i64::from(s)).collect()
}

/// A step of both: the same spikes and values, and unless it is the last one the same potentials.
fn agree<K>(
    engine: &mut Engine<'_, K, MAX_ENSEMBLES, MAX_CONNECTIONS>,
    reference: &mut Reference<'_>,
    network: &integers::Network,
    last: bool,
) -> Result<(), TestCaseError>
where
    K: Kernels<u16> + Kernels<u32>,
{
    let sizes = network.ensembles.iter().map(|e| vec![0; e.neurons]);
    let mut counts = Counts(sizes.collect());
    prop_assert!(engine.step_probed(&mut counts));
    prop_assert_eq!(&counts.0, &reference.step());
    prop_assert_eq!(&sums(engine), &reference.sums[0]);
    if last {
        return Ok(());
    }
    for (e, ensemble) in network.ensembles.iter().enumerate() {
        for i in 0..ensemble.neurons {
            let threshold = match ensemble.neuron {
                // Theirs have decayed already; spikes and outputs say what they are.
                Neuron::CubaLif(_) => continue,
                Neuron::Lif(_) => 0,
                _ => ensemble.threshold[i % ensemble.threshold.len()],
            };
            let Some(stored) = engine.potential(e, i) else {
                prop_assert!(matches!(ensemble.neuron, Neuron::Pool(_)));
                continue;
            };
            let potential = reference.potentials[e][i] - i64::from(threshold);
            prop_assert_eq!(i64::from(stored), potential);
            if network.steps == Steps::Endless {
                let limits = ensemble.potential_min..=ensemble.potential_max;
                prop_assert!(limits.contains(&stored));
            }
        }
    }
    Ok(())
}

/// Networks without end, on inputs that change, step for step what they are in 64 bits: nothing has left a word.
fn stream(kind: impl Strategy<Value = integers::Network>, networks: usize, steps: u32) {
    let mut runner = TestRunner::deterministic();
    let spiking = kind.prop_filter("neurons", |n| !n.ensembles.is_empty());
    for at in 0..networks {
        let network = spiking.new_tree(&mut runner).unwrap().current();
        let bytes = assemble(&network).unwrap();
        let image = bytes.image();
        let mut arena = vec![0; image.arena_bytes() / 4];
        let mut engine = Engine::<Native, _, _>::new(&image, &mut arena).unwrap();
        let mut reference = Reference::new(&network, &inputs(&network, 0));
        for step in 0..steps {
            // Sometimes the largest inputs, for long.
            if step % 50 == 0 {
                let mut inputs = inputs(&network, step.into());
                if step % 200 == 0 {
                    inputs[0].fill(network.inputs[0].max);
                }
                let given: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
                engine.set_inputs(&given).unwrap();
                reference.set(&inputs);
            }
            agree(&mut engine, &mut reference, &network, false)
                .unwrap_or_else(|e| panic!("network {at}, step {step}: {e}"));
        }
    }
}

#[test]
fn streams_equal_the_reference() {
    stream(endless_networks(), 6, 400);
    stream(current_based_networks(), 12, 400);
}

#[test]
#[ignore = "takes minutes: cargo xtask soak"]
fn long_streams_equal_the_reference() {
    stream(endless_networks(), 40, 30_000);
    stream(current_based_networks(), 40, 30_000);
}
