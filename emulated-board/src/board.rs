//! A board with its probe: QEMU, and a thread that serves probe-rs.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use crate::Error;
use crate::cortex_m::Core;
use crate::glasgow::{Applet, Refused};
use crate::qemu::{Process, Qemu};
use crate::swd::{DebugPort, Target as _};
use tinyspike_boards::Board as Machine;

/// Options with which a board is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The TCP port of 127.0.0.1 that the probe listens on; 0 for any that is free.
    pub port: u16,
    /// Lets the board's time follow the executed instructions, each of which takes 2^n nanoseconds. The board's
    /// timers then count instructions, alike in every run; it is slower.
    pub icount_shift: Option<u8>,
    /// The program that emulates the board.
    pub qemu: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            icount_shift: None,
            qemu: "qemu-system-arm".into(),
        }
    }
}

/// Fault to inject, for tests of programs that must cope with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The probe is unplugged, and plugged in again: the client loses its connection after so many
    /// more SWD transfers, and may connect again.
    ProbeVanishes {
        /// Transfers that are still done.
        after: u64,
    },
    /// The probe hangs: it keeps the connection and answers nothing after so many more SWD transfers, until the
    /// client is gone. The next client is served.
    ProbeFreezes {
        /// Transfers that are still done.
        after: u64,
    },
    /// The board breaks: QEMU ends after so many more SWD transfers, and with it the probe.
    BoardDies {
        /// Transfers that are still done.
        after: u64,
    },
}

/// A running board. Dropping it ends QEMU, and with it the probe.
#[derive(Debug)]
pub struct Board {
    machine: Machine,
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Process and its watch: both are `None` only while the board is being dropped.
    process: Option<Process>,
    server: Option<JoinHandle<Result<(), Error>>>,
}

