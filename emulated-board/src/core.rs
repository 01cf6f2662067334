//! The core as a debugger sees it: the debug registers of Armv6-M and Armv7-M over a core that QEMU runs.

use crate::Error;
use crate::breakpoints::{Breakpoints, Cause, is_breakpoint};
use crate::machine::Machine;
use crate::qemu::{Qemu, Width, register};
use crate::swd::Target;

const AIRCR: u32 = 0xe000_ed0c;
const DFSR: u32 = 0xe000_ed30;
const DHCSR: u32 = 0xe000_edf0;
const DCRSR: u32 = 0xe000_edf4;
const DCRDR: u32 = 0xe000_edf8;
const DEMCR: u32 = 0xe000_edfc;

const C_DEBUGEN: u32 = 1;
const C_HALT: u32 = 1 << 1;
const C_STEP: u32 = 1 << 2;
const C_MASKINTS: u32 = 1 << 3;
const S_REGRDY: u32 = 1 << 16;
const S_HALT: u32 = 1 << 17;
const S_LOCKUP: u32 = 1 << 19;
const S_RETIRE_ST: u32 = 1 << 24;
const S_RESET_ST: u32 = 1 << 25;

/// In DFSR: a request or a step has halted the core.
const HALTED: u32 = 1;
/// In DFSR: a breakpoint has.
const BKPT: u32 = 1 << 1;
/// In DFSR: a vector catch has.
const VCATCH: u32 = 1 << 3;

/// In DEMCR: halt after a reset.
const VC_CORERESET: u32 = 1;

/// The numbers of special registers in MRS and MSR.
mod special {
    pub(super) const MSP: u16 = 8;
    pub(super) const PSP: u16 = 9;
    pub(super) const PRIMASK: u16 = 16;
    pub(super) const BASEPRI: u16 = 17;
    pub(super) const FAULTMASK: u16 = 19;
    pub(super) const CONTROL: u16 = 20;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Halted,
    /// What follows a reset without a program. QEMU would abort, so it does not run.
    LockedUp,
}

#[derive(Debug)]
pub(crate) struct Core {
    qemu: Qemu,
    machine: Machine,
    breakpoints: Breakpoints,
    state: State,
    /// The low bits of DHCSR, but for C_HALT.
    control: u32,
    dcrdr: u32,
    demcr: u32,
    dfsr: u32,
    was_reset: bool,
    /// There is no program: to run would lock the core up.
    has_no_program: bool,
    /// It was stopped while it slept.
    is_asleep: bool,
}

impl Core {
    /// A board that has just got power: its core runs.
    pub(crate) fn power_on(mut qemu: Qemu, machine: Machine) -> Result<Self, Error> {
        erase_flash(&mut qemu, machine)?;
        let mut core = Self {
            qemu,
            machine,
            breakpoints: Breakpoints::new(machine),
            state: State::Halted,
            control: 0,
            dcrdr: 0,
            demcr: 0,
            dfsr: 0,
            was_reset: true,
            has_no_program: false,
            is_asleep: false,
        };
        core.reset()?;
        Ok(core)
    }

    fn is_debugged(&self) -> bool {
        self.control & C_DEBUGEN != 0
    }

    fn halt(&mut self, cause: u32) {
        self.state = State::Halted;
        self.dfsr |= cause;
    }

    // Registers

    fn load_register(&mut self, address: u32) -> Result<Option<u32>, Error> {
        Ok(Some(match address {
            DHCSR => self.status()?,
            DCRSR => 0,
            DCRDR => self.dcrdr,
            DEMCR => self.demcr,
            DFSR => self.dfsr,
            _ => return Ok(self.breakpoints.load(address)),
        }))
    }

    fn store_register(&mut self, address: u32, value: u32) -> Result<bool, Error> {
        match address {
            DHCSR if value >> 16 == 0xa05f => self.control(value)?,
            DHCSR => {}
            DCRSR if self.state == State::Halted => {
                self.transfer(value & 0x7f, value & 1 << 16 != 0)?;
            }
            DCRSR => {}
            DCRDR => self.dcrdr = value,
            DEMCR => {
                self.demcr = value;
                self.renew_breakpoints()?;
            }
            DFSR => self.dfsr &= !value,
            AIRCR if value >> 16 == 0x05fa && value & 0b101 != 0 => self.reset()?,
            _ => {
                let stored = self.breakpoints.store(address, value);
                if stored {
                    self.renew_breakpoints()?;
                }
                return Ok(stored);
            }
        }
        Ok(true)
    }

