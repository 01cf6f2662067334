//! A TensorFlow checkpoint: `variables.index`, a sorted table from a tensor's key to its place, and
//! `variables.data-00000-of-00001` ..., if the values are.
//!
//! The table is LevelDB's: blocks of entries whose keys share prefixes, then a block that indexes
//! them, then a footer. The checksums of blocks and tensors are verified.

use std::collections::BTreeMap;

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use super::error::Problem;
use super::hdf5::Float;
use super::weights::Array;

/// The last eight bytes of a table.
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// Two handles, padded, and the magic number.
const FOOTER: usize = 48;
/// A block's type of compression and its checksum.
const TRAILER: usize = 5;
/// The numbers of TensorFlow's `DataType`.
const FLOAT: i32 = 1;
const DOUBLE: i32 = 2;
const STRING: i32 = 7;
const BFLOAT16: i32 = 14;
const HALF: i32 = 19;

const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Entry of a tensor in the table (`BundleEntryProto`).
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
    #[prost(int32, tag = "3")]
    shard: i32,
    #[prost(int64, tag = "4")]
    offset: i64,
    #[prost(int64, tag = "5")]
    size: i64,
    #[prost(fixed32, tag = "6")]
    crc32c: u32,
    #[prost(bytes = "vec", repeated, tag = "7")]
    slices: Vec<Vec<u8>>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    dim: Vec<Dim>,
}

/// `TensorShapeProto.Dim`.
#[derive(Clone, PartialEq, Message)]
struct Dim {
    #[prost(int64, tag = "1")]
    size: i64,
}

/// Header of the checkpoint in the table (`BundleHeaderProto`), under the empty key.
#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(int32, tag = "1")]
    shards: i32,
    #[prost(int32, tag = "2")]
    big_endian: i32,
}

/// An open checkpoint.
pub(super) struct Checkpoint {
    entries: BTreeMap<String, Entry>,
    shards: Vec<Vec<u8>>,
    big_endian: bool,
}

fn refuse(part: &str, reason: impl Into<String>) -> Problem {
    Problem::SavedModel {
        part: part.to_owned(),
        reason: reason.into(),
    }
}

const INDEX: &str = "variables/variables.index";

impl Checkpoint {
    /// Opens the checkpoint of a SavedModel; `part` reads one of its files.
    pub(super) fn open(part: impl Fn(&str) -> Result<Vec<u8>, Problem>) -> Result<Self, Problem> {
        let index = part(INDEX)?;
        let table = table(&index).map_err(|reason| refuse(INDEX, reason))?;
        let mut entries = BTreeMap::new();
        let mut header = Header::default();
        for (key, value) in table {
            let broken = |e: prost::DecodeError| refuse(INDEX, e.to_string());
            if key.is_empty() {
                header = Header::decode(&value[..]).map_err(broken)?;
                continue;
            }
            let key = String::from_utf8(key).map_err(|_| refuse(INDEX, "a key is no text"))?;
            entries.insert(key, Entry::decode(&value[..]).map_err(broken)?);
        }
        let count = header.shards;
        if !(1..=64).contains(&count) {
            return Err(refuse(INDEX, format!("it names {count} data files")));
        }
        let shards = (0..count)
            .map(|k| part(&format!("variables/variables.data-{k:05}-of-{count:05}")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            entries,
            shards,
            big_endian: header.big_endian != 0,
        })
    }

