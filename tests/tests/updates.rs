//! Images that take turns in two slots, over probe-rs, on emulated boards: a probe that vanishes at any moment, damage,
//! and firmware that asks for signatures.

#![expect(clippy::print_stdout, reason = "the tests say what they measured")]

use emulated_board::{Fault, Machine};
use tinyspike::ImageBuf;
use tinyspike::assemble::assemble;
use tinyspike::device::{
    ConnectError, Firmware, FlashError, Layout, LayoutOptions, LogMessage, Mode, PlanError,
    PlanOptions,
};
use tinyspike::sign::PrivateKey;
use tinyspike_board::toolchain::{THUMBV6M, THUMBV7EM};
use tinyspike_firmware::limits::Limits;
use tinyspike_shared::accept::{Journal, Refusal};
use tinyspike_shared::image::{Header, ImageError};
use tinyspike_shared::signature::SignatureError;
use tinyspike_shared::slots::Slot;
use tinyspike_tests::bench::{Bench, logged};
use tinyspike_tests::network::spiking;

/// A Cortex-M0 and a Cortex-M4, of which one erases and writes 1 KiB at once, the other 4 KiB.
const MACHINES: [Machine; 2] = [Machine::Microbit, Machine::Mps2An386];

const MODEL_ONLY: PlanOptions = PlanOptions {
    layout: LayoutOptions { firmware: None },
    model_only: true,
    key: None,
    minimum: 0,
};

/// A small image of a version, which no other version's is like.
fn image(version: u32) -> Vec<u8> {
    let image = assemble(&spiking()).unwrap();
    image.with_model_version(version).bytes().to_vec()
}

/// The same, signed.
fn sign(key: &PrivateKey, version: u32) -> Vec<u8> {
    let image = ImageBuf::new(&image(version)).unwrap();
    key.sign(&image).bytes().to_vec()
}

fn checksum(image: &[u8]) -> u32 {
    let bytes = tinyspike::assemble::aligned_copy(image);
    Header::read(&bytes).unwrap().checksum
}

