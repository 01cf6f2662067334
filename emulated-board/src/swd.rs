//! The target's end of the debug link: a debug port of version 1 with one access port to memory, as the
//! Arm Debug Interface Architecture Specification (ADIv5) has them.
//!
//! Reads of the access port are posted: each returns what the one before it has read, and the debug port's
//! RDBUFF the last. An access to an address where nothing answers sets the sticky error flag, and all but
//! the debug port's own registers answer FAULT until the flag is cleared. Writes are not posted: they answer for
//! themselves.

use crate::Error;
use crate::qemu::Width;

/// SW-DP, version 1, designed by Arm.
const DPIDR: u32 = 0x2ba0_1477;
/// AHB-AP, designed by Arm.
const AHB_AP: u32 = 0x2477_0011;
/// A ROM table at 0xe00f_f000.
const ROM_TABLE: u32 = 0xe00f_f003;

/// CTRL/STAT: an access has failed.
const STICKYERR: u32 = 1 << 5;
/// CTRL/STAT: the last access was not refused for an error on the line.
const READOK: u32 = 1 << 6;
/// CTRL/STAT: power and reset requests. Each has its acknowledgement in the next bit.
const REQUESTS: u32 = 0x5400_0000;
/// CTRL/STAT: the other bits that can be written.
const CONTROL: u32 = 0x00ff_ff0d;
/// ABORT: clear STICKYERR.
const STKERRCLR: u32 = 1 << 2;

/// CSW: the access port is enabled.
const DEVICE_ENABLED: u32 = 1 << 6;

/// Memory and registers that the access port reaches.
pub(crate) trait Target {
    /// Tells whether anything answers there.
    fn is_mapped(&self, address: u32) -> bool;
    /// Tells whether accesses may be done in one piece there.
    fn is_memory(&self, address: u32) -> bool;
    /// One access.
    fn load(&mut self, address: u32, width: Width) -> Result<u32, Error>;
    /// One access; the bits above the width are not used.
    fn store(&mut self, address: u32, width: Width, value: u32) -> Result<(), Error>;
    /// A run of bytes of memory.
    fn load_block(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Error>;
    /// A run of bytes of memory.
    fn store_block(&mut self, address: u32, bytes: &[u8]) -> Result<(), Error>;
    /// Resets it, as its reset pin does.
    fn reset(&mut self) -> Result<(), Error>;
    /// Takes its power away for good.
    fn power_off(&mut self) -> Result<(), Error>;
}

/// Register that a transfer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Register {
    /// The access port's, not the debug port's.
    pub(crate) access_port: bool,
    /// Bits 2 and 3 of its address.
    pub(crate) address: u8,
}

/// Answer of the target to a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A read's value.
    Data(u32),
    /// A write was accepted.
    Done,
    /// The sticky error flag is set.
    Fault,
}

/// The two ports.
#[derive(Debug)]
pub(crate) struct DebugPort<T> {
    target: T,
    /// CTRL/STAT, except the acknowledgements.
    control: u32,
    select: u32,
    /// Value that the last read of the access port has read.
    posted: u32,
    /// CSW.
    mode: u32,
    /// TAR: the address of the next access.
    address: u32,
}

impl<T: Target> DebugPort<T> {
    pub(crate) fn new(target: T) -> Self {
        Self {
            target,
            control: 0,
            select: 0,
            posted: 0,
            mode: 0x0300_0002 | DEVICE_ENABLED,
            address: 0,
        }
    }

    pub(crate) fn target(&mut self) -> &mut T {
        &mut self.target
    }

    /// Clears the sticky error flag.
    pub(crate) fn clear_error(&mut self) {
        self.control &= !STICKYERR;
    }

    /// Reads a register `count` times.
    pub(crate) fn read(&mut self, from: Register, count: usize) -> Result<Vec<Answer>, Error> {
        let mut values = vec![0; count];
        match (from.access_port, from.address) {
            (false, 0x0) => values.fill(DPIDR),
            (false, 0x4) => values.fill(self.control_status()),
            _ if self.control & STICKYERR != 0 => return Ok(vec![Answer::Fault; count]),
            (false, _) => values.fill(self.posted),
            (true, address) => {
                self.read_access_port(address, &mut values)?;
                for value in &mut values {
                    std::mem::swap(value, &mut self.posted);
                }
            }
        }
        Ok(values.into_iter().map(Answer::Data).collect())
    }

