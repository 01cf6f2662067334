//! Flash whose power can go in the middle of any operation.

use std::ops::Range;

use tinyspike_shared::slots::{Flash, SlotLayout};

use crate::numbers::Numbers;

/// The supply has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerCut;

/// NOR flash: erasing turns a unit to ones, writing turns ones to zeros.
#[derive(Clone, Debug)]
pub struct SimulatedFlash {
    start: u32,
    bytes: Vec<u8>,
    /// Erase units that differ from the common size, and that size.
    units: Vec<Range<u32>>,
    /// Operations until the power goes; `None`: it stays.
    left: Option<u64>,
    /// Decides which bits an interrupted operation has reached.
    numbers: Numbers,
    /// Erases and word writes so far.
    pub operations: u64,
}

impl SimulatedFlash {
    /// Blank flash for a layout.
    #[must_use]
    pub fn new(layout: &SlotLayout) -> Self {
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
            let unit = layout.erase_size;
            units.extend(slot.clone().step_by(unit as usize).map(|at| at..at + unit));
        }
        Self {
            start,
            bytes: vec![0xff; (end - start) as usize],
            units,
            left: None,
            numbers: Numbers::new(1),
            operations: 0,
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

    fn erase(&mut self, address: u32) -> Result<(), PowerCut> {
        let unit = self.units.iter().find(|u| u.start == address);
        let unit = unit.expect("erases start at an erase unit").clone();
        let goes = self.goes()?;
        for at in unit {
            // Half-way, some bits of the unit have become ones.
            let raised = if goes {
                self.numbers.draw() as u8
            } else {
                0xff
            };
            self.bytes[(at - self.start) as usize] |= raised;
        }
        if goes { Err(PowerCut) } else { Ok(()) }
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), PowerCut> {
        assert!(address.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        for (word, at) in bytes.chunks(4).zip((address..).step_by(4)) {
            let goes = self.goes()?;
            for (&byte, at) in word.iter().zip(at..) {
                // Half-way, some of the bits that should be zeros still are ones.
                let unreached = if goes { self.numbers.draw() as u8 } else { 0 };
                self.bytes[(at - self.start) as usize] &= byte | unreached;
            }
            if goes {
                return Err(PowerCut);
            }
        }
        Ok(())
    }
}
