//! Facts of real chips that need no chip: names, memory, plans.

use std::collections::BTreeMap;

use tinyspike::device::boards::{File, Place, Runs};
use tinyspike::device::{
    BOARDS, BootBlock, Chips, Layout, LayoutOptions, MemoryError, MemoryMap, Obstacle, Region,
};
use tinyspike_shared::slots::SlotLayout;

/// Every chip of the database gets a sane layout, or a reason why not; how many of each is known.
#[test]
fn all_chips_are_divided_or_refused() {
    let chips = Chips::builtin();
    let all = chips.search("");
    assert_eq!(all.len(), 4229);
    let with_algorithm = all.iter().filter(|chip| chip.flash_algorithm).count();
    assert_eq!(with_algorithm, 4208);
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut divided, mut two_slots, mut two_blocks) = (0, 0, 0);
    for summary in all.iter().filter(|chip| chip.flash_algorithm) {
        let chip = match chips.find(&summary.name) {
            Ok(chip) => chip,
            Err(error) => {
                let chips = refused.entry(format!("{error:?}")).or_default();
                chips.push(summary.name.clone());
                continue;
            }
        };
        let map = MemoryMap::of(&chip);
        let layout = map
            .clone()
            .and_then(|map| Layout::new(&map, &LayoutOptions::default()));
        match (map, layout) {
            (Ok(map), Ok(layout)) => {
                divided += 1;
                if let Some(second) = layout.slots.second {
                    two_slots += 1;
                    assert!(second.copies(), "{}", summary.name);
                    // A block that is written at once has no room for a record and its copy.
                    let [first, _] = second.journal;
                    let blocks = map.blocks_of(first).count();
                    two_blocks += usize::from(blocks == 2);
                }
                let name = &summary.name;
                assert_eq!(
                    (summary.flash, summary.ram),
                    (map.flash.len, map.ram.len),
                    "{name}"
                );
                check(name, &map.flash, &map.blocks, &map.ram, &layout);
            }
            (Err(error), _) | (_, Err(error)) => {
                let kind = match error {
                    MemoryError::NoRoom { .. } => "no room".to_owned(),
                    MemoryError::Undivided { .. } => "undivided".to_owned(),
                    other => other.to_string(),
                };
                refused.entry(kind).or_default().push(summary.name.clone());
            }
        }
    }
    let counts: Vec<(&str, usize)> = refused.iter().map(|(k, v)| (k.as_str(), v.len())).collect();
    let external =
        "it runs from an external flash chip, of a size that its description does not know";
    let no_flash = "its description has no flash that it starts from and probe-rs can write";
    assert_eq!(
        counts,
        [
            (external, 84),
            (no_flash, 35),
            ("no room", 34),
            ("undivided", 51)
        ],
        "{refused:#?}"
    );
    assert_eq!((divided, two_slots, two_blocks), (4004, 2103, 475));
}

