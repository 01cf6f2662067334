//! The whole way to a board and back, over probe-rs, on every emulated board that has a flash: write and verify,
//! run bit for bit, log, exchange the image, refuse a damaged one, and lose the probe.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use emulated_board::{Board, Fault, Machine, Options};
use probe_rs::Permissions;
use probe_rs::flashing::DownloadOptions;
use probe_rs::probe::DebugProbeSelector;
use probe_rs::probe::list::Lister;
use tinyspike::assemble::{Image, aligned_copy};

use tinyspike::data::{self, DataSet};
use tinyspike::device::run::{self, RunError, RunOptions, RunReport};
use tinyspike::device::session::SessionError;
use tinyspike::device::{
    Chip, Chips, DeviceError, Firmware, FlashOptions, ImageReport, Layout, LayoutOptions,
    LogMessage, LogTable, Plan, PlanOptions, TalkOptions, build, flash, talk,
};
use tinyspike::quantize::{QuantizeOptions, Target};
use tinyspike_board::firmware::embed;
use tinyspike_board::toolchain::{THUMBV6M, THUMBV7EM, Toolchain};
use tinyspike_shared::accept::Refusal;
use tinyspike_shared::image::ImageError;
use tinyspike_tests::mnist;

const MACHINES: [Machine; 3] = [Machine::Microbit, Machine::Mps2An386, Machine::Mps2An500];

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// An image of `mnist_small`.
fn image(machine: Machine, steps: u16) -> Vec<u8> {
    let options = QuantizeOptions {
        steps,
        target: match machine {
            Machine::Microbit => Target::Portable,
            _ => Target::CortexM4,
        },
        ..QuantizeOptions::default()
    };
    mnist::small(Some(100), &options)
}

fn test_set(count: usize) -> DataSet {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let set = data::load(root.join("data/mnist_test10k.npz")).unwrap();
    set.take(count)
}

/// A board with the application's firmware for it.
struct Bench {
    board: Board,
    chip: Chip,
    firmware: Firmware,
}

impl Bench {
    fn new(machine: Machine) -> Self {
        let mut chips = Chips::builtin();
        if let Some(text) = machine.chip_description() {
            chips.add_yaml(machine.name(), text).unwrap();
        }
        let chip = chips.find(machine.chip()).unwrap();
        let layout = Layout::of(&chip, &LayoutOptions::default()).unwrap();
        let firmware = build(&chip, &layout, None).unwrap();
        let board = Board::start(machine, &Options::default()).unwrap();
        Self {
            board,
            chip,
            firmware,
        }
    }

    fn plan(&self, image: &[u8], with_firmware: bool) -> Plan {
        let bytes = aligned_copy(image);
        let image = Image::parse(&bytes).unwrap();
        let firmware = with_firmware.then_some(&self.firmware);
        Plan::new(&self.chip, &image, firmware, &PlanOptions::default()).unwrap()
    }

    /// Writes an image, and sees that the firmware runs it.
    fn flash(&self, image: &[u8], with_firmware: bool) {
        let plan = self.plan(image, with_firmware);
        let options = FlashOptions {
            probe: Some(self.board.probe_selector().parse().unwrap()),
            ..FlashOptions::default()
        };
        let flashed = flash(&plan, &options, &mut |_| ()).unwrap();
        assert!(flashed.programmed >= image.len() as u64);
        let state = flashed.greeting.unwrap().image;
        assert!(
            matches!(state, ImageReport::Ready { checksum, .. } if checksum == plan.checksum),
            "{state:?}"
        );
    }

    /// Writes bytes where the image belongs, whatever they are.
    fn flash_raw(&self, bytes: &[u8]) {
        let mut registry = probe_rs::config::Registry::from_builtin_families();
        let machine = self.board.machine();
        if let Some(text) = machine.chip_description() {
            registry.add_target_family_from_yaml(text).unwrap();
        }
        let selector: DebugProbeSelector = self.board.probe_selector().parse().unwrap();
        let probe = Lister::new().open(selector).unwrap();
        let mut session = probe
            .attach_with_registry(machine.chip(), Permissions::default(), &registry)
            .unwrap();
        let mut loader = session.target().flash_loader();
        let address = self.firmware.images.address;
        loader.add_data(address.into(), bytes).unwrap();
        loader
            .commit(&mut session, DownloadOptions::default())
            .unwrap();
        session.core(0).unwrap().reset().unwrap();
    }

