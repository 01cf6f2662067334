//! Flash whose power can go in the middle of any operation.

use std::ops::Range;

use tinyspike_shared::slots::{Flash, SlotLayout};

use crate::numbers::Numbers;

/// The supply has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerCut;

/// Flash that erases and writes whole units, each at once.
#[derive(Clone, Debug)]
pub struct SimulatedFlash {
    start: u32,
    bytes: Vec<u8>,
    /// The erase units.
    units: Vec<Range<u32>>,
    /// Bytes that are written at once, and only once before they are erased.
    write_size: u32,
    /// What erasing leaves: ones, and writing turns them to zeros; or the other way round.
    erased: u8,
    /// Operations until the power goes; `None`: it stays.
    left: Option<u64>,
    /// Decides which bits an interrupted operation has reached.
    numbers: Numbers,
    /// Erases and writes of units so far.
    pub operations: u64,
    /// The addresses that were erased or written.
    pub touched: Vec<Range<u32>>,
}

impl SimulatedFlash {
    /// Blank flash for a layout, whose slots have erase units of so many bytes.
    #[must_use]
    pub fn new(layout: &SlotLayout, erase_size: u32, erased: u8) -> Self {
        let parts = [
            &layout.slots[0],
            &layout.slots[1],
            &layout.state[0],
            &layout.state[1],
        ];
        let start = parts.iter().map(|p| p.start).min().unwrap_or(0);
        let end = parts.iter().map(|p| p.end).max().unwrap_or(0);
        let mut units: Vec<Range<u32>> = layout.state.to_vec();
        for slot in &layout.slots {
            let starts = slot.clone().step_by(erase_size as usize);
            units.extend(starts.map(|at| at..at + erase_size));
        }
        Self {
            start,
            bytes: vec![erased; (end - start) as usize],
            units,
            write_size: layout.write_size,
            erased,
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
    }

    /// Switches the power on again.
    pub fn power_on(&mut self) {
        self.left = None;
    }

    /// The bytes of a range of addresses.
    #[must_use]
    pub fn bytes(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[(range.start - self.start) as usize..(range.end - self.start) as usize]
    }

    /// Fills some memory with what nobody has written.
    pub fn damage(&mut self, range: &Range<u32>) {
        for at in range.clone() {
            let value = self.numbers.draw() as u8;
            self.set(at, value, 0xff);
        }
    }

    /// Gives some bits of a byte another value.
    fn set(&mut self, address: u32, value: u8, bits: u8) {
        let byte = &mut self.bytes[(address - self.start) as usize];
        *byte = *byte & !bits | value & bits;
    }

    /// Whether the next operation is the one in which the power goes.
    fn goes(&mut self) -> Result<bool, PowerCut> {
        self.operations += 1;
        match &mut self.left {
            None => Ok(false),
            Some(u64::MAX) => Err(PowerCut),
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
}

impl Flash for SimulatedFlash {
    type Error = PowerCut;

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), PowerCut> {
        if self.left == Some(u64::MAX) {
            return Err(PowerCut);
        }
        let range = address..address + bytes.len() as u32;
        bytes.copy_from_slice(self.bytes(&range));
        Ok(())
    }

    fn erase(&mut self, addresses: Range<u32>) -> Result<(), PowerCut> {
        let meets = |u: &&Range<u32>| u.start < addresses.end && addresses.start < u.end;
        let units: Vec<Range<u32>> = self.units.iter().filter(meets).cloned().collect();
        assert_eq!(units.first().map(|u| u.start), Some(addresses.start));
        for unit in units {
            self.touched.push(unit.clone());
            let goes = self.goes()?;
            for at in unit {
                // Half-way, some bits of the unit are erased.
                let reached = if goes {
                    self.numbers.draw() as u8
                } else {
                    0xff
                };
                self.set(at, self.erased, reached);
            }
            if goes {
                return Err(PowerCut);
            }
        }
        Ok(())
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), PowerCut> {
        assert!(address.is_multiple_of(self.write_size));
        let size = self.write_size as usize;
        for (unit, start) in bytes.chunks(size).zip((address..).step_by(size)) {
            let whole = start..start + self.write_size;
            assert!(
                self.bytes(&whole).iter().all(|&b| b == self.erased),
                "a unit is written once before it is erased"
            );
            self.touched.push(whole);
            let goes = self.goes()?;
            for (&byte, at) in unit.iter().zip(start..) {
                // Half-way, some of the bits are written.
                let reached = if goes {
                    self.numbers.draw() as u8
                } else {
                    0xff
                };
                self.set(at, byte, reached);
            }
            if goes {
                return Err(PowerCut);
            }
        }
        Ok(())
    }
}