impl Board {
    /// Starts QEMU, with blank flash, and the probe.
    ///
    /// The core runs at once, as that of any board with power does; without a program it is locked up.
    ///
    /// # Errors
    /// [`Error::NoProbe`] for a board that has none; [`Error::NotInstalled`] without QEMU; [`Error::Listen`] if the port is taken; the others
    /// if QEMU does not do as it should.
    pub fn start(machine: Machine, options: &Options) -> Result<Self, Error> {
        if !Machine::PROBED.contains(&machine) {
            return Err(Error::NoProbe { machine });
        }
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = TcpListener::bind(wanted);
        let listener = listener.map_err(|source| Error::Listen {
            address: wanted,
            source,
        })?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            address,
            state: Mutex::default(),
        });
        let (qemu, process) = Qemu::start(&options.qemu, machine, options.icount_shift, {
            let shared = Arc::clone(&shared);
            move || shared.close()
        })?;
        let core = Core::power_on(qemu, machine).map_err(|error| process.explain(error))?;
        let server = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.serve(&listener, &mut DebugPort::new(core))
        });
        Ok(Self {
            machine,
            address,
            shared,
            process: Some(process),
            server: Some(server),
        })
    }

    /// Machine that the board was started as.
    #[must_use]
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// The TCP port of 127.0.0.1 that the probe listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Selector by which probe-rs opens the probe: `--probe 20b7:9db1:tcp:127.0.0.1:PORT`.
    #[must_use]
    pub fn probe_selector(&self) -> String {
        format!("20b7:9db1:tcp:{}", self.address)
    }

    /// Lets something go wrong; a fault that has not happened yet is replaced.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().fault = Some(fault);
    }

    /// Waits until the board is gone.
    ///
    /// # Errors
    /// Why it is gone, always: [`Error::Ended`] if QEMU has ended; another, if it does not
    /// do as it should.
    pub fn serve(mut self) -> Result<(), Error> {
        let result = match self.server.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        };
        let Some(process) = &self.process else {
            return result;
        };
        // Only the end of QEMU lets the server end while there is an owner.
        Err(match result {
            Ok(()) => process.ended(),
            Err(error) => process.explain(error),
        })
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.shared.close();
        // Ends whatever the server waits for.
        drop(self.process.take());
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// State that the owner, the server, and the watch over QEMU share.
#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// No more clients are to be served.
    closing: bool,
    /// The client that is being served.
    client: Option<TcpStream>,
    fault: Option<Fault>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the server end.
    fn close(&self) {
        let mut state = self.state();
        if state.closing {
            return;
        }
        state.closing = true;
        match &state.client {
            // Its connection is broken; the server's next read tells it so. The client must not see
            // an orderly end: probe-rs would wait for more.
            Some(client) => drop(client.shutdown(Shutdown::Read)),
            // The server waits for a client.
            None => drop(TcpStream::connect(self.address)),
        }
    }

    /// Serves one client after another: another waits until the first hangs up, or has been silent for a while.
    fn serve(&self, listener: &TcpListener, port: &mut DebugPort<Core>) -> Result<(), Error> {
        let mut next = None;
        loop {
            let client = match next.take() {
                Some(client) => client,
                None => listener.accept()?.0,
            };
            {
                let mut state = self.state();
                if state.closing {
                    return Ok(());
                }
                state.client = Some(client.try_clone()?);
            }
            let result = self.serve_client(client, listener, port);
            let mut state = self.state();
            state.client = None;
            match result {
                Err(Refused::Target(error)) => return Err(error),
                // The board lives on, whatever the client did.
                Ok(waiting) => next = waiting,
                Err(Refused::Client(_) | Refused::Garbage) => {}
            }
            if state.closing {
                return Ok(());
            }
        }
    }

    /// Serves a client to its end: the next one, if that has waited while this one was silent.
    fn serve_client(
        &self,
        mut client: TcpStream,
        listener: &TcpListener,
        port: &mut DebugPort<Core>,
    ) -> Result<Option<TcpStream>, Refused> {
        const PATIENCE: Duration = Duration::from_secs(5);
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_nodelay(true)?;
        client.set_write_timeout(Some(PATIENCE))?;
        // When the probe hangs up, the connection is reset.
        SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        let mut applet = Applet::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let received = match client.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(received) => received,
                Err(e) if is_silence(&e) => match waiting(listener)? {
                    None => continue,
                    next => return Ok(next),
                },
                Err(e) => return Err(e.into()),
            };
            let before = applet.transfers();
            let bytes = buffer.get(..received).unwrap_or_default();
            let answer = applet.receive(bytes, port)?;
            match self.fault(applet.transfers() - before) {
                None => client.write_all(&answer)?,
                Some(Fault::ProbeVanishes { .. }) => return Ok(None),
                Some(Fault::ProbeFreezes { .. }) => {
                    ignore(&mut client, &mut buffer)?;
                    return Ok(None);
                }
                Some(Fault::BoardDies { .. }) => port.target().power_off()?,
            }
        }
    }

    /// The fault that happens now, after some more transfers.
    fn fault(&self, transfers: u64) -> Option<Fault> {
        let mut state = self.state();
        let (Fault::ProbeVanishes { after }
        | Fault::ProbeFreezes { after }
        | Fault::BoardDies { after }) = state.fault.as_mut()?;
        if transfers < *after {
            *after -= transfers;
            return None;
        }
        state.fault.take()
    }
}

/// Tells whether a client has only said nothing for a while.
fn is_silence(error: &io::Error) -> bool {
    [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind())
}

/// Takes what a client says, and answers nothing, until it is gone.
fn ignore(client: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match client.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if is_silence(&e) => {}
            Err(e) => return Err(e),
        }
    }
}

/// A client that waits already.
fn waiting(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    listener.set_nonblocking(true)?;
    let accepted = listener.accept();
    listener.set_nonblocking(false)?;
    match accepted {
        Ok((client, _)) => {
            client.set_nonblocking(false)?;
            Ok(Some(client))
        }
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}
