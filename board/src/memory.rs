//! The memory of a chip, as the linker of the application is told of it.

use std::fmt::Write as _;
use std::ops::Range;

/// Places of the application, of its variables, and of the images.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Memory {
    /// Flash of the application itself.
    pub flash: Range<u32>,
    /// RAM: the stack, the variables, and what a network gets.
    pub ram: Range<u32>,
    /// Flash of the images, outside `flash`. It begins at a multiple of 4.
    pub images: Range<u32>,
    /// Bytes of the stack, a multiple of 8.
    pub stack: u32,
    /// The second slot and the journal, if two images take turns.
    pub turns: Option<Turns>,
}

/// Needs of two images that take turns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turns {
    /// The two sectors of the journal, one behind the other.
    pub journal: [Range<u32>; 2],
    /// The second slot's address within the images.
    pub slot_b: u32,
}

impl Memory {
    /// The linker's `memory.x`. Symbols say where images lie, how large the stack is, and, if two images take turns,
    /// where the second slot and the journal are.
    #[must_use]
    pub fn script(&self) -> String {
        // Numbers alone: what a chip's description says could be more than a comment to the linker.
        let mut text = "MEMORY\n{\n".to_owned();
        for (name, region) in [("FLASH", &self.flash), ("RAM", &self.ram)] {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "  {name} : ORIGIN = {:#010x}, LENGTH = {:#x}",
                region.start,
                region.end.saturating_sub(region.start)
            );
        }
        let _ = write!(
            text,
            "}}\n_tinyspike_image = {:#010x};\n_tinyspike_image_end = {:#010x};\n\
             _tinyspike_stack_bytes = {:#x};\n",
            self.images.start, self.images.end, self.stack
        );
        if let Some(Turns { journal, slot_b }) = &self.turns {
            let _ = write!(
                text,
                "_tinyspike_slot_b = {slot_b:#010x};\n_tinyspike_journal = {:#010x};\n\
                 _tinyspike_journal_second = {:#010x};\n_tinyspike_journal_end = {:#010x};\n",
                journal[0].start, journal[1].start, journal[1].end
            );
        }
        text
    }

    /// The end of the stack, where variables begin.
    #[must_use]
    pub fn variables(&self) -> u32 {
        self.ram.start.wrapping_add(self.stack)
    }

    /// The values of the symbols that [`script`](Self::script), `boards/app/app.x` and cortex-m-rt's `link.x` derive from the
    /// memory alone.
    #[must_use]
    pub fn symbols(&self) -> [(&'static str, u32); 11] {
        let none = self.images.start;
        let (journal, slot_b) = match &self.turns {
            Some(Turns { journal, slot_b }) => (
                [journal[0].start, journal[1].start, journal[1].end],
                *slot_b,
            ),
            None => ([none; 3], self.images.end),
        };
        [
            ("_stack_end", self.ram.start),
            ("_stack_start", self.variables()),
            ("_ram_end", self.ram.end),
            ("_tinyspike_memory_end", self.ram.end),
            ("_tinyspike_stack_bytes", self.stack),
            ("_tinyspike_image", self.images.start),
            ("_tinyspike_image_end", self.images.end),
            ("_tinyspike_slot_b", slot_b),
            ("_tinyspike_journal", journal[0]),
            ("_tinyspike_journal_second", journal[1]),
            ("_tinyspike_journal_end", journal[2]),
        ]
    }
}
