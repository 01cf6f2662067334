//! Contents of the firmware's ELF files: a program's size, its stored segments, and the places of its
//! functions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::mem::offset_of;
use std::path::Path;

use object::elf::{
    FileHeader32, PT_LOAD, PT_NULL, ProgramHeader32, SHT_NOBITS, SHT_NULL, SectionHeader32,
};
use object::pod::bytes_of_slice;
use object::read::elf::{ElfFile32, FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::{
    LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget,
    SectionKind, SymbolKind, U32,
};

use crate::shell::Failure;

/// Memory that a program takes of a microcontroller, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Code, constants, and the first values of variables.
    pub flash: u64,
    /// Variables; the stack comes on top.
    pub ram: u64,
}

impl Size {
    /// The size of the program in a file.
    ///
    /// # Errors
    /// [`Failure`] if the file cannot be read or is no program.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(path).map_err(Failure::file(path))?;
        Self::of(&bytes).ok_or_else(|| Failure::Missing {
            what: format!("a 32-bit ELF file at {}", path.display()),
            advice: "remove the file and build again".into(),
        })
    }

    /// The size of a 32-bit little-endian ELF program, from the segments that are loaded.
    #[must_use]
    pub fn of(elf: &[u8]) -> Option<Self> {
        let file: ElfFile32<'_, LittleEndian> = ElfFile32::parse(elf).ok()?;
        let mut size = Self::default();
        let headers = file.elf_program_headers().iter();
        for header in headers.filter(|header| header.p_type(LittleEndian) == PT_LOAD) {
            let in_file = header.p_filesz(LittleEndian);
            size.flash += u64::from(in_file);
            // What is copied or cleared at the start lives elsewhere than where it is stored.
            if header.p_vaddr(LittleEndian) != header.p_paddr(LittleEndian) || in_file == 0 {
                size.ram += u64::from(header.p_memsz(LittleEndian));
            }
        }
        Some(size)
    }
}

/// A program as it is stored, and what its linker named.
#[derive(Clone, Debug)]
pub struct Program {
    /// Stored segments in the file's order: the address and the bytes.
    pub segments: Vec<Segment>,
    symbols: BTreeMap<String, u32>,
}

/// Some bytes, and where they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The address of the first one.
    pub address: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Program {
    /// Reads a 32-bit ELF file.
    ///
    /// # Errors
    /// [`Failure`] if it is none, or stores nothing.
    pub fn parse(elf: &[u8]) -> Result<Self, Failure> {
        let bad = |e: object::Error| Failure::Argument(format!("it is no 32-bit ELF program: {e}"));
        let file: ElfFile32<'_> = ElfFile32::parse(elf).map_err(bad)?;
        let endian = file.endian();
        let mut segments = Vec::new();
        for header in file.elf_program_headers() {
            if header.p_type(endian) == PT_LOAD && header.p_filesz(endian) > 0 {
                let bytes = header.data(endian, elf).map_err(|()| {
                    Failure::Argument("it ends within a segment: the file is truncated".into())
                })?;
                segments.push(Segment {
                    address: header.p_paddr(endian),
                    bytes: bytes.to_vec(),
                });
            }
        }
        if segments.is_empty() {
            return Err(Failure::Argument("it has nothing that is stored".into()));
        }
        let symbols = file
            .symbols()
            .filter(|s| !s.is_undefined())
            .filter_map(|s| Some((s.name().ok()?.to_owned(), u32::try_from(s.address()).ok()?)));
        Ok(Self {
            segments,
            symbols: symbols.collect(),
        })
    }

    /// The value of a symbol; `None` if the program does not define it.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u32> {
        self.symbols.get(name).copied()
    }
}