    /// Writes a register several times.
    pub(crate) fn write(&mut self, to: Register, values: &[u32]) -> Result<Vec<Answer>, Error> {
        let answer = match (to.access_port, to.address) {
            (false, 0x0) => {
                if values.iter().any(|value| value & STKERRCLR != 0) {
                    self.clear_error();
                }
                Answer::Done
            }
            _ if self.control & STICKYERR != 0 => Answer::Fault,
            (false, address) => {
                for &value in values {
                    self.write_debug_port(address, value);
                }
                Answer::Done
            }
            (true, address) => {
                self.write_access_port(address, values)?;
                match self.control & STICKYERR {
                    0 => Answer::Done,
                    _ => Answer::Fault,
                }
            }
        };
        Ok(vec![answer; values.len()])
    }

    fn control_status(&self) -> u32 {
        let bank = self.select & 0xf;
        if bank == 0 {
            self.control | (self.control & REQUESTS) << 1 | READOK
        } else {
            0
        }
    }

    fn write_debug_port(&mut self, address: u8, value: u32) {
        match address {
            0x4 if self.select & 0xf == 0 => {
                self.control = value & (REQUESTS | CONTROL) | self.control & STICKYERR;
            }
            0x8 => self.select = value,
            _ => {}
        }
    }

    /// The full address of an access port's register; `None` if there is no such port.
    fn access_port_register(&self, address: u8) -> Option<u32> {
        (self.select >> 24 == 0).then_some(self.select & 0xf0 | u32::from(address))
    }

    fn read_access_port(&mut self, address: u8, values: &mut [u32]) -> Result<(), Error> {
        let value = match self.access_port_register(address) {
            Some(0x00) => self.mode,
            Some(0x04) => self.address,
            Some(0x0c) => return self.load(values),
            Some(banked @ 0x10..=0x1c) => {
                let address = self.address & !0xf | banked & 0xc;
                if !self.check(address) {
                    return Ok(());
                }
                self.target.load(address, Width::Word)?
            }
            Some(0xf8) => ROM_TABLE,
            Some(0xfc) => AHB_AP,
            _ => 0,
        };
        values.fill(value);
        Ok(())
    }

