//! Several files as one run of bytes, so that a fuzzer can change the files within a container.

/// Joins parts: each but the last has its length before it, as a little-endian `u32`.
#[must_use]
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some((last, rest)) = parts.split_last() {
        for part in rest {
            bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(last);
    }
    bytes
}

/// Any bytes as so many parts. A length beyond the end takes what there is.
#[must_use]
pub fn split<const N: usize>(mut bytes: &[u8]) -> [&[u8]; N] {
    let mut parts: [&[u8]; N] = [&[]; N];
    for part in parts.iter_mut().take(N.saturating_sub(1)) {
        let Some((length, rest)) = bytes.split_first_chunk() else {
            break;
        };
        let length = u32::from_le_bytes(*length) as usize;
        (*part, bytes) = rest.split_at(length.min(rest.len()));
    }
    if let Some(last) = parts.last_mut() {
        *last = bytes;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        let parts: [&[u8]; 3] = [b"one", b"", b"three"];
        assert_eq!(split::<3>(&join(&parts)), parts);
        assert_eq!(split::<3>(b"\xff\xff\xff\xffab"), [&b"ab"[..], b"", b""]);
        assert_eq!(split::<2>(b"abc"), [&b""[..], b"abc"]);
    }
}