    /// The length of the data files.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(Vec::len).sum()
    }

    /// The bytes of a tensor.
    fn bytes(&self, key: &str, entry: &Entry) -> Result<&[u8], Problem> {
        let outside = || refuse(key, "its values lie outside of the data file");
        let shard = usize::try_from(entry.shard).ok();
        let shard = shard.and_then(|s| self.shards.get(s)).ok_or_else(outside)?;
        let start = usize::try_from(entry.offset).map_err(|_| outside())?;
        let size = usize::try_from(entry.size).map_err(|_| outside())?;
        let end = start.checked_add(size).ok_or_else(outside)?;
        shard.get(start..end).ok_or_else(outside)
    }

    /// The array of a key.
    pub(super) fn array(&self, key: &str, name: &str) -> Result<Option<Array<'_>>, Problem> {
        let Some(entry) = self.entries.get(key) else {
            return Ok(None);
        };
        let dims = entry.shape.iter().flat_map(|s| &s.dim);
        let shape: Option<Vec<u64>> = dims.map(|d| u64::try_from(d.size).ok()).collect();
        let shape = shape.ok_or_else(|| refuse(key, "its shape has a negative length"))?;
        if !entry.slices.is_empty() {
            return Err(refuse(
                key,
                "it is stored in slices, which is not supported",
            ));
        }
        let key = key.to_owned();
        Ok(Some(Array {
            name: name.to_owned(),
            shape,
            read: Box::new(move || {
                let format = match entry.dtype {
                    FLOAT => Float::Single,
                    DOUBLE => Float::Double,
                    HALF => Float::Half,
                    BFLOAT16 => Float::Brain,
                    STRING => return Ok(Err("text".to_owned())),
                    other => return Ok(Err(format!("TensorFlow's data type {other}"))),
                };
                let bytes = self.bytes(&key, entry)?;
                if mask(CRC32C.checksum(bytes)) != entry.crc32c {
                    return Err(refuse(&key, "its checksum does not fit its values"));
                }
                Ok(Ok(format.read(bytes, self.big_endian)))
            }),
        }))
    }

    /// The only element of a tensor of strings.
    pub(super) fn string(&self, key: &str) -> Result<Option<&[u8]>, Problem> {
        let Some(entry) = self.entries.get(key) else {
            return Ok(None);
        };
        if entry.dtype != STRING {
            return Err(refuse(key, "it is no text"));
        }
        // The length as a varint, the checksum of the lengths, the text.
        let mut bytes = self.bytes(key, entry)?;
        let broken = || refuse(key, "its length does not fit");
        let length = varint(&mut bytes).ok_or_else(broken)?;
        let text = bytes.get(4..).ok_or_else(broken)?;
        if u64::try_from(text.len()) == Ok(length) {
            Ok(Some(text))
        } else {
            Err(broken())
        }
    }
}

/// The form in which TensorFlow and LevelDB store checksums.
fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn length(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(varint(bytes)?).ok()
}

/// An entry of a table.
type KeyValue = (Vec<u8>, Vec<u8>);

/// The entries of a table.
fn table(bytes: &[u8]) -> Result<Vec<KeyValue>, String> {
    let cut = || "it is cut off or no table".to_owned();
    let start = bytes.len().checked_sub(FOOTER).ok_or_else(cut)?;
    let (_, mut footer) = bytes.split_at(start);
    let magic = footer.last_chunk::<8>().copied().map(u64::from_le_bytes);
    if magic != Some(MAGIC) {
        return Err(cut());
    }
    // The handle of a block that is not used, then that of the index of the blocks.
    let mut number = || length(&mut footer).ok_or_else(cut);
    let (_, _) = (number()?, number()?);
    let index = block(bytes, number()?, number()?)?;
    let mut found = Vec::new();
    let mut read = 0usize;
    for (_, handle) in index {
        let mut handle = &handle[..];
        let mut number = || length(&mut handle).ok_or_else(cut);
        let (offset, size) = (number()?, number()?);
        // Blocks do not overlap in a sound table.
        read = read.saturating_add(size);
        if read > bytes.len() {
            return Err("its blocks overlap".to_owned());
        }
        found.extend(block(bytes, offset, size)?);
    }
    Ok(found)
}

/// The entries of one block.
fn block(bytes: &[u8], offset: usize, size: usize) -> Result<Vec<KeyValue>, String> {
    let broken = || format!("the block at byte {offset} is damaged");
    let end = (offset.checked_add(size))
        .and_then(|end| end.checked_add(TRAILER))
        .ok_or_else(broken)?;
    let whole = bytes.get(offset..end).ok_or_else(broken)?;
    let (content, checksum) = whole.split_last_chunk::<4>().ok_or_else(broken)?;
    if mask(CRC32C.checksum(content)) != u32::from_le_bytes(*checksum) {
        return Err(format!("{}: its checksum does not fit", broken()));
    }
    let (&compression, content) = content.split_last().ok_or_else(broken)?;
    if compression != 0 {
        return Err(format!(
            "the block at byte {offset} is compressed, which is not supported"
        ));
    }
    // After the entries come the places at which keys are whole, and their number.
    let (rest, restarts) = content.split_last_chunk::<4>().ok_or_else(broken)?;
    let restarts = usize::try_from(u32::from_le_bytes(*restarts)).ok();
    let restarts = restarts.and_then(|n| n.checked_mul(4)).ok_or_else(broken)?;
    let entries = rest.len().checked_sub(restarts).ok_or_else(broken)?;
    let (mut rest, _) = rest.split_at(entries);
    let mut key: Vec<u8> = Vec::new();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let mut number = || length(&mut rest).ok_or_else(broken);
        let (shared, own, value) = (number()?, number()?, number()?);
        if shared > key.len() {
            return Err(broken());
        }
        key.truncate(shared);
        let (own, after) = rest.split_at_checked(own).ok_or_else(broken)?;
        key.extend_from_slice(own);
        let (value, after) = after.split_at_checked(value).ok_or_else(broken)?;
        found.push((key.clone(), value.to_vec()));
        rest = after;
    }
    Ok(found)
}
