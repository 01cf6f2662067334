//! Logs of firmware through defmt, in words: the device sends numbers, and its ELF file has the texts.

use std::path::{Path, PathBuf};

use defmt_decoder::{DecodeError, Locations, StreamDecoder, Table};
use serde::Serialize;

use super::firmware::{FirmwareError, MAX_ELF};
use crate::file;
use crate::text::escaped;

/// The texts of one firmware.
#[derive(Debug)]
pub struct LogTable {
    table: Table,
    locations: Option<Locations>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogMessage {
    /// Its level: `info` or `error`, for instance; `None` if it is printed without one.
    pub level: Option<&'static str>,
    /// The text.
    pub text: String,
    /// The source file, and the line in it, if the firmware's file tells.
    pub place: Option<(PathBuf, u64)>,
}

impl std::fmt::Display for LogMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let level = self.level.unwrap_or("print");
        write!(f, "{level:<5} {}", escaped(&self.text))?;
        match &self.place {
            Some((file, line)) => write!(f, "  ({}:{line})", escaped(&file.to_string_lossy())),
            None => Ok(()),
        }
    }
}

impl LogTable {
    /// The texts of a firmware's ELF file; `None` if it does not log.
    ///
    /// # Errors
    /// [`FirmwareError`], if the file cannot be read, or defmt's part of it not be understood.
    pub fn read(path: &Path) -> Result<Option<Self>, FirmwareError> {
        let elf = file::read(path, MAX_ELF).map_err(|source| FirmwareError::File {
            path: path.to_owned(),
            source,
        })?;
        let unreadable = |reason| FirmwareError::Unusable {
            path: path.to_owned(),
            reason: format!("its log's texts cannot be read: {reason}"),
        };
        let table = Table::parse(&elf).map_err(|e| unreadable(e.to_string()))?;
        let Some(table) = table.filter(|table| !table.is_empty()) else {
            return Ok(None);
        };
        // Without debug information there are texts all the same.
        let locations = table.get_locations(&elf).ok();
        let locations = locations.filter(|places| {
            let mut indices = table.indices();
            indices.all(|index| places.contains_key(&(index as u64)))
        });
        Ok(Some(Self { table, locations }))
    }

    /// Reads the log from its beginning, or from anywhere.
    #[must_use]
    pub fn reader(&self) -> LogReader<'_> {
        LogReader {
            table: self,
            decoder: self.table.new_stream_decoder(),
            pending: 0,
        }
    }
}

/// Reads a log as it comes.
pub struct LogReader<'t> {
    table: &'t LogTable,
    decoder: Box<dyn StreamDecoder + Send + Sync + 't>,
    /// Bytes since the last message, which the decoder keeps.
    pending: usize,
}

/// The most bytes of a message. A device that sends more without an end has its log read from there on.
const MAX_MESSAGE: usize = 64 << 10;

impl LogReader<'_> {
    /// The messages that are whole once `bytes` have come. What is damaged is left out.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<LogMessage> {
        if self.pending > MAX_MESSAGE {
            self.decoder = self.table.table.new_stream_decoder();
            self.pending = 0;
        }
        self.decoder.received(bytes);
        self.pending += bytes.len();
        let mut messages = Vec::new();
        loop {
            match self.decoder.decode() {
                Ok(frame) => {
                    self.pending = 0;
                    let locations = self.table.locations.as_ref();
                    let place = locations.and_then(|places| places.get(&frame.index()));
                    messages.push(LogMessage {
                        level: frame.level().map(|level| level.as_str()),
                        text: frame.display_message().to_string(),
                        place: place.map(|place| (place.file.clone(), place.line)),
                    });
                }
                // The decoder has passed over it.
                Err(DecodeError::Malformed) => self.pending = 0,
                Err(DecodeError::UnexpectedEof) => return messages,
            }
        }
    }
}