/// Sees that the stack for the last start was enough, by what the firmware says of it, but not far too large.
fn check_start(machine: Machine, log: &[LogMessage], signature: bool) {
    let text = logged(log, "the start took ").unwrap();
    println!("{machine}, signature {signature}: {text}");
    let stack: u32 = text.split(' ').nth(3).unwrap().parse().unwrap();
    let target = match machine {
        Machine::Microbit => THUMBV6M,
        _ => THUMBV7EM,
    };
    let enough = Limits::of(target).stack_to_start(signature);
    assert!(stack <= enough, "{machine}: {stack} of {enough} bytes");
    assert!(stack >= enough / 2, "{machine}: {stack} of {enough} bytes");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_probe_that_vanishes_leaves_the_old_image_or_the_new() {
    for machine in MACHINES {
        let bench = Bench::new(machine, None);
        let images = [image(1), image(2)];
        let [old, new] = images.each_ref().map(|image| checksum(image));
        bench.flash(&images[0], true);
        let plan = bench.plan(&images[1], MODEL_ONLY).unwrap();
        assert_eq!(plan.mode, Mode::InactiveSlot);
        let (mut points, mut kept) = (0, 0);
        // One after another, each a little further in one of the parts of the work.
        for at in 0u32.. {
            let mut seen = 0;
            let done = bench.carry_out(&plan, &mut |_| {
                if seen == at {
                    let after = u64::from(at) * 13 % 40;
                    bench.board.inject(Fault::ProbeVanishes { after });
                }
                seen += 1;
            });
            let broken_off = match done {
                Err(FlashError::Connect(ConnectError::Lost { .. })) => true,
                // It was to vanish after the last of the work.
                Ok(_) if seen <= at => false,
                other => panic!("{machine}, point {at}: {other:?}"),
            };
            let (identity, _) = bench.hello(true).unwrap();
            let found = identity.image.unwrap();
            if !broken_off {
                assert_eq!(found.checksum, new, "{machine}");
                break;
            }
            points += 1;
            assert!([old, new].contains(&found.checksum), "{machine}, {at}");
            assert_eq!(identity.start.running, Some(identity.start.named));
            if found.checksum == old {
                kept += 1;
            } else {
                // The new one counts before the probe is asked no more: back to where it began.
                let back = bench.plan(&images[0], MODEL_ONLY).unwrap();
                bench.carry_out(&back, &mut |_| ()).unwrap();
            }
        }
        assert!(points > 10 && kept > points / 2, "{kept} of {points}");
        println!(
            "{machine}: the probe vanished at {points} points, {kept} times the old image ran on"
        );
    }
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn damage_is_passed_over_and_repaired() {
    for machine in MACHINES {
        let bench = Bench::new(machine, None);
        let layout = Layout::of(&bench.chip, &LayoutOptions::default()).unwrap();
        let second = layout.slots.second.unwrap();
        let (old, new) = (image(1), image(2));
        bench.flash(&old, true);
        assert_eq!(bench.flash(&new, false).slot, Slot::B);

        // The slot that is named is damaged: the other one runs, and is kept by the next update.
        let mut damaged = new.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        bench.write(second.b.address, &damaged);
        let (identity, log) = bench.hello(true).unwrap();
        assert_eq!(identity.image.unwrap().checksum, checksum(&old));
        assert_eq!(identity.start.named, Slot::B);
        assert_eq!(identity.start.running, Some(Slot::A));
        let reason = identity.start.passed_over().unwrap();
        assert!(matches!(
            reason,
            Refusal::Image(ImageError::Checksum { .. })
        ));
        assert!(logged(&log, "slot B is passed over for A").is_some());
        check_start(machine, &log, false);
        assert_eq!(bench.flash(&new, false).slot, Slot::B);

        // Nothing is left of the journal: the first slot runs, and the next update writes a new one.
        for block in second.journal {
            bench.write(block.address, &[0x5a; 64]);
            bench.write(block.address + block.len / 2, &[0x5a; 64]);
        }
        let (identity, log) = bench.hello(true).unwrap();
        assert_eq!(identity.start.journal, Journal::Damaged);
        assert_eq!(identity.image.unwrap().checksum, checksum(&old));
        assert!(logged(&log, "the journal is damaged").is_some());
        let flashed = bench.flash(&new, false);
        assert_eq!((flashed.slot, flashed.journal_repaired), (Slot::B, true));
        let flashed = bench.flash(&old, false);
        assert_eq!((flashed.slot, flashed.journal_repaired), (Slot::A, false));
    }
}

/// Keys for these tests alone.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIOsdhoCp9lr2UC31IZghl+vjtgaNZdngPZZd/LaYjXk+
-----END PRIVATE KEY-----
";
const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIHJSucarFq6ccgyIFx3kuRchTsFcGX3nde6PCuhJ2QZe
-----END PRIVATE KEY-----
";

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn only_what_the_key_has_signed_runs_and_nothing_older() {
    let [key, other] = [KEY, OTHER_KEY].map(|text| PrivateKey::from_pem(text).unwrap());
    let public = key.public();
    let signed = |version| sign(&key, version);
    let mut altered = signed(2);
    let place = image(2).len() - 1;
    altered[place] ^= 1;
    let foreign = sign(&other, 2);
    for machine in MACHINES {
        let bench = Bench::counting(machine, Some(&public));
        // A prebuilt firmware says which key it asks for.
        assert_eq!(bench.firmware.key, Some(public));
        let again = Firmware::read(&bench.firmware.path).unwrap();
        assert_eq!(again.key, Some(public));

        // The host refuses before anything is touched.
        let options = PlanOptions {
            minimum: 2,
            ..PlanOptions::default()
        };
        let refused = |image: &[u8], options| match bench.plan(image, options) {
            Err(PlanError::Refused { refusal, .. }) => refusal,
            other => panic!("{other:?}"),
        };
        let unsigned = refused(&image(2), options);
        assert_eq!(unsigned, Refusal::Signature(SignatureError::Unsigned));
        assert!(matches!(
            refused(&foreign, options),
            Refusal::Signature(SignatureError::OtherKey { .. })
        ));
        let too_old = Refusal::Version {
            version: 1,
            minimum: 2,
        };
        assert_eq!(refused(&signed(1), options), too_old);
        let wrong_key = PlanOptions {
            key: Some(other.public()),
            ..options
        };
        assert!(matches!(
            bench.plan(&foreign, wrong_key),
            Err(PlanError::OtherKey { .. })
        ));

        let plan = bench.plan(&signed(2), options).unwrap();
        bench.carry_out(&plan, &mut |_| ()).unwrap();
        let (identity, log) = bench.hello(true).unwrap();
        assert_eq!(identity.image.unwrap().checksum, checksum(&image(2)));
        assert_eq!(identity.key, Some(public));
        assert_eq!(identity.start.minimum, 2);
        check_start(machine, &log, true);

        // Where the host does not know the key, the firmware says it, and nothing is erased.
        for (image, reason) in [(&image(3), unsigned), (&signed(1), too_old)] {
            let plan = bench.plan(image, MODEL_ONLY).unwrap();
            let mut touched = false;
            let error = bench.carry_out(&plan, &mut |_| touched = true).unwrap_err();
            assert!(
                matches!(&error, FlashError::Plan(PlanError::Refused { refusal, .. }) if *refusal == reason),
                "{error}"
            );
            assert!(!touched);
        }

        // Whoever writes past the host meets the device, which refuses by itself.
        let slot = bench.firmware.images.address;
        for (bytes, expected) in [
            (&image(2), "the image is not signed"),
            (&altered, "the signature does not fit"),
            (&foreign, "key"),
            (
                &signed(1),
                "the model has version 1, and the device takes none below 2",
            ),
        ] {
            bench.write(slot, bytes);
            let (identity, log) = bench.hello(true).unwrap();
            let reason = identity.image.unwrap_err().to_string();
            assert!(reason.contains(expected), "{machine}: {reason}");
            assert_eq!(identity.start.running, None);
            assert!(logged(&log, "image refused: ").is_some());
        }

        // Signed and new enough, it runs; a later one does and the first is not erased for it.
        let flashed = bench.flash(&signed(2), false);
        assert_eq!(flashed.slot, Slot::A);
        assert_eq!(bench.flash(&signed(3), false).slot, Slot::B);
    }
}
