//! The core's registers, by DCRSR's numbers.

use super::Core;
use crate::Error;
use crate::qemu::{Width, register};

/// The numbers of special registers in MRS and MSR.
mod special {
    pub(super) const MSP: u16 = 8;
    pub(super) const PSP: u16 = 9;
    pub(super) const PRIMASK: u16 = 16;
    pub(super) const BASEPRI: u16 = 17;
    pub(super) const FAULTMASK: u16 = 19;
    pub(super) const CONTROL: u16 = 20;
}

impl Core {
    /// Moves a core register to or from DCRDR.
    pub(super) fn transfer(&mut self, selector: u32, write: bool) -> Result<(), Error> {
        let number = match selector {
            0..=15 => selector,
            16 => register::XPSR,
            17 => return self.transfer_special(&[(special::MSP, 0)], write),
            18 => return self.transfer_special(&[(special::PSP, 0)], write),
            20 => {
                let registers = [
                    (special::PRIMASK, 0),
                    (special::BASEPRI, 8),
                    (special::FAULTMASK, 16),
                    (special::CONTROL, 24),
                ];
                return self.transfer_special(&registers, write);
            }
            33 if self.machine.data().fpu => register::FPSCR,
            64..=95 if self.machine.data().fpu => {
                return self.transfer_single(selector - 64, write);
            }
            _ => {
                self.dcrdr = 0;
                return Ok(());
            }
        };
        if !write {
            self.dcrdr = self.qemu.gdb.register(number)?;
            return Ok(());
        }
        let mut value = self.dcrdr;
        if number == register::PC {
            value &= !1;
            self.has_no_program = false;
        }
        self.qemu.gdb.set_register(number, value)
    }

    /// Moves a single-precision register, half of a double-precision one.
    fn transfer_single(&mut self, single: u32, write: bool) -> Result<(), Error> {
        let number = register::D0 + single / 2;
        let shift = 32 * (single % 2);
        let double = self.qemu.gdb.double(number)?;
        if !write {
            self.dcrdr = (double >> shift) as u32;
            return Ok(());
        }
        let others = double & !(u64::from(u32::MAX) << shift);
        let double = others | u64::from(self.dcrdr) << shift;
        self.qemu.gdb.set_double(number, double)
    }

    /// Moves special registers, each at its lowest bit in DCRDR.
    ///
    /// QEMU 7.2 does not show them. The core itself moves them, one instruction each, to and from R0.
    fn transfer_special(&mut self, registers: &[(u16, u32)], write: bool) -> Result<(), Error> {
        const IT: u32 = 0x0600_fc00;
        const T: u32 = 1 << 24;
        let scratch = self.machine.ram().start;
        let saved = [0, register::PC, register::XPSR];
        let mut values = [0; 3];
        for (value, number) in values.iter_mut().zip(saved) {
            *value = self.qemu.gdb.register(number)?;
        }
        let [_, _, xpsr] = values;
        let memory = self.qemu.bus.load(scratch, Width::Word)?;
        let (before, mut after) = (self.dcrdr, 0);
        for &(special, shift) in registers {
            // MSR and MRS, the first half word first.
            let instruction = match write {
                true => u32::from(0x8800 | special) << 16 | 0xf380,
                false => u32::from(0x8000 | special) << 16 | 0xf3ef,
            };
            self.qemu.bus.store(scratch, Width::Word, instruction)?;
            self.qemu.gdb.set_register(0, before >> shift)?;
            self.qemu.gdb.set_register(register::XPSR, xpsr & !IT | T)?;
            self.qemu.gdb.set_register(register::PC, scratch)?;
            self.step(scratch)?;
            after |= self.qemu.gdb.register(0)? << shift;
        }
        self.qemu.bus.store(scratch, Width::Word, memory)?;
        for (value, number) in values.into_iter().zip(saved) {
            self.qemu.gdb.set_register(number, value)?;
        }
        if !write {
            self.dcrdr = after;
        }
        Ok(())
    }
}
