//! Changes bytes as a fuzzer does, by a generator of a fixed seed.

use std::io::{Cursor, Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tinyspike_tests::numbers::Numbers;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Numbers at which sizes and offsets go wrong.
const ODD: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 62,
    u64::MAX,
];

/// Texts to put instead of a number.
const ODD_TEXT: [&[u8]; 10] = [
    b"0",
    b"-1",
    b"1000000000",
    b"4294967296",
    b"18446744073709551616",
    b"1e308",
    b"NaN",
    b"null",
    b"[]",
    b"\"x\"",
];

/// Changes a file as [`mutate`] does. Three of five archives and packed files are changed within, and packed again: what is in them
/// would hardly be reached through a wrong checksum.
pub fn mutate_file(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    let inside = match numbers.below(5) {
        0 | 1 => None,
        _ if bytes.starts_with(b"PK") => archive(bytes, other, numbers),
        _ if bytes.starts_with(&[0x1f, 0x8b]) => packed(bytes, other, numbers),
        _ => None,
    };
    match inside {
        Some(changed) => *bytes = changed,
        None => mutate(bytes, other, numbers),
    }
}

/// The most bytes that are unpacked.
const MOST: u64 = 4 << 20;

fn packed(bytes: &[u8], other: &[u8], numbers: &mut Numbers) -> Option<Vec<u8>> {
    let mut inside = Vec::new();
    let mut unpacked = GzDecoder::new(bytes).take(MOST);
    unpacked.read_to_end(&mut inside).ok()?;
    mutate(&mut inside, other, numbers);
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(&inside).ok()?;
    packer.finish().ok()
}

fn archive(bytes: &[u8], other: &[u8], numbers: &mut Numbers) -> Option<Vec<u8>> {
    let mut old = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let changed = numbers.below(old.len());
    let method = match numbers.below(2) {
        0 => CompressionMethod::Stored,
        _ => CompressionMethod::Deflated,
    };
    let options = SimpleFileOptions::default().compression_method(method);
    let mut new = ZipWriter::new(Cursor::new(Vec::new()));
    for at in 0..old.len() {
        let file = old.by_index(at).ok()?;
        let name = file.name().ok()?.to_string();
        let mut content = Vec::new();
        file.take(MOST).read_to_end(&mut content).ok()?;
        if at == changed {
            let parsed = serde_json::from_slice::<Value>(&content);
            match parsed.ok().filter(|_| numbers.below(4) > 0) {
                Some(mut value) => {
                    for _ in 0..=numbers.below(3) {
                        value_in(&mut value, numbers);
                    }
                    content = value.to_string().into_bytes();
                }
                None => mutate(&mut content, other, numbers),
            }
        }
        new.start_file(name, options).ok()?;
        new.write_all(&content).ok()?;
    }
    Some(new.finish().ok()?.into_inner())
}

/// Changes one value in JSON: to another of the same document, or to one at which things go wrong.
fn value_in(value: &mut Value, numbers: &mut Numbers) {
    let mut places = Vec::new();
    list(value, String::new(), &mut places);
    let mut place = || numbers.below(places.len());
    let (from, to) = (place(), place());
    let new = match numbers.below(4) {
        0 => value.pointer(&places[from]).cloned().unwrap_or_default(),
        _ => {
            let odd = [
                json!(0),
                json!(-1),
                json!(1),
                json!(1u64 << 40),
                json!(u64::MAX),
                json!(1e308),
                json!(0.5),
                json!(null),
                json!(true),
                json!(""),
                json!("x"),
                json!([]),
                json!({}),
                json!([0]),
                json!([1, 2, 3]),
                json!([null, null]),
                json!("same"),
                json!("channels_first"),
                json!("softmax"),
            ];
            odd[numbers.below(odd.len())].clone()
        }
    };
    if let Some(old) = value.pointer_mut(&places[to]) {
        *old = new;
    }
}

/// Lists the JSON pointers of all values.
fn list(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                list(value, format!("{at}/{name}"), places);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                list(value, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

/// Changes `bytes` in one to four ways, of which some need `other`, another input.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        change(bytes, other, numbers);
    }
}

fn change(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    let length = bytes.len();
    // Descriptions stand at the start: half of all changes go there.
    let reach = if numbers.below(2) == 0 {
        length.min(512)
    } else {
        length
    };
    let at = numbers.below(reach);
    match numbers.below(9) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << numbers.below(8);
            }
        }
        1 => {
            let value = numbers.draw() as u8;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        2 => {
            let value = match numbers.below(3) {
                0 => numbers.below(length) as u64,
                _ => numbers.pick(&ODD).unwrap_or(0),
            };
            let width = 1 << numbers.below(4);
            let at = at - at % width;
            if let Some(place) = bytes.get_mut(at..at + width) {
                place.copy_from_slice(&value.to_le_bytes()[..width]);
            }
        }
        3 => bytes.truncate(numbers.below(length)),
        4 => {
            let end = (at + 1 + numbers.below(64)).min(length);
            bytes.drain(at..end);
        }
        5 => {
            let end = (at + 1 + numbers.below(64)).min(length);
            let again = bytes.get(at..end).unwrap_or(&[]).to_vec();
            bytes.splice(at..at, again);
        }
        6 => {
            let from = numbers.below(other.len());
            let end = (from + 1 + numbers.below(128)).min(other.len());
            let part = other.get(from..end).unwrap_or(&[]).to_vec();
            let end = (at + part.len()).min(length);
            bytes.splice(at..end, part);
        }
        7 => number_in_text(bytes, at, numbers),
        _ => swap(bytes, at, numbers),
    }
}

/// Replaces the first number in text behind a place.
fn number_in_text(bytes: &mut Vec<u8>, from: usize, numbers: &mut Numbers) {
    let tail = bytes.get(from..).unwrap_or(&[]);
    let Some(start) = tail.iter().position(u8::is_ascii_digit) else {
        return;
    };
    let digits = match tail[start..].starts_with(b"0x") {
        true => {
            2 + tail[start + 2..]
                .iter()
                .take_while(|b| b.is_ascii_hexdigit())
                .count()
        }
        false => tail[start..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count(),
    };
    let range = from + start..from + start + digits;
    let text = numbers.pick(&ODD_TEXT).unwrap_or(b"");
    bytes.splice(range, text.iter().copied());
}

/// Exchanges two runs of bytes.
fn swap(bytes: &mut [u8], at: usize, numbers: &mut Numbers) {
    let other = numbers.below(bytes.len());
    let (first, second) = (at.min(other), at.max(other));
    let length = (second - first).min(1 + numbers.below(32));
    if let Some((left, right)) = bytes.split_at_mut_checked(second)
        && let Some(left) = left.get_mut(first..first + length)
    {
        let length = length.min(right.len());
        left[..length].swap_with_slice(&mut right[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_and_most_differ_from_the_original() {
        let original: Vec<u8> = (0..=255).collect();
        let mutated = |seed| {
            let mut bytes = original.clone();
            mutate(&mut bytes, b"12 other", &mut Numbers::new(seed));
            bytes
        };
        let changed = (0..500).filter(|&seed| mutated(seed) != original).count();
        assert!(changed > 400, "{changed}");
        assert!((0..500).all(|seed| mutated(seed) == mutated(seed)));
    }

    #[test]
    fn nothing_can_be_changed() {
        for seed in 0..500 {
            let mut bytes = Vec::new();
            mutate(&mut bytes, &[], &mut Numbers::new(seed));
        }
    }
}
