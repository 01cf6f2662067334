//! Postcard's wire format, read value by value.
//!
//! The code that serde derives for this is several times as large, which a microcontroller's flash has to hold.

use super::error::ImageError;
use crate::fixed::Scale;

/// The rest of the bytes. From the first mistake on, every value is zero.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// The first mistake.
    mistake: Option<ImageError>,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            mistake: None,
        }
    }

    /// Tells whether all that was read was there.
    pub(super) const fn is_valid(&self) -> bool {
        self.mistake.is_none()
    }

    /// Tells whether all bytes have been read.
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Ends the reading, of which nothing may be left.
    pub(super) fn end(mut self) -> Result<(), ImageError> {
        if !self.rest.is_empty() {
            self.fail();
        }
        self.mistake.map_or(Ok(()), Err)
    }

    /// Ends the reading with a mistake: what follows means nothing.
    #[inline(never)]
    pub(super) fn fail(&mut self) {
        self.fail_with(ImageError::Description);
    }

    /// Ends the reading as [`fail`](Self::fail) does, for another reason.
    pub(super) fn fail_with(&mut self, mistake: ImageError) {
        self.mistake.get_or_insert(mistake);
        self.rest = &[];
    }

    /// Tells whether the build has what exact networks need; ends the reading if it has not.
    pub(super) fn exact(&mut self) -> bool {
        self.built(cfg!(feature = "exact"));
        cfg!(feature = "exact")
    }

    /// Ends the reading if the build has not what was read.
    pub(super) fn built(&mut self, built: bool) {
        if !built {
            self.fail_with(ImageError::NotBuilt);
        }
    }

    #[inline(never)]
    pub(super) fn u8(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => {
                self.fail();
                0
            }
        }
    }

    /// A varint that is at most `max`, which is 2^16 - 1 or 2^32 - 1: as many bytes as that needs.
    #[inline(never)]
    fn varint(&mut self, max: u32) -> u32 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let room = max.checked_shr(shift).unwrap_or(0);
            let byte = self.u8();
            let bits = u32::from(byte & 0x7f);
            if bits > room || room == 0 {
                self.fail();
                return 0;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    pub(super) fn u16(&mut self) -> u16 {
        self.varint(u16::MAX.into()) as u16
    }

    #[inline(never)]
    pub(super) fn u32(&mut self) -> u32 {
        self.varint(u32::MAX)
    }

    pub(super) fn i16(&mut self) -> i16 {
        signed(self.varint(u16::MAX.into())) as i16
    }

    pub(super) fn i32(&mut self) -> i32 {
        signed(self.varint(u32::MAX))
    }

    /// A byte that is 0 or 1.
    pub(super) fn flag(&mut self) -> bool {
        let byte = self.u8();
        if byte > 1 {
            self.fail();
        }
        byte == 1
    }

    pub(super) fn text(&mut self) -> &'a [u8] {
        let len = self.u32() as usize;
        match self.rest.split_at_checked(len) {
            Some((text, rest)) if is_utf8(text) => {
                self.rest = rest;
                text
            }
            _ => {
                self.fail();
                &[]
            }
        }
    }

    /// An enum without fields, or what stands before the fields of one.
    #[inline(never)]
    pub(super) fn variant(&mut self, variants: u32) -> u32 {
        let variant = self.u32();
        if variant >= variants {
            self.fail();
        }
        variant
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.u8())
    }

    #[inline(never)]
    pub(super) fn shape(&mut self) -> [u16; 3] {
        core::array::from_fn(|_| self.u16())
    }

    #[inline(never)]
    pub(super) fn scale(&mut self) -> Scale {
        Scale {
            mantissa: self.u32(),
            exponent: self.i16(),
        }
    }
}

/// A number in zigzag form.
fn signed(zigzag: u32) -> i32 {
    (zigzag >> 1) as i32 ^ -((zigzag & 1) as i32)
}

/// Tells whether bytes are UTF-8: the standard library's check is made for speed, this one for size.
fn is_utf8(bytes: &[u8]) -> bool {
    let mut rest = bytes.iter();
    while let Some(&lead) = rest.next() {
        let (more, least) = match lead {
            0..0x80 => continue,
            0xc0..0xe0 => (1, 0x80),
            0xe0..0xf0 => (2, 0x800),
            0xf0..0xf8 => (3, 0x1_0000),
            _ => return false,
        };
        let mut point = u32::from(lead) & (0x3f >> more);
        for _ in 0..more {
            match rest.next() {
                Some(&byte) if byte & 0xc0 == 0x80 => {
                    point = (point << 6) | u32::from(byte & 0x3f);
                }
                _ => return false,
            }
        }
        if point < least || char::from_u32(point).is_none() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_is_what_the_standard_library_takes_for_it(
            bytes in vec(any::<u8>(), 0..8),
            text in "\\PC{0,6}",
            change in any::<(prop::sample::Index, u8)>(),
        ) {
            prop_assert_eq!(is_utf8(&bytes), core::str::from_utf8(&bytes).is_ok());
            prop_assert!(is_utf8(text.as_bytes()));
            let mut room = [0; 32];
            let bytes = &mut room[..text.len()];
            bytes.copy_from_slice(text.as_bytes());
            if !bytes.is_empty() {
                bytes[change.0.index(text.len())] = change.1;
                prop_assert_eq!(is_utf8(bytes), core::str::from_utf8(bytes).is_ok());
            }
        }
    }

    /// All leads with the ends of the ranges of what may follow.
    #[test]
    fn text_ends_where_unicode_does() {
        for lead in 0..=u8::MAX {
            for second in [0, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0] {
                let bytes = [lead, second, 0x80, 0xbf];
                for len in 1..=4 {
                    let bytes = &bytes[..len];
                    assert_eq!(
                        is_utf8(bytes),
                        core::str::from_utf8(bytes).is_ok(),
                        "{bytes:x?}"
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_have_no_more_bytes_than_they_need() {
        let reader = Reader::new;
        for (bytes, number) in [
            (&[0x80, 0x00][..], Some(0)),
            (&[0xff, 0xff, 0x03], Some(0xffff)),
            (&[0xff, 0xff, 0x04], None),
            (&[0x80, 0x80, 0x80, 0x00], None),
            (&[0x80], None),
        ] {
            let mut reader = reader(bytes);
            let found = reader.u16();
            assert_eq!(reader.is_valid().then_some(found), number, "{bytes:x?}");
            assert_eq!(postcard::from_bytes(bytes).ok(), number, "{bytes:x?}");
        }
        for (bytes, number) in [
            (&[0xff, 0xff, 0xff, 0xff, 0x0f][..], Some(u32::MAX)),
            (&[0xff, 0xff, 0xff, 0xff, 0x10], None),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], None),
        ] {
            let mut reader = reader(bytes);
            let found = reader.u32();
            assert_eq!(reader.is_valid().then_some(found), number, "{bytes:x?}");
            assert_eq!(postcard::from_bytes(bytes).ok(), number, "{bytes:x?}");
        }
    }
}
