//! Moves a linked application to another chip's memory, as the linker would have placed it.
//!
//! The application is linked with `--emit-relocs`, so that it says which of its words are addresses. All of the flash moves by
//! one distance, all variables by another, and what a chip's memory fixes ([`Memory::symbols`]) gets its new value. The moved file is a
//! whole ELF file: its headers and symbols move along.

use std::collections::BTreeMap;
use std::mem::offset_of;

use object::LittleEndian;
use object::elf::{
    self, FileHeader32, ProgramHeader32, Rel32, SHF_ALLOC, SHN_ABS, SHN_UNDEF, SHT_REL,
    SectionHeader32, Sym32,
};
use object::read::elf::{
    FileHeader as _, ProgramHeader as _, Rel as _, SectionHeader as _, Sym as _,
};

use crate::memory::Memory;
use crate::shell::Failure;

/// The byte order of every core.
const LE: LittleEndian = LittleEndian;
/// The section of the stack, which begins the RAM.
const STACK: &[u8] = b".stack";
/// The section of the vector table, whose first word is the end of the stack. cortex-m-rt's `link.x` writes it as a number.
const VECTORS: &[u8] = b".vector_table";
/// The application's key, if it asks for one.
const KEY: &str = "_tinyspike_public_key";
/// Bytes between the two halves of an address, at most.
const PAIR: u32 = 1 << 12;

/// Symbols that move with an application, by which hosts find what they need of it, beside those of [`Memory::symbols`].
pub const FOUND: [&str; 3] = ["_SEGGER_RTT", "_tinyspike_memory", KEY];

fn unusable(what: impl std::fmt::Display) -> Failure {
    Failure::Argument(format!("the application cannot be moved: {what}"))
}

/// Moves an application that was linked for one memory to another. With a key, it asks for that one.
///
/// # Errors
/// [`Failure`], if it does not fit there, or is no file that can be moved.
pub fn relocate(
    file: &[u8],
    from: &Memory,
    to: &Memory,
    key: Option<&[u8; 32]>,
) -> Result<Vec<u8>, Failure> {
    let mover = Mover::new(file, from, to)?;
    let mut moved = file.to_vec();
    mover.addresses(&mut moved)?;
    put_word(&mut moved, mover.vectors, to.variables() & !7)?;
    mover.headers(&mut moved)?;
    mover.symbols(&mut moved)?;
    if let Some(key) = key {
        let place = mover.key()?;
        put(&mut moved, place, key)?;
    }
    Ok(moved)
}

/// Writes bytes at an offset.
fn put(file: &mut [u8], offset: usize, bytes: &[u8]) -> Result<(), Failure> {
    let place = offset.checked_add(bytes.len());
    let place = place.and_then(|end| file.get_mut(offset..end));
    place
        .ok_or_else(|| unusable("its file is truncated"))?
        .copy_from_slice(bytes);
    Ok(())
}

fn put_word(file: &mut [u8], offset: usize, value: u32) -> Result<(), Failure> {
    put(file, offset, &value.to_le_bytes())
}

/// Half of an instruction, or of a word.
fn half(file: &[u8], offset: usize) -> Result<u16, Failure> {
    let bytes = file.get(offset..).and_then(|rest| rest.first_chunk());
    bytes
        .map(|bytes| u16::from_le_bytes(*bytes))
        .ok_or_else(|| unusable("its file is truncated"))
}

fn word(file: &[u8], offset: usize) -> Result<u32, Failure> {
    Ok(u32::from(half(file, offset)?) | u32::from(half(file, offset + 2)?) << 16)
}

