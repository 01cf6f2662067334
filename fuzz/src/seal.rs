//! Headers and checksums that are right for bytes that are not: whoever writes a wrong file also writes its checksum.

use tinyspike_shared::image::{self, Description, HEADER_LEN, Layout, checksum};

/// An image with a header that fits what follows it. The description's length stays as it is.
pub(crate) fn seal(bytes: &[u8]) -> Vec<u8> {
    let mut image = bytes.to_vec();
    let Some((old, body)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return image;
    };
    let [_, _, _, description_len, arena_bytes, model_version, ..] = words(old);
    let mut header = image::Header {
        length: bytes.len() as u32,
        description_len,
        arena_bytes,
        model_version,
        checksum: 0,
    };
    if let Ok((description, _)) = postcard::take_from_bytes::<Description<'_, 128, 254>>(body)
        && let Some(arena_bytes) = Layout::arena_bytes(&description)
    {
        header.arena_bytes = arena_bytes;
    }
    image[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    header.checksum = checksum(&image);
    image[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    image
}

/// A header as little-endian words.
fn words(header: &[u8; HEADER_LEN]) -> [u32; HEADER_LEN / 4] {
    let (words, _) = header.as_chunks::<4>();
    std::array::from_fn(|at| words.get(at).map_or(0, |word| u32::from_le_bytes(*word)))
}

/// A checkpoint's table with right checksums of its blocks, as far as these can be found.
pub(crate) fn seal_table(bytes: &[u8]) -> Vec<u8> {
    const FOOTER: usize = 48;
    let mut table = bytes.to_vec();
    let Some(start) = table.len().checked_sub(FOOTER) else {
        return table;
    };
    let mut footer = &bytes[start..];
    let mut numbers = [0; 4];
    for number in &mut numbers {
        *number = varint(&mut footer);
    }
    let [_, _, at, size] = numbers;
    // The blocks lie one after another, the index of blocks behind them. The real files have one.
    seal_block(&mut table, 0, at.saturating_sub(5));
    seal_block(&mut table, at, size);
    table
}

fn varint(bytes: &mut &[u8]) -> usize {
    let mut value = 0usize;
    for shift in (0..56).step_by(7) {
        let Some((&byte, rest)) = bytes.split_first() else {
            break;
        };
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Writes the checksum of the block of so many bytes, which its type of compression follows.
fn seal_block(table: &mut [u8], at: usize, size: usize) {
    const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    let end = at.saturating_add(size).saturating_add(1);
    let Some(sum) = table.get(at..end).map(|b| CRC32C.checksum(b)) else {
        return;
    };
    let masked = sum.rotate_right(15).wrapping_add(0xa282_ead8);
    if let Some(place) = table.get_mut(end..end.saturating_add(4)) {
        place.copy_from_slice(&masked.to_le_bytes());
    }
}
