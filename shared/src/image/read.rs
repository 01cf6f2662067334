//! Reads a description from postcard's wire format.
//!
//! What serde derives for this is several times as large, which a microcontroller's flash has to hold. The
//! host writes with the derived half, and tests hold this one to the derived other half.

use heapless::VecView;

use super::description::{
    Connection, Convolution, Dense, Ensemble, Input, Output, Post, Pre, Section, SourceMap,
    Transform, Width, Window,
};
use super::error::ImageError;
use crate::fixed::Scale;
use crate::weights::Layout;

/// An empty description, to be filled.
pub(super) struct Room<'r, 'a> {
    pub(super) labels: &'r mut &'a [u8],
    pub(super) steps: &'r mut u16,
    pub(super) inputs: &'r mut VecView<Input>,
    pub(super) ensembles: &'r mut VecView<Ensemble>,
    pub(super) outputs: &'r mut VecView<Output>,
    pub(super) connections: &'r mut VecView<Connection>,
    pub(super) dynamics: &'r mut Section,
}

/// Reads a whole description.
pub(super) fn read<'a>(bytes: &'a [u8], network: Room<'_, 'a>) -> Result<(), ImageError> {
    let mut reader = Reader {
        rest: bytes,
        valid: true,
    };
    *network.labels = reader.text();
    *network.steps = reader.u16();
    list(&mut reader, network.inputs, Reader::input)?;
    list(&mut reader, network.ensembles, Reader::ensemble)?;
    list(&mut reader, network.outputs, Reader::output)?;
    list(&mut reader, network.connections, Reader::connection)?;
    *network.dynamics = reader.section();
    if reader.valid && reader.rest.is_empty() {
        Ok(())
    } else {
        Err(ImageError::Description)
    }
}

/// Reads a list into an empty one.
fn list<'a, T>(
    reader: &mut Reader<'a>,
    list: &mut VecView<T>,
    element: impl Fn(&mut Reader<'a>) -> T,
) -> Result<(), ImageError> {
    for _ in 0..reader.u32() {
        let element = element(reader);
        if !reader.valid {
            return Err(ImageError::Description);
        }
        list.push(element).map_err(|_| ImageError::TooLarge)?;
    }
    Ok(())
}

/// Whether bytes are UTF-8: what the standard library's check is for speed, this is for size.
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

/// What is left of the bytes. Where they are not what is read, every value is zero from there on.
struct Reader<'a> {
    rest: &'a [u8],
    /// Whether all that was read was there.
    valid: bool,
}

impl<'a> Reader<'a> {
    fn fail(&mut self) {
        self.valid = false;
        self.rest = &[];
    }

    #[inline(never)]
    fn u8(&mut self) -> u8 {
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

    fn u16(&mut self) -> u16 {
        self.varint(u16::MAX.into()) as u16
    }

    #[inline(never)]
    fn u32(&mut self) -> u32 {
        self.varint(u32::MAX)
    }

    fn i16(&mut self) -> i16 {
        signed(self.varint(u16::MAX.into())) as i16
    }

    fn i32(&mut self) -> i32 {
        signed(self.varint(u32::MAX))
    }

    fn text(&mut self) -> &'a [u8] {
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
    fn variant(&mut self, variants: u32) -> u32 {
        let variant = self.u32();
        if variant >= variants {
            self.fail();
        }
        variant
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.u8())
    }

    #[inline(never)]
    fn shape(&mut self) -> [u16; 3] {
        core::array::from_fn(|_| self.u16())
    }

    #[inline(never)]
    fn section(&mut self) -> Section {
        Section {
            offset: self.u32(),
            len: self.u32(),
        }
    }

    #[inline(never)]
    fn scale(&mut self) -> Scale {
        Scale {
            mantissa: self.u32(),
            exponent: self.i16(),
        }
    }

    fn input(&mut self) -> Input {
        Input {
            size: self.u32(),
            zero_point: self.u8(),
            max: self.u8(),
            scale: self.scale(),
        }
    }

    fn ensemble(&mut self) -> Ensemble {
        Ensemble {
            neurons: self.u32(),
            channels: self.u32(),
            width: match self.variant(2) {
                0 => Width::I16,
                _ => Width::I32,
            },
            max_count: self.u8(),
            current_shift: self.u8(),
            threshold: self.section(),
            bias: self.section(),
            potential_min: self.i32(),
            potential_max: self.i32(),
            scale: self.scale(),
        }
    }

    fn output(&mut self) -> Output {
        Output {
            size: self.u32(),
            bias: self.section(),
            multiplier: self.section(),
            shift: self.u8(),
            exit_margin: self.u32(),
            scale: self.scale(),
        }
    }