/// A 32-bit program without its debug information, which is most of its file. Sections keep their numbers.
///
/// # Errors
/// [`Failure`] if it is no program, or has debug information before what is loaded.
pub fn without_debug(file: &[u8]) -> Result<Vec<u8>, Failure> {
    type Header = FileHeader32<LittleEndian>;
    type Section = SectionHeader32<LittleEndian>;
    const LE: LittleEndian = LittleEndian;
    let bad = |e: object::Error| Failure::Argument(format!("it is no 32-bit ELF program: {e}"));
    let header = Header::parse(file).map_err(bad)?;
    let sections = header.sections(LE, file).map_err(bad)?;
    let name = |section: &Section| sections.section_name(LE, section).unwrap_or_default();
    let is_debug = |section: &Section| {
        let name = name(section);
        name.starts_with(b".debug_") || name.starts_with(b".rel.debug_")
    };
    let mut table: Vec<Section> = sections.iter().copied().collect();
    let mut order: Vec<usize> = (1..table.len()).collect();
    order.sort_by_key(|&at| table[at].sh_offset(LE));
    // All before the first of them stays where it is.
    let first = order.iter().find(|&&at| is_debug(&table[at]));
    let Some(first) = first.map(|&at| table[at].sh_offset(LE)) else {
        return Ok(file.to_vec());
    };
    let behind = || Failure::Argument("it has something behind its debug information".into());
    let programs = header.program_headers(LE, file).map_err(bad)?;
    let loaded = |program: &ProgramHeader32<LittleEndian>| {
        program.p_offset(LE).saturating_add(program.p_filesz(LE))
    };
    let mut kept = file.get(..first as usize).ok_or_else(behind)?.to_vec();
    for (number, program) in programs.iter().enumerate() {
        if program.p_filesz(LE) == 0 || loaded(program) <= first {
            continue;
        }
        if program.p_type(LE) == PT_LOAD {
            return Err(behind());
        }
        // Attributes of RISC-V have a header of their own, and are found by their section.
        let header_at = header.e_phoff(LE) as usize + number * size_of_val(program);
        let place = header_at + offset_of!(ProgramHeader32<LittleEndian>, p_type);
        kept.get_mut(place..place + 4)
            .ok_or_else(behind)?
            .copy_from_slice(&PT_NULL.to_le_bytes());
    }
    for at in order {
        let section = &mut table[at];
        if section.sh_offset(LE) < first || section.sh_type(LE) == SHT_NOBITS {
            continue;
        }
        if is_debug(section) {
            *section = Section {
                sh_name: section.sh_name,
                sh_type: U32::new(LE, SHT_NULL),
                sh_flags: U32::new(LE, 0),
                sh_addr: U32::new(LE, 0),
                sh_offset: U32::new(LE, 0),
                sh_size: U32::new(LE, 0),
                sh_link: U32::new(LE, 0),
                sh_info: U32::new(LE, 0),
                sh_addralign: U32::new(LE, 0),
                sh_entsize: U32::new(LE, 0),
            };
            continue;
        }
        let bytes = section.data(LE, file).map_err(bad)?;
        kept.resize(kept.len().next_multiple_of(4), 0);
        section.sh_offset = U32::new(LE, kept.len() as u32);
        kept.extend_from_slice(bytes);
    }
    kept.resize(kept.len().next_multiple_of(4), 0);
    let start = kept.len() as u32;
    kept.extend_from_slice(bytes_of_slice(&table));
    let place = offset_of!(Header, e_shoff);
    kept.get_mut(place..place + 4)
        .ok_or_else(behind)?
        .copy_from_slice(&start.to_le_bytes());
    Ok(kept)
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<object::File<'a>, Failure> {
    object::File::parse(bytes).map_err(|e| Failure::Argument(format!("{}: {e}", path.display())))
}

/// A function of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, without the compiler's hash.
    pub name: String,
    /// First address.
    pub address: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// The functions of a program, by address.
///
/// # Errors
/// [`Failure`] if the file is no program.
pub fn functions(elf: &Path) -> Result<Vec<Function>, Failure> {
    let bytes = fs::read(elf).map_err(Failure::file(elf))?;
    let object = parse(elf, &bytes)?;
    let mut functions: Vec<Function> = object
        .symbols()
        .filter(|s| s.kind() == SymbolKind::Text && s.size() > 0)
        .filter_map(|s| {
            Some(Function {
                name: format!("{:#}", rustc_demangle::demangle(s.name().ok()?)),
                // The lowest bit says that it is Thumb code.
                address: s.address() & !1,
                length: s.size(),
            })
        })
        .collect();
    functions.sort_by_key(|f| f.address);
    functions.dedup_by_key(|f| f.address);
    Ok(functions)
}

