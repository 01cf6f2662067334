//! The core as a debugger sees it: the debug registers of Armv6-M and Armv7-M over a core that QEMU runs.

mod registers;
mod run;

use crate::Error;
use crate::breakpoints::Breakpoints;
use crate::qemu::{Qemu, Width};
use crate::swd::Target;
use tinyspike_boards::{Board as Machine, Erase};

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

/// DFSR: a request or a step has halted the core.
const HALTED: u32 = 1;
/// DFSR: a breakpoint has.
const BKPT: u32 = 1 << 1;
/// DFSR: a vector catch has.
const VCATCH: u32 = 1 << 3;

/// DEMCR: halt after a reset.
const VC_CORERESET: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Halted,
    /// State after a reset without a program. QEMU would abort, so it does not run.
    LockedUp,
}

#[derive(Debug)]
pub(crate) struct Core {
    qemu: Qemu,
    machine: Machine,
    breakpoints: Breakpoints,
    state: State,
    /// The low bits of DHCSR, except C_HALT.
    control: u32,
    dcrdr: u32,
    demcr: u32,
    dfsr: u32,
    was_reset: bool,
    /// `true` if there is no program: to run would lock the core up.
    has_no_program: bool,
    /// `true` if it was stopped while it slept.
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
}

/// Erases the flash, which starts with zeros in QEMU; if that has no flash controller, nothing can.
fn erase_flash(qemu: &mut Qemu, machine: Machine) -> Result<(), Error> {
    match machine.data().erase {
        Erase::Nrf51 => {
            const CONFIG: u32 = 0x4001_e504;
            const ERASE_ENABLE: u32 = 2;
            const ERASE_ALL: u32 = 0x4001_e50c;
            for (address, value) in [(CONFIG, ERASE_ENABLE), (ERASE_ALL, 1), (CONFIG, 0)] {
                qemu.bus.store(address, Width::Word, value)?;
            }
            Ok(())
        }
        Erase::Never => Ok(()),
        Erase::Ram => {
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
