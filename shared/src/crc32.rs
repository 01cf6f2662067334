//! CRC-32/ISO-HDLC, four bits at a time: its table takes 64 bytes of flash.

/// The remainders of the values of four bits, by the reversed polynomial.
const TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let mut remainder = index as u32;
        let mut bit = 0;
        while bit < 4 {
            remainder = (remainder >> 1) ^ (0xedb8_8320 * (remainder & 1));
            bit += 1;
        }
        table[index] = remainder;
        index += 1;
    }
    table
};

/// A checksum of bytes that come in parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc32(u32);

impl Crc32 {
    /// Checksum of no bytes.
    pub(crate) const fn new() -> Self {
        Self(u32::MAX)
    }

    /// Checksum of these bytes behind those before.
    #[must_use]
    #[inline(never)]
    pub(crate) fn and(self, bytes: &[u8]) -> Self {
        let four = |crc: u32| (crc >> 4) ^ TABLE[(crc & 15) as usize];
        Self(
            bytes
                .iter()
                .fold(self.0, |crc, &byte| four(four(crc ^ u32::from(byte)))),
        )
    }

    /// The checksum.
    pub(crate) const fn value(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Crc32;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_is_the_catalogues() {
        assert_eq!(Crc32::new().and(b"123456789").value(), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn it_is_the_crates(
            first in prop::collection::vec(any::<u8>(), 0..70),
            second in prop::collection::vec(any::<u8>(), 0..70),
        ) {
            let whole = [&first[..], &second].concat();
            let expected = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&whole);
            prop_assert_eq!(Crc32::new().and(&first).and(&second).value(), expected);
        }
    }
}
