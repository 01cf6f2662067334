//! A power cut at any operation of an update leaves a device that runs the old model or the new one.

#![expect(
    clippy::print_stdout,
    reason = "the tests say how many cuts there were"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tinyspike::assemble::{Image, aligned_copy};
use tinyspike::device::{Chips, Layout, LayoutOptions};
use tinyspike::quantize::QuantizeOptions;
use tinyspike_shared::slots::{
    Flash as _, Journal, LayoutError, Slot, SlotLayout, State, UpdateError, stored,
};
use tinyspike_tests::flash::{FlashFault, Silicon, SimulatedFlash};
use tinyspike_tests::mnist;
use tinyspike_tests::power_cuts::{Counts, Trial, stamp, stamped, trials};

/// A small device: two slots of 48 KiB, erase units of 1 KiB as on an nRF51.
fn layout() -> SlotLayout {
    SlotLayout {
        slots: [0x8000..0x1_4000, 0x1_4000..0x2_0000],
        state: [0x2_0000..0x2_0400, 0x2_0400..0x2_0800],
        write_size: 4,
    }
}

/// The smallest devices: with 32 bytes written at once, a sector has no room for a copy of its record.
fn tiny(write_size: u32) -> SlotLayout {
    SlotLayout {
        slots: [0..64, 64..128],
        state: [128..160, 160..192],
        write_size,
    }
}

/// Blank flash of such a device.
fn tiny_flash(layout: &SlotLayout) -> SimulatedFlash {
    SimulatedFlash::new(layout, 64, Silicon::plain(0xff))
}

fn start(
    layout: &SlotLayout,
    flash: &mut SimulatedFlash,
    version_of: impl Fn(&[u8]) -> Option<u32>,
) -> (State, Option<Slot>) {
    let state = Journal::new(layout, &mut *flash).unwrap().state().unwrap();
    // A device finds the same in its own flash.
    let sectors = [0, 1].map(|at: usize| flash.bytes(&layout.state[at]));
    assert_eq!(stored(sectors).unwrap_or(State::BLANK), state);
    let version = |slot: &Slot| version_of(flash.bytes(layout.slot(*slot)));
    let slot = state
        .order()
        .into_iter()
        .find(|slot| version(slot).is_some_and(|version| version >= state.minimum));
    (state, slot)
}