    fn connection(&mut self) -> Connection {
        Connection {
            pre: match (self.variant(2), self.u8()) {
                (0, input) => Pre::Input(input),
                (_, ensemble) => Pre::Ensemble(ensemble),
            },
            post: match (self.variant(2), self.u8()) {
                (0, ensemble) => Post::Ensemble(ensemble),
                (_, output) => Post::Output(output),
            },
            source: match self.variant(3) {
                0 => SourceMap::Direct,
                1 => SourceMap::Window(self.window()),
                _ => SourceMap::Table(self.section()),
            },
            transform: match self.variant(2) {
                0 => Transform::Dense(self.dense()),
                _ => Transform::Convolution(self.convolution()),
            },
            weights: self.section(),
            layout: self.layout(),
        }
    }

    fn window(&mut self) -> Window {
        Window {
            input: self.shape(),
            output: self.shape(),
            pool: self.bytes(),
            repeat: self.bytes(),
            offset: core::array::from_fn(|_| self.i16()),
        }
    }

    fn dense(&mut self) -> Dense {
        Dense {
            inputs: self.u32(),
            outputs: self.u32(),
            first: self.u32(),
        }
    }

    #[inline(never)]
    fn convolution(&mut self) -> Convolution {
        Convolution {
            input: self.shape(),
            output: self.shape(),
            kernel: self.bytes(),
            stride: self.bytes(),
            padding: self.bytes(),
            dilation: self.bytes(),
            groups: self.u16(),
            filters: self.u16(),
            first: self.u16(),
        }
    }

    fn layout(&mut self) -> Layout {
        match Layout::ALL.get(self.u32() as usize) {
            Some(layout) => *layout,
            None => {
                self.fail();
                Layout::Rows
            }
        }
    }
}

