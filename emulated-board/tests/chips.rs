//! The descriptions of chips, against what they describe.

#[expect(dead_code, reason = "shared with the tests of boards")]
mod support;

use emulated_board::Machine;
use probe_rs::config::{MemoryRegion, Registry};

#[test]
fn probe_rs_knows_every_chip() {
    for machine in Machine::PROBED {
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
        let flash = machine.flash();
        let flash = u64::from(flash.start)..u64::from(flash.end);
        assert!(target.memory_map.iter().any(|region| {
            matches!(region, MemoryRegion::Nvm(_)) && region.address_range() == flash
        }));
        // It may be in several parts.
        let mut end = machine.ram().start.into();
        for region in &target.memory_map {
            if matches!(region, MemoryRegion::Ram(_)) && region.address_range().start == end {
                end = region.address_range().end;
            }
        }
        assert_eq!(end, machine.ram().end.into(), "{machine}");
        assert!(!target.flash_algorithms.is_empty());
    }
}

#[test]
fn machines_have_names() {
    for machine in Machine::PROBED {
        assert_eq!(machine.name().parse(), Ok(machine));
    }
    let error = "mps3".parse::<Machine>().unwrap_err().to_string();
    for machine in Machine::PROBED {
        assert!(error.contains(machine.name()), "{error}");
    }
}

#[test]
fn the_flash_algorithm_is_its_source() {
    let code = support::assemble("chips/mps2_ssram.s");
    for machine in Machine::PROBED {
        let Some(description) = machine.chip_description() else {
            continue;
        };
        let mut registry = Registry::from_builtin_families();
        registry.add_target_family_from_yaml(description).unwrap();
        let target = registry.get_target_by_name(machine.chip()).unwrap();
        let [algorithm] = &target.flash_algorithms[..] else {
            panic!("{machine}")
        };
        assert!(algorithm.instructions == code, "{:02x?}", code);
        assert_eq!(algorithm.data_section_offset, code.len() as u64);
    }
}