    fn talk(&self, restart: bool) -> TalkOptions {
        TalkOptions {
            probe: Some(self.board.probe_selector().parse().unwrap()),
            restart,
            ..TalkOptions::default()
        }
    }

    /// Runs samples on the board, and what it logs meanwhile.
    fn run(
        &self,
        image: &[u8],
        set: &DataSet,
        bisect: bool,
    ) -> Result<(RunReport, Vec<LogMessage>), Ended> {
        let bytes = aligned_copy(image);
        let parsed = Image::parse(&bytes).unwrap();
        let table = LogTable::read(&self.firmware.path).unwrap().unwrap();
        let options = RunOptions {
            bisect,
            ..RunOptions::default()
        };
        talk(
            &self.chip,
            Some(&self.firmware),
            &self.talk(true),
            |session| {
                run::check(session, &parsed)?;
                let mut log = Vec::new();
                let mut reader = table.reader();
                let mut bytes = [0; 1024];
                let count = session.link().log(&mut bytes).map_err(SessionError::from)?;
                log.extend(reader.read(&bytes[..count]));
                let report = run::run(session, &parsed, set, &options, &mut |_| ())?;
                let count = session.link().log(&mut bytes).map_err(SessionError::from)?;
                log.extend(reader.read(&bytes[..count]));
                Ok((report, log))
            },
        )
    }
}

/// Whether the log has a message that begins so, from a file and line of the firmware.
fn logs(log: &[LogMessage], beginning: &str) -> bool {
    log.iter().any(|message| {
        let place = message.place.as_ref();
        message.text.starts_with(beginning)
            && place.is_some_and(|(file, line)| file.ends_with("app.rs") && *line > 0)
    })
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn an_image_runs_on_a_board_to_the_bit() {
    let set = test_set(20);
    for machine in MACHINES {
        let bench = Bench::new(machine);
        let built = image(machine, 2);
        bench.flash(&built, true);
        for bisect in [false, true] {
            let (report, log) = bench.run(&built, &set, bisect).unwrap();
            assert_eq!(report.divergence, None, "{machine}");
            assert_eq!(report.images, 20);
            assert!(report.accuracy.unwrap() >= 0.9, "{machine}: {report:?}");
            assert!(report.spikes_per_image > 1000.0);
            let stack = report.stack;
            assert!((500..stack.size).contains(&stack.high_water), "{stack:?}");
            assert!(report.ticks.mean > 0.0, "{machine}");
            assert!(logs(&log, "tinyspike "), "{log:?}");
            assert!(logs(&log, "image "), "{log:?}");
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

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_damaged_image_is_refused_by_a_device_that_stays_reachable() {
    for machine in MACHINES {
        let bench = Bench::new(machine);
        let built = image(machine, 2);
        bench.flash(&built, true);
        let mut damaged = built.clone();
        damaged[built.len() / 2] ^= 0x10;
        for (bytes, magic) in [(damaged, false), (vec![0; 64], true)] {
            bench.flash_raw(&bytes);
            let options = bench.talk(true);
            talk(&bench.chip, Some(&bench.firmware), &options, |session| {
                match session.hello()?.image {
                    Err(Refusal::Image(ImageError::Checksum { .. })) => assert!(!magic),
                    Err(Refusal::Image(ImageError::Magic)) => assert!(magic),
                    other => panic!("{machine}: {other:?}"),
                }
                session.ping()?;
                let table = LogTable::read(&bench.firmware.path).unwrap().unwrap();
                let mut bytes = [0; 1024];
                let count = session.link().log(&mut bytes).map_err(SessionError::from)?;
                let log = table.reader().read(&bytes[..count]);
                assert!(logs(&log, "image refused: "), "{log:?}");
                Ok::<_, Ended>(())
            })
            .unwrap();
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
        let bench = Bench::new(Machine::Microbit);
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
                }) | Ended::Device(DeviceError::Connection { .. })
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