/// One application's way from one memory to another.
struct Mover<'a> {
    file: &'a [u8],
    header: &'a FileHeader32<LittleEndian>,
    sections: &'a [SectionHeader32<LittleEndian>],
    programs: &'a [ProgramHeader32<LittleEndian>],
    symbols: &'a [Sym32<LittleEndian>],
    /// The offset of the symbols in the file.
    symbols_at: usize,
    /// The new value of each symbol.
    values: Vec<u32>,
    /// Number of the symbol of the key.
    key: Option<usize>,
    /// Number of the stack's section.
    stack: usize,
    /// The offset of the vector table in the file.
    vectors: usize,
    from: &'a Memory,
    to: &'a Memory,
}

impl<'a> Mover<'a> {
    fn new(file: &'a [u8], from: &'a Memory, to: &'a Memory) -> Result<Self, Failure> {
        let header = FileHeader32::<LittleEndian>::parse(file).map_err(unusable)?;
        let sections = header.sections(LE, file).map_err(unusable)?;
        let table = sections
            .symbols(LE, file, elf::SHT_SYMTAB)
            .map_err(unusable)?;
        let at = sections
            .section(table.section())
            .map_err(unusable)?
            .sh_offset(LE);
        let stack = sections
            .section_by_name(LE, STACK)
            .ok_or_else(|| unusable("it has no stack"))?
            .0;
        let vectors = sections
            .section_by_name(LE, VECTORS)
            .ok_or_else(|| unusable("it has no vector table"))?
            .1;
        let mut mover = Self {
            vectors: vectors.sh_offset(LE) as usize,
            file,
            header,
            sections: sections.iter().as_slice(),
            programs: header.program_headers(LE, file).map_err(unusable)?,
            symbols: table.iter().as_slice(),
            symbols_at: at as usize,
            values: Vec::new(),
            key: None,
            stack: stack.0,
            from,
            to,
        };
        for (what, region) in [("flash", &to.flash), ("RAM", &to.ram)] {
            if !region.start.is_multiple_of(8) || !to.stack.is_multiple_of(8) {
                return Err(unusable(format_args!(
                    "its {what} begins at {:#010x} behind a stack of {} bytes, which are no multiples of 8",
                    region.start, to.stack
                )));
            }
        }
        let named: BTreeMap<&str, u32> = to.symbols().into_iter().collect();
        for (at, symbol) in mover.symbols.iter().enumerate() {
            let name = table.symbol_name(LE, symbol).unwrap_or_default();
            let name = std::str::from_utf8(name).unwrap_or_default();
            if name == KEY {
                mover.key = Some(at);
            }
            let value = match named.get(name) {
                Some(&value) => value,
                None => mover.value(symbol),
            };
            mover.values.push(value);
        }
        mover.check_room()?;
        Ok(mover)
    }

    /// The distance that flash moves.
    fn flash(&self) -> u32 {
        self.to.flash.start.wrapping_sub(self.from.flash.start)
    }

    /// The distance that variables move, which lie behind the stack.
    fn ram(&self) -> u32 {
        self.to.variables().wrapping_sub(self.from.variables())
    }

    /// The distance that an address moves. The end of a memory moves as what it contains.
    fn distance(&self, address: u32) -> u32 {
        let within =
            |region: &std::ops::Range<u32>| region.contains(&address) || region.end == address;
        if within(&self.from.flash) {
            self.flash()
        } else if within(&self.from.ram) {
            self.ram()
        } else {
            0
        }
    }

    /// Tells whether a section is loaded.
    fn is_loaded(section: &SectionHeader32<LittleEndian>) -> bool {
        section.sh_flags(LE) & SHF_ALLOC != 0
    }

    /// The new value of a symbol that no memory fixes. What is not loaded is numbers, not addresses.
    fn value(&self, symbol: &Sym32<LittleEndian>) -> u32 {
        let value = symbol.st_value(LE);
        let moves = match symbol.st_shndx(LE) {
            SHN_UNDEF => false,
            // A file's name has a zero that is no address.
            SHN_ABS if symbol.st_type() == elf::STT_FILE => false,
            SHN_ABS => true,
            section => (self.sections.get(usize::from(section))).is_some_and(Self::is_loaded),
        };
        match moves {
            true => value.wrapping_add(self.distance(value)),
            false => value,
        }
    }

