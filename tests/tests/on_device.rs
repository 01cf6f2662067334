//! The whole way to a board and back, over probe-rs, on every emulated board that has a flash: write and verify,
//! run bit for bit, log, exchange the image, refuse a damaged one, and lose the probe.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use emulated_board::{Fault, Machine};
use tinyspike::data::{self, DataSet};
use tinyspike::device::ConnectError;
use tinyspike::device::run::{RunError, StreamOptions};
use tinyspike::device::session::SessionError;
use tinyspike::quantize::QuantizeOptions;
use tinyspike::simulate::Readout;
use tinyspike::{DeployOptions, Mode};
use tinyspike_board::firmware::{embed, family};
use tinyspike_board::toolchain::{THUMBV6M, THUMBV7EM, Toolchain};
use tinyspike_shared::accept::Refusal;
use tinyspike_shared::image::ImageError;
use tinyspike_tests::bench::{Bench, Ended, logged};
use tinyspike_tests::mnist;

const MACHINES: [Machine; 4] = [
    Machine::Microbit,
    Machine::Mps2An386,
    Machine::Mps2An500,
    Machine::Mps2An505,
];

/// An image of `mnist_small`.
fn image(machine: Machine, steps: u16) -> Vec<u8> {
    let options = QuantizeOptions {
        steps,
        target: family(machine),
        ..QuantizeOptions::default()
    };
    mnist::small(Some(100), &options).bytes().to_vec()
}

fn test_set(count: usize) -> DataSet {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let set = data::load(root.join("data/mnist_test10k.npz")).unwrap();
    set.take(count)
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn an_image_runs_on_a_board_to_the_bit() {
    let set = test_set(20);
    for machine in MACHINES {
        let bench = Bench::new(machine, None);
        let built = image(machine, 2);
        bench.flash(&built, true);
        let (identity, _) = bench.hello(false).unwrap();
        let kernels = match machine {
            Machine::Microbit => "Swar",
            _ => "Dsp",
        };
        assert_eq!(identity.kernels, kernels, "{machine}");
        for bisect in [false, true] {
            let (report, log) = bench.run(&built, &set, bisect).unwrap();
            assert_eq!(report.divergence, None, "{machine}");
            assert_eq!(report.images, 20);
            assert!(report.accuracy.unwrap() >= 0.9, "{machine}: {report:?}");
            assert!(report.spikes_per_image > 1000.0);
            let stack = report.stack;
            assert!((500..stack.size).contains(&stack.high_water), "{stack:?}");
            assert!(report.ticks.mean > 0.0, "{machine}");
            assert!(logged(&log, "tinyspike ").is_some(), "{log:?}");
            assert!(logged(&log, "image ").is_some(), "{log:?}");
        }

        // Another image alone, beside the firmware that stays.
        let other = image(machine, 1);
        bench.flash(&other, false);
        let (report, _) = bench.run(&other, &set, false).unwrap();
        assert_eq!(report.divergence, None, "{machine}");
        let error = bench.run(&built, &set, false).unwrap_err();
        assert!(
            matches!(error, Ended::Run(RunError::OtherImage { .. })),
            "{error}"
        );
    }
}

/// Networks that were trained with spikes, through the application and over the probe: spikes, potentials and
/// outputs of every step, from rest for each recording, and as one stream.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn streams_run_on_a_board_to_the_bit() {
    for machine in MACHINES {
        let mut bench: Option<Bench> = None;
        for (name, semantics) in [
            ("snntorch_watch_rleaky", "snntorch"),
            ("norse_vowels_lifcell", "norse-lif,dt=0.01"),
            ("rockpool_vowels", "rockpool,counts=false"),
        ] {
            let fixture = |end| {
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                root.join("fixtures/nir").join(format!("{name}.{end}"))
            };
            let graph = tinyspike::nir::load(&fixture("nir")).unwrap();
            let choices = tinyspike::nir::Choices::parse(&graph, &[semantics.to_owned()]).unwrap();
            let network = graph.convert(&choices).unwrap().network;
            let set = data::load(fixture("npz")).unwrap().with_byte_scale(1.0);
            let mode = Mode::Exact(QuantizeOptions {
                target: family(machine),
                weight_bits: 8,
                ..QuantizeOptions::exact()
            });
            let deployed = network
                .deploy(&DeployOptions::new(&mode).with_data(&set))
                .unwrap();
            let built = deployed.image.bytes().to_vec();
            let first = bench.is_none();
            let bench = bench.get_or_insert_with(|| Bench::for_image(machine, &built));
            bench.flash(&built, first);
            let set = set.take(4);
            for stateful in [false, true] {
                let options = StreamOptions {
                    readout: Readout::Sum,
                    stateful,
                };
                let report = bench.stream(&built, &set, options).unwrap();
                assert_eq!(report.divergence, None, "{machine} {name}");
                assert_eq!(report.images, 4);
                assert_eq!(report.steps_mean, set.shape()[0] as f64, "{machine}");
                assert!(
                    report.spikes_per_image > 10.0,
                    "{machine} {name}: {report:?}"
                );
                assert!(report.ticks.mean > 0.0, "{machine}");
            }
        }
    }
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_damaged_image_is_refused_by_a_device_that_stays_reachable() {
    for machine in MACHINES {
        let bench = Bench::new(machine, None);
        let built = image(machine, 2);
        bench.flash(&built, true);
        let mut damaged = built.clone();
        damaged[built.len() / 2] ^= 0x10;
        for (bytes, magic) in [(damaged, false), (vec![0; 64], true)] {
            bench.write(bench.firmware.images.address, &bytes);
            let (identity, log) = bench.hello(true).unwrap();
            match identity.image {
                Err(Refusal::Image(ImageError::Checksum { .. })) => assert!(!magic),
                Err(Refusal::Image(ImageError::Magic)) => assert!(magic),
                other => panic!("{machine}: {other:?}"),
            }
            assert!(logged(&log, "image refused: ").is_some(), "{log:?}");
        }
        // The next image runs.
        bench.flash(&built, false);
    }
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_lost_probe_or_board_is_reported_within_seconds() {
    let set = test_set(10_000);
    for fault in [
        Fault::ProbeVanishes { after: 3000 },
        Fault::BoardDies { after: 3000 },
    ] {
        let bench = Bench::new(Machine::Microbit, None);
        let built = image(Machine::Microbit, 2);
        bench.flash(&built, true);
        bench.board.inject(fault);
        let start = Instant::now();
        let error = bench.run(&built, &set, false).unwrap_err();
        let took = start.elapsed();
        assert!(
            matches!(
                &error,
                Ended::Run(RunError::Session {
                    source: SessionError::Lost(_),
                    ..
                }) | Ended::Connect(ConnectError::Lost { .. })
            ),
            "{fault:?}: {error:?}"
        );
        assert!(took < Duration::from_secs(30), "{fault:?}: {took:?}");
    }
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn the_example_of_an_own_firmware_classifies_a_digit() {
    for (machine, target) in [
        (Machine::Microbit, THUMBV6M),
        (Machine::Mps2An386, THUMBV7EM),
    ] {
        let toolchain = Toolchain::find(target).expect("cargo xtask setup installs one");
        let elf = embed(&toolchain, target).unwrap();
        let output = Command::new("qemu-system-arm")
            .args(["-M", machine.name(), "-nographic", "-kernel"])
            .arg(elf)
            .args(["-semihosting-config", "enable=on,target=native"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), "class 7 after 2 steps");
    }
}