fn check(name: &str, flash: &Region, blocks: &[Region], ram: &Region, layout: &Layout) {
    // Blocks cover the flash without gaps.
    assert_eq!(blocks[0].address, flash.address, "{name}");
    assert_eq!(blocks[blocks.len() - 1].end(), flash.end(), "{name}");
    for pair in blocks.windows(2) {
        assert_eq!(pair[0].end(), pair[1].address, "{name}");
    }
    // The parts lie one behind another, and each begins and ends where a block does.
    let slots = &layout.slots;
    let journal = slots.second.into_iter().flat_map(|second| second.journal);
    let parts: Vec<Region> = [layout.firmware]
        .into_iter()
        .chain(journal)
        .chain([slots.a])
        .chain(slots.second.map(|second| second.b))
        .collect();
    assert_eq!(parts[0].address, flash.address, "{name}");
    assert_eq!(slots.whole().end(), flash.end(), "{name}");
    for pair in parts.windows(2) {
        assert_eq!(pair[0].end(), pair[1].address, "{name}");
    }
    for part in &parts {
        assert!(part.len > 0, "{name}");
        let of_it = blocks.iter().filter(|b| b.overlaps(*part));
        assert!(
            of_it.clone().all(|block| part.contains(*block)),
            "{name}: {part}"
        );
        assert_eq!(of_it.map(|b| b.len).sum::<u32>(), part.len, "{name}");
    }
    if let Some(second) = slots.second {
        assert!(
            slots.a.len.min(second.b.len) >= Layout::LEAST_SLOT,
            "{name}"
        );
        // The journal can be kept, with what the chip writes at once.
        let addresses = |r: Region| r.address..r.end();
        let state = SlotLayout {
            slots: [slots.a, second.b].map(addresses),
            state: second.journal.map(addresses),
            write_size: second.unit,
        };
        assert_eq!(state.check(), Ok(()), "{name}");
    }
    // The RAM is for data, in whole double words.
    assert!(ram.address > 0 && ram.end() <= 0x4000_0000, "{name}: {ram}");
    assert!(ram.len >= 512, "{name}: {ram}");
    assert_eq!((ram.address % 8, ram.len % 8), (0, 0), "{name}: {ram}");
    assert!(
        !(ram.address < 0x2000_0000 && ram.end() > 0x2000_0000),
        "{name}: {ram}"
    );
    assert!(!ram.overlaps(*flash), "{name}");
    // The linker reads what was planned.
    let text = layout.memory().script();
    for line in [
        format!(
            "FLASH : ORIGIN = {:#010x}, LENGTH = {:#x}\n",
            flash.address, layout.firmware.len
        ),
        format!(
            "RAM : ORIGIN = {:#010x}, LENGTH = {:#x}\n",
            ram.address, ram.len
        ),
        format!("_tinyspike_image = {:#010x};\n", slots.a.address),
        format!("_tinyspike_image_end = {:#010x};\n", flash.end()),
        format!("_tinyspike_stack_bytes = {:#x};\n", layout.stack),
    ] {
        assert!(text.contains(&line), "{name}: {line}{text}");
    }
}

