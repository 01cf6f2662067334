//! The probe's end of the debug link: the protocol of the Glasgow Interface Explorer's `probe-rs` applet,
//! which probe-rs 0.32 has a driver for.
//!
//! Packets are COBS-encoded, each behind a zero byte's delimiter. Their first byte names one of two endpoints, which
//! see a stream of commands: the root, with the probe's own, and the link, with SWD transfers.
//!
//! Unlike Glasgow, the applet drops what follows a FAULT in a packet: probe-rs does not ask
//! for the answers, and would take them for those to its next commands.

use std::io;

use crate::Error;
use crate::swd::{Answer, DebugPort, Register, Target};

const ROOT: u8 = 0;
const LINK: u8 = 1;

const IDENTIFIER: &[u8] = b"probe-rs,v01";
/// What the clock's divisor divides, in hertz.
const REFERENCE_CLOCK: u32 = 48_000_000;

/// The longest packet that is taken; probe-rs's are a few kilobytes.
const LONGEST: usize = 1 << 20;

/// Why a client is not listened to any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It does not speak the protocol.
    #[error("the client sends no packets of a Glasgow probe")]
    Garbage,
    /// It has hung up.
    #[error(transparent)]
    Client(#[from] io::Error),
    /// The target is gone.
    #[error(transparent)]
    Target(#[from] Error),
}

/// One connection's state.
#[derive(Debug, Default)]
pub(crate) struct Applet {
    /// The start of a packet.
    packet: Vec<u8>,
    /// The start of a command to the root.
    root: Vec<u8>,
    /// The start of a command to the link.
    link: Vec<u8>,
    divisor: u16,
    /// How many transfers have been done.
    transfers: u64,
}

impl Applet {
    /// How many transfers have been done.
    pub(crate) fn transfers(&self) -> u64 {
        self.transfers
    }

    /// Takes bytes from the client, does what they ask for, and returns the bytes to answer.
    pub(crate) fn receive<T: Target>(
        &mut self,
        bytes: &[u8],
        port: &mut DebugPort<T>,
    ) -> Result<Vec<u8>, Refused> {
        let mut answer = Vec::new();
        let mut pieces = bytes.split(|&byte| byte == 0).peekable();
        while let Some(piece) = pieces.next() {
            if self.packet.len() + piece.len() > LONGEST {
                return Err(Refused::Garbage);
            }
            self.packet.extend_from_slice(piece);
            if pieces.peek().is_some() {
                let packet = std::mem::take(&mut self.packet);
                self.perform(&packet, port, &mut answer)?;
            }
        }
        Ok(answer)
    }

    /// Performs one packet's commands.
    fn perform<T: Target>(
        &mut self,
        encoded: &[u8],
        port: &mut DebugPort<T>,
        answer: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        if encoded.is_empty() {
            return Ok(());
        }
        let packet = cobs::decode_vec(encoded).map_err(|_| Refused::Garbage)?;
        let (&endpoint, commands) = packet.split_first().ok_or(Refused::Garbage)?;
        let mut reply = vec![endpoint];
        match endpoint {
            ROOT => {
                self.root.extend_from_slice(commands);
                self.perform_root(port, &mut reply)?;
            }
            LINK => {
                self.link.extend_from_slice(commands);
                self.perform_link(port, &mut reply)?;
            }
            _ => return Err(Refused::Garbage),
        }
        if reply.len() > 1 {
            answer.extend(cobs::encode_vec(&reply));
            answer.push(0);
        }
        Ok(())
    }

    fn perform_root<T: Target>(
        &mut self,
        port: &mut DebugPort<T>,
        reply: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let commands = std::mem::take(&mut self.root);
        let mut rest = commands.as_slice();
        while let [command, after @ ..] = rest {
            match (command, after) {
                (0x00, _) => reply.extend_from_slice(IDENTIFIER),
                (0x10, _) => reply.extend(REFERENCE_CLOCK.to_le_bytes()),
                (0x11, _) => reply.extend(self.divisor.to_le_bytes()),
                (0x12, [low, high, after @ ..]) => {
                    self.divisor = u16::from_le_bytes([*low, *high]);
                    rest = after;
                    continue;
                }
                (0x12, _) => break,
                // The reset pin is held down: the target resets when it is let go.
                (0x20, _) => {}
                (0x21, _) => port.target().reset()?,
                _ => return Err(Refused::Garbage),
            }
            rest = after;
        }
        self.root = rest.to_vec();
        Ok(())
    }

    fn perform_link<T: Target>(
        &mut self,
        port: &mut DebugPort<T>,
        reply: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        const ACCESS_PORT: u8 = 1;
        const READ: u8 = 2;
        const SEQUENCE: u8 = 0x20;
        let commands = std::mem::take(&mut self.link);
        let mut rest = commands.as_slice();
        while let &[command, ref after @ ..] = rest {
            let register = Register {
                access_port: command & ACCESS_PORT != 0,
                address: command & 0xc,
            };
            let answers;
            (answers, rest) = match (command & 0xf0, command & READ != 0) {
                // Bits on the line, such as those that select SWD: it is selected.
                (SEQUENCE | 0x30, _) => match after {
                    [_, _, _, _, after @ ..] => (Vec::new(), after),
                    _ => break,
                },
                // A run of the same transfer goes to the target as one.
                (0, true) => {
                    let count = rest.iter().take_while(|&&byte| byte == command).count();
                    let (_, after) = rest.split_at(count);
                    (port.read(register, count)?, after)
                }
                (0, false) => {
                    let (transfers, _) = rest.as_chunks::<5>();
                    let values: Vec<u32> = transfers
                        .iter()
                        .map_while(|&[transfer, a, b, c, d]| {
                            (transfer == command).then(|| u32::from_le_bytes([a, b, c, d]))
                        })
                        .collect();
                    if values.is_empty() {
                        break;
                    }
                    let (_, after) = rest.split_at(5 * values.len());
                    (port.write(register, &values)?, after)
                }
                _ => return Err(Refused::Garbage),
            };
            self.transfers += answers.len() as u64;
            for answer in answers {
                match answer {
                    Answer::Data(value) => {
                        reply.push(0x01);
                        reply.extend(value.to_le_bytes());
                    }
                    Answer::Done => reply.push(0x11),
                    Answer::Fault => {
                        reply.push(0x14);
                        return Ok(());
                    }
                }
            }
        }
        self.link = rest.to_vec();
        Ok(())
    }
}
