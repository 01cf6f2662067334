//! A power cut at any operation of an update leaves a device that runs the old model or the new one.

use tinyspike::assemble::{Image, aligned_copy};
use tinyspike::quantize::QuantizeOptions;
use tinyspike_shared::slots::{Journal, LayoutError, Slot, SlotLayout, State, UpdateError};
use tinyspike_tests::flash::{PowerCut, SimulatedFlash};
use tinyspike_tests::mnist;

/// A small device: two slots of 48 KiB, erase units of 1 KiB as on an nRF51.
fn layout() -> SlotLayout {
    SlotLayout {
        slots: [0x8000..0x1_4000, 0x1_4000..0x2_0000],
        state: [0x2_0000..0x2_0400, 0x2_0400..0x2_0800],
        erase_size: 0x400,
        write_size: 4,
    }
}

/// State sectors that are full after three records, so that updates move between them often.
fn tiny() -> SlotLayout {
    SlotLayout {
        slots: [0..64, 64..128],
        state: [128..160, 160..192],
        erase_size: 64,
        write_size: 8,
    }
}

fn start(
    layout: &SlotLayout,
    flash: &mut SimulatedFlash,
    version_of: impl Fn(&[u8]) -> Option<u32>,
) -> (State, Option<Slot>) {
    let mut journal = Journal::new(layout, &mut *flash).unwrap();
    let state = journal.state().unwrap();
    let slot = state.boot(|slot| version_of(flash.bytes(layout.slot(slot))));
    (state, slot)
}

/// mnist_small for one step and for two: images that are really run.
fn models() -> [Vec<u8>; 2] {
    [1, 2].map(|steps| {
        let options = QuantizeOptions {
            steps,
            ..QuantizeOptions::default()
        };
        mnist::small(Some(64), &options)
    })
}

#[test]
fn a_cut_at_every_operation_leaves_the_old_model_or_the_new() {
    let layout = layout();
    let [old, new] = models();
    // Whole, and of as many steps as the model that it is: 1 or 2.
    let version_of = |bytes: &[u8]| {
        let bytes = aligned_copy(bytes);
        let image = Image::parse(&bytes).ok()?;
        Some(u32::from(image.description().steps))
    };
    let mut with_old = SimulatedFlash::new(&layout);
    let mut journal = Journal::new(&layout, &mut with_old).unwrap();
    assert_eq!(journal.update(Slot::B, &old, 1, 0), Ok(Slot::A));
    let before = with_old.operations;
    let mut whole = with_old.clone();
    let mut journal = Journal::new(&layout, &mut whole).unwrap();
    assert_eq!(journal.update(Slot::A, &new, 2, 0), Ok(Slot::B));
    let operations = whole.operations - before;
    assert!(operations > 10_000, "each word is a place to cut");
    let (mut found_old, mut found_new) = (0, 0);
    for cut in 0..operations {
        let mut flash = with_old.clone();
        flash.cut_after(cut, cut);
        let mut journal = Journal::new(&layout, &mut flash).unwrap();
        assert_eq!(
            journal.update(Slot::A, &new, 2, 0),
            Err(UpdateError::Flash(PowerCut))
        );
        flash.power_on();
        let (state, slot) = start(&layout, &mut flash, version_of);
        match slot {
            Some(Slot::A) => {
                assert_eq!(state.slot, Slot::A);
                assert_eq!(flash.bytes(&layout.slots[0])[..old.len()], old);
                found_old += 1;
            }
            Some(Slot::B) => found_new += 1,
            None => panic!("no model is left after a cut at operation {cut} of {operations}"),
        }
        // Trying again always works; every cut would take long, and the erases come first.
        if cut.is_multiple_of(97) || cut < 100 || cut + 100 > operations {
            let running = slot.unwrap();
            let mut journal = Journal::new(&layout, &mut flash).unwrap();
            let written = journal.update(running, &new, 2, 2).unwrap();
            assert_eq!(written, running.other());
            let (state, slot) = start(&layout, &mut flash, version_of);
            assert_eq!((state.minimum, slot), (2, Some(written)));
        }
    }
    // The last operation is the switch; half of it is none.
    assert_eq!((found_old, found_new), (operations, 0));
}

/// A model that is eight times the same word: its version.
fn stamp(version: u32) -> Vec<u8> {
    version.to_le_bytes().repeat(8)
}

fn stamped(bytes: &[u8]) -> Option<u32> {
    let version = u32::from_le_bytes(*bytes.first_chunk()?);
    (version != u32::MAX && bytes.starts_with(&stamp(version))).then_some(version)
}

#[test]
fn a_thousand_updates_with_cuts_never_lose_the_model() {
    let layout = tiny();
    let mut cuts = 0u64;
    for seed in 0..50u64 {
        let mut flash = SimulatedFlash::new(&layout);
        let mut journal = Journal::new(&layout, &mut flash).unwrap();
        journal.update(Slot::B, &stamp(1), 1, 0).unwrap();
        let (mut version, mut minimum, mut running) = (1, 0, Slot::A);
        for round in 0..1000u64 {
            let next = version + 1;
            let asked = if round.is_multiple_of(3) { version } else { 0 };
            flash.cut_after((round * 7 + seed) % 23, seed * 1000 + round);
            let result = Journal::new(&layout, &mut flash).unwrap().update(
                running,
                &stamp(next),
                next,
                asked,
            );
            flash.power_on();
            let (state, slot) = start(&layout, &mut flash, stamped);
            let slot =
                slot.unwrap_or_else(|| panic!("seed {seed}, round {round}: no model is left"));
            let found = stamped(flash.bytes(layout.slot(slot))).unwrap();
            assert!(state.minimum >= minimum, "the minimum never falls");
            if result.is_ok() {
                assert_eq!(found, next);
            } else {
                cuts += 1;
                assert!(found == version || found == next);
            }
            (version, minimum, running) = (found, state.minimum, slot);
        }
    }
    assert!(cuts > 10_000, "only {cuts} cuts");
}

#[test]
fn older_models_are_refused_and_erase_nothing() {
    let layout = tiny();
    let mut flash = SimulatedFlash::new(&layout);
    let mut journal = Journal::new(&layout, &mut flash).unwrap();
    assert_eq!(journal.update(Slot::B, &stamp(7), 7, 5), Ok(Slot::A));
    let refused = journal.update(Slot::A, &stamp(4), 4, 0);
    assert_eq!(
        refused,
        Err(UpdateError::Downgrade {
            version: 4,
            minimum: 5
        })
    );
    assert_eq!(journal.update(Slot::A, &stamp(6), 6, 0), Ok(Slot::B));
    journal.raise(7).unwrap();
    assert!(journal.raise(6).is_err());
    // Slot B holds version 6, which may not run any more; slot A still holds 7.
    let (state, slot) = start(&layout, &mut flash, stamped);
    assert_eq!((state.minimum, slot), (7, Some(Slot::A)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let layout = tiny();
    let mut flash = SimulatedFlash::new(&layout);
    let mut journal = Journal::new(&layout, &mut flash).unwrap();
    let refused = journal.update(Slot::B, &[0; 65], 1, 0);
    assert_eq!(
        refused,
        Err(UpdateError::TooLarge {
            needed: 65,
            available: 64
        })
    );
    assert_eq!(flash.operations, 0);
    let overlapping = SlotLayout {
        state: [120..152, 160..192],
        ..tiny()
    };
    assert_eq!(overlapping.check(), Err(LayoutError::Overlap));
    let coarse = SlotLayout {
        write_size: 12,
        ..tiny()
    };
    assert_eq!(coarse.check(), Err(LayoutError::WriteSize));
}
