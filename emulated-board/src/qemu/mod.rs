//! QEMU: one process, and the two connections that make a board of it.
//!
//! The [`bus`] reaches memory and peripherals through QEMU's test protocol, also while the core runs; [`gdb`]
//! runs and stops the core, and reaches its registers.

mod bus;
mod gdb;
mod process;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

pub(crate) use bus::{Bus, Width};
pub(crate) use gdb::{Gdb, register};
pub(crate) use process::Process;

use crate::Error;
use tinyspike_boards::Board as Machine;

/// Longest time that QEMU may take for an answer, or to start.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The connections to a board that is stopped.
#[derive(Debug)]
pub(crate) struct Qemu {
    pub(crate) bus: Bus,
    pub(crate) gdb: Gdb,
}

impl Qemu {
    /// Starts QEMU, with nothing in the board's memory; calls `at_end` when it has ended. It ends when the
    /// process is dropped.
    pub(crate) fn start(
        program: &str,
        machine: Machine,
        icount_shift: Option<u8>,
        at_end: impl FnOnce() + Send + 'static,
    ) -> Result<(Self, Process), Error> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (bus, gdb) = (listen()?, listen()?);
        let socket = |id: &str, listener: &TcpListener| {
            let port = listener.local_addr()?.port();
            let at = format!("socket,id={id},host=127.0.0.1,port={port},nodelay=on");
            Ok::<_, Error>(["-chardev".into(), at])
        };
        let mut arguments: Vec<String> = [
            "-machine",
            machine.data().emulator.machine,
            "-accel",
            "tcg",
            "-S",
        ]
        .into_iter()
        .chain(["-nodefaults", "-display", "none", "-serial", "null"])
        // QEMU 7.2 wants just this name.
        .chain(["-qtest", "chardev:qtest", "-qtest-log", "/dev/null"])
        .chain(["-gdb", "chardev:gdb"])
        .map(str::to_owned)
        .collect();
        arguments.extend(socket("qtest", &bus)?);
        arguments.extend(socket("gdb", &gdb)?);
        if let Some(shift) = icount_shift {
            arguments.extend(["-icount".into(), format!("shift={shift}")]);
        }
        let process = Process::start(program, &arguments, at_end)?;
        let bus = Bus::new(accept(&bus, &process)?);
        let gdb = Gdb::new(accept(&gdb, &process)?);
        let gdb = gdb.map_err(|error| process.explain(error))?;
        Ok((Self { bus, gdb }, process))
    }
}

/// Waits until QEMU connects, or has ended.
fn accept(listener: &TcpListener, process: &Process) -> Result<TcpStream, Error> {
    const INTERVAL: Duration = Duration::from_millis(2);
    listener.set_nonblocking(true)?;
    for _ in 0..TIMEOUT.as_millis() / INTERVAL.as_millis() {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                return Ok(stream);
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.into()),
        }
        if process.has_ended() {
            return Err(process.ended());
        }
        std::thread::sleep(INTERVAL);
    }
    Err(Error::Ended {
        message: format!("it did not connect within {TIMEOUT:?}"),
    })
}
