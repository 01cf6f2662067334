//! The probe's end of the debug link: the protocol of the Glasgow Interface Explorer's `probe-rs` applet,
//! which probe-rs 0.32 has a driver for.
//!
//! Packets are COBS-encoded, each with a zero byte behind it. Their first byte names one of two
//! endpoints, which see a stream of commands: the root, with the probe's own, and the link, with
//! SWD transfers.
//!
//! Unlike Glasgow, the applet drops what follows a FAULT in a packet, and clears the error, as
//! most probes do. probe-rs does neither: it would take the dropped answers for those to its next commands, and
//! get no more than another FAULT for each.

use std::io;

use crate::Error;
use crate::swd::{Answer, DebugPort, Register, Target};

const ROOT: u8 = 0;
const LINK: u8 = 1;

const IDENTIFIER: &[u8] = b"probe-rs,v01";
/// Clock that the divisor divides, in hertz.
const REFERENCE_CLOCK: u32 = 48_000_000;

/// The longest packet that is taken; probe-rs's are a few kilobytes.
const LONGEST: usize = 1 << 20;

/// Reason for the end of a client's connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Bytes that are not of the protocol.
    #[error("the client sends no packets of a Glasgow probe")]
    Garbage,
    /// Client that has hung up.
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
    /// Transfers that have been done.
    transfers: u64,
}

impl Applet {
    /// Transfers that have been done.
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
                        port.clear_error();
                        return Ok(());
                    }
                }
            }
        }
        self.link = rest.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::swd::fake::{Fake, RAM};

    /// A packet as probe-rs sends it.
    fn packet(endpoint: u8, commands: &[u8]) -> Vec<u8> {
        let mut packet = cobs::encode_vec(&[&[endpoint], commands].concat());
        packet.push(0);
        packet
    }

    /// Answers of an endpoint.
    fn answers(endpoint: u8, bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        for packet in bytes.split(|&byte| byte == 0).filter(|p| !p.is_empty()) {
            let packet = cobs::decode_vec(packet).unwrap();
            assert_eq!(packet[0], endpoint);
            all.extend_from_slice(&packet[1..]);
        }
        all
    }

    fn write(command: u8, value: u32) -> Vec<u8> {
        [&[command][..], &value.to_le_bytes()].concat()
    }

    /// The transfers that set the address, with words and increment.
    fn address(address: u32) -> Vec<u8> {
        [write(0x01, 0x12), write(0x05, address)].concat()
    }

    #[test]
    fn the_probe_identifies_itself() {
        let (mut applet, mut port) = (Applet::default(), DebugPort::new(Fake::default()));
        let answer = applet.receive(&packet(ROOT, &[0x00, 0x10]), &mut port);
        let expected = [IDENTIFIER, &48_000_000u32.to_le_bytes()].concat();
        assert_eq!(answers(ROOT, &answer.unwrap()), expected);
        let answer = applet.receive(&packet(ROOT, &[0x12, 5, 1, 0x11, 0x20, 0x21]), &mut port);
        assert_eq!(answers(ROOT, &answer.unwrap()), [5, 1]);
        assert_eq!(port.target().log, ["reset"]);
    }

    #[test]
    fn blocks_go_to_the_target_as_one_and_every_transfer_is_answered() {
        let (mut applet, mut port) = (Applet::default(), DebugPort::new(Fake::default()));
        let mut commands = address(RAM);
        for i in 0..200 {
            commands.extend(write(0x0d, i));
        }
        let answer = applet.receive(&packet(LINK, &commands), &mut port).unwrap();
        assert_eq!(answers(LINK, &answer), [0x11; 202]);
        let commands = [address(RAM), vec![0x0f; 200], vec![0x0e]].concat();
        let answer = applet.receive(&packet(LINK, &commands), &mut port).unwrap();
        let answer = answers(LINK, &answer);
        let (data, _) = answer[2..].as_chunks::<5>();
        assert_eq!(data.len(), 201);
        for (i, data) in data.iter().skip(1).enumerate() {
            assert_eq!(data, &[1, i as u8, 0, 0, 0]);
        }
        assert_eq!(
            port.target().log,
            ["store 20000000 +800", "load 20000000 +800"]
        );
        assert_eq!(applet.transfers(), 405);
    }

    #[test]
    fn what_follows_a_fault_is_dropped_and_the_next_packet_is_served() {
        let (mut applet, mut port) = (Applet::default(), DebugPort::new(Fake::default()));
        let commands = [address(0x3000_0000), vec![0x0f, 0x0e, 0x0e, 0x0e]].concat();
        let answer = applet.receive(&packet(LINK, &commands), &mut port).unwrap();
        assert_eq!(answers(LINK, &answer), [0x11, 0x11, 1, 0, 0, 0, 0, 0x14]);
        let commands = [address(RAM), write(0x0d, 7)].concat();
        let answer = applet.receive(&packet(LINK, &commands), &mut port).unwrap();
        assert_eq!(answers(LINK, &answer), [0x11; 3]);
        assert_eq!(port.target().memory[0], 7);
    }

    #[test]
    fn endpoints_see_no_packets() {
        let commands = [
            write(0x3f, u32::MAX),
            address(RAM),
            write(0x0d, 0x0102_0304),
            vec![0x0f, 0x0e],
        ]
        .concat();
        let (mut applet, mut port) = (Applet::default(), DebugPort::new(Fake::default()));
        let whole = applet.receive(&packet(LINK, &commands), &mut port).unwrap();
        let (mut applet, mut port) = (Applet::default(), DebugPort::new(Fake::default()));
        let mut parts = Vec::new();
        for command in &commands {
            for byte in packet(LINK, &[*command]) {
                parts.extend(applet.receive(&[byte], &mut port).unwrap());
            }
        }
        assert_eq!(answers(LINK, &parts), answers(LINK, &whole));
    }

    #[test]
    fn an_endless_packet_is_refused() {
        let (mut applet, mut port) = (Applet::default(), DebugPort::new(Fake::default()));
        let refused = (0..100).any(|_| applet.receive(&[1; 1 << 16], &mut port).is_err());
        assert!(refused);
    }

    /// A packet with transfers, good and bad, and bytes that are none.
    fn commands() -> impl Strategy<Value = Vec<u8>> {
        let address = prop_oneof![
            any::<u32>(),
            (0u32..5000).prop_map(|offset| RAM + offset),
            Just(u32::MAX)
        ];
        let command = prop_oneof![
            (0u8..0x40, any::<u32>()).prop_map(|(command, value)| write(command, value)),
            address.prop_map(|address| write(0x05, address)),
            any::<u32>().prop_map(|mode| write(0x01, mode)),
            (0u8..0x10, 1usize..600).prop_map(|(command, n)| vec![command | 2; n]),
            prop::collection::vec(any::<u8>(), 0..20),
        ];
        prop::collection::vec(command, 0..20).prop_map(|commands| commands.concat())
    }

    proptest! {
        #[test]
        fn no_bytes_from_the_client_cause_a_panic(
            packets in prop::collection::vec((0u8..3, commands()), 0..8),
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut port = DebugPort::new(Fake::default());
            let mut applet = Applet::default();
            for (endpoint, commands) in packets {
                if applet.receive(&packet(endpoint, &commands), &mut port).is_err() {
                    applet = Applet::default();
                }
            }
            // Either is fine.
            let _ = applet.receive(&noise, &mut port);
        }
    }
}