/// Facts of a board agree with the description of its chip, which is another source.
#[test]
fn boards_are_as_their_chips_are_described() {
    let chips = Chips::builtin();
    for board in &BOARDS {
        let Runs::Application { place, .. } = board.runs else {
            let error = board.chip(&chips).unwrap_err().to_string();
            assert!(
                error.contains(board.title) && error.contains(board.core),
                "{error}"
            );
            continue;
        };
        let chip = board.chip(&chips).unwrap();
        let (name, target) = (board.name, chip.processor().target());
        let expected = match board.core {
            "Cortex-M0" | "Cortex-M0+" => "thumbv6m-none-eabi",
            "Cortex-M4" => "thumbv7em-none-eabi",
            "Cortex-M33" => "thumbv8m.main-none-eabi",
            other => panic!("{name}: {other}"),
        };
        assert_eq!(target, expected, "{name}");
        assert_eq!(board.family(), chip.processor().family(), "{name}");
        let map = MemoryMap::of(&chip).unwrap();
        match place {
            None => assert_eq!(map.flash.len, board.flash, "{name}"),
            Some(Place::External(bytes)) => {
                assert_eq!((bytes, map.flash.len), (board.flash, board.flash), "{name}");
            }
            Some(Place::BehindLoader(region)) => {
                assert_eq!(map.flash, region, "{name}");
                assert!(region.end() <= board.flash, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        // The most of the RAM lies in one piece.
        let most = board.ram / 10 * 9;
        assert!(
            (most..=board.ram).contains(&map.ram.len),
            "{name}: {}",
            map.ram.len
        );
        assert!(chip.summary().refused.is_none(), "{name}");
        assert_eq!(chip.obstacle(), None, "{name}");
        let layout = Layout::of(&chip, &LayoutOptions::default()).unwrap();
        // Its sectors are large.
        let one_slot = name == "nucleo-f411re";
        assert_eq!(layout.slots.second.is_none(), one_slot, "{name}");
        // Boot loaders that take UF2 find nothing where they are themselves.
        if let (Some(File::Uf2 { .. }), None) = (board.file, place) {
            panic!("{name}");
        }
    }
}

/// A program for an RP2040 or RP2350 is linked behind what the boot ROM wants, at an address that its vector table may have.
#[test]
fn programs_are_linked_behind_a_boot_block() {
    let chips = Chips::builtin();
    for (name, boot, size) in [("RP2040", 256, 2 << 20), ("RP235x", 2048, 4 << 20)] {
        let chip = chips.find(name).unwrap();
        assert_eq!(chip.obstacle(), Some(Obstacle::ExternalFlash), "{name}");
        let chip = chip.with_flash_size(size);
        assert_eq!(chip.obstacle(), None, "{name}");
        let layout = Layout::of(&chip, &LayoutOptions::default()).unwrap();
        let block = layout.boot.unwrap();
        assert_eq!((block.address, block.len), (0x1000_0000, boot), "{name}");
        assert_eq!(layout.linked().address, block.end(), "{name}");
        assert_eq!(layout.linked().end(), layout.firmware.end(), "{name}");
        let line = format!("FLASH : ORIGIN = {:#010x}", block.end());
        assert!(layout.memory().script().contains(&line), "{}", layout.memory().script());
        assert_eq!(layout.slots.whole().end(), 0x1000_0000 + size, "{name}");
        let bytes = chip.boot_block().unwrap().bytes(block.address);
        assert!(bytes.len() <= boot as usize, "{name}");
    }
    // A flash chip that is not known is read by the command that every one has.
    let plain = chips.find("RP2040").unwrap();
    assert_ne!(
        plain.boot_block(),
        BOARDS[0].chip(&chips).unwrap().boot_block()
    );
    assert!(matches!(
        plain.boot_block(),
        Some(BootBlock::SecondStage(_))
    ));
}

/// A stated size is within what the description has, or refused with both.
#[test]
fn stated_sizes_of_flash_are_checked() {
    let chips = Chips::builtin();
    let sized = |name: &str, bytes| {
        let chip = chips.find(name).unwrap().with_flash_size(bytes);
        MemoryMap::of(&chip)
    };
    for bytes in [0, 129 << 20, u32::MAX] {
        let error = sized("RP2040", bytes).unwrap_err();
        assert!(matches!(error, MemoryError::OutsideFlash { .. }), "{error}");
    }
    // Whole sectors alone are used.
    assert_eq!(sized("RP2040", (2 << 20) + 5).unwrap().flash.len, 2 << 20);
    // Less of a flash inside the chip, for a file system.
    assert_eq!(
        sized("nRF52840_xxAA", 512 << 10).unwrap().flash.len,
        512 << 10
    );
    assert!(sized("nRF52840_xxAA", 2 << 20).is_err());
    let xiao = BOARDS.iter().find(|board| board.name == "xiao-nrf52840");
    let chip = xiao
        .unwrap()
        .chip(&chips)
        .unwrap()
        .with_flash_size(256 << 10);
    let flash = MemoryMap::of(&chip).unwrap().flash;
    assert_eq!((flash.address, flash.len), (0x2_7000, 256 << 10));
}

/// With a size, the chips that run from external flash have a place for firmware, which is custom unless the start of the
/// chip is known here.
#[test]
fn a_size_of_external_flash_opens_its_chips() {
    let chips = Chips::builtin();
    let (mut divided, mut built, mut smaller, mut none) = (0, 0, 0, 0);
    for summary in chips.search("").iter().filter(|chip| chip.flash_algorithm) {
        let Ok(chip) = chips.find(&summary.name) else {
            continue;
        };
        if chip.obstacle() != Some(Obstacle::ExternalFlash) {
            continue;
        }
        let chip = chip.with_flash_size(2 << 20);
        match Layout::of(&chip, &LayoutOptions::default()) {
            Ok(layout) => {
                divided += 1;
                built += usize::from(chip.obstacle().is_none());
                assert_eq!(layout.boot.is_some(), chip.obstacle().is_none());
            }
            // Memory inside the chip (PSoC Edge), whose size the description has.
            Err(error) if matches!(error.source, MemoryError::OutsideFlash { .. }) => smaller += 1,
            Err(error) => {
                assert_eq!(error.source, MemoryError::NoFlash, "{}", summary.name);
                none += 1;
            }
        }
    }
    assert_eq!((divided, built, smaller, none), (21, 3, 57, 6));
}
