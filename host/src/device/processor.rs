//! A chip's processor, as far as building for it depends on it.

use std::fmt;

use serde::Serialize;

use crate::integers::Target;

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
    /// Whether it is known to have a floating-point unit.
    pub fpu: bool,
    /// Whether it is known to have the DSP extension, and with it the main extension of Armv8-M.
    pub dsp: bool,
}

impl Processor {
    /// The compiler's targets whose code it runs, the best first.
    #[must_use]
    pub const fn targets(self) -> &'static [&'static str] {
        match (self.architecture, self.dsp, self.fpu) {
            (Architecture::Armv6M, ..) => &["thumbv6m-none-eabi"],
            (Architecture::Armv7M, ..) => &["thumbv7m-none-eabi"],
            (Architecture::Armv7EM, _, true) => &["thumbv7em-none-eabihf", "thumbv7em-none-eabi"],
            (Architecture::Armv7EM, _, false) => &["thumbv7em-none-eabi"],
            (Architecture::Armv8M, true, true) => {
                &["thumbv8m.main-none-eabihf", "thumbv8m.main-none-eabi"]
            }
            (Architecture::Armv8M, true, false) => &["thumbv8m.main-none-eabi"],
            // The engine's build takes the main extension to mean DSP instructions.
            (Architecture::Armv8M, false, _) => &["thumbv8m.base-none-eabi"],
        }
    }

    /// What an image is converted for that its kernels are to read the fastest.
    #[must_use]
    pub const fn image_target(self) -> Target {
        match (self.architecture, self.dsp) {
            (Architecture::Armv7EM, _) | (Architecture::Armv8M, true) => Target::CortexM4,
            (Architecture::Armv6M, _) | (Architecture::Armv8M, false) => Target::CortexM0,
            // Its kernels are in Rust.
            (Architecture::Armv7M, _) => Target::Portable,
        }
    }
}

/// The architecture of the core that a CPUID register tells of; `None` where that is not one of Arm's
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
    fn code_is_built_for_units_that_are_known_alone() {
        let processor = |architecture, fpu, dsp| Processor {
            architecture,
            fpu,
            dsp,
        };
        let first = |p: Processor| p.targets()[0];
        assert_eq!(
            first(processor(Architecture::Armv7EM, true, true)),
            "thumbv7em-none-eabihf"
        );
        assert_eq!(
            first(processor(Architecture::Armv7EM, false, true)),
            "thumbv7em-none-eabi"
        );
        assert_eq!(
            first(processor(Architecture::Armv8M, false, false)),
            "thumbv8m.base-none-eabi"
        );
    }
}
