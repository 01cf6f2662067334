//! Tuning, early exit, budgets, reports and NeuroBench's columns, end to end.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use proptest::prelude::*;
use tinyspike::assemble::assemble;
use tinyspike::calibrate::calibrate;
use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::data::{self, DataSet, Samples};
use tinyspike::emulate::{EmulateOptions, emulate};
use tinyspike::graph::{Graph, Source, Target};
use tinyspike::import;
use tinyspike::integers;
use tinyspike::integrate::integrate_and_fire;
use tinyspike::lower::lower;
use tinyspike::pipeline::{float_accuracy, samples};
use tinyspike::quantize::{QuantizeOptions, quantize};
use tinyspike::report::{Budgets, report};
use tinyspike::tune::{Candidate, Elsewhere, Point, Task, TuneError, TuneOptions, Tuned, tune};
use tinyspike_tests::network::{inputs, networks};
use tinyspike_tests::reference::{Reference, send};

fn graph() -> Graph {
    let bytes = include_bytes!("../../models/mnist_mlp.keras");
    let model = import::load_bytes("mnist_mlp.keras", bytes).unwrap();
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let lowered = lower(&convert(&model, &options).unwrap().network).unwrap();
    integrate_and_fire(&lowered).unwrap()
}

fn calibration() -> DataSet {
    let bytes = include_bytes!("../../data/mnist_calibration2k.npz");
    data::load_bytes("calibration", bytes).unwrap().take(800)
}

fn test_set() -> DataSet {
    let bytes = include_bytes!("../../data/mnist_test10k.npz");
    data::load_bytes("test", bytes).unwrap().take(2000)
}

fn options() -> TuneOptions {
    TuneOptions {
        max_drop: 0.01,
        evaluations: 10,
        ..TuneOptions::default()
    }
}

fn tuned(data: &DataSet, options: &TuneOptions) -> Tuned {
    tune(&graph(), data, options, &|_| {}, None).unwrap()
}

