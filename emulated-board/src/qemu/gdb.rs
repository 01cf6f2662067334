//! Run control and core registers: the gdb remote serial protocol.
//!
//! Nothing is acknowledged but by the next request, as QEMU allows; a lone acknowledgement that
//! arrives while the core runs would stop it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::Error;

/// QEMU's numbers of a Cortex-M's registers; those of R0 to R15 are 0 to 15.
pub(crate) mod register {
    /// The program counter.
    pub(crate) const PC: u32 = 15;
    /// The program status register, with the number of the exception.
    pub(crate) const XPSR: u32 = 25;
    /// The first of 16 double-precision registers.
    pub(crate) const D0: u32 = 26;
    /// The floating-point status and control register.
    pub(crate) const FPSCR: u32 = 42;
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Gdb {
    stream: TcpStream,
    /// Bytes that have arrived and are not used yet.
    received: Vec<u8>,
}

impl Gdb {
    pub(crate) fn new(stream: TcpStream) -> Result<Self, Error> {
        let mut gdb = Self {
            stream,
            received: Vec::new(),
        };
        // Only after this does QEMU know requests for single registers.
        gdb.request("qXfer:features:read:target.xml:0,ffb")?;
        Ok(gdb)
    }

    /// Lets the core run.
    pub(crate) fn resume(&mut self) -> Result<(), Error> {
        self.send("c")
    }

    /// Executes one instruction, without taking an interrupt. Returns once that is done, or the core has
    /// slept instead for a while.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        const PATIENCE: Duration = Duration::from_secs(1);
        let usual = self.stream.read_timeout()?;
        self.send("s")?;
        self.stream.set_read_timeout(Some(PATIENCE))?;
        let stopped = self.receive();
        self.stream.set_read_timeout(usual)?;
        match stopped {
            Err(Error::Connection(e)) if is_timeout(&e) => self.interrupt(),
            other => other.map(drop),
        }
    }

    /// Stops the core if it runs.
    pub(crate) fn interrupt(&mut self) -> Result<(), Error> {
        self.stream.write_all(&[3])?;
        self.receive().map(drop)
    }

    /// Tells whether a core that was running has stopped by itself.
    pub(crate) fn has_stopped(&mut self) -> Result<bool, Error> {
        self.stream.set_nonblocking(true)?;
        let arrived = self.fill();
        self.stream.set_nonblocking(false)?;
        match arrived {
            Err(Error::Connection(e)) if is_timeout(&e) => {}
            other => other?,
        }
        Ok(self.packet().is_some())
    }

    /// Tells whether the core sleeps until an interrupt.
    pub(crate) fn is_asleep(&mut self) -> Result<bool, Error> {
        let state = unhex(&self.request("qThreadExtraInfo,1")?);
        Ok(state.windows(6).any(|word| word == b"halted"))
    }

    /// Resets the whole board; the core stays stopped.
    pub(crate) fn system_reset(&mut self) -> Result<(), Error> {
        self.request(&format!("qRcmd,{}", hex(b"system_reset")))
            .map(drop)
    }

    /// Ends QEMU.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        self.send("k")
    }

    /// A register.
    pub(crate) fn register(&mut self, number: u32) -> Result<u32, Error> {
        self.read_register(number).map(u32::from_le_bytes)
    }

    /// Sets a register.
    pub(crate) fn set_register(&mut self, number: u32, value: u32) -> Result<(), Error> {
        self.write_register(number, &value.to_le_bytes())
    }

    /// A double-precision register.
    pub(crate) fn double(&mut self, number: u32) -> Result<u64, Error> {
        self.read_register(number).map(u64::from_le_bytes)
    }

    /// Sets a double-precision register.
    pub(crate) fn set_double(&mut self, number: u32, value: u64) -> Result<(), Error> {
        self.write_register(number, &value.to_le_bytes())
    }

    /// Stops the core before it executes what is at an address.
    pub(crate) fn insert_breakpoint(&mut self, address: u32) -> Result<(), Error> {
        self.request(&format!("Z1,{address:x},2")).map(drop)
    }

    /// Takes a breakpoint away.
    pub(crate) fn remove_breakpoint(&mut self, address: u32) -> Result<(), Error> {
        self.request(&format!("z1,{address:x},2")).map(drop)
    }

    fn read_register<const N: usize>(&mut self, number: u32) -> Result<[u8; N], Error> {
        let request = format!("p{number:x}");
        let answer = self.request(&request)?;
        unhex(&answer)
            .try_into()
            .map_err(|_| Error::Answer { request, answer })
    }

    fn write_register(&mut self, number: u32, bytes: &[u8]) -> Result<(), Error> {
        self.request(&format!("P{number:x}={}", hex(bytes)))
            .map(drop)
    }

    fn request(&mut self, request: &str) -> Result<String, Error> {
        self.send(request)?;
        loop {
            let answer = self.receive()?;
            // What a monitor command prints.
            if answer.starts_with('O') && answer != "OK" {
                continue;
            }
            if answer.starts_with('E') {
                let request = request.to_owned();
                return Err(Error::Answer { request, answer });
            }
            return Ok(answer);
        }
    }

    fn send(&mut self, packet: &str) -> Result<(), Error> {
        let checksum = packet.bytes().fold(0, u8::wrapping_add);
        let packet = format!("${packet}#{checksum:02x}");
        Ok(self.stream.write_all(packet.as_bytes())?)
    }

    fn receive(&mut self) -> Result<String, Error> {
        loop {
            if let Some(packet) = self.packet() {
                return Ok(packet);
            }
            self.fill()?;
        }
    }

    /// The first packet of what has arrived.
    fn packet(&mut self) -> Option<String> {
        let start = self.received.iter().position(|&b| b == b'$')? + 1;
        let length = self
            .received
            .get(start..)?
            .iter()
            .position(|&b| b == b'#')?;
        let checksum = start + length + 1..start + length + 3;
        self.received.get(checksum.clone())?;
        let text = self.received.get(start..start + length)?;
        let text = String::from_utf8_lossy(text).into_owned();
        self.received.drain(..checksum.end);
        Some(text)
    }

    fn fill(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 4096];
        let n = self.stream.read(&mut buffer)?;
        if n == 0 {
            return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        self.received.extend(buffer.iter().take(n));
        Ok(())
    }
}

/// Tells whether nothing has arrived in the time that a read may take.
fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that a text's hexadecimal digits stand for, as far as they are some.
fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks_exact(2)
        .map_while(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
