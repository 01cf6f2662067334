//! A plan as a file that a board takes without a probe: UF2, Intel's hexadecimal format, or plain bytes.
//!
//! UF2 is Microsoft's format (github.com/microsoft/uf2): blocks of 512 bytes, each with 256 bytes for one page of flash
//! and the family that a boot loader asks for. Sectors are filled up, because a boot loader may erase one at every page
//! that comes out of order (RP2040 datasheet, erratum RP2040-E14).

use super::boards::{BOARDS, Board, File, Place, Runs};
use super::chip::Chip;
use super::firmware::Segment;
use super::memory::Region;
use super::plan::{Mode, Plan};
use crate::advice::{Advice, Advised};

/// Reasons why there is no such file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The plan leaves the firmware as it is.
    #[error("a file for {chip} has to hold the firmware, too")]
    NoFirmware {
        /// The chip.
        chip: String,
    },
    /// No boot loader that takes UF2 is known.
    #[error("no boot loader that takes UF2 files is known on {place}{}", other_file(*takes))]
    NoUf2 {
        /// The board or the chip.
        place: String,
        /// The file that the board takes.
        takes: Option<File>,
    },
    /// The flash is written otherwise than by pages of UF2.
    #[error("sectors of {chip} are no multiples of the 256 bytes of a UF2 page")]
    Pages {
        /// The chip.
        chip: String,
    },
}

fn other_file(file: Option<File>) -> String {
    file.map_or_else(String::new, |file| format!(": it takes a {file} file"))
}

impl Advised for FileError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::NoUf2 {
                takes: Some(file), ..
            } => vec![Advice::FileKind(file.to_string())],
            Self::NoUf2 { takes: None, .. } => vec![Advice::ListBoards],
            _ => Vec::new(),
        }
    }
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// UF2, for boot loaders that show a drive.
    Uf2,
    /// Intel's hexadecimal format.
    Hex,
    /// All bytes from the first one on.
    Bin,
}

/// Bytes for one page of flash in a block of UF2.
pub const UF2_PAGE: u32 = 256;

impl Plan {
    /// All that is written, by address: firmware, journal and image.
    ///
    /// # Errors
    /// [`FileError::NoFirmware`] for an image alone.
    pub fn contents(&self) -> Result<Vec<Segment>, FileError> {
        let (Mode::Everything, [place, ..]) = (self.mode, self.places.as_slice()) else {
            return Err(FileError::NoFirmware {
                chip: self.chip().to_owned(),
            });
        };
        let image = Segment {
            address: place.image.address,
            bytes: self.image.bytes().to_vec(),
        };
        let mut all: Vec<Segment> = self.writes.iter().cloned().chain([image]).collect();
        all.sort_by_key(|segment| segment.address);
        Ok(all)
    }

    /// The same as a file.
    ///
    /// # Errors
    /// [`FileError`], if there is none.
    pub fn file(&self, format: Format) -> Result<Vec<u8>, FileError> {
        let contents = self.contents()?;
        match format {
            Format::Uf2 => {
                let family = self.chip.uf2_family()?;
                let multiple = |block: &Region| {
                    block.address.is_multiple_of(UF2_PAGE) && block.len.is_multiple_of(UF2_PAGE)
                };
                let blocks: Vec<Region> = self.touched(&contents);
                if !blocks.iter().all(multiple) {
                    return Err(FileError::Pages {
                        chip: self.chip().to_owned(),
                    });
                }
                Ok(uf2(&contents, &blocks, family))
            }
            Format::Hex => Ok(hex(&contents)),
            Format::Bin => Ok(bin(&contents)),
        }
    }

    /// The blocks of flash that something is written to.
    fn touched(&self, contents: &[Segment]) -> Vec<Region> {
        let blocks = self.map.blocks.iter().copied();
        let written = |block: &Region| contents.iter().any(|s| Region::of(s).overlaps(*block));
        blocks.filter(written).collect()
    }
}

impl Chip {
    /// The family of UF2 that the boot loader of its board asks for; of a chip that has one itself, that of any board.
    ///
    /// # Errors
    /// [`FileError::NoUf2`], if no boot loader that takes UF2 is known there.
    pub fn uf2_family(&self) -> Result<u32, FileError> {
        let of = |board: &Board| match board.file {
            Some(File::Uf2 { family }) => Some(family),
            _ => None,
        };
        let same = |board: &&Board| matches!(board.runs, Runs::Application { probe_rs, place: Some(Place::External(_)) } if probe_rs == self.name());
        let board = self.board().or_else(|| BOARDS.iter().find(same));
        board.and_then(of).ok_or_else(|| FileError::NoUf2 {
            place: self.board().map_or(self.name(), |b| b.title).to_owned(),
            takes: self.board().and_then(|board| board.file),
        })
    }
}

/// Blocks of UF2 for some sectors, with the content that there is and erased bytes between.
fn uf2(contents: &[Segment], sectors: &[Region], family: u32) -> Vec<u8> {
    const MAGIC: [u32; 2] = [0x0a32_4655, 0x9e5d_5157];
    const MAGIC_END: u32 = 0x0ab1_6f30;
    const FAMILY_PRESENT: u32 = 0x2000;
    const DATA: usize = 476;
    let pages: Vec<u32> = sectors
        .iter()
        .flat_map(|sector| (sector.address..sector.end()).step_by(UF2_PAGE as usize))
        .collect();
    let count = pages.len() as u32;
    let mut file = Vec::with_capacity(pages.len() * 512);
    for (number, address) in pages.into_iter().enumerate() {
        let number = number as u32;
        let header = [
            MAGIC[0],
            MAGIC[1],
            FAMILY_PRESENT,
            address,
            UF2_PAGE,
            number,
            count,
            family,
        ];
        file.extend(header.iter().flat_map(|word| word.to_le_bytes()));
        let page = Region {
            address,
            len: UF2_PAGE,
        };
        let mut data = vec![0xff; UF2_PAGE as usize];
        fill(&mut data, page.address, contents);
        data.resize(DATA, 0);
        file.extend(data);
        file.extend(MAGIC_END.to_le_bytes());
    }
    file
}

