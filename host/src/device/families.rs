//! Facts that chip descriptions leave out, by the beginnings of families' and chips' names: the processor's
//! units, and what a chip demands of a firmware before it runs it.
//!
//! As the vendors' manuals are known to the authors, not looked up chip by chip. A family that is missing here gets no unit that it may lack.

use std::fmt;

/// Need of a chip that firmware built here does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Obstacle {
    /// Start from an external memory chip, whose size its description does not know, and behind a header or a
    /// second boot loader.
    ExternalFlash,
    /// Its boot ROM wants a header, a signature or another core's program before the vector table.
    BootHeader,
    /// Words within the flash configure it, where code would lock it or change its protection.
    ConfigurationWords,
    /// Its watchdog runs from reset on, and resets what does not feed it.
    Watchdog,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExternalFlash => {
                "it runs from an external flash chip, of a size that its description does not know"
            }
            Self::BootHeader => "its boot ROM wants more than a vector table",
            Self::ConfigurationWords => {
                "words in its flash configure the chip, where code could lock it"
            }
            Self::Watchdog => "its watchdog runs from reset on, and must be fed or stopped",
        })
    }
}

/// Families whose Armv8-M core has the main and DSP extensions in every chip.
const MAINLINE: [&str; 22] = [
    "EFM32PG22",
    "EFM32PG26",
    "EFR32BG2",
    "EFR32FG2",
    "EFR32MG2",
    "GD32E50x",
    "LPC55S69",
    "MPS2 AN505",
    "nRF53",
    "nRF54L",
    "nRF91",
    "RA8",
    "RP235x",
    "STM32H5",
    "STM32L5",
    "STM32N6",
    "STM32U3",
    "STM32U5",
    "STM32WBA",
    "LPC55S66",
    "LPC55S28",
    "LPC55S26",
];

/// Families that firmware built here cannot simply start on.
const OBSTACLES: [(Obstacle, &[&str]); 4] = [
    (
        Obstacle::ExternalFlash,
        &[
            "MIMXRT", "RP2040", "RP235x", "SF32LB", "STM32N6", "psoc_e84",
        ],
    ),
    (
        Obstacle::BootHeader,
        &[
            "psoc6",
            "PSC3",
            "PSOC_C3",
            "S32K Series",
            "VA108xx",
            "VA416xx",
            "OL23D0",
        ],
    ),
    (
        Obstacle::ConfigurationWords,
        &[
            "CC13xx", "CC23XX", "RA0", "RA2", "RA4M1", "RA4W1", "RA6M1", "RA6M2", "RA6M3", "RA6T1",
            "S32K14",
        ],
    ),
    (
        Obstacle::Watchdog,
        &[
            "FM3",
            "MSP432P4xx",
            "SAM3",
            "SAM4",
            "SAME70",
            "SAMG",
            "SAMV71",
            "TLE98",
        ],
    ),
];

/// Need of a boot ROM that is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boot {
    /// A second stage that sets the flash up.
    SecondStage,
    /// A definition of the image.
    ImageDefinition,
}

/// Families whose boot ROM wants something before the vector table that is known here.
const BOOT: [(Boot, &str); 2] = [
    (Boot::SecondStage, "RP2040"),
    (Boot::ImageDefinition, "RP235x"),
];

/// Families whose last sector of flash holds words that configure the chip.
const LAST_SECTOR: [&str; 1] = ["CC13xx"];

fn begins(name: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|b| name.starts_with(b))
}

/// Tells whether an Armv8-M core surely has the main and DSP extensions.
pub(super) fn is_mainline(family: &str) -> bool {
    begins(family, &MAINLINE)
}

/// Obstacle that keeps firmware that is built here from running.
pub(super) fn obstacle(family: &str) -> Option<Obstacle> {
    let found = OBSTACLES
        .iter()
        .find(|(_, families)| begins(family, families));
    found.map(|(obstacle, _)| *obstacle)
}

/// Block that a boot ROM wants before the vector table.
pub(super) fn boot(family: &str) -> Option<Boot> {
    let found = BOOT.iter().find(|(_, name)| family.starts_with(name));
    found.map(|(boot, _)| *boot)
}

/// Tells whether the flash's last sector is not for programs.
pub(super) fn keeps_last_sector(family: &str) -> bool {
    begins(family, &LAST_SECTOR)
}
