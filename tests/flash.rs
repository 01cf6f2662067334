//! Flash whose power can go in the middle of any operation, with what a cut leaves behind.

use std::cell::{RefCell, RefMut};
use std::ops::Range;
use std::rc::Rc;

use tinyspike::assemble::aligned_copy;
use tinyspike_shared::accept::{Refusal, Terms};
use tinyspike_shared::image::Image;
use tinyspike_shared::slots::{Flash, Slot, SlotLayout};

use crate::numbers::Numbers;

/// An access to the flash that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashFault {
    /// The supply has gone.
    PowerCut,
    /// Error correction cannot read this place.
    Unreadable,
}

/// Properties of flash cells, as far as a power cut shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silicon {
    /// The byte that erasing leaves.
    pub erased: u8,
    /// Bytes that are programmed at once, of the more that are written at once.
    pub word: u32,
    /// `true` if an erase programs all bits first: a cut leaves anything in between.
    pub programs_first: bool,
    /// The share of the bits a cut meets that read differently each time, in 1/256.
    pub weak: u32,
    /// `true` if words have error correction, which refuses to read some that a cut has met, always or at
    /// times.
    pub corrected: bool,
    /// `true` if weak bits and words read rightly more often than not, rather than as often as not.
    pub biased: bool,
    /// `true` if a write fills its last unit with 0xff, which on some flash is not what erasing leaves.
    pub pads: bool,
}

impl Silicon {
    /// Flash that only stops in the middle.
    #[must_use]
    pub const fn plain(erased: u8) -> Self {
        Self {
            erased,
            word: 4,
            programs_first: false,
            weak: 0,
            corrected: false,
            biased: false,
            pads: false,
        }
    }
}

/// The state of a word that is programmed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Erased,
    Written,
    /// A write was cut in its unit.
    Touched,
    /// An erase was cut.
    Ruined,
}

/// Simulated flash.
#[derive(Clone, Debug)]
pub struct SimulatedFlash {
    start: u32,
    bytes: Vec<u8>,
    /// Bits that read differently each time.
    weak: Vec<u8>,
    words: Vec<Word>,
    /// Failures of reading each word, of 256 times.
    refused: Vec<u16>,
    /// Readings of a weak bit as the other value, of 256 times.
    flips: u32,
    /// The erase units.
    units: Vec<Range<u32>>,
    /// Bytes that are written at once, and only once before they are erased.
    write_size: u32,
    silicon: Silicon,
    /// Operations until the power goes; `None`: it stays.
    left: Option<u64>,
    /// Decides what an interrupted operation has reached, and what weak bits read.
    numbers: Numbers,
    /// Erases of units and writes of words so far.
    pub operations: u64,
    /// The addresses that were erased or written.
    pub touched: Vec<Range<u32>>,
}

/// Bits of which so many in 256 are ones.
fn some(numbers: &mut Numbers, share: u32) -> u8 {
    if share >= 256 {
        return 0xff;
    }
    // From the last digit on, each draw halves what the digits behind it stand for.
    (0..8).fold(0, |mask, digit| {
        let draw = (numbers.draw() >> 24) as u8;
        if share >> digit & 1 == 1 {
            mask | draw
        } else {
            mask & draw
        }
    })
}

impl SimulatedFlash {
    /// Blank flash for a layout, with erase units of so many bytes, or of a whole sector if that is smaller.
    #[must_use]
    pub fn new(layout: &SlotLayout, erase_size: u32, silicon: Silicon) -> Self {
        let parts = || layout.slots.iter().chain(&layout.state);
        let start = parts().map(|p| p.start).min().unwrap_or(0);
        let end = parts().map(|p| p.end).max().unwrap_or(0);
        let len = (end - start) as usize;
        let units = parts().flat_map(|part| {
            let size = erase_size.min(part.end - part.start);
            let starts = part.clone().step_by(size as usize);
            starts.map(move |at| at..at + size)
        });
        let words = len.div_ceil(silicon.word as usize);
        Self {
            start,
            bytes: vec![silicon.erased; len],
            weak: vec![0; len],
            words: vec![Word::Erased; words],
            refused: vec![0; words],
            flips: 128,
            units: units.collect(),
            write_size: layout.write_size,
            silicon,
            left: None,
            numbers: Numbers::new(1),
            operations: 0,
            touched: Vec::new(),
        }
    }

    /// Cuts the power in the operation after the next `operations`; `seed` decides how far that one gets.
    pub fn cut_after(&mut self, operations: u64, seed: u64) {
        self.left = Some(operations);
        self.numbers = Numbers::new(seed);
        if self.silicon.biased {
            self.flips = 1 << (self.numbers.draw() >> 16 & 7);
        }
    }