/// Puts the content into bytes that begin at an address.
fn fill(bytes: &mut [u8], start: u32, contents: &[Segment]) {
    let start = u64::from(start);
    for segment in contents {
        let first = u64::from(segment.address);
        for (at, byte) in segment.bytes.iter().enumerate() {
            let place = (first + at as u64).checked_sub(start);
            if let Some(slot) = place.and_then(|place| bytes.get_mut(place as usize)) {
                *slot = *byte;
            }
        }
    }
}

/// Intel's records of 16 bytes, with the upper half of addresses whenever it changes.
fn hex(contents: &[Segment]) -> Vec<u8> {
    use ihex::Record;
    const RECORD: usize = 16;
    let (mut records, mut upper) = (Vec::new(), None);
    for segment in contents {
        let mut at = 0;
        while at < segment.bytes.len() {
            let address = segment.address + at as u32;
            if upper != Some(address >> 16) {
                upper = Some(address >> 16);
                records.push(Record::ExtendedLinearAddress((address >> 16) as u16));
            }
            // A record ends before the lower half of its addresses would begin again.
            let left = 0x1_0000 - (address as usize & 0xffff);
            let end = (at + RECORD.min(left)).min(segment.bytes.len());
            records.push(Record::Data {
                offset: address as u16,
                value: segment.bytes[at..end].to_vec(),
            });
            at = end;
        }
    }
    records.push(Record::EndOfFile);
    // Records of 16 bytes that end a file are what the format is for.
    let text = ihex::create_object_file_representation(&records);
    text.unwrap_or_default().into_bytes()
}

/// All bytes from the first one to the last one.
fn bin(contents: &[Segment]) -> Vec<u8> {
    let start = contents.iter().map(|s| s.address).min().unwrap_or(0);
    let end = contents.iter().map(|s| Region::of(s).end()).max();
    let mut bytes = vec![0xff; end.unwrap_or(start).saturating_sub(start) as usize];
    fill(&mut bytes, start, contents);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Vec<Segment> {
        let bytes =
            |from: u8, count: usize| (0..count).map(|n| from.wrapping_add(n as u8)).collect();
        vec![
            Segment {
                address: 0x1000_0000,
                bytes: bytes(1, 300),
            },
            Segment {
                address: 0x1000_fff8,
                bytes: bytes(9, 20),
            },
        ]
    }

    #[test]
    fn hexadecimal_records_hold_every_byte_at_its_address() {
        let text = String::from_utf8(hex(&contents())).unwrap();
        let mut read = std::collections::BTreeMap::new();
        let mut upper = 0;
        for record in ihex::Reader::new(&text) {
            match record.unwrap() {
                ihex::Record::ExtendedLinearAddress(half) => upper = u32::from(half) << 16,
                ihex::Record::Data { offset, value } => {
                    for (at, byte) in value.into_iter().enumerate() {
                        read.insert(upper + u32::from(offset) + at as u32, byte);
                    }
                }
                _ => {}
            }
        }
        let expected: Vec<(u32, u8)> = (contents().iter())
            .flat_map(|s| (s.address..).zip(s.bytes.clone()))
            .collect();
        assert_eq!(read.into_iter().collect::<Vec<_>>(), expected);
        assert!(text.ends_with(":00000001FF\n"), "{text}");
    }

    #[test]
    fn plain_bytes_have_erased_ones_between() {
        let bytes = bin(&contents());
        assert_eq!(bytes.len(), 0x1000c);
        assert_eq!((bytes[0], bytes[299], bytes[300]), (1, 44, 0xff));
        assert_eq!(bytes[0xfff8], 9);
    }

    #[test]
    fn blocks_of_uf2_fill_sectors() {
        let sectors = [
            Region::new(0x1000_0000, 0x1000_1000),
            Region::new(0x1000_f000, 0x1001_0000),
            Region::new(0x1001_0000, 0x1001_1000),
        ];
        let file = uf2(&contents(), &sectors, 0xe48b_ff56);
        assert_eq!(file.len(), 48 * 512);
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        for block in 0..48 {
            let at = 512 * block;
            assert_eq!((word(at), word(at + 508)), (0x0a32_4655, 0x0ab1_6f30));
            assert_eq!(
                (word(at + 20), word(at + 24), word(at + 28)),
                (block as u32, 48, 0xe48b_ff56)
            );
        }
        let addresses: Vec<u32> = (0..48).map(|block| word(512 * block + 12)).collect();
        assert_eq!((addresses[15], addresses[16]), (0x1000_0f00, 0x1000_f000));
        // The second segment goes over two sectors.
        assert_eq!(file[512 * 31 + 32 + 0xf8], 9);
        assert_eq!(file[512 * 32 + 32], 17);
        assert_eq!(file[512 * 33 + 32], 0xff);
    }
}
