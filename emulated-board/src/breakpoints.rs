//! Places at which the core stops: the breakpoint unit's comparators, breakpoint instructions, and vector
//! catches.
//!
//! QEMU knows nothing of the three, but has breakpoints of its own: they are set to the union. A breakpoint
//! instruction halts a core that is being debugged, and QEMU would take an exception; so memory is
//! searched for those that the core may come across: `BKPT #0`, which programs and flash algorithms use, and
//! `BKPT #0xab`, a semihosting call.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::Error;
use crate::qemu::{Qemu, Width};
use tinyspike_boards::Board as Machine;

const FP_CTRL: u32 = 0xe000_2000;
const FP_COMP0: u32 = 0xe000_2008;
const VTOR: u32 = 0xe000_ed08;

/// The bits of DEMCR that catch exceptions, each with the exception's number.
const VECTOR_CATCHES: [(u32, u32); 5] = [(10, 3), (4, 4), (8, 5), (5, 6), (6, 6)];

/// Reason for the core's stop at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A comparator matches, or there is a breakpoint instruction.
    Breakpoint,
    /// An exception that is to be caught.
    VectorCatch,
    /// None that still holds.
    None,
}

#[derive(Debug)]
pub(crate) struct Breakpoints {
    enabled: bool,
    comparators: Vec<u32>,
    second_version: bool,
    /// Addresses that have, or have had, breakpoint instructions.
    instructions: BTreeSet<u32>,
    /// Ranges that have changed since memory was searched.
    changed: Vec<Range<u32>>,
    /// QEMU's own.
    installed: BTreeSet<u32>,
}

impl Breakpoints {
    pub(crate) fn new(machine: Machine) -> Self {
        let data = machine.data();
        let (comparators, second_version) = (data.breakpoints, data.breakpoints_v2);
        Self {
            enabled: false,
            comparators: vec![0; comparators],
            second_version,
            instructions: BTreeSet::new(),
            changed: Vec::new(),
            installed: BTreeSet::new(),
        }
    }

    /// Resets the unit.
    pub(crate) fn reset(&mut self) {
        self.enabled = false;
    }

    /// A register of the unit; `None` if there is none.
    pub(crate) fn load(&self, address: u32) -> Option<u32> {
        if address == FP_CTRL {
            let count = self.comparators.len() as u32;
            let version = u32::from(self.second_version);
            return Some(version << 28 | count << 4 | u32::from(self.enabled));
        }
        self.comparators.get(comparator(address)?).copied()
    }

    /// Writes a register of the unit; `false` if there is none.
    pub(crate) fn store(&mut self, address: u32, value: u32) -> bool {
        const KEY: u32 = 2;
        if address == FP_CTRL {
            if value & KEY != 0 {
                self.enabled = value & 1 != 0;
            }
            return true;
        }
        match comparator(address).and_then(|i| self.comparators.get_mut(i)) {
            Some(comparator) => *comparator = value,
            None => return false,
        }
        true
    }

    /// Notes that memory has changed.
    pub(crate) fn touch(&mut self, range: Range<u32>) {
        let is_within = |old: &Range<u32>| range.start <= old.start && old.end <= range.end;
        self.changed.retain(|old| !is_within(old));
        match self.changed.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.changed.push(range),
        }
    }

    /// Finds the reason for the stop of a core that is being debugged, at `pc`, in the exception `ipsr`.
    pub(crate) fn cause(
        &self,
        qemu: &mut Qemu,
        demcr: u32,
        pc: u32,
        ipsr: u32,
    ) -> Result<Cause, Error> {
        let mut catches = catches(demcr);
        Ok(
            if self.matches().contains(&pc) || is_breakpoint(qemu, pc)? {
                Cause::Breakpoint
            } else if catches.any(|exception| exception == ipsr) {
                Cause::VectorCatch
            } else {
                Cause::None
            },
        )
    }

    /// Sets QEMU's breakpoints: to none, if the core is not being debugged.
    pub(crate) fn install(
        &mut self,
        qemu: &mut Qemu,
        debugged: bool,
        demcr: u32,
    ) -> Result<(), Error> {
        let mut wanted = BTreeSet::new();
        if debugged {
            self.search(qemu)?;
            wanted = self.matches();
            wanted.extend(&self.instructions);
            wanted.extend(handlers(qemu, demcr)?);
        }
        for &address in self.installed.difference(&wanted) {
            qemu.gdb.remove_breakpoint(address)?;
        }
        for &address in wanted.difference(&self.installed) {
            qemu.gdb.insert_breakpoint(address)?;
        }
        self.installed = wanted;
        Ok(())
    }

    /// Looks for breakpoint instructions in what has changed.
    fn search(&mut self, qemu: &mut Qemu) -> Result<(), Error> {
        const PIECE: u32 = 1 << 20;
        for range in std::mem::take(&mut self.changed) {
            let range = range.start & !1..range.end.saturating_add(1) & !1;
            self.instructions.retain(|address| !range.contains(address));
            for start in range.clone().step_by(PIECE as usize) {
                let mut bytes = vec![0; PIECE.min(range.end - start) as usize];
                qemu.bus.load_block(start, &mut bytes)?;
                let (halves, _) = bytes.as_chunks::<2>();
                let found = (start..).step_by(2).zip(halves);
                let found = found.filter(|(_, half)| matches!(half, [0x00 | 0xab, 0xbe]));
                self.instructions.extend(found.map(|(address, _)| address));
            }
        }
        Ok(())
    }

    /// The addresses that the comparators match.
    fn matches(&self) -> BTreeSet<u32> {
        let mut addresses = BTreeSet::new();
        let active = self
            .comparators
            .iter()
            .filter(|c| self.enabled && *c & 1 != 0);
        for &comparator in active {
            let word = comparator & 0x1fff_fffc;
            if self.second_version {
                addresses.insert(comparator & !1);
                continue;
            }
            if comparator & 1 << 30 != 0 {
                addresses.insert(word);
            }
            if comparator & 1 << 31 != 0 {
                addresses.insert(word + 2);
            }
        }
        addresses
    }
}

/// Tells whether there is a breakpoint instruction, of any number, at an address.
pub(crate) fn is_breakpoint(qemu: &mut Qemu, address: u32) -> Result<bool, Error> {
    Ok(qemu.bus.load(address & !1, Width::Half)? >> 8 == 0xbe)
}

/// The number of the comparator whose register is there.
fn comparator(address: u32) -> Option<usize> {
    Some((address.checked_sub(FP_COMP0)? / 4) as usize)
}

/// The numbers of the exceptions to be caught.
fn catches(demcr: u32) -> impl Iterator<Item = u32> {
    let set = VECTOR_CATCHES.into_iter();
    set.filter(move |(bit, _)| demcr & 1 << bit != 0)
        .map(|(_, exception)| exception)
}

/// The addresses of the handlers of the exceptions to be caught.
fn handlers(qemu: &mut Qemu, demcr: u32) -> Result<BTreeSet<u32>, Error> {
    let mut addresses = BTreeSet::new();
    for exception in catches(demcr) {
        let table = qemu.bus.load(VTOR, Width::Word)?;
        let entry = table.wrapping_add(4 * exception);
        let handler = qemu.bus.load(entry, Width::Word)?;
        if handler & 1 != 0 {
            addresses.insert(handler & !1);
        }
    }
    Ok(addresses)
}
