//! A chip's processor, as far as building for it depends on it.

use std::fmt;

use serde::Serialize;

use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;

/// The architecture of a Cortex-M core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Architecture {
    /// Cortex-M0, M0+ and M1.
    Armv6M,
    /// Cortex-M3.
    Armv7M,
    /// Cortex-M4 and M7: with the DSP extension.
    Armv7EM,
    /// Cortex-M23, M33, M55, M85.
    Armv8M,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Armv6M => "Armv6-M",
            Self::Armv7M => "Armv7-M",
            Self::Armv7EM => "Armv7E-M",
            Self::Armv8M => "Armv8-M",
        })
    }
}

/// A processor, and what it surely has. Chip descriptions name the architecture alone: a unit that is not
/// known to be there is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Processor {
    /// Its architecture.
    pub architecture: Architecture,
    /// `true` if it is known to have the DSP extension, and with it the main extension of Armv8-M.
    pub dsp: bool,
}

impl Processor {
    /// The compiler's target for it. The engine uses no floats, so that it asks for no floating-point unit.
    #[must_use]
    pub const fn target(self) -> &'static str {
        match (self.architecture, self.dsp) {
            (Architecture::Armv6M, _) => "thumbv6m-none-eabi",
            (Architecture::Armv7M, _) => "thumbv7m-none-eabi",
            (Architecture::Armv7EM, _) => "thumbv7em-none-eabi",
            (Architecture::Armv8M, true) => "thumbv8m.main-none-eabi",
            (Architecture::Armv8M, false) => "thumbv8m.base-none-eabi",
        }
    }

    /// The kernel family that it runs.
    #[must_use]
    pub fn family(self) -> &'static Family {
        families::of_target(self.target(), self.dsp)
    }
}

/// The architecture of the core that a CPUID register tells of; `None` if that is not one of Arm's
/// Cortex-M.
pub(super) fn architecture_of_cpuid(cpuid: u32) -> Option<Architecture> {
    const ARM: u32 = 0x41;
    if cpuid >> 24 != ARM {
        return None;
    }
    match (cpuid >> 4) & 0xfff {
        0xc20 | 0xc21 | 0xc60 => Some(Architecture::Armv6M),
        0xc23 => Some(Architecture::Armv7M),
        0xc24 | 0xc27 => Some(Architecture::Armv7EM),
        0xd20..=0xd23 => Some(Architecture::Armv8M),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_tell_their_architecture() {
        for (cpuid, architecture) in [
            (0x410c_c200, Some(Architecture::Armv6M)),
            (0x410c_c601, Some(Architecture::Armv6M)),
            (0x412f_c231, Some(Architecture::Armv7M)),
            (0x410f_c241, Some(Architecture::Armv7EM)),
            (0x411f_c272, Some(Architecture::Armv7EM)),
            (0x410f_d213, Some(Architecture::Armv8M)),
            (0x631f_1320, None),
            (0, None),
        ] {
            assert_eq!(architecture_of_cpuid(cpuid), architecture, "{cpuid:#x}");
        }
    }

    #[test]
    fn a_processor_runs_the_fastest_kernels_for_units_that_are_known() {
        use families::{DSP, SWAR};
        for (architecture, dsp, family) in [
            (Architecture::Armv6M, false, &SWAR),
            (Architecture::Armv7M, false, &SWAR),
            (Architecture::Armv7EM, true, &DSP),
            (Architecture::Armv8M, true, &DSP),
            (Architecture::Armv8M, false, &SWAR),
        ] {
            let processor = Processor { architecture, dsp };
            assert_eq!(processor.family(), family, "{processor:?}");
        }
    }
}