#[test]
fn tuning_keeps_the_accuracy_on_other_data_and_is_reproducible() {
    let found = tuned(&calibration(), &options());
    assert!(found.tuning.kept);
    assert!(found.tuning.chosen.instructions * 4.0 < found.tuning.dense_instructions);
    let again = tuned(&calibration(), &options());
    assert_eq!(found.image.bytes(), again.image.bytes());

    // Nothing on the front is beaten by what was chosen.
    assert!(
        found
            .tuning
            .front
            .iter()
            .any(|p| p.setting == found.tuning.chosen.setting)
    );

    let test = test_set();
    let image = found.image.image();
    let run = |early_exit| {
        let options = EmulateOptions {
            early_exit,
            ..EmulateOptions::default()
        };
        emulate(&image, &test, &options, &|_| {}).unwrap()
    };
    let float = float_accuracy(&graph(), &test, &|_| {}).unwrap();
    let early = run(true);
    assert!(early.accuracy.unwrap() > float.unwrap() - 0.02);
    assert!(early.synaptic_ops_per_image < 1500.0);
    // Where it may stop early it does, and saves work.
    if found.tuning.chosen.setting.exit_margin > 0 {
        let whole = run(false);
        assert!(early.steps_mean < whole.steps_mean);
        assert!(early.events_per_image < whole.events_per_image);
        assert_eq!(whole.steps_max, found.tuning.chosen.setting.steps);
    }
    let text = found.tuning.to_string();
    for part in [
        "chosen",
        "standard error",
        "instructions",
        "computing everything",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

/// Runs candidates as another process would, and leaves every third to the search.
struct Other {
    task: Task,
    asked: AtomicUsize,
}

impl Elsewhere for Other {
    fn run(&self, candidates: &[Candidate]) -> Vec<Option<Option<Point>>> {
        let outcomes = candidates.iter().map(|candidate| {
            // What travels between processes comes back as it was.
            let bytes = postcard::to_stdvec(candidate).unwrap();
            let candidate: Candidate = postcard::from_bytes(&bytes).unwrap();
            let run = !self.asked.fetch_add(1, Relaxed).is_multiple_of(3);
            run.then(|| self.task.run(&candidate).unwrap())
        });
        outcomes.collect()
    }
}

#[test]
fn candidates_that_run_elsewhere_change_nothing() {
    let data = calibration().take(200);
    let options = TuneOptions {
        steps: Some(2),
        ..options()
    };
    let here = tuned(&data, &options);
    let other = Other {
        task: Task::new(&graph(), &data, &options).unwrap(),
        asked: AtomicUsize::new(0),
    };
    let there = tune(&graph(), &data, &options, &|_| {}, Some(&other)).unwrap();
    assert_eq!(here.image.bytes(), there.image.bytes());
    assert_eq!(here.tuning.front, there.tuning.front);
    assert_eq!(here.tuning.candidates, there.tuning.candidates);
    assert!(other.asked.into_inner() > options.evaluations);
}

#[test]
fn fixed_settings_stay_fixed() {
    let options = TuneOptions {
        steps: Some(3),
        max_count: Some(2),
        early_exit: false,
        ..options()
    };
    let found = tuned(&calibration(), &options);
    assert_eq!(found.integers.steps.limit(), Some(3));
    assert!(found.integers.ensembles.iter().all(|e| e.max_count == 2));
    assert_eq!(found.integers.outputs[0].exit_margin, 0);
    assert_eq!(found.tuning.chosen.steps_mean, 3.0);
}

#[test]
fn without_labels_the_float_network_is_the_judge() {
    let labelled = calibration();
    let data = DataSet::new(labelled.shape().to_vec(), labelled.samples().clone(), None).unwrap();
    let found = tuned(&data, &options());
    assert_eq!(found.tuning.float_accuracy, None);
    assert_eq!(found.tuning.chosen.paired.gained, 0);
    assert!(found.tuning.to_string().contains("agreement"));
}

#[test]
fn budgets_are_kept_or_refused_with_the_largest_parts() {
    let budgets = Budgets {
        ram: Some(300),
        flash: Some(50_000),
    };
    let options = TuneOptions {
        budgets,
        ..options()
    };
    let error = tune(&graph(), &calibration(), &options, &|_| {}, None).unwrap_err();
    assert!(matches!(error, TuneError::Budget(_)));
    let text = error.to_string();
    // The narrowest potentials of 256 neurons are too many.
    assert!(
        text.contains("needs 552 bytes of RAM, 252 more than the 300"),
        "{text}"
    );
    assert!(text.contains("\"dense.0\" (512 bytes)"), "{text}");

    // Of two budgets that cannot be kept, an image comes as close as it can.
    let both = Budgets {
        ram: Some(600),
        ..budgets
    };
    let options = TuneOptions {
        budgets: both,
        ..self::options()
    };
    let error = tune(&graph(), &calibration(), &options, &|_| {}, None).unwrap_err();
    assert!(
        error.to_string().contains("2068 more than the 50000"),
        "{error}"
    );

    let found = tuned(&calibration(), &self::options());
    let image = found.image.image();
    let flash = Budgets {
        ram: None,
        ..budgets
    };
    let text = flash.check(&image).unwrap_err().to_string();
    assert!(text.contains("bytes of flash"), "{text}");
    assert!(text.contains("(100352 bytes)"), "{text}");
    let enough = Budgets {
        ram: Some(image.arena_bytes() as u64),
        flash: Some(image.bytes().len() as u64),
    };
    assert_eq!(enough.check(&image), Ok(()));
}

#[test]
fn a_report_describes_every_layer() {
    let graph = graph();
    let samples = samples(&calibration(), 200);
    let calibration = calibrate(&graph, &samples, &|_| {}).unwrap();
    let quantized = quantize(&graph, &calibration, &QuantizeOptions::default()).unwrap();
    let bytes = assemble(&quantized).unwrap();
    let image = bytes.image();
    let report = report(&graph, &calibration, &quantized, &image, &[]);
    assert_eq!(report.ram_bytes, image.arena_bytes());
    for c in &report.connections {
        let db = c.sqnr_db.unwrap();
        // Input weights use part of int8 only: a threshold has at most 12 bits.
        let least = if c.pre == report.inputs[0].label {
            15.0
        } else {
            30.0
        };
        assert!((least..60.0).contains(&db), "{db} dB for int8 weights");
        assert_eq!(c.clipped, 0);
    }
    let seen = report.layers[0].seen.as_ref().unwrap();
    assert!(seen.channel_range[1] <= seen.largest);
    serde_json::to_string(&report).unwrap();
}

#[test]
fn too_few_samples_are_refused() {
    let error = tune(&graph(), &calibration().take(50), &options(), &|_| {}, None).unwrap_err();
    assert!(error.to_string().contains("there are 50"), "{error}");
}

/// Operations with nonzero weights, for sources with `counts` for which `wanted` holds.
fn effective(
    network: &integers::Network,
    pre: Source,
    counts: &[i64],
    wanted: impl Fn(i64) -> bool,
) -> i64 {
    let active: Vec<i64> = counts.iter().map(|c| i64::from(wanted(*c))).collect();
    let mut sum = 0;
    for c in network.connections.iter().filter(|c| c.pre == pre) {
        let mut ones = c.clone();
        ones.weights
            .iter_mut()
            .for_each(|w| *w = i16::from(*w != 0));
        let size = match c.post {
            Target::Population(p) => network.ensembles[p].neurons,
            Target::Output(o) => network.outputs[o].bias.len(),
        };
        let mut y = vec![0; size];
        send(&ones, &active, &mut y);
        sum += y.iter().sum::<i64>();
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn neurobench_columns_equal_a_count_by_hand(network in networks(), seed in any::<u64>()) {
        let given = inputs(&network, seed);
        let bytes = assemble(&network).unwrap();
        let image = bytes.image();
        let input = &network.inputs[0];
        let zero = i64::from(input.zero_point);
        let bytes: Vec<i64> = given[0].iter().map(|&b| i64::from(b) - zero).collect();
        let floats = bytes.iter().map(|&b| (b as f64 * input.scale) as f32).collect();
        let data = DataSet::new(vec![input.size], Samples::F32(floats), None).unwrap();
        let options = EmulateOptions { early_exit: false, ..EmulateOptions::default() };
        let report = emulate(&image, &data, &options, &|_| {}).unwrap();

        let mut reference = Reference::new(&network, &given);
        let single = |c: i64| c.abs() == 1;
        let other = |c: i64| c.abs() > 1;
        let mut acs = effective(&network, Source::Input(0), &bytes, single);
        let mut macs = effective(&network, Source::Input(0), &bytes, other);
        let mut events = 0;
        for _ in 0..network.steps.limit().unwrap() {
            for (at, counts) in reference.step().iter().enumerate() {
                events += counts.iter().filter(|c| **c != 0).count();
                acs += effective(&network, Source::Population(at), counts, single);
                macs += effective(&network, Source::Population(at), counts, other);
            }
        }
        let bench = report.neurobench;
        prop_assert_eq!(bench.effective_acs, acs as f64);
        prop_assert_eq!(bench.effective_macs, macs as f64);
        let neurons: usize = network.ensembles.iter().map(|e| e.neurons).sum();
        let updates = (neurons * usize::from(network.steps.limit().unwrap())).max(1);
        let sparsity = 1.0 - events as f64 / updates as f64;
        prop_assert!((bench.activation_sparsity - sparsity).abs() < 1e-12);
        let weights: Vec<i16> = network.connections.iter().flat_map(|c| c.weights.clone()).collect();
        let zeros = weights.iter().filter(|w| **w == 0).count();
        let sparsity = zeros as f64 / weights.len() as f64;
        prop_assert!((bench.connection_sparsity - sparsity).abs() < 1e-12);
        prop_assert_eq!(bench.footprint as usize, image.bytes().len() + image.arena_bytes());
    }
}
