//! The kernel families that there are.

use super::family::Family;
use super::targets::precision;

pub use super::dsp::family::FAMILY as DSP;
pub use super::helium::FAMILY as HELIUM;
pub use super::rv32::family::FAMILY as RV32;
pub use super::swar::family::FAMILY as SWAR;

/// Any processor: weights as they are.
pub const PORTABLE: Family = Family {
    name: "portable",
    cores: "Plain rows of weights",
    targets: "",
    layouts: &[],
    reads: |_, _| false,
    leaves: None,
    cost: SWAR.cost,
    cycles: SWAR.cycles,
};

/// Every family.
pub const ALL: [&Family; 5] = [&PORTABLE, &SWAR, &DSP, &HELIUM, &RV32];

/// The family with a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Family> {
    ALL.into_iter().find(|family| family.name == name)
}

/// The family whose kernels are built for one of the compiler's targets, with or without the DSP extension.
#[must_use]
pub fn of_target(target: &str, dsp: bool) -> &'static Family {
    let precision = |family: &&Family| precision(family.targets, target, dsp);
    let best = ALL.into_iter().max_by_key(precision);
    best.filter(|family| precision(family).is_some())
        .unwrap_or(&PORTABLE)
}