/// mnist_small for one step and for two: images that are really run.
fn models() -> [Vec<u8>; 2] {
    [1, 2].map(|steps| {
        let options = QuantizeOptions {
            steps,
            ..QuantizeOptions::default()
        };
        mnist::small(Some(64), &options).bytes().to_vec()
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
    let mut with_old = SimulatedFlash::new(&layout, 0x400, Silicon::plain(0xff));
    let mut journal = Journal::new(&layout, &mut with_old).unwrap();
    assert_eq!(journal.update(Slot::B, &old, 1, 0), Ok(Slot::A));
    let before = with_old.operations;
    with_old.touched.clear();
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
            Err(UpdateError::Flash(FlashFault::PowerCut))
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
    // The last word of the record is the switch, and half of it is none. Behind it comes the copy's four words.
    assert_eq!((found_old, found_new), (operations - 4, 4));
    println!("{operations} cuts, one in each erase and each word of an update: all survived");
}

/// Runs trials on all cores, each for so many updates, and sums up what came of them.
fn run_all(trials: &[Trial], updates: u64, devices: u64) -> Counts {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut sum = Counts::default();
        while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
            for device in 0..devices {
                let counts = trial.run(updates, device).unwrap_or_else(|(at, loss)| {
                    panic!("device {device}, update {at}: {loss}: {trial:?}")
                });
                sum = sum.and(counts);
            }
        }
        sum
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let done = running.into_iter().map(|thread| thread.join());
        done.fold(Counts::default(), |sum, counts| {
            sum.and(counts.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    })
}

#[test]
fn thousands_of_cuts_never_lose_the_model() {
    let counts = run_all(&trials(), 100, 1);
    println!("{counts:?}");
    assert!(counts.cuts > 4_000 && counts.new > 100, "{counts:?}");
    let halves = [counts.cuts - counts.cuts_in_pieces, counts.cuts_in_pieces];
    assert!(
        halves.iter().all(|part| *part > counts.cuts / 3),
        "{counts:?}"
    );
}

#[test]
#[ignore = "takes minutes: cargo xtask power-cuts"]
fn millions_of_cuts_never_lose_the_model() {
    let wanted = std::env::var("TINYSPIKE_POWER_CUTS").map_or(2_000_000, |n| n.parse().unwrap());
    let trials = trials();
    // Somewhat less than half of the updates are cut.
    let devices = 3 * wanted / (1000 * trials.len() as u64) + 1;
    let counts = run_all(&trials, 1000, devices);
    println!(
        "{} devices of {} kinds, {} updates, {} of them in pieces, {} cut, {} of these in pieces, and {} in time for the new model: \
         all had a model, and no minimum version fell. {} starts differed from the one before, by places that read \
         rightly more often than not",
        devices * trials.len() as u64,
        trials.len(),
        counts.updates,
        counts.in_pieces,
        counts.cuts,
        counts.cuts_in_pieces,
        counts.new,
        counts.unsteady
    );
    assert!(counts.cuts >= wanted, "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Blocks from 256 bytes to 256 KiB, of which 1 byte or all may be written at once.
    #[test]
    fn any_geometry_survives_cuts(
        block in 8u32..=18,
        write in 0u32..=18,
        word in 0u32..=5,
        erased in prop::sample::select(vec![0, 0xff]),
        (programs_first, corrected, biased, pads) in any::<(bool, bool, bool, bool)>(),
        weak in 0u32..=64,
        seed in any::<u64>(),
    ) {
        let write = write.min(block);
        let word = word.min(write).max(write.saturating_sub(10));
        let silicon = Silicon {
            erased,
            word: 1 << word,
            programs_first,
            weak,
            corrected,
            biased,
            pads,
        };
        // As the layout of a chip: a sector has room for a record and its copy.
        let blocks = if write == block { 2 } else { 1 };
        let trial = Trial::new(1 << block, blocks, 1 << write, silicon);
        prop_assert_eq!(trial.layout.check(), Ok(()));
        let done = trial.run(12, seed);
        prop_assert!(done.is_ok(), "{:?}: {:?}", done, trial);
    }
}

#[test]
fn the_geometries_of_all_chips_survive_cuts() {
    let chips = Chips::builtin();
    let mut geometries = BTreeSet::new();
    for summary in chips.search("") {
        let layout = chips.find(&summary.name).ok().and_then(|chip| {
            let map = chip.memory_map().ok()?;
            let layout = Layout::new(&map, &LayoutOptions::default()).ok()?;
            Some((map, layout.slots.second?))
        });
        if let Some((map, second)) = layout {
            let block = map.blocks_of(second.journal[0]).next().unwrap().len;
            let sectors = second.journal.map(|sector| sector.len);
            geometries.insert((block, sectors, second.unit));
        }
    }
    let mut trials = Vec::new();
    for &(block, [first, second], write_size) in &geometries {
        let journal = 4 * block;
        let other = journal + first;
        let layout = SlotLayout {
            slots: [0..2 * block, 2 * block..journal],
            state: [journal..other, other..other + second],
            write_size,
        };
        for erased in [0, 0xff] {
            trials.push(Trial {
                layout: layout.clone(),
                erase_size: block,
                silicon: Silicon {
                    word: (write_size / 64).max(4),
                    programs_first: true,
                    weak: 16,
                    corrected: true,
                    pads: true,
                    ..Silicon::plain(erased)
                },
            });
        }
    }
    assert!(geometries.len() > 10, "{geometries:?}");
    let counts = run_all(&trials, 24, 1);
    println!("{} geometries: {counts:?}", geometries.len());
}

#[test]
fn a_cut_in_the_copy_of_a_record_is_mended_by_the_next_update() {
    let layout = layout();
    let silicon = Silicon::plain(0xff);
    let mut flash = SimulatedFlash::new(&layout, 0x400, silicon);
    let update = |flash: &mut SimulatedFlash, running, version| {
        let mut journal = Journal::new(&layout, flash).unwrap();
        journal.update(running, &stamp(version), version, version)
    };
    update(&mut flash, Slot::B, 1).unwrap();
    let before = flash.operations;
    let mut whole = flash.clone();
    update(&mut whole, Slot::A, 2).unwrap();
    // The copy has four words at the end: it is cut in the second of them.
    flash.cut_after(whole.operations - before - 3, 1);
    let cut = Err(UpdateError::Flash(FlashFault::PowerCut));
    assert_eq!(update(&mut flash, Slot::A, 2), cut);
    flash.power_on();
    let named = |flash: &mut SimulatedFlash| {
        let state = Journal::new(&layout, flash).unwrap().state().unwrap();
        (state.slot, state.minimum)
    };
    assert_eq!(named(&mut flash), (Slot::B, 2));
    assert_eq!(update(&mut flash, Slot::B, 3), Ok(Slot::A));
    assert_eq!(named(&mut flash), (Slot::A, 3));
}

#[test]
fn an_update_writes_the_journal_again_though_it_says_the_same() {
    let layout = layout();
    let mut flash = SimulatedFlash::new(&layout, 0x400, Silicon::plain(0xff));
    let mut journal = Journal::new(&layout, &mut flash).unwrap();
    journal.update(Slot::B, &stamp(1), 1, 1).unwrap();
    journal.switch(Slot::A, 1).unwrap();
    let [first, second] = layout
        .state
        .each_ref()
        .map(|sector| flash.bytes(sector).to_vec());
    assert_ne!(first, second);
    assert!(second.iter().any(|&byte| byte != 0xff));
    // Whichever of the two is lost, the other holds the state.
    for lost in 0..2 {
        let mut flash = flash.clone();
        flash.damage(&layout.state[lost]);
        let state = Journal::new(&layout, &mut flash).unwrap().stored().unwrap();
        let expected = State {
            slot: Slot::A,
            minimum: 1,
        };
        assert_eq!(state, Some(expected));
    }
}

#[test]
fn a_damaged_journal_is_written_anew() {
    for write_size in [4, 8, 32] {
        let layout = tiny(write_size);
        let mut flash = tiny_flash(&layout);
        let mut journal = Journal::new(&layout, &mut flash).unwrap();
        assert_eq!(journal.stored(), Ok(None));
        journal.update(Slot::B, &stamp(1), 1, 1).unwrap();
        journal.update(Slot::A, &stamp(2), 2, 1).unwrap();
        assert_eq!(
            journal.stored(),
            Ok(Some(State {
                slot: Slot::B,
                minimum: 1
            }))
        );
        for sector in &layout.state {
            flash.damage(sector);
        }
        let mut journal = Journal::new(&layout, &mut flash).unwrap();
        assert_eq!(journal.stored(), Ok(None));
        let (state, slot) = start(&layout, &mut flash, stamped);
        assert_eq!((state, slot), (State::BLANK, Some(Slot::A)));
        let mut journal = Journal::new(&layout, &mut flash).unwrap();
        assert_eq!(journal.update(Slot::A, &stamp(3), 3, 0), Ok(Slot::B));
        let stored = journal.stored().unwrap().unwrap();
        assert_eq!((stored.slot, stored.minimum), (Slot::B, 0));
    }
}

#[test]
fn older_models_are_refused_and_erase_nothing() {
    let layout = tiny(8);
    let mut flash = tiny_flash(&layout);
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
    let layout = tiny(8);
    let mut flash = tiny_flash(&layout);
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
        ..tiny(8)
    };
    assert_eq!(overlapping.check(), Err(LayoutError::Overlap));
    let coarse = SlotLayout {
        write_size: 6,
        ..tiny(8)
    };
    assert_eq!(coarse.check(), Err(LayoutError::WriteSize));
}

/// A record that a cut has left in part, and that reads as a whole one now and then, does not come between two pieces.
#[test]
fn what_a_slot_was_cleared_by_counts_until_it_is_named() {
    let layout = tiny(8);
    let mut flash = tiny_flash(&layout);
    let mut journal = Journal::new(&layout, &mut flash).unwrap();
    journal.update(Slot::B, &stamp(1), 1, 0).unwrap();
    let mut later = flash.clone();
    let mut journal = Journal::new(&layout, &mut flash).unwrap();
    let mut cleared = journal.clear(Slot::A, 32).unwrap();
    assert_eq!((cleared.slot(), cleared.minimum()), (Slot::B, 0));
    journal.store(Slot::B, 0, &stamp(2)).unwrap();
    // Another update's record, which was not there to be read when the slot was cleared.
    let mut journal = Journal::new(&layout, &mut later).unwrap();
    journal.update(Slot::A, &stamp(9), 9, 9).unwrap();
    let sector = &layout.state[0];
    flash.erase(sector.clone()).unwrap();
    flash.write(sector.start, later.bytes(sector)).unwrap();
    let mut journal = Journal::new(&layout, &mut flash).unwrap();
    assert_eq!(journal.state().unwrap().minimum, 9);
    for minimum in [0, 2] {
        journal.switch_to(&mut cleared, minimum).unwrap();
        let expected = State {
            slot: Slot::B,
            minimum,
        };
        assert_eq!(journal.stored(), Ok(Some(expected)));
    }
    assert_eq!(start(&layout, &mut flash, stamped).1, Some(Slot::B));
}
