//! Facts of real chips that need no chip: names, memory, plans.

use std::collections::BTreeMap;

use tinyspike::device::{Chips, Layout, LayoutOptions, MemoryError, MemoryMap, Region};
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
    let text = layout.memory_x();
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
