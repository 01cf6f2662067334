//! Halts, steps and runs.

use super::{BKPT, C_DEBUGEN, C_HALT, C_MASKINTS, C_STEP, Core, HALTED, State, VCATCH};
use crate::Error;
use crate::breakpoints::{Cause, is_breakpoint};
use crate::qemu::{Width, register};

impl Core {
    /// A write to DHCSR.
    pub(super) fn control(&mut self, value: u32) -> Result<(), Error> {
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

    pub(super) fn run(&mut self) -> Result<(), Error> {
        let pc = self.qemu.gdb.register(register::PC)?;
        let debugged = self.is_debugged();
        if debugged && is_breakpoint(&mut self.qemu, pc)? {
            self.halt(BKPT);
            return Ok(());
        }
        self.breakpoints
            .install(&mut self.qemu, debugged, self.demcr)?;
        if self.is_asleep {
            self.step(pc)?;
        }
        self.qemu.gdb.resume()?;
        self.state = State::Running;
        Ok(())
    }

    /// Lets a running core know of other breakpoints. If it has just come to one of the old ones, it
    /// comes there again.
    pub(super) fn renew_breakpoints(&mut self) -> Result<(), Error> {
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
    pub(super) fn step(&mut self, pc: u32) -> Result<(), Error> {
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
    pub(super) fn poll(&mut self) -> Result<(), Error> {
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
