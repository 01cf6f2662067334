//! The descriptions of chips, against what they describe.

#[expect(dead_code, reason = "shared with the tests of boards")]
mod support;

use emulated_board::{MPS2_DESCRIPTION, Machine};
use probe_rs::config::{MemoryRegion, Registry};

#[test]
fn probe_rs_knows_every_chip() {
    for machine in Machine::ALL {
        let mut registry = Registry::from_builtin_families();
        assert_eq!(
            registry.get_target_by_name(machine.chip()).is_err(),
            machine.chip_description().is_some(),
            "{machine}"
        );
        if let Some(description) = machine.chip_description() {
            registry.add_target_family_from_yaml(description).unwrap();
        }
        let target = registry.get_target_by_name(machine.chip()).unwrap();
        let has = |range: std::ops::Range<u32>, flash: bool| {
            target.memory_map.iter().any(|region| {
                let same = region.address_range() == (range.start.into()..range.end.into());
                same && flash == matches!(region, MemoryRegion::Nvm(_))
            })
        };
        assert!(has(machine.flash(), true), "{machine}");
        assert!(
            has(machine.ram(), false),
            "{machine}: {:?}",
            target.memory_map
        );
        assert!(!target.flash_algorithms.is_empty());
    }
}

#[test]
fn machines_have_names() {
    for machine in Machine::ALL {
        assert_eq!(machine.name().parse(), Ok(machine));
    }
    let error = "mps3".parse::<Machine>().unwrap_err().to_string();
    for machine in Machine::ALL {
        assert!(error.contains(machine.name()), "{error}");
    }
}

#[test]
fn the_flash_algorithm_is_its_source() {
    let code = support::assemble("chips/mps2_ssram.s");
    let mut registry = Registry::from_builtin_families();
    registry
        .add_target_family_from_yaml(MPS2_DESCRIPTION)
        .unwrap();
    for chip in ["MPS2_AN386", "MPS2_AN500"] {
        let target = registry.get_target_by_name(chip).unwrap();
        let [algorithm] = &target.flash_algorithms[..] else {
            panic!("{chip}")
        };
        assert!(algorithm.instructions == code, "{:02x?}", code);
        assert_eq!(algorithm.data_section_offset, code.len() as u64);
    }
}