    /// DHCSR, which forgets what it has told.
    fn status(&mut self) -> Result<u32, Error> {
        self.poll()?;
        let state = match self.state {
            State::Running => S_RETIRE_ST,
            State::Halted => S_HALT | C_HALT,
            State::LockedUp => S_LOCKUP,
        };
        let reset = match std::mem::take(&mut self.was_reset) {
            true => S_RESET_ST,
            false => 0,
        };
        Ok(self.control | S_REGRDY | state | reset)
    }

    /// Moves a core register to or from DCRDR.
    fn transfer(&mut self, selector: u32, write: bool) -> Result<(), Error> {
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
            33 if self.machine.has_fpu() => register::FPSCR,
            64..=95 if self.machine.has_fpu() => return self.transfer_single(selector - 64, write),
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

    // Run control

    /// A write to DHCSR.
    fn control(&mut self, value: u32) -> Result<(), Error> {
        self.poll()?;
        let was_debugged = self.is_debugged();
        self.control = value & (C_DEBUGEN | C_STEP | C_MASKINTS);
        let halt = self.is_debugged() && value & C_HALT != 0;
        match self.state {
            State::Running if halt => {
                self.stop()?;
                self.halt(HALTED);
            }
            State::Running if self.is_debugged() != was_debugged => self.renew_breakpoints()?,
            State::LockedUp if halt => self.halt(HALTED),
            State::Halted if halt => {}
            State::Halted if self.has_no_program => self.state = State::LockedUp,
            State::Halted if self.is_debugged() && value & C_STEP != 0 => {
                let pc = self.qemu.gdb.register(register::PC)?;
                if is_breakpoint(&mut self.qemu, pc)? {
                    self.halt(BKPT);
                } else {
                    self.step(pc)?;
                    self.halt(HALTED);
                }
            }
            State::Halted => self.run()?,
            _ => {}
        }
        Ok(())
    }

    /// Stops a running core.
    fn stop(&mut self) -> Result<(), Error> {
        self.qemu.gdb.interrupt()?;
        self.is_asleep = self.qemu.gdb.is_asleep()?;
        Ok(())
    }

    fn run(&mut self) -> Result<(), Error> {
        let pc = self.qemu.gdb.register(register::PC)?;
        let debugged = self.is_debugged();
        if debugged && is_breakpoint(&mut self.qemu, pc)? {
            self.halt(BKPT);
            return Ok(());
        }
        self.breakpoints
            .install(&mut self.qemu, debugged, self.demcr)?;
        self.qemu.gdb.resume()?;
        self.state = State::Running;
        Ok(())
    }

    /// Lets a running core know of other breakpoints. Where it has just come to one of the old, it comes
    /// there again.
    fn renew_breakpoints(&mut self) -> Result<(), Error> {
        self.poll()?;
        if self.state == State::Running {
            self.qemu.gdb.interrupt()?;
            let debugged = self.is_debugged();
            self.breakpoints
                .install(&mut self.qemu, debugged, self.demcr)?;
            self.qemu.gdb.resume()?;
        }
        Ok(())
    }

    /// Executes the instruction at `pc`.
    ///
    /// To debug a core wakes it up, but QEMU's sleeps on, and falls asleep in a step. An interrupt that is
    /// pending keeps it awake, and is not taken in a step.
    fn step(&mut self, pc: u32) -> Result<(), Error> {
        const WFI: u32 = 0xbf30;
        const ENABLE: u32 = 0xe000_e100;
        const DISABLE: u32 = 0xe000_e180;
        const PEND: u32 = 0xe000_e200;
        const UNPEND: u32 = 0xe000_e280;
        const LAST: u32 = 1 << 31;
        let bus = &mut self.qemu.bus;
        let sleeps = self.is_asleep || bus.load(pc & !1, Width::Half)? == WFI;
        self.is_asleep = false;
        if !sleeps {
            return self.qemu.gdb.step();
        }
        let was_enabled = bus.load(ENABLE, Width::Word)? & LAST != 0;
        let was_pending = bus.load(PEND, Width::Word)? & LAST != 0;
        bus.store(ENABLE, Width::Word, LAST)?;
        bus.store(PEND, Width::Word, LAST)?;
        self.qemu.gdb.step()?;
        let bus = &mut self.qemu.bus;
        if !was_pending {
            bus.store(UNPEND, Width::Word, LAST)?;
        }
        if !was_enabled {
            bus.store(DISABLE, Width::Word, LAST)?;
        }
        Ok(())
    }

    /// Learns whether a running core has stopped.
    fn poll(&mut self) -> Result<(), Error> {
        if self.state != State::Running || !self.qemu.gdb.has_stopped()? {
            return Ok(());
        }
        let pc = self.qemu.gdb.register(register::PC)?;
        let ipsr = self.qemu.gdb.register(register::XPSR)? & 0x1ff;
        let qemu = &mut self.qemu;
        match self.breakpoints.cause(qemu, self.demcr, pc, ipsr)? {
            Cause::Breakpoint => self.halt(BKPT),
            Cause::VectorCatch => self.halt(VCATCH),
            Cause::None => {
                self.step(pc)?;
                self.qemu.gdb.resume()?;
            }
        }
        Ok(())
    }
}

/// Erases the flash, which starts with zeros in QEMU; where that has no flash controller, nothing can.
fn erase_flash(qemu: &mut Qemu, machine: Machine) -> Result<(), Error> {
    match machine {
        Machine::Microbit => {
            // The nRF51's flash controller.
            const CONFIG: u32 = 0x4001_e504;
            const ERASE_ENABLE: u32 = 2;
            const ERASE_ALL: u32 = 0x4001_e50c;
            for (address, value) in [(CONFIG, ERASE_ENABLE), (ERASE_ALL, 1), (CONFIG, 0)] {
                qemu.bus.store(address, Width::Word, value)?;
            }
            Ok(())
        }
        Machine::NetduinoPlus2 => Ok(()),
        Machine::Mps2An386 | Machine::Mps2An500 => {
            let flash = machine.flash();
            qemu.bus.fill(flash.start, flash.end - flash.start, 0xff)
        }
    }
}

impl Target for Core {
    fn is_mapped(&self, address: u32) -> bool {
        self.machine.is_mapped(address)
    }

