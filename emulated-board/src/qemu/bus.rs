//! Memory and peripherals, as the core sees them: QEMU's test protocol (qtest), one line for each request.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::Error;

/// Size of an access to a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Byte,
    Half,
    Word,
}

impl Width {
    /// Size in bytes.
    pub(crate) fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Byte => 'b',
            Self::Half => 'w',
            Self::Word => 'l',
        }
    }
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Bus {
    stream: BufReader<TcpStream>,
}

impl Bus {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let stream = BufReader::with_capacity(1 << 16, stream);
        Self { stream }
    }

    /// One access.
    pub(crate) fn load(&mut self, address: u32, width: Width) -> Result<u32, Error> {
        let request = format!("read{} {address:#x}\n", width.letter());
        let answer = self.request(&request)?;
        let digits = answer.trim_start_matches("0x");
        u64::from_str_radix(digits, 16)
            .map(|value| value as u32)
            .map_err(|_| unexpected(&request, &answer))
    }

    /// One access; the bits above the width are not used.
    pub(crate) fn store(&mut self, address: u32, width: Width, value: u32) -> Result<(), Error> {
        let value = value & (u32::MAX >> (32 - 8 * width.bytes()));
        self.request(&format!(
            "write{} {address:#x} {value:#x}\n",
            width.letter()
        ))
        .map(drop)
    }

    /// A run of bytes, in accesses of any width.
    pub(crate) fn load_block(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let request = format!("b64read {address:#x} {:#x}\n", bytes.len());
        let answer = self.request(&request)?;
        match BASE64.decode(&answer) {
            Ok(decoded) if decoded.len() == bytes.len() => bytes.copy_from_slice(&decoded),
            _ => return Err(unexpected(&request, &answer)),
        }
        Ok(())
    }

    /// A run of bytes, in accesses of any width.
    pub(crate) fn store_block(&mut self, address: u32, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (length, data) = (bytes.len(), BASE64.encode(bytes));
        self.request(&format!("b64write {address:#x} {length:#x} {data}\n"))
            .map(drop)
    }

    /// Sets `length` bytes to one value.
    pub(crate) fn fill(&mut self, address: u32, length: u32, value: u8) -> Result<(), Error> {
        self.request(&format!("memset {address:#x} {length:#x} {value:#x}\n"))
            .map(drop)
    }

    /// Sends a line, and returns the answer behind `OK`.
    fn request(&mut self, line: &str) -> Result<String, Error> {
        self.stream.get_mut().write_all(line.as_bytes())?;
        let mut answer = String::new();
        if self.stream.read_line(&mut answer)? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        match answer.trim_end().strip_prefix("OK") {
            Some(rest) => Ok(rest.trim_start().to_owned()),
            None => Err(unexpected(line, &answer)),
        }
    }
}

fn unexpected(request: &str, answer: &str) -> Error {
    let start = |text: &str| text.trim_end().chars().take(80).collect();
    Error::Answer {
        request: start(request),
        answer: start(answer),
    }
}
