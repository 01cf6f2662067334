//! Bytes that a boot ROM wants at the start of flash, before the program's vector table.
//!
//! The flash for firmware begins with them, and what is linked begins behind. Both blocks are the makers': the second
//! stages of `pico-sdk` for the RP2040 (RP2040 datasheet, section 2.8.1.3), and the least image definition for the RP2350
//! (RP2350 datasheet, sections 5.9.3 and 5.9.5).

use rp2040_boot2::{BOOT_LOADER_GENERIC_03H, BOOT_LOADER_W25Q080};

use super::families;

/// A chip's boot block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootBlock {
    /// Code that makes the flash chip readable in place, with its checksum (RP2040).
    SecondStage(&'static [u8; 256]),
    /// A description of the program, which says where its vector table is (RP2350).
    ImageDefinition,
}

impl BootBlock {
    /// The block for a family; a flash chip that is not known is read by the command that all have, which is slow.
    pub(super) fn of(family: &str, known_flash: bool) -> Option<Self> {
        match families::boot(family)? {
            families::Boot::SecondStage if known_flash => {
                Some(Self::SecondStage(&BOOT_LOADER_W25Q080))
            }
            families::Boot::SecondStage => Some(Self::SecondStage(&BOOT_LOADER_GENERIC_03H)),
            families::Boot::ImageDefinition => Some(Self::ImageDefinition),
        }
    }

    /// Bytes between the start of flash and the vector table, which `cortex-m-rt` wants at a multiple of its length: 512
    /// entries on Armv8-M.
    #[must_use]
    pub const fn reserved(self) -> u32 {
        match self {
            Self::SecondStage(code) => code.len() as u32,
            Self::ImageDefinition => 2048,
        }
    }

    /// The block for a flash that starts at an address.
    #[must_use]
    pub fn bytes(self, flash: u32) -> Vec<u8> {
        match self {
            Self::SecondStage(code) => code.to_vec(),
            Self::ImageDefinition => {
                const START: u32 = 0xffff_ded3;
                const END: u32 = 0xab12_3579;
                // Executable, for the Arm core of the RP2350 in its secure state: one word.
                const IMAGE_TYPE: u32 = 0x1021_0142;
                // Two words, of which the second is the address.
                const VECTOR_TABLE: u32 = 0x0000_0203;
                // Three words of items lie before it.
                const LAST: u32 = 0x0000_03ff;
                // The only block of its loop.
                const SELF: u32 = 0;
                let table = flash.saturating_add(self.reserved());
                let words = [START, IMAGE_TYPE, VECTOR_TABLE, table, LAST, SELF, END];
                words.iter().flat_map(|word| word.to_le_bytes()).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The boot ROM's checksum over the first 252 bytes (RP2040 datasheet, section 2.8.1.3.1).
    #[test]
    fn second_stages_have_the_checksum_that_the_boot_rom_asks_for() {
        for known in [false, true] {
            let block = BootBlock::of("RP2040", known).unwrap();
            let bytes = block.bytes(0x1000_0000);
            assert_eq!(bytes.len(), 256);
            let crc = bytes[..252].iter().fold(u32::MAX, |crc, byte| {
                (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| match crc >> 31 {
                    0 => crc << 1,
                    _ => crc << 1 ^ 0x04c1_1db7,
                })
            });
            assert_eq!(bytes[252..], crc.to_le_bytes(), "{known}");
        }
    }

    /// Goes through the block as the boot ROM does: items follow each other by their lengths, up to the last one.
    #[test]
    fn an_image_definition_leads_to_the_vector_table() {
        let bytes = BootBlock::of("RP235x", true).unwrap().bytes(0x1000_0000);
        let words: Vec<u32> = bytes
            .chunks(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(words.first(), Some(&0xffff_ded3));
        let (mut at, mut items) = (1, Vec::new());
        loop {
            let [kind, low, high, _] = words[at].to_le_bytes();
            if kind == 0xff {
                assert_eq!(usize::from(u16::from_le_bytes([low, high])), at - 1);
                break;
            }
            items.push((kind, &words[at..at + usize::from(low)]));
            at += usize::from(low);
        }
        assert_eq!(words[at + 1..], [0, 0xab12_3579]);
        // The first item is the type: executable, secure, Arm, RP2350.
        assert_eq!((items[0].0, items[0].1[0] >> 16), (0x42, 0x1021));
        assert_eq!((items[1].0, items[1].1[1]), (0x03, 0x1000_0800));
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn no_other_family_has_one() {
        for family in ["nRF52 Series", "MIMXRT1060", "STM32N6"] {
            assert_eq!(BootBlock::of(family, true), None, "{family}");
        }
    }
}