    /// Switches the power on again.
    pub fn power_on(&mut self) {
        self.left = None;
    }

    /// Tells whether the power has gone.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.left == Some(u64::MAX)
    }

    /// The bytes of a range of addresses, without weak bits.
    #[must_use]
    pub fn bytes(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[self.places(range)]
    }

    /// The bytes of a range as a reading gives them; `None` if error correction refuses.
    pub fn reading(&mut self, range: &Range<u32>) -> Option<Vec<u8>> {
        let mut bytes = vec![0; range.len()];
        self.read(range.start, &mut bytes).is_ok().then_some(bytes)
    }

    /// Fills some memory with what nobody has written.
    pub fn damage(&mut self, range: &Range<u32>) {
        for at in self.places(range) {
            self.bytes[at] = self.numbers.draw() as u8;
        }
    }

    fn places(&self, range: &Range<u32>) -> Range<usize> {
        (range.start - self.start) as usize..(range.end - self.start) as usize
    }

    /// The words that lie in a range in part.
    fn words_of(&self, range: &Range<u32>) -> Range<usize> {
        let places = self.places(range);
        let word = self.silicon.word as usize;
        places.start / word..places.end.div_ceil(word)
    }

    /// Tells whether the next operation is the one in which the power goes.
    fn goes(&mut self) -> Result<bool, FlashFault> {
        self.operations += 1;
        match &mut self.left {
            None => Ok(false),
            Some(u64::MAX) => Err(FlashFault::PowerCut),
            Some(0) => {
                self.left = Some(u64::MAX);
                Ok(true)
            }
            Some(left) => {
                *left -= 1;
                Ok(false)
            }
        }
    }

    /// Progress of an operation that is cut, in 1/256: often hardly any, or nearly all.
    fn reached(&mut self) -> u32 {
        let draw = self.numbers.draw() >> 16;
        let near = (draw >> 8) as u32 % 4;
        match draw % 4 {
            0 => near,
            1 => 256 - near,
            _ => (draw >> 8) as u32 % 257,
        }
    }

    /// Gives some bits of a byte another value. Of the bits that a cut met, some are weak from then on.
    fn change(&mut self, at: usize, value: u8, reached: u8, met: u8) {
        let byte = &mut self.bytes[at];
        *byte = *byte & !reached | value & reached;
        if met != 0 && self.silicon.weak > 0 {
            self.weak[at] |= some(&mut self.numbers, self.silicon.weak) & met;
        }
    }

    /// Leaves words as a cut does.
    fn leave(&mut self, words: Range<usize>, state: Word) {
        for word in words {
            self.words[word] = state;
            if self.silicon.corrected {
                let draw = self.numbers.draw() >> 16;
                self.refused[word] = match draw % 4 {
                    0 => 0,
                    1 => self.flips as u16,
                    _ => 256,
                };
            }
        }
    }

    /// Stops in the middle of erasing a unit.
    fn erase_in_part(&mut self, unit: &Range<u32>) {
        let erased = self.silicon.erased;
        let (reached, second) = (self.reached(), self.numbers.draw() >> 20 & 1 == 1);
        for at in self.places(unit) {
            let mask = some(&mut self.numbers, reached);
            if !self.silicon.programs_first {
                let met = self.bytes[at] ^ erased;
                self.change(at, erased, mask, met);
            } else if second {
                self.bytes[at] = !erased;
                self.change(at, erased, mask, 0xff);
            } else {
                let met = self.bytes[at] ^ !erased;
                self.change(at, !erased, mask, met);
            }
        }
        self.leave(self.words_of(unit), Word::Ruined);
    }
}