    fn write_access_port(&mut self, address: u8, values: &[u32]) -> Result<(), Error> {
        let Some(&last) = values.last() else {
            return Ok(());
        };
        match self.access_port_register(address) {
            Some(0x00) => self.mode = last & !0x8000_00c0 | DEVICE_ENABLED,
            Some(0x04) => self.address = last,
            Some(0x0c) => return self.store(values),
            Some(banked @ 0x10..=0x1c) => {
                let address = self.address & !0xf | banked & 0xc;
                for &value in values {
                    if self.check(address) {
                        self.target.store(address, Width::Word, value)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The width of an access.
    fn width(&self) -> Width {
        match self.mode & 7 {
            0 => Width::Byte,
            1 => Width::Half,
            _ => Width::Word,
        }
    }

    /// Growth of the address with each access.
    fn increment(&self) -> u32 {
        const SINGLE: u32 = 1 << 4;
        match self.mode & 0x30 {
            SINGLE => self.width().bytes(),
            _ => 0,
        }
    }

    /// Adds to the address, which wraps within a KiB.
    fn advance(&mut self, by: u32) {
        const WRAP: u32 = 0x3ff;
        self.address = self.address & !WRAP | self.address.wrapping_add(by) & WRAP;
    }

    /// Accesses of `count` that may be done as one: those to memory up to the end of a KiB.
    fn run(&self, count: usize) -> usize {
        let bytes = self.width().bytes();
        let aligned = self.address.is_multiple_of(bytes);
        if self.increment() == 0 || !aligned || !self.target.is_memory(self.address) {
            return count.min(1);
        }
        count.min(((0x400 - (self.address & 0x3ff)) / bytes) as usize)
    }

    /// Sets the sticky error flag where nothing answers at an address.
    fn check(&mut self, address: u32) -> bool {
        let ok = self.control & STICKYERR == 0 && self.target.is_mapped(address);
        if !ok {
            self.control |= STICKYERR;
        }
        ok
    }

    /// Shift of a byte of memory in a value: its address tells the lane.
    fn shift(address: u32) -> u32 {
        8 * (address & 3)
    }

    fn load(&mut self, mut values: &mut [u32]) -> Result<(), Error> {
        let (width, increment) = (self.width(), self.increment());
        while !values.is_empty() {
            if !self.check(self.address) {
                return Ok(());
            }
            let count = self.run(values.len());
            let (now, later) = values.split_at_mut(count);
            let mut addresses = self.address;
            if let [value] = now {
                *value = self.target.load(self.address, width)? << Self::shift(self.address);
            } else {
                let mut bytes = vec![0; count * width.bytes() as usize];
                self.target.load_block(self.address, &mut bytes)?;
                let units = bytes.chunks_exact(width.bytes() as usize);
                for (value, unit) in now.iter_mut().zip(units) {
                    *value = unit.iter().rev().fold(0, |v, &b| v << 8 | u32::from(b))
                        << Self::shift(addresses);
                    addresses = addresses.wrapping_add(increment);
                }
            }
            self.advance(count as u32 * increment);
            values = later;
        }
        Ok(())
    }

    fn store(&mut self, mut values: &[u32]) -> Result<(), Error> {
        let (width, increment) = (self.width(), self.increment());
        while !values.is_empty() {
            if !self.check(self.address) {
                return Ok(());
            }
            let count = self.run(values.len());
            let (now, later) = values.split_at(count);
            if let &[value] = now {
                let value = value >> Self::shift(self.address);
                self.target.store(self.address, width, value)?;
            } else {
                let mut bytes = Vec::with_capacity(4 * count);
                let mut address = self.address;
                for value in now {
                    let lane = (value >> Self::shift(address)).to_le_bytes();
                    bytes.extend(lane.iter().take(width.bytes() as usize));
                    address = address.wrapping_add(increment);
                }
                self.target.store_block(self.address, &bytes)?;
            }
            self.advance(count as u32 * increment);
            values = later;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A target of plain memory, for the tests of both ends of the link.

    use super::*;

    /// Start of its memory.
    pub(crate) const RAM: u32 = 0x2000_0000;

    /// 4 KiB of memory, and the log of what was done to it.
    #[derive(Debug)]
    pub(crate) struct Fake {
        pub(crate) memory: Vec<u8>,
        pub(crate) log: Vec<String>,
    }

    impl Default for Fake {
        fn default() -> Self {
            Self {
                memory: vec![0; 4096],
                log: Vec::new(),
            }
        }
    }

    impl Fake {
        fn at(&mut self, address: u32, length: usize) -> &mut [u8] {
            let start = (address - RAM) as usize;
            &mut self.memory[start..start + length]
        }
    }

    impl Target for Fake {
        fn is_mapped(&self, address: u32) -> bool {
            self.is_memory(address)
        }

        fn is_memory(&self, address: u32) -> bool {
            (RAM..RAM + 4096).contains(&address)
        }

        fn load(&mut self, address: u32, width: Width) -> Result<u32, Error> {
            self.log.push(format!("load {address:x} {width:?}"));
            let bytes = width.bytes() as usize;
            // The bus aligns.
            let address = address & !(width.bytes() - 1);
            let value = self.at(address, bytes);
            Ok(value.iter().rev().fold(0, |v, &b| v << 8 | u32::from(b)))
        }

        fn store(&mut self, address: u32, width: Width, value: u32) -> Result<(), Error> {
            self.log
                .push(format!("store {address:x} {width:?} {value:x}"));
            let bytes = width.bytes() as usize;
            let address = address & !(width.bytes() - 1);
            self.at(address, bytes)
                .copy_from_slice(&value.to_le_bytes()[..bytes]);
            Ok(())
        }

        fn load_block(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Error> {
            self.log.push(format!("load {address:x} +{}", bytes.len()));
            bytes.copy_from_slice(self.at(address, bytes.len()));
            Ok(())
        }

        fn store_block(&mut self, address: u32, bytes: &[u8]) -> Result<(), Error> {
            self.log.push(format!("store {address:x} +{}", bytes.len()));
            self.at(address, bytes.len()).copy_from_slice(bytes);
            Ok(())
        }

        fn reset(&mut self) -> Result<(), Error> {
            self.log.push("reset".into());
            Ok(())
        }

        fn power_off(&mut self) -> Result<(), Error> {
            self.log.push("power off".into());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::{Fake, RAM};
    use super::*;

    const CSW: Register = access_port(0x0);
    const TAR: Register = access_port(0x4);
    const DRW: Register = access_port(0xc);
    const CONTROL_STATUS: Register = debug_port(0x4);
    const RDBUFF: Register = debug_port(0xc);
    const INCREMENT: u32 = 1 << 4;

    const fn access_port(address: u8) -> Register {
        Register {
            access_port: true,
            address,
        }
    }

    const fn debug_port(address: u8) -> Register {
        Register {
            access_port: false,
            address,
        }
    }

    fn port() -> DebugPort<Fake> {
        DebugPort::new(Fake::default())
    }

    impl DebugPort<Fake> {
        fn set(&mut self, register: Register, values: &[u32]) {
            let answers = self.write(register, values).unwrap();
            assert_eq!(answers, vec![Answer::Done; values.len()]);
        }

        fn get(&mut self, register: Register, count: usize) -> Vec<u32> {
            let data = |answer| match answer {
                Answer::Data(value) => value,
                other => panic!("{other:?}"),
            };
            let answers = self.read(register, count).unwrap();
            answers.into_iter().map(data).collect()
        }
    }

    #[test]
    fn power_is_acknowledged() {
        let mut port = port();
        assert_eq!(port.get(debug_port(0), 1), [DPIDR]);
        port.set(CONTROL_STATUS, &[0x5000_0000]);
        assert_eq!(port.get(CONTROL_STATUS, 1), [0xf000_0040]);
    }

    #[test]
    fn only_the_first_access_port_is_there() {
        let mut port = port();
        for (select, identity) in [(0x0000_00f0, AHB_AP), (0x0100_00f0, 0)] {
            port.set(debug_port(8), &[select]);
            port.get(access_port(0xc), 1);
            assert_eq!(port.get(RDBUFF, 1), [identity]);
        }
    }

    #[test]
    fn reads_are_posted() {
        let mut port = port();
        port.set(CSW, &[2 | INCREMENT]);
        port.set(TAR, &[RAM]);
        port.set(DRW, &[10, 20, 30]);
        port.set(TAR, &[RAM]);
        assert_eq!(port.get(DRW, 2), [0, 10]);
        assert_eq!(port.get(DRW, 1), [20]);
        assert_eq!(port.get(RDBUFF, 2), [30, 30]);
    }

    #[test]
    fn a_run_of_words_is_one_block() {
        let mut port = port();
        port.set(CSW, &[2 | INCREMENT]);
        port.set(TAR, &[RAM + 1016]);
        port.set(DRW, &[1, 2]);
        port.set(TAR, &[RAM + 8]);
        port.get(DRW, 254);
        assert_eq!(
            port.target().log,
            ["store 200003f8 +8", "load 20000008 +1016"]
        );
    }

    #[test]
    fn the_address_wraps_within_a_kibibyte() {
        let mut port = port();
        port.set(CSW, &[2 | INCREMENT]);
        port.set(TAR, &[RAM + 1020]);
        port.set(DRW, &[1, 2]);
        assert_eq!(port.target().memory[1020], 1);
        assert_eq!(port.target().memory[0], 2);
        port.get(TAR, 1);
        assert_eq!(port.get(RDBUFF, 1), [RAM + 4]);
    }

    #[test]
    fn narrow_accesses_use_the_lanes_of_their_address() {
        let mut port = port();
        port.set(CSW, &[INCREMENT]);
        port.set(TAR, &[RAM + 1]);
        port.set(DRW, &[0x0000_aa00, 0x00bb_0000, 0xcc00_0000, 0x0000_00dd]);
        assert_eq!(port.target().memory[..6], [0, 0xaa, 0xbb, 0xcc, 0xdd, 0]);
        port.set(TAR, &[RAM + 3]);
        port.get(DRW, 1);
        assert_eq!(port.get(RDBUFF, 1), [0xcc00_0000]);
        port.set(CSW, &[1 | INCREMENT]);
        port.set(TAR, &[RAM + 2]);
        assert_eq!(port.get(DRW, 2)[1], 0xccbb_0000);
        assert_eq!(port.get(RDBUFF, 1), [0x0000_00dd]);
    }

    #[test]
    fn without_increment_the_address_stays() {
        let mut port = port();
        port.set(CSW, &[2]);
        port.set(TAR, &[RAM]);
        port.set(DRW, &[1, 2, 3]);
        assert_eq!(port.target().memory[..8], [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(port.target().log.len(), 3);
    }

    #[test]
    fn a_fault_sticks_until_it_is_cleared() {
        let mut port = port();
        port.set(TAR, &[0x3000_0000]);
        assert_eq!(port.write(DRW, &[1]).unwrap(), [Answer::Fault]);
        assert_eq!(port.read(RDBUFF, 1).unwrap(), [Answer::Fault]);
        assert_eq!(port.write(TAR, &[RAM]).unwrap(), [Answer::Fault]);
        assert_eq!(port.get(CONTROL_STATUS, 1)[0] & STICKYERR, STICKYERR);
        port.set(debug_port(0), &[STKERRCLR]);
        port.set(TAR, &[0x3000_0000]);
        // The read is posted, and so is its failure.
        assert_eq!(port.get(DRW, 1).len(), 1);
        assert_eq!(port.read(RDBUFF, 1).unwrap(), [Answer::Fault]);
        port.clear_error();
        port.set(TAR, &[RAM]);
        assert_eq!(port.target().log, [""; 0]);
    }
}