    /// The distance of a symbol.
    fn distance_of(&self, symbol: usize) -> Result<u32, Failure> {
        let pair = self.symbols.get(symbol).zip(self.values.get(symbol));
        pair.map(|(old, new)| new.wrapping_sub(old.st_value(LE)))
            .ok_or_else(|| unusable("it has a place without a symbol"))
    }

    /// Checks that everything fits its new place.
    fn check_room(&self) -> Result<(), Failure> {
        for program in self.loaded() {
            let (address, stored) = (program.p_vaddr(LE), program.p_paddr(LE));
            for (what, place, bytes, from, to) in [
                (
                    "flash",
                    stored,
                    program.p_filesz(LE),
                    &self.from.flash,
                    &self.to.flash,
                ),
                (
                    "RAM",
                    address,
                    program.p_memsz(LE),
                    &self.from.ram,
                    &self.to.ram,
                ),
            ] {
                if !from.contains(&place) || place == self.from.ram.start {
                    continue;
                }
                let end = u64::from(place.wrapping_add(self.distance(place))) + u64::from(bytes);
                if end > u64::from(to.end) {
                    return Err(unusable(format_args!(
                        "it takes {} bytes of {what} more than there are",
                        end - u64::from(to.end)
                    )));
                }
            }
        }
        Ok(())
    }

    fn loaded(&self) -> impl Iterator<Item = &ProgramHeader32<LittleEndian>> {
        self.programs
            .iter()
            .filter(|program| program.p_type(LE) == elf::PT_LOAD)
    }

    /// Offset in the file of an address in a section.
    fn offset(section: &SectionHeader32<LittleEndian>, address: u32) -> usize {
        section
            .sh_offset(LE)
            .wrapping_add(address.wrapping_sub(section.sh_addr(LE))) as usize
    }