impl Flash for SimulatedFlash {
    type Error = FlashFault;

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        if self.is_off() {
            return Err(FlashFault::PowerCut);
        }
        let range = address..address + bytes.len() as u32;
        for word in self.words_of(&range) {
            let refused = self.refused[word];
            if refused > 0 && (self.numbers.draw() >> 16) as u16 % 256 < refused {
                return Err(FlashFault::Unreadable);
            }
        }
        let places = self.places(&range);
        bytes.copy_from_slice(&self.bytes[places.clone()]);
        for (byte, weak) in bytes.iter_mut().zip(&self.weak[places]) {
            if *weak != 0 {
                *byte ^= weak & some(&mut self.numbers, self.flips);
            }
        }
        Ok(())
    }

    fn unreadable(error: &FlashFault) -> bool {
        *error == FlashFault::Unreadable
    }

    fn erase(&mut self, addresses: Range<u32>) -> Result<(), FlashFault> {
        let meets = |u: &&Range<u32>| u.start < addresses.end && addresses.start < u.end;
        let units: Vec<Range<u32>> = self.units.iter().filter(meets).cloned().collect();
        assert_eq!(units.first().map(|u| u.start), Some(addresses.start));
        for unit in units {
            self.touched.push(unit.clone());
            if self.goes()? {
                self.erase_in_part(&unit);
                return Err(FlashFault::PowerCut);
            }
            let (places, words) = (self.places(&unit), self.words_of(&unit));
            self.bytes[places.clone()].fill(self.silicon.erased);
            self.weak[places].fill(0);
            self.words[words.clone()].fill(Word::Erased);
            self.refused[words].fill(0);
        }
        Ok(())
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        assert!(address.is_multiple_of(self.write_size));
        let length = (bytes.len() as u32).next_multiple_of(self.write_size);
        let mut padded = bytes.to_vec();
        if self.silicon.pads {
            padded.resize(length as usize, 0xff);
        }
        let all = self.words_of(&(address..address + length));
        let size = self.silicon.word as usize;
        for (part, start) in padded.chunks(size).zip((address..).step_by(size)) {
            let place = start..start + part.len() as u32;
            let word = self.words_of(&place).start;
            // A word that was written as erasing left it does not show that.
            let blank = self.bytes(&place).iter().all(|&b| b == self.silicon.erased);
            let before = match self.words[word] {
                Word::Written if blank => Word::Touched,
                // An erase that was cut at its beginning may leave a record that reads as whole, and an empty place
                // for its copy. If places read rightly nearly always, nobody can know.
                Word::Ruined if blank && self.silicon.biased => Word::Touched,
                before => before,
            };
            assert!(
                matches!(before, Word::Erased | Word::Touched),
                "{start:#x}: a unit is written once before it is erased, and it was {before:?}"
            );
            self.touched.push(place.clone());
            let goes = self.goes()?;
            let reached = if goes { self.reached() } else { 256 };
            for (&byte, at) in part.iter().zip(self.places(&place)) {
                // Writing only ever turns bits from what erasing left them to the other value.
                let changes = byte ^ self.silicon.erased;
                let mask = some(&mut self.numbers, reached) & changes;
                let met = if goes { changes } else { 0 };
                self.change(at, byte, mask, met);
            }
            if goes {
                // What lies before it in its unit is whole, but not to be relied upon.
                let unit = start - (start - address) % self.write_size;
                let whole = self.words_of(&(unit..start));
                self.words[whole].fill(Word::Touched);
                self.leave(self.words_of(&place), Word::Touched);
                return Err(FlashFault::PowerCut);
            }
            if before == Word::Touched && self.silicon.corrected {
                self.refused[word] = 256;
            }
            self.words[word] = Word::Written;
        }
        self.words[all].fill(Word::Written);
        Ok(())
    }
}

/// Simulated flash that a device and its test share.
#[derive(Clone, Debug)]
pub struct SharedFlash(Rc<RefCell<SimulatedFlash>>);

impl SharedFlash {
    /// Shares flash.
    #[must_use]
    pub fn new(flash: SimulatedFlash) -> Self {
        Self(Rc::new(RefCell::new(flash)))
    }

    /// The flash itself, until the result goes.
    #[must_use]
    pub fn flash(&self) -> RefMut<'_, SimulatedFlash> {
        self.0.borrow_mut()
    }

    /// Checks the image in a slot, as a device with so much room does at its start; returns its checksum.
    ///
    /// # Errors
    /// Why it may not run.
    pub fn accept<const E: usize, const C: usize>(
        &self,
        layout: &SlotLayout,
        slot: Slot,
        minimum: u32,
    ) -> Result<u32, Refusal> {
        let bytes = self.flash().reading(layout.slot(slot));
        let bytes = aligned_copy(&bytes.unwrap_or_default());
        let image: Image<'_, E, C> = Terms::version(minimum).accept(&bytes)?;
        Ok(image.header().checksum)
    }
}

impl Flash for SharedFlash {
    type Error = FlashFault;

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.flash().read(address, bytes)
    }

    fn erase(&mut self, addresses: Range<u32>) -> Result<(), FlashFault> {
        self.flash().erase(addresses)
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.flash().write(address, bytes)
    }

    fn unreadable(error: &FlashFault) -> bool {
        <SimulatedFlash as Flash>::unreadable(error)
    }
}