/// A number in zigzag form.
fn signed(zigzag: u32) -> i32 {
    (zigzag >> 1) as i32 ^ -((zigzag & 1) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Description;
    use proptest::collection::vec;
    use proptest::prelude::*;

    type Network<'a> = Description<'a, 3, 5>;

    /// Reads into an empty network.
    fn read_into<'a>(bytes: &'a [u8], network: &mut Network<'a>) -> Result<(), ImageError> {
        read(bytes, network.room())
    }

    /// What serde derives, and this reader: the same network, or both none.
    fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
        let derived: Result<Network<'_>, _> = postcard::from_bytes(bytes);
        let mut network = Network::default();
        match (read_into(bytes, &mut network), derived) {
            (Ok(()), Ok(derived)) => prop_assert_eq!(network, derived),
            // To serde, labels are any bytes.
            (Err(_), Ok(derived)) if core::str::from_utf8(derived.labels).is_err() => {}
            // A list that is too long is one that serde cannot hold either; and serde ignores what follows.
            (Err(_), Err(_)) => {}
            (Err(_), Ok(derived)) => {
                let mut room = [0; 4096];
                let written = postcard::to_slice(&derived, &mut room).map(|s| s.len());
                prop_assert!(written.is_ok_and(|len| len < bytes.len()));
            }
            (Ok(()), Err(e)) => prop_assert!(false, "serde refuses: {e}"),
        }
        Ok(())
    }

    prop_compose! {
        fn sections()(offset in any::<u32>(), len in any::<u32>()) -> Section {
            Section { offset, len }
        }
    }
    prop_compose! {
        fn scales()(mantissa in any::<u32>(), exponent in any::<i16>()) -> Scale {
            Scale { mantissa, exponent }
        }
    }
    prop_compose! {
        fn inputs()(
            size in any::<u32>(), zero_point in any::<u8>(), max in any::<u8>(), scale in scales(),
        ) -> Input {
            Input { size, zero_point, max, scale }
        }
    }
    prop_compose! {
        fn ensembles()(
            sizes in any::<[u32; 2]>(), wide in any::<bool>(), bytes in any::<[u8; 2]>(),
            threshold in sections(), bias in sections(), bounds in any::<[i32; 2]>(), scale in scales(),
        ) -> Ensemble {
            Ensemble {
                neurons: sizes[0],
                channels: sizes[1],
                width: if wide { Width::I32 } else { Width::I16 },
                max_count: bytes[0],
                current_shift: bytes[1],
                threshold,
                bias,
                potential_min: bounds[0],
                potential_max: bounds[1],
                scale,
            }
        }
    }
    prop_compose! {
        fn outputs()(
            size in any::<u32>(), bias in sections(), multiplier in sections(), shift in any::<u8>(),
            exit_margin in any::<u32>(), scale in scales(),
        ) -> Output {
            Output { size, bias, multiplier, shift, exit_margin, scale }
        }
    }
    fn sources() -> impl Strategy<Value = SourceMap> {
        let shapes = any::<[[u16; 3]; 2]>();
        prop_oneof![
            Just(SourceMap::Direct),
            sections().prop_map(SourceMap::Table),
            (shapes, any::<[[u8; 2]; 2]>(), any::<[i16; 2]>()).prop_map(
                |([input, output], [pool, repeat], offset)| {
                    SourceMap::Window(Window {
                        input,
                        output,
                        pool,
                        repeat,
                        offset,
                    })
                }
            ),
        ]
    }
    fn transforms() -> impl Strategy<Value = Transform> {
        let convolutions = (any::<[[u16; 3]; 3]>(), any::<[[u8; 2]; 4]>());
        prop_oneof![
            any::<[u32; 3]>().prop_map(|[inputs, outputs, first]| {
                Transform::Dense(Dense {
                    inputs,
                    outputs,
                    first,
                })
            }),
            convolutions.prop_map(
                |([input, output, rest], [kernel, stride, padding, dilation])| {
                    let [groups, filters, first] = rest;
                    Transform::Convolution(Convolution {
                        input,
                        output,
                        kernel,
                        stride,
                        padding,
                        dilation,
                        groups,
                        filters,
                        first,
                    })
                }
            ),
        ]
    }
    prop_compose! {
        fn connections()(
            ends in any::<[(bool, u8); 2]>(), source in sources(), transform in transforms(),
            weights in sections(), layout in 0usize..8,
        ) -> Connection {
            let [pre, post] = ends;
            Connection {
                pre: if pre.0 { Pre::Input(pre.1) } else { Pre::Ensemble(pre.1) },
                post: if post.0 { Post::Ensemble(post.1) } else { Post::Output(post.1) },
                source,
                transform,
                weights,
                layout: Layout::ALL[layout],
            }
        }
    }

    proptest! {
        /// What serde writes is read as it was, and where a byte is changed or missing, or follows, both
        /// see the same.
        #[test]
        fn it_is_what_serde_reads(
            labels in "\\PC{0,20}", steps in any::<u16>(), inputs in vec(inputs(), 0..4),
            ensembles in vec(ensembles(), 0..3), outputs in vec(outputs(), 0..4),
            connections in vec(connections(), 0..5), dynamics in sections(),
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        ) {
            let network = Network {
                labels: labels.as_bytes(),
                steps,
                inputs: inputs.into_iter().collect(),
                ensembles: ensembles.into_iter().collect(),
                outputs: outputs.into_iter().collect(),
                connections: connections.into_iter().collect(),
                dynamics,
            };
            let mut room = [0; 4096];
            let bytes = postcard::to_slice(&network, &mut room).unwrap();
            let mut found = Network::default();
            prop_assert_eq!(read_into(bytes, &mut found), Ok(()));
            prop_assert_eq!(&found, &network);
            for (at, to) in changes {
                let at = at.index(bytes.len());
                agree(&bytes[..at])?;
                let before = core::mem::replace(&mut bytes[at], to);
                agree(bytes)?;
                bytes[at] = before;
            }
        }

        #[test]
        fn bytes_of_any_kind_are_what_they_are_to_serde(bytes in vec(any::<u8>(), 0..80)) {
            agree(&bytes)?;
        }
    }

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
        let reader = |rest| Reader { rest, valid: true };
        for (bytes, number) in [
            (&[0x80, 0x00][..], Some(0)),
            (&[0xff, 0xff, 0x03], Some(0xffff)),
            (&[0xff, 0xff, 0x04], None),
            (&[0x80, 0x80, 0x80, 0x00], None),
            (&[0x80], None),
        ] {
            let mut reader = reader(bytes);
            let found = reader.u16();
            assert_eq!(reader.valid.then_some(found), number, "{bytes:x?}");
            assert_eq!(postcard::from_bytes(bytes).ok(), number, "{bytes:x?}");
        }
        for (bytes, number) in [
            (&[0xff, 0xff, 0xff, 0xff, 0x0f][..], Some(u32::MAX)),
            (&[0xff, 0xff, 0xff, 0xff, 0x10], None),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], None),
        ] {
            let mut reader = reader(bytes);
            let found = reader.u32();
            assert_eq!(reader.valid.then_some(found), number, "{bytes:x?}");
            assert_eq!(postcard::from_bytes(bytes).ok(), number, "{bytes:x?}");
        }
    }
}