    /// The places in a list of a section's addresses.
    fn places(
        &self,
        list: &SectionHeader32<LittleEndian>,
    ) -> Result<&'a [Rel32<LittleEndian>], Failure> {
        let places = list.rel(LE, self.file).map_err(unusable)?;
        Ok(places.map_or(&[][..], |(places, _)| places))
    }

    /// Moves all addresses in code, constants and debug information.
    fn addresses(&self, moved: &mut [u8]) -> Result<(), Failure> {
        for list in self.sections.iter().filter(|s| s.sh_type(LE) == SHT_REL) {
            let Some(target) = self.sections.get(list.sh_info(LE) as usize) else {
                continue;
            };
            if !Self::is_loaded(target) {
                self.debug_information(target, self.places(list)?, moved)?;
                continue;
            }
            let mut places: Vec<&Rel32<LittleEndian>> = self.places(list)?.iter().collect();
            places.sort_by_key(|place| place.r_offset(LE));
            self.section(target, &places, moved)?;
        }
        Ok(())
    }

    /// Moves the addresses in debug information, which are words.
    fn debug_information(
        &self,
        target: &SectionHeader32<LittleEndian>,
        places: &[Rel32<LittleEndian>],
        moved: &mut [u8],
    ) -> Result<(), Failure> {
        for place in places {
            let distance = self.distance_of(place.r_sym(LE) as usize)?;
            if place.r_type(LE) == elf::R_ARM_ABS32 && distance != 0 {
                let at = Self::offset(target, place.r_offset(LE));
                put_word(moved, at, word(self.file, at)?.wrapping_add(distance))?;
            }
        }
        Ok(())
    }

    /// Moves the addresses in a section, whose places are in order.
    fn section(
        &self,
        target: &SectionHeader32<LittleEndian>,
        places: &[&Rel32<LittleEndian>],
        moved: &mut [u8],
    ) -> Result<(), Failure> {
        // Lower halves of addresses, by symbol and register.
        let mut lower: BTreeMap<(u32, u16), (u32, u16)> = BTreeMap::new();
        for place in places {
            let (address, symbol) = (place.r_offset(LE), place.r_sym(LE));
            let at = Self::offset(target, address);
            let distance = self.distance_of(symbol as usize)?;
            match place.r_type(LE) {
                elf::R_ARM_ABS32 | elf::R_ARM_TARGET1 => {
                    put_word(moved, at, word(self.file, at)?.wrapping_add(distance))?;
                }
                elf::R_ARM_THM_MOVW_ABS_NC => {
                    let load = Load::read(self.file, at)?;
                    lower.insert((symbol, load.register()), (address, load.immediate()));
                    let new = u32::from(load.immediate()).wrapping_add(distance);
                    load.with(new as u16).write(moved, at)?;
                }
                elf::R_ARM_THM_MOVT_ABS => {
                    let load = Load::read(self.file, at)?;
                    let found = lower.get(&(symbol, load.register()));
                    let (_, low) =
                        found
                            .filter(|(at, _)| address - at <= PAIR)
                            .ok_or_else(|| {
                                unusable(format_args!(
                                    "half an address at {address:#010x} stands alone"
                                ))
                            })?;
                    let old = u32::from(load.immediate()) << 16 | u32::from(*low);
                    load.with((old.wrapping_add(distance) >> 16) as u16)
                        .write(moved, at)?;
                }
                elf::R_ARM_NONE | elf::R_ARM_V4BX => {}
                // Relative to the place: both move alike.
                elf::R_ARM_REL32
                | elf::R_ARM_PREL31
                | elf::R_ARM_THM_PC22
                | elf::R_ARM_THM_JUMP24
                | elf::R_ARM_THM_JUMP19
                | elf::R_ARM_THM_PC11
                | elf::R_ARM_THM_PC9
                | elf::R_ARM_THM_PC8
                | elf::R_ARM_THM_ALU_PREL_11_0
                | elf::R_ARM_THM_PC12
                    if distance == self.distance(address) => {}
                other => {
                    return Err(unusable(format_args!(
                        "it has an address of the kind {other} at {address:#010x}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Moves the entry, the sections and the segments.
    fn headers(&self, moved: &mut [u8]) -> Result<(), Failure> {
        type File = FileHeader32<LittleEndian>;
        type Section = SectionHeader32<LittleEndian>;
        type Segment = ProgramHeader32<LittleEndian>;
        let entry = self.header.e_entry(LE);
        let entry = entry.wrapping_add(self.distance(entry));
        put_word(moved, offset_of!(File, e_entry), entry)?;
        let first = self.header.e_shoff(LE) as usize;
        for (number, section) in self.sections.iter().enumerate() {
            let at = first + number * size_of::<Section>();
            let address = section.sh_addr(LE);
            if number == self.stack {
                put_word(moved, at + offset_of!(Section, sh_addr), self.to.ram.start)?;
                put_word(moved, at + offset_of!(Section, sh_size), self.to.stack)?;
            } else if Self::is_loaded(section) {
                let address = address.wrapping_add(self.distance(address));
                put_word(moved, at + offset_of!(Section, sh_addr), address)?;
            } else if section.sh_type(LE) == SHT_REL {
                self.list(section, moved)?;
            }
        }
        let first = self.header.e_phoff(LE) as usize;
        for (number, program) in self.programs.iter().enumerate() {
            if program.p_type(LE) != elf::PT_LOAD {
                continue;
            }
            let at = first + number * size_of::<Segment>();
            let (address, stored) = (program.p_vaddr(LE), program.p_paddr(LE));
            let begins = address == self.from.ram.start;
            let (new, bytes) = match begins {
                // The stack, and what may lie behind it in one segment.
                true => (
                    self.to.ram.start,
                    (program.p_memsz(LE).wrapping_sub(self.from.stack)).wrapping_add(self.to.stack),
                ),
                false => (
                    address.wrapping_add(self.distance(address)),
                    program.p_memsz(LE),
                ),
            };
            let stored = match stored == address {
                true => new,
                false => stored.wrapping_add(self.distance(stored)),
            };
            put_word(moved, at + offset_of!(Segment, p_vaddr), new)?;
            put_word(moved, at + offset_of!(Segment, p_paddr), stored)?;
            put_word(moved, at + offset_of!(Segment, p_memsz), bytes)?;
        }
        Ok(())
    }

    /// Moves the list of a section's addresses, so that the file may be moved again.
    fn list(&self, list: &SectionHeader32<LittleEndian>, moved: &mut [u8]) -> Result<(), Failure> {
        for (number, place) in self.places(list)?.iter().enumerate() {
            let at = list.sh_offset(LE) as usize + number * size_of::<Rel32<LittleEndian>>();
            let address = place.r_offset(LE);
            put_word(moved, at, address.wrapping_add(self.distance(address)))?;
        }
        Ok(())
    }

    fn symbols(&self, moved: &mut [u8]) -> Result<(), Failure> {
        type Symbol = Sym32<LittleEndian>;
        for (number, &value) in self.values.iter().enumerate() {
            let at = self.symbols_at + number * size_of::<Symbol>();
            put_word(moved, at + offset_of!(Symbol, st_value), value)?;
        }
        Ok(())
    }

    /// The offset of the key in the file.
    fn key(&self) -> Result<usize, Failure> {
        let none = || unusable("it asks for no key");
        let symbol = (self.key.and_then(|at| self.symbols.get(at))).ok_or_else(none)?;
        let section = self.sections.get(usize::from(symbol.st_shndx(LE)));
        Ok(Self::offset(section.ok_or_else(none)?, symbol.st_value(LE)))
    }
}

/// An instruction `movw` or `movt` of Thumb, which loads half of a register.
#[derive(Clone, Copy)]
struct Load(u16, u16);

impl Load {
    fn read(file: &[u8], at: usize) -> Result<Self, Failure> {
        let load = Self(half(file, at)?, half(file, at + 2)?);
        // 11110 i 10 x100 imm4, 0 imm3 Rd imm8.
        if load.0 & 0xfb70 == 0xf240 && load.1 & 0x8000 == 0 {
            Ok(load)
        } else {
            Err(unusable("half of an address is in another instruction"))
        }
    }

    fn register(self) -> u16 {
        self.1 >> 8 & 0xf
    }

    fn immediate(self) -> u16 {
        (self.0 & 0xf) << 12 | (self.0 >> 10 & 1) << 11 | (self.1 >> 12 & 7) << 8 | self.1 & 0xff
    }

    fn with(self, value: u16) -> Self {
        Self(
            self.0 & 0xfbf0 | value >> 12 | (value >> 11 & 1) << 10,
            self.1 & 0x8f00 | (value >> 8 & 7) << 12 | value & 0xff,
        )
    }

    fn write(self, file: &mut [u8], at: usize) -> Result<(), Failure> {
        put(file, at, &self.0.to_le_bytes())?;
        put(file, at + 2, &self.1.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::Load;

    #[test]
    fn halves_of_addresses_are_read_and_written() {
        // movw r0, #0x1234 and movt r12, #0xabcd, as LLVM assembles them.
        for (load, register, immediate) in [
            (Load(0xf241, 0x2034), 0, 0x1234),
            (Load(0xf6ca, 0x3ccd), 12, 0xabcd),
        ] {
            assert_eq!((load.register(), load.immediate()), (register, immediate));
            for value in [0, 0xffff, 0x8000, 0x0800, 0x0100, 0x00ff, immediate] {
                let changed = load.with(value);
                assert_eq!((changed.register(), changed.immediate()), (register, value));
            }
            let same = load.with(immediate);
            assert_eq!((same.0, same.1), (load.0, load.1));
        }
    }
}