    fn is_memory(&self, address: u32) -> bool {
        self.machine.is_memory(address)
    }

    fn load(&mut self, address: u32, width: Width) -> Result<u32, Error> {
        match self.load_register(address & !3)? {
            Some(value) => Ok(value >> (8 * (address & 3))),
            None => self.qemu.bus.load(address, width),
        }
    }

    fn store(&mut self, address: u32, width: Width, value: u32) -> Result<(), Error> {
        if width == Width::Word && self.store_register(address, value)? {
            return Ok(());
        }
        if self.is_memory(address) {
            let end = address.saturating_add(width.bytes());
            self.breakpoints.touch(address..end);
        }
        self.qemu.bus.store(address, width, value)
    }

    fn load_block(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Error> {
        self.qemu.bus.load_block(address, bytes)
    }

    fn store_block(&mut self, address: u32, bytes: &[u8]) -> Result<(), Error> {
        let end = address.saturating_add(bytes.len() as u32);
        self.breakpoints.touch(address..end);
        self.qemu.bus.store_block(address, bytes)
    }

    fn reset(&mut self) -> Result<(), Error> {
        if self.state == State::Running {
            self.qemu.gdb.interrupt()?;
        }
        self.qemu.gdb.system_reset()?;
        self.was_reset = true;
        self.is_asleep = false;
        self.breakpoints.reset();
        let flash = self.machine.flash();
        self.breakpoints.touch(flash.clone());
        let entry = self.qemu.bus.load(flash.start + 4, Width::Word)?;
        self.has_no_program = entry & 1 == 0 || entry == u32::MAX;
        self.state = State::Halted;
        if self.is_debugged() && self.demcr & VC_CORERESET != 0 {
            self.halt(VCATCH);
        } else if self.has_no_program {
            self.state = State::LockedUp;
        } else {
            self.run()?;
        }
        Ok(())
    }

    fn power_off(&mut self) -> Result<(), Error> {
        if self.state == State::Running {
            self.qemu.gdb.interrupt()?;
        }
        self.state = State::Halted;
        self.qemu.gdb.kill()
    }
}