/// Finds the functions of a program that refer to one whose name `wanted` accepts, each with the names that it
/// refers to. The program must have been linked with `--emit-relocs`.
///
/// # Errors
/// [`Failure`] if the file is no program.
pub fn references(
    elf: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
    let functions = functions(elf)?;
    let bytes = fs::read(elf).map_err(Failure::file(elf))?;
    let object = parse(elf, &bytes)?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let code = object.sections().filter(|s| s.kind() == SectionKind::Text);
    for (place, relocation) in code.flat_map(|s| s.relocations()) {
        let RelocationTarget::Symbol(index) = relocation.target() else {
            continue;
        };
        let Ok(name) = object.symbol_by_index(index).and_then(|s| s.name()) else {
            continue;
        };
        let name = format!("{:#}", rustc_demangle::demangle(name));
        if !wanted(&name) {
            continue;
        }
        let from = functions
            .iter()
            .rfind(|f| f.address <= place && place < f.address + f.length);
        let from = from.map_or_else(|| format!("{place:#010x}"), |f| f.name.clone());
        found.entry(from).or_default().insert(name);
    }
    Ok(found)
}

/// A program's machine code.
#[derive(Clone, Debug)]
pub struct Code(Vec<(u64, Vec<u8>)>);

impl Code {
    /// The code in a file.
    ///
    /// # Errors
    /// [`Failure`] if the file cannot be read or is no program.
    pub fn read(elf: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(elf).map_err(Failure::file(elf))?;
        let object = parse(elf, &bytes)?;
        let sections = object
            .sections()
            .filter(|s| s.kind() == SectionKind::Text)
            .filter_map(|s| Some((s.address(), s.data().ok()?.to_vec())));
        Ok(Self(sections.collect()))
    }

    /// The two bytes at an address as a number.
    #[must_use]
    pub fn half(&self, address: u64) -> Option<u16> {
        self.0.iter().find_map(|(start, bytes)| {
            let at = usize::try_from(address.checked_sub(*start)?).ok()?;
            Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header and a table of segments: virtual and physical address, length in the file and in
    /// memory.
    fn elf(segments: &[[u32; 4]]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x01\x01\x01".to_vec();
        bytes.resize(52, 0);
        bytes[28..32].copy_from_slice(&52u32.to_le_bytes());
        bytes[42..44].copy_from_slice(&32u16.to_le_bytes());
        bytes[44..46].copy_from_slice(&(segments.len() as u16).to_le_bytes());
        for &[virtual_address, physical_address, in_file, in_memory] in segments {
            let words = [
                1,
                0,
                virtual_address,
                physical_address,
                in_file,
                in_memory,
                0,
                4,
            ];
            bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        }
        bytes
    }

    #[test]
    fn variables_take_ram_and_their_first_values_flash() {
        let code = [0, 0, 1000, 1000];
        let data = [0x2000_0000, 1000, 24, 24];
        let zeroed = [0x2000_0018, 0x2000_0018, 0, 4096];
        let size = Size::of(&elf(&[code, data, zeroed])).unwrap();
        assert_eq!((size.flash, size.ram), (1024, 4120));
    }

    #[test]
    fn what_is_stored_comes_with_its_address() {
        // Segments' contents start where the table of segments ends: at the file's start, for these.
        let bytes = elf(&[
            [0x100, 0x100, 52, 52],
            [0x2000_0000, 0x134, 4, 4],
            [0x2000_0004, 0, 0, 8],
        ]);
        let program = Program::parse(&bytes).unwrap();
        let found: Vec<(u32, usize)> = program
            .segments
            .iter()
            .map(|s| (s.address, s.bytes.len()))
            .collect();
        assert_eq!(found, [(0x100, 52), (0x134, 4)]);
        assert_eq!(program.segments[1].bytes, &bytes[..4]);
        assert_eq!(program.symbol("main"), None);
        assert!(Program::parse(&bytes[..60]).is_err());
        assert!(Program::parse(&elf(&[[0, 0, 0, 4]])).is_err());
    }

    #[test]
    fn what_is_no_elf_file_has_no_size() {
        let whole = elf(&[[0, 0, 8, 8]]);
        assert!(Size::of(&whole).is_some());
        for cut in 0..whole.len() - 8 {
            assert_eq!(Size::of(&whole[..cut]), None);
        }
        assert_eq!(Size::of(b"MZ"), None);
    }
}
